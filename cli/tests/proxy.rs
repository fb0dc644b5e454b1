//! Proxies of the environment: not used for local addresses, and shown if used.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking; the lints' own exception stops at the #[test] functions"
)]

mod common;

use std::{io::Read, net::TcpListener};

use common::{Poolctl, service::Service};
use pool_fake_gemini::TlsFront;

/// Every variable that configures a proxy.
const NAMES: [&str; 6] = ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];

fn listen() -> (TcpListener, String) {
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://user:hush@{}", proxy.local_addr().unwrap());
    (proxy, url)
}

#[test]
fn a_service_on_this_machine_is_never_reached_through_a_proxy() {
    let service = Service::start();
    let (proxy, url) = listen();
    proxy.set_nonblocking(true).unwrap();
    for no_proxy in ["", "example.com", "*"] {
        let mut poolctl = service.poolctl().env("NO_PROXY", no_proxy);
        for name in NAMES {
            poolctl = poolctl.env(name, &url);
        }
        let run = poolctl.run(&["whoami"]);
        assert_eq!(run.code, 0, "NO_PROXY={no_proxy}: {run}");
        let config = poolctl.run(&["config"]).to_string();
        assert!(config.contains("direct"), "{config}");
        assert!(!config.contains("hush"), "{config}");
    }
    assert_eq!(
        proxy.accept().unwrap_err().kind(),
        std::io::ErrorKind::WouldBlock,
        "a connection to the proxy"
    );
}

#[test]
fn any_other_service_is_reached_through_the_proxy_and_config_says_so() {
    let (proxy, url) = listen();
    let poolctl = Poolctl::new()
        .env("ALL_PROXY", &url)
        .env("POOLCTL_URL", "https://pool.invalid")
        .env("POOLCTL_TOKEN", &common::token());
    let config = poolctl.run(&["config"]).to_string();
    assert!(config.contains("through the proxy http://SERVER"), "{config}");
    assert!(!config.contains("hush"), "{config}");
    let (sender, asked) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut stream = proxy.accept().unwrap().0;
        let mut request = [0; 24];
        stream.read_exact(&mut request).unwrap();
        sender.send(String::from_utf8(request.to_vec()).unwrap())
    });
    let run = poolctl.run(&["whoami", "--timeout", "5"]);
    assert_ne!(run.code, 0, "{run}");
    assert_eq!(asked.recv_timeout(common::DEADLINE).unwrap(), "CONNECT pool.invalid:443");
}

#[test]
fn a_service_with_a_certificate_of_a_private_authority_is_trusted_by_its_file_alone() {
    let service = Service::start();
    let address = service.server.url().strip_prefix("http://").unwrap().to_owned();
    let tls = service.runtime.block_on(TlsFront::before(&address)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, tls.authority()).unwrap();
    let none = folder.path().join("none.pem");
    std::fs::write(&none, "no certificate").unwrap();
    let run = |file: &std::path::Path| {
        let poolctl = Poolctl::new().env("SSL_CERT_FILE", file.to_str().unwrap());
        poolctl.run_with(&["login", "--url", tls.url(), "--with-password"], common::service::PASSWORD)
    };
    assert_eq!(run(&file).code, 0, "{}", run(&file));
    let untrusted = run(std::path::Path::new(""));
    assert_eq!(untrusted.code, 7, "{untrusted}");
    for missing in [none, folder.path().join("missing.pem")] {
        let run = run(&missing);
        assert_ne!(run.code, 0, "{run}");
        assert!(run.to_string().contains("SSL_CERT_FILE: "), "{run}");
    }
}

#[test]
fn health_and_doctor_say_how_gemini_is_called() {
    let service = Service::start();
    let poolctl = service.poolctl();
    for command in ["health", "doctor"] {
        let shown = poolctl.run(&[command]).to_string();
        assert!(shown.contains(", direct"), "{shown}");
    }
    let health = poolctl.run(&["health", "-o", "json"]);
    let health: pool_shared::Health = serde_json::from_str(&health.stdout).unwrap();
    let gemini = health.gemini.unwrap();
    // Runs replace addresses.
    assert_eq!((gemini.url.as_str(), gemini.proxy, gemini.ignored_proxy), ("http://SERVER", None, None));
}
