//! The pool service as one native process on one SQLite file.
//!
//! Everything is set by the environment or by flags; secrets by the environment only. The first start
//! makes them and says where they are.

#![forbid(unsafe_code)]

use std::io::{Write, stdout};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Parser;
use mimalloc::MiMalloc;
use pool_shared::Secret;
use pool_worker::host::native::{Server, ServerConfig, StderrLog};
use pool_worker::log::LogLevel;
use pool_worker::origin;

/// A request is a hundred short-lived allocations: the C library's allocator costs it a tenth more.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Many Gemini API keys as isolated, OpenAI-compatible pools: the native server.
///
/// The secrets `MASTER_KEY` and `ADMIN_PASSWORD` are taken from the environment, else from files in the
/// data folder, which the first start makes.
#[derive(Debug, Parser)]
#[command(name = "pool-server", version)]
struct Arguments {
    /// The address to listen on.
    #[arg(long, env = "HOST", default_value = "127.0.0.1")]
    host: String,
    /// The port to listen on; 0 takes a free one.
    #[arg(long, env = "PORT", default_value_t = 8787)]
    port: u16,
    /// The folder of the database and of the secrets' files.
    #[arg(long, env = "DATA_DIR", default_value = "data")]
    data_dir: PathBuf,
    /// Where Gemini is called.
    #[arg(long, env = "GEMINI_BASE_URL", default_value = origin::GEMINI)]
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
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to do when even standard error is closed.
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<()> {
    let allowed = arguments.gemini_allowed_hosts.as_deref();
    let gemini_base_url = origin::base_url(&arguments.gemini_base_url, allowed)?;
    let log_level = LogLevel::parse(&arguments.log_level)?;
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
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let served = runtime.block_on(serve(config));
    log.flush();
    served
}

/// An empty value counts as none, as it does in files that set the environment.
fn secret_from_environment(name: &str) -> Result<Option<Secret>> {
    match std::env::var(name) {
        Ok(value) if value.is_empty() => Ok(None),
        Ok(value) => Ok(Some(Secret::new(value))),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => bail!("{name} is not UTF-8"),
    }
}

async fn serve(config: ServerConfig) -> Result<()> {
    let data_dir = config.data_dir.clone();
    let server = Server::start(config).await?;
    greet(&server, &data_dir).context("cannot write to standard output")?;
    stop_signal().await?;
    writeln!(stdout(), "stopping: running answers may end").ok();
    server.shut_down().await;
    Ok(())
}

fn greet(server: &Server, data_dir: &std::path::Path) -> std::io::Result<()> {
    let mut out = stdout().lock();
    let url = server.url();
    writeln!(out, "pool-server listens on {url}")?;
    if !server.created_secrets().is_empty() {
        writeln!(out, "\nFirst start. New secrets, readable by you alone:")?;
        for path in server.created_secrets() {
            writeln!(out, "  {}", path.display())?;
        }
        let password = data_dir.join("ADMIN_PASSWORD");
        writeln!(out, "\nNext:")?;
        writeln!(out, "  poolctl login --url {url} --with-password < {}", password.display())?;
        writeln!(out, "  poolctl pool create prod --keys keys.txt")?;
    }
    out.flush()
}

/// Resolves at Ctrl-C or at the signal by which supervisors stop a process.
async fn stop_signal() -> std::io::Result<()> {
    #[cfg(unix)]
    {
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => interrupted,
            _ = terminate.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}
