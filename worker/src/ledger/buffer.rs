//! Counts that wait in memory for their report.

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

/// How long a report is sent again before its counts are given up: a Worker may go on for 30 s after
/// its request has ended, and the last try needs some of them.
const REPORT_TTL: Duration = Duration::from_secs(25);

/// How long whoever took a report has to tell what became of it. After that somebody else may take
/// it: the runtime may have ended the one who had it.
const LEASE: Duration = Duration::from_secs(5);

/// How long a report rests after it failed once; twice as long after each further time, up to the
/// longest.
const MIN_BACKOFF: Duration = Duration::from_millis(500);
const MAX_BACKOFF: Duration = Duration::from_secs(4);

/// The most cells in a report: some 500 KB of the 2 MB that a row of the ledger may have. The rest
/// travels in the next one.
const MAX_COUNTERS: usize = 4_000;
/// The most events in a report. They are there to be looked at, not to be counted.
const MAX_EVENTS: usize = 100;
/// The longest message of an event, in characters.
const MAX_MESSAGE_CHARS: usize = 1_000;
/// The most of what was learnt in a report; the rest travels in the next one.
const MAX_OBSERVATIONS: usize = 1_000;

/// One attempt that came to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptCount {
    /// The pool.
    pub pool: PoolId,
    /// The Gemini key.
    pub key: KeyId,
    /// The Gemini model.
    pub model: String,
    /// What became of it.
    pub outcome: AttemptOutcome,
    /// When it began.
    pub began: Timestamp,
    /// How long it took to the first piece of the answer and to its end; counted when it was ok.
    pub took: Option<(Duration, Duration)>,
    /// Tokens of the prompt.
    pub prompt_tokens: u64,
    /// Tokens of the answer, thinking included.
    pub completion_tokens: u64,
    /// Tokens of the prompt that were in Gemini's cache.
    pub cached_tokens: u64,
    /// Tokens of the answer that were thinking.
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

/// Whether two events are about one text that the service does not know, in one pool and on one day: they are one.
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

/// What the ledger has not confirmed yet. Plain data: a host takes reports out and sends them.
#[derive(Debug)]
pub struct ReportBuffer {
    writer: WriterId,
    last_sequence: u64,
    counts: BTreeMap<PoolId, CounterTable>,
    events: Vec<Event>,
    learnt: BTreeMap<String, ObservationRecord>,
    moved: Vec<PoolId>,
    lost: Counted,
    given_up: Counted,
    unconfirmed: Vec<Unconfirmed>,
    known: u64,
}

/// A report that may or may not have been applied: it goes out again as it was.
#[derive(Debug)]
struct Unconfirmed {
    report: Arc<Report>,
    first_taken: Timestamp,
    leased_until: Timestamp,
    rest: Duration,
}

impl Unconfirmed {
    /// Whether it may be taken: a lease beyond the longest was given before the clock was set back.
    fn is_free(&self, now: Timestamp) -> bool {
        self.leased_until <= now || self.leased_until > now + LEASE.max(MAX_BACKOFF)
    }
}

impl ReportBuffer {
    /// An empty buffer.
    #[must_use]
    pub const fn new(writer: WriterId) -> Self {
        Self {
            writer,
            last_sequence: 0,
            counts: BTreeMap::new(),
            events: Vec::new(),
            learnt: BTreeMap::new(),
            moved: Vec::new(),
            lost: Counted { attempts: 0, requests: 0 },
            given_up: Counted { attempts: 0, requests: 0 },
            unconfirmed: Vec::new(),
            known: 0,
        }
    }

    /// Who writes.
    #[must_use]
    pub const fn writer(&self) -> &WriterId {
        &self.writer
    }

    /// Counts an attempt under the minute in which it began.
    pub fn add(&mut self, attempt: &AttemptCount) {
        let id = CounterId {
            start: Level::Minute.bucket(attempt.began.as_second()),
            key: Some(attempt.key.clone()),
            model: attempt.model.clone(),
            outcome: attempt.outcome,
        };
        self.counts.entry(attempt.pool.clone()).or_default().attempts.add(id, &attempt.counter_row());
    }

    /// Counts a client's request under the minute in which it came.
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

    /// Notes what went wrong. Like events become one.
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

    /// Notes what others are to know. Of two records of one id, the later one goes out.
    pub fn add_learnt(&mut self, record: ObservationRecord) {
        self.learnt.insert(record.id.clone(), record);
    }

    /// Notes that a pool's configuration was changed.
    pub fn add_moved(&mut self, pool: PoolId) {
        if !self.moved.contains(&pool) {
            self.moved.push(pool);
        }
    }

    /// Whether everything was told and confirmed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nothing_new() && self.unconfirmed.is_empty()
    }

    fn nothing_new(&self) -> bool {
        self.counts.is_empty()
            && self.events.is_empty()
            && self.learnt.is_empty()
            && self.moved.is_empty()
            && self.lost.is_zero()
    }

    /// Notes attempts and requests of a process before this one, of which nothing but their numbers is known.
    pub fn add_lost(&mut self, lost: Counted) {
        self.lost += lost;
        self.given_up += lost;
    }

    /// What was given up since the start, or lost by the process before.
    #[must_use]
    pub const fn given_up(&self) -> Counted {
        self.given_up
    }

    /// Moves with the clock: no report is given up before its time, or sent again later.
    pub(crate) fn shift(&mut self, by: SignedDuration) {
        for waiting in &mut self.unconfirmed {
            waiting.first_taken = shifted(waiting.first_taken, by);
            waiting.leased_until = shifted(waiting.leased_until, by);
        }
    }

    /// What the ledger has not confirmed.
    #[must_use]
    pub fn waiting(&self) -> Counted {
        self.pending().map(|(_, counted)| counted).sum()
    }

    /// The same, pool by pool; a pool may come several times.
    pub fn pending(&self) -> impl Iterator<Item = (&PoolId, Counted)> {
        let unconfirmed = self.unconfirmed.iter().flat_map(|waiting| &waiting.report.counts);
        unconfirmed.chain(&self.counts).map(|(pool, counters)| (pool, counters.counted()))
    }

    /// What is to be sent now: a report that failed before, unchanged, else what is new. Whoever takes
    /// a report tells [`Self::confirm`] or [`Self::failed`] what became of it.
    pub fn take(&mut self, now: Timestamp) -> Option<Arc<Report>> {
        self.give_up(now);
        let known = self.known;
        if let Some(waiting) = self.unconfirmed.iter_mut().find(|waiting| waiting.is_free(now)) {
            waiting.leased_until = now + LEASE;
            // Whoever was sent it before has let go of it, or else goes on with what it was given.
            Arc::make_mut(&mut waiting.report).known = known;
            return Some(Arc::clone(&waiting.report));
        }
        (!self.nothing_new()).then(|| self.take_new(now))
    }

    /// As [`Self::take`], but there is always something: a report that tells nothing asks for news.
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
            learnt: self.take_learnt(),
            moved: std::mem::take(&mut self.moved),
            lost: lost.attempts,
            lost_requests: lost.requests,
            known,
        });
        self.unconfirmed.push(Unconfirmed {
            report: Arc::clone(&report),
            first_taken: now,
            leased_until: now + LEASE,
            rest: MIN_BACKOFF,
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

    fn take_learnt(&mut self) -> Vec<ObservationRecord> {
        let rest = match self.learnt.keys().nth(MAX_OBSERVATIONS).cloned() {
            Some(at) => self.learnt.split_off(&at),
            None => BTreeMap::new(),
        };
        std::mem::replace(&mut self.learnt, rest).into_values().collect()
    }

    /// The ledger has the report, and told how far its news go. Gives what is settled by it: counted, or
    /// counted as lost; nothing where it was confirmed before.
    pub fn confirm(&mut self, sequence: u64, cursor: u64) -> Counted {
        self.known = cursor;
        let settled = self.unconfirmed.extract_if(.., |waiting| waiting.report.sequence == sequence);
        settled.flat_map(|Unconfirmed { report, .. }| [report.counted(), report.lost()]).sum()
    }

    /// The ledger may not have the report. It can be taken again after the time that this gives.
    pub fn failed(&mut self, sequence: u64, now: Timestamp) -> Duration {
        let waiting = self.unconfirmed.iter_mut().find(|waiting| waiting.report.sequence == sequence);
        let Some(waiting) = waiting else { return MIN_BACKOFF };
        let rest = waiting.rest;
        waiting.leased_until = now + rest;
        waiting.rest = (rest * 2).min(MAX_BACKOFF);
        rest
    }

    /// Counts what is in reports that are too old as lost. Some of them may have been applied all
    /// the same, so the numbers are upper bounds. What was learnt and which pools moved is told again;
    /// events are dropped.
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
                self.learnt.entry(record.id.clone()).or_insert(record);
            }
            self.moved.extend(report.moved);
        }
    }
}

#[cfg(test)]
mod tests;
