//! Shares observations of keys between instances: their encoding as ledger records, publishing and
//! applying them.
//!
//! # Invariants
//! - Nothing here waits.
//! - Observations of other instances are never published again.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use pool_shared::PoolId;
use serde::{Deserialize, Serialize};
use serde_json::value::to_raw_value;

use super::Reporter;
use crate::ledger::{ObservationRecord, Opaque};
use crate::platform::lock;
use pool_engine::{Observation, ObservationKind, Subject};

/// How long new instances are sent limits, and keys that are not rechecked.
const OBSERVATION_TTL: Duration = Duration::from_hours(24 * 7);
/// How long the use of a client key is kept.
const USE_TTL: Duration = Duration::from_hours(24 * 30);
/// How long sent tokens count against the quotas per minute.
const SPENT_TTL: Duration = Duration::from_mins(2);

/// The body of an [`ObservationRecord`].
#[derive(Debug, Serialize, Deserialize)]
struct Body {
    pool: PoolId,
    learnt: Observation,
}

impl Reporter {
    /// Adds what was observed here to the next reports.
    pub(super) fn publish(&self, now: Timestamp) {
        let learnt = lock(&self.pools.states).drain_observations(now);
        for (pool, facts) in learnt {
            for learnt in facts {
                self.publish_one(&pool, learnt);
            }
        }
    }

    /// Clears the observations of keys and projects, as requested by an operator: here immediately,
    /// and elsewhere with the next reports.
    pub(crate) fn clear(&self, pool: &PoolId, subjects: Vec<Subject>, now: Timestamp) {
        let cleared = |subject| Observation { subject, model: None, at: now, fact: ObservationKind::Cleared };
        let cleared: Vec<Observation> = subjects.into_iter().map(cleared).collect();
        lock(&self.pools.states).of(pool, now).merge(&cleared, now);
        for learnt in cleared {
            self.publish_one(pool, learnt);
        }
    }

    fn publish_one(&self, pool: &PoolId, learnt: Observation) {
        if let Some(record) = record_of(pool.clone(), learnt, &self.new_serial()) {
            self.learn(pool, record);
        }
    }

    /// Applies the observations of other instances.
    pub(crate) fn apply(&self, records: &[ObservationRecord], now: Timestamp) {
        let mut by_pool: BTreeMap<PoolId, Vec<Observation>> = BTreeMap::new();
        for (pool, learnt) in decode(records) {
            by_pool.entry(pool).or_default().push(learnt);
        }
        let mut states = lock(&self.pools.states);
        for (pool, learnt) in by_pool {
            states.of(&pool, now).merge(&learnt, now);
        }
    }
}

/// Decodes records. One that another version of the service wrote may not be readable; it is skipped.
pub(crate) fn decode(records: &[ObservationRecord]) -> impl Iterator<Item = (PoolId, Observation)> {
    records.iter().filter_map(|record| {
        let Body { pool, learnt } = serde_json::from_str(record.body.0.get()).ok()?;
        Some((pool, learnt))
    })
}

/// Returns the prefix of the ids of all records about a pool.
pub(crate) fn prefix_of(pool: &PoolId) -> String {
    format!("{pool}|")
}

fn record_of(pool: PoolId, learnt: Observation, serial: &str) -> Option<ObservationRecord> {
    let subject = match &learnt.subject {
        Subject::Key(id) => id.as_str(),
        Subject::Project(name) => name,
        Subject::Account(name) => &format!("account {name}"),
        Subject::Caller(id) => id.as_str(),
        Subject::ClientKey(tag) => tag.as_str(),
    };
    let (kind, until) = match &learnt.fact {
        ObservationKind::Cooling { until, .. } => ("cooling".to_owned(), *until),
        ObservationKind::Health { .. } => ("standing".to_owned(), learnt.at + OBSERVATION_TTL),
        ObservationKind::Limit { quota, .. } => (format!("limit {quota:?}"), learnt.at + OBSERVATION_TTL),
        // It outlives everything that it clears.
        ObservationKind::Cleared => ("cleared".to_owned(), learnt.at + OBSERVATION_TTL),
        ObservationKind::BillingAccount { .. } => ("account".to_owned(), learnt.at + OBSERVATION_TTL),
        ObservationKind::Member { .. } => ("member".to_owned(), learnt.at + OBSERVATION_TTL),
        ObservationKind::Used => ("used".to_owned(), learnt.at + USE_TTL),
        // Each adds to the others, so none replaces another.
        ObservationKind::Spent { .. } => (format!("spent {serial}"), learnt.at + SPENT_TTL),
    };
    let id = format!("{}{subject}|{}|{kind}", prefix_of(&pool), learnt.model.as_deref().unwrap_or_default());
    let body = to_raw_value(&Body { pool, learnt }).ok()?;
    Some(ObservationRecord { id, until, body: Opaque(body) })
}
