//! What a gateway tells the ledger, and what it is told in return.

use std::collections::BTreeMap;

use jiff::Timestamp;
use pool_shared::{Event, PoolId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Counted, CounterTable};

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

/// What one writer counted and learnt since its last report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Who sends it.
    pub writer: WriterId,
    /// 1, 2, 3, … a writer and shard. The same number always carries the same content.
    pub sequence: u64,
    /// The counts, by minute.
    pub counts: BTreeMap<PoolId, CounterTable>,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<Event>,
    /// What was learnt of keys.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub learnt: Vec<ObservationRecord>,
    /// Pools whose configuration was changed by this writer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub moved: Vec<PoolId>,
    /// Attempts whose counts were given up since the last report.
    #[serde(default)]
    pub lost: u64,
    /// Requests whose counts were given up since the last report.
    #[serde(default)]
    pub lost_requests: u64,
    /// Up to where the sender knows what others learnt: the last [`News::cursor`] that it was given,
    /// 0 for nothing. It says what to answer; it is no part of the content.
    #[serde(default)]
    pub known: u64,
}

impl Report {
    /// How much it counts.
    #[must_use]
    pub fn counted(&self) -> Counted {
        self.counts.values().map(CounterTable::counted).sum()
    }

    /// How much it tells was lost.
    #[must_use]
    pub const fn lost(&self) -> Counted {
        Counted { attempts: self.lost, requests: self.lost_requests }
    }
}

/// Something learnt of a key that others are to know. The ledger keeps it and does not look inside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservationRecord {
    /// What it is about. A later record of the same id takes the place of an earlier one.
    pub id: String,
    /// When it is of no more use.
    pub until: Timestamp,
    /// The record.
    pub body: Opaque,
}

/// A JSON document that is passed on as it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Opaque(pub Box<RawValue>);

impl PartialEq for Opaque {
    fn eq(&self, other: &Self) -> bool {
        self.0.get() == other.0.get()
    }
}

impl Eq for Opaque {}

/// The answer to a report: what others have told since the sender was last told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerUpdates {
    /// What others learnt.
    pub learnt: Vec<ObservationRecord>,
    /// Pools whose configuration was changed by others.
    pub moved: Vec<PoolId>,
    /// What to send as [`Report::known`] next time.
    pub cursor: u64,
}
