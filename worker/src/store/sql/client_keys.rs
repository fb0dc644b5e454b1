//! The admin API's statements about client keys.

use jiff::Timestamp;
use pool_shared::{ClientKey, ClientKeyId, PoolId};

use super::read_rows;
use super::rows::ClientKeyRow;
use crate::sql::{Outcome, Statement};
use crate::store::{NewClientKey, StoreError};

pub(super) fn list(pool: &PoolId) -> Statement {
    Statement::new(
        "SELECT json_object(
            'id', id, 'name', name, 'hint', hint, 'created_at', created_at, 'expires_at', expires_at
        ) AS row FROM client_keys WHERE pool_id = ?1 ORDER BY created_at, id",
        [pool.as_str().into()],
    )
}

pub(super) fn read(outcome: &Outcome) -> Result<Vec<ClientKey>, StoreError> {
    read_rows::<ClientKeyRow>(outcome)?.into_iter().map(ClientKey::try_from).collect()
}

pub(super) fn insert(pool: &PoolId, client_key: &NewClientKey, now: Timestamp) -> Statement {
    Statement::new(
        "INSERT INTO client_keys (hash, id, pool_id, name, hint, created_at, expires_at)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7 WHERE EXISTS (SELECT 1 FROM pools WHERE id = ?3)",
        [
            client_key.hash.as_str().into(),
            client_key.id.as_str().into(),
            pool.as_str().into(),
            client_key.name.as_str().into(),
            client_key.hint.as_str().into(),
            now.into(),
            client_key.expires_at.into(),
        ],
    )
}

/// Adds a client key of the same name as another one, if that is there.
pub(super) fn insert_like(
    pool: &PoolId,
    old: &ClientKeyId,
    client_key: &NewClientKey,
    now: Timestamp,
) -> Statement {
    Statement::new(
        "INSERT INTO client_keys (hash, id, pool_id, name, hint, created_at, expires_at)
         SELECT ?1, ?2, pool_id, name, ?5, ?6, ?7 FROM client_keys WHERE pool_id = ?3 AND id = ?4",
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

/// Lets a client key work no longer than until then.
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

/// Drops the client keys of a pool that do not work any more.
pub(super) fn forget_expired(pool: &PoolId, now: Timestamp) -> Statement {
    Statement::new(
        "DELETE FROM client_keys WHERE pool_id = ?1 AND expires_at <= ?2",
        [pool.as_str().into(), now.into()],
    )
}
