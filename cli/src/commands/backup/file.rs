//! The backup file.

use jiff::Timestamp;
use pool_shared::{
    ClientKey, ClientKeyId, ClientKeyRules, ExportedKey, HashedClientKey, PoolSettings, Secret,
};
use serde::{Deserialize, Serialize};

use crate::{error::CliError, input::KeySource};

/// Format version that is written. Version 1 has only the names of client keys.
pub const FORMAT: u32 = 2;

/// The content of a backup file.
#[derive(Serialize, Deserialize)]
pub struct Backup {
    pub format: u32,
    pub at: Timestamp,
    pub service: String,
    /// The HMAC key of the client keys' hashes, if the file has hashes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_hash_key: Option<String>,
    pub pools: Vec<SavedPool>,
}

#[derive(Serialize, Deserialize)]
pub struct SavedPool {
    pub name: String,
    pub description: String,
    pub enabled: bool,
    pub allowed_models: Vec<String>,
    #[serde(flatten)]
    pub settings: PoolSettings,
    pub client_keys: SavedClientKeys,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<Vec<ExportedKey>>,
}

/// Returns a pool's client keys.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
pub enum SavedClientKeys {
    /// Format 2.
    Rules(Vec<SavedClientKey>),
    /// Format 1: ignored by a restore.
    Names(Vec<String>),
}

impl SavedClientKeys {
    pub const fn len(&self) -> usize {
        match self {
            Self::Rules(keys) => keys.len(),
            Self::Names(names) => names.len(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedClientKey {
    pub id: ClientKeyId,
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub hint: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub weak: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<Secret>,
    #[serde(flatten)]
    pub rules: ClientKeyRules,
}

impl From<ClientKey> for SavedClientKey {
    fn from(key: ClientKey) -> Self {
        let ClientKey { id, name, hint, expires_at, weak, rules, created_at: _, last_used_at: _ } = key;
        Self { id, name, hint, expires_at, weak, hash: None, rules }
    }
}

impl From<HashedClientKey> for SavedClientKey {
    fn from(key: HashedClientKey) -> Self {
        let HashedClientKey {
            id,
            name,
            hint,
            hash,
            expires_at,
            weak,
            limits,
            allowed_models,
            allowed_networks,
        } = key;
        let rules = ClientKeyRules { limits, allowed_models, allowed_networks };
        Self { id, name, hint, expires_at, weak, hash: Some(hash), rules }
    }
}

impl Backup {
    /// Reads the file. An error has only the position, because the parser's message may contain
    /// keys.
    pub fn read(text: &[u8], source: &KeySource) -> Result<Self, CliError> {
        let mut backup: Self = serde_json::from_slice(text).map_err(|error| {
            CliError::usage(format!("{source} is not a backup")).cause(format!(
                "near line {}, column {}",
                error.line(),
                error.column()
            ))
        })?;
        match backup.format {
            // A pool without client keys is the same in both formats.
            1 => backup.pools.iter_mut().for_each(|pool| {
                if pool.client_keys.len() == 0 {
                    pool.client_keys = SavedClientKeys::Names(Vec::new());
                }
            }),
            FORMAT => {}
            other => {
                return Err(CliError::usage(format!(
                    "the backup has format {other}; this poolctl reads 1 and {FORMAT}"
                )));
            }
        }
        Ok(backup)
    }
}
