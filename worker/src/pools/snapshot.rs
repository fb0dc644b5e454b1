//! One pool's config in memory, ready to pick from.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use pool_shared::{ClientKeyId, GeminiKey, KeyId, PoolId, PoolSettings};

use pool_engine::{ClientLimits, KeySet, ModelRules, Texts};

use crate::crypto::{DataKey, DecryptError, Encrypted, TokenHash, Vault};
use crate::platform::lock;
use crate::store::PoolConfig;

/// Opened keys that are kept, some 80 bytes each. A larger pool opens a key anew now and then, which costs some
/// microseconds.
const MOST_OPENED: usize = 4_096;

/// A pool as the data plane sees it. Never changed: replaced whole when the pool's version moved.
#[derive(Debug)]
pub struct Snapshot {
    /// The pool.
    pub id: PoolId,
    /// Its name, for messages.
    pub name: String,
    /// Off means that every request is refused.
    pub enabled: bool,
    /// The models that callers may use.
    pub models: ModelRules,
    /// How it serves requests.
    pub settings: PoolSettings,
    /// The version of the config it was made from.
    pub version: u64,
    client_keys: Vec<TokenHash>,
    expiries: HashMap<TokenHash, Timestamp>,
    callers: HashMap<TokenHash, Arc<ClientLimits>>,
    client_key_ids: HashMap<TokenHash, ClientKeyId>,
    data_key: DataKey,
    roster: Arc<KeySet>,
    /// In the order of the roster. Encrypted until they are picked, since decrypting 10,000 at once would take more than the
    /// 10 ms of CPU that a request has on the free plan.
    encrypted: Texts,
    /// By the place in the roster.
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
    /// Makes a snapshot. Fails when the pool's data key does not open under this master key.
    pub fn new(config: PoolConfig, vault: &Vault) -> Result<Self, DecryptError> {
        let data_key = vault.decrypt_data_key(&config.id, &config.data_key)?;
        let client_key_ids = config.rules.iter().map(|(hash, (id, _))| (hash.clone(), id.clone())).collect();
        let callers = config.rules.into_iter().filter(|(_, (_, rules))| !rules.is_empty());
        let callers =
            callers.map(|(hash, (id, rules))| (hash, Arc::new(ClientLimits::new(id, rules)))).collect();
        let mut roster = KeySet::new(config.version, config.keys.list);
        roster.separate_billing = config.settings.separate_billing;
        roster.model_limits.clone_from(&config.settings.model_limits);
        Ok(Self {
            id: config.id,
            name: config.name,
            enabled: config.enabled,
            models: ModelRules::new(config.allowed_models),
            settings: config.settings,
            version: config.version,
            client_keys: config.client_keys,
            expiries: config.expiries,
            callers,
            client_key_ids,
            data_key,
            roster: Arc::new(roster),
            encrypted: config.keys.encrypted,
            opened: Mutex::default(),
        })
    }

    /// The hashes of the pool's client keys.
    #[must_use]
    pub fn client_keys(&self) -> &[TokenHash] {
        &self.client_keys
    }

    /// Whether a client key of the pool has stopped working.
    #[must_use]
    pub fn has_expired(&self, client_key: &TokenHash, now: Timestamp) -> bool {
        self.expiries.get(client_key).is_some_and(|end| *end <= now)
    }

    /// What a client key of the pool may do; none where it may do everything.
    #[must_use]
    pub fn caller(&self, client_key: &TokenHash) -> Option<Arc<ClientLimits>> {
        self.callers.get(client_key).cloned()
    }

    /// The id of a client key of the pool; none where a document of an earlier version does not tell it.
    #[must_use]
    pub fn client_key_id(&self, client_key: &TokenHash) -> Option<&ClientKeyId> {
        self.client_key_ids.get(client_key)
    }

    /// Whether its settings name a model: among the allowed ones, as what an alias stands for, or as a fallback.
    #[must_use]
    pub fn names_model(&self, model: &str) -> bool {
        let PoolSettings { aliases, fallbacks, .. } = &self.settings;
        let targets = aliases.values().chain(fallbacks.values().flatten());
        self.models.names().chain(targets.map(String::as_str)).any(|name| name == model)
    }

    /// How many usable keys it has.
    #[must_use]
    pub fn key_count(&self) -> usize {
        self.roster.keys.len()
    }

    /// What may answer instead of a model, in the order of trying.
    #[must_use]
    pub fn fallbacks(&self, model: &str) -> &[String] {
        let lists = &self.settings.fallbacks;
        lists.get(model).or_else(|| lists.get("*")).map_or(&[], Vec::as_slice)
    }

    /// Its keys without their secrets, for choosing.
    #[must_use]
    pub const fn roster(&self) -> &Arc<KeySet> {
        &self.roster
    }

    /// The key at a place that [`pool_engine::PoolState::pick`] gave.
    #[must_use]
    pub fn key(&self, place: usize) -> Option<SnapshotKey> {
        Some(SnapshotKey { id: self.roster.keys.id(place)?, place })
    }

    /// The key of an id.
    #[must_use]
    pub fn find_key(&self, id: &KeyId) -> Option<SnapshotKey> {
        self.key(self.roster.find(id)?)
    }

    /// Opens a key of this snapshot, or gives it as opened before.
    pub fn decrypt(&self, key: &SnapshotKey) -> Result<GeminiKey, DecryptError> {
        if let Some(opened) = lock(&self.opened).get(&key.place) {
            return Ok(opened.clone());
        }
        let encrypted = Encrypted::from(self.encrypted.get(key.place).to_owned());
        let decrypted = self.data_key.decrypt(&self.id, &key.id, &encrypted)?;
        let mut opened = lock(&self.opened);
        if opened.len() >= MOST_OPENED {
            opened.clear();
        }
        opened.insert(key.place, decrypted.clone());
        Ok(decrypted)
    }
}
