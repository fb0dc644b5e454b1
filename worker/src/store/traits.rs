//! What the two planes ask of a store.
//!
//! [`PoolReader`] is what the data plane needs, [`ConfigStore`] what the admin API needs. What must never happen behind
//! them: half of a step.

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
    fn hash_keys(&self) -> impl Future<Output = Result<Option<Encrypted>, StoreError>> + MaybeSend;
}

/// What the admin API reads and writes. Each method is one atomic step: all of it happens, or nothing.
pub trait ConfigStore: PoolReader + Replica {
    /// The other store that is bound, where a migration goes to; most deployments have none.
    fn other(&self) -> Option<impl Replica>;

    /// Overwrites what was deleted or replaced, where the database's files keep it.
    fn forget_replaced(&self) -> impl Future<Output = Result<(), StoreError>> + MaybeSend;

    /// Whether it answers.
    fn ping(&self) -> impl Future<Output = Result<(), StoreError>> + MaybeSend;

    /// Every pool, by name.
    fn pools(&self) -> impl Future<Output = Result<Vec<Pool>, StoreError>> + MaybeSend;

    /// One pool, by its id or its name.
    fn pool(&self, reference: &str) -> impl Future<Output = Result<Option<Pool>, StoreError>> + MaybeSend;

    /// A pool's sealed data key.
    fn data_key(
        &self,
        pool: &PoolId,
    ) -> impl Future<Output = Result<Option<Encrypted>, StoreError>> + MaybeSend;

    /// The sealed data keys of pools, in the order of the pools' ids: those after one, at most `limit`.
    fn data_keys(
        &self,
        after: Option<&PoolId>,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<(PoolId, Encrypted)>, StoreError>> + MaybeSend;

    /// Puts data keys in the place of what they were made of, where that is still there. Gives how many.
    fn rewrap_data_keys(
        &self,
        rewrapped: &[Rewrapped],
    ) -> impl Future<Output = Result<u64, StoreError>> + MaybeSend;

    /// Stores the keys of the hashes, sealed, in the place of `old`, if that is still there.
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

    /// Changes the fields that `update` names; what tells a new name apart goes with it. False: no such pool.
    fn update_pool(
        &self,
        pool: &PoolId,
        update: &PoolUpdate,
        name_key: Option<&str>,
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

    /// The enabled keys of some pools that are wanted.
    fn enabled_keys(
        &self,
        pools: &[PoolId],
        wanted: &KeysWanted,
    ) -> impl Future<Output = Result<Vec<EnabledKey>, StoreError>> + MaybeSend;

    /// A page of a pool's keys as they are stored, in the order in which they were added: those of `ids`,
    /// or all; and [`Page::after`] of the next page.
    fn encrypted_keys(
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
    ) -> impl Future<Output = Result<Vec<EncryptedKey>, StoreError>> + MaybeSend;

    /// Some Gemini keys of all pools as they are sealed, at most `limit`: to verify that they decrypt.
    fn encrypted_sample(
        &self,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<(PoolId, KeyId, Encrypted)>, StoreError>> + MaybeSend;

    /// Puts sealed keys in the place of what they were made of, where that is still there. The pool's version
    /// stays: whoever has it in memory can go on.
    fn reencrypt_keys(
        &self,
        pool: &PoolId,
        reencrypted: &[Reencrypted],
    ) -> impl Future<Output = Result<u64, StoreError>> + MaybeSend;

    /// Adds keys, passing over those that the pool has. Gives how many are new. They are sealed under
    /// `data_key`: when the pool has got another one meanwhile, nothing is added.
    fn import_keys(
        &self,
        pool: &PoolId,
        data_key: &Encrypted,
        keys: &[NewKey],
        change: Change,
    ) -> impl Future<Output = Result<u64, StoreError>> + MaybeSend;

    /// How many of these keys each other pool has, by its name; pools that have none are left out.
    fn keys_elsewhere(
        &self,
        pool: &PoolId,
        digests: &[&KeyDigest],
    ) -> impl Future<Output = Result<Vec<(String, u64)>, StoreError>> + MaybeSend;

    /// Makes the same change to several keys, and counts those that it makes different.
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

    /// Revokes an admin token and, unless they are to be kept, those that it made, and those that these made. What is
    /// kept becomes that of whoever made the token. False: no such token.
    fn delete_admin_token(
        &self,
        token: &StoredAdminToken,
        keep_children: bool,
        change: Change,
    ) -> impl Future<Output = Result<bool, StoreError>> + MaybeSend;

    /// Ends the sessions of all browsers. Gives how many there were.
    fn delete_sessions(&self, change: Change) -> impl Future<Output = Result<u64, StoreError>> + MaybeSend;

    /// Counts a try of the password as failed, before the password is looked at, unless it is too early
    /// for one: gives when the next one may be made. One step, so that tries at once count one by one. At
    /// most two rows; a bounded number is kept.
    fn try_login(
        &self,
        attempt: &LoginAttempt,
    ) -> impl Future<Output = Result<Option<Timestamp>, StoreError>> + MaybeSend;

    /// The clock was set: delays of logins go on as long as they would have. A store whose clock is never set has
    /// nothing to do.
    fn shift_logins(&self, by: SignedDuration) -> impl Future<Output = Result<(), StoreError>> + MaybeSend {
        let _ = by;
        async { Ok(()) }
    }

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

    /// A page of the audit: the latest change first, or what follows an entry.
    fn audit(
        &self,
        filter: &AuditFilter,
    ) -> impl Future<Output = Result<Vec<AuditEntry>, StoreError>> + MaybeSend;

    /// Where the audit lost entries before their time that are not older.
    fn audit_losses(
        &self,
        since: Timestamp,
    ) -> impl Future<Output = Result<Vec<AuditLoss>, StoreError>> + MaybeSend;
}
