//! The tables, and how a database comes to have them.

use crate::sql::{SqlError, Statement};

/// Makes the tables of version 1. Each statement may run on a database that has them already, so two
/// isolates that start at once do no harm.
///
/// `keys` has its rows in its primary key and no further index: importing a key writes one row, and
/// written rows are what Cloudflare's free plan counts.
const VERSION_1: &[&str] = &[
    "CREATE TABLE IF NOT EXISTS pools (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        description TEXT NOT NULL,
        enabled INTEGER NOT NULL,
        allowed_models TEXT NOT NULL,
        settings TEXT NOT NULL,
        data_key TEXT NOT NULL,
        version INTEGER NOT NULL,
        created_at INTEGER NOT NULL,
        updated_at INTEGER NOT NULL
    ) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS client_keys (
        hash TEXT PRIMARY KEY,
        id TEXT NOT NULL,
        pool_id TEXT NOT NULL,
        name TEXT NOT NULL,
        hint TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        expires_at INTEGER,
        rules TEXT,
        weak INTEGER
    ) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS client_keys_by_pool ON client_keys (pool_id, id)",
    "CREATE TABLE IF NOT EXISTS keys (
        pool_id TEXT NOT NULL,
        digest TEXT NOT NULL,
        id TEXT NOT NULL,
        sealed TEXT NOT NULL,
        masked TEXT NOT NULL,
        name TEXT NOT NULL,
        tag TEXT NOT NULL,
        project TEXT NOT NULL,
        limits TEXT NOT NULL,
        weight INTEGER NOT NULL,
        enabled INTEGER NOT NULL,
        position INTEGER NOT NULL,
        created_at INTEGER NOT NULL,
        updated_at INTEGER NOT NULL,
        PRIMARY KEY (pool_id, digest)
    ) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS admin_tokens (
        hash TEXT PRIMARY KEY,
        id TEXT NOT NULL,
        name TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        expires_at INTEGER NOT NULL,
        scopes TEXT,
        pool_id TEXT
    ) WITHOUT ROWID",
    // What is sealed under the master key and belongs to no pool, by name. Empty before the first rotation.
    "CREATE TABLE IF NOT EXISTS secrets (
        name TEXT PRIMARY KEY,
        sealed TEXT NOT NULL
    ) WITHOUT ROWID",
    // By the hour, so that a use hardly ever writes.
    "CREATE TABLE IF NOT EXISTS admin_token_uses (
        token_id TEXT PRIMARY KEY,
        used_at INTEGER NOT NULL
    ) WITHOUT ROWID",
    // The newest entry is never dropped, so its numbers only grow. No index: a change writes one row here.
    "CREATE TABLE IF NOT EXISTS audit (
        id INTEGER PRIMARY KEY,
        at INTEGER NOT NULL,
        actor TEXT NOT NULL,
        actor_name TEXT NOT NULL,
        action TEXT NOT NULL,
        pool_id TEXT,
        target TEXT,
        request_id TEXT NOT NULL,
        count INTEGER NOT NULL,
        before TEXT,
        after TEXT
    )",
    "CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL)",
    "INSERT INTO schema_version (version) SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM schema_version)",
];

/// Everything that brings a database of any age up to date.
pub(in crate::store) fn migrations() -> Vec<Statement> {
    VERSION_1.iter().map(|sql| Statement::new(sql, [])).collect()
}

/// Whether a batch failed because the tables are not there yet.
pub(super) fn is_missing(error: &SqlError) -> bool {
    error.0.contains("no such table")
}
