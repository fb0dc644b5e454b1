//! The outbox: names of documents and entries that are pending for KV.
//!
//! Triggers add a name in the transaction that changes its rows, so no committed change is lost. A
//! name means the current content of its rows, so publishing is idempotent. Sequence numbers
//! only grow.

use serde::Deserialize;

use crate::sql::{SqlValue, Statement};
use crate::store::sql::schema;

/// Gap in the sequence numbers after a restore from KV: larger than the numbers that the lost
/// database may have used without KV showing them.
const GAP: u64 = 1_000;

/// The statements of a trigger that adds the name of a prefix and a column.
macro_rules! trigger {
    ($name:literal, $event:literal, $note:literal) => {
        concat!(
            "CREATE TRIGGER IF NOT EXISTS ",
            $name,
            " AFTER ",
            $event,
            " BEGIN
                UPDATE kv_state SET sequence = sequence + 1;
                INSERT INTO kv_outbox (name, sequence, failures) SELECT ",
            $note,
            ", sequence, 0 FROM kv_state WHERE true
                ON CONFLICT (name) DO UPDATE SET sequence = excluded.sequence, failures = 0;
            END"
        )
    };
}

/// All statements are idempotent. Every change of a pool's keys or client keys increments the
/// pool's version, so its row is the only one to watch.
const TABLES: &[&str] = &[
    "CREATE TABLE IF NOT EXISTS kv_state (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        sequence INTEGER NOT NULL,
        restored INTEGER NOT NULL
    )",
    "INSERT INTO kv_state (id, sequence, restored) VALUES (1, 0, 0) ON CONFLICT DO NOTHING",
    "CREATE TABLE IF NOT EXISTS kv_outbox (
        name TEXT PRIMARY KEY,
        sequence INTEGER NOT NULL,
        failures INTEGER NOT NULL
    ) WITHOUT ROWID",
    trigger!("kv_pool_inserted", "INSERT ON pools", "'v1:pool:' || NEW.id"),
    trigger!("kv_pool_updated", "UPDATE ON pools", "'v1:pool:' || NEW.id"),
    trigger!("kv_pool_deleted", "DELETE ON pools", "'v1:pool:' || OLD.id"),
    trigger!("kv_secret_inserted", "INSERT ON secrets", "'v1:secret:' || NEW.name"),
    trigger!("kv_secret_updated", "UPDATE ON secrets", "'v1:secret:' || NEW.name"),
    trigger!("kv_secret_deleted", "DELETE ON secrets", "'v1:secret:' || OLD.name"),
    trigger!("kv_client_key_inserted", "INSERT ON client_keys", "'v1:client-key:' || NEW.hash"),
    trigger!("kv_client_key_deleted", "DELETE ON client_keys", "'v1:client-key:' || OLD.hash"),
];

const NOTE_EVERYTHING: &str = "INSERT INTO kv_outbox (name, sequence, failures)
    SELECT name, (SELECT sequence FROM kv_state), 0 FROM (
        SELECT 'v1:pool:' || id AS name FROM pools
        UNION ALL SELECT 'v1:client-key:' || hash FROM client_keys
        UNION ALL SELECT 'v1:secret:' || name FROM secrets
    ) WHERE true
    ON CONFLICT (name) DO UPDATE SET sequence = excluded.sequence, failures = 0";

/// A pending name.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Note {
    pub(super) name: String,
    pub(super) sequence: u64,
}

/// Returns the statements that bring any database up to date, the config's tables included.
pub(super) fn set_up() -> Vec<Statement> {
    let tables = TABLES.iter().map(|sql| Statement::new(sql, []));
    schema::migrations().into_iter().chain(tables).collect()
}

/// Returns 1 once the database was restored from KV.
pub(super) fn is_restored() -> Statement {
    Statement::new("SELECT json_quote(restored) AS row FROM kv_state", [])
}

/// Makes sequence numbers greater than those found on KV.
pub(super) fn jump(greatest: u64) -> Statement {
    let floor = SqlValue::from(greatest.saturating_add(GAP));
    Statement::new("UPDATE kv_state SET sequence = max(sequence, ?1)", [floor])
}

/// Marks the database as restored.
pub(super) fn restored() -> Statement {
    Statement::new("UPDATE kv_state SET restored = 1", [])
}

/// Adds the names of all rows.
pub(super) fn note_everything() -> Vec<Statement> {
    let number = Statement::new("UPDATE kv_state SET sequence = sequence + 1", []);
    vec![number, Statement::new(NOTE_EVERYTHING, [])]
}

/// Returns the next names: those with the fewest failures first, and pools before client keys, so
/// that an entry rarely names a document that does not exist yet.
pub(super) fn next(limit: u32) -> Statement {
    Statement::new(
        "SELECT json_object('name', name, 'sequence', sequence) AS row FROM kv_outbox
         ORDER BY failures, name DESC LIMIT ?1",
        [u64::from(limit).into()],
    )
}

/// Counts the pending names.
pub(super) fn count() -> Statement {
    Statement::new("SELECT json_quote(count(*)) AS row FROM kv_outbox", [])
}

/// Returns the sequence number of a pending name; no row if it is not pending.
pub(super) fn sequence(name: &str) -> Statement {
    Statement::new("SELECT json_quote(sequence) AS row FROM kv_outbox WHERE name = ?1", [name.into()])
}

/// Removes a published name, unless its sequence number has changed.
pub(super) fn done(name: &str, sequence: u64) -> Statement {
    Statement::new("DELETE FROM kv_outbox WHERE name = ?1 AND sequence = ?2", [name.into(), sequence.into()])
}

/// Counts a failure of a name; the others come first next time.
pub(super) fn failed(name: &str) -> Statement {
    Statement::new("UPDATE kv_outbox SET failures = failures + 1 WHERE name = ?1", [name.into()])
}

/// Returns the pool of a client key's hash.
pub(super) fn pool_of(hash: &str) -> Statement {
    Statement::new("SELECT json_quote(pool_id) AS row FROM client_keys WHERE hash = ?1", [hash.into()])
}

/// Counts the other pools with the name of a pool's row, or an equivalent one.
pub(super) fn namesakes(row: &str) -> Statement {
    Statement::new(
        "SELECT json_quote(count(*)) AS row FROM pools
         WHERE (name = ?1 ->> 1 OR name_key = ?1 ->> 10) AND id <> ?1 ->> 0",
        [row.into()],
    )
}
