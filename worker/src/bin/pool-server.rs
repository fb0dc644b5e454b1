//! The pool service as one native process on one SQLite file.
//!
//! Everything is set by the environment or by flags; secrets by the environment only. The first start
//! makes them and says where they are.

#![forbid(unsafe_code)]

use std::convert::Infallible;
use std::io::{Write, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Parser;
use mimalloc::MiMalloc;
use pool_shared::Secret;
use pool_worker::host::native::{Server, ServerConfig, StartError, StderrLog, raise_open_files_limit};
use pool_worker::origin;
use pool_worker::reporting::LogLevel;
use pool_worker::setup::SetupError;
use pool_worker::upstream::UpstreamTimeouts;

/// A request is a hundred short-lived allocations: the C library's allocator costs it a tenth more.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Many Gemini API keys as isolated, OpenAI-compatible pools: the native server.
///
/// The secrets `MASTER_KEY` and `ADMIN_PASSWORD` are taken from the environment, else from files in the
/// data folder, which the first start makes. An empty variable counts as unset.
///
/// `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` (http, https, socks5, socks5h) and `NO_PROXY` name the proxy to Gemini; what
/// stays on this machine never goes through one. `SSL_CERT_FILE` names certificates to trust instead of the system's.
#[derive(Debug, Parser)]
#[command(name = "pool-server", version)]
struct Arguments {
    /// The address to listen on.
    #[arg(long, env = "HOST", default_value = DEFAULT_HOST, value_parser = host)]
    host: String,
    /// The port to listen on; 0 takes a free one.
    #[arg(long, env = "PORT", default_value = DEFAULT_PORT, value_parser = port)]
    port: u16,
    /// The folder of the database and of the secrets' files.
    #[arg(long, env = "DATA_DIR", default_value = DEFAULT_DATA_DIR, value_parser = data_dir)]
    data_dir: PathBuf,
    /// Where Gemini is called.
    #[arg(long, env = "GEMINI_BASE_URL", default_value = origin::GEMINI, value_parser = gemini_base_url)]
    gemini_base_url: String,
    /// Hosts, with commas, that the base URL may lead to besides Google's and this machine.
    #[arg(long, env = "GEMINI_ALLOWED_HOSTS")]
    gemini_allowed_hosts: Option<String>,
    /// Networks, with commas, of proxies that are believed when they tell by X-Forwarded-For or Forwarded where a
    /// request comes from. Without one it comes from whoever is connected.
    #[arg(long, env = "TRUSTED_PROXIES", default_value = "", hide_default_value = true)]
    trusted_proxies: String,
    /// Which requests get a line on standard error: off, error, info or debug.
    #[arg(long, env = "LOG_LEVEL", default_value = "info")]
    log_level: String,
    /// Seconds that Gemini may take to the headers of a stream: 900 unless set, 86400 at most.
    #[arg(long, env = "UPSTREAM_HEADERS_TIMEOUT_S", value_name = "SECONDS")]
    upstream_headers_timeout_s: Option<String>,
    /// Seconds that Gemini may take for a whole response that is no stream: 900 unless set.
    #[arg(long, env = "UPSTREAM_TOTAL_TIMEOUT_S", value_name = "SECONDS")]
    upstream_total_timeout_s: Option<String>,
    /// Seconds that a stream of Gemini may be silent: 300 unless set.
    #[arg(long, env = "UPSTREAM_IDLE_TIMEOUT_S", value_name = "SECONDS")]
    upstream_idle_timeout_s: Option<String>,
}

impl Arguments {
    fn upstream_timeouts(&self) -> Result<UpstreamTimeouts, SetupError> {
        let given =
            [&self.upstream_headers_timeout_s, &self.upstream_total_timeout_s, &self.upstream_idle_timeout_s];
        let given = |name| UpstreamTimeouts::NAMES.iter().zip(given).find(|(known, _)| **known == name);
        UpstreamTimeouts::read(|name| given(name).and_then(|(_, value)| value.clone()))
    }
}

const DEFAULT_HOST: &str = "127.0.0.1";
const DEFAULT_PORT: &str = "8787";
const DEFAULT_DATA_DIR: &str = "data";

/// Returns the text, or the default where it is empty: files that set the environment often have variables without a value.
fn or_default<'a>(text: &'a str, default: &'a str) -> &'a str {
    if text.trim().is_empty() { default } else { text.trim() }
}

/// An IPv6 address may be in brackets, as in a URL.
#[allow(clippy::unnecessary_wraps, reason = "clap takes functions that may fail")]
fn host(text: &str) -> Result<String, Infallible> {
    let host = or_default(text, DEFAULT_HOST);
    Ok(host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host).to_owned())
}

fn port(text: &str) -> Result<u16, std::num::ParseIntError> {
    or_default(text, DEFAULT_PORT).parse()
}

#[allow(clippy::unnecessary_wraps, reason = "clap takes functions that may fail")]
fn data_dir(text: &str) -> Result<PathBuf, Infallible> {
    Ok(or_default(text, DEFAULT_DATA_DIR).into())
}

#[allow(clippy::unnecessary_wraps, reason = "clap takes functions that may fail")]
fn gemini_base_url(text: &str) -> Result<String, Infallible> {
    Ok(or_default(text, origin::GEMINI).to_owned())
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut text = format!("error: {}\n", in_words(&error));
            if let Some(hint) = error.downcast_ref::<StartError>().and_then(StartError::hint) {
                text += "hint: ";
                text += hint;
                text.push('\n');
            }
            // Nothing is left to do when even standard error is closed.
            let _ = std::io::stderr().write_all(text.as_bytes());
            ExitCode::FAILURE
        }
    }
}

/// Returns an error and its causes, each once: many texts end with that of their cause.
fn in_words(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

fn run(arguments: Arguments) -> Result<()> {
    let allowed = arguments.gemini_allowed_hosts.as_deref();
    let gemini_base_url = origin::base_url(&arguments.gemini_base_url, allowed)?;
    let log_level = LogLevel::parse(&arguments.log_level)?;
    let upstream_timeouts = arguments.upstream_timeouts()?;
    let log = StderrLog::start()?;
    let config = ServerConfig {
        host: arguments.host,
        port: arguments.port,
        data_dir: arguments.data_dir.clone(),
        gemini_base_url,
        master_key: secret_from_environment("MASTER_KEY")?,
        previous_master_key: secret_from_environment("MASTER_KEY_PREV")?,
        admin_password: secret_from_environment("ADMIN_PASSWORD")?,
        trusted_proxies: arguments.trusted_proxies.parse()?,
        log: log.log(log_level),
        upstream_timeouts,
    };
    raise_open_files_limit();
    keep_files_private();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let served = runtime.block_on(serve(config));
    log.flush();
    served
}

/// What this process writes is for its owner alone.
fn keep_files_private() {
    #[cfg(unix)]
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
}

/// An empty value counts as none, as it does in files that set the environment.
fn secret_from_environment(name: &str) -> Result<Option<Secret>> {
    match std::env::var(name) {
        Ok(value) if value.trim().is_empty() => Ok(None),
        Ok(value) => Ok(Some(Secret::new(value))),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => bail!("{name} is not UTF-8"),
    }
}

async fn serve(config: ServerConfig) -> Result<()> {
    let data_dir = config.data_dir.clone();
    let stopped = stop_signal()?;
    let server = Server::start(config).await?;
    for warning in server.warnings() {
        writeln!(std::io::stderr(), "warning: {warning}").ok();
    }
    greet(&server, &data_dir).context("cannot write to standard output")?;
    stopped.await;
    writeln!(stdout(), "stopping: running answers may end").ok();
    let load = server.shut_down().await;
    writeln!(
        stdout(),
        "at most {} of {} connections were open and {} bytes of request bodies held at the same time",
        load.most_connections,
        load.allowed_connections,
        load.most_body_bytes
    )
    .ok();
    Ok(())
}

fn greet(server: &Server, data_dir: &Path) -> std::io::Result<()> {
    let mut out = stdout().lock();
    writeln!(out, "pool-server listens on {}", server.url())?;
    if let Some(proxy) = server.gemini_route().and_then(|route| route.proxy) {
        writeln!(out, "Gemini is called through the proxy {proxy}")?;
    }
    let created = server.created_secrets();
    if !created.is_empty() {
        writeln!(out, "\nFirst start. New secrets, readable by you alone:")?;
        for path in created {
            writeln!(out, "  {}", path.display())?;
        }
        let password = data_dir.join("ADMIN_PASSWORD");
        let password = created.contains(&password).then_some(password);
        writeln!(out, "\nNext:")?;
        writeln!(out, "  {}", login_command(&server.local_url(), password.as_deref()))?;
        writeln!(out, "  poolctl pool create prod --keys keys.txt")?;
    }
    out.flush()
}

/// Returns the command to log in with. A password that came by the environment is known to whoever set it.
fn login_command(url: &str, password: Option<&Path>) -> String {
    match password {
        None => format!("poolctl login --url {url}"),
        Some(file) if cfg!(windows) => {
            format!("Get-Content '{}' | poolctl login --url {url} --with-password", file.display())
        }
        Some(file) => format!("poolctl login --url {url} --with-password < {}", file.display()),
    }
}

/// Returns a future that resolves at Ctrl-C, at the signal by which supervisors stop a process, or when its terminal is closed.
/// They are heeded from now on.
#[cfg(unix)]
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hang_up.recv() => {}
        }
    })
}

/// Returns a future that resolves at Ctrl-C, or when the console is closed. They are heeded from now on.
#[cfg(windows)]
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::windows::{ctrl_c, ctrl_close};

    let (mut interrupt, mut close) = (ctrl_c()?, ctrl_close()?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = close.recv() => {}
        }
    })
}
