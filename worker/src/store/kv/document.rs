//! The published document of a pool: two lines of JSON.
//!
//! The first line is what the data plane reads: the same rows as from SQL, packed. The second has
//! every row of the pool, from which a Durable Object that lost its database is restored. The data
//! plane does not read it.

use std::collections::BTreeMap;

use pool_shared::PoolId;
use serde_json::value::RawValue;

use crate::sql::{Outcome, Statement};
use crate::store::copy::Table;
use crate::store::sql::{copying, snapshot};
use crate::store::{PoolConfig, StoreError};

/// The tables with rows of a pool.
const TABLES: [Table; 3] = [Table::Pools, Table::ClientKeys, Table::Keys];

/// A pool's rows, by table.
pub(super) type PoolRows<'a> = BTreeMap<Table, Vec<&'a RawValue>>;

/// Returns the statements whose rows [`write()`] needs.
pub(super) fn statements(pool: &PoolId) -> Vec<Statement> {
    let rows = TABLES.into_iter().map(|table| copying::read_pool(table, pool));
    snapshot::by_id(pool).into_iter().chain(rows).collect()
}

/// Builds the document from the results of [`statements`]; `None` if the pool does not exist.
pub(super) fn write(outcomes: &[Outcome]) -> Result<Option<String>, StoreError> {
    let [pool, keys, rows @ ..] = outcomes else {
        return Err(StoreError::Corrupt("a statement gave no outcome".to_owned()));
    };
    if pool.rows.is_empty() {
        return Ok(None);
    }
    let head = parsed(&[pool, keys])?;
    let rows: BTreeMap<Table, Vec<&RawValue>> =
        TABLES.into_iter().zip(parsed(&rows.iter().collect::<Vec<_>>())?).collect();
    let (head, rows) = (serde_json::to_string(&head), serde_json::to_string(&rows));
    match (head, rows) {
        (Ok(head), Ok(rows)) => Ok(Some(format!("{head}\n{rows}"))),
        (Err(error), _) | (_, Err(error)) => Err(corrupt(&error)),
    }
}

/// Parses a document's first line.
pub(super) fn read_head(line: &str) -> Result<PoolConfig, StoreError> {
    let rows: Vec<Vec<&RawValue>> = serde_json::from_str(line).map_err(|error| corrupt(&error))?;
    let outcome = |rows: Vec<&RawValue>| Outcome {
        rows: rows.into_iter().map(|row| row.get().to_owned()).collect(),
        changes: 0,
    };
    let outcomes: Vec<Outcome> = rows.into_iter().map(outcome).collect();
    snapshot::read(&outcomes)?.ok_or_else(|| StoreError::Corrupt("a document without a pool".to_owned()))
}

/// Parses a document's second line.
pub(super) fn read_rows(document: &str) -> Result<PoolRows<'_>, StoreError> {
    let (_, line) = document
        .split_once('\n')
        .ok_or_else(|| StoreError::Corrupt("a document has no second line".to_owned()))?;
    serde_json::from_str(line).map_err(|error| corrupt(&error))
}

fn parsed<'a>(outcomes: &[&'a Outcome]) -> Result<Vec<Vec<&'a RawValue>>, StoreError> {
    let row = |row: &'a String| serde_json::from_str(row).map_err(|error| corrupt(&error));
    outcomes.iter().map(|outcome| outcome.rows.iter().map(row).collect()).collect()
}

fn corrupt(error: &serde_json::Error) -> StoreError {
    StoreError::Corrupt(error.to_string())
}
