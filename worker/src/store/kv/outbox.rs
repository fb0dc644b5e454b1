//! What waits to be published: the names of documents and entries whose rows changed.
//!
//! The database notes a name by itself, in the transaction that changes the rows, so nothing that was
//! committed can be forgotten. A name stands for whatever its rows are at the moment when it is
//! published, so that publishing twice does no harm. The number of a note only grows.

use serde::Deserialize;

use crate::sql::{SqlValue, Statement};
use crate::store::sql::schema;

/// How far the numbers jump when the database is made anew from KV: beyond every number that the lost
/// one may have given away without KV showing it.
const GAP: u64 = 1_000;

/// The statements of a trigger that notes a name made of a prefix and a column.
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

/// Each may run on a database that has these already. Whatever changes a pool's keys or client keys
/// moves the pool's version too, so its row is the only one to watch.
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

/// A name that waits.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Note {
    pub(super) name: String,
    pub(super) sequence: u64,
}

/// What brings a database of any age to have the config's tables and these.
pub(super) fn set_up() -> Vec<Statement> {
    let tables = TABLES.iter().map(|sql| Statement::new(sql, []));
    schema::migrations().into_iter().chain(tables).collect()
}

/// Gives 1 once the database holds what KV held when it was first used.
pub(super) fn is_restored() -> Statement {
    Statement::new("SELECT json_quote(restored) AS row FROM kv_state", [])
}

/// From now on numbers are greater than those that were found on KV.
pub(super) fn jump(greatest: u64) -> Statement {
    let floor = SqlValue::from(greatest.saturating_add(GAP));
    Statement::new("UPDATE kv_state SET sequence = max(sequence, ?1)", [floor])
}

/// The database holds what KV held.
pub(super) fn restored() -> Statement {
    Statement::new("UPDATE kv_state SET restored = 1", [])
}

/// Notes every name that the rows make.
pub(super) fn note_everything() -> Vec<Statement> {
    let number = Statement::new("UPDATE kv_state SET sequence = sequence + 1", []);
    vec![number, Statement::new(NOTE_EVERYTHING, [])]
}

/// The next names: those that failed least often first, pools before client keys, so that an entry
/// hardly ever leads to a document that is not there yet.
pub(super) fn next(limit: u32) -> Statement {
    Statement::new(
        "SELECT json_object('name', name, 'sequence', sequence) AS row FROM kv_outbox
         ORDER BY failures, name DESC LIMIT ?1",
        [u64::from(limit).into()],
    )
}

/// How many names wait.
pub(super) fn count() -> Statement {
    Statement::new("SELECT json_quote(count(*)) AS row FROM kv_outbox", [])
}

/// The number of a name's note; no row when it does not wait any more.
pub(super) fn sequence(name: &str) -> Statement {
    Statement::new("SELECT json_quote(sequence) AS row FROM kv_outbox WHERE name = ?1", [name.into()])
}

/// A name is published as it was under this number; a note that has another one by now stays.
pub(super) fn done(name: &str, sequence: u64) -> Statement {
    Statement::new("DELETE FROM kv_outbox WHERE name = ?1 AND sequence = ?2", [name.into(), sequence.into()])
}

/// A name could not be published: the others come first next time.
pub(super) fn failed(name: &str) -> Statement {
    Statement::new("UPDATE kv_outbox SET failures = failures + 1 WHERE name = ?1", [name.into()])
}

/// The pool of a client key, by its hash.
pub(super) fn pool_of(hash: &str) -> Statement {
    Statement::new("SELECT json_quote(pool_id) AS row FROM client_keys WHERE hash = ?1", [hash.into()])
}

/// How many other pools have the name of a pool's row, or one that is not told apart from it.
pub(super) fn namesakes(row: &str) -> Statement {
    Statement::new(
        "SELECT json_quote(count(*)) AS row FROM pools
         WHERE (name = ?1 ->> 1 OR name_key = ?1 ->> 10) AND id <> ?1 ->> 0",
        [row.into()],
    )
}
