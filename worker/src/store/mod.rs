//! The config store: pools, client keys (hashed), Gemini keys (sealed), admin tokens (hashed).
//!
//! What comes in is already hashed or sealed: no secret in clear ever reaches a store. Only the admin
//! API writes, to a [`ConfigStore`], which is SQL everywhere ([`sql`], on D1, on SQLite and inside a
//! Durable Object). The data plane needs a [`PoolReader`], which is that same store or, where the
//! Durable Object publishes its pools to KV, those documents ([`kv`]). [`copy`] moves everything from
//! one store to another.

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
