//! The schema: tables, migrations, and the check of its version.

use crate::sql::{SqlError, Statement};

/// The version of the schema that this program creates and knows.
const SCHEMA_VERSION: i64 = 1;

/// Creates the tables of version 1. Every statement is idempotent, so two isolates may start at the
/// same time.
///
/// `keys` stores its rows in the primary key and has no further index: importing a key writes one
/// row, and written rows count against Cloudflare's free plan.
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
        billing_account TEXT,
        PRIMARY KEY (pool_id, digest)
    ) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS admin_tokens (
        hash TEXT PRIMARY KEY,
        id TEXT NOT NULL,
        name TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        expires_at INTEGER NOT NULL,
        scopes TEXT,
        pool_id TEXT,
        parent TEXT,
        budget TEXT
    ) WITHOUT ROWID",
    // Encrypted under the master key and of no pool, by name.
    "CREATE TABLE IF NOT EXISTS secrets (
        name TEXT PRIMARY KEY,
        sealed TEXT NOT NULL
    ) WITHOUT ROWID",
    // By the hour, so that a use rarely writes.
    "CREATE TABLE IF NOT EXISTS admin_token_uses (
        token_id TEXT PRIMARY KEY,
        used_at INTEGER NOT NULL
    ) WITHOUT ROWID",
    // By hashed address, and `*` for all of them. In milliseconds; `blocked_until` 0 for no delay.
    "CREATE TABLE IF NOT EXISTS login_tries (
        source TEXT PRIMARY KEY,
        failures INTEGER NOT NULL,
        last_at INTEGER NOT NULL,
        blocked_until INTEGER NOT NULL,
        known_until INTEGER NOT NULL
    ) WITHOUT ROWID",
    // As in the first version: [`AUDIT`] brings it up to date. The newest entry is never dropped,
    // so its ids only grow.
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

/// Returns the statements that bring any database up to date.
pub(in crate::store) fn migrations() -> Vec<Statement> {
    VERSION_1.iter().map(|sql| Statement::new(sql, [])).collect()
}

/// Columns that older tables lack.
const ADDED: &[&str] = &[
    "ALTER TABLE client_keys ADD COLUMN expires_at INTEGER",
    "ALTER TABLE client_keys ADD COLUMN rules TEXT",
    "ALTER TABLE client_keys ADD COLUMN weak INTEGER",
    "ALTER TABLE admin_tokens ADD COLUMN scopes TEXT",
    "ALTER TABLE admin_tokens ADD COLUMN pool_id TEXT",
    "ALTER TABLE keys ADD COLUMN billing_account TEXT",
    "ALTER TABLE admin_tokens ADD COLUMN parent TEXT",
    "ALTER TABLE admin_tokens ADD COLUMN budget TEXT",
];

/// The bounds of the audit log, created in one transaction with their columns: a database has all
/// of this or nothing.
///
/// `part` groups the entries that share a bound: those of one pool and one token, with the tokens
/// created with it. `place` counts the entries of a part. Entries of the first version have
/// neither; only their age bounds them.
///
/// The triggers protect against a vulnerability of the service and against mistakes of an operator.
/// The limits are those of [`audit`](super::audit): 400 days, 10,000 entries of a part, 60 s in
/// which equal actions are merged, 600 entries of a part in that time.
const AUDIT: &[&str] = &[
    "ALTER TABLE audit ADD COLUMN part TEXT",
    "ALTER TABLE audit ADD COLUMN place INTEGER",
    "ALTER TABLE audit ADD COLUMN times INTEGER NOT NULL DEFAULT 1",
    "ALTER TABLE audit ADD COLUMN last_at INTEGER",
    "CREATE INDEX audit_by_part ON audit (part, place)",
    // The parts that lost entries younger than 400 days: how many, and the time of the youngest.
    "CREATE TABLE IF NOT EXISTS audit_dropped (
        part TEXT PRIMARY KEY,
        pool_id TEXT,
        actor TEXT NOT NULL,
        actor_name TEXT NOT NULL,
        entries INTEGER NOT NULL,
        at INTEGER NOT NULL
    ) WITHOUT ROWID",
    "DROP TRIGGER IF EXISTS audit_is_not_changed",
    "DROP TRIGGER IF EXISTS audit_is_not_cut",
    // Only an equal action within 60 s of the entry, while no later one is 60 s younger, may be
    // merged into it.
    "CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
    WHEN (NEW.id, NEW.at, NEW.actor, NEW.actor_name, NEW.action, NEW.pool_id, NEW.target, NEW.request_id, NEW.before,
            NEW.after, NEW.part, NEW.place)
        IS NOT (OLD.id, OLD.at, OLD.actor, OLD.actor_name, OLD.action, OLD.pool_id, OLD.target, OLD.request_id, OLD.before,
            OLD.after, OLD.part, OLD.place)
        OR NEW.times IS NOT OLD.times + 1 OR NEW.count <= OLD.count
        OR coalesce(NEW.last_at NOT BETWEEN coalesce(OLD.last_at, OLD.at) AND OLD.at + 59999, 1)
        OR (SELECT at FROM audit ORDER BY id DESC LIMIT 1) >= OLD.at + 60000
    BEGIN
        SELECT raise(ABORT, 'the audit is append-only');
    END",
    "CREATE TRIGGER audit_is_not_cut BEFORE DELETE ON audit
    WHEN OLD.at >= (SELECT at FROM audit ORDER BY id DESC LIMIT 1) - 34560000000
        AND (OLD.part IS NULL OR OLD.place > (SELECT max(place) FROM audit WHERE part = OLD.part) - 10000)
    BEGIN
        SELECT raise(ABORT, 'the audit is append-only');
    END",
    "CREATE TRIGGER audit_is_not_flooded BEFORE INSERT ON audit
    WHEN EXISTS (
        SELECT 1 FROM audit WHERE part = NEW.part AND place = NEW.place - 600 AND at > NEW.at - 60000)
    BEGIN
        SELECT raise(ABORT, 'too many changes for the audit');
    END",
    "CREATE TRIGGER audit_notes_what_goes AFTER DELETE ON audit
    WHEN OLD.part IS NOT NULL AND OLD.at >= (SELECT at FROM audit ORDER BY id DESC LIMIT 1) - 34560000000
    BEGIN
        INSERT INTO audit_dropped (part, pool_id, actor, actor_name, entries, at)
            VALUES (OLD.part, OLD.pool_id, OLD.actor, OLD.actor_name, 1, OLD.at)
            ON CONFLICT (part) DO UPDATE SET entries = entries + 1, at = max(at, excluded.at),
                actor = excluded.actor, actor_name = excluded.actor_name;
    END",
];

/// The comparison keys of names, and their uniqueness. Pools named by an earlier version have none.
const NAME_KEYS: &[&str] = &[
    "ALTER TABLE pools ADD COLUMN name_key TEXT",
    "CREATE UNIQUE INDEX pools_by_name_key ON pools (name_key)",
];

/// Returns what older tables lack. Each addition is a transaction of its own, which fails if it
/// exists.
pub(in crate::store) fn additions() -> impl Iterator<Item = Vec<Statement>> {
    let batch = |sql: &[&'static str]| sql.iter().map(|sql| Statement::new(sql, [])).collect();
    ADDED.chunks(1).chain([AUDIT, NAME_KEYS]).map(batch)
}

/// Returns the version of the tables: a number, or `null` if its table is empty.
pub(super) fn version() -> Statement {
    Statement::new("SELECT json_quote(max(version)) AS row FROM schema_version", [])
}

/// Rejects tables of a later version, whose rows this program may misread. `rows` are those of
/// [`version`].
pub(super) fn check_version(rows: &[String]) -> Result<(), SqlError> {
    let version = rows.first().and_then(|row| row.parse().ok()).unwrap_or_default();
    refuse_newer(version)
}

/// Returns an error for tables of a later version than this program knows.
pub(crate) fn refuse_newer(version: i64) -> Result<(), SqlError> {
    if version <= SCHEMA_VERSION {
        return Ok(());
    }
    Err(SqlError(format!(
        "it has schema version {version}, and this program knows version {SCHEMA_VERSION} and earlier: use the version \
         that wrote it, or a later one"
    )))
}

/// Returns `true` if a batch failed because tables or columns are missing.
pub(super) fn is_missing(error: &SqlError) -> bool {
    ["no such table", "no such column", "has no column named"].iter().any(|text| error.0.contains(text))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use pool_shared::PoolId;

    use super::*;
    use crate::host::native::Sqlite;
    use crate::store::sql::{SqlDatabase, SqlStore};
    use crate::store::{ConfigStore, PoolReader};

    /// The tables before client keys had an expiry and rules, with a row in each.
    const EARLIER: &[&str] = &[
        "CREATE TABLE client_keys (hash TEXT PRIMARY KEY, id TEXT NOT NULL, pool_id TEXT NOT NULL,
            name TEXT NOT NULL, hint TEXT NOT NULL, created_at INTEGER NOT NULL) WITHOUT ROWID",
        "CREATE TABLE admin_tokens (hash TEXT PRIMARY KEY, id TEXT NOT NULL, name TEXT NOT NULL,
            created_at INTEGER NOT NULL, expires_at INTEGER NOT NULL) WITHOUT ROWID",
        "INSERT INTO client_keys VALUES ('hash', 'ck-1', 'pool-1', 'first', 'hint', 1)",
        "INSERT INTO admin_tokens VALUES ('hash', 'tok-1', 'laptop', 1, 4000000000000)",
    ];

    #[tokio::test]
    async fn a_database_of_an_earlier_version_is_brought_up_to_date_and_keeps_its_rows() {
        let sqlite = Sqlite::open(Path::new(":memory:")).unwrap();
        sqlite.batch(EARLIER.iter().map(|sql| Statement::new(sql, [])).collect()).await.unwrap();
        let store = SqlStore::new(sqlite);
        let client_keys = store.client_keys(&PoolId::new("pool-1")).await.unwrap();
        assert_eq!(client_keys.len(), 1);
        assert!(client_keys[0].client_key.rules.is_empty() && !client_keys[0].client_key.weak);
        let hash = serde_json::from_value(serde_json::json!("hash")).unwrap();
        let token = store.admin_token(&hash).await.unwrap().unwrap();
        assert_eq!((token.id.as_str(), token.scopes), ("tok-1", None));
        assert_eq!(store.hash_keys().await, Ok(None));
    }

    /// Returns a store whose tables have a version, used for the first time.
    async fn store_of_version(version: i64) -> SqlStore<Sqlite> {
        let sqlite = Sqlite::open(Path::new(":memory:")).unwrap();
        sqlite.batch(migrations()).await.unwrap();
        let set = Statement::new("UPDATE schema_version SET version = ?1", [version.cast_unsigned().into()]);
        sqlite.batch(vec![set]).await.unwrap();
        SqlStore::new(sqlite)
    }

    #[tokio::test]
    async fn a_database_of_a_later_version_is_neither_read_nor_written() {
        let (pool, at) = (PoolId::new("pool-1"), jiff::Timestamp::UNIX_EPOCH);
        let hash: crate::crypto::TokenHash = serde_json::from_value(serde_json::json!("hash")).unwrap();
        for version in [2, 999, i64::MAX] {
            let store = store_of_version(version).await;
            let refused = [
                store.load_by_client_key(&hash).await.map(drop),
                store.refresh(&pool, 0).await.map(drop),
                store.hash_keys().await.map(drop),
                store.pools().await.map(drop),
                store.admin_token(&hash).await.map(drop),
                store.use_admin_token(&pool_shared::AdminTokenId::new("tok-1"), at).await,
                store.ping().await,
            ];
            for result in refused {
                let error = result.unwrap_err().to_string();
                assert!(error.contains(&format!("schema version {version}")), "{error}");
                assert!(error.contains("this program knows version 1"), "{error}");
            }
            let uses = Statement::new("SELECT json_quote(count(*)) AS row FROM admin_token_uses", []);
            assert_eq!(store.database.batch(vec![uses]).await.unwrap()[0].rows, ["0"], "nothing was written");
        }
        let store = store_of_version(SCHEMA_VERSION).await;
        assert_eq!((store.ping().await, store.hash_keys().await), (Ok(()), Ok(None)));
    }

    #[tokio::test]
    async fn a_database_that_a_later_version_changes_meanwhile_is_told_by_health() {
        let store = store_of_version(SCHEMA_VERSION).await;
        assert_eq!(store.hash_keys().await, Ok(None));
        let set = Statement::new("UPDATE schema_version SET version = 2", []);
        store.database.batch(vec![set]).await.unwrap();
        // Instances of both versions run during a deployment.
        assert_eq!(store.hash_keys().await, Ok(None));
        assert!(store.ping().await.unwrap_err().to_string().contains("schema version 2"));
    }
}
