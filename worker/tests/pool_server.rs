//! End-to-end tests of the program `pool-server`: output, stored files, signals.
//!
//! Startup errors are in [`startup`], proxies and certificates in [`proxies`].

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "clippy.toml allows it in tests, but not in their helper functions"
)]

#[path = "support/program.rs"]
mod program;
#[path = "pool_server/proxies.rs"]
mod proxies;
#[path = "pool_server/startup.rs"]
mod startup;
mod support;

use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::Duration;

use pool_fake_gemini::{Answer, Behaviour, FakeGemini, KeySpec, Scenario};
use pool_shared::{LoginResponse, PoolCreated};
use reqwest::{Client, StatusCode};
use serde_json::json;

use program::{Program, command, first_line};

const KEY: &str = "AIzaSyFake-good-one-000000000000000000001";

/// Deadline of every request in this file.
const DEADLINE: Duration = Duration::from_secs(90);

fn http_client() -> Client {
    Client::builder().no_proxy().timeout(DEADLINE).build().unwrap()
}

async fn login(client: &Client, url: &str, password: &str) -> Result<LoginResponse, StatusCode> {
    let body = json!({"password": password}).to_string();
    let response = client
        .post(format!("{url}/admin/v1/login"))
        .header("content-type", "application/json")
        .body(body)
        .send()
        .await
        .unwrap();
    match response.status() {
        StatusCode::OK => Ok(response.json().await.unwrap()),
        status => Err(status),
    }
}

#[tokio::test]
async fn the_first_start_creates_secrets_and_a_restart_keeps_everything() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let client = http_client();
    let server = Program::start(&data, &[]);
    let password = std::fs::read_to_string(data.join("ADMIN_PASSWORD")).unwrap();
    let token = login(&client, &server.url, &password).await.unwrap().token;
    let create = json!({"name": "prod", "import": {"keys": [{"key": KEY}]}}).to_string();
    let pools = format!("{}/admin/v1/pools", server.url);
    let created = client.post(pools).bearer_auth(token.expose()).body(create).send().await.unwrap();
    assert_eq!(created.status(), StatusCode::CREATED);
    let url = server.url.clone();
    let (status, printed) = server.interrupt();
    assert!(status.success(), "{status}");
    for name in ["MASTER_KEY", "ADMIN_PASSWORD"] {
        let path = data.join(name);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(printed.contains(&path.display().to_string()), "{printed}");
    }
    assert!(printed.contains(&format!("poolctl login --url {url} --with-password <")), "{printed}");
    assert!(printed.contains("poolctl pool create prod --keys keys.txt"), "{printed}");
    assert!(!printed.contains(&password), "a secret was printed");

    let server = Program::start(&data, &[]);
    let show = format!("{}/admin/v1/pools/prod", server.url);
    let shown = client.get(show).bearer_auth(token.expose()).send().await.unwrap();
    assert_eq!(shown.status(), StatusCode::OK, "the token, the pool and the keys are still there");
    let (_, printed) = server.interrupt();
    assert!(!printed.contains("First start"), "{printed}");
}

#[tokio::test]
async fn secrets_of_the_environment_take_precedence_and_are_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let environment =
        [("ADMIN_PASSWORD", "from the environment\r\n"), ("MASTER_KEY", " "), ("MASTER_KEY_PREV", " ")];
    let server = Program::start(folder.path(), &environment);
    assert!(login(&http_client(), &server.url, "from the environment").await.is_ok());
    assert!(!folder.path().join("ADMIN_PASSWORD").exists());
    assert!(folder.path().join("MASTER_KEY").exists(), "an empty value counts as none");
}

#[tokio::test]
async fn shutdown_waits_for_running_responses() {
    for signal in ["INT", "TERM", "HUP"] {
        shut_down_during_a_stream(signal).await;
    }
}

async fn shut_down_during_a_stream(signal: &'static str) {
    let folder = tempfile::tempdir().unwrap();
    let key = KeySpec::new(KEY, Behaviour::Ok);
    let scenario = Scenario { between_frames_ms: 100, ..Scenario::default() }.key(key);
    let gemini = FakeGemini::start(scenario).await.unwrap();
    let server = Program::start(
        folder.path(),
        &[("GEMINI_BASE_URL", gemini.url()), ("ADMIN_PASSWORD", "a password for the test")],
    );
    let client = http_client();
    let token = login(&client, &server.url, "a password for the test").await.unwrap().token;
    let create = json!({"name": "prod", "import": {"keys": [{"key": KEY}]}}).to_string();
    let pools = format!("{}/admin/v1/pools", server.url);
    let created = client.post(pools).bearer_auth(token.expose()).body(create).send().await.unwrap();
    let created: PoolCreated = created.json().await.unwrap();
    let chat = json!({"model": "gemini-3.8-flash", "stream": true, "messages": [{"role": "user", "content": "Hello"}]});
    let mut answer = client
        .post(format!("{}/v1/chat/completions", server.url))
        .bearer_auth(created.client_key.expose())
        .body(chat.to_string())
        .send()
        .await
        .unwrap();
    let mut text = String::from_utf8(answer.chunk().await.unwrap().unwrap().to_vec()).unwrap();
    assert!(!text.contains("[DONE]"), "the stop must come in the middle");
    let stopping = tokio::task::spawn_blocking(move || server.signal(signal));
    while let Some(chunk) = answer.chunk().await.unwrap() {
        text.push_str(std::str::from_utf8(&chunk).unwrap());
    }
    assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
    drop((answer, client));
    assert!(stopping.await.unwrap().0.success());
}

/// Takes the 30 s in which responses may finish during shutdown.
#[tokio::test]
async fn shutdown_ends_an_endless_stream_with_an_error_event() {
    let folder = tempfile::tempdir().unwrap();
    // Longer than the shutdown.
    let answer = Answer { frames: 10_000, text: Some("word ".repeat(10_000)), thought_tokens: 0 };
    let scenario = Scenario { between_frames_ms: 100, answer, ..Scenario::with_keys([KEY]) };
    let gemini = FakeGemini::start(scenario).await.unwrap();
    let environment = [("GEMINI_BASE_URL", gemini.url()), ("ADMIN_PASSWORD", "a password for the test")];
    let server = Program::start(folder.path(), &environment);
    let client_key = new_pool(&server.url, "a password for the test").await;
    let chat = json!({"model": "gemini-3.8-flash", "stream": true, "messages": [{"role": "user", "content": "Hello"}]});
    let chat = http_client().post(format!("{}/v1/chat/completions", server.url)).body(chat.to_string());
    let mut answer = chat.bearer_auth(&client_key).send().await.unwrap();
    assert!(answer.chunk().await.unwrap().is_some());
    let stopping = tokio::task::spawn_blocking(move || server.interrupt());
    let rest = answer.text().await.unwrap();
    assert!(rest.contains(r#""code":"shutting_down""#) && !rest.contains("[DONE]"), "{rest}");
    assert!(stopping.await.unwrap().0.success());
}

/// Creates a pool with one key. Returns its client key.
async fn new_pool(url: &str, password: &str) -> String {
    let client = http_client();
    let token = login(&client, url, password).await.unwrap().token;
    let create = json!({"name": "prod", "import": {"keys": [{"key": KEY}]}}).to_string();
    let pools = format!("{url}/admin/v1/pools");
    let created = client.post(pools).bearer_auth(token.expose()).body(create).send().await.unwrap();
    created.json::<PoolCreated>().await.unwrap().client_key.expose().to_owned()
}

async fn chat(url: &str, client_key: &str) -> StatusCode {
    let client = http_client();
    let chat = json!({"model": "gemini-3.8-flash", "messages": [{"role": "user", "content": "Hello"}]});
    let chat =
        client.post(format!("{url}/v1/chat/completions")).bearer_auth(client_key).body(chat.to_string());
    chat.send().await.unwrap().status()
}

#[tokio::test]
async fn empty_variables_count_as_unset_and_an_address_may_have_brackets() {
    let folder = tempfile::tempdir().unwrap();
    let names = ["GEMINI_BASE_URL", "HOST", "GEMINI_ALLOWED_HOSTS", "TRUSTED_PROXIES", "LOG_LEVEL"];
    let server = Program::start(folder.path(), &names.map(|name| (name, "")));
    assert!(server.url.starts_with("http://127.0.0.1:"), "{}", server.url);
    assert!(server.interrupt().0.success());
    // The default port may be in use, which the error then says. The default folder is below the
    // working directory.
    let mut command = command(folder.path(), &[("PORT", ""), ("DATA_DIR", "")]);
    command.current_dir(folder.path());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = first_line(child.stdout.take().unwrap());
    child.kill().unwrap();
    child.wait().unwrap();
    if line.is_empty() {
        line = first_line(child.stderr.take().unwrap());
    }
    assert!(line.contains("127.0.0.1:8787"), "{line}");
    assert!(folder.path().join("data").join("MASTER_KEY").exists());
    let folder = tempfile::tempdir().unwrap();
    for (host, listens, next) in [
        ("[::1]", "http://[::1]:", "http://[::1]:"),
        ("0.0.0.0", "http://0.0.0.0:", "http://127.0.0.1:"),
        ("::", "http://[::]:", "http://[::1]:"),
    ] {
        let data = folder.path().join(host.replace(':', "_"));
        let server = Program::start(&data, &[("HOST", host)]);
        assert!(server.url.starts_with(listens), "{}", server.url);
        let printed = server.interrupt().1;
        assert!(printed.contains(&format!("poolctl login --url {next}")), "{printed}");
    }
}

#[tokio::test]
async fn the_printed_login_command_depends_on_the_source_of_the_password() {
    let folder = tempfile::tempdir().unwrap();
    let server = Program::start(folder.path(), &[("ADMIN_PASSWORD", "from the environment")]);
    let url = server.url.clone();
    let printed = server.interrupt().1;
    assert!(printed.contains(&format!("  poolctl login --url {url}\n")), "{printed}");
    assert!(!printed.contains("data/ADMIN_PASSWORD"), "{printed}");
}
