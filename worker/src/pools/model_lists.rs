//! Cache of Gemini's model lists by pool: stale-while-revalidate, with a negative cache.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use pool_shared::PoolId;
use pool_translate::gemini::{Model, ModelId};

use super::Snapshot;
use crate::platform::TtlCache;

/// Soft TTL of a list. New models appear weekly, not hourly.
const SOFT_TTL: Duration = Duration::from_hours(1);
/// Hard TTL: until then a stale list is used and revalidated in the background.
const HARD_TTL: Duration = Duration::from_hours(24);
/// Lease of the request that revalidates a list; after it another request tries.
const REFRESH_LEASE: Duration = Duration::from_secs(30);
/// TTL of the negative cache of model names: a mistyped name is often retried immediately.
const NEGATIVE_TTL: Duration = Duration::from_mins(1);
/// Maximum size of the negative cache.
const MAX_UNKNOWN: usize = 1_000;
/// Lists kept at once; a list takes some 30 KB.
const MAX_LISTS: usize = 100;

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
    /// The pool's version at that time; other keys may have other models.
    version: u64,
    refreshing_until: Timestamp,
}

/// Result of a look-up.
#[derive(Debug)]
pub(crate) enum Known {
    /// Use it.
    Fresh(Arc<Vec<Model>>),
    /// Use it, and revalidate it in the background.
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
    pub(crate) fn get(&mut self, pool: &Snapshot, now: Timestamp) -> Known {
        let Some(listing) = self.lists.get_mut(&pool.id) else { return Known::Missing };
        let age = now.duration_since(listing.read_at).unsigned_abs();
        if age >= HARD_TTL {
            return Known::Missing;
        }
        let models = Arc::clone(&listing.models);
        let is_refreshing = is_within(listing.refreshing_until, REFRESH_LEASE, now);
        if (age < SOFT_TTL && listing.version == pool.version) || is_refreshing {
            return Known::Fresh(models);
        }
        listing.refreshing_until = now + REFRESH_LEASE;
        Known::Stale(models)
    }

    /// Returns a model of the pool, if its list is cached and fresh.
    pub(crate) fn find(&self, pool: &Snapshot, id: &ModelId, now: Timestamp) -> Option<Model> {
        let listing = self.lists.get(&pool.id)?;
        let fresh = now.duration_since(listing.read_at).unsigned_abs() < SOFT_TTL;
        let found = listing.models.iter().find(|model| model.id == id.as_str());
        found.filter(|_| fresh && listing.version == pool.version).cloned()
    }

    /// Returns `true` if the cached list, even if stale, has a model that generates content.
    pub(crate) fn lists_generating(&self, pool: &PoolId, id: &str) -> bool {
        let generates = |model: &Model| {
            model.supported_generation_methods.iter().any(|method| method == "generateContent")
        };
        let listing = self.lists.get(pool);
        listing.is_some_and(|listing| listing.models.iter().any(|model| model.id == id && generates(model)))
    }

    /// Returns `true` if the cached list, even if stale, has a model.
    pub(crate) fn lists(&self, pool: &PoolId, id: &str) -> bool {
        self.lists.get(pool).is_some_and(|listing| listing.models.iter().any(|model| model.id == id))
    }

    /// Returns `true` if Gemini recently reported the model as unknown.
    pub(crate) fn is_unknown(&self, pool: &Snapshot, id: &ModelId, now: Timestamp) -> bool {
        let name = (pool.id.clone(), pool.version, id.as_str().to_owned());
        self.unknown.get(&name, now).is_some()
    }

    pub(crate) fn note_unknown(&mut self, pool: &Snapshot, id: &ModelId, now: Timestamp) {
        self.unknown.try_insert((pool.id.clone(), pool.version, id.as_str().to_owned()), (), now);
    }

    pub(crate) fn insert(&mut self, pool: &Snapshot, now: Timestamp, models: Arc<Vec<Model>>) {
        if self.lists.len() >= MAX_LISTS {
            self.lists.clear();
        }
        let listing =
            Listing { models, read_at: now, version: pool.version, refreshing_until: Timestamp::MIN };
        self.lists.insert(pool.id.clone(), listing);
    }
}

/// Returns `true` if a time set `length` ago or less is in the future. A time further away means
/// that the clock was set back.
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
            assert_eq!(is_within(until, NEGATIVE_TTL, at(now)), expected, "{now}");
        }
    }
}
