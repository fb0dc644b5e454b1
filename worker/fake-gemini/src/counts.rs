//! Exact counts of requests by key and model, to compare a ledger with.
//!
//! # Invariants
//! - Every request is counted. One that is dropped before its end counts as a client disconnect.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use serde::{Deserialize, Serialize};

/// Tokens of the usage that was reported to the client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens {
    /// `promptTokenCount`.
    pub prompt: u64,
    /// `candidatesTokenCount` plus `thoughtsTokenCount`.
    pub completion: u64,
}

impl Tokens {
    fn add(&mut self, other: Self) {
        self.prompt += other.prompt;
        self.completion += other.completion;
    }
}

/// The requests of one key for one model.
/// `requests = ok + cut + left + in_flight + the sum of refused`, at any moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Requests that named this key and model.
    pub requests: u64,
    /// Completed with 200, including blocked prompts and empty responses.
    pub ok: u64,
    /// API errors by HTTP status.
    pub refused: BTreeMap<u16, u64>,
    /// Truncated by this server on purpose: before the headers, in the middle, or without a finish
    /// reason.
    pub cut: u64,
    /// The client disconnected before the end.
    pub left: u64,
    /// Frames sent in streams under `left`, in total.
    #[serde(default)]
    pub frames_left: u64,
    /// Frames sent in the longest of them.
    #[serde(default)]
    pub most_frames_left: u64,
    /// In flight.
    pub in_flight: u64,
    /// Tokens of the responses under `ok`.
    pub tokens: Tokens,
    /// Tokens that the responses under `cut` had reported by then.
    pub tokens_cut: Tokens,
}

impl Tally {
    /// Returns the number of API errors of any status.
    #[must_use]
    pub fn refusals(&self) -> u64 {
        self.refused.values().sum()
    }

    fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.ok += other.ok;
        for (status, count) in &other.refused {
            *self.refused.entry(*status).or_default() += count;
        }
        self.cut += other.cut;
        self.left += other.left;
        self.frames_left += other.frames_left;
        self.most_frames_left = self.most_frames_left.max(other.most_frames_left);
        self.in_flight += other.in_flight;
        self.tokens.add(other.tokens);
        self.tokens_cut.add(other.tokens_cut);
    }
}

/// One line of [`Counts`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyModelCount {
    /// The key as presented.
    pub key: String,
    /// The model's id without `models/`; empty for a listing of models.
    pub model: String,
    /// The counts.
    pub tally: Tally,
}

/// All counts since the start or the last reset, sorted by key and model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Generations and embeddings: what a ledger counts.
    pub served: Vec<KeyModelCount>,
    /// Model lists, model descriptions and token counts: what a key check uses.
    pub probes: Vec<KeyModelCount>,
    /// Requests without exactly one API key, rejected first.
    pub unauthenticated: u64,
}

impl Counts {
    /// Returns the sum of `served` over all keys and models.
    #[must_use]
    pub fn total(&self) -> Tally {
        sum(&self.served, |_| true)
    }

    /// Returns the sum of `served` of one key over its models.
    #[must_use]
    pub fn key(&self, key: &str) -> Tally {
        sum(&self.served, |line| line.key == key)
    }

    /// Returns `served` of one key and model; zeros if there were no requests.
    #[must_use]
    pub fn key_model(&self, key: &str, model: &str) -> Tally {
        sum(&self.served, |line| line.key == key && line.model == model)
    }
}

fn sum(lines: &[KeyModelCount], wanted: impl Fn(&KeyModelCount) -> bool) -> Tally {
    let mut total = Tally::default();
    for line in lines.iter().filter(|line| wanted(line)) {
        total.add(&line.tally);
    }
    total
}

/// Which list of [`Counts`] a request belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Serve,
    Probe,
}

type Cell = Arc<Mutex<Tally>>;
type Cells = RwLock<HashMap<Box<str>, HashMap<Box<str>, Cell>>>;

/// The counters themselves.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    served: Cells,
    probes: Cells,
    unauthenticated: Mutex<u64>,
}

impl Counters {
    /// Counts the start of a request. The returned guard counts its end.
    pub(crate) fn begin(&self, purpose: Purpose, key: &str, model: &str) -> Attempt {
        let cells = match purpose {
            Purpose::Serve => &self.served,
            Purpose::Probe => &self.probes,
        };
        let cell = find(cells, key, model);
        {
            let mut tally = lock(&cell);
            tally.requests += 1;
            tally.in_flight += 1;
        }
        Attempt { cell, ended: false, tokens: Tokens::default(), frames: 0 }
    }

    pub(crate) fn unauthenticated(&self) {
        *lock(&self.unauthenticated) += 1;
    }

    pub(crate) fn read(&self) -> Counts {
        Counts {
            served: lines(&self.served),
            probes: lines(&self.probes),
            unauthenticated: *lock(&self.unauthenticated),
        }
    }

    /// Resets all counts. Requests in flight are no longer counted.
    pub(crate) fn clear(&self) {
        for cells in [&self.served, &self.probes] {
            cells.write().unwrap_or_else(PoisonError::into_inner).clear();
        }
        *lock(&self.unauthenticated) = 0;
    }
}

fn find(cells: &Cells, key: &str, model: &str) -> Cell {
    {
        let seen = cells.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(cell) = seen.get(key).and_then(|models| models.get(model)) {
            return Arc::clone(cell);
        }
    }
    let mut cells = cells.write().unwrap_or_else(PoisonError::into_inner);
    let models = cells.entry(key.into()).or_default();
    Arc::clone(models.entry(model.into()).or_default())
}

fn lines(cells: &Cells) -> Vec<KeyModelCount> {
    let cells = cells.read().unwrap_or_else(PoisonError::into_inner);
    let mut lines: Vec<KeyModelCount> = cells
        .iter()
        .flat_map(|(key, models)| models.iter().map(move |(model, cell)| (key, model, cell)))
        .map(|(key, model, cell)| KeyModelCount {
            key: key.to_string(),
            model: model.to_string(),
            tally: lock(cell).clone(),
        })
        .collect();
    lines.sort_by(|a, b| (&a.key, &a.model).cmp(&(&b.key, &b.model)));
    lines
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A request in flight. Exactly one of [`ok`](Self::ok), [`refused`](Self::refused) and
/// [`cut`](Self::cut) ends it; dropped before, it counts as a client disconnect.
#[derive(Debug)]
pub(crate) struct Attempt {
    cell: Cell,
    ended: bool,
    tokens: Tokens,
    frames: u64,
}

impl Attempt {
    /// Records the usage reported so far, which is cumulative as Gemini's is.
    pub(crate) fn report(&mut self, tokens: Tokens) {
        self.tokens = tokens;
    }

    /// Counts a sent frame.
    pub(crate) fn frame(&mut self) {
        self.frames += 1;
    }

    pub(crate) fn ok(&mut self) {
        let tokens = self.tokens;
        self.end(|tally| {
            tally.ok += 1;
            tally.tokens.add(tokens);
        });
    }

    pub(crate) fn refused(&mut self, status: u16) {
        self.end(|tally| *tally.refused.entry(status).or_default() += 1);
    }

    pub(crate) fn cut(&mut self) {
        let tokens = self.tokens;
        self.end(|tally| {
            tally.cut += 1;
            tally.tokens_cut.add(tokens);
        });
    }

    fn end(&mut self, verdict: impl FnOnce(&mut Tally)) {
        if self.ended {
            return;
        }
        self.ended = true;
        let mut tally = lock(&self.cell);
        tally.in_flight -= 1;
        verdict(&mut tally);
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let frames = self.frames;
        self.end(|tally| {
            tally.left += 1;
            tally.frames_left += frames;
            tally.most_frames_left = tally.most_frames_left.max(frames);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_ends_in_one_place() {
        let counters = Counters::default();
        let begin = || counters.begin(Purpose::Serve, "k", "m");
        let tokens = Tokens { prompt: 2, completion: 3 };
        let mut ok = begin();
        ok.report(tokens);
        ok.ok();
        begin().refused(429);
        let mut cut = begin();
        cut.report(tokens);
        cut.cut();
        let mut left = begin();
        left.frame();
        left.frame();
        drop(left);
        let running = begin();
        counters.begin(Purpose::Probe, "k", "").ok();
        let counts = counters.read();
        let expected = Tally {
            requests: 5,
            ok: 1,
            refused: BTreeMap::from([(429, 1)]),
            cut: 1,
            left: 1,
            frames_left: 2,
            most_frames_left: 2,
            in_flight: 1,
            tokens,
            tokens_cut: tokens,
        };
        assert_eq!(counts.key_model("k", "m"), expected);
        assert_eq!(counts.total(), expected);
        assert_eq!(counts.probes.len(), 1);
        drop(running);
        counters.clear();
        assert_eq!(counters.read(), Counts::default());
    }
}
