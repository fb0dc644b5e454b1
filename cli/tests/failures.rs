//! Invalid responses, missing responses and a closed output.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking; the lints' own exception stops at the #[test] functions"
)]

mod common;

use std::process::Command;

use common::{Poolctl, Response, Server, error};
use serde_json::json;

#[test]
fn the_service_s_own_errors_keep_their_message_hint_and_exit_code() {
    let cases = [
        (503, "misconfigured", "the binding DB is missing", None, 1),
        (404, "not_found", "there is no pool prd", Some("did you mean prod?"), 5),
        (403, "forbidden", "this token may not do this", None, 4),
        (409, "conflict", "a pool named prod exists", None, 6),
        (404, "brand_new", "no such thing", None, 5),
    ];
    for (status, code, message, hint, exit) in cases {
        let server = Server::start(move |_| error(status, code, message, hint));
        let poolctl = Poolctl::with_token(&server);
        let run = poolctl.run(&["pool", "show", "prd"]);
        assert_eq!(run.code, exit, "{run}");
        assert!(run.stdout.is_empty() && run.stderr.starts_with(&format!("error: {message}\n")), "{run}");
        assert!(hint.is_none_or(|hint| run.stderr.contains(&format!("  hint: {hint}\n"))), "{run}");
        let run = poolctl.run(&["-o", "json", "pool", "show", "prd"]);
        assert!(run.stdout.is_empty());
        assert_eq!(
            (run.error()["status"].clone(), run.error()["request_id"].clone()),
            (json!(status), json!("req-1"))
        );
        assert_eq!((run.code, run.error()["hint"].as_str()), (exit, hint));
    }
}

#[test]
fn what_is_not_the_pool_service_is_told_apart() {
    const HTML: &[(&str, &str)] = &[("content-type", "text/html")];
    let page = || "<html><body>Bad gateway</body></html>".to_owned();
    for (status, name, code) in [(200, "html", 1), (404, "html_404", 1), (502, "html_502", 7)] {
        let server = Server::start(move |_| Response::Raw(status, HTML, page()));
        let run = Poolctl::with_token(&server).run(&["pool", "list"]);
        assert_eq!(run.code, code);
        insta::assert_snapshot!(name, run);
    }
    let server = Server::start(|_| Response::Json(200, json!({"pools": "many"})));
    assert_eq!(Poolctl::with_token(&server).run(&["pool", "list"]).code, 1);
}

#[test]
fn no_redirect_is_followed() {
    let target = Server::start(|_| Response::Json(200, json!({"pools": []})));
    let url: &'static str = target.url.clone().leak();
    let headers: &'static [_] = vec![("location", url)].leak();
    let server = Server::start(move |_| Response::Raw(302, headers, String::new()));
    let run = Poolctl::with_token(&server).run(&["pool", "list"]);
    assert_eq!(run.code, 1);
    assert!(target.log().is_empty());
    insta::assert_snapshot!("redirect", run);
}

#[test]
fn a_service_that_is_not_there_is_exit_code_7() {
    // A free port without a listener.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let poolctl =
        Poolctl::new().env("POOLCTL_URL", &format!("http://{free}")).env("POOLCTL_TOKEN", &common::token());
    insta::assert_snapshot!("unreachable", poolctl.run(&["stats"]));
    let error = poolctl.run(&["stats", "-o", "json"]).error();
    assert_eq!(error["code"], "unreachable");
    assert!(error["message"].as_str().unwrap().contains("cannot reach the pool service at http://SERVER"));

    let server = Server::start(|_| Response::Hang);
    insta::assert_snapshot!("timeout", Poolctl::with_token(&server).run(&["stats", "--timeout", "0.2"]));
    let server = Server::start(|_| Response::Drop);
    assert_eq!(Poolctl::with_token(&server).run(&["stats"]).code, 7);
}

#[test]
fn nothing_set_up_leads_to_the_login() {
    insta::assert_snapshot!("not_set_up", Poolctl::new().run(&["pool", "list"]));
    let poolctl = Poolctl::new();
    std::fs::create_dir(poolctl.path().join("config")).unwrap();
    poolctl.file("config/config.toml", "profiles = 3");
    insta::assert_snapshot!("broken_config", poolctl.run(&["pool", "list"]));
    assert_eq!(poolctl.run(&["version"]).code, 0);
}

#[test]
fn a_wrong_command_line_is_exit_code_2_in_both_forms() {
    let poolctl = Poolctl::new();
    insta::assert_snapshot!("unknown_command", poolctl.run(&["pools", "list"]));
    insta::assert_snapshot!("unknown_command_json", poolctl.run(&["pools", "list", "-o", "json"]));
    insta::assert_snapshot!("missing_command_json", poolctl.run(&["pool", "-o", "json"]));
    let url = poolctl.run(&["stats", "--url", "https://user:canary@example.com"]);
    assert_eq!(url.code, 2);
    for args in [
        &["stats", "--timeout", "0"][..],
        &["pool", "create", "a/b"],
        &["key", "weight", "p", "key-1", "--to", "-1"],
    ] {
        assert_eq!(poolctl.run(args).code, 2, "{args:?}");
    }
}

#[cfg(unix)]
#[test]
fn ctrl_c_is_exit_code_130() {
    let server = Server::start(|_| Response::Hang);
    let poolctl = Poolctl::with_token(&server);
    let child = poolctl.spawn(&["stats", "-o", "json"]);
    server.wait_for_a_request();
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let run = poolctl.finish(child.wait_with_output().unwrap());
    assert_eq!((run.code, run.error()["code"].as_str()), (130, Some("interrupted")), "{run}");
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let poolctl = Poolctl::new();
    let mut child = poolctl.spawn(&["completions", "zsh"]);
    drop(child.stdout.take());
    let run = poolctl.finish(child.wait_with_output().unwrap());
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{run}");
}
