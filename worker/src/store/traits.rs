//! The store's traits: [`PoolReader`] for the data plane, [`ConfigStore`] for the admin API.
//!
//! # Invariants
//! - Every method is one atomic step: all of it happens, or nothing.

use std::future::Future;

use jiff::{SignedDuration, Timestamp};
use pool_shared::{
    AdminTokenId, AuditEntry, AuditLoss, ClientKeyId, KeyChange, KeyId, Pool, PoolId, PoolUpdate,
};

use super::copy::Replica;
use super::{
    AuditFilter, BatchOutcome, Change, ClientKeyChange, EnabledKey, EncryptedKey, KeyFilter, KeyPage,
    KeysWanted, LoginAttempt, NewClientKey, NewKey, NewPool, Page, PoolConfig, Reencrypted, Refreshed,
    Rewrapped, StoreError, StoredAdminToken, StoredClientKey,
};
use crate::crypto::{Encrypted, KeyDigest, TokenHash};
use crate::platform::{MaybeSend, MaybeSync};

/// The reads of the data plane.
pub trait PoolReader: MaybeSend + MaybeSync {
    /// Returns the pool of a client key. One round trip; two on KV.
    fn load_by_client_key(
        &self,
        hash: &TokenHash,
    ) -> impl Future<Output = Result<Option<PoolConfig>, StoreError>> + MaybeSend;

    /// Returns the changes of a pool since `version`. One round trip; one row if nothing changed.
    fn refresh(
        &self,
        pool: &PoolId,
        version: u64,
    ) -> impl Future<Output = Result<Refreshed, StoreError>> + MaybeSend;

    /// Returns the HMAC keys, encrypted; none before the first request of the admin API.
    fn hash_keys(&self) -> impl Future<Output = Result<Option<Encrypted>, StoreError>> + MaybeSend;
}

/// The reads and writes of the admin API.
pub trait ConfigStore: PoolReader + Replica {
    /// Returns the other bound store, the target of a migration; most deployments have none.
    fn other(&self) -> Option<impl Replica>;

    /// Overwrites deleted and replaced data, where the database's files keep it.
    fn forget_replaced(&self) -> impl Future<Output = Result<(), StoreError>> + MaybeSend;

    /// Checks that the store responds.
    fn ping(&self) -> impl Future<Output = Result<(), StoreError>> + MaybeSend;

    /// Returns all pools by name.
    fn pools(&self) -> impl Future<Output = Result<Vec<Pool>, StoreError>> + MaybeSend;

    /// Returns a pool by its id or name.
    fn pool(&self, reference: &str) -> impl Future<Output = Result<Option<Pool>, StoreError>> + MaybeSend;

    /// Returns the encrypted data key of a pool.
    fn data_key(
        &self,
        pool: &PoolId,
    ) -> impl Future<Output = Result<Option<Encrypted>, StoreError>> + MaybeSend;

    /// Returns the encrypted data keys of pools in order of the pools' ids, after one of them, at
    /// most `limit`.
    fn data_keys(
        &self,
        after: Option<&PoolId>,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<(PoolId, Encrypted)>, StoreError>> + MaybeSend;

    /// Replaces data keys whose stored value is still the expected one. Returns how many.
    fn rewrap_data_keys(
        &self,
        rewrapped: &[Rewrapped],
    ) -> impl Future<Output = Result<u64, StoreError>> + MaybeSend;

    /// Stores the encrypted HMAC keys if the stored value is still `old`.
    fn put_hash_keys(
        &self,
        old: Option<&Encrypted>,
        new: &Encrypted,
    ) -> impl Future<Output = Result<(), StoreError>> + MaybeSend;

    /// Creates a pool with its first client key and keys.
    fn create_pool(
        &self,
        pool: &NewPool,
        change: Change,
    ) -> impl Future<Output = Result<(), StoreError>> + MaybeSend;

    /// Changes the fields that `update` names. A new name comes with its comparison key. Returns
    /// `false` if the pool does not exist.
    fn update_pool(
        &self,
        pool: &PoolId,
        update: &PoolUpdate,
        name_key: Option<&str>,
        change: Change,
    ) -> impl Future<Output = Result<bool, StoreError>> + MaybeSend;

    /// Deletes a pool with its keys and client keys. Returns `false` if it does not exist.
    fn delete_pool(
        &self,
        pool: &PoolId,
        change: Change,
    ) -> impl Future<Output = Result<bool, StoreError>> + MaybeSend;

    /// Returns a page of a pool's keys, in the order of their import.
    fn keys(
        &self,
        pool: &PoolId,
        filter: &KeyFilter,
        page: Page,
    ) -> impl Future<Output = Result<KeyPage, StoreError>> + MaybeSend;

    /// Returns the selected enabled keys of some pools.
    fn enabled_keys(
        &self,
        pools: &[PoolId],
        wanted: &KeysWanted,
    ) -> impl Future<Output = Result<Vec<EnabledKey>, StoreError>> + MaybeSend;

    /// Returns a page of a pool's stored keys in the order of their import, those of `ids` or all,
    /// and the [`Page::after`] of the next page.
    fn encrypted_keys(
        &self,
        pool: &PoolId,
        ids: Option<&[KeyId]>,
        page: Page,
    ) -> impl Future<Output = Result<(Vec<NewKey>, Option<u64>), StoreError>> + MaybeSend;

    /// Returns the encrypted keys of a pool in order of their digests, after one of them, at most
    /// `limit`.
    fn keys_after(
        &self,
        pool: &PoolId,
        after: &str,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<EncryptedKey>, StoreError>> + MaybeSend;

    /// Returns some encrypted Gemini keys of all pools, at most `limit`, to verify that they
    /// decrypt.
    fn encrypted_sample(
        &self,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<(PoolId, KeyId, Encrypted)>, StoreError>> + MaybeSend;

    /// Replaces encrypted keys whose stored value is still the expected one. The pool's version
    /// stays, so snapshots remain valid.
    fn reencrypt_keys(
        &self,
        pool: &PoolId,
        reencrypted: &[Reencrypted],
    ) -> impl Future<Output = Result<u64, StoreError>> + MaybeSend;

    /// Adds keys that the pool does not have, and returns how many. They are encrypted under
    /// `data_key`: if the pool has another one meanwhile, nothing is added.
    fn import_keys(
        &self,
        pool: &PoolId,
        data_key: &Encrypted,
        keys: &[NewKey],
        change: Change,
    ) -> impl Future<Output = Result<u64, StoreError>> + MaybeSend;

    /// Returns how many of these keys each other pool has, by its name. Pools without any are
    /// omitted.
    fn keys_elsewhere(
        &self,
        pool: &PoolId,
        digests: &[&KeyDigest],
    ) -> impl Future<Output = Result<Vec<(String, u64)>, StoreError>> + MaybeSend;

    /// Applies one change to several keys, and counts those that it changes.
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

    /// Returns a pool's client keys, oldest first.
    fn client_keys(
        &self,
        pool: &PoolId,
    ) -> impl Future<Output = Result<Vec<StoredClientKey>, StoreError>> + MaybeSend;

    /// Adds a client key that replaces another one of the same pool and takes its name. The old one
    /// works until `until` at the latest. Returns `false` if the pool does not have it.
    fn rotate_client_key(
        &self,
        pool: &PoolId,
        old: &ClientKeyId,
        until: Timestamp,
        new: &NewClientKey,
        change: Change,
    ) -> impl Future<Output = Result<bool, StoreError>> + MaybeSend;

    /// Adds client keys that exist in no pool yet, and removes expired ones of the pool. Returns
    /// how many were added.
    fn create_client_keys(
        &self,
        pool: &PoolId,
        client_keys: &[NewClientKey],
        change: Change,
    ) -> impl Future<Output = Result<u64, StoreError>> + MaybeSend;

    /// Changes the fields of a client key that `update` names. Returns `false` if the pool does not
    /// have it.
    fn update_client_key(
        &self,
        pool: &PoolId,
        id: &ClientKeyId,
        update: &ClientKeyChange,
        change: Change,
    ) -> impl Future<Output = Result<bool, StoreError>> + MaybeSend;

    /// Removes a client key. Returns `false` if the pool does not have it.
    fn delete_client_key(
        &self,
        pool: &PoolId,
        id: &ClientKeyId,
        change: Change,
    ) -> impl Future<Output = Result<bool, StoreError>> + MaybeSend;

    /// Adds an admin token, and removes expired ones.
    fn create_admin_token(
        &self,
        hash: &TokenHash,
        token: &StoredAdminToken,
        change: Change,
    ) -> impl Future<Output = Result<(), StoreError>> + MaybeSend;

    /// Adds an admin token that replaces another one, and removes expired ones. The old one works
    /// until `until` at the latest. Returns `false` if it does not exist.
    fn rotate_admin_token(
        &self,
        old: &AdminTokenId,
        until: Timestamp,
        hash: &TokenHash,
        new: &StoredAdminToken,
        change: Change,
    ) -> impl Future<Output = Result<bool, StoreError>> + MaybeSend;

    /// Returns the admin token of a hash, expired or not.
    fn admin_token(
        &self,
        hash: &TokenHash,
    ) -> impl Future<Output = Result<Option<StoredAdminToken>, StoreError>> + MaybeSend;

    /// Revokes an admin token and, unless they are to be kept, all tokens created with it, directly
    /// or indirectly. Kept ones become those of the token's creator. Returns `false` if it does not
    /// exist.
    fn delete_admin_token(
        &self,
        token: &StoredAdminToken,
        keep_children: bool,
        change: Change,
    ) -> impl Future<Output = Result<bool, StoreError>> + MaybeSend;

    /// Ends all browser sessions. Returns how many there were.
    fn delete_sessions(&self, change: Change) -> impl Future<Output = Result<u64, StoreError>> + MaybeSend;

    /// Counts a login attempt as failed before the password is compared. If it comes too early,
    /// returns when the next one may be made. Atomic, so concurrent attempts count one by one. At
    /// most two rows; a bounded number is kept.
    fn try_login(
        &self,
        attempt: &LoginAttempt,
    ) -> impl Future<Output = Result<Option<Timestamp>, StoreError>> + MaybeSend;

    /// Follows a change of the clock, so that login delays keep their length. A store whose clock
    /// is never set does nothing.
    fn shift_logins(&self, by: SignedDuration) -> impl Future<Output = Result<(), StoreError>> + MaybeSend {
        let _ = by;
        async { Ok(()) }
    }

    /// Resets the failures of a source after a successful login, and trusts the source until
    /// `known_until`.
    fn login_succeeded(
        &self,
        source: &TokenHash,
        known_until: Timestamp,
    ) -> impl Future<Output = Result<(), StoreError>> + MaybeSend;

    /// Returns the admin tokens that have not expired at `now`, oldest first.
    fn admin_tokens(
        &self,
        now: Timestamp,
    ) -> impl Future<Output = Result<Vec<StoredAdminToken>, StoreError>> + MaybeSend;

    /// Records the use of an admin token. One row.
    fn use_admin_token(
        &self,
        id: &AdminTokenId,
        now: Timestamp,
    ) -> impl Future<Output = Result<(), StoreError>> + MaybeSend;

    /// Adds an audit entry for an action that changes nothing in this store, with a count.
    fn note(&self, change: Change, count: u64) -> impl Future<Output = Result<(), StoreError>> + MaybeSend;

    /// Adds an audit entry for a wrong password, unless the recent ones reached their limit.
    fn note_failed_login(&self, change: Change) -> impl Future<Output = Result<(), StoreError>> + MaybeSend;

    /// Returns a page of the audit log: the newest entries, or those after an entry.
    fn audit(
        &self,
        filter: &AuditFilter,
    ) -> impl Future<Output = Result<Vec<AuditEntry>, StoreError>> + MaybeSend;

    /// Returns where the audit log dropped entries before their time, since a time.
    fn audit_losses(
        &self,
        since: Timestamp,
    ) -> impl Future<Output = Result<Vec<AuditLoss>, StoreError>> + MaybeSend;
}
