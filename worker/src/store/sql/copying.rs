//! SQL statements of a copy: whole rows of any table, read and written.
//!
//! A row is the JSON array of its values. A test compares the column lists with the tables.

use pool_shared::PoolId;
use serde_json::value::RawValue;

use super::json_text;
use crate::sql::{SqlValue, Statement};
use crate::store::StoreError;
use crate::store::copy::{Row, RowKey, Table};

/// The statements of one table.
pub(in crate::store) struct Statements {
    read: &'static str,
    read_pool: &'static str,
    delete: &'static str,
    insert: &'static str,
}

/// Per table: its name, the columns of its key, the value that precedes every key, a key in a JSON
/// array, the pool's id, and its columns with their positions in a row.
macro_rules! statements {
    ($table:literal, $key:literal, $after:literal, $key_values:literal, $pool:literal,
     $first:literal $(, $column:literal $place:literal)*) => {
        Statements {
            read: concat!(
                "SELECT json_array(", $first, $(", ", $column,)* ") AS row FROM ", $table,
                " WHERE (", $key, ") > (", $after, ") ORDER BY ", $key, " LIMIT ?1"
            ),
            read_pool: concat!(
                "SELECT json_array(", $first, $(", ", $column,)* ") AS row FROM ", $table,
                " WHERE ", $pool, " = ?1 ORDER BY ", $key
            ),
            delete: concat!(
                "DELETE FROM ", $table, " WHERE (", $key, ") IN (SELECT ", $key_values, " FROM json_each(?1))"
            ),
            insert: concat!(
                "INSERT INTO ", $table, " (", $first, $(", ", $column,)* ") SELECT value ->> 0",
                $(", value ->> ", $place,)* " FROM json_each(?1)"
            ),
        }
    };
}

const POOLS: Statements = statements!(
    "pools", "id", "?2", "value ->> 0", "id",
    "id", "name" "1", "description" "2", "enabled" "3", "allowed_models" "4", "data_key" "5", "version" "6",
    "created_at" "7", "updated_at" "8", "settings" "9", "name_key" "10"
);
const CLIENT_KEYS: Statements = statements!(
    "client_keys", "hash", "?2", "value ->> 0", "pool_id",
    "hash", "id" "1", "pool_id" "2", "name" "3", "hint" "4", "created_at" "5", "expires_at" "6",
    "rules" "7", "weak" "8"
);
const KEYS: Statements = statements!(
    "keys", "pool_id, digest", "?2, ?3", "value ->> 0, value ->> 1", "pool_id",
    "pool_id", "digest" "1", "id" "2", "sealed" "3", "masked" "4", "name" "5", "tag" "6", "weight" "7",
    "enabled" "8", "position" "9", "created_at" "10", "updated_at" "11", "project" "12", "limits" "13",
    "billing_account" "14"
);
const ADMIN_TOKENS: Statements = statements!(
    "admin_tokens", "hash", "?2", "value ->> 0", "NULL",
    "hash", "id" "1", "name" "2", "created_at" "3", "expires_at" "4", "scopes" "5", "pool_id" "6",
    "parent" "7", "budget" "8"
);

const SECRETS: Statements = statements!("secrets", "name", "?2", "value ->> 0", "NULL", "name", "sealed" "1");

/// Names are unique. A pool that has the name of an incoming row, because a rename is not copied
/// yet or the source lacks the pool, is removed first; it is copied again if the source has it.
const MAKE_WAY: &str = "DELETE FROM pools WHERE EXISTS (
    SELECT 1 FROM json_each(?1)
    WHERE (value ->> 1 = pools.name OR value ->> 10 = pools.name_key) AND value ->> 0 <> pools.id)";

const fn of(table: Table) -> Statements {
    match table {
        Table::Pools => POOLS,
        Table::ClientKeys => CLIENT_KEYS,
        Table::Keys => KEYS,
        Table::AdminTokens => ADMIN_TOKENS,
        Table::Secrets => SECRETS,
    }
}

/// Returns the rows after a key. No key is empty, so empty texts precede all of them.
pub(super) fn read(table: Table, after: Option<&RowKey>, limit: u32) -> Statement {
    let values = after.map(|key| key.0.as_slice()).unwrap_or_default();
    let value = |at: usize| SqlValue::from(values.get(at).map_or("", String::as_str));
    let mut parameters = vec![u64::from(limit).into(), value(0)];
    if table == Table::Keys {
        parameters.push(value(1));
    }
    Statement::new(of(table).read, parameters)
}

/// Returns all rows of a pool; none of a table without pools.
pub(in crate::store) fn read_pool(table: Table, pool: &PoolId) -> Statement {
    Statement::new(of(table).read_pool, [pool.as_str().into()])
}

/// Inserts or replaces rows, and removes others.
pub(super) fn write(table: Table, rows: &[Row], remove: &[RowKey]) -> Result<Vec<Statement>, StoreError> {
    let rows = SqlValue::Text(format!("[{}]", rows.iter().map(Row::as_str).collect::<Vec<_>>().join(",")));
    let statements = of(table);
    let mut batch = vec![
        Statement::new(statements.delete, [json_text(&remove)?]),
        Statement::new(statements.delete, [rows.clone()]),
    ];
    if table == Table::Pools {
        batch.push(Statement::new(MAKE_WAY, [rows.clone()]));
    }
    batch.push(Statement::new(statements.insert, [rows]));
    Ok(batch)
}

/// Returns the copied columns.
#[cfg(test)]
pub(in crate::store) fn columns(table: Table) -> Vec<&'static str> {
    let (_, rest) = of(table).insert.split_once('(').unwrap();
    rest.split_once(')').unwrap().0.split(", ").collect()
}

/// Inserts or replaces rows.
pub(in crate::store) fn restore(table: Table, rows: &[&RawValue]) -> Result<Vec<Statement>, StoreError> {
    let rows = json_text(&rows)?;
    let statements = of(table);
    Ok(vec![Statement::new(statements.delete, [rows.clone()]), Statement::new(statements.insert, [rows])])
}
