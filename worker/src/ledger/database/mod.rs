//! The ledger's database: SQL over a synchronous database.
//!
//! It handles one [`LedgerRequest`] at a time. A report is appended to a log, which writes one row,
//! and counted in memory ([`live_log`]). Periodically, [`rollup`] merges the log into packed
//! [`pages`] by minute, hour, day and all time, in one transaction. It waits for enough reports
//! that it takes at most one further row for each. A [`query`] adds up the pages and the log, so
//! results are always exact.
//!
//! # Invariants
//! - A report is counted exactly once, and as a whole. When a write fails, or another instance has
//!   written meanwhile, the state in memory is dropped and read again.

mod live_log;
mod pages;
mod query;
mod rollup;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use pool_shared::LedgerLoad;

use self::live_log::{LiveLog, LogEntry};
use super::{LedgerError, LedgerReply, LedgerRequest, LedgerUpdates, Report};
use crate::sql::{Outcome, SqlError, SqlValue, Statement};

/// A synchronous database, as the one inside a Durable Object.
pub trait LedgerSql {
    /// Maximum size of a page in one row. A larger page has rows for each of its buckets, so that
    /// only those of the present are rewritten. Where rows are billed, few large ones are cheapest.
    const WHOLE_PAGE: usize = 256 * 1024;
    /// Maximum size of those rows; a row may have 2 MB.
    const PART: usize = 400 * 1024;

    /// Runs the statements in order, all or none.
    fn run(&self, statements: Vec<Statement>) -> Result<Vec<Outcome>, SqlError>;
}

/// Each statement is idempotent. No table has an index besides its primary key: an index would cost
/// one more row per write.
const TABLES: &[&str] = &[
    // Reports as received, one per line, several per row.
    "CREATE TABLE IF NOT EXISTS ledger_log (
        chunk INTEGER PRIMARY KEY,
        reports INTEGER NOT NULL,
        lines TEXT NOT NULL
    )",
    // State besides log and counts, by name. `folds` shows whether another instance has rolled up
    // the log.
    "CREATE TABLE IF NOT EXISTS ledger_state (
        name TEXT PRIMARY KEY,
        folds INTEGER NOT NULL,
        body TEXT NOT NULL
    ) WITHOUT ROWID",
    // Counts. All parts of a page add up, and with them the pool's shares of the rows of the pool
    // ''.
    "CREATE TABLE IF NOT EXISTS ledger_pages (
        level INTEGER NOT NULL,
        page INTEGER NOT NULL,
        pool TEXT NOT NULL,
        part INTEGER NOT NULL,
        body TEXT NOT NULL,
        PRIMARY KEY (level, page, pool, part)
    ) WITHOUT ROWID",
    "INSERT INTO ledger_state (name, folds, body) VALUES ('state', 0, '{}') ON CONFLICT (name) DO NOTHING",
];

/// Size at which a row of the log is full: each report rewrites its row. For larger reports the
/// limit is larger, so that several share a row.
const CHUNK: usize = 32 * 1024;
const REPORTS_IN_CHUNK: usize = 8;
const MAX_CHUNK: usize = 1024 * 1024;

const APPEND: &str =
    "UPDATE ledger_log SET lines = lines || ?3, reports = reports + 1 WHERE chunk = ?1 AND reports = ?2";
const BEGIN_CHUNK: &str = "INSERT INTO ledger_log (chunk, reports, lines) VALUES (?1, 1, ?2)";

/// The ledger over a [`LedgerSql`].
pub struct LedgerDatabase<S> {
    sql: S,
    /// The content of log and state, read when first needed.
    live_log: Option<LiveLog>,
    load: LedgerLoad,
}

impl<S: LedgerSql> LedgerDatabase<S> {
    /// Opens the ledger, and creates missing tables.
    pub fn open(sql: S) -> Result<Self, LedgerError> {
        sql.run(TABLES.iter().map(|sql| Statement::new(sql, [])).collect())?;
        Ok(Self { sql, live_log: None, load: LedgerLoad::default() })
    }

    /// Handles a request.
    pub fn handle(&mut self, request: &LedgerRequest, now: Timestamp) -> Result<LedgerReply, LedgerError> {
        match request {
            LedgerRequest::Report(report) => self.apply(report, now).map(LedgerReply::Counted),
            LedgerRequest::Pools => self.pools(now),
            LedgerRequest::Pool { pool, window } => {
                self.pool(pool, window.as_ref(), now).map(LedgerReply::Pool)
            }
            LedgerRequest::Events { pool, after, limit } => self.events(pool.as_ref(), *after, *limit),
            LedgerRequest::Reset { pool } => {
                self.reset(pool.as_ref(), now)?;
                Ok(LedgerReply::Done)
            }
            LedgerRequest::Learnt { prefix } => Ok(LedgerReply::Learnt(self.live_log()?.learnt(prefix, now))),
            LedgerRequest::Load => {
                self.live_log()?;
                Ok(LedgerReply::Load(self.load))
            }
        }
    }

    fn apply(&mut self, report: &Report, now: Timestamp) -> Result<LedgerUpdates, LedgerError> {
        if !self.live_log()?.has(&report.writer, report.sequence) {
            self.append(now, report)?;
            self.load.reports += 1;
        }
        Ok(self.live_log()?.updates(&report.writer, report.known, now))
    }

    /// Appends an entry to the log, which writes one row, and applies it.
    fn append(&mut self, now: Timestamp, report: &Report) -> Result<(), LedgerError> {
        let mut text = serde_json::to_string(&LogEntry { at: now, report }).map_err(unreadable)?;
        text.push('\n');
        let live_log = self.live_log()?;
        let length = text.len();
        let limit = (REPORTS_IN_CHUNK * length).clamp(CHUNK, MAX_CHUNK);
        let (statement, chunk) = if let Some((chunk, reports)) = live_log.open_chunk(length, limit) {
            (Statement::new(APPEND, [chunk.into(), reports.into(), SqlValue::Text(text)]), chunk)
        } else {
            let chunk = live_log.next_chunk();
            (Statement::new(BEGIN_CHUNK, [chunk.into(), SqlValue::Text(text)]), chunk)
        };
        if self.write(vec![statement])? == 0 {
            return Err(self.overtaken());
        }
        let live_log = self.live_log()?;
        live_log.appended(chunk, length);
        live_log.apply(now, report);
        Ok(())
    }

    /// Runs writing statements, and returns the rows written. After a failure the content of the
    /// database is unknown, so it is read again.
    fn write(&mut self, statements: Vec<Statement>) -> Result<u64, LedgerError> {
        match self.sql.run(statements) {
            Ok(outcomes) => {
                let written = outcomes.iter().map(|outcome| outcome.changes).sum();
                self.load.rows_written += written;
                Ok(written)
            }
            Err(error) => {
                self.live_log = None;
                Err(error.into())
            }
        }
    }

    fn overtaken(&mut self) -> LedgerError {
        self.live_log = None;
        LedgerError("another instance of the ledger has written meanwhile".to_owned())
    }

    /// Returns the state in memory, after reading it if needed.
    fn live_log(&mut self) -> Result<&mut LiveLog, LedgerError> {
        let live_log = match self.live_log.take() {
            Some(live_log) => live_log,
            None => LiveLog::read(&self.sql)?,
        };
        Ok(self.live_log.insert(live_log))
    }
}

/// Reads every row of a statement as JSON.
fn read<T: serde::de::DeserializeOwned>(
    sql: &impl LedgerSql,
    statement: Statement,
) -> Result<Vec<T>, LedgerError> {
    let outcome = sql.run(vec![statement])?.pop().unwrap_or_default();
    outcome.read().map_err(unreadable)
}

// By value, so that it can be passed to `map_err`.
#[allow(clippy::needless_pass_by_value)]
fn unreadable(error: serde_json::Error) -> LedgerError {
    LedgerError(format!("unreadable data: {error}"))
}

impl From<SqlError> for LedgerError {
    fn from(error: SqlError) -> Self {
        Self(error.0)
    }
}
