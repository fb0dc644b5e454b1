//! The pools that an isolate or process has in memory, and how old they may be.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use pool_shared::PoolId;

use super::Snapshot;
use crate::crypto::TokenHash;
use crate::platform::TtlCache;
use pool_engine::shifted;

/// Past this age a snapshot is checked behind the request that found it so.
const SOFT_AGE: Duration = Duration::from_secs(10);
/// Past this age a snapshot is checked before it is used: a client key that was revoked elsewhere
/// stops working after 30 s at the latest.
const HARD_AGE: Duration = Duration::from_secs(30);
/// Past this age a snapshot is not used even when the store does not answer.
const OUTAGE_AGE: Duration = Duration::from_mins(10);
/// How long a request that checks a snapshot has, before another one tries.
const REFRESH_LEASE: Duration = Duration::from_secs(5);
/// How often a pool's runtime is asked whether it is to be told again that a client key is used: it tells once an hour.
const USE_LOOKED_AT_EVERY: Duration = Duration::from_mins(1);
/// TTL of the negative cache of unknown client keys.
const NEGATIVE_TTL: Duration = Duration::from_secs(10);
/// Maximum size of the negative cache, so that a flood of unknown client keys cannot fill the memory.
const MAX_UNKNOWN: usize = 1_000;
/// How many Gemini keys all snapshots together may hold: at some 130 bytes each, 13 MB of the 128 MB
/// that an isolate has.
const MOST_KEYS: usize = 100_000;

/// Snapshots by client key.
#[derive(Debug)]
pub struct SnapshotCache {
    pools: HashMap<PoolId, Cached>,
    client_keys: HashMap<TokenHash, Known>,
    unknown: TtlCache<TokenHash, ()>,
    trouble: Option<(Timestamp, String)>,
}

/// A client key of a pool that is held.
#[derive(Debug)]
struct Known {
    pool: PoolId,
    /// Until when it needs not be told again that the client key is used.
    use_told_until: Timestamp,
}

#[derive(Debug)]
struct Cached {
    snapshot: Arc<Snapshot>,
    checked_at: Timestamp,
    used_at: Timestamp,
    refreshing_until: Timestamp,
    outage_until: Timestamp,
}

/// What the cache has for a client key.
#[derive(Clone, Debug)]
pub(crate) enum Lookup {
    /// Use it.
    Fresh(Arc<Snapshot>),
    /// Use it, and check it behind the request.
    Soft(Arc<Snapshot>),
    /// Check it first.
    Hard(Arc<Snapshot>),
    /// The store said lately that nobody has this client key.
    Unknown,
    /// Ask the store.
    Missing,
}

impl Default for SnapshotCache {
    fn default() -> Self {
        Self {
            pools: HashMap::new(),
            client_keys: HashMap::new(),
            unknown: TtlCache::new(NEGATIVE_TTL, MAX_UNKNOWN),
            trouble: None,
        }
    }
}

impl SnapshotCache {
    /// Finds the pool of a client key, and whether it was told lately that the client key is used.
    pub(crate) fn look_up(&mut self, hash: &TokenHash, now: Timestamp) -> (Lookup, bool) {
        let known = self.client_keys.get(hash);
        let is_use_told = known.is_some_and(|known| now < known.use_told_until);
        let lookup = match known.and_then(|known| self.pools.get_mut(&known.pool)) {
            Some(cached) => cached.look_up(now),
            None if self.unknown.get(hash, now).is_some() => Lookup::Unknown,
            None => Lookup::Missing,
        };
        (lookup, is_use_told)
    }

    /// It was told that a client key is used.
    pub(crate) fn use_told(&mut self, hash: &TokenHash, now: Timestamp) {
        if let Some(known) = self.client_keys.get_mut(hash) {
            known.use_told_until = now + USE_LOOKED_AT_EVERY;
        }
    }

    /// Whether a snapshot may still be used when the store does not answer. If so, the requests of the next
    /// seconds use it without asking again, so that not each of them waits for a store that takes long to fail.
    pub(crate) fn go_on_in_outage(&mut self, pool: &PoolId, now: Timestamp) -> bool {
        let cached = self.pools.get_mut(pool).filter(|cached| age(cached.checked_at, now) < OUTAGE_AGE);
        cached.map(|cached| cached.outage_until = now + REFRESH_LEASE).is_some()
    }

    pub(crate) fn get(&self, pool: &PoolId) -> Option<Arc<Snapshot>> {
        self.pools.get(pool).map(|cached| Arc::clone(&cached.snapshot))
    }

    pub(crate) fn version(&self, pool: &PoolId) -> Option<u64> {
        self.pools.get(pool).map(|cached| cached.snapshot.version)
    }

    /// Takes in a snapshot read from the store at `now`. An older version than the one held never
    /// replaces it: two requests may have read the store in another order than they come back.
    pub(crate) fn insert(&mut self, snapshot: Arc<Snapshot>, now: Timestamp) {
        if self.version(&snapshot.id).is_some_and(|held| held > snapshot.version) {
            return;
        }
        self.forget(&snapshot.id);
        for hash in snapshot.client_keys() {
            self.unknown.remove(hash);
            let known = Known { pool: snapshot.id.clone(), use_told_until: Timestamp::MIN };
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
        self.evict();
    }

    /// The store confirmed a pool's version.
    pub(crate) fn confirm(&mut self, pool: &PoolId, now: Timestamp) {
        if let Some(cached) = self.pools.get_mut(pool) {
            cached.checked_at = now;
            cached.refreshing_until = Timestamp::MIN;
            cached.outage_until = Timestamp::MIN;
        }
    }

    /// Drops a pool: its next use reads the store.
    pub(crate) fn forget(&mut self, pool: &PoolId) {
        if let Some(cached) = self.pools.remove(pool) {
            for hash in cached.snapshot.client_keys() {
                self.client_keys.remove(hash);
            }
        }
    }

    /// Somebody else changed a pool: its next use checks it behind the request.
    pub(crate) fn doubt(&mut self, pool: &PoolId, now: Timestamp) {
        if let Some(cached) = self.pools.get_mut(pool) {
            cached.checked_at = cached.checked_at.min(now - SOFT_AGE);
        }
    }

    /// Drops the pool of that id or name.
    pub(crate) fn forget_called(&mut self, reference: &str) {
        let called =
            |id: &PoolId, cached: &Cached| id.as_str() == reference || cached.snapshot.name == reference;
        let pool = self.pools.iter().find(|(id, cached)| called(id, cached)).map(|(id, _)| id.clone());
        if let Some(pool) = pool {
            self.forget(&pool);
        }
    }

    /// The clock was set: ages stay what they are.
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
            known.use_told_until = shifted(known.use_told_until, by);
        }
        self.unknown.shift(by);
    }

    /// The store does not know a client key.
    pub(crate) fn remember_unknown(&mut self, hash: TokenHash, now: Timestamp) {
        self.unknown.try_insert(hash, (), now);
    }

    /// Forgets which client keys are unknown: one of them may just have been created.
    pub(crate) fn forget_unknown(&mut self) {
        self.unknown.clear();
    }

    /// Notes how the store did.
    pub(crate) fn note_store(&mut self, trouble: Option<(Timestamp, String)>) {
        self.trouble = trouble;
    }

    /// When the store last failed, unless it has answered since.
    pub(crate) fn trouble(&self) -> Option<(Timestamp, String)> {
        self.trouble.clone()
    }

    /// Drops the pools that were not used for longest until the rest fits.
    fn evict(&mut self) {
        let mut keys: usize = self.pools.values().map(|cached| cached.snapshot.key_count()).sum();
        while keys > MOST_KEYS && self.pools.len() > 1 {
            let oldest = self.pools.values().min_by_key(|cached| cached.used_at);
            let Some(snapshot) = oldest.map(|cached| Arc::clone(&cached.snapshot)) else { return };
            keys -= snapshot.key_count();
            self.forget(&snapshot.id);
        }
    }
}

impl Cached {
    fn look_up(&mut self, now: Timestamp) -> Lookup {
        self.used_at = now;
        let snapshot = Arc::clone(&self.snapshot);
        let age = age(self.checked_at, now);
        if age < SOFT_AGE {
            Lookup::Fresh(snapshot)
        } else if age >= HARD_AGE {
            let goes_on = self.outage_until > now && age < OUTAGE_AGE;
            if goes_on { Lookup::Fresh(snapshot) } else { Lookup::Hard(snapshot) }
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
