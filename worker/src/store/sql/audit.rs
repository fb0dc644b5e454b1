//! The audit's statements: append, prune, list.
//!
//! The table is only ever appended to, one row a change. It is bounded where it grows: each entry takes
//! the ten oldest ones along that are past their time, in the same transaction, so that no job has to come
//! by, least of all in a Durable Object. Entries past their time are never shown.

use std::time::Duration;

use jiff::Timestamp;
use pool_shared::{AdminTokenId, AuditEntry, PoolId};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::rows::timestamp;
use super::{json_text, read_rows};
use crate::sql::{Outcome, SqlValue, Statement};
use crate::store::{AuditFilter, Change, StoreError};

/// How long an entry is kept.
const KEPT: Duration = Duration::from_hours(24 * 400);

/// Appends an entry for the statement before this one, unless that changed nothing; or for so many things.
/// Then drops old entries.
pub(super) fn note(change: &Change, count: Option<u64>) -> Result<[Statement; 2], StoreError> {
    let details = |details: &Option<Map<String, Value>>| {
        Ok::<_, StoreError>(details.as_ref().map(json_text).transpose()?.unwrap_or(SqlValue::Null))
    };
    let note = Statement::new(
        "INSERT INTO audit (at, actor, actor_name, action, pool_id, target, request_id, before, after, count)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, coalesce(?10, changes())
         WHERE coalesce(?10, changes()) > 0",
        [
            change.at.into(),
            change.actor.as_str().into(),
            change.actor_name.as_str().into(),
            change.action.into(),
            change.pool.as_ref().map(PoolId::as_str).into(),
            change.target.as_deref().into(),
            change.request_id.as_str().into(),
            details(&change.before)?,
            details(&change.after)?,
            count.into(),
        ],
    );
    // 100,000 entries of some 300 bytes.
    let prune = Statement::new(
        "DELETE FROM audit WHERE id IN (
            SELECT id FROM (SELECT id, at FROM audit ORDER BY id LIMIT 10)
            WHERE at < ?1 OR id <= (SELECT max(id) FROM audit) - 100000)",
        [oldest(change.at).into()],
    );
    Ok([note, prune])
}

/// Appends an entry for a wrong password, unless ten of them are among the latest entries of the last hour: in the time
/// that entries are kept, strangers cannot add as many as there are places.
pub(super) fn note_failed_login(change: &Change) -> Statement {
    Statement::new(
        "INSERT INTO audit (at, actor, actor_name, action, target, request_id, count)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, 1 WHERE 10 > (
            SELECT count(*) FROM (SELECT action, at FROM audit ORDER BY id DESC LIMIT 20)
            WHERE action = ?4 AND at > ?1 - 3600000)",
        [
            change.at.into(),
            change.actor.as_str().into(),
            change.actor_name.as_str().into(),
            change.action.into(),
            change.target.as_deref().into(),
            change.request_id.as_str().into(),
        ],
    )
}

fn oldest(now: Timestamp) -> Timestamp {
    now.saturating_sub(KEPT).unwrap_or(Timestamp::MIN)
}

pub(super) fn list(filter: &AuditFilter) -> Statement {
    Statement::new(
        "SELECT json_object(
            'id', id, 'at', at, 'actor', actor, 'actor_name', actor_name, 'action', action, 'pool', pool_id,
            'target', target, 'request_id', request_id, 'count', count, 'before', json(before),
            'after', json(after)
        ) AS row FROM audit
         WHERE id < ?1 AND at >= ?2 AND (?3 IS NULL OR pool_id = ?3)
            AND (?4 IS NULL OR actor = ?4 OR actor_name = ?4)
            AND (?5 IS NULL OR action = ?5 OR substr(action, 1, length(?5) + 1) = ?5 || '.')
         ORDER BY id DESC LIMIT ?6",
        [
            filter.before.into(),
            filter.since.into(),
            filter.pool.as_ref().map(PoolId::as_str).into(),
            filter.actor.as_deref().into(),
            filter.action.as_deref().into(),
            u64::from(filter.limit).into(),
        ],
    )
}

#[derive(Deserialize)]
struct AuditRow {
    id: u64,
    at: i64,
    actor: AdminTokenId,
    actor_name: String,
    action: String,
    pool: Option<PoolId>,
    target: Option<String>,
    request_id: String,
    count: u64,
    before: Option<Map<String, Value>>,
    after: Option<Map<String, Value>>,
}

pub(super) fn read(outcome: &Outcome) -> Result<Vec<AuditEntry>, StoreError> {
    let entry = |row: AuditRow| {
        Ok(AuditEntry {
            id: row.id,
            at: timestamp(row.at)?,
            actor: row.actor,
            actor_name: row.actor_name,
            action: row.action,
            pool: row.pool,
            target: row.target,
            request_id: row.request_id,
            count: row.count,
            before: row.before,
            after: row.after,
        })
    };
    read_rows(outcome)?.into_iter().map(entry).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::host::native::Sqlite;
    use crate::store::ConfigStore;
    use crate::store::sql::{SqlDatabase, SqlStore};

    async fn ids(store: &SqlStore<Sqlite>) -> Vec<u64> {
        let (since, before) = (Timestamp::from_second(0).unwrap(), 1 << 40);
        let filter = AuditFilter { before, since, pool: None, actor: None, action: None, limit: 1_000 };
        store.audit(&filter).await.unwrap().into_iter().map(|entry| entry.id).collect()
    }

    #[tokio::test]
    async fn the_audit_is_bounded_where_it_grows() {
        let sqlite = Sqlite::open(Path::new(":memory:")).unwrap();
        let store = SqlStore::new(sqlite.clone());
        let then = Timestamp::from_second(1_800_000_000).unwrap();
        let note = async |at, count| store.note(Change::of_a_test(at), count).await.unwrap();
        for _ in 0..25 {
            note(then, 1).await;
        }
        note(then, 0).await;
        assert_eq!(ids(&store).await.len(), 25, "what changed nothing is not noted");
        let later = then + KEPT + Duration::from_secs(1);
        for left in [16, 7, 3, 4] {
            note(later, 1).await;
            assert_eq!(ids(&store).await.len(), left, "each takes ten old ones along");
        }
        let grown = "INSERT INTO audit SELECT 200000, at, actor, actor_name, action, pool_id, target, request_id, count, before, after
            FROM audit ORDER BY id DESC LIMIT 1";
        sqlite.batch(vec![Statement::new(grown, [])]).await.unwrap();
        note(later, 1).await;
        assert_eq!(ids(&store).await, [200_001, 200_000], "and so does what is too far behind");
    }

    #[tokio::test]
    async fn the_audit_is_only_ever_appended_to() {
        let sqlite = Sqlite::open(Path::new(":memory:")).unwrap();
        let store = SqlStore::new(sqlite.clone());
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        for _ in 0..3 {
            store.note(Change::of_a_test(now), 1).await.unwrap();
        }
        for sql in
            ["UPDATE audit SET actor = 'nobody'", "DELETE FROM audit", "DELETE FROM audit WHERE id = 1"]
        {
            let error = sqlite.batch(vec![Statement::new(sql, [])]).await.unwrap_err();
            assert!(error.0.contains("the audit is append-only"), "{error}");
        }
        assert_eq!(ids(&store).await.len(), 3);
    }

    #[tokio::test]
    async fn wrong_passwords_cannot_fill_the_audit() {
        let store = SqlStore::new(Sqlite::open(Path::new(":memory:")).unwrap());
        let mut now = Timestamp::from_second(1_800_000_000).unwrap();
        // Each round is half an hour and a minute after the one before.
        for left in [10, 10, 20] {
            for _ in 0..50 {
                store.note_failed_login(Change::of_a_test(now)).await.unwrap();
            }
            assert_eq!(ids(&store).await.len(), left);
            now += Duration::from_mins(31);
        }
    }
}
