//! Counts added up for an answer. Summaries of several ledgers merge into one.

use std::collections::BTreeMap;

use jiff::Timestamp;
use pool_shared::{Activity, AttemptOutcome, Counters, KeyId, Latency, OutcomeStats, Rates};
use serde::{Deserialize, Serialize};

use super::{CellId, Tally};

/// Counts by outcome, and how much goes through now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    outcomes: BTreeMap<AttemptOutcome, Tally>,
    rates: Rates,
}

impl Summary {
    /// Adds counts.
    pub fn count(&mut self, outcome: AttemptOutcome, tally: &Tally) {
        self.outcomes.entry(outcome).or_default().add(tally);
    }

    /// Adds to what goes through now.
    pub fn rate(&mut self, rates: &Rates) {
        self.rates.add(rates);
    }

    /// Adds another summary to this one.
    pub fn merge(&mut self, other: &Self) {
        for (outcome, tally) in &other.outcomes {
            self.count(*outcome, tally);
        }
        self.rate(&other.rates);
    }

    /// All outcomes together.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let mut sum = Counters::default();
        for (outcome, tally) in &self.outcomes {
            sum.add(&tally.counters(*outcome));
        }
        sum
    }

    /// Outcome by outcome, the most frequent first.
    #[must_use]
    pub fn by_outcome(&self) -> Vec<OutcomeStats> {
        let counted = self.outcomes.iter().filter(|(_, tally)| tally.requests > 0);
        let mut rows: Vec<_> = counted
            .map(|(outcome, tally)| OutcomeStats { outcome: *outcome, counters: tally.counters(*outcome) })
            .collect();
        rows.sort_by_key(|row| std::cmp::Reverse(row.counters.requests));
        rows
    }

    /// What goes with the counters.
    #[must_use]
    pub fn activity(&self) -> Activity {
        let delivered = self.outcomes.get(&AttemptOutcome::Ok);
        Activity {
            outcomes: self
                .outcomes
                .iter()
                .filter(|(_, tally)| tally.requests > 0)
                .map(|(outcome, tally)| (*outcome, tally.requests))
                .collect(),
            latency: Latency {
                first_byte: delivered.and_then(|tally| tally.first_byte.quantiles()),
                total: delivered.and_then(|tally| tally.total.quantiles()),
            },
            rates: self.rates,
        }
    }

    /// When the last attempt began.
    #[must_use]
    pub fn last_used(&self) -> Option<Timestamp> {
        self.outcomes.values().filter_map(Tally::last_used).max()
    }
}

/// What one pool did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolActivity {
    /// All keys and models.
    pub total: Summary,
    /// By key.
    pub keys: BTreeMap<KeyId, Summary>,
    /// By model.
    pub models: BTreeMap<String, Summary>,
    /// By step, each by its beginning in seconds since 1970; empty where no window was asked for.
    pub series: BTreeMap<i64, Summary>,
}

impl PoolActivity {
    /// Adds a cell's counts.
    pub fn count(&mut self, id: &CellId, tally: &Tally) {
        self.for_each_part(id, |part| part.count(id.outcome, tally));
    }

    /// Adds a cell to what goes through now.
    pub fn rate(&mut self, id: &CellId, rates: &Rates) {
        self.for_each_part(id, |part| part.rate(rates));
    }

    /// Adds another ledger's part of the same pool's activity.
    pub fn merge(&mut self, other: &Self) {
        self.total.merge(&other.total);
        for (key, summary) in &other.keys {
            self.keys.entry(key.clone()).or_default().merge(summary);
        }
        for (model, summary) in &other.models {
            self.models.entry(model.clone()).or_default().merge(summary);
        }
        for (start, summary) in &other.series {
            self.series.entry(*start).or_default().merge(summary);
        }
    }

    fn for_each_part(&mut self, id: &CellId, add: impl Fn(&mut Summary)) {
        add(&mut self.total);
        add(self.models.entry(id.model.clone()).or_default());
        if let Some(key) = &id.key {
            add(self.keys.entry(key.clone()).or_default());
        }
    }
}
