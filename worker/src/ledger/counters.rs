//! Counters of attempts, and their dimensions.

use jiff::Timestamp;
use pool_shared::{AttemptOutcome, Counters, KeyId};
use serde::{Deserialize, Serialize};

use super::Histogram;
use super::counter_table::{CounterKey, StoredCounter, Sum};

/// The dimensions of an attempt's counter.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CounterId {
    /// The start of the minute (or hour, or day) in which the attempt began, in seconds since 1970.
    pub start: i64,
    /// The Gemini key; none for counters of all keys together.
    pub key: Option<KeyId>,
    /// The Gemini model.
    pub model: String,
    /// The outcome of the attempt.
    pub outcome: AttemptOutcome,
}

/// Counts of attempts with the same dimensions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "CounterFields", into = "CounterFields")]
pub struct CounterRow {
    /// Attempts.
    pub attempts: u64,
    /// Tokens of prompts.
    pub prompt_tokens: u64,
    /// Tokens of responses, thinking included.
    pub completion_tokens: u64,
    /// Prompt tokens that were in Gemini's cache.
    pub cached_tokens: u64,
    /// Response tokens that were thinking.
    pub thought_tokens: u64,
    /// When the latest attempt began, in milliseconds since 1970.
    pub last_ms: i64,
    /// Time to first byte.
    pub first_byte: Histogram,
    /// Total time.
    pub total: Histogram,
}

/// The stored form of a [`CounterRow`]: its fields in order.
type CounterFields = (u64, u64, u64, u64, u64, i64, Histogram, Histogram);

impl From<CounterFields> for CounterRow {
    fn from(row: CounterFields) -> Self {
        let (
            attempts,
            prompt_tokens,
            completion_tokens,
            cached_tokens,
            thought_tokens,
            last_ms,
            first,
            total,
        ) = row;
        Self {
            attempts,
            prompt_tokens,
            completion_tokens,
            cached_tokens,
            thought_tokens,
            last_ms,
            first_byte: first,
            total,
        }
    }
}

impl From<CounterRow> for CounterFields {
    fn from(row: CounterRow) -> Self {
        (
            row.attempts,
            row.prompt_tokens,
            row.completion_tokens,
            row.cached_tokens,
            row.thought_tokens,
            row.last_ms,
            row.first_byte,
            row.total,
        )
    }
}

impl Sum for CounterRow {
    fn add(&mut self, other: &Self) {
        self.attempts += other.attempts;
        self.prompt_tokens += other.prompt_tokens;
        self.completion_tokens += other.completion_tokens;
        self.cached_tokens += other.cached_tokens;
        self.thought_tokens += other.thought_tokens;
        self.last_ms = self.last_ms.max(other.last_ms);
        self.first_byte.add(&other.first_byte);
        self.total.add(&other.total);
    }
}

impl CounterRow {
    /// Returns when the latest attempt began; `None` if none was counted.
    #[must_use]
    pub fn last_used(&self) -> Option<Timestamp> {
        (self.last_ms > 0).then(|| Timestamp::from_millisecond(self.last_ms).ok()).flatten()
    }

    /// Returns the counts in the form of the API.
    #[must_use]
    pub fn counters(&self, outcome: AttemptOutcome) -> Counters {
        let (successes, failures) = match outcome {
            AttemptOutcome::Ok => (self.attempts, 0),
            // A client that disconnects is neither a success nor a failure.
            AttemptOutcome::ClientLeft => (0, 0),
            _ => (0, self.attempts),
        };
        Counters {
            attempts: self.attempts,
            successes,
            failures,
            prompt_tokens: self.prompt_tokens,
            completion_tokens: self.completion_tokens,
            cached_tokens: self.cached_tokens,
            thought_tokens: self.thought_tokens,
        }
    }
}

/// The stored form of a counter.
type StoredRow = (i64, Option<KeyId>, String, AttemptOutcome, CounterRow);

impl CounterKey for CounterId {
    type Row = CounterRow;

    fn start(&self) -> i64 {
        self.start
    }

    fn owner(&self) -> Option<&str> {
        self.key.as_ref().map(KeyId::as_str)
    }

    /// Keeps durations only for all keys together: for thousands of keys they would take most of
    /// the space.
    fn coarse(&self, start: i64, row: &CounterRow) -> impl Iterator<Item = (Self, CounterRow)> {
        let durations = (row.first_byte.count() + row.total.count() > 0).then(|| {
            let durations = CounterRow {
                first_byte: row.first_byte.clone(),
                total: row.total.clone(),
                ..CounterRow::default()
            };
            (Self { start, key: None, ..self.clone() }, durations)
        });
        let counts = CounterRow { first_byte: <_>::default(), total: <_>::default(), ..row.clone() };
        durations.into_iter().chain([(Self { start, ..self.clone() }, counts)])
    }
}

impl StoredCounter for CounterId {
    type Owned = StoredRow;

    fn row<'a>(&'a self, row: &'a CounterRow) -> impl Serialize + 'a {
        (self.start, &self.key, &self.model, self.outcome, row)
    }

    fn from_row((start, key, model, outcome, row): StoredRow) -> (Self, CounterRow) {
        (Self { start, key, model, outcome }, row)
    }
}
