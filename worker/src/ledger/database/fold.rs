//! Moving the log into packed pages, and forgetting what is out of date.
//!
//! A fold is one transaction: either all of the log is in the pages and the log is empty, or nothing
//! has changed. So it may be cut off anywhere, and run twice. It waits until it is paid for: every
//! report earns one row besides its own, and a fold, with everything that it deletes, writes no more
//! rows than reports came since the last one. Only a log that grows too large does not wait.

use std::time::Duration;

use jiff::Timestamp;
use pool_shared::PoolId;

use super::super::{Cells, LedgerError, Level};
use super::pages::{PartId, Parts, PoolCells, integer, path_of, place};
use super::tail::Tail;
use super::{LedgerDatabase, LedgerSql, read, unreadable};
use crate::sql::{SqlValue, Statement};

/// A log is folded when it has grown to this size, in bytes, or is this old, whichever is first.
const FOLD_SIZE: usize = 64 * 1024;
const FOLD_AGE: Duration = Duration::from_mins(1);
/// A Durable Object's alarm that starts a fold takes a row to set and a row to clear.
const ALARM_ROWS: u64 = 2;
/// The out-of-date pages that one fold deletes at most.
const MOST_EXPIRED: u64 = 100;

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
/// Breaks the rule that `folds` is not null, and so the transaction, when the log is not the one that
/// is in memory.
const WRITE_STATE: &str = "UPDATE ledger_state SET body = ?3, folds = CASE
        WHEN folds = ?1 AND (SELECT coalesce(sum(reports), 0) FROM ledger_log) = ?2 THEN folds + 1 END
    WHERE name = 'state'";
const WRITE_NAMED: &str = "INSERT INTO ledger_state (name, folds, body) VALUES (?1, 0, ?2)
    ON CONFLICT (name) DO UPDATE SET body = excluded.body";

/// What a fold will write.
struct Plan {
    parts: Parts,
    expired: Vec<(Level, u64)>,
    rows: u64,
}

impl<S: LedgerSql> LedgerDatabase<S> {
    /// Whether [`Self::maintain`] has something to do. It takes a plan to know: where an alarm costs nothing,
    /// [`Self::may_be_due`] does.
    pub fn is_due(&mut self, now: Timestamp) -> Result<bool, LedgerError> {
        Ok(self.tail()?.is_too_large() || self.due_plan(now)?.is_some())
    }

    /// Whether [`Self::maintain`] may have something to do, by what is in memory alone: a plan is dear where thousands of
    /// keys or pools are in use, and this is asked after every report.
    pub fn may_be_due(&mut self, now: Timestamp) -> Result<bool, LedgerError> {
        let tail = self.tail()?;
        let (_, lines, bytes) = tail.log();
        let old = tail.oldest.is_some_and(|oldest| oldest + FOLD_AGE <= now);
        Ok(tail.is_too_large() || (lines >= tail.needed.max(1) && (bytes >= FOLD_SIZE || old)))
    }

    /// Folds the log if it is due, and tells whether it was. Running it again does no harm.
    pub fn maintain(&mut self, now: Timestamp) -> Result<bool, LedgerError> {
        let Some(plan) = self.due_plan(now)? else { return Ok(false) };
        self.fold(plan, Vec::new(), now)?;
        Ok(true)
    }

    /// Forgets the counts of a pool, or of all, and nothing else. The log is folded with it, so that no
    /// line of it can bring them back.
    pub(super) fn reset(&mut self, pool: Option<&PoolId>, now: Timestamp) -> Result<(), LedgerError> {
        let tail = self.tail()?;
        let delete = if let Some(pool) = pool {
            tail.cells.remove(pool);
            let own = Statement::new("DELETE FROM ledger_pages WHERE pool = ?1", [pool.as_str().into()]);
            vec![own, Statement::new(FORGET_SHARED, [path_of(pool)])]
        } else {
            tail.cells.clear();
            tail.state.forget_lost();
            vec![Statement::new("DELETE FROM ledger_pages", [])]
        };
        // From here on memory and database differ until the write is through, or memory is dropped.
        let folded = self.plan(now).and_then(|plan| self.fold(plan, delete, now));
        if folded.is_err() {
            self.tail = None;
        }
        folded
    }

    fn due_plan(&mut self, now: Timestamp) -> Result<Option<Plan>, LedgerError> {
        if !self.may_be_due(now)? {
            return Ok(None);
        }
        let plan = self.plan(now)?;
        let tail = self.tail()?;
        let (_, lines, _) = tail.log();
        if plan.rows > lines && !tail.is_too_large() {
            tail.needed = plan.rows;
            return Ok(None);
        }
        Ok(Some(plan))
    }

    /// Finds the row for every cell of the log, without reading what the rows hold.
    fn plan(&mut self, now: Timestamp) -> Result<Plan, LedgerError> {
        let tail = match self.tail.take() {
            Some(tail) => tail,
            None => Tail::read(&self.sql)?,
        };
        let tail = self.tail.insert(tail);
        tail.prune(now);
        let mut parts = Parts::new();
        let mut expired = Vec::new();
        for level in Level::ALL {
            let oldest_page = level.oldest_page(now.as_second());
            place(&self.sql, &mut parts, level, oldest_page, &tail.cells)?;
            let level_number = SqlValue::from(level.number());
            let count =
                Statement::new(COUNT_EXPIRED, [level_number, integer(oldest_page), MOST_EXPIRED.into()]);
            expired.push((level, read::<u64>(&self.sql, count)?.pop().unwrap_or_default()));
        }
        let (chunks, _, _) = tail.log();
        let named = u64::from(tail.learnt_changed) + u64::from(tail.events_changed);
        let deleted: u64 = expired.iter().map(|(_, count)| count).sum();
        let rows = parts.len() as u64 + deleted + chunks + named + 1 + ALARM_ROWS;
        Ok(Plan { parts, expired, rows })
    }

    fn fold(&mut self, plan: Plan, more: Vec<Statement>, now: Timestamp) -> Result<(), LedgerError> {
        let tail = self.tail()?;
        let (_, lines, _) = tail.log();
        let mut statements = vec![Statement::new(
            WRITE_STATE,
            [tail.folds.into(), lines.into(), SqlValue::json(&tail.state)?],
        )];
        if tail.learnt_changed {
            let text = SqlValue::Text(tail.learnt_text()?);
            statements.push(Statement::new(WRITE_NAMED, ["learnt".into(), text]));
        }
        if tail.events_changed {
            let text = SqlValue::Text(tail.events_text()?);
            statements.push(Statement::new(WRITE_NAMED, ["events".into(), text]));
        }
        for (id, cells) in plan.parts {
            statements.push(self.merged(&id, cells)?);
        }
        for (level, count) in plan.expired.into_iter().filter(|(_, count)| *count > 0) {
            let oldest_page = integer(level.oldest_page(now.as_second()));
            let parameters = [level.number().into(), oldest_page, count.into()];
            statements.push(Statement::new(DELETE_EXPIRED, parameters));
        }
        statements.push(Statement::new("DELETE FROM ledger_log", []));
        statements.extend(more);
        self.write(statements)?;
        self.tail()?.folded();
        Ok(())
    }

    /// A row with cells added to what it holds.
    fn merged(&self, id: &PartId, cells: PoolCells) -> Result<Statement, LedgerError> {
        let held = Statement::new(PART_BODY, id.parameters());
        let text = if id.is_shared() {
            let mut body: PoolCells = read(&self.sql, held)?.pop().unwrap_or_default();
            for (pool, cells) in cells {
                body.entry(pool).or_default().merge(cells);
            }
            serde_json::to_string(&body)
        } else {
            let mut body: Cells = read(&self.sql, held)?.pop().unwrap_or_default();
            for cells in cells.into_values() {
                body.merge(cells);
            }
            serde_json::to_string(&body)
        };
        let [level, page, pool, part] = id.parameters();
        Ok(Statement::new(WRITE_PART, [level, page, pool, part, SqlValue::Text(text.map_err(unreadable)?)]))
    }
}
