//! The pool commands.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking; the lints' own exception stops at the #[test] functions"
)]

mod common;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use common::{Poolctl, Request, Response, Server, error, gemini_key, pool};
use serde_json::{Value, json};

const CLIENT_KEY: &str = "sk-pool-000000000000000000000000000000000000000000000abc";

/// Accepts every key as new.
fn importing(request: &Request) -> Response {
    let taken =
        |keys: &Value| json!({"added": keys.as_array().map_or(0, Vec::len), "duplicate": 0, "malformed": []});
    match (request.method.as_str(), request.path.as_str()) {
        ("POST", "/admin/v1/pools") => {
            let import = taken(&request.body["import"]["keys"]);
            let pool = pool(request.body["name"].as_str().unwrap(), import["added"].as_u64().unwrap());
            Response::Json(201, json!({"pool": pool, "client_key": CLIENT_KEY, "import": import}))
        }
        ("POST", "/admin/v1/pools/pool-00000000000000aa/keys/import") => {
            Response::Json(200, taken(&request.body["keys"]))
        }
        ("GET", "/admin/v1/pools/pool-00000000000000aa" | "/admin/v1/pools/prod") => {
            Response::Json(200, pool("prod", 2_500))
        }
        _ => error(404, "not_found", "no such route", None),
    }
}

fn many_keys(count: usize) -> String {
    (0..count).map(|number| gemini_key(number) + "\n").collect()
}

#[test]
fn create_prints_the_pool_the_report_and_the_client_key_once() {
    let server = Server::start(importing);
    let poolctl = Poolctl::with_token(&server);
    let (a, b) = (gemini_key(1), gemini_key(2));
    poolctl.file("keys.txt", format!("# team keys\n{a}\nshort\n\n{b},3,project-1,laptop\n{a}\n"));
    let table = poolctl.run(&["pool", "create", "prod", "--keys", "keys.txt"]);
    // Once alone and once in the command that uses it.
    assert_eq!(table.stdout.matches(CLIENT_KEY).count(), 2);
    insta::assert_snapshot!("create", table);
    let sent = &server.requests()[0].body;
    assert_eq!(
        sent["import"]["keys"][1],
        json!({"key": b, "line": 5, "weight": 3, "tag": "project-1", "name": "laptop"})
    );

    let json = poolctl.run_with(
        &[
            "pool",
            "create",
            "prod",
            "--keys",
            "-",
            "-o",
            "json",
            "--description",
            "d",
            "--allow-model",
            "m-*",
        ],
        &format!("{a}\nshort\n{a}"),
    );
    insta::assert_snapshot!("create_json", json);
    let sent = &server.requests()[1].body;
    assert_eq!((&sent["description"], &sent["allowed_models"]), (&json!("d"), &json!(["m-*"])));
}

#[test]
fn a_pool_without_a_name_is_named_after_its_keys() {
    let server = Server::start(|request| match request.method.as_str() {
        "GET" => Response::Json(200, json!({"pools": [pool("keys", 1), pool("default", 1)]})),
        _ => importing(request),
    });
    let poolctl = Poolctl::with_token(&server);
    for (file, name) in [("keys.txt", "keys-2"), ("shop keys.csv", "shop keys"), ("-", "default-2")] {
        poolctl.file("keys.txt", gemini_key(1));
        poolctl.file("shop keys.csv", gemini_key(1));
        let run = poolctl.run_with(&["pool", "create", "--keys", file, "-o", "json"], &gemini_key(1));
        assert_eq!(run.json()["pool"]["name"], name, "{run}");
    }
    let run = poolctl.run(&["pool", "create", "--keys", "keys.txt"]);
    assert!(run.code == 0 && run.stderr.contains("the pool is named keys-2"), "{run}");
    let run = poolctl.run(&["pool", "create"]);
    assert!(run.code == 2 && run.stderr.contains("the new pool has no name"), "{run}");
}

#[test]
fn create_without_keys_makes_an_empty_pool() {
    let server = Server::start(importing);
    insta::assert_snapshot!("create_empty", Poolctl::with_token(&server).run(&["pool", "create", "prod"]));
    assert_eq!(server.requests()[0].body.get("import"), None);
}

#[test]
fn many_keys_go_in_chunks_that_are_sent_again_until_they_are_taken() {
    let refused = Arc::new(AtomicUsize::new(0));
    let server = Server::start(move |request| {
        if request.path.ends_with("/import") {
            match refused.fetch_add(1, Ordering::Relaxed) {
                0 => return Response::Raw(503, &[("retry-after", "0")], String::new()),
                1 => return Response::Drop,
                2 => return Response::Raw(429, &[("retry-after", "0")], String::new()),
                _ => {}
            }
        }
        importing(request)
    });
    let poolctl = Poolctl::with_token(&server);
    poolctl.file("keys.txt", many_keys(2_500));
    let run = poolctl.run(&["pool", "create", "prod", "--keys", "keys.txt", "-o", "json"]);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    assert_eq!(run.json()["import"], json!({"added": 2_500, "duplicate": 0, "malformed": []}));
    assert_eq!(run.json()["pool"]["keys"], 2_500);
    let sizes: Vec<usize> = server
        .requests()
        .iter()
        .filter_map(|request| request.body["keys"].as_array().or(request.body["import"]["keys"].as_array()))
        .map(Vec::len)
        .collect();
    assert_eq!(sizes, [1_000, 1_000, 1_000, 1_000, 1_000, 500]);
}

#[test]
fn an_import_that_stops_half_way_still_shows_the_client_key() {
    let server = Server::start(|request| {
        if request.path.ends_with("/import") {
            error(500, "internal", "something broke", None)
        } else {
            importing(request)
        }
    });
    let poolctl = Poolctl::with_token(&server);
    poolctl.file("keys.txt", many_keys(1_001));
    let run = poolctl.run(&["pool", "create", "prod", "--keys", "keys.txt", "-o", "json"]);
    assert_eq!((run.code, run.json()["client_key"].as_str()), (1, Some(CLIENT_KEY)));
    assert_eq!(run.json()["import"]["added"], 1_000);
    assert_eq!(
        run.error()["hint"],
        "the pool was created; add the missing keys with poolctl key import prod --keys FILE"
    );
}

#[test]
fn a_keys_file_that_cannot_be_used_creates_nothing() {
    let server = Server::start(importing);
    let poolctl = Poolctl::with_token(&server);
    std::fs::create_dir(poolctl.path().join("folder")).unwrap();
    poolctl.file("empty.txt", "");
    poolctl.file("comments.txt", "# nothing\n\n");
    poolctl.file("garbage.txt", "short\nalso short\n");
    poolctl.file("binary.txt", [b'#', b'\n', 0xff, 0xfe]);
    for name in ["missing.txt", "folder", "empty.txt", "comments.txt", "garbage.txt", "binary.txt"] {
        let run = poolctl.run(&["pool", "create", "prod", "--keys", name]);
        assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{name}");
        insta::assert_snapshot!(format!("keys_{}", name.replace('.', "_")), run);
        assert_eq!(poolctl.run(&["key", "import", "prod", "--keys", name]).code, 2, "{name}");
    }
    assert_eq!(poolctl.run_with(&["pool", "create", "prod", "--keys", "-"], "").code, 2);
    assert!(server.log().is_empty());
}

#[test]
fn list_and_show() {
    let server = Server::start(|request| match request.path.as_str() {
        "/admin/v1/pools" => {
            Response::Json(200, json!({"pools": [pool("prod", 12_345), pool("a\u{1b}[2Jb", 0)]}))
        }
        _ => importing(request),
    });
    let poolctl = Poolctl::with_token(&server);
    insta::assert_snapshot!("list", poolctl.run(&["pool", "list"]));
    insta::assert_snapshot!("show", poolctl.run(&["pool", "show", "prod"]));
    // Absent settings are shown with their defaults.
    let read = |pool: Value| serde_json::from_value::<pool_shared::Pool>(pool).unwrap();
    let shown = poolctl.run(&["pool", "show", "prod", "-o", "json"]).json();
    assert_eq!(read(shown), read(pool("prod", 2_500)));
    let empty = Server::start(|_| Response::Json(200, json!({"pools": []})));
    insta::assert_snapshot!("list_empty", Poolctl::with_token(&empty).run(&["pool", "ls"]));
    assert_eq!(Poolctl::with_token(&empty).run(&["pool", "ls", "-o", "json"]).json(), json!({"pools": []}));
}

#[test]
fn a_name_is_one_segment_and_an_update_names_its_fields_only() {
    let server = Server::start(|_| Response::Json(200, pool("my pool", 1)));
    let poolctl = Poolctl::with_token(&server);
    let run = poolctl.run(&["pool", "update", "my pool", "--allow-all-models", "--name", "new"]);
    assert_eq!(run.code, 0, "{run}");
    poolctl.run(&["pool", "disable", "a?b#c"]);
    let requests = server.requests();
    assert_eq!(requests[0].path, "/admin/v1/pools/my%20pool");
    assert_eq!(requests[0].body, json!({"name": "new", "allowed_models": []}));
    assert_eq!(requests[1].path, "/admin/v1/pools/a%3Fb%23c");
    assert_eq!(requests[1].body, json!({"enabled": false}));
    assert_eq!(poolctl.run(&["pool", "update", "prod"]).code, 2);
    for name in ["..", ".", ""] {
        assert_eq!(poolctl.run(&["pool", "show", name]).code, 2);
    }
    assert_eq!(server.log().len(), 2);
}

#[test]
fn delete_needs_a_yes_and_goes_by_the_id_that_was_found() {
    let server = Server::start(|request| match request.method.as_str() {
        "DELETE" => Response::Json(204, json!(null)),
        _ => Response::Json(200, pool("my pool", 1)),
    });
    let poolctl = Poolctl::with_token(&server);
    insta::assert_snapshot!("delete_without_yes", poolctl.run(&["pool", "delete", "my pool"]));
    assert!(server.log().is_empty());
    insta::assert_snapshot!("delete", poolctl.run(&["pool", "delete", "my pool", "--yes", "-o", "json"]));
    assert_eq!(
        server.log(),
        ["GET /admin/v1/pools/my%20pool", "DELETE /admin/v1/pools/pool-00000000000000aa"]
    );
}

#[test]
fn stats_and_health() {
    let counters = |requests: u64| {
        json!({"attempts": requests, "successes": requests - 1, "failures": 1, "prompt_tokens": 10, "completion_tokens": 20,
        "requests": {"total": requests - 3, "succeeded": requests - 5, "failed": 2, "outcomes": {"ok": requests - 5, "server_error": 2}}})
    };
    let with = |mut value: Value, more: Value| {
        value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        value
    };
    let server = Server::start(move |request| {
        let body = match request.path.as_str() {
            "/admin/v1/stats" => {
                json!({"total": counters(1_234), "requests": counters(1_234)["requests"], "lost": 2, "lost_requests": 1, "pools": [
                with(json!({"pool": "pool-1", "name": "prod"}), counters(1_000)),
                with(json!({"pool": "pool-2"}), counters(234))]})
            }
            "/admin/v1/pools/prod/stats" => {
                json!({"pool": "pool-1", "name": "prod", "total": counters(9), "requests": counters(9)["requests"],
                "activity": {"outcomes": {"ok": 8, "quota": 1}, "latency": {}, "rates": {"rpm": 0, "rpm_now": 0, "tpm": 0, "tpm_now": 0, "rpd": 0, "tpd": 0}},
                "client_keys": [{"client_key": "ck-1", "name": "ci", "requests": counters(9)["requests"]}],
                "keys": [with(json!({"key": "key-1", "masked": "AIza…wxyz", "name": "laptop"}), counters(9))],
                "models": [with(json!({"model": "gemini-2.5-flash"}), counters(9))]})
            }
            _ => json!({"status": "failing", "version": "0.1.0", "host": "native", "lost_attempts": 0,
                "store": {"status": "ok", "kind": "sqlite"},
                "ledger": {"status": "failing", "kind": "sqlite", "message": "disk full"}}),
        };
        Response::Json(200, body)
    });
    let poolctl = Poolctl::with_token(&server);
    insta::assert_snapshot!("stats", poolctl.run(&["stats"]));
    insta::assert_snapshot!("stats_pool", poolctl.run(&["stats", "prod"]));
    insta::assert_snapshot!("health_failing", poolctl.run(&["health"]));
    assert_eq!(poolctl.run(&["stats", "-o", "json"]).json()["total"]["attempts"], 1_234);
}

#[test]
fn latencies_are_shown_where_they_are_known_and_statistics_can_be_reset() {
    let counters = json!({"attempts": 2, "successes": 2, "failures": 0, "prompt_tokens": 1, "completion_tokens": 1, "requests": {
            "total": 2, "succeeded": 2, "failed": 0, "latency": {"count": 2, "p50_ms": 430.0, "p95_ms": 1_900.0, "p99_ms": 12_500.0}}});
    let activity = json!({"outcomes": {"ok": 2}, "rates": {"rpm": 0, "rpm_now": 2, "tpm": 0, "tpm_now": 1, "rpd": 2, "tpd": 1},
        "latency": {"total": {"count": 2, "p50_ms": 412.3, "p95_ms": 1_840.0, "p99_ms": 12_000.0}}});
    let with = move |mut value: Value| {
        let row = value.as_object_mut().unwrap();
        row.extend(counters.as_object().unwrap().clone());
        row.insert("activity".to_owned(), activity.clone());
        value
    };
    let server = Server::start(move |request| match request.path.as_str() {
        "/admin/v1/pools/prod/stats" => {
            let total = with(json!({}));
            let row = with(json!({"model": "gemini-2.5-flash"}));
            let (activity, keys) = (&total["activity"], json!([]));
            Response::Json(
                200,
                json!({"pool": "pool-1", "name": "prod", "total": total, "activity": activity, "requests": total["requests"],
                "keys": keys, "models": [row]}),
            )
        }
        "/admin/v1/pools/prod" => Response::Json(200, pool("prod", 1)),
        _ => Response::Raw(204, &[], String::new()),
    });
    let poolctl = Poolctl::with_token(&server);
    insta::assert_snapshot!("stats_latencies", poolctl.run(&["stats", "prod"]));
    server.requests();
    assert_eq!(poolctl.run(&["stats", "reset"]).code, 2, "it asks first");
    insta::assert_snapshot!("stats_reset", poolctl.run(&["stats", "reset", "prod", "--yes"]));
    assert_eq!(poolctl.run(&["stats", "reset", "--yes"]).code, 0);
    let log = server.log();
    let resets: Vec<_> = log.iter().filter(|line| line.ends_with("/reset")).collect();
    assert_eq!(
        resets,
        ["POST /admin/v1/pools/pool-00000000000000aa/stats/reset", "POST /admin/v1/stats/reset"]
    );
}
