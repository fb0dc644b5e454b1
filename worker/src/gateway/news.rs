//! What this isolate or process learnt of keys goes to the ledger, and what others learnt comes in.
//!
//! In: the facts that the runtimes have gathered, the records that the ledger hands on. Out: records
//! for the next report, facts absorbed. What must never happen here: waiting for anything, passing on
//! what others told.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use pool_shared::PoolId;
use serde::{Deserialize, Serialize};
use serde_json::value::to_raw_value;

use crate::ledger::{LearntRecord, Opaque};
use crate::pool::{Fact, Learnt, Subject};
use crate::service::{Service, lock};

/// A limit, and a key that nobody tries again by itself, are told to newcomers for so long.
const LASTING: Duration = Duration::from_hours(24 * 7);
/// That a client key was used is known for so long.
const USE_COUNTS_FOR: Duration = Duration::from_hours(24 * 30);
/// What was sent counts against the quotas of the minute.
const SPENT_COUNTS_FOR: Duration = Duration::from_mins(2);

/// The body of a [`LearntRecord`].
#[derive(Debug, Serialize, Deserialize)]
struct Told {
    pool: PoolId,
    learnt: Learnt,
}

/// Puts what was learnt here into the next report.
pub(crate) fn tell(service: &Service, now: Timestamp) {
    let learnt = lock(&service.runtimes).take_learnt(now);
    for (pool, facts) in learnt {
        for learnt in facts {
            if let Some(record) = record_of(pool.clone(), learnt, &service.new_serial()) {
                service.learn(&pool, record);
            }
        }
    }
}

/// An operator ended what was learnt of keys and projects: that holds here at once, and elsewhere with the news that
/// others are told next.
pub(crate) fn clear(service: &Service, pool: &PoolId, subjects: Vec<Subject>, now: Timestamp) {
    let cleared = |subject| Learnt { subject, model: None, at: now, fact: Fact::Cleared };
    let cleared: Vec<Learnt> = subjects.into_iter().map(cleared).collect();
    lock(&service.runtimes).of(pool, now).absorb(&cleared, now);
    for learnt in cleared {
        if let Some(record) = record_of(pool.clone(), learnt, &service.new_serial()) {
            service.learn(pool, record);
        }
    }
}

/// Takes in what others learnt.
pub(crate) fn hear(service: &Service, records: &[LearntRecord], now: Timestamp) {
    let mut by_pool: BTreeMap<PoolId, Vec<Learnt>> = BTreeMap::new();
    for (pool, learnt) in told(records) {
        by_pool.entry(pool).or_default().push(learnt);
    }
    let mut runtimes = lock(&service.runtimes);
    for (pool, learnt) in by_pool {
        runtimes.of(&pool, now).absorb(&learnt, now);
    }
}

/// What records tell. One that another version of the service wrote may not be readable: it is left out.
pub(crate) fn told(records: &[LearntRecord]) -> impl Iterator<Item = (PoolId, Learnt)> {
    records.iter().filter_map(|record| {
        let Told { pool, learnt } = serde_json::from_str(record.body.0.get()).ok()?;
        Some((pool, learnt))
    })
}

/// What the ids of all records about a pool begin with.
pub(crate) fn prefix_of(pool: &PoolId) -> String {
    format!("{pool}|")
}

fn record_of(pool: PoolId, learnt: Learnt, serial: &str) -> Option<LearntRecord> {
    let subject = match &learnt.subject {
        Subject::Key(id) => id.as_str(),
        Subject::Project(name) => name,
        Subject::Account(name) => &format!("account {name}"),
        Subject::Caller(id) => id.as_str(),
        Subject::ClientKey(tag) => tag.as_str(),
    };
    let (kind, until) = match &learnt.fact {
        Fact::Cooling { until, .. } => ("cooling".to_owned(), *until),
        Fact::Standing { .. } => ("standing".to_owned(), learnt.at + LASTING),
        Fact::Limit { quota, .. } => (format!("limit {quota:?}"), learnt.at + LASTING),
        // It outlives everything that it ends.
        Fact::Cleared => ("cleared".to_owned(), learnt.at + LASTING),
        Fact::BillingAccount { .. } => ("account".to_owned(), learnt.at + LASTING),
        Fact::Member { .. } => ("member".to_owned(), learnt.at + LASTING),
        Fact::Used => ("used".to_owned(), learnt.at + USE_COUNTS_FOR),
        // Each adds to the others, so none takes the place of another.
        Fact::Spent { .. } => (format!("spent {serial}"), learnt.at + SPENT_COUNTS_FOR),
    };
    let id = format!("{}{subject}|{}|{kind}", prefix_of(&pool), learnt.model.as_deref().unwrap_or_default());
    let body = to_raw_value(&Told { pool, learnt }).ok()?;
    Some(LearntRecord { id, until, body: Opaque(body) })
}
