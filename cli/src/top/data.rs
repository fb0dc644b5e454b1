//! Fetched data in the form in which it is shown. Pure: responses of the admin API are joined to
//! rows.

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

/// Maximum number of events; the oldest are evicted first.
pub const MAX_EVENTS: usize = 1_000;

/// Every pool and its statistics.
#[derive(Clone, Debug, Serialize)]
pub struct Overview {
    /// The counts and rates.
    pub stats: Stats,
    /// The pools.
    pub pools: Vec<Pool>,
}

/// Statistics of a pool in the time range.
#[derive(Clone, Debug)]
pub struct Recent {
    /// Length of the intervals.
    pub step: StatsStep,
    /// The counts; without the keys' rows if they are not shown.
    pub stats: PoolStats,
}

impl Recent {
    /// Returns requests, failures and tokens per interval of the time range; gaps are zero.
    pub fn trend(&self) -> Vec<Point> {
        let Some(window) = self.stats.window else { return Vec::new() };
        let step = step_seconds(self.step);
        // A day has 23 or 25 hours when daylight saving time changes.
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

/// One interval of a [`Recent::trend`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Point {
    /// Requests.
    pub requests: u64,
    /// Failed requests.
    pub failures: u64,
    /// Prompt tokens.
    pub tokens: u64,
}

/// The keys of the open pool.
#[derive(Clone, Debug)]
pub struct Keys {
    /// Their pool.
    pub pool: PoolId,
    /// The keys, each with its state and its index in [`PoolStats::keys`].
    pub rows: Vec<KeyRow>,
    /// Sum of the weights of the enabled keys.
    pub weights: u64,
}

/// One of [`Keys`].
#[derive(Clone, Debug)]
pub struct KeyRow {
    /// The key.
    pub key: Key,
    /// Its state.
    pub state: KeyCondition,
    /// Index of its counts.
    pub stats: Option<usize>,
}

impl Keys {
    /// Creates the rows of a pool's keys.
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

/// All fetched data. Cheap to clone, which a pause uses.
#[derive(Clone, Debug, Default)]
pub struct Data {
    /// Returns every pool.
    pub overview: Option<Arc<Overview>>,
    /// Recent statistics by pool.
    pub recent: BTreeMap<PoolId, Arc<Recent>>,
    /// The keys of the open pool.
    pub keys: Option<Arc<Keys>>,
    /// Recent events, oldest first.
    pub events: VecDeque<Arc<Event>>,
    /// Cursor of the next events.
    pub cursor: Option<String>,
    /// The client keys of the open pool.
    pub client_keys: Option<(PoolId, Arc<Vec<ClientKey>>)>,
    /// Health of the service.
    pub health: Option<Arc<Health>>,
}

impl Data {
    /// Returns the pools; empty before they are fetched.
    pub fn pools(&self) -> &[Pool] {
        self.overview.as_ref().map_or(&[], |overview| &overview.pools)
    }

    /// Returns a pool by id.
    pub fn pool(&self, id: &PoolId) -> Option<&Pool> {
        self.pools().iter().find(|pool| pool.id == *id)
    }

    /// Stores recent statistics of a pool, and joins them with its keys.
    pub fn take_recent(&mut self, recent: Recent) {
        let pool = recent.stats.pool.clone();
        self.recent.insert(pool, Arc::new(recent));
        self.join();
    }

    /// Stores a pool's keys.
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

    /// Appends events.
    pub fn take_events(&mut self, list: EventList) {
        self.cursor = Some(list.cursor);
        self.events.extend(list.events.into_iter().map(Arc::new));
        let surplus = self.events.len().saturating_sub(MAX_EVENTS);
        self.events.drain(..surplus);
    }

    /// Stores the pools, and removes the data of deleted ones.
    pub fn take_overview(&mut self, overview: Overview) {
        let known = |id: &PoolId| overview.pools.iter().any(|pool| pool.id == *id);
        self.recent.retain(|id, _| known(id));
        self.keys.take_if(|keys| !known(&keys.pool));
        self.client_keys.take_if(|(pool, _)| !known(pool));
        self.overview = Some(Arc::new(overview));
    }
}
