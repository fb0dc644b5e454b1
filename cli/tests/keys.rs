//! The key and client-key commands.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking; the lints' own exception stops at the #[test] functions"
)]

mod common;

use common::{Poolctl, Request, Response, Server, gemini_key, key, pool};
use serde_json::{Value, json};

const POOL: &str = "/admin/v1/pools/pool-00000000000000aa";

/// A pool of 1,500 keys in pages of 1,000; every third is disabled, and `key-f…` is missing.
fn service(request: &Request) -> Response {
    let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
    let result = |ids: &Value| {
        let (missing, found): (Vec<_>, Vec<_>) =
            ids.as_array().unwrap().iter().partition(|id| id.as_str().unwrap().starts_with("key-f"));
        json!({"pool": "pool-00000000000000aa", "changed": found.len(), "missing": missing})
    };
    let body = match (request.method.as_str(), path.strip_prefix(POOL).unwrap_or(path)) {
        ("GET", "/admin/v1/pools/prod") => pool("prod", 1_500),
        ("GET", "/keys" | "/admin/v1/pools/prod/keys") => page(query),
        ("PATCH", "/keys") | ("POST", "/keys/delete" | "/keys/reset") => result(&request.body["ids"]),
        ("POST", "/keys/import") => {
            json!({"added": 1, "duplicate": 1, "malformed": [{"line": 2, "reason": "refused"}]})
        }
        _ => panic!("{request:?}"),
    };
    Response::Json(200, body)
}

fn page(query: &str) -> Value {
    let value = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    let keys: Vec<Value> = (0..1_500)
        .map(|number| key(number, number % 3 != 0))
        .filter(|key| value("enabled").is_none_or(|enabled| key["enabled"] == json!(enabled == "true")))
        .collect();
    let start = value("cursor").map_or(0, |cursor| cursor.parse().unwrap());
    let limit: usize = value("limit").unwrap().parse().unwrap();
    assert!((1..=1_000).contains(&limit));
    let end = (start + limit).min(keys.len());
    let mut page = json!({"keys": keys[start..end], "total": keys.len()});
    if end < keys.len() {
        page["next_cursor"] = json!(end.to_string());
    }
    page
}

fn id(number: usize) -> String {
    format!("key-{number:016x}")
}

#[test]
fn list_goes_through_all_pages_and_no_further_than_asked() {
    let server = Server::start(service);
    let poolctl = Poolctl::with_token(&server);
    let all = poolctl.run(&["key", "list", "prod", "-o", "json"]).json();
    assert_eq!((all["keys"].as_array().unwrap().len(), &all["total"]), (1_500, &json!(1_500)));
    assert_eq!(server.log().len(), 2);
    insta::assert_snapshot!("key_list", poolctl.run(&["key", "list", "--pool", "prod", "--limit", "2"]));
    assert_eq!(server.log().len(), 3);
    let disabled = poolctl.run(&["key", "list", "prod", "--disabled", "--search", "a b&c", "-o", "json"]);
    assert_eq!(disabled.json()["total"], 500);
    assert_eq!(server.log()[3], "GET /admin/v1/pools/prod/keys?limit=1000&search=a+b%26c&enabled=false");
}

#[test]
fn named_keys_are_changed_without_asking_and_missing_ones_are_exit_code_3() {
    let server = Server::start(service);
    let poolctl = Poolctl::with_token(&server);
    let run = poolctl.run(&["key", "disable", "prod", &id(1), &id(2), &id(1)]);
    assert_eq!((run.code, run.stdout.as_str()), (0, "disabled 2 keys in pool prod\n"));
    assert_eq!(server.requests()[1].body, json!({"ids": [id(1), id(2)], "set": {"enabled": false}}));

    let run = poolctl.run(&["key", "weight", "--pool", "prod", &id(1), "key-ffff", "--to", "5"]);
    insta::assert_snapshot!("key_weight_missing", run);
    assert_eq!(server.requests()[3].body["set"], json!({"weight": 5}));

    let run = poolctl
        .run_with(&["key", "enable", "prod", "-", "-o", "json"], &format!("{}\n{}\n", id(7), "key-ffff"));
    assert_eq!(run.code, 3);
    assert_eq!(run.json(), json!({"pool": "pool-00000000000000aa", "changed": 1, "missing": ["key-ffff"]}));
}

#[test]
fn a_selection_touches_what_the_filter_lets_through_and_nothing_else() {
    let server = Server::start(service);
    let poolctl = Poolctl::with_token(&server);
    let run = poolctl.run(&["key", "remove", "prod", "--disabled", "--yes"]);
    insta::assert_snapshot!("key_remove_selection", run);
    let sent = server.requests().last().unwrap().body["ids"].clone();
    let expected: Vec<String> = (0..1_500).step_by(3).map(id).collect();
    assert_eq!(sent, json!(expected));
}

#[test]
fn a_reset_names_keys_or_selects_them_and_asks_only_for_a_selection() {
    let server = Server::start(service);
    let poolctl = Poolctl::with_token(&server);
    let run = poolctl.run(&["key", "reset", "prod", &id(1), "key-ffff"]);
    insta::assert_snapshot!("key_reset_missing", run);
    let sent = server.requests().last().unwrap().clone();
    assert_eq!(
        (sent.path.as_str(), &sent.body),
        (&*format!("{POOL}/keys/reset"), &json!({"ids": [id(1), "key-ffff"]}))
    );
    let run = poolctl.run(&["key", "reset", "prod", "--state", "cooling,limited"]);
    assert_eq!((run.code, run.stdout.as_str()), (2, ""));
    let run = poolctl.run(&["key", "reset", "prod", "--all", "--yes"]);
    assert_eq!((run.code, run.stdout.as_str()), (0, "reset 1500 keys in pool prod\n"));
    assert_eq!(server.requests().last().unwrap().body["ids"].as_array().unwrap().len(), 1_500);
}

#[test]
fn what_would_ask_needs_a_yes_without_a_terminal() {
    let server = Server::start(service);
    let poolctl = Poolctl::with_token(&server);
    insta::assert_snapshot!("key_remove_without_yes", poolctl.run(&["key", "remove", "prod", &id(1)]));
    let run = poolctl.run(&["key", "disable", "prod", "--search", "it's", "-o", "json"]);
    assert_eq!((run.code, run.error()["code"].as_str()), (2, Some("confirmation_required")));
    assert_eq!(run.error()["hint"], r#"poolctl key disable prod --search "it's" -o json --yes"#);
    assert!(server.log().is_empty());
    assert_eq!(poolctl.run(&["key", "remove", "prod", &id(1), "--yes"]).code, 0);
}

#[test]
fn a_selection_has_to_be_clear() {
    let server = Server::start(service);
    let poolctl = Poolctl::with_token(&server);
    let secret = gemini_key(1);
    let unclear: [&[&str]; 8] = [
        &["key", "remove", "prod", "--search", "", "--yes"],
        &["key", "disable"],
        &["key", "disable", "prod"],
        &["key", "disable", "prod", "key-1", "--all"],
        &["key", "disable", "prod", "--all", "--enabled"],
        &["key", "disable", "prod", "-", "key-1"],
        &["key", "disable", "prod", &secret],
        &["key", "list", "prod", "--enabled", "--disabled"],
    ];
    for args in unclear {
        let run = poolctl.run(args);
        assert_eq!(run.code, 2, "{args:?}: {run}");
        assert!(!run.stderr.contains(&secret), "{run}");
    }
    assert!(server.log().is_empty());
}

#[test]
fn import_prints_its_report_alone() {
    let server = Server::start(service);
    let poolctl = Poolctl::with_token(&server);
    let keys = format!("{}\n{}\n{}\nshort\n", gemini_key(1), gemini_key(2), gemini_key(1));
    let run = poolctl.run_with(&["key", "import", "prod", "--keys", "-", "-o", "json"], &keys);
    assert_eq!(run.code, 3);
    assert_eq!(
        run.json(),
        json!({"added": 1, "duplicate": 2, "malformed": [
            {"line": 2, "reason": "refused"},
            {"line": 4, "reason": "too short for a Gemini key (5 characters, at least 20 expected)"}]})
    );
    insta::assert_snapshot!("key_import", poolctl.run_with(&["key", "import", "prod", "--keys", "-"], &keys));
}

#[test]
fn client_keys() {
    let server = Server::start(|request| {
        let client_key =
            json!({"id": "ck-1", "name": "laptop", "hint": "wxyz", "created_at": "2026-11-03T12:00:00Z"});
        match request.method.as_str() {
            "GET" => Response::Json(200, json!({"client_keys": [client_key]})),
            "POST" => Response::Json(201, json!({"client_key": client_key, "secret": "sk-pool-secret"})),
            _ => Response::Json(204, Value::Null),
        }
    });
    let poolctl = Poolctl::with_token(&server);
    insta::assert_snapshot!("client_key_list", poolctl.run(&["client-key", "list", "prod"]));
    insta::assert_snapshot!(
        "client_key_create",
        poolctl.run(&["client-key", "create", "prod", "--name", "laptop"])
    );
    assert_eq!(poolctl.run(&["client-key", "revoke", "prod", "ck-1"]).code, 2);
    let run = poolctl.run(&["client-key", "revoke", "prod", "ck-1", "-y", "-o", "json"]);
    assert_eq!(run.json(), json!({"revoked": "ck-1"}));
    assert_eq!(server.log().last().unwrap(), "DELETE /admin/v1/pools/prod/client-keys/ck-1");
}
