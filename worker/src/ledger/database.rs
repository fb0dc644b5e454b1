//! The ledger's own half: SQL over a database that answers at once.
//!
//! What comes in are [`LedgerRequest`]s, one at a time. A report and the note that it was applied are
//! written in one transaction; a report that was applied before changes nothing.

use pool_shared::{Counters, PoolId};
use serde::Deserialize;

use super::{AppliedSequences, LedgerError, LedgerReply, LedgerRequest, Report, ReportEntry};
use crate::sql::{Outcome, SqlError, SqlValue, Statement};

/// A database that answers without waiting, as the one inside a Durable Object does.
pub trait LedgerSql {
    /// Runs the statements in order, all or none.
    fn run(&self, statements: Vec<Statement>) -> Result<Vec<Outcome>, SqlError>;
}

/// Each may run on a database that has the tables already.
const TABLES: &[&str] = &[
    "CREATE TABLE IF NOT EXISTS ledger_writers (
        writer TEXT PRIMARY KEY,
        applied TEXT NOT NULL
    ) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS ledger_counters (
        pool TEXT NOT NULL,
        key TEXT NOT NULL,
        model TEXT NOT NULL,
        requests INTEGER NOT NULL,
        successes INTEGER NOT NULL,
        failures INTEGER NOT NULL,
        prompt_tokens INTEGER NOT NULL,
        completion_tokens INTEGER NOT NULL,
        PRIMARY KEY (pool, key, model)
    ) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS ledger_lost (id INTEGER PRIMARY KEY CHECK (id = 1), attempts INTEGER NOT NULL)",
];

const ADD_COUNTERS: &str = "INSERT INTO ledger_counters
        (pool, key, model, requests, successes, failures, prompt_tokens, completion_tokens)
    SELECT value ->> 'pool', value ->> 'key', value ->> 'model', value ->> 'requests', value ->> 'successes',
        value ->> 'failures', value ->> 'prompt_tokens', value ->> 'completion_tokens'
    FROM json_each(?1) WHERE true
    ON CONFLICT (pool, key, model) DO UPDATE SET
        requests = requests + excluded.requests,
        successes = successes + excluded.successes,
        failures = failures + excluded.failures,
        prompt_tokens = prompt_tokens + excluded.prompt_tokens,
        completion_tokens = completion_tokens + excluded.completion_tokens";

const ADD_LOST: &str = "INSERT INTO ledger_lost (id, attempts) VALUES (1, ?1)
    ON CONFLICT (id) DO UPDATE SET attempts = attempts + excluded.attempts";

const SUMS_BY_POOL: &str = "SELECT json_object('pool', pool, 'requests', sum(requests),
        'successes', sum(successes), 'failures', sum(failures),
        'prompt_tokens', sum(prompt_tokens), 'completion_tokens', sum(completion_tokens)) AS row
    FROM ledger_counters GROUP BY pool";

const COUNTERS_OF_POOL: &str = "SELECT json_object('pool', pool, 'key', key, 'model', model,
        'requests', requests, 'successes', successes, 'failures', failures,
        'prompt_tokens', prompt_tokens, 'completion_tokens', completion_tokens) AS row
    FROM ledger_counters WHERE pool = ?1";

#[derive(Deserialize)]
struct PoolSum {
    pool: PoolId,
    #[serde(flatten)]
    counters: Counters,
}

/// The ledger over a [`LedgerSql`].
pub struct LedgerDatabase<S> {
    sql: S,
}

impl<S: LedgerSql> LedgerDatabase<S> {
    /// Opens the ledger, making its tables where they are missing.
    pub fn open(sql: S) -> Result<Self, LedgerError> {
        sql.run(TABLES.iter().map(|sql| Statement::new(sql, [])).collect())?;
        Ok(Self { sql })
    }

    /// Does what is asked.
    pub fn handle(&self, request: &LedgerRequest) -> Result<LedgerReply, LedgerError> {
        match request {
            LedgerRequest::Report(report) => self.apply(report),
            LedgerRequest::Pools => self.pools(),
            LedgerRequest::Pool(pool) => self.pool(pool),
        }
    }

    fn apply(&self, report: &Report) -> Result<LedgerReply, LedgerError> {
        let writer = SqlValue::from(report.writer.as_str());
        let select =
            Statement::new("SELECT applied AS row FROM ledger_writers WHERE writer = ?1", [writer.clone()]);
        let mut applied: AppliedSequences = self.read(select)?.pop().unwrap_or_default();
        if !applied.admit(report.sequence) {
            return Ok(LedgerReply::Counted);
        }
        let mut statements = vec![
            Statement::new(
                "INSERT INTO ledger_writers (writer, applied) VALUES (?1, ?2)
                 ON CONFLICT (writer) DO UPDATE SET applied = excluded.applied",
                [writer, SqlValue::json(&applied)?],
            ),
            Statement::new(ADD_COUNTERS, [SqlValue::json(&report.entries)?]),
        ];
        if report.lost > 0 {
            statements.push(Statement::new(ADD_LOST, [report.lost.into()]));
        }
        self.sql.run(statements)?;
        Ok(LedgerReply::Counted)
    }

    fn pools(&self) -> Result<LedgerReply, LedgerError> {
        let sums: Vec<PoolSum> = self.read(Statement::new(SUMS_BY_POOL, []))?;
        let lost = Statement::new("SELECT json_quote(attempts) AS row FROM ledger_lost", []);
        Ok(LedgerReply::Pools {
            pools: sums.into_iter().map(|sum| (sum.pool, sum.counters)).collect(),
            lost: self.read(lost)?.pop().unwrap_or_default(),
        })
    }

    fn pool(&self, pool: &PoolId) -> Result<LedgerReply, LedgerError> {
        let entries: Vec<ReportEntry> =
            self.read(Statement::new(COUNTERS_OF_POOL, [pool.as_str().into()]))?;
        Ok(LedgerReply::Pool(entries))
    }

    fn read<T: serde::de::DeserializeOwned>(&self, statement: Statement) -> Result<Vec<T>, LedgerError> {
        let outcome = self.sql.run(vec![statement])?.pop().unwrap_or_default();
        outcome.read().map_err(|error| LedgerError(error.to_string()))
    }
}

impl From<SqlError> for LedgerError {
    fn from(error: SqlError) -> Self {
        Self(error.0)
    }
}
