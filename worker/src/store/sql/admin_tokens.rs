//! The admin API's statements about admin tokens.
//!
//! When a token was last used stands in a table of its own: it changes by itself, and a token that is
//! copied to another store is not used there.

use jiff::Timestamp;
use pool_shared::AdminTokenId;

use super::rows::AdminTokenRow;
use super::{json_text, read_rows};
use crate::crypto::TokenHash;
use crate::sql::{Outcome, SqlValue, Statement};
use crate::store::{SESSION_PREFIX, StoreError, StoredAdminToken};

/// Tokens, and what follows `FROM admin_tokens`.
macro_rules! select_tokens {
    ($rest:literal) => {
        concat!(
            "SELECT json_object(
                'id', id, 'name', name, 'created_at', created_at, 'expires_at', expires_at,
                'scopes', json(scopes), 'pool', pool_id,
                'last_used_at', (SELECT used_at FROM admin_token_uses WHERE token_id = admin_tokens.id)
            ) AS row FROM admin_tokens ",
            $rest
        )
    };
}

pub(super) fn find(hash: &TokenHash) -> Statement {
    Statement::new(select_tokens!("WHERE hash = ?1"), [hash.as_str().into()])
}

pub(super) fn list(now: Timestamp) -> Statement {
    Statement::new(select_tokens!("WHERE expires_at > ?1 ORDER BY created_at, id"), [now.into()])
}

pub(super) fn read(outcome: &Outcome) -> Result<Vec<StoredAdminToken>, StoreError> {
    read_rows::<AdminTokenRow>(outcome)?.into_iter().map(StoredAdminToken::try_from).collect()
}

/// Adds a token; in place of another one, only if that one is there.
pub(super) fn insert(
    hash: &TokenHash,
    token: &StoredAdminToken,
    old: Option<&AdminTokenId>,
) -> Result<Statement, StoreError> {
    Ok(Statement::new(
        "INSERT INTO admin_tokens (hash, id, name, created_at, expires_at, scopes, pool_id)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7 WHERE ?8 IS NULL OR EXISTS (SELECT 1 FROM admin_tokens WHERE id = ?8)",
        [
            hash.as_str().into(),
            token.id.as_str().into(),
            token.name.as_str().into(),
            token.created_at.into(),
            token.expires_at.into(),
            token.scopes.as_ref().map(json_text).transpose()?.unwrap_or(SqlValue::Null),
            token.pool.as_ref().map(pool_shared::PoolId::as_str).into(),
            old.map(AdminTokenId::as_str).into(),
        ],
    ))
}

/// Lets a token work no longer than until then.
pub(super) fn end(id: &AdminTokenId, until: Timestamp) -> Statement {
    Statement::new(
        "UPDATE admin_tokens SET expires_at = min(expires_at, ?2) WHERE id = ?1",
        [id.as_str().into(), until.into()],
    )
}

/// Drops the tokens that do not work any more, and what is known of tokens that are gone.
pub(super) fn forget_expired(now: Timestamp) -> [Statement; 2] {
    [
        Statement::new("DELETE FROM admin_tokens WHERE expires_at < ?1", [now.into()]),
        Statement::new(
            "DELETE FROM admin_token_uses WHERE token_id NOT IN (SELECT id FROM admin_tokens)",
            [],
        ),
    ]
}

pub(super) fn delete(id: &AdminTokenId) -> [Statement; 2] {
    let parameters = [SqlValue::from(id.as_str())];
    [
        Statement::new("DELETE FROM admin_tokens WHERE id = ?1", parameters.clone()),
        Statement::new("DELETE FROM admin_token_uses WHERE token_id = ?1", parameters),
    ]
}

/// Browsers' sessions are the tokens whose ids say so.
pub(super) fn delete_sessions() -> Statement {
    Statement::new("DELETE FROM admin_tokens WHERE substr(id, 1, length(?1)) = ?1", [SESSION_PREFIX.into()])
}

pub(super) fn note_use(id: &AdminTokenId, now: Timestamp) -> Statement {
    Statement::new(
        "INSERT INTO admin_token_uses (token_id, used_at) VALUES (?1, ?2)
         ON CONFLICT (token_id) DO UPDATE SET used_at = excluded.used_at",
        [id.as_str().into(), now.into()],
    )
}
