//! Simulated ledger with an unreliable connection.

use std::collections::HashMap;

use jiff::Timestamp;
use pool_shared::{AttemptOutcome, KeyId, PoolId};
use pool_worker::ledger::{AppliedSequences, AttemptCount, CounterTable, Report, ReportBuffer, WriterId};

use crate::scene::Seeded;

/// Counts of the ledger.
#[derive(Default)]
pub struct Ledger {
    applied: HashMap<WriterId, AppliedSequences>,
    pub attempts: HashMap<KeyId, u64>,
}

impl Ledger {
    fn apply(&mut self, report: &Report) {
        if self.applied.entry(report.writer.clone()).or_default().admit(report.sequence) {
            for (id, tally) in report.counts.values().flat_map(|cells: &CounterTable| &cells.attempts) {
                if let Some(key) = &id.key {
                    *self.attempts.entry(key.clone()).or_default() += tally.attempts;
                }
            }
        }
    }
}

/// Connection of one isolate.
pub struct Reporter(ReportBuffer);

impl Reporter {
    pub fn new(number: usize) -> Self {
        Self(ReportBuffer::new(WriterId::from_random(number as u64)))
    }

    pub fn count(&mut self, key: &KeyId, model: &str, success: bool, began: Timestamp) {
        self.0.add(&AttemptCount {
            pool: PoolId::new("pool-1"),
            key: key.clone(),
            model: model.to_owned(),
            outcome: if success { AttemptOutcome::Ok } else { AttemptOutcome::Network },
            began,
            took: None,
            prompt_tokens: 0,
            completion_tokens: 0,
            cached_tokens: 0,
            thought_tokens: 0,
        });
    }

    /// Sends the pending reports. Reports get lost, arrive twice, or arrive without
    /// acknowledgement.
    pub fn send(&mut self, ledger: &mut Ledger, now: Timestamp, random: &Seeded) {
        let mut tries = 0;
        while let Some(report) = self.0.take(now) {
            let lost = random.chance(0.1);
            if !lost {
                ledger.apply(&report);
                if random.chance(0.05) {
                    ledger.apply(&report);
                }
            }
            if lost || random.chance(0.05) {
                self.0.failed(report.sequence, now);
                tries += 1;
                if tries == 3 {
                    return;
                }
            } else {
                self.0.confirm(report.sequence, 0);
            }
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn given_up(&self) -> u64 {
        self.0.given_up().attempts
    }
}
