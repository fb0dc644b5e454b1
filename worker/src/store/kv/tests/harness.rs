//! A KV namespace that fails on demand, and a config object with its readers.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use pool_shared::{
    ClientKeyId, ClientKeyRules, KeyId, Limits, PoolId, PoolSettings, PoolUpdate, TranslationSettings, Weight,
};

use crate::crypto::{Encrypted, KeyDigest, TokenHash};
use crate::host::native::{Sqlite, SystemClock};
use crate::store::kv::*;
use crate::store::sql::SqlStore;
use crate::store::{Change, ConfigStore, NewClientKey, NewKey, NewPool, StoreError};
use crate::testing::Mode;

/// All values of a name, in order.
type History = Vec<Option<(String, u64)>>;

/// A namespace in memory.
#[derive(Default)]
pub(super) struct FakeKv {
    pub(super) names: Mutex<BTreeMap<String, History>>,
    mode: Mutex<Option<Mode>>,
    /// If set, only this name fails.
    pub(super) broken_name: Mutex<Option<String>>,
    /// Reads return the previous value.
    stale: Mutex<bool>,
    writes: Mutex<Vec<String>>,
}

impl FakeKv {
    pub(super) fn set(&self, mode: Mode) {
        *self.mode.lock().unwrap() = Some(mode);
    }

    pub(super) fn stale(&self, stale: bool) {
        *self.stale.lock().unwrap() = stale;
    }

    pub(super) fn write(&self, name: &str, value: Option<(String, u64)>) -> Result<(), KvError> {
        let broken = self.broken_name.lock().unwrap().clone();
        let mode = self.mode.lock().unwrap().filter(|_| broken.is_none_or(|broken| broken == name));
        if mode == Some(Mode::Fails) {
            return Err(KvError("429 Too Many Requests".to_owned()));
        }
        self.names.lock().unwrap().entry(name.to_owned()).or_default().push(value);
        self.writes.lock().unwrap().push(name.to_owned());
        if mode == Some(Mode::FailsAfterwards) {
            Err(KvError("the answer was lost".to_owned()))
        } else {
            Ok(())
        }
    }

    /// Returns the number of writes since the last call.
    pub(super) fn writes(&self) -> usize {
        std::mem::take(&mut *self.writes.lock().unwrap()).len()
    }

    /// Returns the current values by name.
    pub(super) fn current(&self) -> BTreeMap<String, (String, u64)> {
        let names = self.names.lock().unwrap();
        names.iter().filter_map(|(name, values)| Some((name.clone(), values.last()?.clone()?))).collect()
    }
}

impl Kv for Arc<FakeKv> {
    async fn get(&self, name: &str, held: Option<u64>, part: Part) -> Result<KvRead, KvError> {
        if *self.mode.lock().unwrap() == Some(Mode::Fails) {
            return Err(KvError("it fails".to_owned()));
        }
        let back = if *self.stale.lock().unwrap() { 2 } else { 1 };
        let names = self.names.lock().unwrap();
        let shown = names.get(name).and_then(|values| values.get(values.len().checked_sub(back)?)?.clone());
        Ok(match shown {
            None => KvRead::Missing,
            Some((_, version)) if held.is_some_and(|held| version <= held) => KvRead::NotNewer,
            Some((text, version)) => {
                let first = text.lines().next().unwrap().to_owned();
                KvRead::Found { version, text: if part == Part::Whole { text } else { first } }
            }
        })
    }

    async fn put(&self, name: &str, text: &str, version: u64) -> Result<(), KvError> {
        self.write(name, Some((text.to_owned(), version)))
    }

    async fn delete(&self, name: &str) -> Result<(), KvError> {
        self.write(name, None)
    }

    /// Returns pages of one name.
    async fn list(&self, prefix: &str, cursor: Option<&str>) -> Result<KvNames, KvError> {
        if *self.mode.lock().unwrap() == Some(Mode::Fails) {
            return Err(KvError("it fails".to_owned()));
        }
        let current = self.current();
        let mut names = current
            .iter()
            .filter(|(name, _)| name.starts_with(prefix))
            .map(|(name, (_, version))| (name.clone(), *version))
            .filter(|(name, _)| cursor.is_none_or(|cursor| name.as_str() > cursor));
        let page = names.next();
        let cursor = page.as_ref().map(|(name, _)| name.clone()).filter(|_| names.next().is_some());
        Ok(KvNames { names: page.into_iter().collect(), cursor })
    }
}

/// A config object with its database, and a reader like an isolate's.
pub(super) struct World {
    pub(super) kv: Arc<FakeKv>,
    pub(super) sqlite: Sqlite,
    pub(super) store: SqlStore<Sqlite>,
    pub(super) publisher: Publisher<Sqlite, Arc<FakeKv>>,
    pub(super) reader: KvStore<Arc<FakeKv>>,
}

pub(super) const NO_TIMEOUT: Duration = Duration::ZERO;

impl World {
    pub(super) async fn new() -> Self {
        let world = Self::on(Arc::default());
        world.publisher.prepare(&SystemClock).await.unwrap();
        world
    }

    /// Builds an object with an empty database.
    pub(super) fn on(kv: Arc<FakeKv>) -> Self {
        let sqlite = Sqlite::open(Path::new(":memory:")).unwrap();
        Self {
            store: SqlStore::new(sqlite.clone()),
            publisher: Publisher::new(sqlite.clone(), Arc::clone(&kv)),
            sqlite,
            reader: KvStore::new(Arc::clone(&kv)),
            kv,
        }
    }

    pub(super) async fn create(&self, name: &str) -> PoolId {
        let pool = new_pool(name);
        self.store.create_pool(&pool, now()).await.unwrap();
        pool.id
    }

    pub(super) async fn rename(&self, pool: &PoolId, name: &str) {
        let change = PoolUpdate { name: Some(name.to_owned()), ..PoolUpdate::default() };
        assert!(self.store.update_pool(pool, &change, Some(name), now()).await.unwrap());
    }

    pub(super) async fn publish(&self) -> Result<(), StoreError> {
        self.publisher.publish(&SystemClock, NO_TIMEOUT).await
    }

    /// Returns the name of a client key's pool.
    pub(super) async fn opens(&self, client_key: &str) -> Option<String> {
        self.reader.load_by_client_key(&hash(client_key)).await.unwrap().map(|pool| pool.name)
    }
}

pub(super) fn now() -> Change {
    Change::of_a_test(Timestamp::from_millisecond(1_800_000_000_000).unwrap())
}

pub(super) fn hash(name: &str) -> TokenHash {
    serde_json::from_value(format!("hash of {name}").into()).unwrap()
}

pub(super) fn client_key(name: &str) -> NewClientKey {
    NewClientKey {
        id: ClientKeyId::new(name),
        hash: hash(name),
        name: name.to_owned(),
        hint: "hint".to_owned(),
        expires_at: None,
        rules: ClientKeyRules::default(),
        weak: false,
    }
}

pub(super) fn new_pool(name: &str) -> NewPool {
    let key = |number: u8| NewKey {
        id: KeyId::new(format!("key-{number}")),
        digest: serde_json::from_value::<KeyDigest>(format!("digest {number} of {name}").into()).unwrap(),
        encrypted: serde_json::from_value::<Encrypted>(format!("sealed {number}\n\"").into()).unwrap(),
        masked: "AIza…1234".to_owned(),
        name: String::new(),
        tag: "标签".to_owned(),
        weight: Weight::default(),
        project: "projects/1".to_owned(),
        billing_account: String::new(),
        limits: Limits::default(),
        enabled: true,
    };
    NewPool {
        id: PoolId::new(format!("pool-{name}")),
        name: name.to_owned(),
        name_key: name.to_owned(),
        description: "what for".to_owned(),
        allowed_models: vec!["gemini-*".to_owned()],
        settings: PoolSettings {
            translation: TranslationSettings { strict_params: true, ..TranslationSettings::default() },
            ..PoolSettings::default()
        },
        data_key: serde_json::from_value("data key".into()).unwrap(),
        client_key: client_key(name),
        keys: vec![key(1), key(2)],
    }
}
