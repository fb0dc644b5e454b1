//! Bounded cache whose entries expire after a fixed time.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use pool_engine::shifted;

/// A map of at most `capacity` entries, each valid for `ttl` from its insertion. An entry further in
/// the future than its TTL was inserted before the clock was set back, and counts as expired.
#[derive(Debug)]
pub struct TtlCache<K, V> {
    entries: HashMap<K, (Timestamp, V)>,
    ttl: Duration,
    capacity: usize,
}

impl<K: Eq + Hash, V> TtlCache<K, V> {
    /// Builds an empty cache.
    #[must_use]
    pub fn new(ttl: Duration, capacity: usize) -> Self {
        Self { entries: HashMap::new(), ttl, capacity }
    }

    /// Returns a value that has not expired.
    pub fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q, now: Timestamp) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.entries.get(key).filter(|(since, _)| is_fresh(*since, now, self.ttl)).map(|(_, value)| value)
    }

    /// Inserts or replaces a value. When the cache is full, expired entries are removed; if it is still
    /// full, nothing is inserted, and `false` is returned.
    pub fn try_insert(&mut self, key: K, value: V, now: Timestamp) -> bool {
        let Self { entries, ttl, capacity } = self;
        if entries.len() >= *capacity && !entries.contains_key(&key) {
            entries.retain(|_, (since, _)| is_fresh(*since, now, *ttl));
            if entries.len() >= *capacity {
                return false;
            }
        }
        entries.insert(key, (now, value));
        true
    }

    /// Inserts or replaces a value. When the cache is full of valid entries, all are removed first.
    pub fn insert(&mut self, key: K, value: V, now: Timestamp) {
        let Self { entries, ttl, capacity } = self;
        if entries.len() >= *capacity {
            entries.retain(|_, (since, _)| is_fresh(*since, now, *ttl));
        }
        if entries.len() >= *capacity {
            entries.clear();
        }
        entries.insert(key, (now, value));
    }

    /// Returns a value that has not expired. Changing it does not extend its life.
    pub fn get_mut<Q: Eq + Hash + ?Sized>(&mut self, key: &Q, now: Timestamp) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let ttl = self.ttl;
        let entry = self.entries.get_mut(key);
        entry.filter(|(since, _)| is_fresh(*since, now, ttl)).map(|(_, value)| value)
    }

    /// Removes a value.
    pub fn remove<Q: Eq + Hash + ?Sized>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
    {
        self.entries.remove(key);
    }

    /// Returns the number of entries, expired ones included.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Removes all values.
    pub fn clear(&mut self) {
        self.entries.clear();
    }

    /// Follows a change of the clock, so that entries keep their age.
    pub fn shift(&mut self, by: SignedDuration) {
        self.entries.values_mut().for_each(|(since, _)| *since = shifted(*since, by));
    }
}

fn is_fresh(since: Timestamp, now: Timestamp, ttl: Duration) -> bool {
    now.duration_since(since).unsigned_abs() < ttl
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_mins(1);

    #[test]
    fn entries_expire_and_a_full_cache_accepts_nothing_new() {
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        let mut cache = TtlCache::new(TTL, 2);
        assert!(cache.try_insert("a", 1, at(0)) && cache.try_insert("b", 2, at(30)));
        assert!(!cache.try_insert("c", 3, at(59)) && cache.try_insert("b", 4, at(59)));
        assert_eq!((cache.get("a", at(59)), cache.get("a", at(60))), (Some(&1), None));
        assert!(cache.try_insert("c", 3, at(60)), "the first one has expired");
        assert_eq!((cache.get("b", at(60)), cache.get("c", at(-1))), (Some(&4), None));
        cache.shift(SignedDuration::from_secs(-120));
        assert_eq!((cache.get("b", at(-2)), cache.get("b", at(-1))), (Some(&4), None));
    }

    #[test]
    fn a_full_cache_is_cleared_for_a_new_value_unless_expired_ones_make_room() {
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        let mut cache = TtlCache::new(TTL, 2);
        cache.insert("a", 1, at(0));
        cache.insert("b", 2, at(30));
        cache.insert("c", 3, at(60));
        assert_eq!(
            (cache.get("a", at(60)), cache.get("b", at(60)), cache.get("c", at(60))),
            (None, Some(&2), Some(&3))
        );
        cache.insert("d", 4, at(61));
        assert_eq!((cache.get("b", at(61)), cache.get("d", at(61))), (None, Some(&4)));
        *cache.get_mut("d", at(120)).unwrap() += 1;
        assert_eq!(cache.get("d", at(120)), Some(&5));
        assert_eq!(cache.get_mut("d", at(121)), None);
    }
}
