//! SQL statements about admin tokens.
//!
//! The time of last use is in a table of its own: it changes without an audited change, and is not
//! copied to another store.

use jiff::Timestamp;
use pool_shared::AdminTokenId;

use super::rows::AdminTokenRow;
use super::{json_text, read_rows};
use crate::crypto::TokenHash;
use crate::sql::{Outcome, SqlValue, Statement};
use crate::store::{SESSION_PREFIX, StoreError, StoredAdminToken};

/// Selects tokens; the rest of the query follows `FROM admin_tokens`.
macro_rules! select_tokens {
    ($rest:literal) => {
        concat!(
            "SELECT json_object(
                'id', id, 'name', name, 'created_at', created_at, 'expires_at', expires_at,
                'scopes', json(scopes), 'pool', pool_id, 'parent', parent, 'budget', budget,
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

/// Adds a token. One that replaces another is added only if that exists.
pub(super) fn insert(
    hash: &TokenHash,
    token: &StoredAdminToken,
    old: Option<&AdminTokenId>,
) -> Result<Statement, StoreError> {
    Ok(Statement::new(
        "INSERT INTO admin_tokens (hash, id, name, created_at, expires_at, scopes, pool_id, parent, budget)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?9, ?10 WHERE ?8 IS NULL OR EXISTS (SELECT 1 FROM admin_tokens WHERE id = ?8)",
        [
            hash.as_str().into(),
            token.id.as_str().into(),
            token.name.as_str().into(),
            token.created_at.into(),
            token.expires_at.into(),
            token.scopes.as_ref().map(json_text).transpose()?.unwrap_or(SqlValue::Null),
            token.pool.as_ref().map(pool_shared::PoolId::as_str).into(),
            old.map(AdminTokenId::as_str).into(),
            token.parent.as_ref().map(AdminTokenId::as_str).into(),
            token.budget.as_ref().map(AdminTokenId::as_str).into(),
        ],
    ))
}

/// Ends a token at a time, unless it ends earlier.
pub(super) fn end(id: &AdminTokenId, until: Timestamp) -> Statement {
    Statement::new(
        "UPDATE admin_tokens SET expires_at = min(expires_at, ?2) WHERE id = ?1",
        [id.as_str().into(), until.into()],
    )
}

/// Removes expired tokens, and the use times of removed tokens.
pub(super) fn forget_expired(now: Timestamp) -> [Statement; 3] {
    [
        // The tokens that they created become those of their creators, so that a revocation still
        // reaches them.
        Statement::new(
            "UPDATE admin_tokens SET parent = (SELECT made.parent FROM admin_tokens made WHERE made.id = admin_tokens.parent)
             WHERE parent IN (SELECT id FROM admin_tokens WHERE expires_at < ?1)",
            [now.into()],
        ),
        Statement::new("DELETE FROM admin_tokens WHERE expires_at < ?1", [now.into()]),
        forget_uses(),
    ]
}

/// Deletes a token and, unless they are to be kept, all tokens created with it, directly or
/// indirectly.
pub(super) fn delete(id: &AdminTokenId, keep_children: bool) -> Statement {
    let sql = if keep_children {
        "DELETE FROM admin_tokens WHERE id = ?1"
    } else {
        "DELETE FROM admin_tokens WHERE id IN (
            WITH RECURSIVE down (id) AS (
                SELECT ?1 UNION SELECT made.id FROM admin_tokens made JOIN down ON made.parent = down.id
            ) SELECT id FROM down)"
    };
    Statement::new(sql, [id.as_str().into()])
}

/// Makes the tokens of one creator those of another.
pub(super) fn hand_over(from: &AdminTokenId, to: Option<&AdminTokenId>) -> Statement {
    Statement::new(
        "UPDATE admin_tokens SET parent = ?2 WHERE parent = ?1 AND id IS NOT ?2",
        [from.as_str().into(), to.map(AdminTokenId::as_str).into()],
    )
}

/// Removes the use times of removed tokens.
pub(super) fn forget_uses() -> Statement {
    Statement::new("DELETE FROM admin_token_uses WHERE token_id NOT IN (SELECT id FROM admin_tokens)", [])
}

/// Sessions are the tokens with the session prefix.
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
