//! Summaries: counters added up for a response. Summaries of several shards can be merged.

use std::collections::BTreeMap;

use jiff::Timestamp;
use pool_shared::{
    Activity, AttemptOutcome, ClientKeyId, Counters, KeyId, Latency, OutcomeStats, Rates, RequestOutcome,
    RequestRates, RequestStats,
};
use serde::{Deserialize, Serialize};

use super::counter_table::Sum;
use super::{CounterId, CounterRow, CounterTable, RequestCounterId, RequestCounterRow};

/// Counts by outcome, and current rates.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    outcomes: BTreeMap<AttemptOutcome, CounterRow>,
    rates: Rates,
    requests: RequestSummary,
}

impl Summary {
    /// Adds counts.
    pub fn count(&mut self, outcome: AttemptOutcome, row: &CounterRow) {
        self.outcomes.entry(outcome).or_default().add(row);
    }

    /// Adds to the current rates.
    pub fn rate(&mut self, rates: &Rates) {
        self.rates.add(rates);
    }

    /// Adds another summary to this one.
    pub fn merge(&mut self, other: &Self) {
        for (outcome, row) in &other.outcomes {
            self.count(*outcome, row);
        }
        self.rate(&other.rates);
        self.requests.merge(&other.requests);
    }

    /// Returns the summary of client requests.
    pub const fn requests(&mut self) -> &mut RequestSummary {
        &mut self.requests
    }

    /// Returns the statistics of client requests.
    #[must_use]
    pub fn request_stats(&self) -> RequestStats {
        self.requests.stats()
    }

    /// Returns the counters of all outcomes together.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let mut sum = Counters::default();
        for (outcome, row) in &self.outcomes {
            sum.add(&row.counters(*outcome));
        }
        sum
    }

    /// Returns the counters by outcome, most frequent first.
    #[must_use]
    pub fn by_outcome(&self) -> Vec<OutcomeStats> {
        let counted = self.outcomes.iter().filter(|(_, row)| row.attempts > 0);
        let mut rows: Vec<_> = counted
            .map(|(outcome, row)| OutcomeStats { outcome: *outcome, counters: row.counters(*outcome) })
            .collect();
        rows.sort_by_key(|row| std::cmp::Reverse(row.counters.attempts));
        rows
    }

    /// Returns outcomes, latencies and rates.
    #[must_use]
    pub fn activity(&self) -> Activity {
        let delivered = self.outcomes.get(&AttemptOutcome::Ok);
        Activity {
            outcomes: self
                .outcomes
                .iter()
                .filter(|(_, row)| row.attempts > 0)
                .map(|(outcome, row)| (*outcome, row.attempts))
                .collect(),
            latency: Latency {
                first_byte: delivered.and_then(|row| row.first_byte.quantiles()),
                total: delivered.and_then(|row| row.total.quantiles()),
            },
            rates: self.rates,
        }
    }

    /// Returns when the latest attempt began.
    #[must_use]
    pub fn last_used(&self) -> Option<Timestamp> {
        self.outcomes.values().filter_map(CounterRow::last_used).max()
    }
}

/// Client requests by outcome, and their current rates.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestSummary {
    outcomes: BTreeMap<RequestOutcome, RequestCounterRow>,
    rates: RequestRates,
}

impl RequestSummary {
    /// Adds counts.
    pub fn count(&mut self, outcome: RequestOutcome, row: &RequestCounterRow) {
        self.outcomes.entry(outcome).or_default().add(row);
    }

    /// Adds to the current rates.
    pub fn rate(&mut self, rates: &RequestRates) {
        self.rates.add(rates);
    }

    /// Adds another summary to this one.
    pub fn merge(&mut self, other: &Self) {
        for (outcome, row) in &other.outcomes {
            self.count(*outcome, row);
        }
        self.rate(&other.rates);
    }

    /// Returns them in the form of the API.
    #[must_use]
    pub fn stats(&self) -> RequestStats {
        let mut all = RequestCounterRow::default();
        let mut stats = RequestStats { rates: self.rates, ..RequestStats::default() };
        for (outcome, row) in &self.outcomes {
            all.add(row);
            let requests = row.requests();
            if requests > 0 {
                stats.outcomes.insert(*outcome, requests);
            }
            stats.failed += if outcome.is_failure() { requests } else { 0 };
        }
        stats.total = all.requests();
        stats.succeeded = stats.outcomes.get(&RequestOutcome::Ok).copied().unwrap_or_default();
        // Only successes are timed.
        stats.latency = all.total.quantiles();
        stats.attempts = all.by_attempts;
        stats
    }
}

/// The activity of one pool.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolActivity {
    /// All keys and models.
    pub total: Summary,
    /// By key.
    pub keys: BTreeMap<KeyId, Summary>,
    /// By model.
    pub models: BTreeMap<String, Summary>,
    /// By client key.
    pub client_keys: BTreeMap<ClientKeyId, RequestSummary>,
    /// By step, under its start in seconds since 1970; empty without a window.
    pub series: BTreeMap<i64, Summary>,
}

impl PoolActivity {
    /// Adds counts, also to the series if there is one.
    pub fn count(&mut self, counters: &CounterTable, in_series: bool) {
        for (id, row) in &counters.attempts {
            self.for_each_part(id, |part| part.count(id.outcome, row));
            if in_series {
                self.series.entry(id.start).or_default().count(id.outcome, row);
            }
        }
        for (id, row) in &counters.requests {
            self.for_each_request_part(id, |part| part.count(id.outcome, row));
            if in_series {
                self.series.entry(id.start).or_default().requests().count(id.outcome, row);
            }
        }
    }

    /// Adds counts to the current rates.
    pub fn rate(
        &mut self,
        counters: &CounterTable,
        rates: impl Fn(&CounterRow) -> Rates,
        request_rates: impl Fn(&RequestCounterRow) -> RequestRates,
    ) {
        for (id, row) in &counters.attempts {
            self.for_each_part(id, |part| part.rate(&rates(row)));
        }
        for (id, row) in &counters.requests {
            self.for_each_request_part(id, |part| part.rate(&request_rates(row)));
        }
    }

    /// Merges the same pool's activity of another shard.
    pub fn merge(&mut self, other: &Self) {
        self.total.merge(&other.total);
        for (key, summary) in &other.keys {
            self.keys.entry(key.clone()).or_default().merge(summary);
        }
        for (model, summary) in &other.models {
            self.models.entry(model.clone()).or_default().merge(summary);
        }
        for (client_key, summary) in &other.client_keys {
            self.client_keys.entry(client_key.clone()).or_default().merge(summary);
        }
        for (start, summary) in &other.series {
            self.series.entry(*start).or_default().merge(summary);
        }
    }

    fn for_each_part(&mut self, id: &CounterId, add: impl Fn(&mut Summary)) {
        add(&mut self.total);
        add(self.models.entry(id.model.clone()).or_default());
        if let Some(key) = &id.key {
            add(self.keys.entry(key.clone()).or_default());
        }
    }

    fn for_each_request_part(&mut self, id: &RequestCounterId, add: impl Fn(&mut RequestSummary)) {
        add(self.total.requests());
        if !id.model.is_empty() {
            add(self.models.entry(id.model.clone()).or_default().requests());
        }
        if let Some(client_key) = &id.client_key {
            add(self.client_keys.entry(client_key.clone()).or_default());
        }
    }
}
