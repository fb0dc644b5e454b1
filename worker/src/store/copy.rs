//! Copying everything from one store to another, a bounded step at a time.
//!
//! What comes in are the two stores as [`Replica`]s and a [`struct@Copy`], which says how far an earlier step
//! came; out goes the same value, further on. A step compares a stretch of rows of both sides in the
//! order of their keys, writes what differs and removes what the source does not have, so that steps
//! may be repeated, and a copy that was broken off is simply begun again. The source is never written
//! to. Rows travel as they are stored: nothing is opened, and nothing is hashed anew.

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

/// Rows in a step: at the greatest length of a row (some 2 kB) a step stays within the 2 MB that D1
/// takes as one value.
const ROWS: u32 = 500;

/// What is copied, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Table {
    /// Pools.
    Pools,
    /// The hashes of client keys, with their names.
    ClientKeys,
    /// Gemini keys, sealed.
    Keys,
    /// The hashes of admin tokens.
    AdminTokens,
    /// The keys of the hashes, sealed.
    Secrets,
}

impl Table {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Pools, Self::ClientKeys, Self::Keys, Self::AdminTokens, Self::Secrets];

    /// How many of a row's first values are its key.
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

/// A row's primary key. It sorts as the database does: by bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RowKey(pub Vec<String>);

/// A row: the JSON array of its values, those of its key first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Row(String);

impl From<String> for Row {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl Row {
    /// The JSON array.
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

/// What a side of a copy is asked to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CopyRequest {
    /// The rows that follow `after`, in the order of their keys, at most `limit`.
    Read {
        /// Of this table.
        table: Table,
        /// From the first one where this is none.
        after: Option<RowKey>,
        /// At most so many.
        limit: u32,
    },
    /// Takes these rows in, in place of those of the same keys, and removes others. All or nothing.
    Write {
        /// Of this table.
        table: Table,
        /// The rows.
        rows: Vec<Row>,
        /// The keys of those to remove.
        remove: Vec<RowKey>,
    },
    /// Lets the data plane see what was written, as far as one request may.
    Publish {
        /// Also what it may have seen already.
        everything: bool,
    },
}

/// What a side of a copy answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CopyReply {
    /// The rows.
    Rows(Vec<Row>),
    /// They are in.
    Written,
    /// So much is still to be published.
    Unpublished(u64),
}

/// A store as one side of a copy.
pub trait Replica: MaybeSend + MaybeSync {
    /// What it is: `d1`, `kv`, `sqlite`.
    fn kind(&self) -> &'static str;

    /// Does what is asked.
    fn ask(&self, request: &CopyRequest) -> impl Future<Output = Result<CopyReply, StoreError>> + MaybeSend;
}

/// The side of a copy that a deployment with one store does not have.
pub type NoReplica = Infallible;

impl Replica for NoReplica {
    fn kind(&self) -> &'static str {
        match *self {}
    }

    async fn ask(&self, _: &CopyRequest) -> Result<CopyReply, StoreError> {
        match *self {}
    }
}

/// What a copy is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Making the target's rows those of the source.
    Copy,
    /// Letting the target's data plane see them.
    Publish,
    /// Reading both sides and comparing.
    Verify,
    /// Nothing is left to do.
    Done,
}

/// How far a copy has come: plain data, which a caller carries from step to step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copy {
    /// What it is at.
    pub phase: Phase,
    /// Only compare, and write nothing.
    pub dry_run: bool,
    /// What became of each table.
    pub tables: BTreeMap<Table, TableCopy>,
    /// How much waits to be published.
    pub unpublished: u64,
    /// A running digest over the source's rows.
    pub source_digest: String,
    /// The same over the target's.
    pub target_digest: String,
    table: Table,
    after: Option<RowKey>,
}

/// What became of one table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableCopy {
    /// Rows that the source has, as far as it was read for comparison.
    pub source_rows: u64,
    /// Rows that the target has.
    pub target_rows: u64,
    /// Rows that were added or changed, or would be.
    pub written: u64,
    /// Rows that the source does not have and that were removed, or would be.
    pub removed: u64,
}

impl TableCopy {
    // The counts so far come from outside: they may be anything.
    fn add(&mut self, count: fn(&mut Self) -> &mut u64, rows: usize) {
        let count = count(self);
        *count = count.saturating_add(rows as u64);
    }
}

impl Copy {
    /// A copy from its beginning.
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

    /// Whether both sides hold the same; known once the copy is done.
    #[must_use]
    pub fn is_verified(&self) -> bool {
        let same_counts = self.tables.values().all(|table| table.source_rows == table.target_rows);
        self.phase == Phase::Done && same_counts && self.source_digest == self.target_digest
    }

    /// Goes a step further.
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

    /// On to what follows a stretch: in the same table, in the next one, or in the next phase.
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
    /// The last key that it covers; none when it reaches the end on both sides.
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
        // A side that was cut off at its limit says nothing about what follows.
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

/// A digest over rows and the digest of those before them.
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
    StoreError::Unavailable("it answered something else than was asked".to_owned())
}
