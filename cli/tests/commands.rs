//! Golden runs of commands against the real service, with success and failure.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking; the lints' own exception stops at the #[test] functions"
)]

mod common;

use std::fmt::Write as _;

use common::{Poolctl, gemini_key, service::Service};
use serde_json::json;

/// A service with pool `prod` of two keys.
fn prod() -> (Service, Poolctl) {
    let service = Service::start();
    let poolctl = service.poolctl();
    poolctl.file("keys.txt", format!("{},3,team-a,laptop\n{}\n", gemini_key(1), gemini_key(2)));
    let run = poolctl.run(&["pool", "create", "prod", "--keys", "keys.txt", "-q"]);
    assert_eq!(run.code, 0, "{run}");
    (service, poolctl)
}

#[test]
fn dry_runs_change_nothing() {
    let (_service, poolctl) = prod();
    let before = poolctl.run(&["pool", "list", "-o", "json"]).stdout;
    let client_key = poolctl.run(&["client-key", "list", "prod", "-o", "name"]).stdout;
    let client_key = client_key.trim();
    let commands: [&[&str]; 18] = [
        &["pool", "create", "new", "--keys", "keys.txt"],
        &["pool", "update", "prod", "--description", "x"],
        &["pool", "disable", "prod"],
        &["pool", "enable", "prod"],
        &["pool", "models", "prod", "--alias", "gpt-4o=gemini-2.5-flash", "--sticky", "on"],
        &["pool", "copy", "prod", "staging", "--keys"],
        &["pool", "delete", "prod"],
        &["key", "import", "prod", "--keys", "keys.txt"],
        &["key", "disable", "prod", "--all"],
        &["key", "weight", "prod", "--search", "laptop", "--to", "9"],
        &["key", "tag", "prod", "--all", "--to", "x"],
        &["key", "set", "prod", "--all", "--rpm", "10"],
        &["key", "remove", "prod", "--all"],
        &["client-key", "create", "prod", "--name", "x"],
        &["client-key", "revoke", "prod", client_key],
        &["token", "create", "ci", "--scope", "stats:read"],
        &["stats", "reset"],
        &["api", "DELETE", "pools/prod"],
    ];
    let mut all = String::new();
    for command in commands {
        let run = poolctl.run(&[command, &["--dry-run"]].concat());
        let line = command.join(" ").replace(client_key, "ck-0000000000000000");
        writeln!(all, "$ poolctl {line} --dry-run\n{run}").unwrap();
    }
    golden!("dry_runs", all);
    assert_eq!(poolctl.run(&["pool", "list", "-o", "json"]).stdout, before);
    let run = poolctl.run(&["pool", "create", "prod", "--dry-run"]);
    assert_eq!(run.code, 6, "{run}");
}

#[test]
fn every_format_shows_the_same_list() {
    let (_service, poolctl) = prod();
    let mut all = String::new();
    for format in ["table", "wide", "json", "jsonl", "yaml", "csv", "name"] {
        let run = poolctl.run(&["key", "list", "prod", "-o", format]);
        writeln!(all, "$ -o {format}\n{run}").unwrap();
    }
    golden!("formats", all);
    let one = poolctl.env("POOLCTL_OUTPUT", "name").run(&["pool", "show", "prod"]);
    assert_eq!(one.stdout, "prod\n");
}

#[test]
fn keys_are_added_shown_labelled_and_changed() {
    let (_service, poolctl) = prod();
    let add = ["key", "add", "prod", "--name", "spare", "--project", "p-1", "--rpm", "10", "--rpd", "500"];
    golden!("key_add", poolctl.run_with(&add, &gemini_key(3)));
    golden!("key_add_again", poolctl.run_with(&add, &gemini_key(3)));
    golden!("key_add_wrong", poolctl.run_with(&add, "not a key"));
    let id = poolctl.run(&["key", "list", "prod", "--search", "spare", "-o", "name"]).stdout;
    let id = id.trim();
    golden!("key_show", poolctl.run(&["key", "show", "prod", id]));
    golden!("key_show_missing", poolctl.run(&["key", "show", "prod", "key-0000000000000000"]));
    let secret = gemini_key(3);
    let run = poolctl.run(&["key", "show", "prod", &secret]);
    assert!(run.code == 2 && !run.stderr.contains(&secret), "{run}");

    golden!("key_tag", poolctl.run(&["key", "tag", "prod", id, "--to", "team-b"]));
    let set = ["key", "set", "prod", id, "--name", "renamed", "--tpm", "1000", "-o", "json"];
    golden!("key_set", poolctl.run(&set));
    let shown = poolctl.run(&["key", "show", "prod", id, "-o", "json"]).json();
    assert_eq!((&shown["key"]["name"], &shown["key"]["tag"]), (&json!("renamed"), &json!("team-b")));
    assert_eq!(shown["key"]["limits"], json!({"tokens_per_minute": 1_000}));
    golden!("key_set_nothing", poolctl.run(&["key", "set", "prod", id]));
}

#[test]
fn models_are_allowed_renamed_and_stood_in_for() {
    let (_service, poolctl) = prod();
    golden!("models", poolctl.run(&["pool", "models", "prod"]));
    let change = [
        "pool",
        "models",
        "prod",
        "--allow",
        "gemini-2.5-*",
        "--alias",
        "gpt-4o=gemini-2.5-flash",
        "--fallback",
        "gemini-2.5-pro=gemini-2.5-flash",
        "--sticky",
        "on",
    ];
    golden!("models_changed", poolctl.run(&change));
    golden!("models_wrong", poolctl.run(&["pool", "models", "prod", "--remove-alias", "gpt-5"]));
    assert_eq!(poolctl.run(&["pool", "models", "prod", "--alias", "x"]).code, 2);
    let run = poolctl.run(&["pool", "models", "prod", "--remove-alias", "gpt-4o", "-o", "json"]);
    assert_eq!(run.json()["aliases"], json!({}));
}

#[test]
fn one_request_is_tried_and_its_key_goes_again() {
    let (service, poolctl) = prod();
    let run = poolctl.run(&["try", "prod", "good morning"]);
    assert!(run.stderr.contains("attempts    1") && run.stderr.contains("key         AIza…000"), "{run}");
    assert_eq!((run.code, run.stdout.as_str()), (0, "You said: good morning\n"));
    let run = poolctl.run(&["try", "prod", "hello", "--no-stream", "-o", "json"]).json();
    assert_eq!((&run["answer"], &run["attempts"]), (&json!("You said: hello"), &json!(1)));
    assert!(run["key"].as_str().unwrap().starts_with("key-") && run["usage"]["total_tokens"].is_u64());
    let keys = poolctl.run(&["client-key", "list", "prod", "-o", "json"]).json();
    assert_eq!(keys["client_keys"].as_array().unwrap().len(), 1, "{keys}");

    service.gemini.fail_next(9, pool_fake_gemini::Behaviour::Invalid);
    golden!("try_refused", poolctl.run(&["try", "prod"]));
    assert_eq!(poolctl.run(&["try", "prd"]).code, 5);
    let events = poolctl.run(&["events", "prod", "-o", "csv"]);
    assert!(events.stdout.starts_with("time,pool,key,model,verdict,count,quota,message,metric,"), "{events}");
    assert!(events.stdout.contains(",key,"), "{events}");
    assert_eq!(poolctl.run(&["events", "nothing"]).code, 5);
}

#[cfg(unix)]
#[test]
fn events_are_followed_until_ctrl_c() {
    use common::{Response, Server};
    let server = Server::start(|request| {
        let event = |number: u32, cursor: &str| {
            json!({"cursor": cursor, "events": [{"at": "2026-11-03T12:00:00Z", "pool": "pool-00000000000000aa",
                "key": "key-00000000000000aa", "model": "gemini-2.5-flash", "verdict": "quota",
                "message": format!("event {number}"), "count": 1}]})
        };
        Response::Json(
            200,
            match request.path.split_once("after=").map(|(_, after)| after) {
                None => event(1, "1"),
                Some("1") => event(2, "2"),
                Some(after) => json!({"cursor": after, "events": []}),
            },
        )
    });
    let poolctl = Poolctl::with_token(&server);
    let child = poolctl.spawn(&["events", "--follow", "--interval", "0.1"]);
    // The third request is sent after the second response is shown.
    for _question in 0..3 {
        server.wait_for_a_request();
    }
    std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let run = poolctl.finish(child.wait_with_output().unwrap());
    assert_eq!(run.code, 130);
    golden!("events_followed", run);
}

/// Follows the audit log through an outage, and resumes after the last written entry.
#[cfg(unix)]
#[test]
fn the_audit_is_followed_without_loss_or_repetition() {
    use common::{Response, Server, error};
    let failed = std::sync::atomic::AtomicBool::new(false);
    let server = Server::start(move |request| {
        let entry = |id: u64| {
            json!({"id": id, "at": "2026-11-03T12:00:00Z", "actor": "tok-1", "actor_name": "ci", "action": "key.update",
                "request_id": "req_1", "count": 1, "times": id})
        };
        let page = |ids: &[u64]| {
            let entries: Vec<_> = ids.iter().map(|id| entry(*id)).collect();
            Response::Json(200, json!({"entries": entries}))
        };
        match request.path.split_once("after=").map(|(_, after)| after) {
            None => page(&[4]),
            Some("4") => page(&[5, 7]),
            Some("7") if !failed.swap(true, std::sync::atomic::Ordering::Relaxed) => {
                error(503, "unavailable", "the config store does not answer", None)
            }
            Some("7") => page(&[8]),
            Some(_) => page(&[]),
        }
    });
    let poolctl = Poolctl::with_token(&server);
    let child = poolctl.spawn(&["audit", "--follow", "--interval", "0.1", "-o", "jsonl"]);
    for _question in 0..5 {
        server.wait_for_a_request();
    }
    std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let run = poolctl.finish(child.wait_with_output().unwrap());
    assert_eq!(run.code, 130, "{run}");
    let ids: Vec<u64> = run
        .stdout
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["id"].as_u64().unwrap())
        .collect();
    assert_eq!(ids, [5, 7, 8], "{run}");
    // A new run resumes where the previous one ended.
    let child = poolctl.spawn(&["audit", "--follow", "--after", "7", "--interval", "0.1", "-o", "jsonl"]);
    for _question in 0..2 {
        server.wait_for_a_request();
    }
    std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let run = poolctl.finish(child.wait_with_output().unwrap());
    assert_eq!(run.stdout.lines().count(), 1, "{run}");
    assert_eq!(poolctl.run(&["audit", "--after", "7"]).code, 2);
}

#[test]
fn pools_follow_a_file() {
    let (_service, poolctl) = prod();
    let exported = poolctl.run(&["export"]);
    golden!("export", exported);
    poolctl.file("pools.toml", &exported.stdout);
    golden!("diff_nothing", poolctl.run(&["diff"]));

    let manifest = "[pools.prod]\ndescription = 'the shop'\nkeys = [{ file = 'keys.txt' }]\n\
        [pools.prod.aliases]\ngpt-4o = 'gemini-2.5-flash'\n\
        [pools.test]\nenabled = false\nkeys = [{ env = 'TEST_KEYS', weight = 2 }]\n\
        client_keys = [{ name = 'ci', file = 'ci-key.txt' }]\n";
    poolctl.file("pools.toml", manifest);
    golden!("diff_without_keys", poolctl.run(&["diff"]));
    let poolctl = poolctl.env("TEST_KEYS", &gemini_key(2));
    golden!("diff", poolctl.run(&["diff"]));
    golden!("apply", poolctl.run(&["apply"]));
    assert_eq!(poolctl.run(&["diff"]).code, 0);
    golden!("apply_again", poolctl.run(&["apply"]));
    let secret = std::fs::read_to_string(poolctl.path().join("ci-key.txt")).unwrap();
    assert!(secret.starts_with("sk-pool-"));
    let keys = poolctl.run(&["client-key", "list", "test", "-o", "json"]).json();
    assert_eq!(keys["client_keys"].as_array().unwrap().len(), 1, "{keys}");

    poolctl.file("keys.txt", gemini_key(1));
    poolctl.file("pools.toml", "[pools.prod]\nkeys = [{ file = 'keys.txt' }]\n");
    golden!("diff_prune", poolctl.run(&["diff", "--prune"]));
    golden!("apply_prune_unconfirmed", poolctl.run(&["apply", "--prune"]));
    let run = poolctl.run(&["apply", "--prune", "--yes"]);
    assert_eq!(run.code, 0, "{run}");
    assert_eq!(poolctl.run(&["pool", "list", "-o", "name"]).stdout, "prod\n");
    assert_eq!(poolctl.run(&["pool", "show", "prod", "-o", "json"]).json()["keys"], 1);
    golden!("apply_missing_file", poolctl.run(&["apply", "-f", "nothing.toml"]));
}

#[test]
fn a_raw_call_stays_within_the_admin_api() {
    let (_service, poolctl) = prod();
    let run = poolctl.run(&["api", "get", "pools/prod"]);
    assert_eq!(run.json()["name"], "prod");
    let run =
        poolctl.run_with(&["api", "PATCH", "/admin/v1/pools/prod", "--input", "-"], r#"{"enabled":false}"#);
    assert_eq!(run.json()["enabled"], false);
    golden!("api_not_found", poolctl.run(&["api", "GET", "nothing/here"]));
    golden!("api_outside", poolctl.run(&["api", "GET", "../../v1/models"]));
    assert_eq!(poolctl.run_with(&["api", "PATCH", "pools/prod", "--input", "-"], "not json").code, 2);
    assert_eq!(poolctl.run(&["api", "TRACE", "pools"]).code, 2);
}

#[test]
fn profiles_are_listed_used_renamed_and_removed() {
    let (service, poolctl) = prod();
    let url = service.server.url();
    let login = ["login", "--url", &url, "--profile", "second", "--with-password"];
    assert_eq!(poolctl.run_with(&login, common::service::PASSWORD).code, 0);
    golden!("profile_list", poolctl.run(&["profile", "list"]));
    golden!("profile_use", poolctl.run(&["profile", "use", "second"]));
    golden!("profile_show", poolctl.run(&["profile", "show"]));
    golden!("profile_unknown", poolctl.run(&["profile", "use", "secnod"]));
    golden!("profile_rename", poolctl.run(&["profile", "rename", "second", "main"]));
    golden!("profile_rename_taken", poolctl.run(&["profile", "rename", "main", "default"]));
    golden!("config", poolctl.run(&["config"]));
    // The token is stored under the new name.
    assert_eq!(poolctl.run(&["pool", "list"]).code, 0);
    golden!("profile_remove_unconfirmed", poolctl.run(&["profile", "remove", "main"]));
    golden!("profile_remove", poolctl.run(&["profile", "remove", "main", "--yes"]));
    let kept = std::fs::read_to_string(poolctl.path().join("config/credentials.toml")).unwrap();
    assert!(kept.contains("default") && !kept.contains("main") && !kept.contains("second"), "{kept}");
    golden!("profile_none", Poolctl::new().run(&["profile", "list", "-o", "json"]));
}

#[test]
fn settings_come_from_flag_environment_profile_and_default() {
    let poolctl = Poolctl::new()
        .env("POOLCTL_URL", "https://pool.example.com")
        .env("POOLCTL_OUTPUT", "wide")
        .env("POOLCTL_TIMEOUT", "5");
    golden!("config_environment", poolctl.run(&["config", "--timeout", "9"]));
    let poolctl = Poolctl::new().env("POOLCTL_OUTPUT", "xml");
    golden!("config_wrong_output", poolctl.run(&["config"]));
}

#[test]
fn stats_are_cut_by_key_model_outcome_and_time() {
    let (_service, poolctl) = prod();
    assert_eq!(poolctl.run(&["try", "prod", "-q"]).code, 0);
    for by in ["key", "model", "outcome", "time"] {
        let run = poolctl.run(&["stats", "prod", "--by", by, "-o", "jsonl"]);
        let line: serde_json::Value = serde_json::from_str(run.stdout.lines().next().unwrap()).unwrap();
        assert_eq!((run.code, &line["attempts"]), (0, &json!(1)), "{run}");
    }
    let run = poolctl.run(&["stats", "prod", "--by", "client-key", "-o", "jsonl"]);
    let line: serde_json::Value = serde_json::from_str(run.stdout.lines().next().unwrap()).unwrap();
    assert_eq!((run.code, &line["requests"]["total"]), (0, &json!(1)), "{run}");
    let run = poolctl.run(&["stats", "prod", "--since", "24h", "--step", "hour", "-o", "json"]).json();
    assert_eq!((&run["total"]["attempts"], &run["window"]["step"]), (&json!(1), &json!("hour")));
    golden!("stats_since_wrong", poolctl.run(&["stats", "prod", "--since", "yesterday"]));
    golden!("stats_by_without_pool", poolctl.run(&["stats", "--by", "model"]));
}
