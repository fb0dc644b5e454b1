//! Publisher: writes committed changes from SQL to KV, and restores a lost database from KV.
//!
//! It runs only in one Durable Object. One task at a time publishes a name, always with the current
//! content of its rows. An outbox row is deleted only after KV acknowledges the write and the row
//! has not changed since, so a failed write is repeated.
//!
//! # Invariants
//! - KV loses only what was deleted in SQL.
//! - A new database is restored from KV before it serves requests.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use pool_shared::PoolId;
use serde_json::value::RawValue;

use super::outbox::{self, Note};
use super::{CLIENT_KEY_PREFIX, ClientKeyEntry, HASH_KEYS_NAME, Kv, KvRead, POOL_PREFIX, Part, document};
use crate::crypto::Encrypted;
use crate::platform::Clock;
use crate::platform::lock;
use crate::sql::{Outcome, Statement};
use crate::store::StoreError;
use crate::store::copy::Table;
use crate::store::sql::{SqlDatabase, copying, master, read_rows, schema, store_error};

/// Names published before the outbox is read again.
const ROUND: u32 = 20;
/// Backoff after a failed write: KV accepts one write per second and name.
const WRITE_BACKOFF: Duration = Duration::from_millis(1_100);
/// Polling interval while another task publishes.
const BUSY_INTERVAL: Duration = Duration::from_millis(20);
/// How long a task may publish before another one takes over: the runtime may have ended it.
const LEASE: Duration = Duration::from_secs(30);

/// Publishes the rows of a database on a KV namespace.
pub struct Publisher<D, K> {
    database: D,
    kv: K,
    /// The database has its tables and is restored.
    ready: AtomicBool,
    /// When the lease of the publishing task ends.
    turn: Mutex<Option<Timestamp>>,
    /// The error of the last failed write.
    trouble: Mutex<Option<String>>,
}

/// The content of a name (none if its rows are gone) with its sequence number; none if it is not
/// pending.
type Found = Option<(Option<String>, u64)>;

/// The lease to write to KV, released when dropped.
struct Turn<'a> {
    turn: &'a Mutex<Option<Timestamp>>,
    until: Timestamp,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut turn = lock(self.turn);
        if *turn == Some(self.until) {
            *turn = None;
        }
    }
}

impl<D: SqlDatabase, K: Kv> Publisher<D, K> {
    /// Builds a publisher, without reading or writing.
    pub const fn new(database: D, kv: K) -> Self {
        Self {
            database,
            kv,
            ready: AtomicBool::new(false),
            turn: Mutex::new(None),
            trouble: Mutex::new(None),
        }
    }

    /// Prepares the database: creates its tables, and restores a new one from KV. Nothing else may
    /// use the database until this has succeeded once.
    pub async fn prepare(&self, clock: &impl Clock) -> Result<(), StoreError> {
        while !self.ready.load(Ordering::SeqCst) {
            let Some(_turn) = self.take_turn(clock.now()) else {
                clock.sleep(BUSY_INTERVAL).await;
                continue;
            };
            self.run(outbox::set_up()).await?;
            for addition in schema::additions() {
                // It fails if it exists.
                let _ = self.database.batch(addition).await;
            }
            if self.one::<u8>(outbox::is_restored()).await? != Some(1) {
                self.restore().await?;
            }
            self.ready.store(true, Ordering::SeqCst);
        }
        Ok(())
    }

    /// Publishes pending names for at most `timeout`. The rest stays for the next call; the error
    /// says why.
    pub async fn publish(&self, clock: &impl Clock, timeout: Duration) -> Result<(), StoreError> {
        let give_up = clock.now() + timeout;
        loop {
            let turn = self.take_turn(clock.now());
            let pause = match &turn {
                None => BUSY_INTERVAL,
                Some(_) => match self.round().await? {
                    Ok(()) => Duration::ZERO,
                    Err(_) => WRITE_BACKOFF,
                },
            };
            drop(turn);
            if self.waiting().await? == 0 {
                return Ok(());
            }
            if clock.now() + pause >= give_up {
                return Err(StoreError::Lagging(self.lag().await?));
            }
            if !pause.is_zero() {
                clock.sleep(pause).await;
            }
        }
    }

    /// Adds every document and entry to the outbox.
    pub async fn note_everything(&self) -> Result<(), StoreError> {
        self.run(outbox::note_everything()).await.map(drop)
    }

    /// Counts the pending documents and entries.
    pub async fn waiting(&self) -> Result<u64, StoreError> {
        Ok(self.one(outbox::count()).await?.unwrap_or_default())
    }

    /// Returns what the data plane does not see yet; `None` if KV responds and nothing is pending.
    pub async fn trouble(&self) -> Option<String> {
        match self.waiting().await {
            Ok(0) => {
                self.kv.get("v1:health", None, Part::FirstLine).await.err().map(|error| error.to_string())
            }
            Ok(_) => self.lag().await.ok(),
            Err(error) => Some(error.to_string()),
        }
    }

    async fn lag(&self) -> Result<String, StoreError> {
        let waiting = self.waiting().await?;
        let why = lock(&self.trouble).clone().unwrap_or_else(|| "changed just now".to_owned());
        Ok(format!("{waiting} KV writes are pending: {why}"))
    }

    fn take_turn(&self, now: Timestamp) -> Option<Turn<'_>> {
        let mut turn = lock(&self.turn);
        if turn.is_some_and(|until| until > now) {
            return None;
        }
        let until = now + LEASE;
        *turn = Some(until);
        Some(Turn { turn: &self.turn, until })
    }

    /// Publishes some pending names. The inner error is KV's; the other names were tried
    /// nevertheless.
    async fn round(&self) -> Result<Result<(), StoreError>, StoreError> {
        let mut result = Ok(());
        let notes: Vec<Note> = read_rows(&self.first(vec![outbox::next(ROUND)]).await?)?;
        for note in notes {
            if let Err(error) = self.publish_name(&note).await {
                *lock(&self.trouble) = Some(format!("{}: {error}", note.name));
                self.run(vec![outbox::failed(&note.name)]).await?;
                result = Err(error);
            }
        }
        if result.is_ok() {
            *lock(&self.trouble) = None;
        }
        Ok(result)
    }

    async fn publish_name(&self, note: &Note) -> Result<(), StoreError> {
        let name = note.name.as_str();
        let found = if let Some(id) = name.strip_prefix(POOL_PREFIX) {
            self.document(name, &PoolId::new(id)).await?
        } else if let Some(hash) = name.strip_prefix(CLIENT_KEY_PREFIX) {
            self.entry(name, hash).await?
        } else if name == HASH_KEYS_NAME {
            self.hash_keys(name).await?
        } else {
            return Err(StoreError::Corrupt(format!("unknown name {name}")));
        };
        // Another task has published it.
        let Some((text, sequence)) = found else { return Ok(()) };
        match text {
            Some(text) => self.kv.put(name, &text, sequence).await?,
            None => self.kv.delete(name).await?,
        }
        self.run(vec![outbox::done(name, sequence)]).await.map(drop)
    }

    /// Returns a pool's current document with its sequence number.
    async fn document(&self, name: &str, pool: &PoolId) -> Result<Found, StoreError> {
        let mut statements = vec![outbox::sequence(name)];
        statements.extend(document::statements(pool));
        let outcomes = self.run(statements).await?;
        let [sequence, rows @ ..] = outcomes.as_slice() else { return Err(no_outcome()) };
        let Some(sequence) = read_rows(sequence)?.pop() else { return Ok(None) };
        Ok(Some((document::write(rows)?, sequence)))
    }

    async fn entry(&self, name: &str, hash: &str) -> Result<Found, StoreError> {
        let outcomes = self.run(vec![outbox::sequence(name), outbox::pool_of(hash)]).await?;
        let [sequence, pool] = outcomes.as_slice() else { return Err(no_outcome()) };
        let Some(since) = read_rows(sequence)?.pop() else { return Ok(None) };
        let entry = read_rows(pool)?.pop().map(|pool| ClientKeyEntry { pool, since });
        let text = entry.map(|entry| serde_json::to_string(&entry)).transpose();
        Ok(Some((text.map_err(|error| StoreError::Corrupt(error.to_string()))?, since)))
    }

    async fn hash_keys(&self, name: &str) -> Result<Found, StoreError> {
        let outcomes = self.run(vec![outbox::sequence(name), master::hash_keys()]).await?;
        let [sequence, encrypted] = outcomes.as_slice() else { return Err(no_outcome()) };
        let Some(sequence) = read_rows(sequence)?.pop() else { return Ok(None) };
        Ok(Some((read_rows(encrypted)?.pop(), sequence)))
    }

    /// Restores the database from every document on KV. Idempotent and resumable.
    async fn restore(&self) -> Result<(), StoreError> {
        let (names, secrets) = (self.list(POOL_PREFIX).await?, self.list(HASH_KEYS_NAME).await?);
        let greatest = names.iter().chain(&secrets).map(|(_, version)| *version).max();
        if let Some(greatest) = greatest {
            self.run(vec![outbox::jump(greatest)]).await?;
        }
        for (name, _) in names {
            self.restore_pool(&name).await?;
        }
        for (name, _) in secrets {
            let encrypted = Encrypted::from(self.shown(&name).await?);
            self.run(vec![master::put_hash_keys(None, &encrypted)]).await?;
        }
        self.run(vec![outbox::restored()]).await.map(drop)
    }

    /// Returns every name with a prefix.
    async fn list(&self, prefix: &str) -> Result<Vec<(String, u64)>, StoreError> {
        let mut names = Vec::new();
        let mut cursor = None;
        loop {
            let page = self.kv.list(prefix, cursor.as_deref()).await?;
            names.extend(page.names);
            cursor = page.cursor;
            if cursor.is_none() {
                return Ok(names);
            }
        }
    }

    /// Reads a listed name.
    async fn shown(&self, name: &str) -> Result<String, StoreError> {
        match self.kv.get(name, None, Part::Whole).await? {
            KvRead::Found { text, .. } => Ok(text),
            // It was just deleted, or is not visible yet: only time can tell.
            _ => Err(StoreError::Unavailable(format!("KV lists {name} but does not return it"))),
        }
    }

    async fn restore_pool(&self, name: &str) -> Result<(), StoreError> {
        let text = self.shown(name).await?;
        let unreadable = |error| StoreError::Corrupt(format!("{name}: {error}"));
        let mut rows = document::read_rows(&text).map_err(unreadable)?;
        let head = text.lines().next().unwrap_or_default();
        let pool = document::read_head(head).map_err(unreadable)?;
        // KV does not show a rename yet. A pool under a strange name is better than none.
        let renamed = match rows.get(&Table::Pools).map(Vec::as_slice) {
            Some([row]) if self.one::<u64>(outbox::namesakes(row.get())).await? != Some(0) => {
                Some(renamed(row, &format!("{} ({})", pool.name, pool.id))?)
            }
            _ => None,
        };
        if let Some(row) = &renamed {
            rows.insert(Table::Pools, vec![row.as_ref()]);
        }
        let mut statements = Vec::new();
        for (table, rows) in rows {
            statements.extend(copying::restore(table, &rows)?);
        }
        self.run(statements).await.map(drop)
    }

    async fn run(&self, statements: Vec<Statement>) -> Result<Vec<Outcome>, StoreError> {
        self.database.batch(statements).await.map_err(store_error)
    }

    async fn first(&self, statements: Vec<Statement>) -> Result<Outcome, StoreError> {
        self.run(statements).await?.into_iter().next().ok_or_else(no_outcome)
    }

    async fn one<T: serde::de::DeserializeOwned>(
        &self,
        statement: Statement,
    ) -> Result<Option<T>, StoreError> {
        Ok(read_rows(&self.first(vec![statement]).await?)?.pop())
    }
}

/// Returns a pool's row with another name, its second value.
fn renamed(row: &RawValue, name: &str) -> Result<Box<RawValue>, StoreError> {
    let corrupt = |error: serde_json::Error| StoreError::Corrupt(error.to_string());
    let mut values: Vec<serde_json::Value> = serde_json::from_str(row.get()).map_err(corrupt)?;
    if let Some(value) = values.get_mut(1) {
        *value = name.into();
    }
    // The comparison key of the name, which belongs to the other pool.
    if let Some(value) = values.get_mut(10) {
        *value = serde_json::Value::Null;
    }
    serde_json::value::to_raw_value(&values).map_err(corrupt)
}

fn no_outcome() -> StoreError {
    StoreError::Corrupt("a statement gave no outcome".to_owned())
}
