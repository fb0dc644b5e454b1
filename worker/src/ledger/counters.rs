//! Counts of attempts, and what they are counted under.

use jiff::Timestamp;
use pool_shared::{AttemptOutcome, Counters, KeyId};
use serde::{Deserialize, Serialize};

use super::Histogram;
use super::counter_table::{CounterKey, StoredCounter, Sum};

/// What attempts of one pool are counted under.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CounterId {
    /// The beginning of the minute (or hour, or day) in which the attempt began, in seconds since 1970.
    pub start: i64,
    /// The Gemini key; none for what is known of all keys together.
    pub key: Option<KeyId>,
    /// The Gemini model.
    pub model: String,
    /// What became of the attempt.
    pub outcome: AttemptOutcome,
}

/// Counts of like attempts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "CounterFields", into = "CounterFields")]
pub struct CounterRow {
    /// Attempts.
    pub attempts: u64,
    /// Tokens of the prompts.
    pub prompt_tokens: u64,
    /// Tokens of the answers, thinking included.
    pub completion_tokens: u64,
    /// Those of the prompts' tokens that Gemini had in its cache.
    pub cached_tokens: u64,
    /// Those of the answers' tokens that were thinking.
    pub thought_tokens: u64,
    /// When the last of the attempts began, in milliseconds since 1970.
    pub last_ms: i64,
    /// Time to the first piece of the answer.
    pub first_byte: Histogram,
    /// Time to the end of the answer.
    pub total: Histogram,
}

/// A [`CounterRow`] as it is written: its fields in order.
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
    /// When the last attempt began; `None` when none was counted.
    #[must_use]
    pub fn last_used(&self) -> Option<Timestamp> {
        (self.last_ms > 0).then(|| Timestamp::from_millisecond(self.last_ms).ok()).flatten()
    }

    /// The counts as the API shows them.
    #[must_use]
    pub fn counters(&self, outcome: AttemptOutcome) -> Counters {
        let (successes, failures) = match outcome {
            AttemptOutcome::Ok => (self.attempts, 0),
            // Nothing and nobody failed.
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

/// A cell as it is written.
type StoredRow = (i64, Option<KeyId>, String, AttemptOutcome, CounterRow);

impl CounterKey for CounterId {
    type Row = CounterRow;

    fn start(&self) -> i64 {
        self.start
    }

    fn owner(&self) -> Option<&str> {
        self.key.as_ref().map(KeyId::as_str)
    }

    /// Durations are kept for all keys together: for thousands of keys they would take most of the room.
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
