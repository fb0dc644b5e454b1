//! Crash test of the native server: SIGKILL under load, then a restart.
//!
//! Every confirmed change must be there after the restart, and every request and attempt that was
//! not counted must be counted as lost.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "clippy.toml allows them in tests, but not in a test's own helper functions"
)]

#[path = "support/program.rs"]
mod program;
mod support;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pool_fake_gemini::{FakeGemini, Scenario};
use pool_shared::{
    ClientKeyCreated, Health, HealthStatus, KeyImportReport, LoginResponse, PoolCreated, PoolList, Stats,
};
use program::Program;
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Deadline of every wait in this file.
const DEADLINE: Duration = Duration::from_mins(2);
const GEMINI_KEY: &str = "AIzaSySudden-0123456789-0123456789";
/// Concurrent clients.
const CLIENTS: u64 = 6;
/// Minimum number of responses and of config changes before the kill.
const ANSWERS: u64 = 200;
const CHANGES: usize = 20;

/// Client of the admin API and of one pool.
#[derive(Clone)]
struct Admin {
    client: Client,
    url: String,
    token: String,
}

impl Admin {
    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}/admin/v1{path}", self.url)).bearer_auth(&self.token)
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> T {
        let answer = self.request(Method::GET, path).send().await.unwrap();
        answer.error_for_status().unwrap().json().await.unwrap()
    }

    /// Sends a change; `None` if it was not confirmed.
    async fn post<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Option<T> {
        let answer = self.request(Method::POST, path).json(body).send().await.ok()?;
        answer.error_for_status().unwrap().json().await.ok()
    }

    /// A chat request with a client key and any body.
    fn chat(&self, client_key: &str, body: &Value) -> RequestBuilder {
        self.client.post(format!("{}/v1/chat/completions", self.url)).bearer_auth(client_key).json(body)
    }
}

fn prompt(stream: bool) -> Value {
    json!({"model": "gemini-3.8-flash", "stream": stream, "messages": [{"role": "user", "content": "hello"}]})
}

/// A confirmed pool: its name, number of keys and client keys.
struct Confirmed {
    pool: String,
    keys: u64,
    client_keys: Vec<String>,
}

/// Changes the config until the server stops responding.
async fn change(admin: &Admin, task: u64, changes: &AtomicU64) -> Vec<Confirmed> {
    let mut confirmed = Vec::new();
    for number in 0_u64.. {
        let pool = format!("pool {task} {number}");
        let key =
            |which: u64| json!({"keys": [{"key": format!("AIzaSy-{task}-{number}-{which}-0123456789")}]});
        let create = json!({"name": pool, "import": key(0)});
        let Some(created) = admin.post::<PoolCreated>("/pools", &create).await else { break };
        let id = created.pool.id;
        let client_keys = vec![created.client_key.expose().to_owned()];
        confirmed.push(Confirmed { pool, keys: 1, client_keys });
        let last = confirmed.last_mut().unwrap();
        let imported = admin.post::<KeyImportReport>(&format!("/pools/{id}/keys/import"), &key(1)).await;
        let Some(imported) = imported else { break };
        last.keys += imported.added;
        let path = format!("/pools/{id}/client-keys");
        let Some(created) = admin.post::<ClientKeyCreated>(&path, &json!({})).await else { break };
        last.client_keys.push(created.secret.expose().to_owned());
        changes.fetch_add(3, Ordering::Relaxed);
    }
    confirmed
}

/// Sends chats until the server stops responding.
async fn call(admin: &Admin, client_key: &str, answers: &AtomicU64) {
    while let Ok(answer) = admin.chat(client_key, &prompt(false)).send().await {
        assert_eq!(answer.status(), StatusCode::OK);
        if answer.bytes().await.is_err() {
            return;
        }
        answers.fetch_add(1, Ordering::Relaxed);
    }
}

fn start(gemini: &FakeGemini, data: &Path) -> Program {
    let environment = [
        ("GEMINI_BASE_URL", gemini.url()),
        ("MASTER_KEY", support::MASTER_KEY),
        ("ADMIN_PASSWORD", support::ADMIN_PASSWORD),
        ("LOG_LEVEL", "off"),
    ];
    Program::start(data, &environment)
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let reached = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(DEADLINE, reached).await.unwrap_or_else(|_| panic!("never reached: {what}"));
}

#[tokio::test]
async fn a_kill_loses_no_change_and_every_lost_count_is_reported() {
    let scenario = Scenario { between_frames_ms: 200, ..Scenario::with_keys([GEMINI_KEY]) };
    let gemini = FakeGemini::start(scenario).await.unwrap();
    let data = tempfile::tempdir().unwrap();
    let server = start(&gemini, data.path());
    let client = Client::builder().timeout(DEADLINE).build().unwrap();
    let login = client.post(format!("{}/admin/v1/login", server.url));
    let login = login.header("content-type", "application/json");
    let login = login.body(json!({"password": support::ADMIN_PASSWORD}).to_string()).send().await.unwrap();
    let token = login.json::<LoginResponse>().await.unwrap().token.expose().to_owned();
    let admin = Admin { client, url: server.url.clone(), token };
    let create = json!({"name": "prod", "import": {"keys": [{"key": GEMINI_KEY}]}});
    let prod = admin.post::<PoolCreated>("/pools", &create).await.unwrap().client_key.expose().to_owned();

    let (answers, changes) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let chats: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (admin, prod, answers) = (admin.clone(), prod.clone(), Arc::clone(&answers));
            tokio::spawn(async move { call(&admin, &prod, &answers).await })
        })
        .collect();
    let tasks: Vec<_> = (0..2)
        .map(|task| {
            let (admin, changes) = (admin.clone(), Arc::clone(&changes));
            tokio::spawn(async move { change(&admin, task, &changes).await })
        })
        .collect();
    let answered = |count: u64| answers.load(Ordering::Relaxed) >= count;
    until("answers and changes", || answered(ANSWERS) && changes.load(Ordering::Relaxed) >= CHANGES as u64)
        .await;
    // Statistics include everything up to now, so only later attempts can be lost.
    let counted = admin.get::<Stats>("/stats").await.total.attempts;
    assert!(counted >= ANSWERS);
    until("more answers", || answered(ANSWERS + 20)).await;
    // One attempt that is certainly in flight when the server is killed.
    let mut stream = admin.chat(&prod, &prompt(true)).send().await.unwrap();
    assert!(stream.chunk().await.unwrap().is_some());
    server.kill();
    for chat in chats {
        chat.await.unwrap();
    }
    let mut confirmed = Vec::new();
    for task in tasks {
        confirmed.extend(task.await.unwrap());
    }
    assert!(confirmed.len() >= CHANGES / 3);

    let server = start(&gemini, data.path());
    let admin = Admin { url: server.url.clone(), ..admin };
    let pools = admin.get::<PoolList>("/pools").await.pools;
    for Confirmed { pool, keys, client_keys } in &confirmed {
        let found =
            pools.iter().find(|found| found.name == *pool).unwrap_or_else(|| panic!("{pool} is lost"));
        assert!(found.keys >= *keys, "{pool} has lost keys");
        for client_key in client_keys {
            // 401 if it were unknown.
            let answer = admin.chat(client_key, &json!({})).send().await.unwrap();
            assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "a client key of {pool} is lost");
        }
    }

    let reached_gemini = gemini.counts().key(GEMINI_KEY).requests;
    let Stats { total, lost, requests, lost_requests, .. } = admin.get("/stats").await;
    let answered = answers.load(Ordering::Relaxed);
    assert!(requests.total + lost_requests >= answered, "{requests:?}, {lost_requests} lost of {answered}");
    assert!(lost_requests >= 1, "the one whose stream was open");
    assert!((counted..=reached_gemini).contains(&total.attempts), "{counted} {total:?} {reached_gemini}");
    assert!(total.attempts + lost >= reached_gemini, "{total:?} and {lost} lost of {reached_gemini}");
    // The in-flight count on disk is at most an eighth above the real one, and never more than 64.
    let not_counted = reached_gemini + CLIENTS - counted;
    let highest = not_counted + (not_counted / 8).min(64);
    assert!((1..=highest).contains(&lost), "{lost} lost of {reached_gemini}");
    let health: Health = admin.get("/health").await;
    assert_eq!((health.lost_attempts, health.status), (lost, HealthStatus::Degraded));

    // Lost attempts are reported once: the next start reports none.
    drop((stream, admin.client.clone()));
    assert!(server.interrupt().0.success());
    let server = start(&gemini, data.path());
    let admin = Admin { url: server.url.clone(), ..admin };
    assert_eq!(admin.get::<Stats>("/stats").await.lost, lost);
    let health: Health = admin.get("/health").await;
    assert_eq!((health.lost_attempts, health.status), (0, HealthStatus::Ok));
}
