//! Fuzz test of the native server over real sockets: 100,000 malformed requests.
//!
//! The server must answer each request with a status below 500 or close the connection. It must
//! stay within its own limits of connections and buffered body bytes, and log nothing of what was
//! sent. Memory growth is printed only, because it also depends on the allocator.
//!
//! The requests come from a fixed seed. Most are well framed and invalid in another way; they are
//! pipelined on keep-alive connections. The others are not HTTP, or have no end, and use one
//! connection each. Slow and silent clients are in [`slow`], unusual but valid requests in [`odd`].

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "clippy.toml allows them in tests, but not in a test's own helper functions"
)]

#[path = "malformed_input/client.rs"]
mod client;
#[path = "support/native.rs"]
mod host;
#[path = "malformed_input/odd.rs"]
mod odd;
#[path = "support/program.rs"]
mod program;
#[path = "malformed_input/requests.rs"]
mod requests;
#[path = "malformed_input/slow.rs"]
mod slow;
mod support;

use std::fs::{self, File};
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use fastrand::Rng;
use pool_fake_gemini::{FakeGemini, Scenario};
use pool_shared::{LoginResponse, PoolCreated};
use pool_worker::host::native::NativeHost;
use pool_worker::platform::Platform as _;
use program::{Program, command};
use reqwest::{Client, StatusCode};
use serde_json::json;

use client::Connection;
use requests::{CANARY, Credentials, Maker};

const REQUESTS: u64 = 100_000;
/// Concurrent connections.
const CONCURRENCY: u64 = 8;
/// Maximum number of requests that are sent before the first response is read.
const MAX_BATCH: u64 = 16;
/// One request in this many is badly framed.
const BADLY_FRAMED: u64 = 10;
/// Deadline of every wait in this file.
const DEADLINE: Duration = Duration::from_mins(1);
const GEMINI_KEY: &str = "AIzaSyHostile-0123456789-0123456789";

fn http_client() -> Client {
    Client::builder().timeout(DEADLINE).build().unwrap()
}

/// Parses the line printed at shutdown: peak connections, their limit, peak bytes of bodies.
fn said_load(printed: &str) -> (usize, usize, usize) {
    let line = printed.lines().find(|line| line.contains("connections were open")).unwrap();
    let numbers: Vec<usize> = line.split(' ').filter_map(|word| word.parse().ok()).collect();
    let [most, allowed, bytes] = numbers.try_into().unwrap();
    (most, allowed, bytes)
}

async fn set_up(url: &str) -> Credentials {
    let client = http_client();
    let login = client.post(format!("{url}/admin/v1/login"));
    let login = login.header("content-type", "application/json");
    let login = login.body(json!({"password": support::ADMIN_PASSWORD}).to_string()).send().await.unwrap();
    let admin = login.json::<LoginResponse>().await.unwrap().token.expose().to_owned();
    let create = json!({"name": "prod", "import": {"keys": [{"key": GEMINI_KEY}]}}).to_string();
    let created =
        client.post(format!("{url}/admin/v1/pools")).bearer_auth(&admin).body(create).send().await.unwrap();
    let created: PoolCreated = created.json().await.unwrap();
    Credentials { admin, client_key: created.client_key.expose().to_owned() }
}

/// Sends half of the requests.
fn send_half(half: u64, address: &str, credentials: &Credentials) {
    thread::scope(|scope| {
        for connection in 0..CONCURRENCY {
            scope.spawn(move || {
                let mut rng = Rng::with_seed(half * CONCURRENCY + connection);
                send(REQUESTS / 2 / CONCURRENCY, address, &Maker { credentials }, &mut rng);
            });
        }
    });
}

fn send(count: u64, address: &str, maker: &Maker<'_>, rng: &mut Rng) {
    let mut connection: Option<Connection> = None;
    let mut left = count;
    while left > 0 {
        if rng.u64(..BADLY_FRAMED) == 0 {
            left -= 1;
            let bytes = maker.badly_framed(rng);
            let statuses = Connection::open(address).send_to_the_end(&bytes);
            judge(&bytes, statuses.into_iter());
            continue;
        }
        let batch: Vec<_> = (0..rng.u64(1..=MAX_BATCH.min(left))).map(|_| maker.well_framed(rng)).collect();
        left -= batch.len() as u64;
        let mut open = connection.take().unwrap_or_else(|| Connection::open(address));
        for request in &batch {
            open.write(&request.bytes);
        }
        for request in &batch {
            let Some(status) = open.read_answer(request.is_head) else { break };
            judge(&request.bytes, std::iter::once(status));
        }
        connection = (!open.is_over()).then_some(open);
    }
}

fn judge(request: &[u8], mut statuses: impl Iterator<Item = u16>) {
    if let Some(status) = statuses.find(|status| *status >= 500) {
        panic!("{status} for {}", String::from_utf8_lossy(request));
    }
}

/// Returns the resident memory of a process, on systems with `/proc`.
fn resident(id: u32) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    Some(status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.trim().to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn malformed_requests_affect_no_other_request() {
    let gemini = FakeGemini::start(Scenario::with_keys([GEMINI_KEY])).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let environment = [
        ("GEMINI_BASE_URL", gemini.url()),
        ("MASTER_KEY", support::MASTER_KEY),
        ("ADMIN_PASSWORD", support::ADMIN_PASSWORD),
        ("LOG_LEVEL", "debug"),
    ];
    let mut command = command(&folder.path().join("data"), &environment);
    let server = Program::run(command.stderr(Stdio::from(File::create(&log).unwrap())));
    let credentials = set_up(&server.url).await;
    let address = server.url.strip_prefix("http://").unwrap().to_owned();
    let halves = {
        let (credentials, id) = (credentials.clone(), server.id());
        let both = move || {
            [0, 1].map(|half| {
                send_half(half, &address, &credentials);
                resident(id)
            })
        };
        tokio::task::spawn_blocking(both).await.unwrap()
    };
    eprintln!("memory after each half: {halves:?}");

    // No state was damaged, and valid requests still succeed.
    let client = http_client();
    let chat = json!({"model": "gemini-3.8-flash", "messages": [{"role": "user", "content": "hello"}]});
    let chat = client.post(format!("{}/v1/chat/completions", server.url)).body(chat.to_string());
    assert_eq!(chat.bearer_auth(&credentials.client_key).send().await.unwrap().status(), StatusCode::OK);
    let pools = client.get(format!("{}/admin/v1/pools", server.url)).bearer_auth(&credentials.admin);
    let pools = pools.send().await.unwrap().text().await.unwrap();
    assert_eq!(pools.matches("\"id\":").count(), 1, "{pools}");
    let (ended, printed) = server.interrupt();
    assert!(ended.success());
    let (connections, allowed, body_bytes) = said_load(&printed);
    assert!(connections <= allowed, "{printed}");
    assert!(body_bytes <= NativeHost::BODIES_AT_ONCE + NativeHost::BODIES_AT_ONCE / 4, "{printed}");

    let log = fs::read_to_string(log).unwrap();
    assert!(log.lines().count() as u64 > REQUESTS / 2, "the log is not the one of the requests");
    let secrets = [CANARY, GEMINI_KEY, &credentials.admin, &credentials.client_key];
    for line in log.lines() {
        assert!(!secrets.iter().any(|secret| line.contains(secret)), "{line}");
    }
}
