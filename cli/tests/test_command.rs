//! `poolctl test` with failures: truncated streams, errors, Ctrl-C.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking; the lints' own exception stops at the #[test] functions"
)]

mod common;

use common::{Poolctl, Request, Response, Server, error, pool};
use pool_shared::TokenKind;
use serde_json::json;

const CHAT: &str = "/v1/chat/completions";
const EVENTS: &[(&str, &str)] = &[
    ("content-type", "text/event-stream"),
    ("x-pool-key", "key-00000000000000aa"),
    ("x-pool-attempts", "2"),
];

fn client_key() -> String {
    TokenKind::ClientKey.generate(&[9; TokenKind::RANDOM_BYTES]).expose().to_owned()
}

fn service(request: &Request, chat: impl FnOnce() -> Response) -> Response {
    let path = request.path.split('?').next().unwrap();
    match (request.method.as_str(), path) {
        ("POST", CHAT) => {
            let authorization = &request.headers["authorization"];
            assert_eq!(*authorization, format!("Bearer {}", client_key()), "the admin token stays at home");
            chat()
        }
        ("GET", "/admin/v1/pools/prod") => Response::Json(200, pool("prod", 1)),
        ("POST", "/admin/v1/pools/pool-00000000000000aa/client-keys") => Response::Json(
            201,
            json!({"client_key": {"id": "ck-00000000000000aa", "name": "poolctl test", "hint": "wxyz",
                "created_at": "2026-11-03T12:00:00Z"}, "secret": client_key()}),
        ),
        ("DELETE", _) => Response::Json(204, json!(null)),
        ("GET", "/admin/v1/pools/pool-00000000000000aa/keys") => {
            Response::Json(200, json!({"keys": [common::key(1, true)], "total": 1}))
        }
        _ => error(404, "not_found", "no such route", None),
    }
}

fn deleted(server: &Server) -> bool {
    let path = "DELETE /admin/v1/pools/pool-00000000000000aa/client-keys/ck-00000000000000aa";
    server.log().iter().any(|line| line == path)
}

fn delta(text: &str) -> String {
    format!("data: {}\n\n", json!({"choices": [{"delta": {"content": text}, "finish_reason": null}]}))
}

#[test]
fn an_answer_is_shown_with_its_key_and_attempts() {
    let server = Server::start(|request| {
        service(request, || {
            let usage = json!({"choices": [], "usage": {"total_tokens": 7}});
            let body = format!(
                ": ping\n\n{}{}data: {usage}\n\ndata: [DONE]\n\n",
                delta("Good "),
                delta("mor\u{7}ning")
            );
            Response::Raw(200, EVENTS, body)
        })
    });
    golden!("try", Poolctl::with_token(&server).run(&["try", "prod"]));
    golden!("try_json", Poolctl::with_token(&server).run(&["try", "prod", "-o", "json"]));
    assert!(deleted(&server));
}

#[test]
fn a_stream_that_breaks_off_is_no_answer() {
    for (name, end) in [
        ("try_truncated", String::new()),
        (
            "try_error_event",
            format!("data: {}\n\n", json!({"error": {"message": "Gemini went away", "code": null}})),
        ),
    ] {
        let server = Server::start(move |request| {
            let body = delta("Good ") + &end;
            service(request, || Response::Raw(200, EVENTS, body))
        });
        golden!(name, Poolctl::with_token(&server).run(&["try", "prod"]));
        assert!(deleted(&server));
    }
}

#[test]
fn a_client_key_of_one_s_own_is_left_alone() {
    let server = Server::start(|request| {
        service(request, || {
            Response::Json(401, json!({"error": {"message": "no such key", "code": "invalid_api_key"}}))
        })
    });
    let poolctl = Poolctl::with_token(&server);
    poolctl.file("client-key.txt", client_key() + "\n");
    golden!("try_own_key_refused", poolctl.run(&["try", "prod", "--client-key", "client-key.txt"]));
    let poolctl = poolctl.env("POOLCTL_CLIENT_KEY", &client_key());
    assert_eq!(poolctl.run(&["try", "prod"]).code, 4);
    assert!(!server.log().iter().any(|line| line.contains("client-keys")));
    poolctl.file("client-key.txt", "sk-pool-short");
    let run = poolctl.run(&["try", "prod", "--client-key", "client-key.txt"]);
    assert!(run.code == 2 && !run.stderr.contains("sk-pool-short"), "{run}");
}

#[cfg(unix)]
#[test]
fn ctrl_c_leaves_no_client_key_behind() {
    let server = Server::start(|request| service(request, || Response::Hang));
    let poolctl = Poolctl::with_token(&server);
    let child = poolctl.spawn(&["try", "prod"]);
    for _request in ["the pool", "the client key", "the chat"] {
        server.wait_for_a_request();
    }
    std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let run = poolctl.finish(child.wait_with_output().unwrap());
    assert_eq!(run.code, 130, "{run}");
    assert!(deleted(&server));
}
