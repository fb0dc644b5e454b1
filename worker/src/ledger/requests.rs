//! Counts of clients' requests, and what they are counted under.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use pool_shared::{ClientKeyId, PoolId, RequestOutcome};
use serde::{Deserialize, Serialize};

use super::Histogram;
use super::counter_table::{CounterKey, StoredCounter, Sum};

/// Requests that took more attempts are counted with those that took so many: choices and continuations can take dozens.
const MAX_ATTEMPTS: u32 = 9;

/// One client's request that came to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The pool.
    pub pool: PoolId,
    /// The client key; none where its id is not known.
    pub client_key: Option<ClientKeyId>,
    /// The Gemini model that it asks for; empty where it asks for none.
    pub model: String,
    /// How it ended for the client.
    pub outcome: RequestOutcome,
    /// When it came.
    pub began: Timestamp,
    /// From then to the end of its response; counted when it was ok.
    pub took: Duration,
    /// How many attempts it took.
    pub attempts: u32,
}

impl Request {
    pub(super) fn counter_row(&self) -> RequestCounterRow {
        let took = Some(self.took).filter(|_| self.outcome == RequestOutcome::Ok);
        RequestCounterRow::one(self.attempts, took)
    }
}

/// What requests of one pool are counted under.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestCounterId {
    /// The beginning of the minute (or hour, or day) in which the request came, in seconds since 1970.
    pub start: i64,
    /// The client key; none where its id is not known, and for what is kept of all client keys together.
    pub client_key: Option<ClientKeyId>,
    /// The Gemini model.
    pub model: String,
    /// How the request ended.
    pub outcome: RequestOutcome,
}

/// Counts of like requests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "RequestCounterFields", into = "RequestCounterFields")]
pub struct RequestCounterRow {
    /// By how many attempts they took.
    pub by_attempts: BTreeMap<u32, u64>,
    /// Time from the request to the end of its response.
    pub total: Histogram,
}

/// A [`RequestCounterRow`] as it is written: its fields in order.
type RequestCounterFields = (BTreeMap<u32, u64>, Histogram);

impl From<RequestCounterFields> for RequestCounterRow {
    fn from((by_attempts, total): RequestCounterFields) -> Self {
        Self { by_attempts, total }
    }
}

impl From<RequestCounterRow> for RequestCounterFields {
    fn from(row: RequestCounterRow) -> Self {
        (row.by_attempts, row.total)
    }
}

impl RequestCounterRow {
    /// One request.
    #[must_use]
    pub fn one(attempts: u32, took: Option<Duration>) -> Self {
        let mut total = Histogram::default();
        if let Some(took) = took {
            total.record(took.as_millis().try_into().unwrap_or(u64::MAX));
        }
        Self { by_attempts: BTreeMap::from([(attempts.min(MAX_ATTEMPTS), 1)]), total }
    }

    /// How many they are.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.by_attempts.values().sum()
    }
}

impl Sum for RequestCounterRow {
    fn add(&mut self, other: &Self) {
        for (attempts, requests) in &other.by_attempts {
            *self.by_attempts.entry(*attempts).or_default() += requests;
        }
        self.total.add(&other.total);
    }
}

/// A cell as it is written.
type StoredRow = (i64, Option<ClientKeyId>, String, RequestOutcome, RequestCounterRow);

impl CounterKey for RequestCounterId {
    type Row = RequestCounterRow;

    fn start(&self) -> i64 {
        self.start
    }

    fn owner(&self) -> Option<&str> {
        self.client_key.as_ref().map(ClientKeyId::as_str)
    }

    /// As with keys, durations are kept for all client keys together.
    fn coarse(&self, start: i64, row: &RequestCounterRow) -> impl Iterator<Item = (Self, RequestCounterRow)> {
        let durations = (row.total.count() > 0).then(|| {
            let durations = RequestCounterRow { total: row.total.clone(), ..RequestCounterRow::default() };
            (Self { start, client_key: None, ..self.clone() }, durations)
        });
        let counts = RequestCounterRow { total: Histogram::default(), ..row.clone() };
        durations.into_iter().chain([(Self { start, ..self.clone() }, counts)])
    }
}

impl StoredCounter for RequestCounterId {
    type Owned = StoredRow;

    fn row<'a>(&'a self, row: &'a RequestCounterRow) -> impl Serialize + 'a {
        (self.start, &self.client_key, &self.model, self.outcome, row)
    }

    fn from_row((start, client_key, model, outcome, row): StoredRow) -> (Self, RequestCounterRow) {
        (Self { start, client_key, model, outcome }, row)
    }
}
