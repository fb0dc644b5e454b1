//! Master key rotation.

use pool_fake_gemini::Behaviour;
use pool_shared::{
    ErrorCode, ExportedKeys, Health, HealthStatus, KeyImportReport, MasterKeyRotation, MasterKeyRows,
    PoolList,
};
use reqwest::Method;
use serde_json::json;

use super::harness::{Harness, Pool, eventually, gemini_key, send};
use super::privacy::look_for;
use crate::support::{MASTER_KEY, NEW_MASTER_KEY};

const fn rows_of(current: u64, previous: u64) -> MasterKeyRows {
    MasterKeyRows { current, previous, unreadable: 0 }
}

async fn rotate(harness: &Harness) -> MasterKeyRotation {
    harness.post("/master/rotate", &json!({})).await.json(200)
}

async fn rows_by_health(harness: &Harness) -> Option<MasterKeyRows> {
    harness.get("/health").await.json::<Health>(200).master_key
}

pub async fn master_key_rotation_re_encrypts_everything(harness: &mut Harness) {
    let old = harness.weighted_pool("old", &[("good", Behaviour::Ok, 1)]).await;
    let weak = Pool { id: old.id.clone(), client_key: "a-client-key-of-another-system".to_owned() };
    let imported = json!({"keys": [{"key": weak.client_key}]});
    harness.post(&format!("/pools/{}/client-keys/import", old.id), &imported).await;
    let session = harness.open_session().await;
    let gone = harness.weighted_pool("gone", &[]).await;
    harness.delete(&format!("/pools/{}", gone.id)).await.no_content();
    let before: PoolList = harness.get("/pools").await.json(200);
    assert_eq!(rows_by_health(harness).await, None);

    // With both keys configured, old data works and new data uses the new key.
    harness.restart_with_master_key(NEW_MASTER_KEY, Some(MASTER_KEY)).await;
    assert_eq!(harness.chat(&old, "hello").await.status, 200);
    assert_eq!(harness.get("/pools").await.json::<PoolList>(200), before);
    let new = harness.weighted_pool("new", &[("other", Behaviour::Ok, 1)]).await;
    // The old pool's data key, and the HMAC keys.
    assert_eq!(rows_by_health(harness).await, Some(rows_of(1, 2)));

    let rotated = rotate(harness).await;
    assert_eq!((rotated.cursor, rotated.rewrapped, rotated.rows), (None, 2, Some(rows_of(3, 0))));
    let again = rotate(harness).await;
    assert_eq!((again.rewrapped, again.rows), (0, Some(rows_of(3, 0))));
    assert_eq!(rows_by_health(harness).await, Some(rows_of(3, 0)));
    eventually("everything is published", async || {
        let health: Health = harness.get("/health").await.json(200);
        (health.store.status == HealthStatus::Ok).then_some(())
    })
    .await;

    // Without the previous key, the same admin token, client keys and Gemini keys work.
    harness.restart_with_master_key(NEW_MASTER_KEY, None).await;
    for pool in [&old, &new, &weak] {
        assert_eq!(harness.chat(pool, "hello").await.status, 200);
    }
    let whoami = harness.as_own_page(harness.request(Method::GET, "/admin/v1/whoami"), &session);
    assert_eq!(send(whoami).await.status, 200, "the session of a browser goes on");
    assert_eq!(harness.get("/pools").await.json::<PoolList>(200).pools.len(), 2);
    assert_eq!(rows_by_health(harness).await, None);
    let import = json!({"keys": [{"key": gemini_key("good")}]});
    let report: KeyImportReport =
        harness.post(&format!("/pools/{}/keys/import", old.id), &import).await.json(200);
    assert_eq!((report.added, report.duplicate), (0, 1), "a key is still recognised");
    harness.log_in().await;

    let secrets = [old.client_key.clone(), harness.token.clone(), gemini_key("good")];
    let keys = [MASTER_KEY, NEW_MASTER_KEY].map(str::to_owned);
    look_for(&[secrets.as_slice(), &keys].concat(), harness.data.path(), &old);

    // The old master key decrypts nothing.
    decrypts_nothing(harness, &old, MASTER_KEY).await;
}

/// Runs the service with a master key that does not fit its data. It fails to start with a reason,
/// or responds with errors of its own.
async fn decrypts_nothing(harness: &mut Harness, pool: &Pool, master_key: &str) {
    if let Some(reason) = harness.restart_with_other_master_key(master_key).await {
        assert!(reason.contains("MASTER_KEY is not the key that this store was encrypted with"), "{reason}");
        return;
    }
    harness.chat(pool, "hello").await.openai_error(503, Some("not_set_up"));
    let token = harness.token.clone();
    harness.get("/pools").await.admin_error(503, ErrorCode::Misconfigured);
    // Only login works. It shows the cause and changes nothing.
    harness.token = harness.log_in().await;
    let health: Health = harness.get("/health").await.json(200);
    let encryption = health.encryption.unwrap();
    assert_eq!((health.status, encryption.status), (HealthStatus::Failing, HealthStatus::Failing));
    assert!(encryption.message.unwrap().contains("MASTER_KEY is not the key"));
    for path in ["/pools", "/tokens", "/master/rotate"] {
        let body = json!({"name": "new"});
        harness.post(path, &body).await.admin_error(503, ErrorCode::Misconfigured);
    }
    harness.token = token;
}

pub async fn pools_get_new_data_keys(harness: &mut Harness) {
    let keys = [("good", Behaviour::Ok, 1), ("reserve", Behaviour::Ok, 0)];
    let pools = [harness.weighted_pool("one", &keys).await, harness.weighted_pool("two", &keys[..1]).await];
    let (mut body, mut resealed) = (json!({"data_keys": true}), 0);
    let rows = loop {
        let step: MasterKeyRotation = harness.post("/master/rotate", &body).await.json(200);
        assert_eq!(harness.chat(&pools[0], "hello").await.status, 200);
        resealed += step.rewrapped;
        let Some(cursor) = step.cursor else { break step.rows };
        body["cursor"] = json!(cursor);
    };
    assert_eq!((resealed, rows), (3, Some(rows_of(3, 0))));
    let report: KeyImportReport = harness
        .post(&format!("/pools/{}/keys/import", pools[1].id), &json!({"keys": [{"key": gemini_key("new")}]}))
        .await
        .json(200);
    assert_eq!(report.added, 1);
    harness.stop_host().await;
    harness.start_host().await;
    for pool in &pools {
        assert_eq!(harness.chat(pool, "hello").await.status, 200);
        let exported = harness.post(&format!("/pools/{}/keys/export", pool.id), &json!({})).await;
        assert_eq!(exported.json::<ExportedKeys>(200).keys.len(), 2);
    }
}

pub async fn a_different_master_key_decrypts_nothing(harness: &mut Harness) {
    let pool = harness.pool(&[("good", Behaviour::Ok)]).await;
    decrypts_nothing(harness, &pool, NEW_MASTER_KEY).await;
    // The data is unchanged.
    harness.restart_with_master_key(MASTER_KEY, None).await;
    assert_eq!(harness.chat(&pool, "hello").await.status, 200);
    harness.get("/pools").await.json::<PoolList>(200);
}

pub async fn a_previous_master_key_that_encrypted_nothing_changes_nothing(harness: &mut Harness) {
    let pool = harness.pool(&[("good", Behaviour::Ok)]).await;
    harness.restart_with_master_key(MASTER_KEY, Some(NEW_MASTER_KEY)).await;
    assert_eq!(harness.chat(&pool, "hello").await.status, 200);
    let health: Health = harness.get("/health").await.json(200);
    assert_eq!((health.status, health.master_key), (HealthStatus::Ok, Some(rows_of(2, 0))));
    assert!(health.encryption.unwrap().message.unwrap().contains("MASTER_KEY_PREV"));
}
