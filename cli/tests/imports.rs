//! Bulk imports: checks, line reports, interruption and repetition.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking; the lints' own exception stops at the #[test] functions"
)]

mod common;

use std::{
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use common::{Poolctl, Request, Response, Server, error, gemini_key, pool};
use serde_json::{Value, json};

const IMPORT: &str = "/admin/v1/pools/pool-00000000000000aa/keys/import";
const CHECK: &str = "/admin/v1/pools/pool-00000000000000aa/keys/check";

/// Verdict on a key by its last digit.
fn verdict(key: &str) -> Value {
    let verdict = match &key[key.len() - 1..] {
        "2" => "limited",
        "3" => "invalid",
        "4" => "suspended",
        "5" => "unreachable",
        "6" => "leaked",
        _ => "valid",
    };
    let mut checked = json!({"masked": format!("AIza…{}", &key[key.len() - 4..]), "verdict": verdict});
    if verdict != "valid" {
        checked["message"] = json!(format!("Gemini's words, \"{verdict}\""));
    }
    checked
}

fn service(request: &Request) -> Response {
    match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/admin/v1/pools/prod") => Response::Json(200, pool("prod", 0)),
        ("POST", IMPORT) => {
            let added = request.body["keys"].as_array().unwrap().len();
            Response::Json(200, json!({"added": added, "duplicate": 0, "malformed": []}))
        }
        ("POST", CHECK) => {
            let keys = request.body["keys"].as_array().unwrap();
            assert!((1..=20).contains(&keys.len()));
            let results: Vec<_> = keys.iter().map(|key| verdict(key.as_str().unwrap())).collect();
            Response::Json(200, json!({"results": results, "missing": []}))
        }
        _ => error(404, "not_found", "no such route", None),
    }
}

fn import(poolctl: &Poolctl, more: &[&str]) -> common::Run {
    poolctl.run(&[&["key", "import", "prod", "--keys", "keys.txt"], more].concat())
}

#[test]
fn checked_keys_are_sorted_and_a_limited_one_is_never_dropped() {
    let server = Server::start(service);
    let poolctl = Poolctl::with_token(&server);
    let lines: String = (1..=6).map(|number| gemini_key(number) + "\n").collect();
    poolctl.file("keys.txt", format!("{lines}short\n{}\n", gemini_key(1)));
    let run = import(&poolctl, &["--check", "--report", "report.csv"]);
    assert_eq!(run.code, 3);
    insta::assert_snapshot!("checked", run);
    let sent: Vec<_> = server.requests().last().unwrap().body["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["line"].as_u64().unwrap())
        .collect();
    assert_eq!(sent, [1, 2, 5], "valid, limited and not reached; not the refused ones");
    let report = std::fs::read_to_string(poolctl.path().join("report.csv")).unwrap();
    insta::assert_snapshot!("checked_report", report);

    let json = import(&poolctl, &["--check", "-o", "json"]).json();
    assert_eq!(json["verdicts"]["limited"], 1);
    assert_eq!(
        json["refused"][0],
        json!({"line": 3, "masked": "AIza…0003", "verdict": "invalid", "message": "Gemini's words, \"invalid\""})
    );

    let imports = || server.log().iter().filter(|line| line.ends_with("/import")).count();
    let before = imports();
    insta::assert_snapshot!("checked_dry_run", import(&poolctl, &["--check", "--dry-run"]));
    assert_eq!(imports(), before);
}

#[test]
fn checks_go_in_requests_of_twenty_and_are_sent_again_until_they_are_taken() {
    let refused = Arc::new(AtomicUsize::new(0));
    let server = Server::start(move |request| match request.path.as_str() {
        CHECK if refused.fetch_add(1, Ordering::Relaxed) == 0 => {
            Response::Raw(503, &[("retry-after", "0")], String::new())
        }
        _ => service(request),
    });
    let poolctl = Poolctl::with_token(&server);
    poolctl.file("keys.txt", (0..50).map(|number| gemini_key(number * 10 + 1) + "\n").collect::<String>());
    let run = import(&poolctl, &["--check", "-o", "json"]);
    assert_eq!((run.code, &run.json()["verdicts"]), (0, &json!({"valid": 50})), "{run}");
    let checks = server.log().iter().filter(|line| line.ends_with("/check")).count();
    assert_eq!(checks, 4, "three requests, one of them twice");
}

#[test]
fn a_check_that_fails_imports_nothing() {
    let server = Server::start(|request| match request.path.as_str() {
        CHECK => error(500, "internal", "something broke", None),
        _ => service(request),
    });
    let poolctl = Poolctl::with_token(&server);
    poolctl.file("keys.txt", gemini_key(1));
    insta::assert_snapshot!("check_fails", import(&poolctl, &["--check"]));
    assert!(!server.log().iter().any(|line| line.ends_with("/import")));
}

#[cfg(unix)]
#[test]
fn an_interrupted_import_says_how_far_it_came_and_goes_on_when_run_again() {
    let imports = Arc::new(AtomicUsize::new(0));
    let server = Server::start(move |request| match request.path.as_str() {
        IMPORT if imports.fetch_add(1, Ordering::Relaxed) == 1 => Response::Hang,
        _ => service(request),
    });
    let poolctl = Poolctl::with_token(&server);
    poolctl.file("keys.txt", (0..2_500).map(|number| gemini_key(number) + "\n").collect::<String>());
    let child = poolctl.spawn(&["key", "import", "prod", "--keys", "keys.txt", "--report", "report.csv"]);
    for _request in ["the pool", "the first thousand", "the second"] {
        server.wait_for_a_request();
    }
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let run = poolctl.finish(child.wait_with_output().unwrap());
    assert_eq!(run.code, 130);
    insta::assert_snapshot!("interrupted", run);
    let report = std::fs::read_to_string(poolctl.path().join("report.csv")).unwrap();
    assert_eq!(report.matches(",added,").count(), 1_000);
    assert_eq!(report.matches(",not_sent,").count(), 1_500);
    assert_eq!(import(&poolctl, &[]).code, 0);
}
