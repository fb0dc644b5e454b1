//! SQL statements about client keys, for the admin API.

use jiff::Timestamp;
use pool_shared::{ClientKeyId, ClientKeyRules, PoolId};
use serde::Serialize;

use super::rows::ClientKeyRow;
use super::{json_text, read_rows};
use crate::crypto::TokenHash;
use crate::sql::{Outcome, SqlValue, Statement};
use crate::store::{ClientKeyChange, NewClientKey, StoreError, StoredClientKey};

pub(super) fn list(pool: &PoolId) -> Statement {
    Statement::new(
        "SELECT json_object(
            'hash', hash, 'id', id, 'name', name, 'hint', hint, 'created_at', created_at, 'expires_at', expires_at,
            'rules', json(rules), 'weak', weak
        ) AS row FROM client_keys WHERE pool_id = ?1 ORDER BY created_at, id",
        [pool.as_str().into()],
    )
}

pub(super) fn read(outcome: &Outcome) -> Result<Vec<StoredClientKey>, StoreError> {
    read_rows::<ClientKeyRow>(outcome)?.into_iter().map(StoredClientKey::try_from).collect()
}

/// A client key in the form that [`insert`] passes to SQL.
#[derive(Serialize)]
struct Inserted<'a> {
    hash: &'a TokenHash,
    id: &'a ClientKeyId,
    name: &'a str,
    hint: &'a str,
    expires_at: Option<i64>,
    rules: Option<&'a ClientKeyRules>,
    weak: Option<bool>,
}

impl<'a> Inserted<'a> {
    fn new(client_key: &'a NewClientKey) -> Self {
        Self {
            hash: &client_key.hash,
            id: &client_key.id,
            name: &client_key.name,
            hint: &client_key.hint,
            expires_at: client_key.expires_at.map(Timestamp::as_millisecond),
            rules: Some(&client_key.rules).filter(|rules| !rules.is_empty()),
            weak: client_key.weak.then_some(true),
        }
    }
}

/// Adds client keys that exist in no pool yet.
pub(super) fn insert(
    pool: &PoolId,
    client_keys: &[NewClientKey],
    now: Timestamp,
) -> Result<Statement, StoreError> {
    let client_keys: Vec<_> = client_keys.iter().map(Inserted::new).collect();
    Ok(Statement::new(
        "INSERT INTO client_keys (hash, id, pool_id, name, hint, created_at, expires_at, rules, weak)
         SELECT value ->> 'hash', value ->> 'id', ?1, value ->> 'name', value ->> 'hint', ?3,
            value ->> 'expires_at', value ->> 'rules', value ->> 'weak' FROM json_each(?2)
         WHERE EXISTS (SELECT 1 FROM pools WHERE id = ?1) ON CONFLICT DO NOTHING",
        [pool.as_str().into(), json_text(&client_keys)?, now.into()],
    ))
}

/// Changes the fields of a client key that `update` names.
pub(super) fn update(
    pool: &PoolId,
    id: &ClientKeyId,
    change: &ClientKeyChange,
) -> Result<Statement, StoreError> {
    let limits = change.limits.as_ref().map(json_text).transpose()?;
    let models = change.allowed_models.as_ref().map(json_text).transpose()?;
    let networks = change.allowed_networks.as_ref().map(json_text).transpose()?;
    Ok(Statement::new(
        "UPDATE client_keys SET
            name = coalesce(?3, name), expires_at = CASE ?4 WHEN 1 THEN ?5 ELSE expires_at END,
            rules = json_set(coalesce(rules, '{}'),
                '$.limits', json(coalesce(?6, rules -> '$.limits', '{}')),
                '$.allowed_models', json(coalesce(?7, rules -> '$.allowed_models', '[]')),
                '$.allowed_networks', json(coalesce(?8, rules -> '$.allowed_networks', '[]')))
         WHERE pool_id = ?1 AND id = ?2",
        [
            pool.as_str().into(),
            id.as_str().into(),
            change.name.as_deref().into(),
            u64::from(change.expires_at.is_some()).into(),
            change.expires_at.flatten().into(),
            limits.unwrap_or(SqlValue::Null),
            models.unwrap_or(SqlValue::Null),
            networks.unwrap_or(SqlValue::Null),
        ],
    ))
}

/// Adds a client key with the name and rules of another one, if that exists.
pub(super) fn insert_like(
    pool: &PoolId,
    old: &ClientKeyId,
    client_key: &NewClientKey,
    now: Timestamp,
) -> Statement {
    Statement::new(
        "INSERT INTO client_keys (hash, id, pool_id, name, hint, created_at, expires_at, rules)
         SELECT ?1, ?2, pool_id, name, ?5, ?6, ?7, rules FROM client_keys WHERE pool_id = ?3 AND id = ?4",
        [
            client_key.hash.as_str().into(),
            client_key.id.as_str().into(),
            pool.as_str().into(),
            old.as_str().into(),
            client_key.hint.as_str().into(),
            now.into(),
            client_key.expires_at.into(),
        ],
    )
}

/// Ends a client key at a time, unless it ends earlier.
pub(super) fn end(pool: &PoolId, id: &ClientKeyId, until: Timestamp) -> Statement {
    Statement::new(
        "UPDATE client_keys SET expires_at = min(coalesce(expires_at, ?3), ?3) WHERE pool_id = ?1 AND id = ?2",
        [pool.as_str().into(), id.as_str().into(), until.into()],
    )
}

pub(super) fn delete(pool: &PoolId, id: &ClientKeyId) -> Statement {
    Statement::new(
        "DELETE FROM client_keys WHERE pool_id = ?1 AND id = ?2",
        [pool.as_str().into(), id.as_str().into()],
    )
}

/// Removes the expired client keys of a pool.
pub(super) fn forget_expired(pool: &PoolId, now: Timestamp) -> Statement {
    Statement::new(
        "DELETE FROM client_keys WHERE pool_id = ?1 AND expires_at <= ?2",
        [pool.as_str().into(), now.into()],
    )
}
