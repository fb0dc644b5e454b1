//! Reports to the ledger, and the updates that it returns.

use std::collections::BTreeMap;

use jiff::Timestamp;
use pool_shared::{Event, PoolId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Counted, CounterTable};

/// A writer of reports: one isolate or process, from its start to its end.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WriterId(String);

impl WriterId {
    /// Builds a writer's id from 64 random bits.
    #[must_use]
    pub fn from_random(bits: u64) -> Self {
        Self(format!("{bits:016x}"))
    }

    /// Returns the id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The counts and observations of one writer since its last report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Its sender.
    pub writer: WriterId,
    /// 1, 2, 3, … per writer and shard. A number always has the same content.
    pub sequence: u64,
    /// The counts, by minute.
    pub counts: BTreeMap<PoolId, CounterTable>,
    /// Recent errors.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<Event>,
    /// Observations of keys.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub learnt: Vec<ObservationRecord>,
    /// Pools whose config this writer changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub moved: Vec<PoolId>,
    /// Attempts whose counts were given up since the last report.
    #[serde(default)]
    pub lost: u64,
    /// Requests whose counts were given up since the last report.
    #[serde(default)]
    pub lost_requests: u64,
    /// The sender's position in the updates: the last [`LedgerUpdates::cursor`] that it received, 0
    /// for none. It selects the reply, and is not part of the content.
    #[serde(default)]
    pub known: u64,
}

impl Report {
    /// Returns how much it counts.
    #[must_use]
    pub fn counted(&self) -> Counted {
        self.counts.values().map(CounterTable::counted).sum()
    }

    /// Returns how much it reports as lost.
    #[must_use]
    pub const fn lost(&self) -> Counted {
        Counted { attempts: self.lost, requests: self.lost_requests }
    }
}

/// An observation to share. The ledger stores it without reading it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservationRecord {
    /// Its subject. A later record replaces an earlier one of the same id.
    pub id: String,
    /// When it expires.
    pub until: Timestamp,
    /// The record.
    pub body: Opaque,
}

/// A JSON document that is forwarded unchanged.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Opaque(pub Box<RawValue>);

impl PartialEq for Opaque {
    fn eq(&self, other: &Self) -> bool {
        self.0.get() == other.0.get()
    }
}

impl Eq for Opaque {}

/// The reply to a report: what other writers reported since the sender's cursor.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerUpdates {
    /// Observations of others.
    pub learnt: Vec<ObservationRecord>,
    /// Pools whose config others changed.
    pub moved: Vec<PoolId>,
    /// The [`Report::known`] of the next report.
    pub cursor: u64,
}
