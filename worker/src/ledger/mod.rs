//! The ledger: what really happened, counted exactly.
//!
//! The gateway notes every attempt in a [`ReportBuffer`] in memory. The buffer is drained into a
//! [`Report`], a batch of counts with a writer's id and a sequence number, and sent to the ledger,
//! which applies each `(writer, sequence)` once however often it arrives. The ledger itself is
//! [`database`], SQL over a synchronous trait: a SQLite Durable Object on Workers, a file natively.
//!
//! Nothing on a request's way to Gemini ever waits for the ledger.

mod buffer;
pub mod database;
mod sequence;

use std::future::Future;

use pool_shared::{Counters, KeyId, PoolId};
use serde::{Deserialize, Serialize};

pub use buffer::ReportBuffer;
pub use sequence::AppliedSequences;

use crate::host::{MaybeSend, MaybeSync};

/// Who writes reports: one isolate or process, from its start to its end.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WriterId(String);

impl WriterId {
    /// A writer's id from 64 random bits.
    #[must_use]
    pub fn from_random(bits: u64) -> Self {
        Self(format!("{bits:016x}"))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What an attempt is counted under.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Account {
    /// The pool.
    pub pool: PoolId,
    /// The Gemini key.
    pub key: KeyId,
    /// The Gemini model.
    pub model: String,
}

/// Counts of attempts, sent together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Who sends it.
    pub writer: WriterId,
    /// 1, 2, 3, … a writer. The same number always carries the same content.
    pub sequence: u64,
    /// The counts.
    pub entries: Vec<ReportEntry>,
    /// Attempts whose counts were given up since the last report.
    pub lost: u64,
}

/// The counts of one account in a [`Report`], or all of them in an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportEntry {
    /// Where they belong.
    #[serde(flatten)]
    pub account: Account,
    /// The counts.
    #[serde(flatten)]
    pub counters: Counters,
}

/// What the ledger is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LedgerRequest {
    /// Count this.
    Report(Report),
    /// How much did each pool do?
    Pools,
    /// How much did each key and model of this pool do?
    Pool(PoolId),
}

/// What the ledger answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LedgerReply {
    /// The report is counted, now or earlier.
    Counted,
    /// Every pool's counts, and the attempts that were lost.
    Pools {
        /// The counts.
        pools: Vec<(PoolId, Counters)>,
        /// Attempts that were given up before they could be reported.
        lost: u64,
    },
    /// A pool's counts by key and model.
    Pool(Vec<ReportEntry>),
}

/// The ledger does not answer, or not sensibly.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the ledger does not answer: {0}")]
pub struct LedgerError(pub String);

/// The ledger, near or far.
pub trait Ledger: MaybeSend + MaybeSync {
    /// What it is, for health: `durable object`, `sqlite`.
    fn kind(&self) -> &'static str;

    /// Asks the ledger. An error leaves open whether a report was counted: send it again unchanged.
    fn ask(
        &self,
        request: LedgerRequest,
    ) -> impl Future<Output = Result<LedgerReply, LedgerError>> + MaybeSend;
}
