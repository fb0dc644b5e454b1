//! The states of all pools that an instance serves.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use pool_shared::PoolId;

use super::{Observation, PoolKey, PoolState, shifted};

/// How many keys all runtimes together may know: some 3 MB at 30 bytes each, 30 MB where Gemini has spoken of every key.
const MAX_KEYS: usize = 100_000;

/// [`PoolState`]s by pool. The least recently used ones are evicted and observed again.
#[derive(Debug, Default)]
pub struct PoolStates(HashMap<PoolId, (Timestamp, PoolState)>);

impl PoolStates {
    /// Returns the state of a pool, which is created if there is none.
    pub fn of(&mut self, pool: &PoolId, now: Timestamp) -> &mut PoolState {
        if !self.0.contains_key(pool) {
            self.evict();
        }
        let (used_at, state) = self.0.entry(pool.clone()).or_default();
        *used_at = now;
        state
    }

    /// Returns the state of a pool, if there is one.
    pub fn get_mut(&mut self, pool: &PoolId) -> Option<&mut PoolState> {
        self.0.get_mut(pool).map(|(_, state)| state)
    }

    /// Takes a cooldown over that the same key has in another pool: its project and that project's quotas are the same.
    /// Returns `true` if there is one.
    pub fn adopt(&mut self, key: &PoolKey, others: &[PoolKey], model: &str, now: Timestamp) -> bool {
        let cooldown = |(pool, key): &PoolKey| self.0.get(pool)?.1.quota_cooldown(key, model, now);
        let longest = others.iter().filter_map(cooldown).max_by_key(|cooldown| cooldown.until);
        let (pool, key) = key;
        longest.is_some_and(|cooldown| self.of(pool, now).adopt(key, model, cooldown, now))
    }

    /// Returns the observations of all pools since the last call.
    pub fn drain_observations(&mut self, now: Timestamp) -> Vec<(PoolId, Vec<Observation>)> {
        let drain = |(pool, (_, state)): (&PoolId, &mut (Timestamp, PoolState))| {
            let observations = state.drain_observations(now);
            (!observations.is_empty()).then(|| (pool.clone(), observations))
        };
        self.0.iter_mut().filter_map(drain).collect()
    }

    /// Adjusts all times after the clock was set: cooldowns keep their remaining length.
    pub fn shift(&mut self, by: SignedDuration, now: Timestamp) {
        for (used_at, state) in self.0.values_mut() {
            *used_at = shifted(*used_at, by);
            state.shift(by, now);
        }
    }

    /// Returns the pools in which a key is to be tried again now, as far as that is known before the pool's keys
    /// are.
    #[must_use]
    pub fn due(&self, now: Timestamp) -> Vec<PoolId> {
        let due = self.0.iter().filter(|(_, (_, state))| state.has_due_rechecks(now));
        due.map(|(pool, _)| pool.clone()).collect()
    }

    fn evict(&mut self) {
        let mut keys: usize = self.0.values().map(|(_, state)| state.key_count()).sum();
        while keys > MAX_KEYS {
            let oldest = self.0.iter().min_by_key(|(_, (used_at, _))| *used_at).map(|(pool, _)| pool.clone());
            let Some((_, dropped)) = oldest.and_then(|pool| self.0.remove(&pool)) else { return };
            keys -= dropped.key_count();
        }
    }
}
