//! The config store: pools, client keys (hashed), Gemini keys (sealed), admin tokens (hashed).
//!
//! What comes in is already hashed or sealed: no secret in clear ever reaches a store. Only the admin
//! API writes, to a [`ConfigStore`], which is SQL everywhere ([`sql`], on D1, on SQLite and inside a
//! Durable Object). The data plane needs a [`PoolReader`], which is that same store or, where the
//! Durable Object publishes its pools to KV, those documents ([`kv`]). [`copy`] moves everything from
//! one store to another.

mod ask;
pub mod copy;
pub mod kv;
pub mod sql;

use std::collections::{BTreeSet, HashMap};
use std::future::Future;

use jiff::Timestamp;
use pool_shared::{
    AdminTokenId, AuditEntry, ClientKey, ClientKeyId, ClientKeyRules, Key, KeyChange, KeyId, Limits, Pool,
    PoolId, PoolSettings, PoolUpdate, Scope, Weight,
};
use serde::{Deserialize, Serialize};

use crate::crypto::{KeyDigest, Sealed, TokenHash};
use crate::host::{MaybeSend, MaybeSync};
pub use ask::{AuditFilter, Change, EnabledKey, KeyFilter, LoginTry, StateFilter, TryRule};
use copy::Replica;

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
    pub data_key: Sealed,
    /// Moves with every change.
    pub version: u64,
    /// The hashes of its client keys.
    pub client_keys: Vec<TokenHash>,
    /// When those stop working that do not work for ever.
    pub expiries: HashMap<TokenHash, Timestamp>,
    /// What those may do that may not do everything.
    pub rules: HashMap<TokenHash, (ClientKeyId, ClientKeyRules)>,
    /// Its enabled Gemini keys.
    pub keys: Vec<StoredKey>,
}

/// A Gemini key as the data plane reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredKey {
    /// Its id.
    pub id: KeyId,
    /// The key, sealed.
    pub sealed: Sealed,
    /// Its share of the traffic.
    pub weight: Weight,
    /// Its project; empty when the operator named none.
    pub project: String,
    /// Its project's quotas, as far as the operator named them.
    pub limits: Limits,
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
    /// What it is for.
    pub description: String,
    /// The models that callers may use.
    pub allowed_models: Vec<String>,
    /// How it serves requests.
    pub settings: PoolSettings,
    /// Its data key, sealed.
    pub data_key: Sealed,
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
    pub old: Sealed,
    /// As it is to be.
    pub new: Sealed,
}

/// A Gemini key as it is sealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedKey {
    /// By which a pool's keys are ordered.
    pub digest: KeyDigest,
    /// Its id.
    pub id: KeyId,
    /// The key, sealed.
    pub sealed: Sealed,
}

/// A Gemini key that was sealed anew.
#[derive(Clone, Debug, Serialize)]
pub struct Resealed {
    /// By which it is found.
    pub digest: KeyDigest,
    /// As it was.
    pub old: Sealed,
    /// As it is to be.
    pub new: Sealed,
}

/// A Gemini key to be added, or as stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NewKey {
    /// Its id.
    pub id: KeyId,
    /// By which a key that is already there is recognised.
    pub digest: KeyDigest,
    /// The key, sealed.
    pub sealed: Sealed,
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
    /// When its use was last noted. Not stored with it.
    pub last_used_at: Option<Timestamp>,
}

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

/// What the data plane reads.
pub trait PoolReader: MaybeSend + MaybeSync {
    /// The pool that a client key belongs to. One round trip; two on KV.
    fn load_by_client_key(
        &self,
        hash: &TokenHash,
    ) -> impl Future<Output = Result<Option<PoolConfig>, StoreError>> + MaybeSend;

    /// What has become of a pool since `version`. One round trip, one row when nothing changed.
    fn refresh(
        &self,
        pool: &PoolId,
        version: u64,
    ) -> impl Future<Output = Result<Refreshed, StoreError>> + MaybeSend;

    /// The keys of the hashes, sealed; none before the first rotation of the master key.
    fn hash_keys(&self) -> impl Future<Output = Result<Option<Sealed>, StoreError>> + MaybeSend;
}

/// What the admin API reads and writes. Each method is one atomic step: all of it happens, or nothing.
pub trait ConfigStore: PoolReader + Replica {
    /// The other store that is bound, where a migration goes to; most deployments have none.
    fn other(&self) -> Option<impl Replica>;

    /// Whether it answers.
    fn ping(&self) -> impl Future<Output = Result<(), StoreError>> + MaybeSend;

    /// Every pool, by name.
    fn pools(&self) -> impl Future<Output = Result<Vec<Pool>, StoreError>> + MaybeSend;

    /// One pool, by its id or its name.
    fn pool(&self, reference: &str) -> impl Future<Output = Result<Option<Pool>, StoreError>> + MaybeSend;

    /// A pool's sealed data key.
    fn data_key(&self, pool: &PoolId)
    -> impl Future<Output = Result<Option<Sealed>, StoreError>> + MaybeSend;

    /// The sealed data keys of pools, in the order of the pools' ids: those after one, at most `limit`.
    fn data_keys(
        &self,
        after: Option<&PoolId>,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<(PoolId, Sealed)>, StoreError>> + MaybeSend;

    /// Puts data keys in the place of what they were made of, where that is still there. Gives how many.
    fn rewrap_data_keys(
        &self,
        rewrapped: &[Rewrapped],
    ) -> impl Future<Output = Result<u64, StoreError>> + MaybeSend;

    /// Stores the keys of the hashes, sealed, in the place of `old`, if that is still there.
    fn put_hash_keys(
        &self,
        old: Option<&Sealed>,
        new: &Sealed,
    ) -> impl Future<Output = Result<(), StoreError>> + MaybeSend;

    /// Creates a pool with its first client key and keys.
    fn create_pool(
        &self,
        pool: &NewPool,
        change: Change,
    ) -> impl Future<Output = Result<(), StoreError>> + MaybeSend;

    /// Changes the fields that `update` names. False: no such pool.
    fn update_pool(
        &self,
        pool: &PoolId,
        update: &PoolUpdate,
        change: Change,
    ) -> impl Future<Output = Result<bool, StoreError>> + MaybeSend;

    /// Deletes a pool with its keys and client keys. False: no such pool.
    fn delete_pool(
        &self,
        pool: &PoolId,
        change: Change,
    ) -> impl Future<Output = Result<bool, StoreError>> + MaybeSend;

    /// A page of a pool's keys, in the order in which they were added.
    fn keys(
        &self,
        pool: &PoolId,
        filter: &KeyFilter,
        page: Page,
    ) -> impl Future<Output = Result<KeyPage, StoreError>> + MaybeSend;

    /// The enabled keys of some pools that are among `ids` or belong to one of `projects`.
    fn enabled_keys(
        &self,
        pools: &[PoolId],
        ids: &BTreeSet<KeyId>,
        projects: &BTreeSet<String>,
    ) -> impl Future<Output = Result<Vec<EnabledKey>, StoreError>> + MaybeSend;

    /// A page of a pool's keys as they are stored, in the order in which they were added: those of `ids`,
    /// or all; and [`Page::after`] of the next page.
    fn sealed_keys(
        &self,
        pool: &PoolId,
        ids: Option<&[KeyId]>,
        page: Page,
    ) -> impl Future<Output = Result<(Vec<NewKey>, Option<u64>), StoreError>> + MaybeSend;

    /// The sealed keys of a pool in the order of their digests: those after one, at most `limit`.
    fn keys_after(
        &self,
        pool: &PoolId,
        after: &str,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<SealedKey>, StoreError>> + MaybeSend;

    /// Puts sealed keys in the place of what they were made of, where that is still there. The pool's version
    /// stays: whoever has it in memory can go on.
    fn reseal_keys(
        &self,
        pool: &PoolId,
        resealed: &[Resealed],
    ) -> impl Future<Output = Result<u64, StoreError>> + MaybeSend;

    /// Adds keys, passing over those that the pool has. Gives how many are new. They are sealed under
    /// `data_key`: when the pool has got another one meanwhile, nothing is added.
    fn import_keys(
        &self,
        pool: &PoolId,
        data_key: &Sealed,
        keys: &[NewKey],
        change: Change,
    ) -> impl Future<Output = Result<u64, StoreError>> + MaybeSend;

    /// Makes the same change to several keys.
    fn update_keys(
        &self,
        pool: &PoolId,
        ids: &[KeyId],
        update: &KeyChange,
        change: Change,
    ) -> impl Future<Output = Result<BatchOutcome, StoreError>> + MaybeSend;

    /// Removes several keys.
    fn delete_keys(
        &self,
        pool: &PoolId,
        ids: &[KeyId],
        change: Change,
    ) -> impl Future<Output = Result<BatchOutcome, StoreError>> + MaybeSend;

    /// A pool's client keys, oldest first.
    fn client_keys(
        &self,
        pool: &PoolId,
    ) -> impl Future<Output = Result<Vec<StoredClientKey>, StoreError>> + MaybeSend;

    /// Adds a client key in place of another one of the same pool, whose name it takes over and which goes
    /// on working until `until` at the latest. False: no such client key in that pool.
    fn rotate_client_key(
        &self,
        pool: &PoolId,
        old: &ClientKeyId,
        until: Timestamp,
        new: &NewClientKey,
        change: Change,
    ) -> impl Future<Output = Result<bool, StoreError>> + MaybeSend;

    /// Adds client keys, passing over those that are there already, in whatever pool, and forgets those of
    /// the pool that have expired. Gives how many are new.
    fn create_client_keys(
        &self,
        pool: &PoolId,
        client_keys: &[NewClientKey],
        change: Change,
    ) -> impl Future<Output = Result<u64, StoreError>> + MaybeSend;

    /// Changes what `update` names of a client key. False: no such client key in that pool.
    fn update_client_key(
        &self,
        pool: &PoolId,
        id: &ClientKeyId,
        update: &ClientKeyChange,
        change: Change,
    ) -> impl Future<Output = Result<bool, StoreError>> + MaybeSend;

    /// Removes a client key. False: no such client key in that pool.
    fn delete_client_key(
        &self,
        pool: &PoolId,
        id: &ClientKeyId,
        change: Change,
    ) -> impl Future<Output = Result<bool, StoreError>> + MaybeSend;

    /// Adds an admin token, and forgets those that have expired.
    fn create_admin_token(
        &self,
        hash: &TokenHash,
        token: &StoredAdminToken,
        change: Change,
    ) -> impl Future<Output = Result<(), StoreError>> + MaybeSend;

    /// Adds an admin token in place of another one, which goes on working until `until` at the latest, and forgets
    /// those that have expired. False: no such token.
    fn rotate_admin_token(
        &self,
        old: &AdminTokenId,
        until: Timestamp,
        hash: &TokenHash,
        new: &StoredAdminToken,
        change: Change,
    ) -> impl Future<Output = Result<bool, StoreError>> + MaybeSend;

    /// The admin token of a hash, expired or not.
    fn admin_token(
        &self,
        hash: &TokenHash,
    ) -> impl Future<Output = Result<Option<StoredAdminToken>, StoreError>> + MaybeSend;

    /// Revokes an admin token. False: no such token.
    fn delete_admin_token(
        &self,
        id: &AdminTokenId,
        change: Change,
    ) -> impl Future<Output = Result<bool, StoreError>> + MaybeSend;

    /// Ends the sessions of all browsers. Gives how many there were.
    fn delete_sessions(&self, change: Change) -> impl Future<Output = Result<u64, StoreError>> + MaybeSend;

    /// Counts a try of the password as failed, before the password is looked at, unless it is too early
    /// for one: gives when the next one may be made. One step, so that tries at once count one by one. At
    /// most two rows; a bounded number is kept.
    fn try_login(
        &self,
        attempt: &LoginTry,
    ) -> impl Future<Output = Result<Option<Timestamp>, StoreError>> + MaybeSend;

    /// The password was right: the try was no failure, nor are those before it from the same source,
    /// which is known until `known_until`.
    fn login_succeeded(
        &self,
        source: &TokenHash,
        known_until: Timestamp,
    ) -> impl Future<Output = Result<(), StoreError>> + MaybeSend;

    /// The admin tokens that have not expired at `now`, oldest first.
    fn admin_tokens(
        &self,
        now: Timestamp,
    ) -> impl Future<Output = Result<Vec<StoredAdminToken>, StoreError>> + MaybeSend;

    /// Notes that an admin token was used. One row.
    fn use_admin_token(
        &self,
        id: &AdminTokenId,
        now: Timestamp,
    ) -> impl Future<Output = Result<(), StoreError>> + MaybeSend;

    /// Notes in the audit something that changes nothing in this store, or only counts: of so many things.
    fn note(&self, change: Change, count: u64) -> impl Future<Output = Result<(), StoreError>> + MaybeSend;

    /// Notes a wrong password in the audit, unless so many were noted lately that they would fill it.
    fn note_failed_login(&self, change: Change) -> impl Future<Output = Result<(), StoreError>> + MaybeSend;

    /// A page of the audit, the latest change first.
    fn audit(
        &self,
        filter: &AuditFilter,
    ) -> impl Future<Output = Result<Vec<AuditEntry>, StoreError>> + MaybeSend;
}
