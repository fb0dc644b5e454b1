//! Rollup of the log into packed pages, and deletion of expired pages.
//!
//! A rollup waits until enough reports have arrived. Each report allows one row besides its own, and
//! a rollup, including its deletions, writes no more rows than reports arrived since the last one.
//! Only a log that exceeds its maximum size does not wait.
//!
//! # Invariants
//!
//! - A rollup is one transaction: either the whole log is in the pages and the log is empty, or
//!   nothing has changed. It is therefore safe to interrupt and to repeat.

use std::time::Duration;

use jiff::Timestamp;
use pool_shared::PoolId;

use super::super::{CounterTable, LedgerError, Level};
use super::live_log::LiveLog;
use super::pages::{PartId, Parts, PoolCounters, integer, path_of, place};
use super::{LedgerDatabase, LedgerSql, read, unreadable};
use crate::sql::{SqlValue, Statement};

/// Size in bytes at which a log is rolled up, unless it reaches [`MAX_ROLLUP_AGE`] first.
const ROLLUP_SIZE: usize = 64 * 1024;
/// Age at which a log is rolled up, unless it reaches [`ROLLUP_SIZE`] first.
const MAX_ROLLUP_AGE: Duration = Duration::from_mins(1);
/// A Durable Object's alarm that starts a rollup takes a row to set and a row to clear.
const ALARM_ROWS: u64 = 2;
/// Maximum number of expired pages that one rollup deletes.
const MAX_EXPIRED_PAGES: u64 = 100;

const PART_BODY: &str = "SELECT body AS row FROM ledger_pages
    WHERE level = ?1 AND page = ?2 AND pool = ?3 AND part = ?4";
const WRITE_PART: &str =
    "INSERT INTO ledger_pages (level, page, pool, part, body) VALUES (?1, ?2, ?3, ?4, ?5)
    ON CONFLICT (level, page, pool, part) DO UPDATE SET body = excluded.body";
const FORGET_SHARED: &str = "UPDATE ledger_pages SET body = json_remove(body, ?1)
    WHERE pool = '' AND json_type(body, ?1) IS NOT NULL";
const COUNT_EXPIRED: &str = "SELECT json_quote(count(*)) AS row FROM
    (SELECT 1 FROM ledger_pages WHERE level = ?1 AND page < ?2 LIMIT ?3)";
const DELETE_EXPIRED: &str = "DELETE FROM ledger_pages WHERE (level, page, pool, part) IN
    (SELECT level, page, pool, part FROM ledger_pages WHERE level = ?1 AND page < ?2 LIMIT ?3)";
/// Violates the NOT NULL constraint of `folds`, which aborts the transaction, if the log is not the
/// one in memory.
const WRITE_STATE: &str = "UPDATE ledger_state SET body = ?3, folds = CASE
        WHEN folds = ?1 AND (SELECT coalesce(sum(reports), 0) FROM ledger_log) = ?2 THEN folds + 1 END
    WHERE name = 'state'";
const WRITE_NAMED: &str = "INSERT INTO ledger_state (name, folds, body) VALUES (?1, 0, ?2)
    ON CONFLICT (name) DO UPDATE SET body = excluded.body";

/// The rows that a rollup will write.
struct Plan {
    parts: Parts,
    expired: Vec<(Level, u64)>,
    rows: u64,
}

impl<S: LedgerSql> LedgerDatabase<S> {
    /// Returns `true` if [`Self::maintain`] has something to do. It takes a plan to decide that;
    /// where an alarm costs nothing, use [`Self::may_be_due`].
    pub fn is_due(&mut self, now: Timestamp) -> Result<bool, LedgerError> {
        Ok(self.live_log()?.is_too_large() || self.due_plan(now)?.is_some())
    }

    /// Returns `true` if [`Self::maintain`] may have something to do, from the state in memory
    /// alone. This is called after every report, and a plan is expensive with thousands of keys or
    /// pools.
    pub fn may_be_due(&mut self, now: Timestamp) -> Result<bool, LedgerError> {
        let live_log = self.live_log()?;
        let (_, lines, bytes) = live_log.log();
        let old = live_log.oldest.is_some_and(|oldest| oldest + MAX_ROLLUP_AGE <= now);
        Ok(live_log.is_too_large() || (lines >= live_log.needed.max(1) && (bytes >= ROLLUP_SIZE || old)))
    }

    /// Rolls up the log if it is due. Returns `true` if it was. Idempotent.
    pub fn maintain(&mut self, now: Timestamp) -> Result<bool, LedgerError> {
        let Some(plan) = self.due_plan(now)? else { return Ok(false) };
        self.roll_up(plan, Vec::new(), now)?;
        Ok(true)
    }

    /// Resets the counts of one pool, or of all pools. The same transaction rolls up the log, so that no
    /// entry of it can restore them.
    pub(super) fn reset(&mut self, pool: Option<&PoolId>, now: Timestamp) -> Result<(), LedgerError> {
        let live_log = self.live_log()?;
        let delete = if let Some(pool) = pool {
            live_log.counters.remove(pool);
            let own = Statement::new("DELETE FROM ledger_pages WHERE pool = ?1", [pool.as_str().into()]);
            vec![own, Statement::new(FORGET_SHARED, [path_of(pool)])]
        } else {
            live_log.counters.clear();
            live_log.state.forget_lost();
            vec![Statement::new("DELETE FROM ledger_pages", [])]
        };
        // From here on memory and database differ, until the write succeeds or memory is dropped.
        let rolled_up = self.plan(now).and_then(|plan| self.roll_up(plan, delete, now));
        if rolled_up.is_err() {
            self.live_log = None;
        }
        rolled_up
    }

    fn due_plan(&mut self, now: Timestamp) -> Result<Option<Plan>, LedgerError> {
        if !self.may_be_due(now)? {
            return Ok(None);
        }
        let plan = self.plan(now)?;
        let live_log = self.live_log()?;
        let (_, lines, _) = live_log.log();
        if plan.rows > lines && !live_log.is_too_large() {
            live_log.needed = plan.rows;
            return Ok(None);
        }
        Ok(Some(plan))
    }

    /// Finds the row of each counter of the log without reading the rows.
    fn plan(&mut self, now: Timestamp) -> Result<Plan, LedgerError> {
        let live_log = match self.live_log.take() {
            Some(live_log) => live_log,
            None => LiveLog::read(&self.sql)?,
        };
        let live_log = self.live_log.insert(live_log);
        live_log.prune(now);
        let mut parts = Parts::new();
        let mut expired = Vec::new();
        for level in Level::ALL {
            let oldest_page = level.oldest_page(now.as_second());
            place(&self.sql, &mut parts, level, oldest_page, &live_log.counters)?;
            let level_number = SqlValue::from(level.number());
            let count =
                Statement::new(COUNT_EXPIRED, [level_number, integer(oldest_page), MAX_EXPIRED_PAGES.into()]);
            expired.push((level, read::<u64>(&self.sql, count)?.pop().unwrap_or_default()));
        }
        let (chunks, _, _) = live_log.log();
        let named = u64::from(live_log.observations_changed) + u64::from(live_log.events_changed);
        let deleted: u64 = expired.iter().map(|(_, count)| count).sum();
        let rows = parts.len() as u64 + deleted + chunks + named + 1 + ALARM_ROWS;
        Ok(Plan { parts, expired, rows })
    }

    fn roll_up(&mut self, plan: Plan, more: Vec<Statement>, now: Timestamp) -> Result<(), LedgerError> {
        let live_log = self.live_log()?;
        let (_, lines, _) = live_log.log();
        let mut statements = vec![Statement::new(
            WRITE_STATE,
            [live_log.folds.into(), lines.into(), SqlValue::json(&live_log.state)?],
        )];
        if live_log.observations_changed {
            let text = SqlValue::Text(live_log.observations_text()?);
            statements.push(Statement::new(WRITE_NAMED, ["learnt".into(), text]));
        }
        if live_log.events_changed {
            let text = SqlValue::Text(live_log.events_text()?);
            statements.push(Statement::new(WRITE_NAMED, ["events".into(), text]));
        }
        for (id, counters) in plan.parts {
            statements.push(self.merged(&id, counters)?);
        }
        for (level, count) in plan.expired.into_iter().filter(|(_, count)| *count > 0) {
            let oldest_page = integer(level.oldest_page(now.as_second()));
            let parameters = [level.number().into(), oldest_page, count.into()];
            statements.push(Statement::new(DELETE_EXPIRED, parameters));
        }
        statements.push(Statement::new("DELETE FROM ledger_log", []));
        statements.extend(more);
        self.write(statements)?;
        self.live_log()?.rolled_up();
        Ok(())
    }

    /// Returns the statement that adds counters to a row.
    fn merged(&self, id: &PartId, counters: PoolCounters) -> Result<Statement, LedgerError> {
        let held = Statement::new(PART_BODY, id.parameters());
        let text = if id.is_shared() {
            let mut body: PoolCounters = read(&self.sql, held)?.pop().unwrap_or_default();
            for (pool, counters) in counters {
                body.entry(pool).or_default().merge(counters);
            }
            serde_json::to_string(&body)
        } else {
            let mut body: CounterTable = read(&self.sql, held)?.pop().unwrap_or_default();
            for counters in counters.into_values() {
                body.merge(counters);
            }
            serde_json::to_string(&body)
        };
        let [level, page, pool, part] = id.parameters();
        Ok(Statement::new(WRITE_PART, [level, page, pool, part, SqlValue::Text(text.map_err(unreadable)?)]))
    }
}
