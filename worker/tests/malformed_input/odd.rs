//! Single requests that HTTP forbids or that clients rarely send.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use pool_fake_gemini::{FakeGemini, Scenario};

use super::GEMINI_KEY;
use super::client::Connection;
use super::host::Host;

/// Deadline of a response.
const DEADLINE: Duration = Duration::from_secs(20);

/// Sends bytes. Returns the first line of the response.
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
        // Invalid hosts, such as several in one header.
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
async fn a_body_has_exactly_one_length() {
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

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_endless_head_is_rejected_at_the_size_limit() {
    // Slightly more than the maximum head. A reset could overtake the response if much more were
    // in flight.
    const SENT: usize = 97 * 1024;
    let gemini = FakeGemini::start(Scenario::with_keys([GEMINI_KEY])).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let server = Host::start(gemini.url(), folder.path()).await;
    let address = server.url().strip_prefix("http://").unwrap().to_owned();
    let statuses = tokio::task::spawn_blocking(move || {
        let head = format!("GET /healthz HTTP/1.1\r\nhost: x\r\nx-long: {}", "y".repeat(SENT));
        let mut connections: Vec<_> = (0..20).map(|_| Connection::open(&address)).collect();
        for connection in &mut connections {
            connection.write(head.as_bytes());
        }
        connections.iter_mut().map(|connection| connection.read_answer(false)).collect::<Vec<_>>()
    });
    assert_eq!(statuses.await.unwrap(), [Some(431); 20]);
    server.stop().await;
}
