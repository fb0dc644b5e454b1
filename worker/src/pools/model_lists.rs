//! Gemini's lists of models per pool, in memory.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use pool_shared::PoolId;
use pool_translate::gemini::{Model, ModelId};

use super::Snapshot;
use crate::platform::TtlCache;

/// How long a pool's list of models is taken for new. New models appear weekly, not hourly.
const FRESH_AGE: Duration = Duration::from_hours(1);
/// How long it is used all the same, while it is read anew behind the request.
const USABLE_AGE: Duration = Duration::from_hours(24);
/// How long a request that reads it anew has, before another one tries.
const REFRESH_LEASE: Duration = Duration::from_secs(30);
/// TTL of the negative cache of model names: a mistyped name is often retried immediately.
const NEGATIVE_TTL: Duration = Duration::from_mins(1);
/// Maximum size of the negative cache.
const MAX_UNKNOWN: usize = 1_000;
/// Lists kept at once; a list takes some 30 KB.
const MOST_LISTS: usize = 100;

/// Gemini's lists of models, by pool: what a key may use depends on its project. They are kept as Gemini
/// gives them; what the pool allows and its aliases are looked up at each request.
#[derive(Debug)]
pub struct ModelCache {
    lists: HashMap<PoolId, Listing>,
    /// Unknown names, by the pool and its version.
    unknown: TtlCache<(PoolId, u64, String), ()>,
}

#[derive(Debug)]
struct Listing {
    models: Arc<Vec<Model>>,
    read_at: Timestamp,
    /// The pool's version then: with other keys it may have other models.
    version: u64,
    refreshing_until: Timestamp,
}

/// What the cache has for a pool.
#[derive(Debug)]
pub(crate) enum Known {
    /// Use it.
    Fresh(Arc<Vec<Model>>),
    /// Use it, and read it anew behind the request.
    Stale(Arc<Vec<Model>>),
    /// Read it first.
    Missing,
}

impl Default for ModelCache {
    fn default() -> Self {
        Self { lists: HashMap::new(), unknown: TtlCache::new(NEGATIVE_TTL, MAX_UNKNOWN) }
    }
}

impl ModelCache {
    pub(crate) fn look_up(&mut self, pool: &Snapshot, now: Timestamp) -> Known {
        let Some(listing) = self.lists.get_mut(&pool.id) else { return Known::Missing };
        let age = now.duration_since(listing.read_at).unsigned_abs();
        if age >= USABLE_AGE {
            return Known::Missing;
        }
        let models = Arc::clone(&listing.models);
        let is_refreshing = is_within(listing.refreshing_until, REFRESH_LEASE, now);
        if (age < FRESH_AGE && listing.version == pool.version) || is_refreshing {
            return Known::Fresh(models);
        }
        listing.refreshing_until = now + REFRESH_LEASE;
        Known::Stale(models)
    }

    /// A model of the pool, if its list is at hand.
    pub(crate) fn find(&self, pool: &Snapshot, id: &ModelId, now: Timestamp) -> Option<Model> {
        let listing = self.lists.get(&pool.id)?;
        let fresh = now.duration_since(listing.read_at).unsigned_abs() < FRESH_AGE;
        let found = listing.models.iter().find(|model| model.id == id.as_str());
        found.filter(|_| fresh && listing.version == pool.version).cloned()
    }

    /// Whether the list of a pool that is at hand has a model that generates content, be it an old list.
    pub(crate) fn lists_generating(&self, pool: &PoolId, id: &str) -> bool {
        let generates = |model: &Model| {
            model.supported_generation_methods.iter().any(|method| method == "generateContent")
        };
        let listing = self.lists.get(pool);
        listing.is_some_and(|listing| listing.models.iter().any(|model| model.id == id && generates(model)))
    }

    /// Whether the list of a pool that is at hand has a model, be it an old list.
    pub(crate) fn lists(&self, pool: &PoolId, id: &str) -> bool {
        self.lists.get(pool).is_some_and(|listing| listing.models.iter().any(|model| model.id == id))
    }

    /// Whether Gemini said lately that it has no such model.
    pub(crate) fn is_unknown(&self, pool: &Snapshot, id: &ModelId, now: Timestamp) -> bool {
        let name = (pool.id.clone(), pool.version, id.as_str().to_owned());
        self.unknown.get(&name, now).is_some()
    }

    pub(crate) fn note_unknown(&mut self, pool: &Snapshot, id: &ModelId, now: Timestamp) {
        self.unknown.try_insert((pool.id.clone(), pool.version, id.as_str().to_owned()), (), now);
    }

    pub(crate) fn insert(&mut self, pool: &Snapshot, now: Timestamp, models: Arc<Vec<Model>>) {
        if self.lists.len() >= MOST_LISTS {
            self.lists.clear();
        }
        let listing =
            Listing { models, read_at: now, version: pool.version, refreshing_until: Timestamp::MIN };
        self.lists.insert(pool.id.clone(), listing);
    }
}

/// Whether a time that was `length` away when it was set is still to come. If it is further away now, the clock went back.
fn is_within(until: Timestamp, length: Duration, now: Timestamp) -> bool {
    let left = until.duration_since(now);
    left.is_positive() && left <= SignedDuration::try_from(length).unwrap_or(SignedDuration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_time_is_further_away_than_when_it_was_set() {
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        let until = at(1_000_060);
        for (now, expected) in
            [(1_000_000, true), (1_000_059, true), (1_000_060, false), (999_999, false), (0, false)]
        {
            assert_eq!(is_within(until, Duration::from_mins(1), at(now)), expected, "{now}");
        }
    }
}
