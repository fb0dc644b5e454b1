//! Cache of pool snapshots by client key: stale-while-revalidate, LRU, with a negative cache.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use pool_shared::PoolId;

use super::Snapshot;
use crate::crypto::TokenHash;
use crate::platform::TtlCache;
use pool_engine::shifted;

/// Soft TTL: past this age a snapshot is served stale and revalidated in the background.
const SOFT_TTL: Duration = Duration::from_secs(10);
/// Hard TTL: past this age a snapshot is revalidated before use. A client key that another
/// instance revoked stops working after 30 s at the latest.
const HARD_TTL: Duration = Duration::from_secs(30);
/// TTL during an outage of the store.
const OUTAGE_TTL: Duration = Duration::from_mins(10);
/// Lease of the request that revalidates a snapshot; after it another request tries.
const REFRESH_LEASE: Duration = Duration::from_secs(5);
/// Interval at which the runtime is checked for an overdue usage report of a client key.
const USAGE_REPORT_INTERVAL: Duration = Duration::from_mins(1);
/// TTL of the negative cache of unknown client keys.
const NEGATIVE_TTL: Duration = Duration::from_secs(10);
/// Maximum size of the negative cache, so that a flood of unknown client keys cannot fill the memory.
const MAX_UNKNOWN: usize = 1_000;
/// How many Gemini keys all snapshots together may hold: at some 130 bytes each, 13 MB of the 128 MB
/// that an isolate has.
const MAX_KEYS: usize = 100_000;

/// Snapshots by client key.
#[derive(Debug)]
pub struct SnapshotCache {
    pools: HashMap<PoolId, Cached>,
    client_keys: HashMap<TokenHash, Known>,
    unknown: TtlCache<TokenHash, ()>,
    last_error: Option<(Timestamp, String)>,
}

/// A client key of a cached pool.
#[derive(Debug)]
struct Known {
    pool: PoolId,
    /// Until when its use needs no further report.
    usage_reported_until: Timestamp,
}

#[derive(Debug)]
struct Cached {
    snapshot: Arc<Snapshot>,
    checked_at: Timestamp,
    used_at: Timestamp,
    refreshing_until: Timestamp,
    outage_until: Timestamp,
}

/// Result of a look-up.
#[derive(Clone, Debug)]
pub(crate) enum Lookup {
    /// Use it.
    Fresh(Arc<Snapshot>),
    /// Use it, and revalidate it in the background.
    Soft(Arc<Snapshot>),
    /// Revalidate it first.
    Hard(Arc<Snapshot>),
    /// The negative cache has it.
    Unknown,
    /// Read the store.
    Missing,
}

impl Default for SnapshotCache {
    fn default() -> Self {
        Self {
            pools: HashMap::new(),
            client_keys: HashMap::new(),
            unknown: TtlCache::new(NEGATIVE_TTL, MAX_UNKNOWN),
            last_error: None,
        }
    }
}

impl SnapshotCache {
    /// Returns the pool of a client key, and whether its use was reported recently.
    pub(crate) fn get_by_client_key(&mut self, hash: &TokenHash, now: Timestamp) -> (Lookup, bool) {
        let known = self.client_keys.get(hash);
        let is_usage_reported = known.is_some_and(|known| now < known.usage_reported_until);
        let lookup = match known.and_then(|known| self.pools.get_mut(&known.pool)) {
            Some(cached) => cached.lookup(now),
            None if self.unknown.get(hash, now).is_some() => Lookup::Unknown,
            None => Lookup::Missing,
        };
        (lookup, is_usage_reported)
    }

    /// Records that the use of a client key was reported.
    pub(crate) fn usage_reported(&mut self, hash: &TokenHash, now: Timestamp) {
        if let Some(known) = self.client_keys.get_mut(hash) {
            known.usage_reported_until = now + USAGE_REPORT_INTERVAL;
        }
    }

    /// Extends a snapshot during an outage of the store. Returns `true` if it may be used.
    ///
    /// If so, the requests of the next seconds use it without the store, so that they do not all
    /// wait for a store that takes long to fail.
    pub(crate) fn extend_during_outage(&mut self, pool: &PoolId, now: Timestamp) -> bool {
        let cached = self.pools.get_mut(pool).filter(|cached| age(cached.checked_at, now) < OUTAGE_TTL);
        cached.map(|cached| cached.outage_until = now + REFRESH_LEASE).is_some()
    }

    pub(crate) fn get(&self, pool: &PoolId) -> Option<Arc<Snapshot>> {
        self.pools.get(pool).map(|cached| Arc::clone(&cached.snapshot))
    }

    pub(crate) fn version(&self, pool: &PoolId) -> Option<u64> {
        self.pools.get(pool).map(|cached| cached.snapshot.version)
    }

    /// Inserts a snapshot read from the store at `now`. An older version never replaces a newer
    /// one, because concurrent reads of the store may finish in another order.
    pub(crate) fn insert(&mut self, snapshot: Arc<Snapshot>, now: Timestamp) {
        if self.version(&snapshot.id).is_some_and(|held| held > snapshot.version) {
            return;
        }
        self.forget(&snapshot.id);
        for hash in snapshot.client_keys() {
            self.unknown.remove(hash);
            let known = Known { pool: snapshot.id.clone(), usage_reported_until: Timestamp::MIN };
            self.client_keys.insert(hash.clone(), known);
        }
        let cached = Cached {
            checked_at: now,
            used_at: now,
            refreshing_until: Timestamp::MIN,
            outage_until: Timestamp::MIN,
            snapshot,
        };
        self.pools.insert(cached.snapshot.id.clone(), cached);
        self.evict_lru();
    }

    /// Records that the store confirmed a pool's version.
    pub(crate) fn confirm(&mut self, pool: &PoolId, now: Timestamp) {
        if let Some(cached) = self.pools.get_mut(pool) {
            cached.checked_at = now;
            cached.refreshing_until = Timestamp::MIN;
            cached.outage_until = Timestamp::MIN;
        }
    }

    /// Evicts a pool: its next use reads the store.
    pub(crate) fn forget(&mut self, pool: &PoolId) {
        if let Some(cached) = self.pools.remove(pool) {
            for hash in cached.snapshot.client_keys() {
                self.client_keys.remove(hash);
            }
        }
    }

    /// Marks a pool stale because another instance changed it: its next use revalidates it in the
    /// background.
    pub(crate) fn mark_stale(&mut self, pool: &PoolId, now: Timestamp) {
        if let Some(cached) = self.pools.get_mut(pool) {
            cached.checked_at = cached.checked_at.min(now - SOFT_TTL);
        }
    }

    /// Evicts the pool with this id or name.
    pub(crate) fn evict_by_name(&mut self, reference: &str) {
        let called =
            |id: &PoolId, cached: &Cached| id.as_str() == reference || cached.snapshot.name == reference;
        let pool = self.pools.iter().find(|(id, cached)| called(id, cached)).map(|(id, _)| id.clone());
        if let Some(pool) = pool {
            self.forget(&pool);
        }
    }

    /// Shifts all times after a change of the clock, so that ages stay the same.
    pub(crate) fn shift(&mut self, by: SignedDuration) {
        for cached in self.pools.values_mut() {
            let times = [
                &mut cached.checked_at,
                &mut cached.used_at,
                &mut cached.refreshing_until,
                &mut cached.outage_until,
            ];
            for time in times {
                *time = shifted(*time, by);
            }
        }
        for known in self.client_keys.values_mut() {
            known.usage_reported_until = shifted(known.usage_reported_until, by);
        }
        self.unknown.shift(by);
    }

    /// Adds a client key to the negative cache.
    pub(crate) fn remember_unknown(&mut self, hash: TokenHash, now: Timestamp) {
        self.unknown.try_insert(hash, (), now);
    }

    /// Clears the negative cache, because one of its client keys may have been created.
    pub(crate) fn forget_unknown(&mut self) {
        self.unknown.clear();
    }

    /// Records the result of a store request: its error, or `None` for success.
    pub(crate) fn record_store_result(&mut self, last_error: Option<(Timestamp, String)>) {
        self.last_error = last_error;
    }

    /// Returns time and text of the store's last error, unless it has succeeded since.
    pub(crate) fn last_error(&self) -> Option<(Timestamp, String)> {
        self.last_error.clone()
    }

    /// Evicts least recently used pools until the cache fits.
    fn evict_lru(&mut self) {
        let mut keys: usize = self.pools.values().map(|cached| cached.snapshot.key_count()).sum();
        while keys > MAX_KEYS && self.pools.len() > 1 {
            let oldest = self.pools.values().min_by_key(|cached| cached.used_at);
            let Some(snapshot) = oldest.map(|cached| Arc::clone(&cached.snapshot)) else { return };
            keys -= snapshot.key_count();
            self.forget(&snapshot.id);
        }
    }
}

impl Cached {
    fn lookup(&mut self, now: Timestamp) -> Lookup {
        self.used_at = now;
        let snapshot = Arc::clone(&self.snapshot);
        let age = age(self.checked_at, now);
        if age < SOFT_TTL {
            Lookup::Fresh(snapshot)
        } else if age >= HARD_TTL {
            let is_in_outage = self.outage_until > now && age < OUTAGE_TTL;
            if is_in_outage { Lookup::Fresh(snapshot) } else { Lookup::Hard(snapshot) }
        } else if self.refreshing_until > now {
            Lookup::Fresh(snapshot)
        } else {
            self.refreshing_until = now + REFRESH_LEASE;
            Lookup::Soft(snapshot)
        }
    }
}

fn age(since: Timestamp, now: Timestamp) -> Duration {
    now.duration_since(since).try_into().unwrap_or_default()
}
