//! Copy of one config store to another, in bounded steps.
//!
//! A [`struct@Copy`] holds the progress; a client passes it from step to step. A step compares a
//! range of rows of both [`Replica`]s in key order, writes what differs, and removes what the
//! source does not have. Steps are idempotent, and an interrupted copy is simply restarted. Rows
//! are copied as stored: nothing is decrypted or hashed again.
//!
//! # Invariants
//! - The source is never written to.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt::Write;
use std::future::Future;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::StoreError;
use crate::platform::{MaybeSend, MaybeSync};

/// Rows per step: at the maximum size of a row (about 2 kB) a step stays within the 2 MB that D1
/// accepts as one value.
const ROWS: u32 = 500;

/// The tables to copy, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Table {
    /// Pools.
    Pools,
    /// The hashes of client keys, with their names.
    ClientKeys,
    /// Gemini keys, encrypted.
    Keys,
    /// The hashes of admin tokens.
    AdminTokens,
    /// The HMAC keys, encrypted.
    Secrets,
}

impl Table {
    /// All tables.
    pub const ALL: [Self; 5] = [Self::Pools, Self::ClientKeys, Self::Keys, Self::AdminTokens, Self::Secrets];

    /// Returns how many of a row's first values are its key.
    const fn key_length(self) -> usize {
        match self {
            Self::Keys => 2,
            Self::Pools | Self::ClientKeys | Self::AdminTokens | Self::Secrets => 1,
        }
    }

    fn next(self) -> Option<Self> {
        Self::ALL.into_iter().find(|table| *table > self)
    }
}

/// A row's primary key. It sorts by bytes, as the database does.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RowKey(pub Vec<String>);

/// A row: the JSON array of its values, the key first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Row(String);

impl From<String> for Row {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl Row {
    /// Returns the JSON array.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn key(&self, table: Table) -> Result<RowKey, StoreError> {
        let corrupt = |error: serde_json::Error| StoreError::Corrupt(error.to_string());
        let values: Vec<&RawValue> = serde_json::from_str(&self.0).map_err(corrupt)?;
        let key = values.into_iter().take(table.key_length());
        key.map(|value| serde_json::from_str(value.get()).map_err(corrupt))
            .collect::<Result<_, _>>()
            .map(RowKey)
    }
}

/// A request to one side of a copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CopyRequest {
    /// Returns the rows after `after`, in key order, at most `limit`.
    Read {
        /// The table.
        table: Table,
        /// The key before the first row; none for the start.
        after: Option<RowKey>,
        /// Maximum number of rows.
        limit: u32,
    },
    /// Inserts or replaces rows, and removes others. All or nothing.
    Write {
        /// The table.
        table: Table,
        /// The rows.
        rows: Vec<Row>,
        /// The keys of the rows to remove.
        remove: Vec<RowKey>,
    },
    /// Publishes the written rows to the data plane, as far as one request may.
    Publish {
        /// Includes rows that may be published already.
        everything: bool,
    },
}

/// A reply of one side of a copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CopyReply {
    /// The rows.
    Rows(Vec<Row>),
    /// The rows were written.
    Written,
    /// The number of pending documents.
    Unpublished(u64),
}

/// A store as one side of a copy.
pub trait Replica: MaybeSend + MaybeSync {
    /// Returns its kind: `d1`, `kv`, `sqlite`.
    fn kind(&self) -> &'static str;

    /// Carries out a request.
    fn ask(&self, request: &CopyRequest) -> impl Future<Output = Result<CopyReply, StoreError>> + MaybeSend;
}

/// The replica of a deployment with one store: it does not exist.
pub type NoReplica = Infallible;

impl Replica for NoReplica {
    fn kind(&self) -> &'static str {
        match *self {}
    }

    async fn ask(&self, _: &CopyRequest) -> Result<CopyReply, StoreError> {
        match *self {}
    }
}

/// The phase of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Making the target's rows equal to the source's.
    Copy,
    /// Publishing the target's rows to its data plane.
    Publish,
    /// Comparing both sides.
    Verify,
    /// Finished.
    Done,
}

/// The progress of a copy: plain data, which a client passes from step to step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copy {
    /// Its phase.
    pub phase: Phase,
    /// Compare only, and write nothing.
    pub dry_run: bool,
    /// The results by table.
    pub tables: BTreeMap<Table, TableCopy>,
    /// The number of pending documents.
    pub unpublished: u64,
    /// Running digest of the source's rows.
    pub source_digest: String,
    /// Running digest of the target's rows.
    pub target_digest: String,
    table: Table,
    after: Option<RowKey>,
}

/// The results of one table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableCopy {
    /// Rows of the source, as far as compared.
    pub source_rows: u64,
    /// Rows of the target, as far as compared.
    pub target_rows: u64,
    /// Rows that were written, or would be.
    pub written: u64,
    /// Rows that were removed, or would be.
    pub removed: u64,
}

impl TableCopy {
    // Earlier counts come from the client, so they may have any value.
    fn add(&mut self, count: fn(&mut Self) -> &mut u64, rows: usize) {
        let count = count(self);
        *count = count.saturating_add(rows as u64);
    }
}

impl Copy {
    /// Starts a copy.
    #[must_use]
    pub fn new(dry_run: bool) -> Self {
        Self {
            phase: if dry_run { Phase::Verify } else { Phase::Copy },
            dry_run,
            tables: Table::ALL.into_iter().map(|table| (table, TableCopy::default())).collect(),
            unpublished: 0,
            source_digest: String::new(),
            target_digest: String::new(),
            table: Table::Pools,
            after: None,
        }
    }

    /// Returns `true` if both sides are equal; known once the copy is finished.
    #[must_use]
    pub fn is_verified(&self) -> bool {
        let same_counts = self.tables.values().all(|table| table.source_rows == table.target_rows);
        self.phase == Phase::Done && same_counts && self.source_digest == self.target_digest
    }

    /// Runs one step.
    pub async fn step(&mut self, source: &impl Replica, target: &impl Replica) -> Result<(), StoreError> {
        match self.phase {
            Phase::Copy => {
                let range = RowRange::read(self.table, self.after.as_ref(), source, target).await?;
                self.write(&range, target).await?;
                self.go_on(range.end, Phase::Publish);
            }
            Phase::Publish => {
                let everything = self.unpublished == 0;
                self.unpublished = match target.ask(&CopyRequest::Publish { everything }).await? {
                    CopyReply::Unpublished(left) => left,
                    _ => return Err(unexpected()),
                };
                if self.unpublished == 0 {
                    self.phase = Phase::Verify;
                }
            }
            Phase::Verify => {
                let range = RowRange::read(self.table, self.after.as_ref(), source, target).await?;
                self.compare(&range);
                self.go_on(range.end, Phase::Done);
            }
            Phase::Done => {}
        }
        Ok(())
    }

    async fn write(&mut self, range: &RowRange, target: &impl Replica) -> Result<(), StoreError> {
        let (rows, remove) = (range.to_write(), range.to_remove());
        if rows.is_empty() && remove.is_empty() {
            return Ok(());
        }
        let counts = self.tables.entry(self.table).or_default();
        counts.add(|counts| &mut counts.written, rows.len());
        counts.add(|counts| &mut counts.removed, remove.len());
        target.ask(&CopyRequest::Write { table: self.table, rows, remove }).await.map(drop)
    }

    fn compare(&mut self, range: &RowRange) {
        let counts = self.tables.entry(self.table).or_default();
        counts.add(|counts| &mut counts.source_rows, range.source.len());
        counts.add(|counts| &mut counts.target_rows, range.target.len());
        if self.dry_run {
            counts.add(|counts| &mut counts.written, range.to_write().len());
            counts.add(|counts| &mut counts.removed, range.to_remove().len());
        }
        self.source_digest = digest(&self.source_digest, self.table, range.source.values());
        self.target_digest = digest(&self.target_digest, self.table, range.target.values());
    }

    /// Continues after a range: in the same table, in the next one, or in the next phase.
    fn go_on(&mut self, end: Option<RowKey>, next_phase: Phase) {
        self.after = end;
        if self.after.is_some() {
            return;
        }
        self.table = self.table.next().unwrap_or_else(|| {
            self.phase = next_phase;
            Table::Pools
        });
    }
}

/// The rows of both sides between two keys.
struct RowRange {
    source: BTreeMap<RowKey, Row>,
    target: BTreeMap<RowKey, Row>,
    /// The last key of the range; none at the end of both sides.
    end: Option<RowKey>,
}

impl RowRange {
    async fn read(
        table: Table,
        after: Option<&RowKey>,
        source: &impl Replica,
        target: &impl Replica,
    ) -> Result<Self, StoreError> {
        let mut source = read_rows(table, after, source).await?;
        let mut target = read_rows(table, after, target).await?;
        // A page that reached its limit says nothing about later rows.
        let cut = [&source, &target].into_iter().filter(|rows| rows.len() >= ROWS as usize);
        let end = cut.filter_map(|rows| rows.last_key_value()).map(|(key, _)| key.clone()).min();
        if let Some(end) = &end {
            source.retain(|key, _| key <= end);
            target.retain(|key, _| key <= end);
        }
        Ok(Self { source, target, end })
    }

    fn to_write(&self) -> Vec<Row> {
        let differs = |(key, row): &(&RowKey, &Row)| self.target.get(*key) != Some(*row);
        self.source.iter().filter(differs).map(|(_, row)| row.clone()).collect()
    }

    fn to_remove(&self) -> Vec<RowKey> {
        self.target.keys().filter(|key| !self.source.contains_key(*key)).cloned().collect()
    }
}

async fn read_rows(
    table: Table,
    after: Option<&RowKey>,
    replica: &impl Replica,
) -> Result<BTreeMap<RowKey, Row>, StoreError> {
    let request = CopyRequest::Read { table, after: after.cloned(), limit: ROWS };
    let CopyReply::Rows(rows) = replica.ask(&request).await? else { return Err(unexpected()) };
    rows.into_iter().map(|row| Ok((row.key(table)?, row))).collect()
}

/// Returns the digest of rows after those of a previous digest.
fn digest<'a>(before: &str, table: Table, rows: impl Iterator<Item = &'a Row>) -> String {
    rows.fold(before.to_owned(), |before, row| {
        let mut hash = Sha256::new();
        hash.update(format!("{before}\n{table:?}\n"));
        hash.update(row.as_str());
        hash.finalize().iter().fold(String::with_capacity(64), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    })
}

fn unexpected() -> StoreError {
    StoreError::Unavailable("unexpected reply".to_owned())
}
