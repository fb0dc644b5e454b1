//! The migrate command.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking; the lints' own exception stops at the #[test] functions"
)]

mod common;

use std::sync::atomic::{AtomicBool, Ordering};

use common::{Poolctl, Request, Response, Server, error};
use serde_json::{Value, json};

/// The service's response to a step of a migration of 700 keys.
fn step(request: &Request, phase: &str, cursor: Option<&str>, verified: bool) -> Value {
    json!({
        "cursor": cursor, "from": "d1", "to": request.body["to"], "dry_run": request.body["dry_run"],
        "phase": phase, "verified": verified, "source_digest": "0a", "target_digest": if verified { "0a" } else { "0b" },
        "tables": [
            {"table": "pools", "source_rows": 1, "target_rows": 1, "written": 1, "removed": 2},
            {"table": "keys", "source_rows": 700, "target_rows": 700, "written": 700, "removed": 0},
        ],
    })
}

/// Steps: copy, verify, done.
fn service(request: &Request) -> Response {
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/admin/v1/migration"));
    let dry_run = request.body["dry_run"] == true;
    Response::Json(
        200,
        match request.body["cursor"].as_str() {
            None if !dry_run => step(request, "copy", Some("1"), false),
            None | Some("1") => step(request, "verify", Some("2"), false),
            _ => step(request, "done", None, !dry_run),
        },
    )
}

#[test]
fn a_migration_goes_on_to_its_end() {
    let server = Server::start(service);
    let poolctl = Poolctl::with_token(&server);
    insta::assert_snapshot!("migrate", poolctl.run(&["migrate", "--to", "kv"]));
    let bodies: Vec<Value> = server.requests().into_iter().map(|request| request.body).collect();
    assert_eq!(
        bodies,
        [
            json!({"to": "kv", "dry_run": false}),
            json!({"to": "kv", "dry_run": false, "cursor": "1"}),
            json!({"to": "kv", "dry_run": false, "cursor": "2"}),
        ]
    );
    insta::assert_snapshot!("migrate_dry_run", poolctl.run(&["migrate", "--to", "kv", "--dry-run"]));
    let run = poolctl.run(&["migrate", "--to", "d1", "-o", "json"]);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    let report = run.json();
    assert_eq!((&report["verified"], &report["tables"][1]["written"]), (&json!(true), &json!(700)));
    assert_eq!(report.get("cursor"), None);
}

#[test]
fn a_step_whose_answer_was_lost_is_made_again() {
    let first = AtomicBool::new(true);
    let server =
        Server::start(
            move |request| {
                if first.swap(false, Ordering::SeqCst) { Response::Drop } else { service(request) }
            },
        );
    let poolctl = Poolctl::with_token(&server);
    assert_eq!(poolctl.run(&["migrate", "--to", "kv", "-o", "json"]).code, 0);
    assert_eq!(server.requests().len(), 4);
}

#[test]
fn stores_that_differ_in_the_end_are_exit_code_1() {
    let server = Server::start(|request| Response::Json(200, step(request, "done", None, false)));
    insta::assert_snapshot!("migrate_differs", Poolctl::with_token(&server).run(&["migrate", "--to", "kv"]));
}

#[test]
fn answers_that_lead_nowhere_end() {
    let server = Server::start(|request| Response::Json(200, step(request, "copy", Some("1"), false)));
    assert_eq!(Poolctl::with_token(&server).run(&["migrate", "--to", "kv"]).code, 1);
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn what_the_service_refuses_is_told() {
    let server = Server::start(|_| error(400, "invalid_request", "kv is the store in use", None));
    let run = Poolctl::with_token(&server).run(&["migrate", "--to", "kv"]);
    assert_eq!((run.code, run.stderr.as_str()), (1, "error: kv is the store in use\n"));
    assert_eq!(Poolctl::with_token(&server).run(&["migrate", "--to", "sqlite"]).code, 2);
}
