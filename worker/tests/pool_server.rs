//! End-to-end tests of the program `pool-server`: output, stored files, signals, proxies, certificates.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "clippy.toml allows it in tests, but not in their helper functions"
)]

#[path = "support/program.rs"]
mod program;
mod support;

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::Duration;

use pool_fake_gemini::{Answer, Behaviour, FakeGemini, KeySpec, Scenario, TlsFront};
use pool_shared::{GeminiRoute, Health, LoginResponse, PoolCreated};
use reqwest::{Client, StatusCode};
use serde_json::json;

use program::{Program, command, first_line, output_of};

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

/// Whether a message has a part twice, as where an error repeats its cause.
fn repeats_a_part(message: &str) -> bool {
    let mut parts: Vec<_> = message.split([':', '\n']).map(str::trim).filter(|part| part.len() > 3).collect();
    let count = parts.len();
    parts.sort_unstable();
    parts.dedup();
    parts.len() < count
}

#[test]
fn an_invalid_setting_is_rejected_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "no folder").unwrap();
    for (name, value, expected) in [
        ("DATA_DIR", file.to_str().unwrap(), "os error"),
        ("GEMINI_BASE_URL", "ftp://example.com", "GEMINI_BASE_URL"),
        ("GEMINI_BASE_URL", "https://example.com/?key=x", "GEMINI_BASE_URL"),
        ("GEMINI_BASE_URL", "https://example.com", "GEMINI_ALLOWED_HOSTS"),
        ("LOG_LEVEL", "loud", "LOG_LEVEL"),
        ("ADMIN_PASSWORD", "short", "ADMIN_PASSWORD"),
        ("MASTER_KEY", "c2hvcnQ=", "MASTER_KEY"),
        ("HOST", "203.0.113.1", "cannot listen on 203.0.113.1"),
        ("ADMIN_PASSWORD", "aaaaaaaaaaaaaaaaaaaa", "repeated"),
    ] {
        let output = output_of(&mut command(folder.path(), &[(name, value)]));
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{name}={value}");
        assert!(error.starts_with("error: ") && error.contains(expected), "{error}");
        assert!(!repeats_a_part(&error), "{error}");
    }
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

/// It takes the 30 s that responses have to end when the program is stopped.
#[tokio::test]
async fn shutdown_ends_an_endless_stream_with_an_error_event() {
    let folder = tempfile::tempdir().unwrap();
    // More than anybody here waits for.
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

/// A pool of one key on a server, and its client key.
async fn new_pool(url: &str, password: &str) -> String {
    let client = http_client();
    let token = login(&client, url, password).await.unwrap().token;
    let create = json!({"name": "prod", "import": {"keys": [{"key": KEY}]}}).to_string();
    let pools = format!("{url}/admin/v1/pools");
    let created = client.post(pools).bearer_auth(token.expose()).body(create).send().await.unwrap();
    created.json::<PoolCreated>().await.unwrap().client_key.expose().to_owned()
}

/// How a server says that it calls Gemini.
async fn gemini_route(url: &str) -> GeminiRoute {
    let client = http_client();
    let token = login(&client, url, "a password for the test").await.unwrap().token;
    let health = client.get(format!("{url}/admin/v1/health")).bearer_auth(token.expose());
    health.send().await.unwrap().json::<Health>().await.unwrap().gemini.unwrap()
}

async fn chat(url: &str, client_key: &str) -> StatusCode {
    let client = http_client();
    let chat = json!({"model": "gemini-3.8-flash", "messages": [{"role": "user", "content": "Hello"}]});
    let chat =
        client.post(format!("{url}/v1/chat/completions")).bearer_auth(client_key).body(chat.to_string());
    chat.send().await.unwrap().status()
}

/// Every variable that names a proxy.
const PROXIES: [&str; 6] =
    ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];

#[tokio::test]
async fn a_loopback_gemini_is_never_called_through_a_proxy() {
    let gemini = FakeGemini::start(Scenario::default().key(KeySpec::new(KEY, Behaviour::Ok))).await.unwrap();
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    proxy.set_nonblocking(true).unwrap();
    let address = format!("http://user:hush@{}", proxy.local_addr().unwrap());
    let by_name = gemini.url().replace("127.0.0.1", "localhost");
    for (base, no_proxy) in [(gemini.url(), ""), (&*by_name, "example.com")] {
        let folder = tempfile::tempdir().unwrap();
        let mut environment = vec![
            ("GEMINI_BASE_URL", base),
            ("ADMIN_PASSWORD", "a password for the test"),
            ("NO_PROXY", no_proxy),
        ];
        environment.extend(PROXIES.map(|name| (name, &*address)));
        let server = Program::start(folder.path(), &environment);
        let client_key = new_pool(&server.url, "a password for the test").await;
        assert_eq!(chat(&server.url, &client_key).await, StatusCode::OK, "{base}");
        let route = gemini_route(&server.url).await;
        let ignored = address.replace("user:hush@", "");
        assert_eq!((route.proxy, route.ignored_proxy), (None, Some(ignored)));
        assert_eq!(route.url, base);
        assert!(!server.interrupt().1.contains("proxy"));
    }
    let error = proxy.accept().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock, "the proxy was asked");
}

#[tokio::test]
async fn any_other_gemini_is_called_through_the_proxy_named_at_startup() {
    for scheme in ["http", "socks5h"] {
        let proxy = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("{scheme}://{}", proxy.local_addr().unwrap());
        let with_credentials = address.replace("://", "://user:hush@");
        let folder = tempfile::tempdir().unwrap();
        let environment = [
            ("GEMINI_BASE_URL", "https://gemini.invalid"),
            ("GEMINI_ALLOWED_HOSTS", "gemini.invalid"),
            ("ADMIN_PASSWORD", "a password for the test"),
            ("ALL_PROXY", &with_credentials),
        ];
        let server = Program::start(folder.path(), &environment);
        let client_key = new_pool(&server.url, "a password for the test").await;
        let url = server.url.clone();
        let chatting = tokio::spawn(async move { chat(&url, &client_key).await });
        let mut first = [0; 3];
        let asked = async {
            let mut stream = proxy.accept().await.unwrap().0;
            tokio::io::AsyncReadExt::read_exact(&mut stream, &mut first).await.unwrap();
            stream
        };
        let stream = tokio::time::timeout(DEADLINE, asked).await.expect("the proxy is asked");
        // A SOCKS client offers its ways to log in.
        assert!(if scheme == "http" { first == *b"CON" } else { first[0] == 5 }, "{first:?}");
        drop((stream, proxy));
        let route = gemini_route(&server.url).await;
        assert_eq!((route.proxy.as_deref(), route.ignored_proxy), (Some(address.as_str()), None));
        assert!(chatting.await.unwrap().is_server_error());
        let (_, printed) = server.interrupt();
        assert!(printed.contains(&format!("Gemini is called through the proxy {address}")), "{printed}");
    }
}

#[test]
fn a_startup_error_is_printed_once_with_a_hint() {
    let folder = tempfile::tempdir().unwrap();
    let first = Program::start(&folder.path().join("first"), &[]);
    let port = first.url.rsplit(':').next().unwrap().to_owned();
    let refused = |data: &str, environment: &[(&str, &str)]| {
        let output = output_of(&mut command(&folder.path().join(data), environment));
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    let error = refused("second", &[("PORT", &port)]);
    assert_eq!(error.matches("os error").count(), 1, "{error}");
    assert!(error.contains("\nhint: ") && error.contains("PORT"), "{error}");

    let error = refused("first", &[]);
    assert!(error.contains(&format!("process {}", first.id())) && error.contains("DATA_DIR"), "{error}");
    assert!(first.interrupt().0.success());

    let data = folder.path().join("first");
    let database = rusqlite::Connection::open(data.join("pool.db")).unwrap();
    let newer = "CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL);
        DELETE FROM schema_version; INSERT INTO schema_version VALUES (999);";
    database.execute_batch(newer).unwrap();
    drop(database);
    let error = refused("first", &[]);
    assert!(error.contains("version 999") && error.contains("pool.db"), "{error}");
    assert!(error.contains("this program knows version"), "{error}");
}

#[test]
fn a_different_master_key_is_rejected_at_startup() {
    let folder = tempfile::tempdir().unwrap();
    let keys = ["A", "B"].map(|letter| letter.repeat(43) + "=");
    let [own, other] = keys.each_ref().map(|key| key.replace("B=", "A="));
    let environment = |key| [("ADMIN_PASSWORD", "a password for the test"), ("MASTER_KEY", key)];
    assert!(Program::start(folder.path(), &environment(&own)).interrupt().0.success());
    let output = output_of(&mut command(folder.path(), &environment(&other)));
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("MASTER_KEY is not the key that this store was encrypted with"), "{error}");
    // Neither as the previous one of a third.
    let third = "C".repeat(42) + "A=";
    let both = [("MASTER_KEY", &*third), ("MASTER_KEY_PREV", &*other)];
    assert_eq!(output_of(&mut command(folder.path(), &both)).status.code(), Some(1));
    assert!(Program::start(folder.path(), &environment(&own)).interrupt().0.success(), "nothing is harmed");
}

#[cfg(unix)]
#[test]
fn files_are_private_and_a_world_readable_secret_is_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let set = |name: &str, mode| {
        std::fs::set_permissions(data.join(name), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let server = Program::start(&data, &[]);
    assert_eq!(mode(&data), 0o700);
    let names: Vec<_> = std::fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(names.len() >= 7, "{names:?}");
    for path in names {
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
    assert!(server.interrupt().0.success());

    set("pool.db", 0o644);
    set("ADMIN_PASSWORD", 0o640);
    let mut program = command(&data, &[]);
    let mut child = program.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let line = first_line(child.stderr.take().unwrap());
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(line.starts_with("warning: ") && line.contains("ADMIN_PASSWORD"), "{line}");
    assert_eq!(mode(&data.join("pool.db")), 0o600);

    set("MASTER_KEY", 0o644);
    let output = output_of(&mut command(&data, &[]));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("MASTER_KEY can be read by every user"), "{error}");
}

#[test]
fn an_interrupted_first_start_is_resumed() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["MASTER_KEY", "ADMIN_PASSWORD", "pool.db"] {
        std::fs::write(folder.path().join(name), "").unwrap();
    }
    let server = Program::start(folder.path(), &[]);
    let (status, printed) = server.interrupt();
    assert!(status.success());
    for name in ["MASTER_KEY", "ADMIN_PASSWORD"] {
        let path = folder.path().join(name);
        assert!(printed.contains(&path.display().to_string()), "{printed}");
        assert!(std::fs::metadata(path).unwrap().len() > 0);
    }
    // What is of no use in place of the folder's other files is told by its name.
    for name in ["unreported", "pool.db", "pool-server.lock", "MASTER_KEY"] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(name)).unwrap();
        let output = output_of(&mut command(folder.path(), &[("MASTER_KEY_PREV", " ")]));
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains(&folder.path().join(name).display().to_string()), "{name}: {error}");
    }
    let half = folder.path().join("MASTER_KEY");
    std::fs::write(&half, "c2hvcnQ=").unwrap();
    let output = output_of(&mut command(folder.path(), &[]));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains(&half.display().to_string()), "{error}");
}

#[tokio::test]
async fn empty_variables_count_as_unset_and_an_address_may_have_brackets() {
    let folder = tempfile::tempdir().unwrap();
    let names = ["GEMINI_BASE_URL", "HOST", "GEMINI_ALLOWED_HOSTS", "TRUSTED_PROXIES", "LOG_LEVEL"];
    let server = Program::start(folder.path(), &names.map(|name| (name, "")));
    assert!(server.url.starts_with("http://127.0.0.1:"), "{}", server.url);
    assert!(server.interrupt().0.success());
    // The usual port may be taken, which is told then; the usual folder is where the program is started.
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

#[tokio::test]
async fn a_private_certificate_authority_is_trusted_by_its_file() {
    let gemini = FakeGemini::start(Scenario::default().key(KeySpec::new(KEY, Behaviour::Ok))).await.unwrap();
    let tls = TlsFront::before(gemini.url().strip_prefix("http://").unwrap()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, tls.authority()).unwrap();
    let file = file.to_str().unwrap();
    for (variable, expected) in
        [(file, StatusCode::OK), ("", StatusCode::BAD_GATEWAY), (file, StatusCode::OK)]
    {
        let environment = [
            ("GEMINI_BASE_URL", tls.url()),
            ("ADMIN_PASSWORD", "a password for the test"),
            ("SSL_CERT_FILE", variable),
        ];
        let data = tempfile::tempdir().unwrap();
        let server = Program::start(data.path(), &environment);
        let client_key = new_pool(&server.url, "a password for the test").await;
        assert_eq!(chat(&server.url, &client_key).await, expected, "SSL_CERT_FILE={variable}");
        assert!(server.interrupt().0.success());
    }
    std::fs::write(folder.path().join("none.pem"), "no certificate").unwrap();
    for name in ["none.pem", "missing.pem"] {
        let path = folder.path().join(name);
        let environment = [("SSL_CERT_FILE", path.to_str().unwrap())];
        let output = output_of(&mut command(&folder.path().join("data"), &environment));
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.contains("SSL_CERT_FILE: ") && error.contains(name), "{error}");
        assert_eq!(error.matches("SSL_CERT_FILE").count(), 1, "{error}");
    }
}

#[tokio::test]
async fn an_untrusted_proxy_is_logged_once() {
    let folder = tempfile::tempdir().unwrap();
    let password = "an admin password";
    let log = folder.path().join("log");
    let mut command = command(&folder.path().join("data"), &[("ADMIN_PASSWORD", password)]);
    let server = Program::run(command.stderr(std::fs::File::create(&log).unwrap()));
    let client = Client::new();
    let token = login(&client, &server.url, password).await.unwrap().token;
    let proxy = async || {
        let request = client.get(format!("{}/admin/v1/health", server.url)).bearer_auth(token.expose());
        let health: pool_shared::Health = request.send().await.unwrap().json().await.unwrap();
        health.untrusted_proxy.map(|address| address.to_string())
    };
    assert_eq!(proxy().await, None);
    for header in ["x-forwarded-for", "forwarded", "x-forwarded-for"] {
        let request = client.get(format!("{}/v1/models", server.url)).header(header, "192.0.2.7");
        assert_eq!(request.send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    }
    assert_eq!(proxy().await.as_deref(), Some("127.0.0.1"));
    server.interrupt();
    let written = std::fs::read_to_string(log).unwrap();
    assert_eq!(written.matches("TRUSTED_PROXIES").count(), 1, "{written}");
}
