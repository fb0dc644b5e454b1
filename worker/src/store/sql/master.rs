//! SQL statements about rows that are encrypted under the master key.

use pool_shared::PoolId;

use super::json_text;
use crate::crypto::Encrypted;
use crate::sql::Statement;
use crate::store::{Rewrapped, StoreError};

/// The name of the HMAC keys in `secrets`.
const HASH_KEYS: &str = "hash_keys";

pub(in crate::store) fn hash_keys() -> Statement {
    Statement::new("SELECT json_quote(sealed) AS row FROM secrets WHERE name = ?1", [HASH_KEYS.into()])
}

/// Stores the HMAC keys if the stored value is still the expected one, or missing.
pub(in crate::store) fn put_hash_keys(old: Option<&Encrypted>, new: &Encrypted) -> Statement {
    Statement::new(
        "INSERT INTO secrets (name, sealed) VALUES (?1, ?2)
         ON CONFLICT (name) DO UPDATE SET sealed = excluded.sealed WHERE sealed = ?3",
        [HASH_KEYS.into(), new.as_str().into(), old.map(Encrypted::as_str).into()],
    )
}

pub(super) fn data_keys(after: Option<&PoolId>, limit: u32) -> Statement {
    Statement::new(
        "SELECT json_array(id, data_key) AS row FROM pools WHERE id > ?1 ORDER BY id LIMIT ?2",
        [after.map_or("", PoolId::as_str).into(), u64::from(limit).into()],
    )
}

/// Replaces data keys whose stored value is still the expected one. Pools' versions stay: the data
/// keys in memory remain valid.
pub(super) fn rewrap_data_keys(rewrapped: &[Rewrapped]) -> Result<Statement, StoreError> {
    Ok(Statement::new(
        "UPDATE pools SET data_key = (SELECT value ->> '$.new' FROM json_each(?1) WHERE value ->> '$.pool' = pools.id)
         WHERE (id, data_key) IN (SELECT value ->> '$.pool', value ->> '$.old' FROM json_each(?1))",
        [json_text(&rewrapped)?],
    ))
}
