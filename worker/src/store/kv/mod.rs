//! The published form of the config store on KV: what the data plane reads where no D1 is bound.
//!
//! The source of truth is SQL in one Durable Object, which serialises all writes. After each change
//! its [`Publisher`] writes the pool's document, and for each client key a small entry that names
//! the pool. The data plane's [`KvStore`] only reads, so a stale copy never overwrites or deletes
//! anything.
//!
//! KV shows a write elsewhere up to a minute later, and in any order. Every document and entry has
//! a growing version number, by which a reader recognises the newer one.

mod document;
mod outbox;
mod publisher;
#[cfg(test)]
mod tests;

use std::future::Future;

use pool_shared::PoolId;
use serde::{Deserialize, Serialize};

pub use publisher::Publisher;

use super::{PoolConfig, PoolReader, Refreshed, StoreError};
use crate::crypto::{Encrypted, TokenHash};
use crate::platform::{MaybeSend, MaybeSync};

/// Prefix of a pool's document, before its id. `v1` is the version of the format.
const POOL_PREFIX: &str = "v1:pool:";
/// Prefix of a client key's entry, before its hash.
const CLIENT_KEY_PREFIX: &str = "v1:client-key:";
/// The encrypted HMAC keys.
const HASH_KEYS_NAME: &str = "v1:secret:hash_keys";

fn pool_name(pool: &PoolId) -> String {
    format!("{POOL_PREFIX}{pool}")
}

fn client_key_name(hash: &TokenHash) -> String {
    format!("{CLIENT_KEY_PREFIX}{}", hash.as_str())
}

/// An error of KV.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("KV is unavailable: {0}")]
pub struct KvError(pub String);

impl From<KvError> for StoreError {
    fn from(error: KvError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

/// The part of a value to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Its first line, without the line break.
    FirstLine,
    /// The whole value.
    Whole,
}

/// The result of a read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KvRead {
    /// Nothing, or nothing yet.
    Missing,
    /// Nothing newer than the held version; the value was not read.
    NotNewer,
    /// A value.
    Found {
        /// Its version.
        version: u64,
        /// The requested part of it.
        text: String,
    },
}

/// A page of a listing: names with their versions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KvNames {
    /// The names.
    pub names: Vec<(String, u64)>,
    /// The start of the next page; none on the last.
    pub cursor: Option<String>,
}

/// A KV namespace: texts by name, each with a version that is readable without the value.
pub trait Kv: MaybeSend + MaybeSync {
    /// Reads a value, unless it is not newer than `held`.
    fn get(
        &self,
        name: &str,
        held: Option<u64>,
        part: Part,
    ) -> impl Future<Output = Result<KvRead, KvError>> + MaybeSend;

    /// Writes a text and its version.
    fn put(
        &self,
        name: &str,
        text: &str,
        version: u64,
    ) -> impl Future<Output = Result<(), KvError>> + MaybeSend;

    /// Removes a value if it exists.
    fn delete(&self, name: &str) -> impl Future<Output = Result<(), KvError>> + MaybeSend;

    /// Returns the names with a prefix, from `cursor` on.
    fn list(
        &self,
        prefix: &str,
        cursor: Option<&str>,
    ) -> impl Future<Output = Result<KvNames, KvError>> + MaybeSend;
}

/// A client key's entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct ClientKeyEntry {
    /// Its pool.
    pool: PoolId,
    /// A document of the pool that is newer than this and lacks the client key means that it was
    /// revoked; an older one may not have it yet.
    since: u64,
}

/// The data plane's reader of the config store on KV.
pub struct KvStore<K> {
    kv: K,
}

impl<K: Kv> KvStore<K> {
    /// Reads from a namespace.
    pub const fn new(kv: K) -> Self {
        Self { kv }
    }

    async fn pool(&self, pool: &PoolId, held: Option<u64>) -> Result<Refreshed, StoreError> {
        Ok(match self.kv.get(&pool_name(pool), held, Part::FirstLine).await? {
            KvRead::Missing => Refreshed::Gone,
            KvRead::NotNewer => Refreshed::Unchanged,
            KvRead::Found { version, text } => {
                Refreshed::Changed(Box::new(PoolConfig { version, ..document::read_head(&text)? }))
            }
        })
    }
}

impl<K: Kv> PoolReader for KvStore<K> {
    async fn load_by_client_key(&self, hash: &TokenHash) -> Result<Option<PoolConfig>, StoreError> {
        let KvRead::Found { text, .. } = self.kv.get(&client_key_name(hash), None, Part::Whole).await? else {
            return Ok(None);
        };
        let entry: ClientKeyEntry =
            serde_json::from_str(&text).map_err(|error| StoreError::Corrupt(error.to_string()))?;
        let Refreshed::Changed(mut config) = self.pool(&entry.pool, None).await? else { return Ok(None) };
        if !config.client_keys.contains(hash) {
            if config.version > entry.since {
                return Ok(None);
            }
            config.client_keys.push(hash.clone());
        }
        Ok(Some(*config))
    }

    async fn refresh(&self, pool: &PoolId, version: u64) -> Result<Refreshed, StoreError> {
        self.pool(pool, Some(version)).await
    }

    async fn hash_keys(&self) -> Result<Option<Encrypted>, StoreError> {
        match self.kv.get(HASH_KEYS_NAME, None, Part::Whole).await? {
            KvRead::Found { text, .. } => Ok(Some(Encrypted::from(text))),
            KvRead::Missing | KvRead::NotNewer => Ok(None),
        }
    }
}
