//! The config store: pools, client keys (hashed), Gemini keys (encrypted), admin tokens (hashed).
//!
//! Only the admin API writes, through a [`ConfigStore`], which is SQL everywhere ([`sql`]: D1,
//! SQLite, the SQLite of a Durable Object). The data plane reads through a [`PoolReader`]: the same
//! store, or the documents that the Durable Object publishes to KV ([`kv`]). [`copy`] copies
//! everything to another store.
//!
//! # Invariants
//! - Everything secret is hashed or encrypted before it reaches a store.

pub mod copy;
pub mod kv;
mod requests;
pub mod sql;
mod stored_keys;
mod traits;
mod types;

pub use requests::{
    AuditCursor, AuditFilter, Change, EnabledKey, KeyFilter, KeysWanted, LoginAttempt, StateFilter,
    ThrottleRule,
};
pub(crate) use sql::settled;
pub use stored_keys::{StoredKey, StoredKeys, StoredKeysBuilder};
pub use traits::{ConfigStore, PoolReader};
pub use types::{
    BatchOutcome, ClientKeyChange, EncryptedKey, KeyPage, NewClientKey, NewKey, NewPool, Page, PoolConfig,
    Reencrypted, Refreshed, Rewrapped, SESSION_PREFIX, StoreError, StoredAdminToken, StoredClientKey,
    TRIAL_PREFIX,
};
