//! Report buffer: counts, events and observations that the ledger has not acknowledged.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use pool_shared::{AttemptOutcome, Event, KeyId, PoolId};

use super::{
    Counted, CounterId, CounterRow, CounterTable, Level, ObservationRecord, Report, Request,
    RequestCounterId, WriterId,
};
use pool_engine::shifted;

/// How long a report is retried before its counts are given up: a Worker may run for 30 s after its
/// response, and the last attempt takes some of them.
const REPORT_TTL: Duration = Duration::from_secs(25);

/// How long a taken report stays with its sender. Afterwards another sender may take it: the
/// runtime may have ended the first one.
const LEASE: Duration = Duration::from_secs(5);

/// Backoff of a failed report: doubled with each failure, up to the maximum.
const MIN_BACKOFF: Duration = Duration::from_millis(500);
const MAX_BACKOFF: Duration = Duration::from_secs(4);

/// Maximum number of counters in a report: about 500 KB of the 2 MB that a row of the ledger may
/// have. The next report carries the rest.
const MAX_COUNTERS: usize = 4_000;
/// Maximum number of events in a report. They are diagnostics; the counters are exact without them.
const MAX_EVENTS: usize = 100;
/// Maximum length of an event's message, in characters.
const MAX_MESSAGE_CHARS: usize = 1_000;
/// Maximum number of observations in a report; the next one carries the rest.
const MAX_OBSERVATIONS: usize = 1_000;

/// A finished attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptCount {
    /// The pool.
    pub pool: PoolId,
    /// The Gemini key.
    pub key: KeyId,
    /// The Gemini model.
    pub model: String,
    /// Its outcome.
    pub outcome: AttemptOutcome,
    /// Its start.
    pub began: Timestamp,
    /// Time to first byte and total time; counted for successes.
    pub took: Option<(Duration, Duration)>,
    /// Tokens of the prompt.
    pub prompt_tokens: u64,
    /// Tokens of the response, thinking included.
    pub completion_tokens: u64,
    /// Tokens of the prompt that were in Gemini's cache.
    pub cached_tokens: u64,
    /// Tokens of the response that were thinking.
    pub thought_tokens: u64,
}

impl AttemptCount {
    fn counter_row(&self) -> CounterRow {
        let mut row = CounterRow {
            attempts: 1,
            prompt_tokens: self.prompt_tokens,
            completion_tokens: self.completion_tokens,
            cached_tokens: self.cached_tokens,
            thought_tokens: self.thought_tokens,
            last_ms: self.began.as_millisecond(),
            ..CounterRow::default()
        };
        if let (AttemptOutcome::Ok, Some((first_byte, total))) = (self.outcome, self.took) {
            row.first_byte.record(milliseconds(first_byte));
            row.total.record(milliseconds(total));
        }
        row
    }
}

/// Returns `true` if two events report the same text, unknown to the service, in one pool and on
/// one day.
pub(super) fn is_same_unknown_text(one: &Event, other: &Event) -> bool {
    let day = |event: &Event| Level::Day.bucket(event.at.as_second());
    one.unknown_text
        && other.unknown_text
        && (&one.pool, one.verdict, &one.message) == (&other.pool, other.verdict, &other.message)
        && day(one) == day(other)
}

fn milliseconds(duration: Duration) -> u64 {
    duration.as_millis().try_into().unwrap_or(u64::MAX)
}

/// Everything that the ledger has not acknowledged. Plain data: the reporter takes reports out and
/// sends them.
#[derive(Debug)]
pub struct ReportBuffer {
    writer: WriterId,
    last_sequence: u64,
    counts: BTreeMap<PoolId, CounterTable>,
    events: Vec<Event>,
    observations: BTreeMap<String, ObservationRecord>,
    moved: Vec<PoolId>,
    lost: Counted,
    given_up: Counted,
    unconfirmed: Vec<Unconfirmed>,
    known: u64,
}

/// A report that may or may not have been applied. It is sent again unchanged.
#[derive(Debug)]
struct Unconfirmed {
    report: Arc<Report>,
    first_taken: Timestamp,
    leased_until: Timestamp,
    backoff: Duration,
}

impl Unconfirmed {
    /// Returns `true` if the report may be taken. A lease longer than the maximum was set before
    /// the clock was set back.
    fn is_free(&self, now: Timestamp) -> bool {
        self.leased_until <= now || self.leased_until > now + LEASE.max(MAX_BACKOFF)
    }
}

impl ReportBuffer {
    /// Builds an empty buffer.
    #[must_use]
    pub const fn new(writer: WriterId) -> Self {
        Self {
            writer,
            last_sequence: 0,
            counts: BTreeMap::new(),
            events: Vec::new(),
            observations: BTreeMap::new(),
            moved: Vec::new(),
            lost: Counted { attempts: 0, requests: 0 },
            given_up: Counted { attempts: 0, requests: 0 },
            unconfirmed: Vec::new(),
            known: 0,
        }
    }

    /// Returns the writer of the reports.
    #[must_use]
    pub const fn writer(&self) -> &WriterId {
        &self.writer
    }

    /// Counts an attempt in the minute of its start.
    pub fn add(&mut self, attempt: &AttemptCount) {
        let id = CounterId {
            start: Level::Minute.bucket(attempt.began.as_second()),
            key: Some(attempt.key.clone()),
            model: attempt.model.clone(),
            outcome: attempt.outcome,
        };
        self.counts.entry(attempt.pool.clone()).or_default().attempts.add(id, &attempt.counter_row());
    }

    /// Counts a client's request in the minute of its arrival.
    pub fn add_request(&mut self, request: Request) {
        let row = request.counter_row();
        let id = RequestCounterId {
            start: Level::Minute.bucket(request.began.as_second()),
            client_key: request.client_key,
            model: request.model,
            outcome: request.outcome,
        };
        self.counts.entry(request.pool).or_default().requests.add(id, &row);
    }

    /// Adds an event. Equal events are merged.
    pub fn add_event(&mut self, mut event: Event) {
        if let Some((end, _)) = event.message.char_indices().nth(MAX_MESSAGE_CHARS) {
            event.message.truncate(end);
        }
        let room = self.events.len() < MAX_EVENTS;
        let like = self.events.iter_mut().rev().find(|other| {
            is_same_unknown_text(other, &event)
                || (&other.pool, &other.key, &other.model, other.verdict, &other.message)
                    == (&event.pool, &event.key, &event.model, event.verdict, &event.message)
        });
        match like {
            Some(like) => {
                like.at = like.at.max(event.at);
                like.count += event.count;
            }
            None if room => self.events.push(event),
            None => {}
        }
    }

    /// Adds an observation to share. A later record replaces an earlier one of the same id.
    pub fn add_observation(&mut self, record: ObservationRecord) {
        self.observations.insert(record.id.clone(), record);
    }

    /// Adds a pool whose config was changed.
    pub fn add_moved(&mut self, pool: PoolId) {
        if !self.moved.contains(&pool) {
            self.moved.push(pool);
        }
    }

    /// Returns `true` if everything was sent and acknowledged.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nothing_new() && self.unconfirmed.is_empty()
    }

    fn nothing_new(&self) -> bool {
        self.counts.is_empty()
            && self.events.is_empty()
            && self.observations.is_empty()
            && self.moved.is_empty()
            && self.lost.is_zero()
    }

    /// Adds attempts and requests of a previous process, of which only the numbers are known.
    pub fn add_lost(&mut self, lost: Counted) {
        self.lost += lost;
        self.given_up += lost;
    }

    /// Returns what was given up since the start, or lost by the previous process.
    #[must_use]
    pub const fn given_up(&self) -> Counted {
        self.given_up
    }

    /// Follows a change of the clock, so that reports keep their age and backoff.
    pub(crate) fn shift(&mut self, by: SignedDuration) {
        for waiting in &mut self.unconfirmed {
            waiting.first_taken = shifted(waiting.first_taken, by);
            waiting.leased_until = shifted(waiting.leased_until, by);
        }
    }

    /// Returns what the ledger has not acknowledged.
    #[must_use]
    pub fn waiting(&self) -> Counted {
        self.pending().map(|(_, counted)| counted).sum()
    }

    /// Returns the same by pool; a pool may occur several times.
    pub fn pending(&self) -> impl Iterator<Item = (&PoolId, Counted)> {
        let unconfirmed = self.unconfirmed.iter().flat_map(|waiting| &waiting.report.counts);
        unconfirmed.chain(&self.counts).map(|(pool, counters)| (pool, counters.counted()))
    }

    /// Takes the next report to send: one that failed, unchanged, or else a new one. The sender
    /// calls [`Self::confirm`] or [`Self::failed`] with its result.
    pub fn take(&mut self, now: Timestamp) -> Option<Arc<Report>> {
        self.give_up(now);
        let known = self.known;
        if let Some(waiting) = self.unconfirmed.iter_mut().find(|waiting| waiting.is_free(now)) {
            waiting.leased_until = now + LEASE;
            // A previous sender has dropped the report, or keeps its own copy.
            Arc::make_mut(&mut waiting.report).known = known;
            return Some(Arc::clone(&waiting.report));
        }
        (!self.nothing_new()).then(|| self.take_new(now))
    }

    /// As [`Self::take`], but always returns a report: an empty one fetches the updates of others.
    pub fn take_anyway(&mut self, now: Timestamp) -> Arc<Report> {
        self.take(now).unwrap_or_else(|| self.take_new(now))
    }

    fn take_new(&mut self, now: Timestamp) -> Arc<Report> {
        let known = self.known;
        self.last_sequence += 1;
        let lost = std::mem::take(&mut self.lost);
        let report = Arc::new(Report {
            writer: self.writer.clone(),
            sequence: self.last_sequence,
            counts: self.take_counts(),
            events: std::mem::take(&mut self.events),
            learnt: self.take_observations(),
            moved: std::mem::take(&mut self.moved),
            lost: lost.attempts,
            lost_requests: lost.requests,
            known,
        });
        self.unconfirmed.push(Unconfirmed {
            report: Arc::clone(&report),
            first_taken: now,
            leased_until: now + LEASE,
            backoff: MIN_BACKOFF,
        });
        report
    }

    fn take_counts(&mut self) -> BTreeMap<PoolId, CounterTable> {
        let mut room = MAX_COUNTERS;
        let mut taken = BTreeMap::new();
        for (pool, mut counters) in std::mem::take(&mut self.counts) {
            let rest = counters.split_off(room);
            room -= counters.len();
            if !rest.is_empty() {
                self.counts.insert(pool.clone(), rest);
            }
            if !counters.is_empty() {
                taken.insert(pool, counters);
            }
        }
        taken
    }

    fn take_observations(&mut self) -> Vec<ObservationRecord> {
        let rest = match self.observations.keys().nth(MAX_OBSERVATIONS).cloned() {
            Some(at) => self.observations.split_off(&at),
            None => BTreeMap::new(),
        };
        std::mem::replace(&mut self.observations, rest).into_values().collect()
    }

    /// Removes an acknowledged report, and notes the cursor of the ledger's updates. Returns what
    /// the report counted, or counted as lost; nothing if it was acknowledged before.
    pub fn confirm(&mut self, sequence: u64, cursor: u64) -> Counted {
        self.known = cursor;
        let settled = self.unconfirmed.extract_if(.., |waiting| waiting.report.sequence == sequence);
        settled.flat_map(|Unconfirmed { report, .. }| [report.counted(), report.lost()]).sum()
    }

    /// Releases a report that may not have been applied. Returns the backoff before it can be taken
    /// again.
    pub fn failed(&mut self, sequence: u64, now: Timestamp) -> Duration {
        let waiting = self.unconfirmed.iter_mut().find(|waiting| waiting.report.sequence == sequence);
        let Some(waiting) = waiting else { return MIN_BACKOFF };
        let backoff = waiting.backoff;
        waiting.leased_until = now + backoff;
        waiting.backoff = (backoff * 2).min(MAX_BACKOFF);
        backoff
    }

    /// Counts the content of expired reports as lost. Some of them may have been applied, so the
    /// numbers are upper bounds. Observations and changed pools are reported again; events are
    /// dropped.
    fn give_up(&mut self, now: Timestamp) {
        let too_old = |waiting: &mut Unconfirmed| {
            now.duration_since(waiting.first_taken).unsigned_abs() >= REPORT_TTL && waiting.is_free(now)
        };
        for Unconfirmed { report, .. } in self.unconfirmed.extract_if(.., too_old) {
            let report = Arc::unwrap_or_clone(report);
            let counted = report.counted();
            self.lost += counted;
            self.lost += report.lost();
            self.given_up += counted;
            for record in report.learnt.into_iter().filter(|record| record.until > now) {
                self.observations.entry(record.id.clone()).or_insert(record);
            }
            self.moved.extend(report.moved);
        }
    }
}

#[cfg(test)]
mod tests;
