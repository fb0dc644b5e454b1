//! Demo without an account or network: mock Gemini server, the service with good and bad keys,
//! `poolctl` commands, a streamed response, and statistics by key.
//!
//! `make demo` builds `poolctl` first; the demo runs the one beside it.

use std::io::{Write, stdout};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use pool_fake_gemini::{Behaviour, FakeGemini, KeySpec, Scenario};
use pool_shared::{EXAMPLE_MODEL, PoolCreated, Secret};
use pool_worker::host::native::{Server, ServerConfig, TrustedProxies};
use pool_worker::reporting::Log;
use reqwest::Client;
use serde_json::{Value, json};

const SCENARIO: &str = include_str!("scenario.toml");
const PASSWORD: &str = "a password for the demo";
const REQUESTS: usize = 24;

#[tokio::main]
async fn main() -> Result<()> {
    let scenario = Scenario::from_toml(SCENARIO)?;
    // The columns of a key file are key, weight, tag, name. The key with truncated streams is a
    // reserve key, because a started response cannot be retried.
    let weight = |key: &KeySpec| u8::from(key.behaviour.kind != Behaviour::Cut);
    let line = |key: &KeySpec| format!("{},{},,{:?}", key.key, weight(key), key.behaviour.kind);
    let keys: Vec<String> = scenario.keys.iter().map(line).collect();
    let gemini = FakeGemini::start(scenario).await?;
    let folder = tempfile::tempdir()?;
    let server = Server::start(ServerConfig {
        host: "127.0.0.1".to_owned(),
        port: 0,
        data_dir: folder.path().join("data"),
        gemini_base_url: gemini.url().parse()?,
        master_key: None,
        previous_master_key: None,
        admin_password: Some(Secret::new(PASSWORD)),
        trusted_proxies: TrustedProxies::default(),
        log: Log::off(),
        upstream_timeouts: pool_worker::upstream::UpstreamTimeouts::default(),
    })
    .await?;
    let poolctl = Poolctl::find(folder.path())?;
    let url = server.url();
    say(&format!(
        "The mock Gemini server runs at {}, the pool service at {url}.\n\
         The key file has {} keys: some good, one invalid, one suspended, one with an exhausted daily quota, \
         one reserve whose streams are truncated.",
        gemini.url(),
        keys.len()
    ))?;
    let key_file = folder.path().join("keys.txt");
    std::fs::write(&key_file, keys.join("\n"))?;

    poolctl.run(&["login", "--url", &url, "--with-password"], Some(PASSWORD)).await?;
    let created = poolctl.run(&["pool", "create", "demo", "--keys", "keys.txt", "-o", "json"], None).await?;
    let created: PoolCreated = serde_json::from_str(&created)?;
    let client = Client::new();
    say("\nA streamed response, as OpenAI clients receive it:\n")?;
    stream_to_screen(&client, &url, &created.client_key).await?;
    say(&format!("\n\n{REQUESTS} more requests:\n"))?;
    for _ in 0..REQUESTS {
        let status = ask(&client, &url, &created.client_key).await?;
        write!(stdout(), "{status} ")?;
        stdout().flush()?;
    }
    say("\n\nStatistics by key:")?;
    poolctl.run(&["stats", "demo"], None).await?;
    server.shut_down().await;
    Ok(())
}

fn say(text: &str) -> Result<()> {
    Ok(writeln!(stdout(), "{text}")?)
}

fn question(stream: bool) -> Value {
    let text = "why do many small keys make one dependable pool?";
    json!({"model": EXAMPLE_MODEL, "stream": stream, "messages": [{"role": "user", "content": text}]})
}

async fn ask(client: &Client, url: &str, key: &Secret) -> Result<u16> {
    let request =
        client.post(format!("{url}/v1/chat/completions")).bearer_auth(key.expose()).json(&question(false));
    Ok(request.send().await?.status().as_u16())
}

/// Prints the chunks of a streamed response as they arrive.
async fn stream_to_screen(client: &Client, url: &str, key: &Secret) -> Result<()> {
    let request =
        client.post(format!("{url}/v1/chat/completions")).bearer_auth(key.expose()).json(&question(true));
    let mut response = request.send().await?.error_for_status()?;
    let mut pending = String::new();
    while let Some(chunk) = response.chunk().await? {
        pending.push_str(std::str::from_utf8(&chunk)?);
        while let Some((event, rest)) = pending.split_once("\n\n") {
            print_event(event)?;
            pending = rest.to_owned();
        }
    }
    Ok(())
}

fn print_event(event: &str) -> Result<()> {
    let Some(data) = event.strip_prefix("data: ").filter(|data| *data != "[DONE]") else { return Ok(()) };
    let chunk: Value = serde_json::from_str(data)?;
    let text = chunk.pointer("/choices/0/delta/content").and_then(Value::as_str).unwrap_or_default();
    // The mock server truncates the streams of one key, and the service reports that in the
    // stream.
    let error = chunk.pointer("/error/message").and_then(Value::as_str);
    write!(stdout(), "{text}{}", error.map(|error| format!(" [{error}]")).unwrap_or_default())?;
    Ok(stdout().flush()?)
}

/// The `poolctl` built beside this example, with its own configuration.
struct Poolctl {
    program: PathBuf,
    folder: PathBuf,
}

impl Poolctl {
    fn find(folder: &Path) -> Result<Self> {
        let example = std::env::current_exe()?;
        let built =
            example.parent().and_then(Path::parent).context("the example is not in a target folder")?;
        let program = built.join(format!("poolctl{}", std::env::consts::EXE_SUFFIX));
        ensure!(program.exists(), "{} is missing: run `make demo`", program.display());
        Ok(Self { program, folder: folder.to_owned() })
    }

    /// Runs a command and prints it with its output. Returns the output.
    async fn run(&self, arguments: &[&str], input: Option<&str>) -> Result<String> {
        say(&format!("\n$ poolctl {}", arguments.join(" ")))?;
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .current_dir(&self.folder)
            .env("POOLCTL_CONFIG_DIR", self.folder.join("config"))
            .env("POOLCTL_CREDENTIALS", "file")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let input = input.map(ToOwned::to_owned);
        let output = tokio::task::spawn_blocking(move || -> Result<_> {
            let mut child = command.spawn()?;
            if let (Some(mut stdin), Some(input)) = (child.stdin.take(), input) {
                stdin.write_all(input.as_bytes())?;
            }
            Ok(child.wait_with_output()?)
        })
        .await??;
        let printed = String::from_utf8(output.stdout)?;
        write!(stdout(), "{printed}")?;
        if !output.status.success() {
            bail!("poolctl ended with {}", output.status);
        }
        Ok(printed)
    }
}
