//! What a config store holds, takes and gives back.
//!
//! In and out: what the admin API has checked, hashed or sealed. Never here: a secret in clear, a query.

use std::collections::HashMap;

use jiff::Timestamp;
use pool_shared::{
    AdminTokenId, ClientKey, ClientKeyId, ClientKeyRules, Key, KeyId, Limits, PoolId, PoolSettings, Scope,
    Weight,
};
use serde::{Deserialize, Serialize};

use super::StoredKeys;
use crate::crypto::{Encrypted, KeyDigest, TokenHash};

/// Why the store did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// It does not answer, or answered with a fault of its own. Never a verdict on the caller.
    #[error("the config store does not answer: {0}")]
    Unavailable(String),
    /// What it holds cannot be read as what this version of the service writes.
    #[error("the config store holds something unreadable: {0}")]
    Corrupt(String),
    /// The pool's name is taken.
    #[error("a pool of that name exists already")]
    NameTaken,
    /// So many changes were made in a pool with a token, or with those that it made, that the audit takes no more of them
    /// for some seconds. Nothing was changed.
    #[error("too many changes in the last minute")]
    TooManyChanges,
    /// Everything is stored, but the data plane does not see all of it yet.
    #[error("{0}")]
    Lagging(String),
}

/// Everything that the data plane needs of a pool, as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolConfig {
    /// The pool.
    pub id: PoolId,
    /// Its name, for messages.
    pub name: String,
    /// Off means that every request is refused.
    pub enabled: bool,
    /// The models that callers may use; empty means all.
    pub allowed_models: Vec<String>,
    /// How it serves requests.
    pub settings: PoolSettings,
    /// The key that opens its Gemini keys, sealed.
    pub data_key: Encrypted,
    /// Moves with every change.
    pub version: u64,
    /// The hashes of its client keys.
    pub client_keys: Vec<TokenHash>,
    /// When those stop working that do not work for ever.
    pub expiries: HashMap<TokenHash, Timestamp>,
    /// The id of each, and what it may do. A document of an earlier version tells only of those that may not do everything.
    pub rules: HashMap<TokenHash, (ClientKeyId, ClientKeyRules)>,
    /// Its enabled Gemini keys.
    pub keys: StoredKeys,
}

/// What has become of a pool since a version of it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refreshed {
    /// Nothing changed.
    Unchanged,
    /// It changed: this is how it stands now.
    Changed(Box<PoolConfig>),
    /// It was deleted.
    Gone,
}

/// A pool to be created.
#[derive(Clone, Debug)]
pub struct NewPool {
    /// Its id.
    pub id: PoolId,
    /// Its name, checked.
    pub name: String,
    /// What tells its name apart from others, see [`pool_shared::name_key`].
    pub name_key: String,
    /// What it is for.
    pub description: String,
    /// The models that callers may use.
    pub allowed_models: Vec<String>,
    /// How it serves requests.
    pub settings: PoolSettings,
    /// Its data key, sealed.
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
    /// A name for people.
    pub name: String,
    /// Its last four characters.
    pub hint: String,
    /// When it stops working; absent for never.
    pub expires_at: Option<Timestamp>,
    /// What it may do.
    pub rules: ClientKeyRules,
    /// It was not made by this service.
    pub weak: bool,
}

/// What is to change of a client key, checked; the rest stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientKeyChange {
    /// Its name.
    pub name: Option<String>,
    /// When it stops working; the inner one is absent for never.
    pub expires_at: Option<Option<Timestamp>>,
    /// Its limits.
    pub limits: Option<Limits>,
    /// The models that it may use.
    pub allowed_models: Option<Vec<String>>,
    /// The networks that it may be used from.
    pub allowed_networks: Option<Vec<String>>,
}

/// A client key as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredClientKey {
    /// Its hash.
    pub hash: TokenHash,
    /// The rest of it. When it was last used does not stand in the config.
    pub client_key: ClientKey,
}

/// A data key that was sealed under another master key.
#[derive(Clone, Debug, Serialize)]
pub struct Rewrapped {
    /// Its pool.
    pub pool: PoolId,
    /// As it was.
    pub old: Encrypted,
    /// As it is to be.
    pub new: Encrypted,
}

/// A Gemini key as it is sealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EncryptedKey {
    /// By which a pool's keys are ordered.
    pub digest: KeyDigest,
    /// Its id.
    pub id: KeyId,
    /// The key, sealed.
    #[serde(rename = "sealed")]
    pub encrypted: Encrypted,
}

/// A Gemini key that was sealed anew.
#[derive(Clone, Debug, Serialize)]
pub struct Reencrypted {
    /// By which it is found.
    pub digest: KeyDigest,
    /// As it was.
    pub old: Encrypted,
    /// As it is to be.
    pub new: Encrypted,
}

/// A Gemini key to be added, or as stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NewKey {
    /// Its id.
    pub id: KeyId,
    /// By which a key that is already there is recognised.
    pub digest: KeyDigest,
    /// The key, sealed.
    #[serde(rename = "sealed")]
    pub encrypted: Encrypted,
    /// First and last four characters.
    pub masked: String,
    /// A name for people.
    pub name: String,
    /// A label.
    pub tag: String,
    /// Its share of the traffic.
    pub weight: Weight,
    /// Its project; empty when the operator named none.
    pub project: String,
    /// The billing account above its project; empty when the operator named none.
    #[serde(default)]
    pub billing_account: String,
    /// Its project's quotas, as far as the operator named them.
    pub limits: Limits,
    /// Off means that a person took it out of use.
    pub enabled: bool,
}

/// An admin token to be created, or as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredAdminToken {
    /// Its id.
    pub id: AdminTokenId,
    /// A name for people.
    pub name: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it stops working.
    pub expires_at: Timestamp,
    /// What it may do; absent for everything.
    pub scopes: Option<Vec<Scope>>,
    /// The only pool that it is good for.
    pub pool: Option<PoolId>,
    /// The token that made it; none for a login's and for those whose makers are gone.
    pub parent: Option<AdminTokenId>,
    /// The token with which it shares its budget of changes; none for its own. Whoever has less than all rights gets no
    /// further budget by making or rotating tokens.
    pub budget: Option<AdminTokenId>,
    /// When its use was last noted. Not stored with it.
    pub last_used_at: Option<Timestamp>,
}

impl StoredAdminToken {
    /// The token whose budget of changes it uses.
    #[must_use]
    pub fn budget(&self) -> &AdminTokenId {
        self.budget.as_ref().unwrap_or(&self.id)
    }

    /// Whether it may do everything.
    #[must_use]
    pub fn has_all_rights(&self) -> bool {
        self.scopes.is_none() && self.pool.is_none()
    }
}

/// What the id of a client key for a trial starts with. Its making is noted as a trial, and its end is not noted.
pub const TRIAL_PREFIX: &str = "ck-try-";

/// What the id of a browser's session starts with. Otherwise it is an admin token like any other.
pub const SESSION_PREFIX: &str = "ses-";

/// Which page of a list: what comes after `after`, at most `limit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// The position of the last item of the page before; 0 for the first page.
    pub after: u64,
    /// At most so many items.
    pub limit: u32,
}

/// A page of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPage {
    /// The keys.
    pub keys: Vec<Key>,
    /// How many match on all pages.
    pub total: u64,
    /// [`Page::after`] of the next page; none on the last.
    pub next: Option<u64>,
}

/// What a change of several keys did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchOutcome {
    /// Keys changed or removed.
    pub changed: u64,
    /// Ids that the pool does not have.
    pub missing: Vec<KeyId>,
}
