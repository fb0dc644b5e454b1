//! Snapshot of a pool: its immutable configuration in memory, ready for key selection.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use pool_shared::{ClientKeyId, GeminiKey, KeyId, PoolId, PoolSettings};

use pool_engine::{ClientLimits, KeySet, ModelRules, Texts};

use crate::crypto::{DataKey, DecryptError, Encrypted, TokenHash, Vault};
use crate::platform::lock;
use crate::store::PoolConfig;

/// Maximum number of cached decrypted keys, of some 80 bytes each. Larger pools decrypt a key
/// again now and then, which takes some microseconds.
const MAX_DECRYPTED: usize = 4_096;

/// A pool as the data plane uses it. It is immutable and replaced when the pool's version changes.
#[derive(Debug)]
pub struct Snapshot {
    /// The pool.
    pub id: PoolId,
    /// Its name, for messages.
    pub name: String,
    /// Whether it serves requests.
    pub enabled: bool,
    /// The allowed models.
    pub models: ModelRules,
    /// How it serves requests.
    pub settings: PoolSettings,
    /// The version of its configuration.
    pub version: u64,
    client_keys: Vec<TokenHash>,
    expiries: HashMap<TokenHash, Timestamp>,
    client_limits: HashMap<TokenHash, Arc<ClientLimits>>,
    client_key_ids: HashMap<TokenHash, ClientKeyId>,
    data_key: DataKey,
    key_set: Arc<KeySet>,
    /// The encrypted keys, in the order of the key set. Decrypted on selection, because decrypting
    /// 10,000 keys would exceed the 10 ms of CPU time of a request on the free plan.
    encrypted: Texts,
    /// Decrypted keys by index in the key set.
    opened: Mutex<HashMap<usize, GeminiKey>>,
}

/// A Gemini key in a [`Snapshot`].
#[derive(Clone, Debug)]
pub struct SnapshotKey {
    /// Its id.
    pub id: KeyId,
    place: usize,
}

impl Snapshot {
    /// Creates a snapshot.
    ///
    /// # Errors
    /// If the pool's data key cannot be decrypted with this master key.
    pub fn new(config: PoolConfig, vault: &Vault) -> Result<Self, DecryptError> {
        let data_key = vault.decrypt_data_key(&config.id, &config.data_key)?;
        let client_key_ids = config.rules.iter().map(|(hash, (id, _))| (hash.clone(), id.clone())).collect();
        let client_limits = config.rules.into_iter().filter(|(_, (_, rules))| !rules.is_empty());
        let client_limits =
            client_limits.map(|(hash, (id, rules))| (hash, Arc::new(ClientLimits::new(id, rules)))).collect();
        let mut key_set = KeySet::new(config.version, config.keys.list);
        key_set.separate_billing = config.settings.separate_billing;
        key_set.model_limits.clone_from(&config.settings.model_limits);
        Ok(Self {
            id: config.id,
            name: config.name,
            enabled: config.enabled,
            models: ModelRules::new(config.allowed_models),
            settings: config.settings,
            version: config.version,
            client_keys: config.client_keys,
            expiries: config.expiries,
            client_limits,
            client_key_ids,
            data_key,
            key_set: Arc::new(key_set),
            encrypted: config.keys.encrypted,
            opened: Mutex::default(),
        })
    }

    /// Returns the hashes of the pool's client keys.
    #[must_use]
    pub fn client_keys(&self) -> &[TokenHash] {
        &self.client_keys
    }

    /// Returns `true` if a client key of the pool has expired.
    #[must_use]
    pub fn has_expired(&self, client_key: &TokenHash, now: Timestamp) -> bool {
        self.expiries.get(client_key).is_some_and(|end| *end <= now)
    }

    /// Returns the limits of a client key; `None` if it is unlimited.
    #[must_use]
    pub fn client_limits(&self, client_key: &TokenHash) -> Option<Arc<ClientLimits>> {
        self.client_limits.get(client_key).cloned()
    }

    /// Returns the id of a client key; `None` if a document of an earlier version lacks it.
    #[must_use]
    pub fn client_key_id(&self, client_key: &TokenHash) -> Option<&ClientKeyId> {
        self.client_key_ids.get(client_key)
    }

    /// Returns `true` if the settings name a model: as allowed, as an alias's target, or as a
    /// fallback.
    #[must_use]
    pub fn names_model(&self, model: &str) -> bool {
        let PoolSettings { aliases, fallbacks, .. } = &self.settings;
        let targets = aliases.values().chain(fallbacks.values().flatten());
        self.models.names().chain(targets.map(String::as_str)).any(|name| name == model)
    }

    /// Returns the number of usable keys.
    #[must_use]
    pub fn key_count(&self) -> usize {
        self.key_set.keys.len()
    }

    /// Returns the fallback models of a model, in order.
    #[must_use]
    pub fn fallbacks(&self, model: &str) -> &[String] {
        let lists = &self.settings.fallbacks;
        lists.get(model).or_else(|| lists.get("*")).map_or(&[], Vec::as_slice)
    }

    /// Returns the keys without secrets, for selection.
    #[must_use]
    pub const fn key_set(&self) -> &Arc<KeySet> {
        &self.key_set
    }

    /// Returns the key at an index from [`pool_engine::PoolState::pick`].
    #[must_use]
    pub fn key(&self, place: usize) -> Option<SnapshotKey> {
        Some(SnapshotKey { id: self.key_set.keys.id(place)?, place })
    }

    /// Returns the key with an id.
    #[must_use]
    pub fn find_key(&self, id: &KeyId) -> Option<SnapshotKey> {
        self.key(self.key_set.find(id)?)
    }

    /// Decrypts a key of this snapshot, or returns it from the cache.
    pub fn decrypt(&self, key: &SnapshotKey) -> Result<GeminiKey, DecryptError> {
        if let Some(opened) = lock(&self.opened).get(&key.place) {
            return Ok(opened.clone());
        }
        let encrypted = Encrypted::from(self.encrypted.get(key.place).to_owned());
        let decrypted = self.data_key.decrypt(&self.id, &key.id, &encrypted)?;
        let mut opened = lock(&self.opened);
        if opened.len() >= MAX_DECRYPTED {
            opened.clear();
        }
        opened.insert(key.place, decrypted.clone());
        Ok(decrypted)
    }
}
