//! Rotations that are interrupted at every call of the store, before and after its write.

use http::Method;
use pool_shared::{KeyImportReport, MasterKeyRotation, MasterKeyRows, PoolId};
use serde_json::json;

use super::*;
use crate::platform::Platform;
use crate::sql::Statement;
use crate::store::sql::SqlDatabase;
use crate::store::{Change, ConfigStore, Page, StoreError};

/// More pools than a step of a master key rotation takes.
const POOLS: u64 = 22;
/// A step of a data key rotation takes one.
const FEW_POOLS: u64 = 4;

impl World {
    /// Creates pools with up to two keys each, and returns all but `prod`.
    async fn of_pools(count: u64) -> (Self, Vec<PoolCreated>) {
        let world = Self::new().await;
        let mut pools = Vec::new();
        for number in 1..count {
            let keys: Vec<_> = (1..=number % 3)
                .map(|key| json!({"key": format!("AIzaSyA-{number:02}-{key}aaaaaaaaaaaaaaaaaaaaa")}))
                .collect();
            let body = json!({"name": format!("team {number}"), "import": {"keys": keys}}).to_string();
            let created = world.post_on(&world.service, "/pools", &body).await.unwrap();
            pools.push(serde_json::from_value(created).unwrap());
        }
        (world, pools)
    }

    /// Returns the response if it is a success.
    async fn post_on(&self, service: &Arc<Service>, path: &str, body: &str) -> Option<serde_json::Value> {
        let path = format!("/admin/v1{path}");
        let (reply, body) = self.host.send(service, Method::POST, &path, &self.admin, body).await;
        reply.status.is_success().then(|| serde_json::from_str(&body).unwrap())
    }

    /// Rotates to the end, or to the first step that fails.
    async fn rotate(&self, service: &Arc<Service>, data_keys: bool) -> Option<MasterKeyRotation> {
        let mut body = json!({"data_keys": data_keys});
        for _ in 0..1_000 {
            let step = self.post_on(service, "/master/rotate", &body.to_string()).await?;
            let step: MasterKeyRotation = serde_json::from_value(step).unwrap();
            let Some(cursor) = &step.cursor else { return Some(step) };
            body["cursor"] = json!(cursor);
        }
        panic!("a rotation ends");
    }

    async fn run(&self, sql: &'static str) -> Vec<String> {
        let batch = vec![Statement::new(sql, [])];
        self.host.parts.database.batch(batch).await.unwrap().pop().unwrap().rows
    }

    /// Asserts that the service decrypts every pool's keys.
    async fn assert_serves(&self, service: &Arc<Service>, pools: &[PoolCreated]) {
        for pool in pools.iter().filter(|pool| pool.pool.keys > 0) {
            let key = &pool.client_key;
            let (reply, body) =
                self.host.send(service, Method::POST, "/v1/chat/completions", key, CHAT).await;
            assert_eq!(reply.status, StatusCode::OK, "{}: {body}", pool.pool.name);
        }
    }
}

fn all(current: u64) -> MasterKeyRows {
    MasterKeyRows { current, previous: 0, unreadable: 0 }
}

/// Interrupts `rotation` at each of its store calls, and restarts it.
async fn broken_off_everywhere(data_keys: bool, check: impl AsyncFn(&World, &[PoolCreated])) {
    for mode in [Mode::Fails, Mode::FailsAfterwards] {
        for passing in 0.. {
            let count = if data_keys { FEW_POOLS } else { POOLS };
            let (world, pools) = World::of_pools(count).await;
            let rotating = world.host.service_with_master_key(NEW_MASTER_KEY, Some(MASTER_KEY));
            // It reads the HMAC keys first.
            world.post_on(&rotating, "/pools/prod/keys/check", "{}").await;
            world.host.parts.database.switch.set_once(passing, mode);
            let broken_off = world.rotate(&rotating, data_keys).await.is_none();
            world.host.parts.database.switch.set_once(1 << 40, Mode::Works);
            world.assert_serves(&rotating, &pools).await;
            if data_keys {
                world.rotate(&rotating, true).await.unwrap();
            }
            assert_eq!(world.rotate(&rotating, false).await.unwrap().rows, Some(all(count + 1)));
            check(&world, &pools).await;
            if !broken_off {
                assert!(passing > 4, "it makes several calls");
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_rotation_that_was_broken_off_anywhere_is_begun_again_and_completed() {
    broken_off_everywhere(false, async |world, pools| {
        let alone = world.host.service_with_master_key(NEW_MASTER_KEY, None);
        world.assert_serves(&alone, pools).await;
        assert!(world.post_on(&alone, "/tokens", "{}").await.is_some(), "the same admin token");
    })
    .await;
}

#[tokio::test]
async fn new_data_keys_that_were_broken_off_anywhere_are_begun_again_and_completed() {
    broken_off_everywhere(true, async |world, pools| {
        let alone = world.host.service_with_master_key(NEW_MASTER_KEY, None);
        world.assert_serves(&alone, pools).await;
        // One key in each: 12 bytes of nonce, 32 of key, 16 of tag.
        for length in world.run("SELECT json_quote(length(data_key)) AS row FROM pools").await {
            assert_eq!(length, "83");
        }
    })
    .await;
}

#[tokio::test]
async fn the_data_keys_of_before_open_nothing_after_a_rotation_of_them() {
    let (world, pools) = World::of_pools(POOLS).await;
    let before = "CREATE TABLE before AS SELECT pools.id, data_key, sealed, keys.id AS key_id FROM pools JOIN keys ON pool_id = pools.id";
    world.run(before).await;
    let done = world.rotate(&world.service, true).await.unwrap();
    assert_eq!((done.rows, done.unreadable_keys), (Some(all(POOLS + 1)), 0));
    let same = "SELECT json_quote(count(*)) AS row FROM before JOIN keys ON keys.id = key_id WHERE keys.sealed = before.sealed";
    assert_eq!(world.run(same).await, ["0"]);
    // Stolen data keys that are written back decrypt no key.
    world.run("UPDATE pools SET version = version + 1, data_key = coalesce((SELECT data_key FROM before WHERE id = pools.id), data_key)").await;
    let thief = world.host.service();
    for pool in pools.iter().filter(|pool| pool.pool.keys > 0) {
        let key = &pool.client_key;
        let (reply, _) = world.host.send(&thief, Method::POST, "/v1/chat/completions", key, CHAT).await;
        assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
    }
}

#[tokio::test]
async fn what_is_imported_while_data_keys_change_is_never_lost() {
    let (world, pools) = World::of_pools(POOLS).await;
    let pool = &pools[1];
    let path = format!("/pools/{}/keys/import", pool.pool.id);
    let import =
        |key: &str| json!({"keys": [{"key": format!("AIzaSyA-{key}-aaaaaaaaaaaaaaaaaaaaaa")}]}).to_string();
    let mut body = json!({"data_keys": true});
    let mut steps = 0;
    loop {
        let step = world.post_on(&world.service, "/master/rotate", &body.to_string()).await.unwrap();
        let added = world.post_on(&world.service, &path, &import(&format!("step-{steps:04}"))).await.unwrap();
        assert_eq!(serde_json::from_value::<KeyImportReport>(added).unwrap().added, 1);
        steps += 1;
        let Some(cursor) = step["cursor"].as_str() else { break };
        body["cursor"] = json!(cursor);
    }
    let check = world.post_on(&world.service, &format!("/pools/{}/keys/export", pool.pool.id), "{}").await;
    assert_eq!(check.unwrap()["keys"].as_array().unwrap().len(), steps + 2, "every one opens");

    // Encrypted under a data key that is gone when it reaches the store.
    let (id, store) = (PoolId::new(pool.pool.id.as_str()), world.host.store());
    let old = store.data_key(&id).await.unwrap().unwrap();
    let (keys, _) = store.encrypted_keys(&id, None, Page { after: 0, limit: 1 }).await.unwrap();
    world.rotate(&world.service, true).await.unwrap();
    let now = world.host.parts.clock.now();
    let late = store.import_keys(&id, &old, &keys, Change::of_a_test(now)).await;
    assert!(matches!(late, Err(StoreError::Unavailable(_))), "{late:?}");
}

#[tokio::test]
async fn the_last_step_tells_what_the_store_really_holds() {
    let (world, _) = World::of_pools(POOLS).await;
    let rotating = world.host.service_with_master_key(NEW_MASTER_KEY, Some(MASTER_KEY));
    world.run("CREATE TABLE before AS SELECT id, data_key FROM pools").await;
    assert_eq!(world.rotate(&rotating, false).await.unwrap().rows, Some(all(POOLS + 1)));
    // As in a store that lost three of its writes.
    world.run("UPDATE pools SET data_key = (SELECT data_key FROM before WHERE id = pools.id) WHERE name IN ('prod', 'team 1', 'team 2')").await;
    let body = r#"{"cursor":"pool-~"}"#;
    let last = world.post_on(&rotating, "/master/rotate", body).await.unwrap();
    let rows: MasterKeyRows = serde_json::from_value(last["rows"].clone()).unwrap();
    assert_eq!(rows, MasterKeyRows { current: POOLS - 2, previous: 3, unreadable: 0 });
}

#[tokio::test]
async fn what_does_not_decrypt_is_named_pool_by_pool_and_harms_no_other() {
    let (world, pools) = World::of_pools(6).await;
    assert_eq!(world.health().await.encryption.unwrap().status, HealthStatus::Ok);
    // A damaged data key, and a key moved from one pool to another.
    world.run("UPDATE pools SET version = version + 1, data_key = 'v1.AAAA' WHERE name = 'team 1'").await;
    let moved = "UPDATE keys SET sealed = (SELECT sealed FROM keys WHERE pool_id = (SELECT id FROM pools WHERE name = 'prod'))
        WHERE id = (SELECT id FROM keys WHERE pool_id = (SELECT id FROM pools WHERE name = 'team 2') ORDER BY digest LIMIT 1)";
    world.run(moved).await;
    let health = world.health().await;
    assert_eq!(health.status, HealthStatus::Degraded);
    let named: Vec<_> =
        health.unreadable.iter().map(|pool| (&*pool.name, pool.data_key, pool.keys)).collect();
    assert_eq!(named, [("team 1", true, 0), ("team 2", false, 1)]);
    let message = health.encryption.unwrap().message.unwrap();
    assert_eq!(message, "does not decrypt: the data key of pool 'team 1', 1 key of pool 'team 2'");

    let others: Vec<_> = pools.iter().filter(|pool| pool.pool.name != "team 1").cloned().collect();
    world.assert_serves(&world.host.service(), &others).await;
    let chat = "/v1/chat/completions";
    let (reply, body) =
        world.host.send(&world.host.service(), Method::POST, chat, &pools[0].client_key, CHAT).await;
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE, "the service's fault: {body}");
    let export = format!("/admin/v1/pools/{}/keys/export", pools[0].pool.id);
    let (reply, _) = world.host.send(&world.service, Method::POST, &export, &world.admin, "{}").await;
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn another_master_key_is_the_service_s_fault_and_stores_nothing() {
    let world = World::new().await;
    let other = world.host.service_with_master_key(NEW_MASTER_KEY, None);
    let error = other.verify(&world.host).await.unwrap_err().to_string();
    assert!(error.contains("MASTER_KEY is not the key that this store was encrypted with"), "{error}");
    assert_eq!(world.chat_on(&other).await.0.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(world.post_on(&other, "/pools", r#"{"name":"new"}"#).await.is_none());
    // With the password, health shows what is wrong.
    let login = json!({"password": PASSWORD}).to_string();
    let nobody = Secret::new("nobody");
    let (_, body) = world.host.send(&other, Method::POST, "/admin/v1/login", &nobody, &login).await;
    let token = serde_json::from_str::<LoginResponse>(&body).unwrap().token;
    let (_, body) = world.host.send(&other, Method::GET, "/admin/v1/health", &token, "").await;
    let health: Health = serde_json::from_str(&body).unwrap();
    let encryption = health.encryption.unwrap();
    assert_eq!((health.status, encryption.status), (HealthStatus::Failing, HealthStatus::Failing));
    assert!(encryption.message.unwrap().starts_with("MASTER_KEY is not the key that this store"), "{body}");
    assert_eq!(world.run("SELECT json_quote(name) AS row FROM pools").await, ["\"prod\""]);
    world.service.verify(&world.host).await.unwrap();
    assert_eq!(world.chat().await, StatusCode::OK);
}

#[tokio::test]
async fn a_store_without_a_check_value_gets_that_of_the_key_that_encrypted_it() {
    let world = World::new().await;
    let forget = || world.run("DELETE FROM secrets");
    forget().await;
    let other = world.host.service_with_master_key(NEW_MASTER_KEY, None);
    assert!(other.verify(&world.host).await.is_err(), "a pool's data key tells");
    for (key, previous) in
        [(MASTER_KEY, Some(NEW_MASTER_KEY)), (NEW_MASTER_KEY, Some(MASTER_KEY)), (MASTER_KEY, None)]
    {
        forget().await;
        let service = world.host.service_with_master_key(key, previous);
        assert_eq!(
            world.chat_on(&service).await.0.status,
            StatusCode::OK,
            "before any request of the admin API"
        );
        service.verify(&world.host).await.unwrap();
        assert_eq!(world.chat_on(&service).await.0.status, StatusCode::OK);
        assert!(world.post_on(&service, "/tokens", "{}").await.is_some(), "the same admin token");
    }
}
