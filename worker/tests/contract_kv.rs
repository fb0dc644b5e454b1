//! Contract suite on workerd with only KV bound, and tests of KV and of migrations between stores.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "clippy.toml allows them in tests, but not in a test's own helper functions"
)]

mod contract;
#[path = "support/workerd_kv.rs"]
mod host;
mod support;

use contract::harness::{Fault, Harness, Pool, SQL_FAULT, files_below, gemini_key};
use host::Host;
use pool_fake_gemini::Behaviour;
use pool_shared::{ErrorCode, Health, KeyList, MigrationReport, MigrationStep, PoolList};
use serde_json::{Value, json};

/// Names of host, store and ledger in `GET health`.
const KINDS: [&str; 3] = ["cloudflare", "kv", "durable object"];

/// Parts of the paths of files that store a pool.
const STORED: &[&str] = &["/durable-objects/", "/blobs/"];
/// Fault of the store: the object's database, and the runtime's storage of KV.
const FAULTS: &[Fault] = &[
    SQL_FAULT,
    Fault {
        table: "_mf_entries",
        breaks: "ALTER TABLE _mf_entries RENAME COLUMN key TO broken",
        repairs: "ALTER TABLE _mf_entries RENAME COLUMN broken TO key",
    },
];

#[tokio::test]
async fn a_lost_object_is_restored_from_kv() {
    let mut harness = Harness::start().await;
    let pool = harness.weighted_pool("prod", &[("good", Behaviour::Ok, 1), ("off", Behaviour::Ok, 1)]).await;
    let off = harness.keys(&pool).await[1].id.clone();
    let change = json!({"ids": [off], "set": {"enabled": false, "tag": "old"}});
    harness.patch(&format!("/pools/{}/keys", pool.id), &change).await;
    let keys = harness.keys(&pool).await;
    harness.stop_host().await;
    std::fs::remove_dir_all(harness.data.path().join("durable-objects")).unwrap();
    harness.start_host().await;

    assert_eq!(harness.chat(&pool, "hello").await.status, 200, "the data plane never needed it");
    harness.get("/pools").await.admin_error(401, ErrorCode::Unauthorized);
    harness.token = harness.log_in().await;
    assert_eq!(harness.keys(&pool).await, keys);
    harness.patch("/pools/prod", &json!({"enabled": false})).await.json::<pool_shared::Pool>(200);
    harness.chat(&pool, "hello").await.openai_error(403, Some("pool_disabled"));
}

/// Restarts with both stores bound.
async fn bind_both(harness: &mut Harness, in_use: &str) {
    harness.stop_host().await;
    let mut deployment = Host::deployment(harness.gemini.url(), harness.data.path());
    deployment["d1"] = json!(true);
    deployment["bindings"]["CONFIG_STORE"] = json!(in_use);
    let host = Host::start_with(deployment, harness.data.path()).await;
    harness.put_host(host);
}

/// Restarts with only D1 bound.
async fn bind_d1(harness: &mut Harness) {
    harness.stop_host().await;
    let mut deployment = Host::deployment(harness.gemini.url(), harness.data.path());
    deployment["d1"] = json!(true);
    deployment["kv"] = json!(false);
    let host = Host::start_with(deployment, harness.data.path()).await;
    harness.put_host(host);
}

/// Migrates to the end, or this many steps.
async fn migrate(harness: &Harness, to: &str, dry_run: bool, steps: usize) -> MigrationReport {
    let mut request = json!({"to": to, "dry_run": dry_run});
    for step in 1.. {
        let answer: MigrationStep = harness.post("/migration", &request).await.json(200);
        request["cursor"] = json!(answer.cursor);
        if answer.cursor.is_none() || step == steps {
            return answer.report;
        }
    }
    unreachable!("a migration ends")
}

fn written(report: &MigrationReport) -> Vec<u64> {
    report.tables.iter().map(|table| table.written).collect()
}

/// Returns everything of the config that the admin API shows.
async fn everything(harness: &Harness, pools: &[&Pool]) -> Vec<Value> {
    let mut shown = vec![harness.get("/pools").await.json(200)];
    for pool in pools {
        shown.push(harness.get(&format!("/pools/{}/client-keys", pool.id)).await.json(200));
        let mut cursor = String::new();
        loop {
            let page = format!("/pools/{}/keys?limit=1000{cursor}", pool.id);
            let list: KeyList = harness.get(&page).await.json(200);
            shown.push(json!(list.keys));
            let Some(next) = list.next_cursor else { break };
            cursor = format!("&cursor={next}");
        }
    }
    shown
}

#[tokio::test]
async fn everything_moves_to_d1_and_back() {
    let mut harness = Harness::start().await;
    let small = harness.weighted_pool("small", &[("good", Behaviour::Ok, 3)]).await;
    let large = harness.weighted_pool("large", &[("other", Behaviour::Ok, 1)]).await;
    let entries = |from: usize| -> Vec<Value> {
        (from..from + 700)
            .map(|number| json!({"key": gemini_key(&format!("many-{number}")), "weight": 0}))
            .collect()
    };
    for from in [0, 700] {
        harness.post(&format!("/pools/{}/keys/import", large.id), &json!({"keys": entries(from)})).await;
    }
    bind_both(&mut harness, "kv").await;
    let before = everything(&harness, &[&small, &large]).await;

    let error =
        harness.post("/migration", &json!({"to": "kv"})).await.admin_error(400, ErrorCode::InvalidRequest);
    assert!(error.message.contains("kv is the active store"), "{}", error.message);
    let plan = migrate(&harness, "d1", true, usize::MAX).await;
    assert_eq!((written(&plan), plan.verified), (vec![2, 2, 1402, 1, 1], false));
    // Interrupted, resumed, and repeated.
    assert_eq!(migrate(&harness, "d1", false, 4).await.phase, "copy");
    let report = migrate(&harness, "d1", false, usize::MAX).await;
    assert!(report.verified && report.source_digest == report.target_digest, "{report:?}");
    assert_eq!(report.tables[2].target_rows, 1402);
    assert!(written(&report)[2] < 1402, "what was there was not written again");
    let again = migrate(&harness, "d1", false, usize::MAX).await;
    assert_eq!((written(&again), again.verified), (vec![0; 5], true));

    bind_d1(&mut harness).await;
    assert_eq!(harness.get("/health").await.json::<Health>(200).store.kind, "d1");
    assert_eq!(everything(&harness, &[&small, &large]).await, before, "with the same admin token");
    assert_eq!(harness.chat(&small, "hello").await.status, 200);
    assert_eq!(harness.chat(&large, "hello").await.status, 200);

    // Changed there, and migrated back over what KV still holds.
    harness.patch("/pools/small", &json!({"name": "renamed"})).await;
    harness.delete(&format!("/pools/{}", large.id)).await.no_content();
    let third = harness.weighted_pool("large", &[("third", Behaviour::Ok, 1)]).await;
    bind_both(&mut harness, "d1").await;
    let before = everything(&harness, &[&small, &third]).await;
    assert!(migrate(&harness, "kv", false, usize::MAX).await.verified);
    harness.stop_host().await;
    harness.start_host().await;
    assert_eq!(harness.get("/health").await.json::<Health>(200).store.kind, "kv");
    assert_eq!(everything(&harness, &[&small, &third]).await, before);
    assert_eq!(harness.chat(&small, "hello").await.status, 200);
    assert_eq!(harness.chat(&third, "hello").await.status, 200);
    harness.chat(&large, "hello").await.openai_error(401, Some("invalid_api_key"));
    let names: Vec<_> =
        harness.get("/pools").await.json::<PoolList>(200).pools.into_iter().map(|pool| pool.name).collect();
    assert_eq!(names, ["large", "renamed"]);
}

#[tokio::test]
async fn kv_holds_only_pools_and_their_client_keys() {
    let harness = Harness::start().await;
    let pool = harness.pool(&[("good", Behaviour::Ok)]).await;
    let names = || {
        let files = files_below(&harness.data.path().join("kv"));
        let file = files.iter().find(|path| path.extension().is_some_and(|kind| kind == "sqlite")).unwrap();
        let file = rusqlite::Connection::open(file).unwrap();
        let mut names = file.prepare("SELECT key FROM _mf_entries ORDER BY key").unwrap();
        names.query_map([], |row| row.get::<_, String>(0)).unwrap().collect::<Result<Vec<_>, _>>().unwrap()
    };
    let held = names();
    assert_eq!(held.len(), 3, "{held:?}");
    assert!(held[0].starts_with("v1:client-key:") && held[1] == format!("v1:pool:{}", pool.id));
    // The encrypted HMAC keys, by which a different master key is detected.
    assert_eq!(held[2], "v1:secret:hash_keys");
    harness.delete(&format!("/pools/{}", pool.id)).await.no_content();
    assert_eq!(names(), ["v1:secret:hash_keys"]);
}
