//! Proxies of the environment: never for this machine, and shown where one is used.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking; the lints' own exception stops at the #[test] functions"
)]

mod common;

use std::{io::Read, net::TcpListener};

use common::{Poolctl, service::Service};

/// Every variable that names a proxy.
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
    let asked = std::thread::spawn(move || {
        let mut stream = proxy.accept().unwrap().0;
        let mut request = [0; 24];
        stream.read_exact(&mut request).unwrap();
        String::from_utf8(request.to_vec()).unwrap()
    });
    let run = poolctl.run(&["whoami", "--timeout", "5"]);
    assert_ne!(run.code, 0, "{run}");
    assert_eq!(asked.join().unwrap(), "CONNECT pool.invalid:443");
}
