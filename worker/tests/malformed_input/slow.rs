//! Slow clients: connections without a request, and bodies that never end.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use pool_fake_gemini::{FakeGemini, Scenario};
use pool_worker::host::native::{Load, NativeHost};
use pool_worker::platform::Platform as _;
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::client::Connection;
use super::host::Host;
use super::program::{Program, command};
use super::{DEADLINE, GEMINI_KEY, http_client, said_load, set_up, support};

const FILES: u32 = 64;
const CONNECTIONS: usize = 400;
/// Connections that the server accepts with [`FILES`] descriptors.
const ALLOWED: usize = 22;
const UNFINISHED: usize = 60;
const MIB: usize = 1024 * 1024;

/// Returns the command with other file descriptor limits.
fn with_files(limit: &str, command: &Command) -> Command {
    let mut limited = Command::new("sh");
    limited.args(["-c", &format!("ulimit {limit} && exec \"$0\"")]).arg(command.get_program());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => limited.env(name, value),
            None => limited.env_remove(name),
        };
    }
    limited
}

fn hello() -> String {
    json!({"model": "gemini-3.8-flash", "messages": [{"role": "user", "content": "hello"}]}).to_string()
}

async fn chat(url: &str, client_key: &str) -> StatusCode {
    // Each on its own connection.
    let chat = http_client().post(format!("{url}/v1/chat/completions")).body(hello()).bearer_auth(client_key);
    chat.send().await.unwrap().status()
}

/// Returns `true` if the server has closed the connection.
fn is_closed(stream: &mut TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    match stream.read(&mut [0; 1_024]) {
        Ok(length) => length == 0,
        Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn slow_and_silent_connections_block_no_other_client() {
    let gemini = FakeGemini::start(Scenario::with_keys([GEMINI_KEY])).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let environment = [
        ("GEMINI_BASE_URL", gemini.url()),
        ("MASTER_KEY", support::MASTER_KEY),
        ("ADMIN_PASSWORD", support::ADMIN_PASSWORD),
        ("LOG_LEVEL", "off"),
    ];
    let server = Program::run(&mut with_files(&format!("-n {FILES}"), &command(folder.path(), &environment)));
    let credentials = set_up(&server.url).await;
    let address = server.url.strip_prefix("http://").unwrap().to_owned();
    let mut slow: Vec<TcpStream> = Vec::new();
    for number in 0..CONNECTIONS {
        let mut stream = TcpStream::connect(&address).unwrap();
        match number % 3 {
            0 => {}
            1 => stream.write_all(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-slow: ").unwrap(),
            _ => stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap(),
        }
        slow.push(stream);
    }
    // These use the whole budget, and may stay open longer than any chat here waits.
    let busy = address.clone();
    let idle = tokio::task::spawn_blocking(move || {
        let used = |_| {
            let mut connection = Connection::open_for(&busy, DEADLINE);
            connection.write(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n");
            assert_eq!(connection.read_answer(false), Some(200));
            connection
        };
        (0..2 * ALLOWED).map(used).collect::<Vec<_>>()
    });
    let idle = idle.await.unwrap();
    for _ in 0..3 {
        assert_eq!(chat(&server.url, &credentials.client_key).await, StatusCode::OK);
    }
    // The last one would fit; its timeout ends it.
    slow.extend((0..3).map(|_| TcpStream::connect(&address).unwrap()));
    let began = Instant::now();
    while !slow.is_empty() {
        assert!(began.elapsed() < DEADLINE, "{} connections are still open", slow.len());
        slow.retain_mut(|stream| !is_closed(stream));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    drop(idle);
    assert_eq!(chat(&server.url, &credentials.client_key).await, StatusCode::OK);
    let (ended, printed) = server.interrupt();
    assert!(ended.success());
    let (most, allowed, _) = said_load(&printed);
    assert_eq!((most, allowed), (ALLOWED, ALLOWED), "{printed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_open_file_limit_is_raised_at_startup() {
    let folder = tempfile::tempdir().unwrap();
    let environment = [("ADMIN_PASSWORD", support::ADMIN_PASSWORD), ("LOG_LEVEL", "off")];
    let soft = &format!("-S -n {FILES}");
    let server = Program::run(&mut with_files(soft, &command(folder.path(), &environment)));
    let (_, allowed, _) = said_load(&server.interrupt().1);
    assert!(allowed > ALLOWED, "{allowed}");
}

/// Returns the first frame of an HTTP/2 connection (RFC 9113, section 6.5).
fn settings_of_http2(address: &str) -> Vec<(u16, u32)> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").unwrap();
    let mut head = [0; 9];
    stream.read_exact(&mut head).unwrap();
    assert_eq!(head[3], 4, "SETTINGS: {head:?}");
    let mut settings = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
    stream.read_exact(&mut settings).unwrap();
    let setting = |entry: &[u8]| {
        let value = u32::from_be_bytes(entry[2..].try_into().unwrap());
        (u16::from_be_bytes([entry[0], entry[1]]), value)
    };
    settings.chunks_exact(6).map(setting).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_http2_connection_has_at_most_100_concurrent_requests() {
    let gemini = FakeGemini::start(Scenario::with_keys([GEMINI_KEY])).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let server = Host::start(gemini.url(), folder.path()).await;
    let address = server.url().strip_prefix("http://").unwrap().to_owned();
    let settings = tokio::task::spawn_blocking(move || settings_of_http2(&address)).await.unwrap();
    assert!(settings.contains(&(3, 100)), "SETTINGS_MAX_CONCURRENT_STREAMS: {settings:?}");
    server.stop().await;
}

async fn until(server: &Host, what: &str, holds: impl Fn(&Load) -> bool) {
    let began = Instant::now();
    while !holds(&server.load()) {
        assert!(began.elapsed() < DEADLINE, "{what}: {:?}", server.load());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Returns the head of a chat request with a chunked body.
fn chunked_head(client_key: &str) -> String {
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {client_key}\r\n\
         transfer-encoding: chunked\r\n\r\n"
    )
}

/// Sends a body without its end. Returns the connection.
fn begin_body(address: &str, client_key: &str, length: usize) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_write_timeout(Some(DEADLINE)).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.write_all(chunked_head(client_key).as_bytes()).unwrap();
    let chunk = [format!("{MIB:x}\r\n").as_bytes(), &vec![b' '; MIB], b"\r\n"].concat();
    for _ in 0..length / MIB {
        // A server that has rejected it may have closed the connection.
        if stream.write_all(&chunk).is_err() {
            break;
        }
    }
    stream
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unfinished_bodies_stay_within_their_memory_budget() {
    const LENGTH: usize = 12 * MIB;
    let gemini = FakeGemini::start(Scenario::with_keys([GEMINI_KEY])).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let server = Host::start(gemini.url(), folder.path()).await;
    let credentials = set_up(&server.url()).await;
    let address = server.url().strip_prefix("http://").unwrap().to_owned();
    let begin = |_| {
        let (address, client_key) = (address.clone(), credentials.client_key.clone());
        tokio::task::spawn_blocking(move || begin_body(&address, &client_key, LENGTH))
    };
    let unfinished: Vec<_> = (0..UNFINISHED).map(begin).collect();
    let mut open = Vec::new();
    for body in unfinished {
        open.push(body.await.unwrap());
    }
    let (large, reserve) = (NativeHost::BODIES_AT_ONCE, NativeHost::BODIES_AT_ONCE / 4);
    let fit = large / LENGTH;
    until(&server, "what fits is held", |load| load.body_bytes >= fit * LENGTH).await;
    assert!(server.load().most_body_bytes <= large + reserve, "{:?}", server.load());
    // Small requests have a reserved budget.
    assert_eq!(chat(&server.url(), &credentials.client_key).await, StatusCode::OK);
    // A body over the budget is rejected when it ends.
    let refused = open.iter_mut().filter_map(|stream| {
        stream.write_all(b"0\r\n\r\n").ok()?;
        let mut line = [0; 12];
        stream.read_exact(&mut line).ok()?;
        (&line == b"HTTP/1.1 503").then_some(())
    });
    assert!(refused.count() >= UNFINISHED - fit - 1, "{:?}", server.load());
    drop(open);
    until(&server, "nothing is held when all have left", |load| load.body_bytes == 0).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stalled_body_times_out_and_releases_its_memory() {
    let gemini = FakeGemini::start(Scenario::with_keys([GEMINI_KEY])).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let server = Host::start(gemini.url(), folder.path()).await;
    let credentials = set_up(&server.url()).await;
    let address = server.url().strip_prefix("http://").unwrap().to_owned();
    let head = chunked_head(&credentials.client_key);
    let chunked = format!("{head}5\r\n{{\"mod");
    let announced = head.replace("transfer-encoding: chunked", "content-length: 1000000") + "{\"model\":";
    let answers = [chunked, announced].map(|request| {
        let address = address.clone();
        tokio::task::spawn_blocking(move || {
            let mut connection = Connection::open_for(&address, DEADLINE);
            connection.write(request.as_bytes());
            let status = connection.read_answer(false);
            (status, connection.is_over())
        })
    });
    until(&server, "the announced body has its share", |load| load.body_bytes >= 1_000_000).await;
    for answer in answers {
        assert_eq!(answer.await.unwrap(), (Some(408), true));
    }
    until(&server, "nothing is held", |load| load.body_bytes == 0).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_of_too_many_items_are_rejected_before_parsing() {
    let gemini = FakeGemini::start(Scenario::with_keys([GEMINI_KEY])).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let server = Host::start(gemini.url(), folder.path()).await;
    let credentials = set_up(&server.url()).await;
    let client = http_client();
    let parts = vec![r#"{"type":"text","text":""}"#; 1_200_000].join(",");
    let names = vec![r#""a""#; 3_000_000].join(",");
    let members: Vec<String> = (0..1_000_000).map(|number| format!("\"{number}\":0")).collect();
    let members = members.join(",");
    let body = |content: &str, more: &str| {
        format!(r#"{{"model":"gemini-3.8-flash","messages":[{{"role":"user","content":{content}}}]{more}}}"#)
    };
    let tool = |schema: &str| {
        let tool = format!(r#"{{"type":"function","function":{{"name":"f","parameters":{schema}}}}}"#);
        body("\"x\"", &format!(r#","tools":[{tool}]"#))
    };
    for body in [
        body(&format!("[{parts}]"), ""),
        body("\"x\"", &format!(r#","tools":[{parts}]"#)),
        body("\"x\"", &format!(",{members}")),
        tool(&format!(r#"{{"type":"object","required":[{names}]}}"#)),
        tool(&format!(r#"{{"type":"object","enum":[{names}]}}"#)),
        tool(&format!(r#"{{"type":"object","properties":{{{members}}}}}"#)),
    ] {
        let chat = client.post(format!("{}/v1/chat/completions", server.url())).body(body);
        let answer = chat.bearer_auth(&credentials.client_key).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
        let error: Value = answer.json().await.unwrap();
        assert_eq!(error.pointer("/error/code"), Some(&json!("request_too_large")), "{error}");
    }
    assert_eq!(gemini.requests().len(), 0);
    server.stop().await;
}
