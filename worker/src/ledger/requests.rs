//! Counters of client requests, and their dimensions.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use pool_shared::{ClientKeyId, PoolId, RequestOutcome};
use serde::{Deserialize, Serialize};

use super::Histogram;
use super::counter_table::{CounterKey, StoredCounter, Sum};

/// Requests with more attempts are counted under this number: choices and continuations can take
/// dozens.
const MAX_ATTEMPTS: u32 = 9;

/// A finished client request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The pool.
    pub pool: PoolId,
    /// The client key; none if its id is not known.
    pub client_key: Option<ClientKeyId>,
    /// The requested Gemini model; empty if there is none.
    pub model: String,
    /// Its outcome for the client.
    pub outcome: RequestOutcome,
    /// When it arrived.
    pub began: Timestamp,
    /// Time to the end of its response; counted for successes.
    pub took: Duration,
    /// The number of its attempts.
    pub attempts: u32,
}

impl Request {
    pub(super) fn counter_row(&self) -> RequestCounterRow {
        let took = Some(self.took).filter(|_| self.outcome == RequestOutcome::Ok);
        RequestCounterRow::one(self.attempts, took)
    }
}

/// The dimensions of a request's counter.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestCounterId {
    /// The start of the minute (or hour, or day) in which the request arrived, in seconds since
    /// 1970.
    pub start: i64,
    /// The client key; none if its id is not known, and for counters of all client keys together.
    pub client_key: Option<ClientKeyId>,
    /// The Gemini model.
    pub model: String,
    /// The outcome of the request.
    pub outcome: RequestOutcome,
}

/// Counts of requests with the same dimensions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "RequestCounterFields", into = "RequestCounterFields")]
pub struct RequestCounterRow {
    /// By number of attempts.
    pub by_attempts: BTreeMap<u32, u64>,
    /// Total time, to the end of the response.
    pub total: Histogram,
}

/// The stored form of a [`RequestCounterRow`]: its fields in order.
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
    /// Counts one request.
    #[must_use]
    pub fn one(attempts: u32, took: Option<Duration>) -> Self {
        let mut total = Histogram::default();
        if let Some(took) = took {
            total.record(took.as_millis().try_into().unwrap_or(u64::MAX));
        }
        Self { by_attempts: BTreeMap::from([(attempts.min(MAX_ATTEMPTS), 1)]), total }
    }

    /// Returns the number of requests.
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

/// The stored form of a counter.
type StoredRow = (i64, Option<ClientKeyId>, String, RequestOutcome, RequestCounterRow);

impl CounterKey for RequestCounterId {
    type Row = RequestCounterRow;

    fn start(&self) -> i64 {
        self.start
    }

    fn owner(&self) -> Option<&str> {
        self.client_key.as_ref().map(ClientKeyId::as_str)
    }

    /// Keeps durations only for all client keys together, as for keys.
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
