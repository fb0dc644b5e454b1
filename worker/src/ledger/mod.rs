//! The ledger: what really happened, counted exactly.
//!
//! The gateway notes every attempt, and every client's request with how it ended for the client, in a [`ReportBuffer`] in
//! memory. The buffer is drained into a
//! [`Report`], a batch of counts with a writer's id and a sequence number, and sent to the ledger,
//! which applies each `(writer, sequence)` once however often it arrives, and answers with what others
//! have learnt. The ledger itself is [`database`], SQL over a synchronous trait: a SQLite Durable
//! Object on Workers (or several, [`Shards`]), a file natively.
//!
//! Nothing on a request's way to Gemini ever waits for the ledger.

mod buffer;
mod calendar;
mod counter_table;
mod counters;
pub mod database;
mod histogram;
mod in_flight;
mod report;
mod requests;
mod sequence;
mod shard;
mod summary;

use std::future::Future;
use std::sync::Arc;

use pool_shared::{Event, LedgerLoad, PoolId, StatsWindow};
use serde::{Deserialize, Serialize};

pub use buffer::{AttemptCount, ReportBuffer};
pub use calendar::Level;
pub use counter_table::{Counted, CounterKey, CounterMap, CounterTable, Sum};
pub use counters::{CounterId, CounterRow};
pub use histogram::Histogram;
pub use in_flight::InFlightCounter;
pub use report::{LedgerUpdates, ObservationRecord, Opaque, Report, WriterId};
pub use requests::{Request, RequestCounterId, RequestCounterRow};
pub use sequence::AppliedSequences;
pub use shard::{Shard, Shards};
pub use summary::{PoolActivity, RequestSummary, Summary};

use crate::platform::{MaybeSend, MaybeSync};

/// Under which name attempts on, and requests for, models are counted that Gemini does not have: clients can think up any
/// number of names, and each would take rows. No model can be called so.
pub const UNKNOWN_MODEL: &str = "(unknown)";

/// What the ledger is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LedgerRequest {
    /// Count this. Shared with the sender, who keeps it until it is confirmed: it may be large.
    Report(#[serde(with = "shared")] Arc<Report>),
    /// How much did each pool do?
    Pools,
    /// How much did each key and model of this pool do?
    Pool {
        /// The pool.
        pool: PoolId,
        /// When; absent for ever since.
        window: Option<StatsWindow>,
    },
    /// What went wrong?
    Events {
        /// In this pool; absent for all.
        pool: Option<PoolId>,
        /// Beyond this number; absent for the last ones.
        after: Option<u64>,
        /// So many at most.
        limit: usize,
    },
    /// Forget what was counted, and nothing else.
    Reset {
        /// Of this pool; absent for all, what was lost included.
        pool: Option<PoolId>,
    },
    /// What was learnt of keys?
    Learnt {
        /// With ids that begin so; empty for everything.
        prefix: String,
    },
    /// How much was written?
    Load,
}

/// What is shared here is written and read as if it were not.
mod shared {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<T: Serialize, S: Serializer>(
        value: &Arc<T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        value.as_ref().serialize(serializer)
    }

    pub(super) fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Arc<T>, D::Error> {
        T::deserialize(deserializer).map(Arc::new)
    }
}

/// What the ledger answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LedgerReply {
    /// The report is counted, now or earlier.
    Counted(LedgerUpdates),
    /// Every pool's counts, and the attempts that were lost.
    Pools {
        /// The counts.
        pools: Vec<(PoolId, Summary)>,
        /// What was given up before it could be reported.
        lost: Counted,
    },
    /// A pool's counts.
    Pool(PoolActivity),
    /// Events with their numbers, the oldest first.
    Events {
        /// The events.
        events: Vec<(u64, Event)>,
        /// What to ask for `after` these.
        last: u64,
    },
    /// What was learnt, by the records' ids.
    Learnt(Vec<ObservationRecord>),
    /// It is done.
    Done,
    /// What was written since the ledger was loaded.
    Load(LedgerLoad),
}

/// The ledger does not answer, or not sensibly.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the ledger does not answer: {0}")]
pub struct LedgerError(pub String);

impl LedgerError {
    /// It answered another question than it was asked.
    #[must_use]
    pub fn unexpected() -> Self {
        Self("it answered something else than was asked".to_owned())
    }
}

/// The ledger, near or far.
pub trait Ledger: MaybeSend + MaybeSync {
    /// What it is, for health: `durable object`, `sqlite`.
    fn kind(&self) -> &'static str;

    /// Asks one shard of the ledger. An error leaves open whether a report was counted: send it again
    /// unchanged.
    fn ask(
        &self,
        shard: Shard,
        request: LedgerRequest,
    ) -> impl Future<Output = Result<LedgerReply, LedgerError>> + MaybeSend;
}
