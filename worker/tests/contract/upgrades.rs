//! Upgrades from databases of earlier versions, kept as SQL in `tests/upgrades`.

use pool_fake_gemini::Behaviour;
use pool_shared::{
    ClientKeyCreated, ErrorCode, HealthStatus, KeyImportReport, MasterKeyRotation, MasterKeyRows, PoolList,
    WhoAmI,
};
use reqwest::Method;
use serde_json::json;

use super::harness::{Harness, Pool, databases_with, eventually, gemini_key, in_the_store, send};
use crate::support::{ADMIN_PASSWORD, MASTER_KEY, NEW_MASTER_KEY};

const CONFIG: &str = include_str!("../upgrades/1-config.sql");
const LEDGER: &str = include_str!("../upgrades/1-ledger.sql");

// Credentials issued by that version.
const TOKEN: &str = "padm_sksYcBscx5uWgYkxdFasgIMVRifniwTCgtE4TIxn2lWtJk";
const CLIENT_KEY: &str = "sk-pool-tSus3gnSH8lsryePDIapMk7jewOvGvD8w7vTmLRW3i7QGx";
const CLIENT_KEY_OF_OFF: &str = "sk-pool-BQfZmx003PLvcJf3hlybBaqtSRm7uWTOHyummk511mAiV7";
const POOL: &str = "pool-3bdc7f8737ceb830";
/// Attempts and successes that it had counted. The failed key may be rechecked at the start, which
/// counts.
const COUNTED: u64 = 8;
const WENT_WELL: u64 = 7;

/// Drops the tables, so that those of an earlier version can be created.
const WITHOUT_CONFIG: &str = "DROP TABLE admin_tokens; DROP TABLE client_keys; DROP TABLE keys; DROP TABLE pools;
    DROP TABLE schema_version; DROP TABLE secrets; DROP TABLE admin_token_uses; DROP TABLE login_tries; DROP TABLE audit;";
const WITHOUT_LEDGER: &str = "DROP TABLE ledger_log; DROP TABLE ledger_pages; DROP TABLE ledger_state;";
/// Marks the KV documents as pending, as such a version left them.
const UNPUBLISHED: &str = "INSERT INTO kv_outbox (name, sequence, failures)
    SELECT 'v1:pool:' || id, (SELECT sequence FROM kv_state), 0 FROM pools
    UNION ALL SELECT 'v1:client-key:' || hash, (SELECT sequence FROM kv_state), 0 FROM client_keys;";

/// Replaces the stored data with that of an earlier version.
async fn go_back(harness: &mut Harness) {
    harness.get("/stats").await;
    harness.stop_host().await;
    let folder = harness.data.path();
    in_the_store(folder, "admin_tokens", &format!("{WITHOUT_CONFIG}{CONFIG}"));
    for publishes in databases_with(folder, "kv_outbox") {
        publishes.execute_batch(UNPUBLISHED).unwrap();
    }
    in_the_store(folder, "ledger_log", &format!("{WITHOUT_LEDGER}{LEDGER}"));
    harness.start_host().await;
    TOKEN.clone_into(&mut harness.token);
}

pub async fn data_of_an_earlier_version_keeps_working(harness: &mut Harness) {
    harness.gemini.set_behaviour(&gemini_key("good"), Behaviour::Ok).unwrap();
    harness.gemini.set_behaviour(&gemini_key("bad"), Behaviour::Invalid).unwrap();
    go_back(harness).await;
    let pool = Pool { id: POOL.to_owned(), client_key: CLIENT_KEY.to_owned() };
    let off = Pool { client_key: CLIENT_KEY_OF_OFF.to_owned(), ..pool_of(POOL) };

    let who: WhoAmI = harness.get("/whoami").await.json(200);
    assert_eq!((who.name.as_str(), who.scopes, who.pool), ("laptop", None, None));
    let list: PoolList = harness.get("/pools").await.json(200);
    let names: Vec<_> = list.pools.iter().map(|pool| (pool.name.as_str(), pool.enabled, pool.keys)).collect();
    assert_eq!(names, [("off", false, 0), ("prod", true, 2)]);
    assert_eq!(list.pools[1].description, "from an earlier version");
    let keys = harness.keys(&pool).await;
    assert_eq!((keys[0].name.as_str(), keys[0].tag.as_str(), keys[0].weight.get()), ("good", "paid", 3));
    assert_eq!((keys[0].project.as_str(), keys[0].limits.requests_per_minute), ("p-1", Some(1000)));
    let total = harness.pool_stats(&pool).await.total;
    assert!(total.attempts >= COUNTED && total.successes == WENT_WELL, "{total:?}");
    // That version counted no requests.
    assert_eq!(harness.pool_stats(&pool).await.requests.total, 0);

    // An update publishes the current data to KV.
    harness.patch("/pools/off", &json!({"description": "changed"})).await.json::<pool_shared::Pool>(200);
    eventually("everything is published", async || {
        let health: pool_shared::Health = harness.get("/health").await.json(200);
        (health.store.status == HealthStatus::Ok).then_some(())
    })
    .await;
    assert_eq!(harness.chat(&pool, "hello").await.status, 200);
    harness.chat(&off, "hello").await.openai_error(403, Some("pool_disabled"));
    let total = harness.pool_stats(&pool).await.total;
    assert!(total.attempts > COUNTED && total.successes > WENT_WELL, "{total:?}");
    assert_eq!(harness.pool_stats(&pool).await.requests.total, 1);
    let import = json!({"keys": [{"key": gemini_key("good")}]});
    let report: KeyImportReport =
        harness.post(&format!("/pools/{POOL}/keys/import"), &import).await.json(200);
    assert_eq!((report.added, report.duplicate), (0, 1), "a key is still recognised");

    // Features that the version lacked.
    let limited = json!({"name": "limited", "limits": {"requests_per_day": 1}, "expires_in_s": 3600});
    let limited: ClientKeyCreated =
        harness.post(&format!("/pools/{POOL}/client-keys"), &limited).await.json(201);
    let limited = Pool { client_key: limited.secret.expose().to_owned(), ..pool_of(POOL) };
    assert_eq!(harness.chat(&limited, "hello").await.status, 200);
    harness.chat(&limited, "hello").await.openai_error(429, Some("rate_limit_exceeded"));
    harness.scoped_token(&[pool_shared::Scope::StatsRead], Some(&pool)).await;
    assert_eq!(harness.get("/audit").await.json::<pool_shared::AuditList>(200).entries.len(), 3);
    harness.restart_with_master_key(NEW_MASTER_KEY, Some(MASTER_KEY)).await;
    let rotated: MasterKeyRotation = harness.post("/master/rotate", &json!({})).await.json(200);
    assert_eq!(rotated.rows, Some(MasterKeyRows { current: 3, previous: 0, unreadable: 0 }));
    harness.restart_with_master_key(NEW_MASTER_KEY, None).await;
    assert_eq!(harness.chat(&pool, "hello").await.status, 200);
}

fn pool_of(id: &str) -> Pool {
    Pool { id: id.to_owned(), client_key: String::new() }
}

pub async fn a_database_of_a_later_version_is_rejected(harness: &mut Harness) {
    let pool = harness.pool(&[("good", Behaviour::Ok)]).await;
    harness.stop_host().await;
    in_the_store(harness.data.path(), "schema_version", "UPDATE schema_version SET version = 999");
    let is_named = |text: &str| {
        assert!(
            text.contains("schema version 999") && text.contains("this program knows version 1"),
            "{text}"
        );
    };
    if let Some(reason) = harness.restart_with_other_master_key(MASTER_KEY).await {
        return is_named(&reason);
    }
    for path in ["/health", "/pools"] {
        is_named(&harness.get(path).await.admin_error(503, ErrorCode::Unavailable).message);
    }
    let login = harness.request(Method::POST, "/admin/v1/login").json(&json!({"password": ADMIN_PASSWORD}));
    is_named(&send(login).await.admin_error(503, ErrorCode::Unavailable).message);
    // On KV the data plane reads published documents, not a database.
    if crate::KINDS[1] != "kv" {
        harness.chat(&pool, "hello").await.openai_error(503, Some("store_unavailable"));
        assert_eq!(send(harness.request(Method::GET, "/readyz")).await.status, 503);
    }
    in_the_store(harness.data.path(), "schema_version", "UPDATE schema_version SET version = 1");
}
