//! Harness: a scripted HTTP server, and `poolctl` with its own config folder.

#![allow(dead_code, reason = "every test file uses its own part")]

#[cfg(unix)]
pub mod pty;
pub mod service;

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Output, Stdio},
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use pool_shared::TokenKind;
use serde_json::{Value, json};
use tempfile::TempDir;

/// How long a test waits before it fails.
pub const DEADLINE: Duration = Duration::from_mins(1);

/// A well-formed admin token.
pub fn token() -> String {
    TokenKind::AdminToken.generate(&[7; TokenKind::RANDOM_BYTES]).expose().to_owned()
}

/// A well-formed Gemini key, different for each number.
pub fn gemini_key(number: usize) -> String {
    format!("AIzaSyA-{number:031}")
}

#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub headers: BTreeMap<String, String>,
    pub body: Value,
}

pub enum Response {
    Json(u16, Value),
    Raw(u16, &'static [(&'static str, &'static str)], String),
    /// Accept the request and never respond.
    Hang,
    /// Accept the request and close the connection.
    Drop,
}

pub fn error(status: u16, code: &str, message: &str, hint: Option<&str>) -> Response {
    let error = json!({"code": code, "message": message, "hint": hint, "request_id": "req-1"});
    Response::Json(status, json!({ "error": error }))
}

/// Responds to every request by a function, and records the requests.
pub struct Server {
    pub url: String,
    requests: Arc<Mutex<Vec<Request>>>,
    arrived: mpsc::Receiver<()>,
}

impl Server {
    pub fn start(answer: impl Fn(&Request) -> Response + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (sender, arrived) = mpsc::channel();
        let seen = Arc::clone(&requests);
        std::thread::spawn(move || {
            let mut hanging = Vec::new();
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let Some(request) = read_request(&stream) else { continue };
                seen.lock().unwrap().push(request.clone());
                let _ = sender.send(());
                match answer(&request) {
                    Response::Json(204, _) => respond(&mut stream, 204, &[], ""),
                    Response::Json(status, body) => {
                        respond(
                            &mut stream,
                            status,
                            &[("content-type", "application/json")],
                            &body.to_string(),
                        );
                    }
                    Response::Raw(status, headers, body) => respond(&mut stream, status, headers, &body),
                    Response::Hang => hanging.push(stream),
                    Response::Drop => {}
                }
            }
        });
        Self { url, requests, arrived }
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// `METHOD path` of every request so far.
    pub fn log(&self) -> Vec<String> {
        self.requests().iter().map(|request| format!("{} {}", request.method, request.path)).collect()
    }

    pub fn wait_for_a_request(&self) {
        self.arrived.recv_timeout(DEADLINE).unwrap();
    }
}

fn read_request(stream: &TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    Some(Request { method, path, headers, body })
}

fn respond(stream: &mut TcpStream, status: u16, headers: &[(&str, &str)], body: &str) {
    let headers: String =
        headers.iter().map(|(name, value)| name.to_string() + ": " + value + "\r\n").collect();
    let length = body.len();
    let text = format!(
        "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
    );
    // In some tests the client disconnects.
    let _ = stream.write_all(text.as_bytes());
}

/// Returns the words of a text that look like a token, client key or Gemini key.
pub fn secrets_in(text: &str) -> Vec<&str> {
    let lengths = [("padm_", 46), ("sk-pool-", 46), ("pses_", 46), ("AIza", 30)];
    let begin = lengths.into_iter().flat_map(|(prefix, length)| {
        text.match_indices(prefix).map(move |(at, _)| (at, at + prefix.len(), length))
    });
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let kinds = [TokenKind::AdminToken, TokenKind::ClientKey, TokenKind::Session];
    // A placeholder in an example has no valid checksum.
    let is_real =
        |secret: &&str| secret.starts_with("AIza") || kinds.iter().any(|kind| kind.verify(secret).is_ok());
    let whole = begin.filter_map(|(start, rest, length)| {
        let found = text.as_bytes()[rest..].iter().take_while(|byte| is_part(byte)).count();
        (found >= length).then(|| &text[start..rest + found])
    });
    whole.filter(is_real).collect()
}

/// The result of a run.
pub struct Run {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self}"))
    }

    pub fn error(&self) -> Value {
        serde_json::from_str::<Value>(&self.stderr).unwrap_or_else(|error| panic!("{error}: {self}"))["error"]
            .clone()
    }
}

impl std::fmt::Display for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "exit {}\n--- stdout\n{}--- stderr\n{}", self.code, self.stdout, self.stderr)
    }
}

/// `poolctl` with its own home folder and a clean environment.
pub struct Poolctl {
    pub home: TempDir,
    env: Vec<(&'static str, String)>,
}

impl Poolctl {
    pub fn new() -> Self {
        Self { home: TempDir::new().unwrap(), env: Vec::new() }
    }

    /// Creates one with a token in the environment, as in CI.
    pub fn with_token(server: &Server) -> Self {
        Self::new().env("POOLCTL_URL", &server.url).env("POOLCTL_TOKEN", &token())
    }

    pub fn env(mut self, name: &'static str, value: &str) -> Self {
        self.env.push((name, value.to_owned()));
        self
    }

    pub fn path(&self) -> &Path {
        self.home.path()
    }

    /// Writes a file to the working folder.
    pub fn file(&self, name: &str, contents: impl AsRef<[u8]>) {
        std::fs::write(self.path().join(name), contents).unwrap();
    }

    pub fn run(&self, args: &[&str]) -> Run {
        self.run_with(args, "")
    }

    pub fn run_with(&self, args: &[&str], stdin: &str) -> Run {
        let mut child = self.spawn(args);
        // A command that does not read its standard input may have exited.
        let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
        let run = self.finish(child.wait_with_output().unwrap());
        // Only commands that create or export a secret may show it. None may show the token that it
        // was called with.
        let shows = ["create", "rotate", "copy", "export", "restore", "apply"];
        let output = format!("{}{}", run.stdout, run.stderr);
        assert!(!output.contains(&token()), "the caller's token is shown: {args:?}");
        if !args.iter().any(|argument| shows.contains(argument)) {
            assert_eq!(secrets_in(&output), Vec::<&str>::new(), "{args:?}");
        }
        run
    }

    pub fn spawn(&self, args: &[&str]) -> Child {
        Command::new(env!("CARGO_BIN_EXE_poolctl"))
            .args(args)
            .env_clear()
            .env("HOME", self.path())
            .env("POOLCTL_CONFIG_DIR", self.path().join("config"))
            .env("POOLCTL_CREDENTIALS", "file")
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .current_dir(self.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Replaces paths and ports of this machine in a text.
    pub fn finish(&self, output: Output) -> Run {
        let home = self.path().display().to_string();
        let clean = |bytes: Vec<u8>| {
            let text = String::from_utf8(bytes).unwrap().replace(&home, "HOME");
            let mut parts = text.split("http://127.0.0.1:");
            let mut clean = parts.next().unwrap().to_owned();
            for part in parts {
                clean.push_str("http://SERVER");
                clean.push_str(part.trim_start_matches(|character: char| character.is_ascii_digit()));
            }
            clean
        };
        Run {
            code: output.status.code().unwrap_or(-1),
            stdout: clean(output.stdout),
            stderr: clean(output.stderr),
        }
    }
}

/// Golden run: exit code, stdout and stderr, without values that differ between runs.
#[macro_export]
macro_rules! golden {
    ($name:expr, $run:expr) => {
        insta::with_settings!({ filters => vec![
            (r#"fingerprint: "?[0-9a-f]{8}"?"#, "fingerprint: FINGERPRINT"),
            (r"req_[0-9a-f]{16}", "REQUEST"),
            (r"retry in [0-9.]+s", "retry in N s"),
            (r"expires in \d+ days?", "expires in N days"),
            // Column widths depend on the values, so runs of spaces are collapsed.
            (r"(\S) {2,}", "$1  "),
            (r"sk-pool-[0-9A-Za-z]{46}", "sk-pool-SECRET"),
            (r"padm_[0-9A-Za-z]{46}", "padm_SECRET"),
            (r"\b(pool|key|ck|tok)-[0-9a-f]{16}\b", "$1-ID"),
            (r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "TIME"),
            (r"\b[0-9a-f]{8}\b", "FINGERPRINT"),
            (r"\b\d+ ms\b", "N ms"),
            (r#""(first_byte_ms|total_ms)": \d+"#, r#""$1": N"#),
            (r"poolctl on [^)\s]+", "poolctl on HOST"),
            (r#""request_id": ?"[^"]+""#, r#""request_id": "REQUEST""#),
        ]}, { insta::assert_snapshot!($name, $run) });
    };
}

/// Returns a pool as the service does.
pub fn pool(name: &str, keys: u64) -> Value {
    json!({
        "id": "pool-00000000000000aa", "name": name, "description": "", "enabled": true, "allowed_models": [],
        "aliases": {}, "fallbacks": {}, "sticky": false,
        "translation": pool_shared::TranslationSettings::default(),
        "keys": keys, "enabled_keys": keys, "version": 1,
        "created_at": "2026-11-03T12:00:00Z", "updated_at": "2026-11-03T12:00:00Z",
    })
}

/// Returns a key as the service does.
pub fn key(number: usize, enabled: bool) -> Value {
    json!({
        "id": format!("key-{number:016x}"), "masked": format!("AIza…{number:04}"), "fingerprint": "0badcafe",
        "name": "", "tag": "project-1", "weight": 1, "enabled": enabled,
        "created_at": "2026-11-03T12:00:00Z", "updated_at": "2026-11-03T12:00:00Z",
    })
}
