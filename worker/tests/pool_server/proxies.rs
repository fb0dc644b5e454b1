//! Tests of outbound proxies, certificate authorities and trusted inbound proxies.

use std::net::TcpListener;

use pool_fake_gemini::{Behaviour, FakeGemini, KeySpec, Scenario, TlsFront};
use pool_shared::{GeminiRoute, Health};
use reqwest::{Client, StatusCode};

use crate::program::{Program, command, output_of};
use crate::{DEADLINE, KEY, chat, http_client, login, new_pool};

/// Returns the network path to Gemini as the server reports it.
async fn gemini_route(url: &str) -> GeminiRoute {
    let client = http_client();
    let token = login(&client, url, "a password for the test").await.unwrap().token;
    let health = client.get(format!("{url}/admin/v1/health")).bearer_auth(token.expose());
    health.send().await.unwrap().json::<Health>().await.unwrap().gemini.unwrap()
}

/// All environment variables that set a proxy.
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
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock, "the proxy was used");
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
        let stream = tokio::time::timeout(DEADLINE, asked).await.expect("the proxy is used");
        // A SOCKS client starts with its authentication methods.
        assert!(if scheme == "http" { first == *b"CON" } else { first[0] == 5 }, "{first:?}");
        drop((stream, proxy));
        let route = gemini_route(&server.url).await;
        assert_eq!((route.proxy.as_deref(), route.ignored_proxy), (Some(address.as_str()), None));
        assert!(chatting.await.unwrap().is_server_error());
        let (_, printed) = server.interrupt();
        assert!(printed.contains(&format!("Gemini is called through the proxy {address}")), "{printed}");
    }
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
