//! A KV that fails, loses replies, and shows old values late. No pool is ever lost, and the data
//! plane reads only values that were true at some time.

mod harness;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use pool_shared::{ClientKeyId, KeyChange, KeyId, PoolUpdate};

use self::harness::{FakeKv, NO_TIMEOUT, World, client_key, hash, new_pool, now};
use super::*;
use crate::host::native::{Sqlite, SystemClock};
use crate::store::sql::SqlStore;
use crate::store::{ConfigStore, NewPool, Rewrapped};
use crate::testing::Mode;

#[tokio::test]
async fn what_is_published_reads_as_it_does_from_sql() {
    let world = World::new().await;
    let pool = world.create("prod").await;
    let disabled = KeyChange { enabled: Some(false), ..KeyChange::default() };
    world.store.update_keys(&pool, &[KeyId::new("key-2")], &disabled, now()).await.unwrap();
    world.publish().await.unwrap();
    let published = world.reader.load_by_client_key(&hash("prod")).await.unwrap().unwrap();
    let stored = world.store.load_by_client_key(&hash("prod")).await.unwrap().unwrap();
    assert_eq!(PoolConfig { version: stored.version, ..published.clone() }, stored);
    assert_eq!(published.keys.list.len(), 1);
    assert_eq!(world.reader.refresh(&pool, published.version).await, Ok(Refreshed::Unchanged));
    world.rename(&pool, "live").await;
    world.publish().await.unwrap();
    let Ok(Refreshed::Changed(newer)) = world.reader.refresh(&pool, published.version).await else {
        panic!()
    };
    assert_eq!(newer.name, "live");
    assert!(newer.version > published.version);
}

#[tokio::test]
async fn what_a_rotation_reencrypts_is_published_and_outlives_the_database() {
    let world = World::new().await;
    let pool = world.create("prod").await;
    world.publish().await.unwrap();
    assert_eq!(world.reader.hash_keys().await, Ok(None));
    let encrypted = |text: &str| Encrypted::from(text.to_owned());
    world.store.put_hash_keys(None, &encrypted("first")).await.unwrap();
    world.publish().await.unwrap();
    world.store.put_hash_keys(None, &encrypted("too late")).await.unwrap();
    world.store.put_hash_keys(Some(&encrypted("first")), &encrypted("second")).await.unwrap();
    let (other, old) = (PoolId::new("pool-other"), encrypted("data key"));
    let rewrapped = [(pool.clone(), "data key"), (pool.clone(), "another"), (other, "data key")]
        .map(|(pool, old)| Rewrapped { pool, old: encrypted(old), new: encrypted("new data key") });
    assert_eq!(world.store.data_keys(None, 10).await, Ok(vec![(pool.clone(), old)]));
    assert_eq!(world.store.rewrap_data_keys(&rewrapped).await, Ok(1));
    world.publish().await.unwrap();
    assert_eq!(world.reader.hash_keys().await, Ok(Some(encrypted("second"))));
    let published = world.reader.load_by_client_key(&hash("prod")).await.unwrap().unwrap();
    assert_eq!(published.data_key, encrypted("new data key"));

    let again = World::on(Arc::clone(&world.kv));
    again.publisher.prepare(&SystemClock).await.unwrap();
    assert_eq!(again.store.hash_keys().await, Ok(Some(encrypted("second"))));
    assert_eq!(again.store.data_key(&pool).await, Ok(Some(encrypted("new data key"))));
}

#[tokio::test]
async fn an_edit_costs_one_write_and_a_new_client_key_two() {
    let world = World::new().await;
    let pool = world.create("prod").await;
    world.publish().await.unwrap();
    assert_eq!(world.kv.writes(), 2);
    world.rename(&pool, "live").await;
    world.publish().await.unwrap();
    assert_eq!(world.kv.writes(), 1);
    world.store.create_client_keys(&pool, &[client_key("more")], now()).await.unwrap();
    world.publish().await.unwrap();
    assert_eq!(world.kv.writes(), 2);
    world.publish().await.unwrap();
    assert_eq!(world.kv.writes(), 0);
}

#[tokio::test]
async fn a_write_that_kv_refuses_is_kept_and_made_later() {
    let world = World::new().await;
    let pool = world.create("prod").await;
    world.publish().await.unwrap();
    world.kv.set(Mode::Fails);
    world.rename(&pool, "live").await;
    world.create("second").await;
    let error = world.publish().await.unwrap_err();
    assert!(
        matches!(&error, StoreError::Lagging(text) if text.contains("3 KV writes") && text.contains("429")),
        "{error}"
    );
    assert!(world.publisher.trouble().await.unwrap().contains("429"));
    world.kv.set(Mode::Works);
    assert_eq!(world.opens("prod").await.as_deref(), Some("prod"), "what it showed before");
    world.publish().await.unwrap();
    assert_eq!(world.publisher.trouble().await, None);
    assert_eq!(world.opens("prod").await.as_deref(), Some("live"));
    assert_eq!(world.opens("second").await.as_deref(), Some("second"));
}

#[tokio::test]
async fn a_write_that_went_through_without_an_answer_is_made_again() {
    let world = World::new().await;
    world.kv.set(Mode::FailsAfterwards);
    let pool = world.create("prod").await;
    world.publish().await.unwrap_err();
    assert_eq!(world.opens("prod").await.as_deref(), Some("prod"));
    assert!(world.store.delete_pool(&pool, now()).await.unwrap());
    world.publish().await.unwrap_err();
    world.kv.set(Mode::Works);
    world.publish().await.unwrap();
    assert_eq!(world.kv.current(), BTreeMap::new());
    assert_eq!(world.opens("prod").await, None);
}

#[tokio::test]
async fn a_crash_between_the_commit_and_kv_loses_nothing() {
    let world = World::new().await;
    world.create("prod").await;
    // Another object on the same database, as after a crash.
    let again = Publisher::new(world.sqlite.clone(), Arc::clone(&world.kv));
    again.prepare(&SystemClock).await.unwrap();
    again.publish(&SystemClock, NO_TIMEOUT).await.unwrap();
    assert_eq!(world.opens("prod").await.as_deref(), Some("prod"));
}

#[tokio::test]
async fn one_document_that_kv_never_takes_stops_no_other() {
    let world = World::new().await;
    *world.kv.broken_name.lock().unwrap() = Some("v1:pool:pool-zz".to_owned());
    world.kv.set(Mode::Fails);
    world.create("zz").await;
    for number in 0..30 {
        world.create(&format!("pool {number}")).await;
    }
    for _ in 0..5 {
        world.publish().await.unwrap_err();
    }
    assert_eq!(world.publisher.waiting().await, Ok(1));
}

#[tokio::test]
async fn a_change_in_the_middle_of_a_write_is_written_too() {
    let world = World::new().await;
    let pool = world.create("prod").await;
    let slow = SlowKv { inner: Arc::clone(&world.kv), store: SqlStore::new(world.sqlite.clone()), pool };
    let publisher = Publisher::new(world.sqlite.clone(), slow);
    publisher.publish(&SystemClock, Duration::from_secs(1)).await.unwrap();
    assert_eq!(world.opens("prod").await.as_deref(), Some("changed meanwhile"));
}

/// A KV during whose write the pool is renamed.
struct SlowKv {
    inner: Arc<FakeKv>,
    store: SqlStore<Sqlite>,
    pool: PoolId,
}

impl Kv for SlowKv {
    async fn get(&self, name: &str, held: Option<u64>, part: Part) -> Result<KvRead, KvError> {
        self.inner.get(name, held, part).await
    }

    async fn put(&self, name: &str, text: &str, version: u64) -> Result<(), KvError> {
        if name.starts_with(POOL_PREFIX) && !text.contains("changed meanwhile") {
            let change = PoolUpdate { name: Some("changed meanwhile".to_owned()), ..PoolUpdate::default() };
            self.store.update_pool(&self.pool, &change, None, now()).await.unwrap();
        }
        self.inner.put(name, text, version).await
    }

    async fn delete(&self, name: &str) -> Result<(), KvError> {
        self.inner.delete(name).await
    }

    async fn list(&self, prefix: &str, cursor: Option<&str>) -> Result<KvNames, KvError> {
        self.inner.list(prefix, cursor).await
    }
}

#[tokio::test]
async fn tasks_that_publish_at_once_write_one_after_the_other() {
    let world = World::new().await;
    let pool = world.create("prod").await;
    let edits = (0..10).map(|number| {
        let (world, pool) = (&world, &pool);
        async move {
            world.rename(pool, &format!("name {number}")).await;
            world.publisher.publish(&SystemClock, Duration::from_secs(10)).await.unwrap();
        }
    });
    futures_util::future::join_all(edits).await;
    let stored = world.store.pool(pool.as_str()).await.unwrap().unwrap();
    assert_eq!(world.opens("prod").await, Some(stored.name));
    let names = world.kv.names.lock().unwrap();
    let versions: Vec<_> = names["v1:pool:pool-prod"].iter().flatten().map(|(_, version)| *version).collect();
    assert!(versions.is_sorted(), "{versions:?}");
}

#[tokio::test]
async fn a_new_client_key_works_although_the_pool_s_document_is_shown_late() {
    let world = World::new().await;
    let pool = world.create("prod").await;
    world.publish().await.unwrap();
    world.store.create_client_keys(&pool, &[client_key("more")], now()).await.unwrap();
    world.publish().await.unwrap();
    // The entry is new, so no old copy of it exists; of the document only the old copy is visible.
    world.kv.names.lock().unwrap().get_mut("v1:pool:pool-prod").unwrap().pop();
    assert_eq!(world.opens("more").await.as_deref(), Some("prod"));
    assert_eq!(world.opens("prod").await.as_deref(), Some("prod"));
}

#[tokio::test]
async fn a_revoked_client_key_is_refused_although_its_entry_is_shown_late() {
    let world = World::new().await;
    let pool = world.create("prod").await;
    world.store.create_client_keys(&pool, &[client_key("more")], now()).await.unwrap();
    world.publish().await.unwrap();
    assert!(world.store.delete_client_key(&pool, &ClientKeyId::new("more"), now()).await.unwrap());
    world.publish().await.unwrap();
    world.kv.names.lock().unwrap().get_mut("v1:client-key:hash of more").unwrap().pop();
    assert_eq!(world.opens("more").await, None);
    assert_eq!(world.opens("prod").await.as_deref(), Some("prod"));
}

#[tokio::test]
async fn a_stale_view_never_replaces_a_newer_one_nor_changes_anything() {
    let world = World::new().await;
    let pool = world.create("prod").await;
    world.publish().await.unwrap();
    world.rename(&pool, "live").await;
    world.publish().await.unwrap();
    let held = world.reader.load_by_client_key(&hash("prod")).await.unwrap().unwrap();
    world.kv.writes();
    world.kv.stale(true);
    assert_eq!(world.reader.refresh(&pool, held.version).await, Ok(Refreshed::Unchanged));
    // The object does not read its own writes, so a stale view does not affect it.
    let second = world.create("second").await;
    world.publish().await.unwrap();
    world.kv.stale(false);
    assert_eq!(world.opens("prod").await.as_deref(), Some("live"));
    assert_eq!(world.store.pools().await.unwrap().len(), 2);
    assert_eq!(world.reader.refresh(&second, u64::MAX).await, Ok(Refreshed::Unchanged));
}

#[tokio::test]
async fn a_kv_that_fails_is_no_verdict_on_a_client_key() {
    let world = World::new().await;
    let pool = world.create("prod").await;
    world.publish().await.unwrap();
    world.kv.set(Mode::Fails);
    let error = world.reader.load_by_client_key(&hash("prod")).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)));
    assert!(world.reader.refresh(&pool, 1).await.is_err());
}

#[tokio::test]
async fn an_object_that_lost_its_database_makes_it_anew_from_kv() {
    let world = World::new().await;
    for name in ["prod", "second", "third"] {
        world.create(name).await;
    }
    world.store.delete_pool(&PoolId::new("pool-third"), now()).await.unwrap();
    world.publish().await.unwrap();
    let before = world.reader.load_by_client_key(&hash("prod")).await.unwrap().unwrap();

    let again = World::on(Arc::clone(&world.kv));
    // A failing KV is not an empty KV: the object waits until it responds.
    world.kv.set(Mode::Fails);
    again.publisher.prepare(&SystemClock).await.unwrap_err();
    world.kv.set(Mode::Works);
    again.publisher.prepare(&SystemClock).await.unwrap();
    assert_eq!(again.store.pools().await.unwrap(), world.store.pools().await.unwrap());
    let keys = async |world: &World| {
        let (pool, filter) = (PoolId::new("pool-prod"), crate::store::KeyFilter::default());
        world.store.keys(&pool, &filter, crate::store::Page { after: 0, limit: 10 }).await.unwrap()
    };
    assert_eq!(keys(&again).await, keys(&world).await);
    assert_eq!(
        again.store.client_keys(&before.id).await.unwrap(),
        world.store.client_keys(&before.id).await.unwrap()
    );
    // Copies of isolates are older than everything written from now on.
    again.rename(&before.id, "live").await;
    again.publish().await.unwrap();
    let Ok(Refreshed::Changed(after)) = again.reader.refresh(&before.id, before.version).await else {
        panic!()
    };
    assert_eq!((after.name.as_str(), after.keys), ("live", before.keys));
    // A restored database never reads from KV again.
    let reopened = Publisher::new(again.sqlite.clone(), Arc::clone(&again.kv));
    again.store.delete_pool(&before.id, now()).await.unwrap();
    reopened.prepare(&SystemClock).await.unwrap();
    assert_eq!(again.store.pools().await.unwrap().len(), 1);
}

#[tokio::test]
async fn two_documents_of_one_name_become_two_pools() {
    let world = World::new().await;
    let first = world.create("prod").await;
    world.publish().await.unwrap();
    // The rename does not reach KV, but the next pool of that name does; then the object is lost.
    *world.kv.broken_name.lock().unwrap() = Some("v1:pool:pool-prod".to_owned());
    world.kv.set(Mode::Fails);
    world.rename(&first, "old").await;
    let second = NewPool { id: PoolId::new("pool-2"), client_key: client_key("other"), ..new_pool("prod") };
    world.store.create_pool(&second, now()).await.unwrap();
    world.publish().await.unwrap_err();
    *world.kv.broken_name.lock().unwrap() = None;
    world.kv.set(Mode::Works);

    let again = World::on(Arc::clone(&world.kv));
    again.publisher.prepare(&SystemClock).await.unwrap();
    let mut names: Vec<_> = again.store.pools().await.unwrap().into_iter().map(|pool| pool.name).collect();
    names.sort();
    assert_eq!(names, ["prod", "prod (pool-prod)"]);
    again.publish().await.unwrap();
    assert_eq!(again.opens("other").await.as_deref(), Some("prod"));
    assert_eq!(again.opens("prod").await.as_deref(), Some("prod (pool-prod)"));
}
