//! Counts of attempts, and what they are counted under.
//!
//! Everything here adds up: two sets of [`Cells`] merge into one, whichever came first. Written as
//! short JSON lists, since a busy pool has thousands of them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use pool_shared::{AttemptOutcome, Counters, KeyId};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Histogram;

/// What attempts of one pool are counted under.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CellId {
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
#[serde(from = "TallyRow", into = "TallyRow")]
pub struct Tally {
    /// Attempts.
    pub requests: u64,
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

/// A [`Tally`] as it is written: its fields in order.
type TallyRow = (u64, u64, u64, u64, u64, i64, Histogram, Histogram);

impl From<TallyRow> for Tally {
    fn from(row: TallyRow) -> Self {
        let (
            requests,
            prompt_tokens,
            completion_tokens,
            cached_tokens,
            thought_tokens,
            last_ms,
            first,
            total,
        ) = row;
        Self {
            requests,
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

impl From<Tally> for TallyRow {
    fn from(tally: Tally) -> Self {
        (
            tally.requests,
            tally.prompt_tokens,
            tally.completion_tokens,
            tally.cached_tokens,
            tally.thought_tokens,
            tally.last_ms,
            tally.first_byte,
            tally.total,
        )
    }
}

impl Tally {
    /// Adds another tally to this one.
    pub fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.prompt_tokens += other.prompt_tokens;
        self.completion_tokens += other.completion_tokens;
        self.cached_tokens += other.cached_tokens;
        self.thought_tokens += other.thought_tokens;
        self.last_ms = self.last_ms.max(other.last_ms);
        self.first_byte.add(&other.first_byte);
        self.total.add(&other.total);
    }

    /// When the last attempt began; `None` when none was counted.
    #[must_use]
    pub fn last_used(&self) -> Option<Timestamp> {
        (self.last_ms > 0).then(|| Timestamp::from_millisecond(self.last_ms).ok()).flatten()
    }

    /// The counts as the API shows them.
    #[must_use]
    pub fn counters(&self, outcome: AttemptOutcome) -> Counters {
        let successes = if outcome == AttemptOutcome::Ok { self.requests } else { 0 };
        Counters {
            requests: self.requests,
            successes,
            failures: self.requests - successes,
            prompt_tokens: self.prompt_tokens,
            completion_tokens: self.completion_tokens,
            cached_tokens: self.cached_tokens,
            thought_tokens: self.thought_tokens,
        }
    }
}

/// Tallies of one pool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cells(BTreeMap<CellId, Tally>);

/// One of [`Cells`] as it is written.
type CellRow = (i64, Option<KeyId>, String, AttemptOutcome, Tally);

impl Cells {
    /// Adds to one cell.
    pub fn add(&mut self, id: CellId, tally: &Tally) {
        self.0.entry(id).or_default().add(tally);
    }

    /// Adds other cells to these.
    pub fn merge(&mut self, other: Self) {
        if self.0.is_empty() {
            *self = other;
            return;
        }
        for (id, tally) in other.0 {
            self.add(id, &tally);
        }
    }

    /// Adds other cells to these, and copies what is not among them yet.
    pub fn merge_copy(&mut self, other: &Self) {
        for (id, tally) in &other.0 {
            if let Some(held) = self.0.get_mut(id) {
                held.add(tally);
            } else {
                self.0.insert(id.clone(), tally.clone());
            }
        }
    }

    /// Takes all beyond the first `count` cells out.
    #[must_use]
    pub fn split_off(&mut self, count: usize) -> Self {
        match self.0.keys().nth(count).cloned() {
            Some(at) => Self(self.0.split_off(&at)),
            None => Self::default(),
        }
    }

    /// How many cells there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Every cell.
    pub fn iter(&self) -> impl Iterator<Item = (&CellId, &Tally)> {
        self.0.iter()
    }

    /// All attempts together.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.0.values().map(|tally| tally.requests).sum()
    }
}

impl IntoIterator for Cells {
    type Item = (CellId, Tally);
    type IntoIter = std::collections::btree_map::IntoIter<CellId, Tally>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl FromIterator<(CellId, Tally)> for Cells {
    fn from_iter<I: IntoIterator<Item = (CellId, Tally)>>(cells: I) -> Self {
        let mut all = Self::default();
        for (id, tally) in cells {
            all.add(id, &tally);
        }
        all
    }
}

impl Serialize for Cells {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer
            .collect_seq(self.0.iter().map(|(id, tally)| (id.start, &id.key, &id.model, id.outcome, tally)))
    }
}

impl<'de> Deserialize<'de> for Cells {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let rows = Vec::<CellRow>::deserialize(deserializer)?;
        let cell = |(start, key, model, outcome, tally)| (CellId { start, key, model, outcome }, tally);
        Ok(rows.into_iter().map(cell).collect())
    }
}
