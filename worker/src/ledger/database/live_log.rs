//! In-memory state of the ledger: applied reports, observations, recent events, and the counts of
//! the log that are not rolled up yet.
//!
//! All of it can be read again from the database.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use jiff::Timestamp;
use pool_shared::{Event, PoolId};
use serde::{Deserialize, Serialize};

use super::super::{
    AppliedSequences, Counted, CounterTable, LedgerError, LedgerUpdates, ObservationRecord, Report, WriterId,
};
use super::{LedgerSql, unreadable};
use crate::ledger::buffer::is_same_unknown_text;
use crate::sql::Statement;

/// Maximum number of stored events.
const MAX_EVENTS: usize = 1_000;
/// How long a silent writer is kept. It gives up its reports after seconds.
const WRITER_TTL: Duration = Duration::from_hours(48);
/// Maximum number of writers, so that their row stays below the 2 MB that a row may have.
const MAX_WRITERS: usize = 10_000;
/// How long a change of a pool is reported. Snapshots are revalidated after 30 s at the latest.
const MOVE_TTL: Duration = Duration::from_mins(10);
/// Size in bytes at which the log is rolled up regardless of the cost.
const MAX_LOG_SIZE: usize = 4 * 1024 * 1024;
/// Maximum size of the stored observations in bytes, within the same 2 MB per row.
const MAX_OBSERVATIONS_SIZE: usize = 1_000_000;

/// Entry of the log: a report that was applied.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct LogEntry<R = Report> {
    /// When it arrived.
    pub at: Timestamp,
    /// The report.
    pub report: R,
}

/// The content of the row `state`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct State {
    /// The number of the last log entry.
    position: u64,
    /// The applied reports of each writer.
    writers: BTreeMap<WriterId, Writer>,
    /// Attempts that were given up.
    lost: u64,
    /// Requests that were given up.
    lost_requests: u64,
    /// Pools whose config was changed, with the log entry and the time.
    moved: BTreeMap<PoolId, Moved>,
    /// The number of the last event.
    last_event: u64,
}

impl State {
    /// Returns what was given up.
    pub(super) const fn lost(&self) -> Counted {
        Counted { attempts: self.lost, requests: self.lost_requests }
    }

    /// Resets what was given up.
    pub(super) const fn forget_lost(&mut self) {
        (self.lost, self.lost_requests) = (0, 0);
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Writer {
    applied: AppliedSequences,
    seen: Timestamp,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Moved {
    position: u64,
    writer: WriterId,
    at: Timestamp,
}

/// An observation, and the writer that reported it.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Known {
    position: u64,
    writer: WriterId,
    record: ObservationRecord,
}

impl Known {
    fn size(&self) -> usize {
        // The id, the body, and about 100 bytes around them.
        self.record.id.len() + self.record.body.0.get().len() + 100
    }
}

fn by_id(learnt: Vec<Known>) -> BTreeMap<String, Known> {
    learnt.into_iter().map(|known| (known.record.id.clone(), known)).collect()
}

/// The ledger's state in memory.
#[derive(Debug)]
pub(super) struct LiveLog {
    pub folds: u64,
    pub state: State,
    /// By id.
    observations: BTreeMap<String, Known>,
    pub observations_changed: bool,
    events: VecDeque<(u64, Event)>,
    pub events_changed: bool,
    /// The log's counts by minute.
    pub counters: BTreeMap<PoolId, CounterTable>,
    /// The rows of the log: number, entries, bytes.
    chunks: Vec<(u64, u64, usize)>,
    /// When the log's first entry arrived.
    pub oldest: Option<Timestamp>,
    /// Number of entries that the next rollup needs.
    pub needed: u64,
}

impl LiveLog {
    pub(super) fn read(sql: &impl LedgerSql) -> Result<Self, LedgerError> {
        let queries = [
            "SELECT json_quote(folds) AS row FROM ledger_state WHERE name = 'state'",
            "SELECT body AS row FROM ledger_state WHERE name = 'state'",
            "SELECT body AS row FROM ledger_state WHERE name = 'learnt'",
            "SELECT body AS row FROM ledger_state WHERE name = 'events'",
            "SELECT json_array(chunk, reports, length(lines)) AS row FROM ledger_log ORDER BY chunk",
            "SELECT lines AS row FROM ledger_log ORDER BY chunk",
        ];
        let outcomes = sql.run(queries.map(|sql| Statement::new(sql, [])).into())?;
        let [folds, state, learnt, events, chunks, lines] = outcomes.as_slice() else {
            return Err(LedgerError("unexpected result of a query".to_owned()));
        };
        let mut live_log = Self {
            folds: folds.read().map_err(unreadable)?.pop().unwrap_or_default(),
            state: state.read().map_err(unreadable)?.pop().unwrap_or_default(),
            observations: by_id(learnt.read().map_err(unreadable)?.pop().unwrap_or_default()),
            observations_changed: false,
            events: events.read().map_err(unreadable)?.pop().unwrap_or_default(),
            events_changed: false,
            counters: BTreeMap::new(),
            chunks: chunks.read().map_err(unreadable)?,
            oldest: None,
            needed: 0,
        };
        for line in lines.rows.iter().flat_map(|chunk| chunk.lines()) {
            let LogEntry { at, report } = serde_json::from_str(line).map_err(unreadable)?;
            live_log.apply(at, &report);
        }
        Ok(live_log)
    }

    /// Returns `true` if a report was applied.
    pub(super) fn has(&self, writer: &WriterId, sequence: u64) -> bool {
        self.state.writers.get(writer).is_some_and(|writer| writer.applied.has(sequence))
    }

    /// Applies an entry of the log.
    pub(super) fn apply(&mut self, at: Timestamp, report: &Report) {
        self.state.position += 1;
        self.oldest.get_or_insert(at);
        let new = || Writer { applied: AppliedSequences::default(), seen: at };
        let writer = self.state.writers.entry(report.writer.clone()).or_insert_with(new);
        writer.seen = at;
        writer.applied.admit(report.sequence);
        for (pool, counters) in &report.counts {
            match self.counters.get_mut(pool) {
                Some(held) => held.merge_copy(counters),
                None => drop(self.counters.insert(pool.clone(), counters.clone())),
            }
        }
        self.state.lost += report.lost;
        self.state.lost_requests += report.lost_requests;
        self.apply_observations(&report.learnt, &report.writer);
        for pool in &report.moved {
            let moved_by = Moved { position: self.state.position, writer: report.writer.clone(), at };
            self.state.moved.insert(pool.clone(), moved_by);
        }
        for event in &report.events {
            self.apply_event(event.clone());
        }
    }

    fn apply_observations(&mut self, records: &[ObservationRecord], writer: &WriterId) {
        for record in records {
            self.observations_changed = true;
            let known =
                Known { position: self.state.position, writer: writer.clone(), record: record.clone() };
            self.observations.insert(record.id.clone(), known);
        }
    }

    fn apply_event(&mut self, event: Event) {
        let known = self.events.iter_mut().rev().find(|(_, known)| is_same_unknown_text(known, &event));
        if let Some((_, known)) = known {
            known.at = known.at.max(event.at);
            known.count += event.count;
            self.events_changed = true;
            return;
        }
        self.state.last_event += 1;
        self.events.push_back((self.state.last_event, event));
        if self.events.len() > MAX_EVENTS {
            self.events.pop_front();
        }
        self.events_changed = true;
    }

    /// Returns what others reported after a log entry. An entry that does not exist belongs to a
    /// ledger that is gone: then everything is returned.
    pub(super) fn updates(&self, writer: &WriterId, known: u64, now: Timestamp) -> LedgerUpdates {
        let since = if known > self.state.position { 0 } else { known };
        let learnt = self
            .observations
            .values()
            .filter(|known| known.position > since && known.writer != *writer && known.record.until > now);
        let moved = self
            .state
            .moved
            .iter()
            .filter(|(_, moved_by)| moved_by.position > since && moved_by.writer != *writer);
        LedgerUpdates {
            learnt: learnt.map(|known| known.record.clone()).collect(),
            moved: moved.map(|(pool, _)| pool.clone()).collect(),
            cursor: self.state.position,
        }
    }

    /// Returns the observations whose ids have a prefix.
    pub(super) fn learnt(&self, prefix: &str, now: Timestamp) -> Vec<ObservationRecord> {
        let from_there = self.observations.range(prefix.to_owned()..);
        let so = from_there.take_while(|(id, _)| id.starts_with(prefix)).map(|(_, known)| &known.record);
        so.filter(|record| record.until > now).cloned().collect()
    }

    /// Returns the events of a pool (or of all) after a number, and the number of the last event
    /// examined.
    pub(super) fn events(
        &self,
        pool: Option<&PoolId>,
        after: Option<u64>,
        limit: usize,
    ) -> (Vec<(u64, Event)>, u64) {
        let wanted = |(_, event): &&(u64, Event)| pool.is_none_or(|pool| event.pool == *pool);
        let last = self.state.last_event;
        if let Some(after) = after.filter(|after| *after <= last) {
            let beyond = self.events.iter().filter(|(number, _)| *number > after).filter(wanted);
            let found: Vec<_> = beyond.take(limit).cloned().collect();
            // A full page ends at its last event; otherwise all events were examined.
            let last = if found.len() < limit { last } else { found.last().map_or(after, |event| event.0) };
            return (found, last);
        }
        let mut found: Vec<_> = self.events.iter().rev().filter(wanted).take(limit).cloned().collect();
        found.reverse();
        (found, last)
    }

    /// Returns the row of the log that has space for this many bytes, and its entries.
    pub(super) fn open_chunk(&self, length: usize, limit: usize) -> Option<(u64, u64)> {
        let (chunk, reports, bytes) = self.chunks.last()?;
        (bytes + length <= limit).then_some((*chunk, *reports))
    }

    /// Returns the number of the next row of the log, which was never used before.
    pub(super) const fn next_chunk(&self) -> u64 {
        self.state.position + 1
    }

    /// Records an entry that was written to a row of the log.
    pub(super) fn appended(&mut self, chunk: u64, length: usize) {
        match self.chunks.last_mut() {
            Some((last, reports, bytes)) if *last == chunk => {
                *reports += 1;
                *bytes += length;
            }
            _ => self.chunks.push((chunk, 1, length)),
        }
    }

    /// Returns the rows, entries and bytes of the log.
    pub(super) fn log(&self) -> (u64, u64, usize) {
        let lines = self.chunks.iter().map(|(_, lines, _)| lines).sum();
        (self.chunks.len() as u64, lines, self.chunks.iter().map(|(_, _, bytes)| bytes).sum())
    }

    /// Returns `true` if the log is too large to wait for more reports.
    pub(super) fn is_too_large(&self) -> bool {
        self.log().2 >= MAX_LOG_SIZE
    }

    /// Removes expired writers, changes and observations.
    pub(super) fn prune(&mut self, now: Timestamp) {
        let state = &mut self.state;
        state.moved.retain(|_, moved_by| moved_by.at + MOVE_TTL > now);
        state.writers.retain(|_, writer| writer.seen + WRITER_TTL > now);
        if state.writers.len() > MAX_WRITERS {
            let mut seen: Vec<_> = state.writers.values().map(|writer| writer.seen).collect();
            seen.sort_unstable();
            let surplus = seen.len() - MAX_WRITERS;
            let oldest_kept = seen.get(surplus).copied().unwrap_or(now);
            state.writers.retain(|_, writer| writer.seen >= oldest_kept);
        }
        let before = self.observations.len();
        self.observations.retain(|_, known| known.record.until > now);
        let mut newest: Vec<_> =
            self.observations.values().map(|known| (known.position, known.size())).collect();
        newest.sort_unstable_by_key(|(position, _)| std::cmp::Reverse(*position));
        let mut room = MAX_OBSERVATIONS_SIZE;
        let too_old = newest.into_iter().find(|(_, size)| {
            let full = room < *size;
            room = room.saturating_sub(*size);
            full
        });
        if let Some((too_old, _)) = too_old {
            self.observations.retain(|_, known| known.position > too_old);
        }
        self.observations_changed |= self.observations.len() < before;
    }

    /// Returns the observations in their stored form.
    pub(super) fn observations_text(&self) -> Result<String, LedgerError> {
        serde_json::to_string(&self.observations.values().collect::<Vec<_>>()).map_err(unreadable)
    }

    /// Returns the events in their stored form.
    pub(super) fn events_text(&self) -> Result<String, LedgerError> {
        serde_json::to_string(&self.events).map_err(unreadable)
    }

    /// Clears the log after a rollup.
    pub(super) fn rolled_up(&mut self) {
        self.folds += 1;
        self.counters.clear();
        self.chunks.clear();
        (self.oldest, self.needed) = (None, 0);
        (self.observations_changed, self.events_changed) = (false, false);
    }
}
