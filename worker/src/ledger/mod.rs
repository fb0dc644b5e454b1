//! The ledger: exact counts of attempts and requests, and observations shared between instances.
//!
//! The gateway adds every attempt and every client request to a [`ReportBuffer`] in memory. The
//! buffer is drained into a [`Report`]: a batch of counts with a writer id and a sequence number.
//! The ledger applies each `(writer, sequence)` exactly once, and replies with the observations of
//! other instances. [`database`] implements it as SQL over a synchronous trait: a SQLite Durable
//! Object on Workers (or several, [`Shards`]), a file natively.
//!
//! # Invariants
//! - No request waits for the ledger on its way to Gemini.

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

/// The name under which models are counted that Gemini does not have: clients can invent any number
/// of names, and each would take rows. No model can have this name.
pub const UNKNOWN_MODEL: &str = "(unknown)";

/// A request to the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LedgerRequest {
    /// Applies a report. Shared with the sender, which keeps it until it is acknowledged: it may be
    /// large.
    Report(#[serde(with = "shared")] Arc<Report>),
    /// Returns the counts of every pool.
    Pools,
    /// Returns the counts of a pool, by key and model.
    Pool {
        /// The pool.
        pool: PoolId,
        /// The time window; absent for all time.
        window: Option<StatsWindow>,
    },
    /// Returns events.
    Events {
        /// Of this pool; absent for all.
        pool: Option<PoolId>,
        /// After this number; absent for the latest ones.
        after: Option<u64>,
        /// Maximum number of events.
        limit: usize,
    },
    /// Resets counts, and nothing else.
    Reset {
        /// Of this pool; absent for all pools, with the lost counts.
        pool: Option<PoolId>,
    },
    /// Returns observations.
    Learnt {
        /// Prefix of their ids; empty for all.
        prefix: String,
    },
    /// Returns the number of rows written.
    Load,
}

/// Serialises an `Arc` like its content.
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

/// A reply of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LedgerReply {
    /// The report was applied, now or earlier.
    Counted(LedgerUpdates),
    /// The counts of every pool, and what was lost.
    Pools {
        /// The counts.
        pools: Vec<(PoolId, Summary)>,
        /// Counts that were given up before they could be reported.
        lost: Counted,
    },
    /// The counts of a pool.
    Pool(PoolActivity),
    /// Events with their numbers, oldest first.
    Events {
        /// The events.
        events: Vec<(u64, Event)>,
        /// The `after` of the next request.
        last: u64,
    },
    /// Observations, by their ids.
    Learnt(Vec<ObservationRecord>),
    /// The request was carried out.
    Done,
    /// The rows written since the ledger was loaded.
    Load(LedgerLoad),
}

/// The ledger failed, or sent an unexpected reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the ledger is unavailable: {0}")]
pub struct LedgerError(pub String);

impl LedgerError {
    /// Returns the error of an unexpected reply.
    #[must_use]
    pub fn unexpected() -> Self {
        Self("unexpected reply".to_owned())
    }
}

/// A connection to the ledger.
pub trait Ledger: MaybeSend + MaybeSync {
    /// Returns its kind for health: `durable object`, `sqlite`.
    fn kind(&self) -> &'static str;

    /// Sends a request to one shard. After an error a report may or may not have been applied:
    /// retry it unchanged.
    fn ask(
        &self,
        shard: Shard,
        request: LedgerRequest,
    ) -> impl Future<Output = Result<LedgerReply, LedgerError>> + MaybeSend;
}
