//! One SQLite file for the config store and the ledger.

use std::path::Path;
use std::sync::{Arc, Mutex};

use rusqlite::types::ToSqlOutput;
use rusqlite::{Connection, ToSql, TransactionBehavior, params_from_iter};

use super::SystemClock;
use crate::ledger::database::{LedgerDatabase, LedgerSql};
use crate::ledger::{Ledger, LedgerError, LedgerReply, LedgerRequest, Shard};
use crate::platform::Clock;
use crate::platform::lock;
use crate::sql::{Outcome, SqlError, SqlValue, Statement};
use crate::store::sql::{self, SqlDatabase};

/// A SQLite file, one connection for everything: batches run one after another.
#[derive(Clone)]
pub struct Sqlite(Arc<Mutex<Connection>>);

impl Sqlite {
    /// Opens a file, making it where it is missing.
    pub fn open(path: &Path) -> Result<Self, SqlError> {
        let connection = Connection::open(path).map_err(sql_error)?;
        refuse_newer(&connection)?;
        // With a write-ahead log a kill loses nothing that was committed, and readers outside (a
        // backup) do not block the service.
        connection.pragma_update(None, "journal_mode", "wal").map_err(sql_error)?;
        connection.pragma_update(None, "synchronous", "normal").map_err(sql_error)?;
        // What is deleted or replaced may be a sealed key of before a rotation.
        connection.pragma_update(None, "secure_delete", "on").map_err(sql_error)?;
        // 16 MiB: a fold reads thousands of rows where thousands of pools are in use.
        connection.pragma_update(None, "cache_size", -16 * 1024).map_err(sql_error)?;
        connection.busy_timeout(std::time::Duration::from_secs(5)).map_err(sql_error)?;
        Ok(Self(Arc::new(Mutex::new(connection))))
    }

    fn run_batch(&self, statements: &[Statement]) -> Result<Vec<Outcome>, SqlError> {
        let mut connection = lock(&self.0);
        // SQLite makes a transaction of each statement anyway, and one that only reads locks less.
        if let [statement] = statements {
            return run_statement(&connection, statement).map(|outcome| vec![outcome]).map_err(sql_error);
        }
        let transaction =
            connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sql_error)?;
        let outcomes: Result<_, _> =
            statements.iter().map(|statement| run_statement(&transaction, statement)).collect();
        let outcomes = outcomes.map_err(sql_error)?;
        transaction.commit().map_err(sql_error)?;
        Ok(outcomes)
    }
}

/// Rejects a database that a later version has changed, before anything is written to it.
fn refuse_newer(connection: &Connection) -> Result<(), SqlError> {
    let is_there = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'schema_version'";
    let tables: i64 = connection.query_row(is_there, [], |row| row.get(0)).map_err(sql_error)?;
    if tables == 0 {
        return Ok(());
    }
    let version = "SELECT coalesce(max(version), 0) FROM schema_version";
    let version: i64 = connection.query_row(version, [], |row| row.get(0)).map_err(sql_error)?;
    sql::refuse_newer(version)
}

fn run_statement(connection: &Connection, statement: &Statement) -> rusqlite::Result<Outcome> {
    let mut prepared = connection.prepare_cached(statement.sql)?;
    let parameters = params_from_iter(&statement.parameters);
    if prepared.column_count() == 0 {
        let changes = prepared.execute(parameters)? as u64;
        return Ok(Outcome { rows: Vec::new(), changes });
    }
    let rows = prepared.query_map(parameters, |row| row.get("row"))?.collect::<Result<_, _>>()?;
    Ok(Outcome { rows, changes: 0 })
}

impl ToSql for SqlValue {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        match self {
            Self::Null => rusqlite::types::Null.to_sql(),
            Self::Integer(value) => Ok(ToSqlOutput::from(value.cast_signed())),
            Self::Text(text) => text.to_sql(),
        }
    }
}

// By value, so that it can be named in `map_err`.
#[allow(clippy::needless_pass_by_value)]
fn sql_error(error: rusqlite::Error) -> SqlError {
    SqlError(error.to_string())
}

async fn off_the_runtime<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SqlError> + Send + 'static,
) -> Result<T, SqlError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(SqlError(error.to_string())))
}

impl SqlDatabase for Sqlite {
    fn kind(&self) -> &'static str {
        "sqlite"
    }

    async fn batch(&self, statements: Vec<Statement>) -> Result<Vec<Outcome>, SqlError> {
        let database = self.clone();
        off_the_runtime(move || database.run_batch(&statements)).await
    }

    /// Returns the write-ahead log holds pages as they were.
    async fn forget_replaced(&self) -> Result<(), SqlError> {
        let database = self.clone();
        off_the_runtime(move || {
            let connection = lock(&database.0);
            let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
            let busy: bool = connection.query_row(checkpoint, [], |row| row.get(0)).map_err(sql_error)?;
            if busy {
                let message = "another program reads the database, whose write-ahead log still holds what was \
                               replaced: try again when it has ended";
                return Err(SqlError(message.to_owned()));
            }
            Ok(())
        })
        .await
    }
}

impl LedgerSql for Sqlite {
    // SQLite reads a row whole to compare its key, as often as it comes by it on its way to another one.
    const WHOLE_PAGE: usize = 16 * 1024;
    const PART: usize = 16 * 1024;

    fn run(&self, statements: Vec<Statement>) -> Result<Vec<Outcome>, SqlError> {
        self.run_batch(&statements)
    }
}

/// The ledger in a SQLite file. There is one, whatever shard is asked.
#[derive(Clone)]
pub struct SqliteLedger(Arc<Mutex<LedgerDatabase<Sqlite>>>);

impl SqliteLedger {
    /// Opens the ledger, making its tables where they are missing.
    pub fn open(database: Sqlite) -> Result<Self, LedgerError> {
        Ok(Self(Arc::new(Mutex::new(LedgerDatabase::open(database)?))))
    }
}

impl Ledger for SqliteLedger {
    fn kind(&self) -> &'static str {
        "sqlite"
    }

    async fn ask(&self, _shard: Shard, request: LedgerRequest) -> Result<LedgerReply, LedgerError> {
        let ledger = Arc::clone(&self.0);
        // One request at a time: the ledger reads what it then writes.
        let answer = tokio::task::spawn_blocking(move || {
            let mut database = lock(&ledger);
            let reply = database.handle(&request, SystemClock.now())?;
            let due =
                matches!(request, LedgerRequest::Report(_)) && database.may_be_due(SystemClock.now())?;
            Ok((reply, due))
        });
        let (reply, due) = answer.await.unwrap_or_else(|error| Err(LedgerError(error.to_string())))?;
        if due {
            // Behind the response. If it fails, or is not due after all, a later report finds it due again.
            let ledger = Arc::clone(&self.0);
            tokio::task::spawn_blocking(move || lock(&ledger).maintain(SystemClock.now()));
        }
        Ok(reply)
    }
}
