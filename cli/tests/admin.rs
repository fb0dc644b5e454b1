//! Golden runs against the real service: checks, key states, tokens, audit log, copies,
//! limits, doctor.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking; the lints' own exception stops at the #[test] functions"
)]

mod common;

use common::{
    Poolctl, gemini_key,
    service::{PASSWORD, names, prod, with_token},
};
use serde_json::{Value, json};

#[test]
fn keys_are_checked_and_selected_by_what_gemini_says() {
    let (_service, poolctl) = prod();
    // The first rejection makes the key suspect, the second one invalid.
    poolctl.run(&["key", "check", "prod", "--all", "-q"]);
    let run = poolctl.run(&["key", "check", "prod", "--all"]);
    assert_eq!(run.code, 3, "{run}");
    golden!("key_check", run);
    assert_eq!(names(&poolctl, &["--state", "healthy"]), ["AIza…0001", "AIza…0002"]);
    assert_eq!(names(&poolctl, &["--state", "limited"]), ["AIza…0003"]);
    assert_eq!(names(&poolctl, &["--state", "invalid,suspect"]), ["AIza…0004"]);
    golden!("key_list_states", poolctl.run(&["key", "list", "prod", "-o", "wide"]));
    golden!("key_disable_invalid", poolctl.run(&["key", "disable", "prod", "--state", "invalid", "--yes"]));
    assert_eq!(names(&poolctl, &["--state", "disabled"]), ["AIza…0004"]);
    assert_eq!(poolctl.run(&["key", "check", "prod", "--state", "healthy", "-q"]).code, 0);
    golden!("key_state_unknown", poolctl.run(&["key", "list", "prod", "--state", "sleepy"]));
    assert!(poolctl.run(&["pool", "show", "prod"]).stdout.contains("2 healthy"));

    poolctl.run(&["key", "tag", "prod", "--state", "healthy", "--to", "good", "--yes"]);
    assert_eq!(names(&poolctl, &["--tag", "good"]), ["AIza…0001", "AIza…0002"]);
    assert_eq!(names(&poolctl, &["--tag", "goo"]), [""; 0]);
    assert_eq!(names(&poolctl, &["--tag", "good", "--search", "0002"]), ["AIza…0002"]);
}

#[test]
fn an_import_leaves_out_what_gemini_refuses() {
    let (_service, poolctl) = prod();
    poolctl.run(&["pool", "create", "checked", "-q"]);
    let import = ["key", "import", "checked", "--keys", "keys.txt", "--check"];
    golden!("import_checked", poolctl.run(&import));
    assert_eq!(poolctl.run(&["pool", "show", "checked", "-o", "json"]).json()["keys"], 3);

    let created = poolctl.run(&["pool", "create", "new", "--keys", "keys.txt", "--check"]);
    golden!("pool_create_checked", created);
    let created = poolctl.run(&["pool", "create", "newer", "--keys", "keys.txt", "--check", "-o", "json"]);
    assert_eq!((created.code, &created.json()["pool"]["keys"]), (3, &json!(3)), "{created}");
    assert_eq!(created.json()["verdicts"], json!({"valid": 2, "limited": 1, "invalid": 1}));
}

#[test]
fn tokens_have_the_rights_that_they_were_given() {
    let (service, poolctl) = prod();
    golden!(
        "token_create",
        poolctl.run(&[
            "token",
            "create",
            "dashboards",
            "--scope",
            "stats:read",
            "--pool",
            "prod",
            "--expires",
            "30d"
        ])
    );
    golden!("token_create_wrong", poolctl.run(&["token", "create", "x", "--scope", "everything"]));
    let create = ["token", "create", "ci", "--scope", "keys:import,stats:read", "-o", "json"];
    let created = poolctl.run(&create).json();
    golden!("token_list", poolctl.run(&["token", "list"]));

    // The list shows the creating token.
    let maker = poolctl.run(&["whoami", "-o", "json"]).json()["identity"]["id"].clone();
    let listed = poolctl.run(&["token", "list", "-o", "json"]).json();
    let own = listed["tokens"].as_array().unwrap().iter().find(|token| token["name"] == "ci").unwrap();
    assert_eq!(own["parent"], maker);
    let wide = poolctl.run(&["token", "list", "-o", "csv"]).stdout;
    let maker = maker.as_str().unwrap();
    assert!(wide.lines().any(|line| line.contains("ci") && line.contains(maker)), "{wide}");

    let limited = with_token(&service, &created["secret"]);
    assert_eq!(limited.run(&["stats", "prod"]).code, 0);
    limited.file("keys.txt", gemini_key(1));
    assert_eq!(limited.run(&["key", "import", "prod", "--keys", "keys.txt"]).code, 0);
    golden!("token_forbidden", limited.run(&["pool", "delete", "prod", "--yes"]));
    let create = ["token", "create", "imports", "--scope", "keys:import", "--pool", "prod", "-o", "json"];
    let only = with_token(&service, &poolctl.run(&create).json()["secret"]);
    only.file("keys.txt", gemini_key(1));
    let run = only.run(&["key", "import", "prod", "--keys", "keys.txt", "--check", "-o", "json"]);
    assert_eq!((run.code, &run.json()["duplicate"]), (0, &json!(1)), "{run}");
    assert_eq!(only.run(&["key", "list", "prod"]).code, 4);
    assert!(limited.run(&["whoami"]).stdout.contains("keys:import, stats:read"));

    let id = created["token"]["id"].as_str().unwrap();
    golden!("token_rotate", poolctl.run(&["token", "rotate", id, "--expires", "30d"]));
    assert_eq!(limited.run(&["stats"]).code, 0, "the old one goes on working for a while");
    golden!("token_rotate_dry_run", poolctl.run(&["token", "rotate", id, "--grace", "0s", "--dry-run"]));
    golden!("token_revoke_unconfirmed", poolctl.run(&["token", "revoke", id]));
    golden!("token_revoke", poolctl.run(&["token", "revoke", id, "--yes"]));
    assert_eq!(limited.run(&["stats"]).code, 4);
    assert_eq!(poolctl.run(&["token", "revoke", id, "--yes"]).code, 5);
}

#[cfg(unix)]
#[test]
fn a_token_goes_into_a_file_that_nobody_else_reads() {
    use std::os::unix::fs::PermissionsExt;
    let (_service, poolctl) = prod();
    let run = poolctl.run(&["token", "create", "ci", "--to", "token.txt"]);
    let path = poolctl.path().join("token.txt");
    let token = std::fs::read_to_string(&path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(token.starts_with("padm_") && !run.stdout.contains(token.trim()), "{run}");
    // A missing folder cannot be written to, and the new token is revoked.
    let run = poolctl.run(&["token", "create", "lost", "--to", "token.txt/token"]);
    assert_eq!(run.code, 1, "{run}");
    assert!(!poolctl.run(&["token", "list"]).stdout.contains("lost"));
}

#[test]
fn changes_are_audited() {
    let (_service, poolctl) = prod();
    poolctl.run(&["pool", "update", "prod", "--description", "the shop"]);
    poolctl.run(&["key", "disable", "prod", "--all", "--yes"]);
    golden!("audit", poolctl.run(&["audit", "--pool", "prod"]));
    let update = poolctl.run(&["audit", "--action", "pool.update", "-o", "json"]).json();
    assert_eq!(update["entries"][0]["after"]["description"], "the shop");
    assert_eq!(poolctl.run(&["audit", "--limit", "1", "-o", "jsonl"]).stdout.lines().count(), 1);
    assert_eq!(poolctl.run(&["audit", "--since", "now"]).code, 2);
}

#[test]
fn a_change_that_changes_nothing_says_so() {
    let (_service, poolctl) = prod();
    let one = ["--search", &gemini_key(1)[35..], "--yes"];
    let told = |args: &[&str]| {
        let run = poolctl.run(args);
        assert_eq!(run.code, 0, "{run}");
        run.stdout.trim().to_owned()
    };
    for (command, first, again) in [
        ("disable", "disabled 1 key in pool prod", "1 key already disabled"),
        ("enable", "enabled 1 key in pool prod", "1 key already enabled"),
    ] {
        let args = [&["key", command, "prod"], &one[..]].concat();
        assert_eq!((told(&args).as_str(), told(&args).as_str()), (first, again));
    }
    told(&[&["key", "disable", "prod"], &one[..]].concat());
    let mixed = told(&["key", "disable", "prod", "--all", "--yes"]);
    assert_eq!(mixed, "disabled 3 keys in pool prod, 1 key already disabled");
    for (args, first, again) in [
        (
            &["key", "weight", "prod", "--all", "--yes", "--to", "3"][..],
            "weight 3 set on",
            "4 keys already have weight 3",
        ),
        (&["key", "tag", "prod", "--all", "--yes", "--to", "x"], "tagged", "4 keys already have this tag"),
        (&["key", "set", "prod", "--all", "--yes", "--rpm", "5"], "changed", "4 keys unchanged"),
        (&["pool", "disable", "prod"], "disabled pool prod", ") already disabled"),
        (&["pool", "update", "prod", "--description", "d"], "updated pool prod", ") already updated"),
    ] {
        let (one, two) = (told(args), told(args));
        assert!(one.starts_with(first) && two.ends_with(again), "{one}: {two}");
    }
    let list = poolctl.run(&["audit", "--pool", "prod", "-o", "json"]).json();
    let times = list["entries"].as_array().unwrap().iter().map(|entry| entry["times"].as_u64().unwrap());
    assert_eq!(times.sum::<u64>(), 10, "{list}");
}

#[test]
fn a_trial_leaves_one_entry_in_the_audit_and_no_client_key() {
    let (_service, poolctl) = prod();
    let entries = || {
        let list = poolctl.run(&["audit", "-o", "json"]).json();
        list["entries"].as_array().unwrap().clone()
    };
    let before = entries().len();
    let run = poolctl.run(&["try", "prod"]);
    assert_eq!(run.code, 0, "{run}");
    let after = entries();
    assert_eq!((after.len(), after[0]["action"].as_str()), (before + 1, Some("pool.try")));
    assert!(!poolctl.run(&["client-key", "list", "prod"]).stdout.contains("poolctl test"));
}

#[test]
fn a_client_key_is_rotated() {
    let (service, poolctl) = prod();
    let created = poolctl.run(&["client-key", "create", "prod", "--name", "web", "-o", "json"]).json();
    let (id, old) = (created["client_key"]["id"].as_str().unwrap(), created["secret"].as_str().unwrap());
    let rotated = poolctl.run(&["client-key", "rotate", "prod", id, "--grace", "1h", "-o", "json"]).json();
    let new = rotated["secret"].as_str().unwrap();
    assert_eq!((service.chat(old), service.chat(new)), (200, 200));
    let list = poolctl.run(&["client-key", "list", "prod", "-o", "json"]).json();
    let expiring = |key: &&Value| !key["expires_at"].is_null();
    assert_eq!(list["client_keys"].as_array().unwrap().iter().filter(expiring).count(), 1);
    golden!("client_key_rotate", poolctl.run(&["client-key", "rotate", "prod", id, "--grace", "0s"]));
    assert_eq!(service.chat(old), 401);
    assert_eq!(poolctl.run(&["client-key", "rotate", "prod", "ck-0", "--dry-run"]).code, 5);
    assert_eq!(poolctl.run(&["client-key", "rotate", "prod", "ck-0"]).code, 5);
}

#[test]
fn the_rules_of_a_client_key_are_shown_and_changed() {
    let (service, poolctl) = prod();
    let rules = ["--rpm", "60", "--tpd", "1000000", "--models", "gemini-2.5-*,m", "--cidr", "127.0.0.0/8"];
    let create = [&["client-key", "create", "prod", "--name", "web"], &rules[..], &["-o", "json"]].concat();
    let secret = poolctl.run(&create).json()["secret"].as_str().unwrap().to_owned();
    let hidden = |mut run: common::Run| {
        run.stdout = run.stdout.replace(&secret[secret.len() - 4..], "HINT");
        run
    };
    golden!("client_key_show", hidden(poolctl.run(&["client-key", "show", "prod", "web"])));
    let list = poolctl.run(&["client-key", "list", "prod", "-o", "csv"]).stdout;
    assert!(list.contains(r#","60 rpm, 1000000 tpd","gemini-2.5-*, m",127.0.0.0/8,"#), "{list}");
    assert_eq!(service.chat(&secret), 200);

    let update = ["client-key", "update", "prod", "web", "--rpm", "none", "--rpd", "9", "--models", "m"];
    golden!("client_key_update", hidden(poolctl.run(&update)));
    assert_eq!(service.chat(&secret), 403, "the model is no longer on its list");
    let open = ["client-key", "update", "prod", "web", "--models", "all", "--cidr", "all", "--expires", "1d"];
    let run = poolctl.run(&[&open[..], &["-o", "json"]].concat()).json();
    assert_eq!(run["limits"], json!({"requests_per_day": 9, "tokens_per_day": 1_000_000}));
    assert!(run["allowed_models"].is_null() && run["allowed_networks"].is_null(), "{run}");
    assert!(run["expires_at"].is_string());
    assert_eq!(service.chat(&secret), 200);

    assert_eq!(poolctl.run(&["client-key", "update", "prod", "web"]).code, 2);
    let missing = poolctl.run(&["client-key", "update", "prod", "wob", "--rpm", "1"]);
    assert!(missing.code == 5 && missing.stderr.contains("did you mean web?"), "{missing}");
    assert_eq!(poolctl.run(&["client-key", "revoke", "prod", "web", "--yes"]).code, 0);
    assert_eq!(service.chat(&secret), 401);
}

#[test]
fn client_keys_of_another_system_are_imported() {
    let (service, poolctl) = prod();
    poolctl.file("old.txt", "# old\nsk-of-another-system-1,laptop\nsk-of-another-system-2\n");
    let import = ["client-key", "import", "prod", "--keys", "old.txt"];
    assert_eq!(poolctl.run(&[&import[..], &["--dry-run"]].concat()).code, 0);
    assert_eq!(service.chat("sk-of-another-system-1"), 401);
    golden!("client_key_import", poolctl.run(&import));
    assert_eq!(
        poolctl.run(&[&import[..], &["-o", "json"]].concat()).json(),
        json!({"added": 0, "duplicate": 2})
    );
    assert_eq!(service.chat("sk-of-another-system-1"), 200);
    poolctl.file("bad.txt", "sk-of-another-system-3\nno key\n");
    let run = poolctl.run(&["client-key", "import", "prod", "--keys", "bad.txt"]);
    assert!(run.code == 2 && run.stderr.contains("line 2"), "{run}");
    assert_eq!(service.chat("sk-of-another-system-3"), 401, "nothing was imported");
    poolctl.file("weak.txt", "sk-easy-to-try\n");
    let import = ["client-key", "import", "prod", "--keys", "weak.txt"];
    let run = poolctl.run(&import);
    assert!(run.code == 2 && run.stderr.contains("--weak"), "{run}");
    assert_eq!(service.chat("sk-easy-to-try"), 401);
    assert_eq!(poolctl.run(&[&import[..], &["--weak"]].concat()).code, 0);
    assert_eq!(service.chat("sk-easy-to-try"), 200);
}

#[test]
fn a_pool_is_copied() {
    let (service, poolctl) = prod();
    poolctl.run(&["pool", "models", "prod", "--alias", "gpt-4o=gemini-3.8-flash"]);
    golden!("pool_copy", poolctl.run(&["pool", "copy", "prod", "empty"]));
    let copied = poolctl.run(&["pool", "copy", "prod", "staging", "--keys", "-o", "json"]).json();
    assert_eq!(
        (&copied["copied"], &copied["pool"]["aliases"]["gpt-4o"]),
        (&json!(4), &json!("gemini-3.8-flash"))
    );
    assert_eq!(service.chat(copied["client_key"].as_str().unwrap()), 200);
    golden!("pool_copy_taken", poolctl.run(&["pool", "copy", "prod", "staging"]));
}

#[test]
fn the_models_that_there_are() {
    let (_service, poolctl) = prod();
    poolctl.run(&["pool", "models", "prod", "--allow", "gemini-2.5-*", "--alias", "fast=gemini-2.5-flash"]);
    let live = poolctl.run(&["pool", "models", "prod", "--live", "-o", "json"]).json();
    let find = |id: &str| {
        live["models"].as_array().unwrap().iter().find(|model| model["id"] == id).cloned().unwrap()
    };
    let flash = find("gemini-2.5-flash");
    assert_eq!((&flash["allowed"], &flash["aliases"]), (&json!(true), &json!(["fast"])));
    assert_eq!(poolctl.run(&["pool", "models", "prod", "--live", "--sticky", "on"]).code, 2);
}

#[cfg(unix)]
#[test]
fn a_token_of_one_pool_sees_that_pool_and_is_told_of_no_other() {
    let (service, poolctl) = prod();
    poolctl.run(&["pool", "create", "other", "-q"]);
    let create = ["token", "create", "oncall", "--scope", "stats:read", "--pool", "prod", "-o", "json"];
    let oncall = with_token(&service, &poolctl.run(&create).json()["secret"]);
    for command in [&["stats"][..], &["events"], &["limits", "prod"], &["stats", "prod"], &["top", "--once"]]
    {
        assert_eq!(oncall.run(command).code, 0, "{command:?}: {}", oncall.run(command));
    }
    assert!(oncall.run(&["stats", "-o", "json"]).json()["keys"].is_array());
    for command in [["events", "other"], ["stats", "other"], ["limits", "other"]] {
        assert_eq!(oncall.run(&command).code, 4, "{command:?}: {}", oncall.run(&command));
    }
}

#[test]
fn limits_are_shown_and_set() {
    let (_service, poolctl) = prod();
    golden!("limits_none", poolctl.run(&["limits", "prod"]));
    poolctl.run(&["key", "check", "prod", "--all", "-q"]);
    golden!("limits_learnt", poolctl.run(&["limits", "prod", "-o", "wide"]));
    let set = ["limits", "prod", "--set", "gemini-3.8-flash:rpm=10,rpd=250", "--set", "*:tpm=250000"];
    golden!("limits_dry_run", poolctl.run(&[&set[..], &["--dry-run"]].concat()));
    golden!("limits_set", poolctl.run(&set));
    let of_project = ["limits", "prod", "--set", "gemini-3.8-flash:rpd=1000", "--project", "projects/1"];
    assert_eq!(poolctl.run(&of_project).code, 0);
    golden!("limits_csv", poolctl.run(&["limits", "prod", "-o", "csv"]));
    golden!("limits_json", poolctl.run(&["limits", "prod", "--model", "gemini-3.8-flash", "-o", "json"]));
    assert!(poolctl.run(&["pool", "show", "prod"]).stdout.contains("gemini-3.8-flash: 10 rpm, 250 rpd; *: "));
    poolctl.run(&["limits", "prod", "--set", "gemini-3.8-flash:rpm=none", "--unset", "*"]);
    golden!("limits_unset", poolctl.run(&["limits", "prod", "-o", "jsonl"]));
    let wrong = poolctl.run(&["limits", "prod", "--unset", "gemini-3.9-flash"]);
    assert_eq!(wrong.code, 2, "{wrong}");
    let wrong = poolctl.run(&["limits", "prod", "--set", "gemini-3.8-flash:rps=1"]);
    assert_eq!(wrong.code, 2, "{wrong}");
    // Model limits are part of a backup and of an export.
    poolctl.run(&["backup", "--to", "limits.json", "-q"]);
    assert!(poolctl.run(&["export"]).stdout.contains("model_limits"), "{}", poolctl.run(&["export"]));
    poolctl.run(&["limits", "prod", "--unset", "gemini-3.8-flash"]);
    assert_eq!(poolctl.run(&["restore", "limits.json", "-o", "json"]).json()["changes"][0]["kind"], "pool");
    assert_eq!(poolctl.run(&["restore", "limits.json", "-o", "json"]).json()["changes"], json!([]));
}

#[test]
fn the_doctor_finds_what_is_wrong_and_says_what_helps() {
    let (service, poolctl) = prod();
    golden!("doctor", poolctl.run(&["doctor"]));
    poolctl.run(&["pool", "create", "empty", "-q"]);
    poolctl.run(&["pool", "create", "off", "-q"]);
    poolctl.run(&["pool", "disable", "off"]);
    let calls = service.gemini.requests().len();
    let run = poolctl.run(&["doctor", "--no-probe"]);
    assert_eq!(run.code, 1, "{run}");
    golden!("doctor_trouble", run);
    assert_eq!(service.gemini.requests().len(), calls, "nothing goes to Gemini");

    golden!("doctor_not_set_up", Poolctl::new().run(&["doctor"]));
    let wrong =
        Poolctl::new().env("POOLCTL_URL", "http://127.0.0.1:1").env("POOLCTL_TOKEN", &common::token());
    let run = wrong.run(&["doctor", "-o", "json"]);
    assert_eq!((run.code, &run.json()["checks"][1]["status"]), (1, &json!("fail")), "{run}");
    assert_eq!(
        poolctl.run_with(&["login", "--url", &service.server.url(), "--with-password"], PASSWORD).code,
        0
    );
}
