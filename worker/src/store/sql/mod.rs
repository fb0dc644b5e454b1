//! The config store over SQL: D1, SQLite, and the SQLite of a Durable Object.
//!
//! A database runs a batch of statements in order, in one transaction and one round trip.

mod admin;
mod admin_tokens;
mod audit;
mod client_keys;
mod config_store;
pub(super) mod copying;
mod keys;
mod logins;
pub(super) mod master;
mod rows;
pub(super) mod schema;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use schema::refuse_newer;
pub(super) mod snapshot;
pub(crate) use audit::settled;

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};

use pool_shared::{KeyId, PoolId};
use serde::de::DeserializeOwned;

use super::copy::{CopyReply, CopyRequest, NoReplica, Replica};
use super::{BatchOutcome, Change, PoolConfig, PoolReader, Refreshed, StoreError};
use crate::crypto::{Encrypted, TokenHash};
use crate::platform::{MaybeSend, MaybeSync};
use crate::sql::{Outcome, SqlError, SqlValue, Statement};

/// A database that runs batches.
pub trait SqlDatabase: MaybeSend + MaybeSync {
    /// Returns its kind: `d1`, `kv`, `sqlite`.
    fn kind(&self) -> &'static str;

    /// Runs the statements in order, all or none, in one round trip.
    fn batch(
        &self,
        statements: Vec<Statement>,
    ) -> impl Future<Output = Result<Vec<Outcome>, SqlError>> + MaybeSend;

    /// Publishes changed rows to the data plane, as far as one request may, or all rows if
    /// `everything`. Returns how many are pending. Most databases need no publishing.
    fn publish(&self, everything: bool) -> impl Future<Output = Result<u64, StoreError>> + MaybeSend {
        let _ = everything;
        std::future::ready(Ok(0))
    }

    /// Returns what the data plane does not see yet; `None` if it sees everything.
    fn lag(&self) -> impl Future<Output = Option<String>> + MaybeSend {
        std::future::ready(None)
    }

    /// Overwrites deleted and replaced data, as far as the database keeps it.
    fn forget_replaced(&self) -> impl Future<Output = Result<(), SqlError>> + MaybeSend {
        std::future::ready(Ok(()))
    }

    /// Returns the other bound store, if there is one.
    fn other(&self) -> Option<impl Replica> {
        None::<NoReplica>
    }
}

/// The config store over a [`SqlDatabase`].
pub struct SqlStore<D> {
    database: D,
    /// The version of the tables was checked.
    is_checked: AtomicBool,
}

impl<D: SqlDatabase> SqlStore<D> {
    /// Wraps a database. Missing tables are created when first used.
    pub const fn new(database: D) -> Self {
        Self { database, is_checked: AtomicBool::new(false) }
    }

    /// Runs a batch. The first batch also checks the version of the tables: in the same round trip,
    /// or before anything is written.
    async fn run(&self, mut statements: Vec<Statement>) -> Result<Vec<Outcome>, StoreError> {
        if self.is_checked.load(Ordering::Relaxed) {
            return self.run_unchecked(statements).await;
        }
        let reads = statements.iter().all(Statement::only_reads);
        let further = if reads { std::mem::take(&mut statements) } else { Vec::new() };
        let first = std::iter::once(schema::version()).chain(further).collect();
        let mut outcomes = self.run_unchecked(first).await?.into_iter();
        let version = outcomes.next().unwrap_or_default();
        schema::check_version(&version.rows).map_err(store_error)?;
        self.is_checked.store(true, Ordering::Relaxed);
        if reads { Ok(outcomes.collect()) } else { self.run_unchecked(statements).await }
    }

    /// Runs a batch. If tables or columns are missing, creates them and runs it again; a database
    /// that has them never pays for that.
    async fn run_unchecked(&self, statements: Vec<Statement>) -> Result<Vec<Outcome>, StoreError> {
        match self.database.batch(statements.clone()).await {
            Err(error) if schema::is_missing(&error) => {
                self.database.batch(schema::migrations()).await.map_err(store_error)?;
                for addition in schema::additions() {
                    // It fails if it exists.
                    let _ = self.database.batch(addition).await;
                }
                self.database.batch(statements).await.map_err(store_error)
            }
            other => other.map_err(store_error),
        }
    }

    /// Runs a changing statement with those that belong to it, and adds an audit entry. Returns how
    /// many rows the statement changed.
    async fn change(
        &self,
        statement: Statement,
        change: &Change,
        further: impl IntoIterator<Item = Statement> + MaybeSend,
    ) -> Result<u64, StoreError> {
        let mut statements = vec![statement];
        if !change.is_noted {
            statements.extend(audit::note(change, None)?);
        }
        statements.extend(further);
        Ok(self.run(statements).await?.first().map_or(0, |outcome| outcome.changes))
    }

    async fn change_keys(
        &self,
        pool: &PoolId,
        ids: &[KeyId],
        statement: Statement,
        change: &Change,
    ) -> Result<BatchOutcome, StoreError> {
        let mut statements = vec![keys::missing(pool, ids)?, statement];
        statements.extend(audit::note(change, None)?);
        statements.push(admin::touch_pool(pool, change.at));
        keys::read_batch(&self.run(statements).await?)
    }

    async fn run_one(&self, statement: Statement) -> Result<Outcome, StoreError> {
        Ok(self.run(vec![statement]).await?.pop().unwrap_or_default())
    }
}

pub(super) fn store_error(error: SqlError) -> StoreError {
    if error.0.contains("UNIQUE constraint failed: pools.name") {
        StoreError::NameTaken
    } else if error.0.contains("too many changes for the audit") {
        StoreError::TooManyChanges
    } else {
        StoreError::Unavailable(error.0)
    }
}

pub(super) fn read_rows<T: DeserializeOwned>(outcome: &Outcome) -> Result<Vec<T>, StoreError> {
    outcome.read().map_err(|error| StoreError::Corrupt(error.to_string()))
}

fn json_text(value: &impl serde::Serialize) -> Result<SqlValue, StoreError> {
    SqlValue::json(value).map_err(store_error)
}

impl<D: SqlDatabase> Replica for SqlStore<D> {
    fn kind(&self) -> &'static str {
        self.database.kind()
    }

    async fn ask(&self, request: &CopyRequest) -> Result<CopyReply, StoreError> {
        match request {
            CopyRequest::Read { table, after, limit } => {
                let rows = self.run_one(copying::read(*table, after.as_ref(), *limit)).await?.rows;
                Ok(CopyReply::Rows(rows.into_iter().map(Into::into).collect()))
            }
            CopyRequest::Write { table, rows, remove } => {
                self.run(copying::write(*table, rows, remove)?).await?;
                Ok(CopyReply::Written)
            }
            CopyRequest::Publish { everything } => {
                Ok(CopyReply::Unpublished(self.database.publish(*everything).await?))
            }
        }
    }
}

impl<D: SqlDatabase> PoolReader for SqlStore<D> {
    async fn load_by_client_key(&self, hash: &TokenHash) -> Result<Option<PoolConfig>, StoreError> {
        snapshot::read(&self.run(snapshot::by_client_key(hash)).await?)
    }

    async fn refresh(&self, pool: &PoolId, version: u64) -> Result<Refreshed, StoreError> {
        snapshot::read_refreshed(&self.run(snapshot::if_changed(pool, version)).await?)
    }

    async fn hash_keys(&self) -> Result<Option<Encrypted>, StoreError> {
        Ok(read_rows(&self.run_one(master::hash_keys()).await?)?.pop())
    }
}
