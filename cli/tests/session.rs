//! login, logout and whoami, and which token is sent to which service.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking; the lints' own exception stops at the #[test] functions"
)]

mod common;

use common::{Poolctl, Request, Response, Server, error, token};
use serde_json::json;

fn service(request: &Request) -> Response {
    let authorised = request.headers.get("authorization") == Some(&format!("Bearer {}", token()));
    match (request.method.as_str(), request.path.as_str()) {
        ("POST", "/admin/v1/login") if request.body["password"] == "correct" => Response::Json(
            200,
            json!({"token": token(), "id": "tok-1", "expires_at": "2099-12-03T12:00:00Z"}),
        ),
        ("POST", "/admin/v1/login") => error(401, "unauthorized", "wrong password", None),
        _ if !authorised => error(401, "unauthorized", "the token has expired", None),
        ("GET", "/admin/v1/whoami") => Response::Json(
            200,
            json!({"id": "tok-1", "name": "poolctl on laptop", "expires_at": "2099-12-03T12:00:00Z",
                "service_version": "0.1.0", "api_version": 1}),
        ),
        ("POST", "/admin/v1/logout") => Response::Json(204, json!(null)),
        _ => error(404, "not_found", "no such route", None),
    }
}

fn login(poolctl: &Poolctl, server: &Server) -> common::Run {
    poolctl.run_with(&["login", "--url", &server.url, "--with-password"], "correct\n")
}

#[test]
fn a_login_is_kept_and_used_and_ends() {
    let server = Server::start(service);
    let poolctl = Poolctl::new();
    insta::assert_snapshot!("login", login(&poolctl, &server));
    let sent = &server.requests()[0];
    assert_eq!(sent.headers.get("authorization"), None);
    assert!(sent.body["name"].as_str().unwrap().starts_with("poolctl on "));

    insta::assert_snapshot!("whoami", poolctl.run(&["whoami"]));
    insta::assert_snapshot!("whoami_json", poolctl.run(&["whoami", "-o", "json", "--timeout", "5"]));

    insta::assert_snapshot!("logout", poolctl.run(&["logout"]));
    assert_eq!(server.log().last().unwrap(), "POST /admin/v1/logout");
    insta::assert_snapshot!("whoami_logged_out", poolctl.run(&["whoami"]));
    assert_eq!(
        poolctl.run(&["logout", "-o", "json"]).json(),
        json!({"profile": "default", "revoked": false})
    );
}

#[cfg(unix)]
#[test]
fn the_token_s_file_is_private_and_a_looser_mode_is_pointed_out() {
    use std::{fs, os::unix::fs::PermissionsExt};
    let server = Server::start(service);
    let poolctl = Poolctl::new();
    assert_eq!(login(&poolctl, &server).code, 0);
    let credentials = poolctl.path().join("config/credentials.toml");
    let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&credentials), 0o600);
    assert_eq!(mode(&poolctl.path().join("config/config.toml")), 0o644);
    assert!(!fs::read_to_string(poolctl.path().join("config/config.toml")).unwrap().contains("padm_"));

    fs::set_permissions(&credentials, fs::Permissions::from_mode(0o640)).unwrap();
    let run = poolctl.run(&["whoami", "-q"]);
    assert_eq!(run.code, 0);
    assert_eq!(
        run.stderr,
        "warning: HOME/config/credentials.toml is readable by other users (mode 640); run chmod 600 \
         HOME/config/credentials.toml\n"
    );
}

#[test]
fn a_login_that_cannot_work_says_why() {
    let server = Server::start(service);
    let poolctl = Poolctl::new();
    insta::assert_snapshot!(
        "login_wrong_password",
        poolctl.run_with(&["login", "--url", &server.url, "--with-password"], "wrong\n")
    );
    insta::assert_snapshot!("login_without_terminal", poolctl.run(&["login", "--url", &server.url]));
    insta::assert_snapshot!("login_without_url", poolctl.run(&["login", "--with-password"]));
    let before = server.log().len();
    insta::assert_snapshot!(
        "login_plain_http",
        poolctl.run_with(&["login", "--url", "http://pool.example.com", "--with-password"], "correct\n")
    );
    assert_eq!(poolctl.run_with(&["login", "--url", &server.url, "--with-password"], "\n").code, 2);
    assert_eq!(server.log().len(), before);
    assert!(!poolctl.path().join("config").exists());
}

#[test]
fn a_stored_token_goes_to_its_own_url_only() {
    let (server, elsewhere) = (Server::start(service), Server::start(service));
    let poolctl = Poolctl::new();
    login(&poolctl, &server);
    insta::assert_snapshot!("token_withheld", poolctl.run(&["whoami", "--url", &elsewhere.url]));
    // Also if the profile's URL was edited.
    let config = poolctl.path().join("config/config.toml");
    let text = std::fs::read_to_string(&config).unwrap().replace(&server.url, &elsewhere.url);
    std::fs::write(&config, text).unwrap();
    assert_eq!(poolctl.run(&["whoami"]).code, 4);
    assert!(elsewhere.log().is_empty());
}

#[test]
fn an_expired_token_leads_to_the_login() {
    let server = Server::start(|_| error(401, "unauthorized", "the token has expired", Some("log in again")));
    let poolctl = Poolctl::with_token(&server);
    insta::assert_snapshot!("expired_token", poolctl.run(&["pool", "list"]));
    insta::assert_snapshot!("expired_token_json", poolctl.run(&["pool", "list", "-o", "json"]));
}

#[test]
fn profiles_keep_services_apart() {
    let (one, two) = (Server::start(service), Server::start(service));
    let poolctl = Poolctl::new();
    login(&poolctl, &one);
    let run = poolctl.run_with(
        &["login", "--url", &two.url, "--profile", "two", "--with-password", "-o", "json"],
        "correct",
    );
    assert_eq!(run.json()["profile"], "two");
    assert_eq!(run.stderr, "");
    poolctl.run(&["whoami"]);
    poolctl.run(&["whoami", "-p", "two"]);
    assert_eq!((one.log().len(), two.log().len()), (2, 2));
    let unknown = poolctl.run(&["whoami", "-p", "tow"]);
    assert_eq!(unknown.code, 2);
    assert!(unknown.stderr.contains("hint: did you mean two?"), "{unknown}");

    let moved = login(&poolctl, &two);
    assert!(moved.stderr.contains("profile default pointed to http://SERVER"), "{moved}");
}

#[test]
fn a_logout_that_the_service_does_not_hear_forgets_the_token_and_says_so() {
    let server = Server::start(|request| match request.path.as_str() {
        "/admin/v1/logout" => error(503, "unavailable", "the store does not answer", None),
        _ => service(request),
    });
    let poolctl = Poolctl::new();
    login(&poolctl, &server);
    insta::assert_snapshot!("logout_unheard", poolctl.run(&["logout"]));
    assert_eq!(poolctl.run(&["whoami"]).code, 4);
}
