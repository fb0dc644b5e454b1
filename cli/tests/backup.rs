//! Golden runs against the real service: exports of keys, backups and restores.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking; the lints' own exception stops at the #[test] functions"
)]

mod common;

use common::{
    gemini_key,
    service::{Service, names, prod, with_token},
};
use serde_json::json;

#[test]
fn keys_leave_only_when_they_are_meant_to() {
    use std::os::unix::fs::PermissionsExt;
    let (service, poolctl) = prod();
    golden!("key_export_hidden", poolctl.run(&["key", "export", "prod", "--to", "out.txt"]));
    golden!("key_export", poolctl.run(&["key", "export", "prod", "--to", "out.txt", "--reveal"]));
    let path = poolctl.path().join("out.txt");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!((1..=4).all(|number| text.contains(&gemini_key(number))), "{text}");
    golden!("key_export_there", poolctl.run(&["key", "export", "prod", "--to", "out.txt", "--reveal"]));
    let again = poolctl.run(&["key", "import", "prod", "--keys", "out.txt", "-o", "json"]).json();
    assert_eq!(again, json!({"added": 0, "duplicate": 4, "malformed": []}));

    let create = ["token", "create", "ci", "--scope", "pools", "-o", "json"];
    let limited = with_token(&service, &poolctl.run(&create).json()["secret"]);
    let run = limited.run(&["key", "export", "prod", "--to", "out.txt", "--reveal"]);
    assert_eq!(run.code, 4, "{run}");
    assert!(!limited.path().join("out.txt").exists());
}

#[test]
fn a_backup_brings_everything_back() {
    let (service, poolctl) = prod();
    poolctl.run(&["pool", "models", "prod", "--alias", "gpt-4o=gemini-3.8-flash", "--sticky", "on"]);
    poolctl.run(&["pool", "update", "prod", "--pass-through", "on"]);
    poolctl.run(&["key", "set", "prod", "--search", "0001", "--weight", "7", "--project", "p-1", "--yes"]);
    poolctl.run(&["key", "disable", "prod", "--search", "0002", "--yes"]);
    golden!("backup_hidden", poolctl.run(&["backup", "--to", "full.json", "--keys"]));
    golden!("backup", poolctl.run(&["backup", "--to", "full.json", "--keys", "--reveal"]));
    golden!("backup_there", poolctl.run(&["backup", "--to", "full.json"]));
    let run = poolctl.run(&["backup", "--to", "plain.json", "-q"]);
    assert_eq!(run.code, 0, "{run}");
    let plain = std::fs::read_to_string(poolctl.path().join("plain.json")).unwrap();
    assert!(!plain.contains("AIza"), "{plain}");
    golden!("restore_nothing", poolctl.run(&["restore", "full.json"]));

    poolctl.run(&["pool", "delete", "prod", "--yes"]);
    golden!("restore_dry_run", poolctl.run(&["restore", "full.json", "--dry-run"]));
    let restored = poolctl.run(&["restore", "full.json", "-o", "json"]);
    assert_eq!(restored.code, 0, "{restored}");
    let client_key = restored.json()["client_keys"][0]["client_key"].as_str().unwrap().to_owned();
    assert_eq!(service.chat(&client_key), 200);
    let pool = poolctl.run(&["pool", "show", "prod", "-o", "json"]).json();
    assert_eq!((&pool["keys"], &pool["enabled_keys"]), (&json!(4), &json!(3)));
    assert_eq!((&pool["sticky"], &pool["pass_through"]), (&json!(true), &json!(true)));
    let key =
        poolctl.run(&["key", "list", "prod", "--search", "0001", "-o", "json"]).json()["keys"][0].clone();
    assert_eq!((&key["weight"], &key["project"]), (&json!(7), &json!("p-1")));
    assert_eq!(names(&poolctl, &["--disabled"]), ["AIza…0002"]);
    poolctl.file("broken.json", "{\"format\": 1, \"key\": \"AIzaSyA-secret\"");
    golden!("restore_broken", poolctl.run(&["restore", "broken.json"]));
}

#[test]
fn a_backup_brings_client_keys_back() {
    let (service, poolctl) = prod();
    let create = ["client-key", "create", "prod", "--name", "ci", "--rpm", "60", "--models", "gemini-*"];
    let secret = poolctl.run(&[&create[..], &["--expires", "30d", "-o", "json"]].concat()).json();
    let secret = secret["secret"].as_str().unwrap().to_owned();
    poolctl.run(&["backup", "--to", "rules.json", "-q"]);
    assert!(!std::fs::read_to_string(poolctl.path().join("rules.json")).unwrap().contains("hash"));
    golden!("backup_client_keys", poolctl.run(&["backup", "--to", "full.json", "--client-keys"]));
    golden!("restore_client_keys_nothing", poolctl.run(&["restore", "full.json", "--prune", "--yes"]));

    poolctl.run(&["client-key", "update", "prod", "ci", "--rpm", "none", "--tpd", "5", "--models", "all"]);
    poolctl.run(&["client-key", "create", "prod", "--name", "later", "-q"]);
    for file in ["rules.json", "full.json"] {
        golden!("restore_client_keys_dry_run", poolctl.run(&["restore", file, "--dry-run"]));
    }
    assert_eq!(poolctl.run(&["restore", "rules.json"]).code, 0);
    let rules = poolctl.run(&["client-key", "show", "prod", "ci", "-o", "json"]).json();
    assert_eq!(rules["limits"], json!({"requests_per_minute": 60}));
    assert_eq!(rules["allowed_models"], json!(["gemini-*"]));
    let pruned = poolctl.run(&["restore", "full.json", "--prune", "--yes"]);
    golden!("restore_client_keys_prune", pruned);

    poolctl.run(&["pool", "delete", "prod", "--yes"]);
    golden!("restore_client_keys_pool", poolctl.run(&["restore", "full.json"]));
    assert_eq!(service.chat(&secret), 503, "it works again, in a pool without Gemini keys");
    assert_eq!(
        poolctl.run(&["restore", "full.json", "--prune", "--dry-run", "-o", "json"]).json()["changes"],
        json!([])
    );
    // Without hashes, the client keys get new secrets.
    poolctl.run(&["client-key", "revoke", "prod", "ci", "--yes"]);
    let restored = poolctl.run(&["restore", "rules.json", "-o", "json"]).json();
    assert_eq!(restored["client_keys"][0]["name"], "ci");
    let again = poolctl.run(&["restore", "rules.json", "--prune", "--dry-run", "-o", "json"]).json();
    assert_eq!(again["changes"], json!([]));
    assert_eq!(service.chat(&secret), 401);

    let other = Service::start();
    let elsewhere = other.poolctl();
    std::fs::copy(poolctl.path().join("full.json"), elsewhere.path().join("full.json")).unwrap();
    let run = elsewhere.run(&["restore", "full.json", "--dry-run"]);
    golden!("restore_client_keys_elsewhere", run);
}
