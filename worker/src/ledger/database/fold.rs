//! Moving the log into packed pages, and forgetting what is out of date.
//!
//! A fold is one transaction: either all of the log is in the pages and the log is empty, or nothing
//! has changed. So it may be cut off anywhere, and run twice. It waits until it is paid for: every
//! report earns one row besides its own, and a fold, with everything that it deletes, writes no more
//! rows than reports came since the last one. Only a log that grows too large does not wait.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use pool_shared::PoolId;

use super::super::shard::hash;
use super::super::{CellId, Cells, LedgerError, Level, Tally};
use super::tail::Tail;
use super::{LedgerDatabase, LedgerSql, read, unreadable};
use crate::sql::{SqlValue, Statement};

/// A log is folded when it has grown to this size, in bytes, or is this old, whichever is first.
const FOLD_SIZE: usize = 64 * 1024;
const FOLD_AGE: Duration = Duration::from_mins(1);
/// A log of this size is folded whatever it costs.
const LARGEST_LOG: usize = 4 * 1024 * 1024;
/// A Durable Object's alarm that starts a fold takes a row to set and a row to clear.
const ALARM_ROWS: u64 = 2;
/// The out-of-date pages that one fold deletes at most.
const MOST_EXPIRED: u64 = 100;

/// The bytes that a cell takes, roughly.
const CELL_SIZE: usize = 160;
/// A page up to this size is one row. A larger one has rows for each of its buckets, so that only
/// those of the present are written anew.
const WHOLE_PAGE: usize = 256 * 1024;
/// The size of those rows; a row may have 2 MB.
const PART: usize = 400 * 1024;
/// The most rows for one bucket: 64 of them hold some 150,000 cells.
pub(super) const MOST_PARTS: i64 = 64;

const SIZES: &str = "SELECT json_array(part, length(body)) AS row FROM ledger_pages
    WHERE level = ?1 AND page = ?2 AND pool = ?3";
const PART_BODY: &str = "SELECT body AS row FROM ledger_pages
    WHERE level = ?1 AND page = ?2 AND pool = ?3 AND part = ?4";
const WRITE_PART: &str =
    "INSERT INTO ledger_pages (level, page, pool, part, body) VALUES (?1, ?2, ?3, ?4, ?5)
    ON CONFLICT (level, page, pool, part) DO UPDATE SET body = excluded.body";
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

/// One row of `ledger_pages`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct PartId {
    level: Level,
    page: i64,
    pool: PoolId,
    part: i64,
}

impl PartId {
    fn parameters(&self) -> [SqlValue; 4] {
        [
            self.level.number().into(),
            integer(self.page),
            self.pool.as_str().into(),
            SqlValue::Integer(self.part.unsigned_abs()),
        ]
    }
}

/// What a fold will write.
struct Plan {
    parts: BTreeMap<PartId, Cells>,
    expired: Vec<(Level, u64)>,
    rows: u64,
}

impl<S: LedgerSql> LedgerDatabase<S> {
    /// Whether [`Self::maintain`] has something to do.
    pub fn is_due(&mut self, now: Timestamp) -> Result<bool, LedgerError> {
        Ok(self.due_plan(now)?.is_some())
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
            Statement::new("DELETE FROM ledger_pages WHERE pool = ?1", [pool.as_str().into()])
        } else {
            tail.cells.clear();
            tail.state.lost = 0;
            Statement::new("DELETE FROM ledger_pages", [])
        };
        // From here on memory and database differ until the write is through, or memory is dropped.
        let folded = self.plan(now).and_then(|plan| self.fold(plan, vec![delete], now));
        if folded.is_err() {
            self.tail = None;
        }
        folded
    }

    fn due_plan(&mut self, now: Timestamp) -> Result<Option<Plan>, LedgerError> {
        let tail = self.tail()?;
        let (_, lines, bytes) = tail.log();
        let old = tail.oldest.is_some_and(|oldest| oldest + FOLD_AGE <= now);
        let forced = bytes >= LARGEST_LOG;
        if !forced && (lines < tail.needed.max(1) || (bytes < FOLD_SIZE && !old)) {
            return Ok(None);
        }
        let plan = self.plan(now)?;
        if plan.rows > lines && !forced {
            self.tail()?.needed = plan.rows;
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
        let mut parts = BTreeMap::new();
        let mut expired = Vec::new();
        for level in Level::ALL {
            let oldest_page = level.oldest_page(now.as_second());
            for (pool, cells) in &tail.cells {
                for (page, cells) in pages(level, cells) {
                    if page >= oldest_page {
                        place(&self.sql, &mut parts, level, page, pool, cells)?;
                    }
                }
            }
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
    fn merged(&self, id: &PartId, cells: Cells) -> Result<Statement, LedgerError> {
        let statement = Statement::new(PART_BODY, id.parameters());
        let mut body: Cells = read(&self.sql, statement)?.pop().unwrap_or_default();
        body.merge(cells);
        let text = serde_json::to_string(&body).map_err(unreadable)?;
        let [level, page, pool, part] = id.parameters();
        Ok(Statement::new(WRITE_PART, [level, page, pool, part, SqlValue::Text(text)]))
    }
}

/// Puts the cells of one page to the rows that they belong to.
fn place(
    sql: &impl LedgerSql,
    parts: &mut BTreeMap<PartId, Cells>,
    level: Level,
    page: i64,
    pool: &PoolId,
    cells: Cells,
) -> Result<(), LedgerError> {
    let id = PartId { level, page, pool: pool.clone(), part: 0 };
    let [level_number, page_number, pool_id, _] = id.parameters();
    let sizes: Vec<(i64, usize)> = read(sql, Statement::new(SIZES, [level_number, page_number, pool_id]))?;
    let size: usize = sizes.iter().map(|(_, size)| size).sum();
    let whole = sizes.iter().all(|(part, _)| *part == 0);
    if whole && size + cells.len() * CELL_SIZE <= WHOLE_PAGE {
        parts.insert(id, cells);
        return Ok(());
    }
    let mut incoming: BTreeMap<i64, usize> = BTreeMap::new();
    for (cell, _) in cells.iter() {
        *incoming.entry(level.slot(cell.start)).or_default() += CELL_SIZE;
    }
    for (cell, tally) in cells {
        let slot = level.slot(cell.start);
        let range = parts_of(slot);
        let present: usize =
            sizes.iter().filter(|(part, _)| range.contains(part)).map(|(_, size)| size).sum();
        let size = present + incoming.get(&slot).copied().unwrap_or_default();
        let count = (1 + size / PART).min(usize::try_from(MOST_PARTS).unwrap_or(1));
        let which = hash(&cell.key) % count as u64;
        let part = range.start() + i64::try_from(which).unwrap_or_default();
        parts.entry(PartId { part, ..id.clone() }).or_default().add(cell, &tally);
    }
    Ok(())
}

/// The rows of one bucket in a page that is too large for one row. They add up: where a key's cell is
/// put only decides how often it is repeated.
pub(super) const fn parts_of(slot: i64) -> std::ops::RangeInclusive<i64> {
    let first = 1 + slot * MOST_PARTS;
    first..=first + MOST_PARTS - 1
}

/// Cells by minute as cells of a level, page by page.
fn pages(level: Level, cells: &Cells) -> BTreeMap<i64, Cells> {
    let mut pages: BTreeMap<i64, Cells> = BTreeMap::new();
    for (id, tally) in at_level(level, cells) {
        pages.entry(level.page(id.start)).or_default().add(id, &tally);
    }
    pages
}

/// Cells by minute as cells of a level. Beyond minutes, durations are kept for all keys together: for
/// thousands of keys they would take most of the room.
pub(super) fn at_level(level: Level, cells: &Cells) -> Cells {
    if level == Level::Minute {
        return cells.clone();
    }
    let mut coarse = Cells::default();
    for (id, tally) in cells.iter() {
        let start = level.bucket(id.start);
        if tally.first_byte.count() + tally.total.count() > 0 {
            let durations = Tally {
                first_byte: tally.first_byte.clone(),
                total: tally.total.clone(),
                ..Tally::default()
            };
            coarse.add(CellId { start, key: None, ..id.clone() }, &durations);
        }
        let counts = Tally { first_byte: <_>::default(), total: <_>::default(), ..tally.clone() };
        coarse.add(CellId { start, ..id.clone() }, &counts);
    }
    coarse
}

/// A time or number that is never negative.
pub(super) fn integer(value: i64) -> SqlValue {
    SqlValue::Integer(value.try_into().unwrap_or_default())
}
