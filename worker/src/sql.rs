//! SQL statements and their results, shared by the config store and the ledger.
//!
//! Every query packs a row into one JSON text in a column named `row`. Rows thus cross into wasm as
//! strings, and every database returns the same form. Values are passed only as bound parameters.
//! Hosts run the statements.

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A value bound to a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SqlValue {
    /// NULL.
    Null,
    /// A whole number up to 2^53, the largest that D1 passes exactly.
    Integer(u64),
    /// A text.
    Text(String),
}

impl From<u64> for SqlValue {
    fn from(value: u64) -> Self {
        Self::Integer(value)
    }
}

impl From<bool> for SqlValue {
    fn from(value: bool) -> Self {
        Self::Integer(value.into())
    }
}

impl From<&str> for SqlValue {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<Timestamp> for SqlValue {
    fn from(value: Timestamp) -> Self {
        Self::Integer(value.as_millisecond().try_into().unwrap_or_default())
    }
}

impl<T: Into<SqlValue>> From<Option<T>> for SqlValue {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// One statement with its parameters `?1`, `?2`, …
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// The SQL; never built from values.
    pub sql: &'static str,
    /// The parameters.
    pub parameters: Vec<SqlValue>,
}

impl Statement {
    /// Builds a statement.
    pub fn new(sql: &'static str, parameters: impl Into<Vec<SqlValue>>) -> Self {
        Self { sql, parameters: parameters.into() }
    }

    /// Returns `true` if it surely changes nothing.
    #[must_use]
    pub fn only_reads(&self) -> bool {
        self.sql.trim_ascii_start().starts_with("SELECT")
    }
}

/// The result of a statement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The column `row` of each row: a JSON text.
    pub rows: Vec<String>,
    /// The number of rows inserted, changed or deleted.
    pub changes: u64,
}

/// The database's message for a batch that failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SqlError(pub String);

impl SqlValue {
    /// Packs a list into one JSON text for `json_each`: D1 takes at most 100 parameters per
    /// statement.
    pub fn json(value: &impl Serialize) -> Result<Self, SqlError> {
        serde_json::to_string(value).map(Self::Text).map_err(|error| SqlError(error.to_string()))
    }
}

impl Outcome {
    /// Reads every row.
    pub fn read<T: DeserializeOwned>(&self) -> Result<Vec<T>, serde_json::Error> {
        self.rows.iter().map(|row| serde_json::from_str(row)).collect()
    }
}
