//! The native program as its user meets it: what it prints, what it keeps, how it stops.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "clippy.toml allows it in tests, but not in their helper functions"
)]

#[path = "support/program.rs"]
mod program;

use std::os::unix::fs::PermissionsExt;

use pool_fake_gemini::{Behaviour, FakeGemini, KeySpec, Scenario};
use pool_shared::{LoginResponse, PoolCreated};
use reqwest::{Client, StatusCode};
use serde_json::json;

use program::{Program, command};

const KEY: &str = "AIzaSyFake-good-one-000000000000000000001";

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
async fn the_first_start_makes_secrets_and_a_restart_keeps_everything() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let client = Client::new();
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
async fn secrets_of_the_environment_win_and_are_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let environment = [("ADMIN_PASSWORD", "from the environment"), ("MASTER_KEY", "")];
    let server = Program::start(folder.path(), &environment);
    assert!(login(&Client::new(), &server.url, "from the environment").await.is_ok());
    assert!(!folder.path().join("ADMIN_PASSWORD").exists());
    assert!(folder.path().join("MASTER_KEY").exists(), "an empty value counts as none");
}

#[test]
fn what_cannot_be_used_is_refused_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    for (name, value, expected) in [
        ("GEMINI_BASE_URL", "ftp://example.com", "GEMINI_BASE_URL"),
        ("GEMINI_BASE_URL", "https://example.com/?key=x", "GEMINI_BASE_URL"),
        ("GEMINI_BASE_URL", "https://example.com", "GEMINI_ALLOWED_HOSTS"),
        ("LOG_LEVEL", "loud", "LOG_LEVEL"),
        ("ADMIN_PASSWORD", "short", "ADMIN_PASSWORD"),
        ("MASTER_KEY", "c2hvcnQ=", "MASTER_KEY"),
        ("HOST", "203.0.113.1", "cannot listen on 203.0.113.1"),
    ] {
        let output = command(folder.path(), &[(name, value)]).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{name}={value}");
        assert!(error.starts_with("error: ") && error.contains(expected), "{error}");
    }
}

#[tokio::test]
async fn a_stop_lets_a_running_answer_end() {
    let folder = tempfile::tempdir().unwrap();
    let key = KeySpec::new(KEY, Behaviour::Ok);
    let scenario = Scenario { between_frames_ms: 100, ..Scenario::default() }.key(key);
    let gemini = FakeGemini::start(scenario).await.unwrap();
    let server = Program::start(
        folder.path(),
        &[("GEMINI_BASE_URL", gemini.url()), ("ADMIN_PASSWORD", "a password for the test")],
    );
    let client = Client::new();
    let token = login(&client, &server.url, "a password for the test").await.unwrap().token;
    let create = json!({"name": "prod", "import": {"keys": [{"key": KEY}]}}).to_string();
    let pools = format!("{}/admin/v1/pools", server.url);
    let created = client.post(pools).bearer_auth(token.expose()).body(create).send().await.unwrap();
    let created: PoolCreated = created.json().await.unwrap();
    let chat = json!({"model": "gemini-3.5-flash", "stream": true, "messages": [{"role": "user", "content": "Hello"}]});
    let mut answer = client
        .post(format!("{}/v1/chat/completions", server.url))
        .bearer_auth(created.client_key.expose())
        .body(chat.to_string())
        .send()
        .await
        .unwrap();
    let mut text = String::from_utf8(answer.chunk().await.unwrap().unwrap().to_vec()).unwrap();
    assert!(!text.contains("[DONE]"), "the stop must come in the middle");
    let stopping = tokio::task::spawn_blocking(move || server.interrupt());
    while let Some(chunk) = answer.chunk().await.unwrap() {
        text.push_str(std::str::from_utf8(&chunk).unwrap());
    }
    assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
    drop((answer, client));
    assert!(stopping.await.unwrap().0.success());
}
