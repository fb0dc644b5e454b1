//! SQL statements of the audit log: append, prune, list.
//!
//! The table is append-only: one row per change, and its index entry. It is bounded in the
//! transaction of each change, so no periodic job is needed: by age, and by number of entries per
//! part. A part is what one token and those created with it did in one pool, so one token cannot
//! push out the entries of another. Equal actions within a minute are merged into one entry with a
//! count.
//!
//! # Invariants
//!
//! - An entry older than [`SETTLED_AFTER`] does not change any more.
//! - The limits equal those of the triggers in [`schema`](super::schema), which protect against
//!   faults here.

use std::time::Duration;

use jiff::Timestamp;
use pool_shared::{AdminTokenId, AuditEntry, AuditLoss, PoolId};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::rows::timestamp;
use super::{json_text, read_rows};
use crate::sql::{Outcome, SqlValue, Statement};
use crate::store::{AuditCursor, AuditFilter, Change, StoreError};

/// How long an entry is kept.
const RETENTION: Duration = Duration::from_hours(24 * 400);

/// Maximum number of entries of a part: about 3 MB.
const MAX_ENTRIES: u32 = 10_000;

/// Age from which an entry is final: equal actions are merged for 60 s by the clock of the instance
/// that makes them, and a change may take some seconds to reach the store.
const SETTLED_AFTER: Duration = Duration::from_secs(90);

/// Returns the part of a change: its pool, and the token whose budget it uses.
fn part(change: &Change) -> String {
    format!("{} {}", change.pool.as_ref().map_or("", PoolId::as_str), change.budget)
}

/// An `INSERT` of an entry, or of its counts into an equal one of the last 60 s. At most 600
/// entries of a part are made in that time. `count` and `condition` are expressions.
macro_rules! append {
    ($count:literal, $condition:literal) => {
        concat!(
            "WITH equal (id) AS (
                SELECT id FROM audit
                WHERE part = ?10 AND place > (SELECT max(place) FROM audit WHERE part = ?10) - 600
                    AND at > ?1 - 60000 AND (SELECT at FROM audit ORDER BY id DESC LIMIT 1) < at + 60000
                    AND (actor, actor_name, action, target, before, after) IS (?2, ?3, ?4, ?6, ?8, ?9)
                ORDER BY place DESC LIMIT 1)
            INSERT INTO audit (id, at, actor, actor_name, action, pool_id, target, request_id, before, after, count, part,
                place)
            SELECT (SELECT id FROM equal), ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ", $count, ", ?10,
                coalesce((SELECT max(place) FROM audit WHERE part = ?10), 0) + 1
            WHERE ", $condition, "
            ON CONFLICT (id) DO UPDATE SET count = count + excluded.count, times = times + 1,
                last_at = max(coalesce(last_at, at), excluded.at)"
        )
    };
}

/// Appends an entry for the previous statement if it changed something, or with a given count. Then
/// prunes.
pub(super) fn note(change: &Change, count: Option<u64>) -> Result<Vec<Statement>, StoreError> {
    let mut parameters = parameters(change)?;
    parameters.push(count.into());
    let note =
        Statement::new(append!("coalesce(?11, changes())", "coalesce(?11, changes()) > 0"), parameters);
    Ok([note].into_iter().chain(prune(change)).collect())
}

/// Appends an entry for a wrong password, unless there were ten in the last hour, so that attackers
/// cannot fill the audit log.
pub(super) fn note_failed_login(change: &Change) -> Result<Vec<Statement>, StoreError> {
    let note = Statement::new(
        append!(
            "1",
            "EXISTS (SELECT 1 FROM equal) OR 10 > (
                SELECT count(*) FROM (SELECT at FROM audit WHERE part = ?10 ORDER BY place DESC LIMIT 10)
                WHERE at > ?1 - 3600000)"
        ),
        parameters(change)?,
    );
    Ok([note].into_iter().chain(prune(change)).collect())
}

fn parameters(change: &Change) -> Result<Vec<SqlValue>, StoreError> {
    let details = |details: &Option<Map<String, Value>>| {
        Ok::<_, StoreError>(details.as_ref().map(json_text).transpose()?.unwrap_or(SqlValue::Null))
    };
    Ok(vec![
        change.at.into(),
        change.actor.as_str().into(),
        change.actor_name.as_str().into(),
        change.action.into(),
        change.pool.as_ref().map(PoolId::as_str).into(),
        change.target.as_deref().into(),
        change.request_id.as_str().into(),
        details(&change.before)?,
        details(&change.after)?,
        part(change).as_str().into(),
    ])
}

/// Removes the oldest surplus entry of the part, ten expired entries, and expired records of
/// dropped entries.
fn prune(change: &Change) -> [Statement; 3] {
    let oldest = oldest(change.at);
    [
        Statement::new(
            "DELETE FROM audit WHERE part = ?1 AND place <= (SELECT max(place) FROM audit WHERE part = ?1) - ?2",
            [part(change).as_str().into(), u64::from(MAX_ENTRIES).into()],
        ),
        Statement::new(
            "DELETE FROM audit WHERE id IN (SELECT id FROM (SELECT id, at FROM audit ORDER BY id LIMIT 10) WHERE at < ?1)",
            [oldest.into()],
        ),
        Statement::new("DELETE FROM audit_dropped WHERE at < ?1", [oldest.into()]),
    ]
}

fn oldest(now: Timestamp) -> Timestamp {
    now.saturating_sub(RETENTION).unwrap_or(Timestamp::MIN)
}

/// Returns the last time up to which all entries are final.
pub(crate) fn settled(now: Timestamp) -> Timestamp {
    now.saturating_sub(SETTLED_AFTER).unwrap_or(Timestamp::MIN)
}

/// Columns, conditions and order of a list.
macro_rules! select_entries {
    ($rest:literal) => {
        concat!(
            "SELECT json_object(
                'id', id, 'at', at, 'last_at', last_at, 'times', times, 'actor', actor, 'actor_name', actor_name,
                'action', action, 'pool', pool_id, 'target', target, 'request_id', request_id, 'count', count,
                'before', json(before), 'after', json(after)
            ) AS row FROM audit
            WHERE coalesce(last_at, at) >= ?2 AND (?3 IS NULL OR pool_id = ?3)
                AND (?4 IS NULL OR actor = ?4 OR actor_name = ?4)
                AND (?5 IS NULL OR action = ?5 OR substr(action, 1, length(?5) + 1) = ?5 || '.') ",
            $rest
        )
    };
}

pub(super) fn list(filter: &AuditFilter) -> Statement {
    let (sql, id) = match filter.from {
        AuditCursor::Before(id) => (select_entries!("AND id < ?1 ORDER BY id DESC LIMIT ?6"), id),
        AuditCursor::After(id) => (select_entries!("AND id > ?1 ORDER BY id LIMIT ?6"), id),
    };
    Statement::new(
        sql,
        [
            id.into(),
            filter.since.into(),
            filter.pool.as_ref().map(PoolId::as_str).into(),
            filter.actor.as_deref().into(),
            filter.action.as_deref().into(),
            u64::from(filter.limit).into(),
        ],
    )
}

/// Returns where entries were dropped before their time, since a time.
pub(super) fn losses(since: Timestamp) -> Statement {
    Statement::new(
        "SELECT json_object('pool', pool_id, 'actor', actor, 'actor_name', actor_name, 'entries', entries, 'until', at)
            AS row FROM audit_dropped WHERE at >= ?1 ORDER BY at DESC LIMIT 100",
        [since.into()],
    )
}

#[derive(Deserialize)]
struct AuditRow {
    id: u64,
    at: i64,
    last_at: Option<i64>,
    times: u64,
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
            last_at: row.last_at.map(timestamp).transpose()?,
            times: row.times,
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

#[derive(Deserialize)]
struct LossRow {
    pool: Option<PoolId>,
    actor: AdminTokenId,
    actor_name: String,
    entries: u64,
    until: i64,
}

pub(super) fn read_losses(outcome: &Outcome) -> Result<Vec<AuditLoss>, StoreError> {
    let loss = |row: LossRow| {
        Ok(AuditLoss {
            pool: row.pool,
            actor: row.actor,
            actor_name: row.actor_name,
            entries: row.entries,
            until: timestamp(row.until)?,
        })
    };
    read_rows(outcome)?.into_iter().map(loss).collect()
}

#[cfg(test)]
mod tests;
