//! What was fetched, in the form in which it is shown.
//!
//! In: the admin API's answers. Out: rows that belong together. Never: a wait, a clock.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
};

use jiff::Timestamp;
use pool_shared::{
    ClientKey, Event, EventList, Health, Key, KeyCondition, KeyId, KeyStats, Pool, PoolId, PoolStats, Stats,
    StatsStep,
};
use serde::Serialize;

use super::state::state_of;

/// Events that are kept; older ones make room.
pub const MAX_EVENTS: usize = 1_000;

/// Every pool, with what it serves.
#[derive(Clone, Debug, Serialize)]
pub struct Overview {
    /// The counts and rates.
    pub stats: Stats,
    /// The pools.
    pub pools: Vec<Pool>,
}

/// What a pool did in the span that is looked at.
#[derive(Clone, Debug)]
pub struct Recent {
    /// How the span is cut.
    pub step: StatsStep,
    /// The counts. Without the keys' rows where nobody looks at them.
    pub stats: PoolStats,
}

impl Recent {
    /// Requests and failures, step by step to the end of the span, gaps filled with zeros.
    pub fn trend(&self) -> Vec<Point> {
        let Some(window) = self.stats.window else { return Vec::new() };
        let step = step_seconds(self.step);
        // A day is an hour longer or shorter twice a year.
        let place = |time: Timestamp| (time.as_second() - window.since.as_second() + step / 2) / step;
        let length = usize::try_from(place(window.until)).unwrap_or_default();
        let mut trend = vec![Point::default(); length];
        for point in &self.stats.series {
            let at = (point.at.as_second() - window.since.as_second() + 1) / step;
            if let Some(slot) = usize::try_from(at).ok().and_then(|at| trend.get_mut(at)) {
                slot.requests += point.requests.total;
                slot.failures += point.requests.failed;
                slot.tokens += point.counters.prompt_tokens;
            }
        }
        trend
    }
}

const fn step_seconds(step: StatsStep) -> i64 {
    match step {
        StatsStep::Minute => 60,
        StatsStep::Hour => 3_600,
        StatsStep::Day => 86_400,
    }
}

/// One step of a [`Recent::trend`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Point {
    /// Requests.
    pub requests: u64,
    /// Those that failed.
    pub failures: u64,
    /// Tokens of their prompts.
    pub tokens: u64,
}

/// The keys of the pool that is looked at.
#[derive(Clone, Debug)]
pub struct Keys {
    /// Their pool.
    pub pool: PoolId,
    /// The keys, each with its state and its place among the rows of [`PoolStats::keys`].
    pub rows: Vec<KeyRow>,
    /// The weights of the enabled ones together.
    pub weights: u64,
}

/// One of [`Keys`].
#[derive(Clone, Debug)]
pub struct KeyRow {
    /// The key.
    pub key: Key,
    /// How it stands.
    pub state: KeyCondition,
    /// Where its counts are.
    pub stats: Option<usize>,
}

impl Keys {
    /// The keys of a pool.
    pub fn new(pool: PoolId, keys: Vec<Key>) -> Self {
        let weights = keys.iter().filter(|key| key.enabled).map(|key| u64::from(u32::from(key.weight))).sum();
        let row = |key: Key| KeyRow { state: state_of(&key, None), key, stats: None };
        Self { pool, rows: keys.into_iter().map(row).collect(), weights }
    }

    fn join(&mut self, stats: &[KeyStats]) {
        let places: HashMap<&KeyId, usize> =
            stats.iter().enumerate().map(|(place, row)| (&row.key, place)).collect();
        for row in &mut self.rows {
            row.stats = places.get(&row.key.id).copied();
            row.state = state_of(&row.key, row.stats.and_then(|place| stats.get(place)));
        }
    }
}

/// Everything that is shown. Cloning it is cheap: that is how a pause keeps it.
#[derive(Clone, Debug, Default)]
pub struct Data {
    /// Every pool.
    pub overview: Option<Arc<Overview>>,
    /// What pools did lately.
    pub recent: BTreeMap<PoolId, Arc<Recent>>,
    /// The keys of the pool that is looked at.
    pub keys: Option<Arc<Keys>>,
    /// What went wrong lately, the oldest first.
    pub events: VecDeque<Arc<Event>>,
    /// What the next events come after.
    pub cursor: Option<String>,
    /// The client keys of the pool that is looked at.
    pub client_keys: Option<(PoolId, Arc<Vec<ClientKey>>)>,
    /// How the service is doing.
    pub health: Option<Arc<Health>>,
}

impl Data {
    /// The pools, none before they are known.
    pub fn pools(&self) -> &[Pool] {
        self.overview.as_ref().map_or(&[], |overview| &overview.pools)
    }

    /// A pool.
    pub fn pool(&self, id: &PoolId) -> Option<&Pool> {
        self.pools().iter().find(|pool| pool.id == *id)
    }

    /// Takes what a pool did lately, and gives its keys their counts.
    pub fn take_recent(&mut self, recent: Recent) {
        let pool = recent.stats.pool.clone();
        self.recent.insert(pool, Arc::new(recent));
        self.join();
    }

    /// Takes a pool's keys.
    pub fn take_keys(&mut self, keys: Keys) {
        self.keys = Some(Arc::new(keys));
        self.join();
    }

    fn join(&mut self) {
        let Some(keys) = &mut self.keys else { return };
        if let Some(recent) = self.recent.get(&keys.pool) {
            Arc::make_mut(keys).join(&recent.stats.keys);
        }
    }

    /// Takes events that follow those that are there.
    pub fn take_events(&mut self, list: EventList) {
        self.cursor = Some(list.cursor);
        self.events.extend(list.events.into_iter().map(Arc::new));
        let surplus = self.events.len().saturating_sub(MAX_EVENTS);
        self.events.drain(..surplus);
    }

    /// Takes the pools, and forgets what belonged to those that are gone.
    pub fn take_overview(&mut self, overview: Overview) {
        let known = |id: &PoolId| overview.pools.iter().any(|pool| pool.id == *id);
        self.recent.retain(|id, _| known(id));
        self.keys.take_if(|keys| !known(&keys.pool));
        self.client_keys.take_if(|(pool, _)| !known(pool));
        self.overview = Some(Arc::new(overview));
    }
}
