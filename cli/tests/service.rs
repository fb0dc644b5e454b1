//! Commands against the real service in this process, with the mock Gemini server.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking; the lints' own exception stops at the #[test] functions"
)]

mod common;

use common::{Poolctl, gemini_key, service::Service};
use serde_json::{Value, json};

fn ids(list: &Value) -> Vec<String> {
    list["keys"].as_array().unwrap().iter().map(|key| key["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_pool_from_its_creation_to_its_end() {
    let service = Service::start();
    let poolctl = service.poolctl();
    assert_eq!(poolctl.run(&["health"]).code, 0);

    poolctl.file(
        "keys.txt",
        format!("{}\nshort\n{},2,project-7\n{}\n", gemini_key(1), gemini_key(2), gemini_key(1)),
    );
    let created = poolctl.run(&["pool", "create", "prod", "--keys", "keys.txt", "-o", "json"]);
    assert_eq!(created.code, 3, "{created}");
    let created = created.json();
    assert_eq!((&created["import"]["added"], &created["import"]["duplicate"]), (&json!(2), &json!(1)));
    assert_eq!(created["import"]["malformed"][0]["line"], 2);
    let client_key = created["client_key"].as_str().unwrap();

    assert_eq!(service.chat(client_key), 200);
    let stats = poolctl.run(&["stats", "prod", "-o", "json"]).json();
    assert_eq!((&stats["total"]["attempts"], &stats["total"]["successes"]), (&json!(1), &json!(1)));
    assert_eq!(stats["models"][0]["model"], "gemini-2.5-flash");
    let served: u64 =
        [1, 2].map(|number| service.gemini.counts().key(&gemini_key(number)).requests).iter().sum();
    assert_eq!(served, 1);
    assert!(poolctl.run(&["stats"]).stdout.contains("prod"));

    assert_eq!(poolctl.run(&["pool", "disable", "prod"]).code, 0);
    assert_eq!(service.chat(client_key), 403);
    assert_eq!(poolctl.run(&["pool", "enable", "prod"]).code, 0);
    let run = poolctl.run(&["pool", "update", "prod", "--name", "main pool", "--description", "ours"]);
    assert_eq!(run.code, 0, "{run}");
    assert!(poolctl.run(&["pool", "show", "main pool"]).stdout.contains("description  ours"));

    assert_eq!(poolctl.run(&["pool", "delete", "main pool", "-y"]).code, 0);
    assert_eq!(service.chat(client_key), 401);
    assert_eq!(poolctl.run(&["pool", "list", "-o", "json"]).json(), json!({"pools": []}));
}

#[test]
fn keys_are_imported_selected_changed_and_removed() {
    let service = Service::start();
    let poolctl = service.poolctl();
    let lines: Vec<_> =
        (0..2_500).map(|number| format!("{},1,tag-{}", gemini_key(number), number % 2)).collect();
    poolctl.file("keys.txt", lines.join("\n"));
    let created = poolctl.run(&["pool", "create", "big", "--keys", "keys.txt", "-o", "json"]);
    assert_eq!(created.json()["import"]["added"], 2_500);
    assert_eq!(created.json()["pool"]["keys"], 2_500);
    let again = poolctl.run(&["key", "import", "big", "--keys", "keys.txt", "-o", "json"]);
    assert_eq!(again.json(), json!({"added": 0, "duplicate": 2_500, "malformed": []}));

    let list = poolctl.run(&["key", "list", "big", "--search", "tag-1", "-o", "json"]).json();
    assert_eq!((ids(&list).len(), &list["total"]), (1_250, &json!(1_250)));
    let run = poolctl.run(&["key", "disable", "big", "--search", "tag-1", "--yes", "-o", "json"]);
    assert_eq!((run.code, &run.json()["changed"]), (0, &json!(1_250)));
    assert_eq!(poolctl.run(&["pool", "show", "big", "-o", "json"]).json()["enabled_keys"], 1_250);

    let one = ids(&list)[0].clone();
    assert_eq!(poolctl.run(&["key", "enable", "big", &one]).stdout, "enabled 1 key in pool big\n");
    assert_eq!(poolctl.run(&["key", "weight", "big", &one, "key-0", "--to", "7"]).code, 3);
    let found = poolctl.run(&["key", "list", "big", "--search", &one, "-o", "json"]).json();
    assert_eq!((&found["keys"][0]["weight"], &found["keys"][0]["enabled"]), (&json!(7), &json!(true)));

    let run = poolctl.run_with(&["key", "remove", "big", "-", "--yes", "-o", "json"], &format!("{one}\n"));
    assert_eq!(run.json()["changed"], 1);
    let run = poolctl.run(&["key", "remove", "big", "--disabled", "--yes", "-o", "json"]);
    assert_eq!(run.json()["changed"], 1_249);
    assert_eq!(poolctl.run(&["key", "list", "big", "--limit", "1", "-o", "json"]).json()["total"], 1_250);
}

#[test]
fn client_keys_come_and_go() {
    let service = Service::start();
    let poolctl = service.poolctl();
    poolctl.run_with(&["pool", "create", "prod", "--keys", "-"], &gemini_key(1));
    let created = poolctl.run(&["client-key", "create", "prod", "--name", "laptop", "-o", "json"]).json();
    let (id, secret) = (created["client_key"]["id"].as_str().unwrap(), created["secret"].as_str().unwrap());
    assert_eq!(service.chat(secret), 200);
    let list = poolctl.run(&["client-key", "list", "prod"]).stdout;
    assert!(list.contains(id) && !list.contains(secret), "{list}");
    assert_eq!(poolctl.run(&["client-key", "revoke", "prod", id, "--yes"]).code, 0);
    assert_eq!(service.chat(secret), 401);
    assert_eq!(poolctl.run(&["client-key", "revoke", "prod", id, "--yes"]).code, 5);
}

#[test]
fn what_the_service_refuses() {
    let service = Service::start();
    let poolctl = service.poolctl();
    poolctl.run(&["pool", "create", "prod"]);
    insta::assert_snapshot!("unknown_pool", poolctl.run(&["pool", "show", "prd"]));
    insta::assert_snapshot!("unknown_pool_stats", poolctl.run(&["stats", "pord"]));
    insta::assert_snapshot!("name_taken", poolctl.run(&["pool", "create", "prod"]));
    insta::assert_snapshot!(
        "wrong_password",
        poolctl.run_with(&["login", "--url", &service.server.url(), "--with-password"], "wrong")
    );

    let whoami = poolctl.run(&["whoami", "-o", "json"]).json();
    assert_eq!(whoami["identity"]["api_version"], 1);
    let credentials = poolctl.path().join("config/credentials.toml");
    let kept = std::fs::read_to_string(&credentials).unwrap();
    assert_eq!(poolctl.run(&["logout", "-o", "json"]).json()["revoked"], true);
    // The token is revoked at the service too.
    std::fs::write(&credentials, kept).unwrap();
    insta::assert_snapshot!("revoked_token", poolctl.run(&["pool", "list"]));

    service.runtime.block_on(service.server.shut_down());
    assert_eq!(poolctl.run(&["pool", "list"]).code, 7);
}

#[test]
fn names_that_another_model_answers_are_warned_of() {
    let service = Service::start();
    let poolctl = service.poolctl();
    poolctl.file("keys.txt", gemini_key(1));
    poolctl.run(&["pool", "create", "prod", "--keys", "keys.txt"]);
    let clean = poolctl.run(&["pool", "models", "prod", "--alias", "new=gemini-3.8-flash", "-o", "json"]);
    assert_eq!(clean.json()["notices"], json!([]), "{clean}");
    let told = "gemini-3.5-flash is answered and billed as gemini-3.6-flash from 2026-10-08 on";
    let models = poolctl.run(&["pool", "models", "prod", "--alias", "gpt-4o=gemini-3.5-flash"]);
    assert!(models.stdout.contains(&format!("alias gpt-4o: {told}")), "{models}");
    let health = poolctl.run(&["health"]);
    assert_eq!(health.code, 0, "{health}");
    assert!(health.stdout.contains(&format!("pool prod, alias gpt-4o: {told}")), "{health}");
    let doctor = poolctl.run(&["doctor", "--no-probe", "-o", "json"]);
    assert_eq!(doctor.code, 0, "a warning: {doctor}");
    let checks = doctor.json()["checks"].clone();
    let warned = checks.as_array().unwrap().iter().find(|check| check["name"] == "models prod").unwrap();
    assert_eq!(warned["status"], "warn");
    // A token of another pool cannot read this one.
    poolctl.run(&["pool", "create", "other"]);
    let token =
        poolctl.run(&["token", "create", "narrow", "--pool", "other", "--scope", "stats:read", "-o", "json"]);
    let secret = token.json()["secret"].as_str().unwrap().to_owned();
    let other = Poolctl::new().env("POOLCTL_URL", &service.server.url()).env("POOLCTL_TOKEN", &secret);
    let health = other.run(&["health", "-o", "json"]);
    assert_eq!((health.code, health.json().get("models")), (0, None), "{health}");
}
