//! Counts that wait in memory for their report.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use pool_shared::Counters;

use super::{Account, Report, ReportEntry, WriterId};

/// How long a report is sent again before its counts are given up: a Worker may go on for 30 s after
/// its request has ended, and the last try needs some of them.
const GIVE_UP_AFTER: Duration = Duration::from_secs(25);

/// How long whoever took a report has to tell what became of it. After that somebody else may take
/// it: the runtime may have ended the one who had it.
const LEASE: Duration = Duration::from_secs(5);

/// The counts that the ledger has not confirmed yet. Plain data: a host takes reports out and sends.
#[derive(Debug)]
pub struct ReportBuffer {
    writer: WriterId,
    last_sequence: u64,
    counts: BTreeMap<Account, Counters>,
    lost: u64,
    given_up: u64,
    unconfirmed: Vec<Unconfirmed>,
}

/// A report that may or may not have been applied: it goes out again as it was.
#[derive(Debug)]
struct Unconfirmed {
    report: Report,
    first_taken: Timestamp,
    leased_until: Timestamp,
}

impl ReportBuffer {
    /// An empty buffer.
    #[must_use]
    pub const fn new(writer: WriterId) -> Self {
        Self {
            writer,
            last_sequence: 0,
            counts: BTreeMap::new(),
            lost: 0,
            given_up: 0,
            unconfirmed: Vec::new(),
        }
    }

    /// Notes an attempt.
    pub fn add(&mut self, account: Account, counters: &Counters) {
        self.counts.entry(account).or_default().add(counters);
    }

    /// Whether everything was counted and confirmed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty() && self.unconfirmed.is_empty() && self.lost == 0
    }

    /// Attempts given up since the start.
    #[must_use]
    pub const fn given_up(&self) -> u64 {
        self.given_up
    }

    /// What is to be sent now: a report that failed before, unchanged, else the counts as a new one.
    /// Whoever takes a report tells [`Self::confirm`] or [`Self::failed`] what became of it.
    pub fn take(&mut self, now: Timestamp) -> Option<Report> {
        self.give_up(now);
        if let Some(waiting) = self.unconfirmed.iter_mut().find(|waiting| waiting.leased_until <= now) {
            waiting.leased_until = now + LEASE;
            return Some(waiting.report.clone());
        }
        if self.counts.is_empty() && self.lost == 0 {
            return None;
        }
        self.last_sequence += 1;
        let entries = std::mem::take(&mut self.counts)
            .into_iter()
            .map(|(account, counters)| ReportEntry { account, counters })
            .collect();
        let lost = std::mem::take(&mut self.lost);
        let report = Report { writer: self.writer.clone(), sequence: self.last_sequence, entries, lost };
        self.unconfirmed.push(Unconfirmed {
            report: report.clone(),
            first_taken: now,
            leased_until: now + LEASE,
        });
        Some(report)
    }

    /// The ledger has the report.
    pub fn confirm(&mut self, sequence: u64) {
        self.unconfirmed.retain(|waiting| waiting.report.sequence != sequence);
    }

    /// The ledger may not have the report: it can be taken again at once.
    pub fn failed(&mut self, sequence: u64) {
        for waiting in &mut self.unconfirmed {
            if waiting.report.sequence == sequence {
                waiting.leased_until = Timestamp::MIN;
            }
        }
    }

    /// Counts the attempts of reports that are too old as lost. Some of them may have been applied all
    /// the same, so the number is an upper bound.
    fn give_up(&mut self, now: Timestamp) {
        let given_up = &mut self.given_up;
        let lost = &mut self.lost;
        self.unconfirmed.retain(|waiting| {
            let keep = now.duration_since(waiting.first_taken).unsigned_abs() < GIVE_UP_AFTER
                || waiting.leased_until > now;
            if !keep {
                let attempts: u64 = waiting.report.entries.iter().map(|entry| entry.counters.requests).sum();
                *lost += attempts + waiting.report.lost;
                *given_up += attempts;
            }
            keep
        });
    }
}

#[cfg(test)]
mod tests {
    use pool_shared::{KeyId, PoolId};

    use super::*;

    fn account(key: &str) -> Account {
        Account { pool: PoolId::new("pool-1"), key: KeyId::new(key), model: "m".to_owned() }
    }

    fn buffer_with(keys: &[&str]) -> ReportBuffer {
        let mut buffer = ReportBuffer::new(WriterId::from_random(1));
        for key in keys {
            buffer.add(account(key), &Counters { requests: 1, successes: 1, ..Counters::default() });
        }
        buffer
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    #[test]
    fn attempts_of_one_account_travel_as_one_entry() {
        let mut buffer = buffer_with(&["key-1", "key-2", "key-1"]);
        let report = buffer.take(at(0)).unwrap();
        let counted: Vec<_> = report.entries.iter().map(|entry| entry.counters.requests).collect();
        assert_eq!((report.sequence, counted), (1, vec![2, 1]));
        buffer.confirm(1);
        assert!(buffer.is_empty());
    }

    #[test]
    fn a_failed_report_goes_out_again_unchanged_and_before_newer_counts() {
        let mut buffer = buffer_with(&["key-1"]);
        let first = buffer.take(at(0)).unwrap();
        buffer.add(account("key-2"), &Counters { requests: 1, ..Counters::default() });
        buffer.failed(1);
        assert_eq!(buffer.take(at(1)).as_ref(), Some(&first));
        assert_eq!(buffer.take(at(1)).unwrap().sequence, 2);
        assert_eq!(buffer.take(at(2)), None, "both are under way");
    }

    #[test]
    fn a_report_whose_sender_vanished_is_taken_again() {
        let mut buffer = buffer_with(&["key-1"]);
        let first = buffer.take(at(0)).unwrap();
        assert_eq!(buffer.take(at(4)), None);
        assert_eq!(buffer.take(at(5)), Some(first));
    }

    #[test]
    fn what_is_given_up_is_counted_and_told() {
        let mut buffer = buffer_with(&["key-1", "key-2"]);
        buffer.take(at(0)).unwrap();
        buffer.failed(1);
        let report = buffer.take(at(25)).unwrap();
        assert_eq!((report.sequence, report.lost, report.entries.len()), (2, 2, 0));
        assert_eq!(buffer.given_up(), 2);
    }
}
