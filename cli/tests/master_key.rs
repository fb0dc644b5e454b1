//! The master-key command.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking; the lints' own exception stops at the #[test] functions"
)]

mod common;

use common::{Poolctl, Request, Response, Server};
use serde_json::{Value, json};

/// A rotation of two steps.
fn service(request: &Request) -> Response {
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/admin/v1/master/rotate"));
    let rows = json!({"current": 31, "previous": 0, "unreadable": 0});
    Response::Json(
        200,
        match request.body["cursor"].as_str() {
            None => json!({"cursor": "pool-1", "rewrapped": 21}),
            Some(_) => json!({"rewrapped": 10, "rows": rows}),
        },
    )
}

#[test]
fn a_rotation_goes_on_to_its_end() {
    let server = Server::start(service);
    let poolctl = Poolctl::with_token(&server);
    insta::assert_snapshot!("master_rotate", poolctl.run(&["master", "rotate"]));
    let bodies: Vec<Value> = server.requests().into_iter().map(|request| request.body).collect();
    assert_eq!(bodies, [json!({}), json!({"cursor": "pool-1"})]);
    let run = poolctl.run(&["master", "rotate", "-o", "json"]);
    assert_eq!(
        (run.code, &run.json()["rewrapped"], &run.json()["rows"]["current"]),
        (0, &json!(31), &json!(31))
    );
}

#[test]
fn data_keys_are_made_anew_pool_by_pool() {
    let server = Server::start(|request| {
        assert_eq!(request.body["data_keys"], true);
        let rows = json!({"current": 3, "previous": 0, "unreadable": 0});
        Response::Json(
            200,
            match request.body["cursor"].as_str() {
                None => json!({"cursor": "pool-1:0:", "rewrapped": 21}),
                Some("pool-1:0:") => json!({"cursor": "pool-1:0:~", "rewrapped": 0}),
                Some(_) => json!({"rewrapped": 0, "rows": rows}),
            },
        )
    });
    let run = Poolctl::with_token(&server).run(&["master", "rotate", "--data-keys"]);
    insta::assert_snapshot!("master_data_keys", run);
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn gemini_keys_that_do_not_open_are_exit_code_1() {
    let rows = json!({"current": 1, "previous": 0, "unreadable": 0});
    let answer = json!({"rewrapped": 0, "unreadable_keys": 2, "rows": rows});
    let server = Server::start(move |_| Response::Json(200, answer.clone()));
    assert_eq!(Poolctl::with_token(&server).run(&["master", "rotate", "--data-keys"]).code, 1);
}

#[test]
fn rows_that_do_not_open_are_exit_code_1() {
    let rows = json!({"current": 1, "previous": 0, "unreadable": 2});
    let server = Server::start(move |_| Response::Json(200, json!({"rewrapped": 0, "rows": rows})));
    insta::assert_snapshot!("master_unreadable", Poolctl::with_token(&server).run(&["master", "rotate"]));
}

#[test]
fn answers_that_lead_nowhere_end() {
    let server = Server::start(|_| Response::Json(200, json!({"cursor": "pool-1", "rewrapped": 0})));
    assert_eq!(Poolctl::with_token(&server).run(&["master", "rotate"]).code, 1);
    assert_eq!(server.requests().len(), 2);
}
