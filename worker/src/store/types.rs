//! The data of the config store. Secrets are hashed or encrypted.

use std::collections::HashMap;

use jiff::Timestamp;
use pool_shared::{
    AdminTokenId, ClientKey, ClientKeyId, ClientKeyRules, Key, KeyId, Limits, PoolId, PoolSettings, Scope,
    Weight,
};
use serde::{Deserialize, Serialize};

use super::StoredKeys;
use crate::crypto::{Encrypted, KeyDigest, TokenHash};

/// An error of the store.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// It is unavailable, or failed. Never a verdict on a client.
    #[error("the config store is unavailable: {0}")]
    Unavailable(String),
    /// Its data is not in the format of this version of the service.
    #[error("the config store has unreadable data: {0}")]
    Corrupt(String),
    /// The pool's name is taken.
    #[error("a pool with this name already exists")]
    NameTaken,
    /// A token, with those created with it, made so many changes in a pool that the audit log takes
    /// no more for some seconds. Nothing was changed.
    #[error("too many changes in the last minute")]
    TooManyChanges,
    /// Everything is stored, but the data plane does not see all of it yet.
    #[error("{0}")]
    Lagging(String),
}

/// The config of a pool for the data plane, as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolConfig {
    /// The pool.
    pub id: PoolId,
    /// Its name, for messages.
    pub name: String,
    /// Whether it serves requests; a disabled pool rejects all.
    pub enabled: bool,
    /// The allowed models; empty for all.
    pub allowed_models: Vec<String>,
    /// Its settings.
    pub settings: PoolSettings,
    /// The encrypted key that decrypts its Gemini keys.
    pub data_key: Encrypted,
    /// Incremented with every change.
    pub version: u64,
    /// The hashes of its client keys.
    pub client_keys: Vec<TokenHash>,
    /// When client keys expire; those that never do are missing.
    pub expiries: HashMap<TokenHash, Timestamp>,
    /// The id and rules of each client key. A document of an earlier version has only those with
    /// rules.
    pub rules: HashMap<TokenHash, (ClientKeyId, ClientKeyRules)>,
    /// Its enabled Gemini keys.
    pub keys: StoredKeys,
}

/// The changes of a pool since a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refreshed {
    /// Nothing changed.
    Unchanged,
    /// It changed; this is the current config.
    Changed(Box<PoolConfig>),
    /// It was deleted.
    Gone,
}

/// A pool to be created.
#[derive(Clone, Debug)]
pub struct NewPool {
    /// Its id.
    pub id: PoolId,
    /// Its validated name.
    pub name: String,
    /// The comparison key of its name, see [`pool_shared::name_key`].
    pub name_key: String,
    /// Its description.
    pub description: String,
    /// The allowed models; empty for all.
    pub allowed_models: Vec<String>,
    /// Its settings.
    pub settings: PoolSettings,
    /// Its encrypted data key.
    pub data_key: Encrypted,
    /// Its first client key.
    pub client_key: NewClientKey,
    /// Its first Gemini keys.
    pub keys: Vec<NewKey>,
}

/// A client key to be created.
#[derive(Clone, Debug)]
pub struct NewClientKey {
    /// Its id.
    pub id: ClientKeyId,
    /// Its hash.
    pub hash: TokenHash,
    /// Its name.
    pub name: String,
    /// Its last four characters.
    pub hint: String,
    /// When it expires; absent for never.
    pub expires_at: Option<Timestamp>,
    /// Its limits and allowlists.
    pub rules: ClientKeyRules,
    /// It was imported, so its strength is unknown.
    pub weak: bool,
}

/// A validated change of a client key; absent fields stay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientKeyChange {
    /// Its name.
    pub name: Option<String>,
    /// When it expires; the inner value is absent for never.
    pub expires_at: Option<Option<Timestamp>>,
    /// Its limits.
    pub limits: Option<Limits>,
    /// The allowed models.
    pub allowed_models: Option<Vec<String>>,
    /// The allowed networks.
    pub allowed_networks: Option<Vec<String>>,
}

/// A stored client key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredClientKey {
    /// Its hash.
    pub hash: TokenHash,
    /// The rest of it, without the time of its last use, which is not part of the config.
    pub client_key: ClientKey,
}

/// A data key that was encrypted again.
#[derive(Clone, Debug, Serialize)]
pub struct Rewrapped {
    /// Its pool.
    pub pool: PoolId,
    /// The expected stored value.
    pub old: Encrypted,
    /// The new value.
    pub new: Encrypted,
}

/// An encrypted Gemini key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EncryptedKey {
    /// Its digest, which orders a pool's keys.
    pub digest: KeyDigest,
    /// Its id.
    pub id: KeyId,
    /// The encrypted key.
    #[serde(rename = "sealed")]
    pub encrypted: Encrypted,
}

/// A Gemini key that was encrypted again.
#[derive(Clone, Debug, Serialize)]
pub struct Reencrypted {
    /// Its digest.
    pub digest: KeyDigest,
    /// The expected stored value.
    pub old: Encrypted,
    /// The new value.
    pub new: Encrypted,
}

/// A Gemini key to add, or as stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NewKey {
    /// Its id.
    pub id: KeyId,
    /// Its digest, which recognises duplicates.
    pub digest: KeyDigest,
    /// The encrypted key.
    #[serde(rename = "sealed")]
    pub encrypted: Encrypted,
    /// First and last four characters.
    pub masked: String,
    /// Its name.
    pub name: String,
    /// Its tag.
    pub tag: String,
    /// Its weight.
    pub weight: Weight,
    /// Its project; empty if not configured.
    pub project: String,
    /// Its billing account; empty if not configured.
    #[serde(default)]
    pub billing_account: String,
    /// The configured quotas of its project.
    pub limits: Limits,
    /// Whether it is enabled.
    pub enabled: bool,
}

/// An admin token to create, or as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredAdminToken {
    /// Its id.
    pub id: AdminTokenId,
    /// Its name.
    pub name: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it expires.
    pub expires_at: Timestamp,
    /// Its scopes; absent for all.
    pub scopes: Option<Vec<Scope>>,
    /// The only pool that it is limited to.
    pub pool: Option<PoolId>,
    /// The token that created it; none for a login's token, and for one whose creator is gone.
    pub parent: Option<AdminTokenId>,
    /// The token whose budget of changes it uses; none for its own. A token without all scopes gets
    /// no further budget by creating or rotating tokens.
    pub budget: Option<AdminTokenId>,
    /// When its last use was recorded. Not stored with it.
    pub last_used_at: Option<Timestamp>,
}

impl StoredAdminToken {
    /// Returns the token whose budget of changes it uses.
    #[must_use]
    pub fn budget(&self) -> &AdminTokenId {
        self.budget.as_ref().unwrap_or(&self.id)
    }

    /// Returns `true` if it has all scopes.
    #[must_use]
    pub fn has_all_rights(&self) -> bool {
        self.scopes.is_none() && self.pool.is_none()
    }
}

/// Prefix of the ids of trial client keys. Their creation is audited as a trial, and their end is
/// not audited.
pub const TRIAL_PREFIX: &str = "ck-try-";

/// Prefix of the ids of browser sessions, which are admin tokens otherwise.
pub const SESSION_PREFIX: &str = "ses-";

/// A page of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// The position of the last item of the previous page; 0 for the first page.
    pub after: u64,
    /// Maximum number of items.
    pub limit: u32,
}

/// A page of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPage {
    /// The keys.
    pub keys: Vec<Key>,
    /// The number of matching keys on all pages.
    pub total: u64,
    /// The [`Page::after`] of the next page; none on the last.
    pub next: Option<u64>,
}

/// The result of a change of several keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchOutcome {
    /// Keys changed or removed.
    pub changed: u64,
    /// Ids that the pool does not have.
    pub missing: Vec<KeyId>,
}
