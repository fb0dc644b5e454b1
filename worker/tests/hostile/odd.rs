//! Requests that HTTP forbids, or that clients hardly ever send.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use pool_fake_gemini::{FakeGemini, Scenario};

use super::GEMINI_KEY;
use super::client::Connection;
use super::host::Host;

/// Longer than any answer here takes.
const DEADLINE: Duration = Duration::from_secs(20);

/// Sends bytes; the first line that comes back.
fn talk(address: &str, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.write_all(bytes).unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    line
}

async fn answers(requests: &[(&str, &str)]) {
    let gemini = FakeGemini::start(Scenario::with_keys([GEMINI_KEY])).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let server = Host::start(gemini.url(), folder.path()).await;
    let address = server.url().strip_prefix("http://").unwrap().to_owned();
    for (request, expected) in requests {
        let (address, bytes) = (address.clone(), request.as_bytes().to_vec());
        let answer = tokio::task::spawn_blocking(move || talk(&address, &bytes)).await.unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.{expected}")), "{request:?}: {answer}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_request_names_exactly_one_host() {
    answers(&[
        ("GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n", "1 200"),
        ("GET /healthz HTTP/1.0\r\n\r\n", "0 200"),
        ("GET /healthz HTTP/1.1\r\nhost: \r\n\r\n", "1 200"),
        ("GET /healthz HTTP/1.1\r\n\r\n", "1 400"),
        ("GET /healthz HTTP/1.1\r\nhost: x\r\nhost: x\r\n\r\n", "1 400"),
        ("GET /healthz HTTP/1.1\r\nhost: x\r\nx: y\r\nHOST: y\r\n\r\n", "1 400"),
        ("GET /healthz HTTP/1.0\r\nhost: x\r\nhost: y\r\n\r\n", "0 400"),
        ("GET http://x/healthz HTTP/1.1\r\n\r\n", "1 400"),
        ("GET http://x/healthz HTTP/1.1\r\nhost: y\r\n\r\n", "1 200"),
        ("GET /admin/ HTTP/1.1\r\n\r\n", "1 400"),
        ("POST /admin/v1/login HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}", "1 400"),
        ("POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nhost: b\r\ncontent-length: 2\r\n\r\n{}", "1 400"),
        // What is no host, such as several in one header.
        ("GET /healthz HTTP/1.1\r\nhost: x, y\r\n\r\n", "1 400"),
        ("GET /healthz HTTP/1.1\r\nhost: \u{e9}\r\n\r\n", "1 400"),
        ("GET /healthz HTTP/1.1\r\nhost: x y\r\n\r\n", "1 400"),
        ("GET /healthz HTTP/1.1\r\nhost: http://x\r\n\r\n", "1 400"),
        ("GET /healthz HTTP/1.1\r\nhost: user@x\r\n\r\n", "1 400"),
        ("GET /healthz HTTP/1.1\r\nhost: x/y\r\n\r\n", "1 400"),
        ("GET /healthz HTTP/1.1\r\nhost: [::1]:80\r\n\r\n", "1 200"),
        ("GET /healthz HTTP/1.1\r\nhost: 127.0.0.1:8787\r\n\r\n", "1 200"),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_body_ends_in_one_way() {
    let chat = |fields: &str, body: &str| {
        format!("POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n{fields}\r\n\r\n{body}")
    };
    let requests = [
        (chat("content-length: 2\r\ncontent-length: 3", "{}"), "1 400"),
        (chat("content-length: 2, 3", "{}"), "1 400"),
        (chat("content-length: +2", "{}"), "1 400"),
        (chat("content-length: 0x2", "{}"), "1 400"),
        (chat("content-length: 99999999999999999999999", "{}"), "1 400"),
        (chat("transfer-encoding: gzip", "{}"), "1 400"),
        (chat("transfer-encoding: chunked, gzip", "{}"), "1 400"),
        (chat("transfer-encoding: identity", "{}"), "1 400"),
    ];
    let requests: Vec<_> = requests.iter().map(|(request, status)| (request.as_str(), *status)).collect();
    answers(&requests).await;
}

/// How much memory this process has in use.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_head_without_an_end_takes_no_more_memory_than_the_longest_one() {
    const CONNECTIONS: usize = 200;
    const SENT: usize = 400 * 1024;
    let gemini = FakeGemini::start(Scenario::with_keys([GEMINI_KEY])).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let server = Host::start(gemini.url(), folder.path()).await;
    let address = server.url().strip_prefix("http://").unwrap().to_owned();
    let before = resident();
    let held = tokio::task::spawn_blocking(move || {
        let head = [b"GET /healthz HTTP/1.1\r\nhost: x\r\nx-long: ".as_slice(), &[b'y'; SENT]].concat();
        let open = |_| {
            let mut connection = Connection::open(&address);
            connection.write(&head);
            connection
        };
        let mut connections: Vec<_> = (0..CONNECTIONS).map(open).collect();
        let held = resident();
        // The answers say that it is too long.
        for connection in &mut connections {
            assert!(matches!(connection.read_answer(false), Some(431) | None));
        }
        held
    });
    let held = held.await.unwrap().saturating_sub(before);
    assert!(held < CONNECTIONS * 256 * 1024, "{held} bytes for {CONNECTIONS} connections");
    server.stop().await;
}
