//! One pool's config in memory, ready to pick from.

use std::sync::OnceLock;

use pool_shared::{GeminiKey, KeyId, PoolId};

use super::{KeyTable, ModelRules};
use crate::crypto::{DataKey, OpenError, Sealed, TokenHash, Vault};
use crate::store::{PoolConfig, StoredKey};

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
    /// The version of the config it was made from.
    pub version: u64,
    client_keys: Vec<TokenHash>,
    data_key: DataKey,
    keys: Vec<SnapshotKey>,
    table: KeyTable,
}

/// A Gemini key in a [`Snapshot`]: sealed until it is first picked, since opening 10,000 at once would
/// take more than the 10 ms of CPU that a request has on the free plan.
#[derive(Debug)]
pub struct SnapshotKey {
    /// Its id.
    pub id: KeyId,
    sealed: Sealed,
    opened: OnceLock<GeminiKey>,
}

impl Snapshot {
    /// Makes a snapshot. Fails when the pool's data key does not open under this master key.
    pub fn new(config: PoolConfig, vault: &Vault) -> Result<Self, OpenError> {
        let data_key = vault.open_data_key(&config.id, &config.data_key)?;
        let table = KeyTable::new(config.keys.iter().map(|key| key.weight.get()));
        let keys = config
            .keys
            .into_iter()
            .map(|StoredKey { id, sealed, .. }| SnapshotKey { id, sealed, opened: OnceLock::new() })
            .collect();
        Ok(Self {
            id: config.id,
            name: config.name,
            enabled: config.enabled,
            models: ModelRules::new(config.allowed_models),
            version: config.version,
            client_keys: config.client_keys,
            data_key,
            keys,
            table,
        })
    }

    /// The hashes of the pool's client keys.
    #[must_use]
    pub fn client_keys(&self) -> &[TokenHash] {
        &self.client_keys
    }

    /// How many usable keys it has.
    #[must_use]
    pub const fn key_count(&self) -> usize {
        self.keys.len()
    }

    /// The choice among its keys.
    #[must_use]
    pub const fn table(&self) -> &KeyTable {
        &self.table
    }

    /// The key at a place that [`KeyTable::choose`] gave.
    #[must_use]
    pub fn key(&self, index: usize) -> Option<&SnapshotKey> {
        self.keys.get(index)
    }

    /// Opens a key, or gives it as opened before.
    pub fn open(&self, key: &SnapshotKey) -> Result<GeminiKey, OpenError> {
        if let Some(opened) = key.opened.get() {
            return Ok(opened.clone());
        }
        let opened = self.data_key.open(&self.id, &key.id, &key.sealed)?;
        Ok(key.opened.get_or_init(|| opened).clone())
    }
}
