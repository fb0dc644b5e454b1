//! The runtimes of all pools that an isolate or process serves.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use pool_shared::PoolId;

use super::{Learnt, PoolKey, Runtime, shifted};

/// How many keys all runtimes together may know: some 3 MB at 30 bytes each, 30 MB where Gemini has spoken of every key.
const MOST_KEYS: usize = 100_000;

/// [`Runtime`]s by pool. What is dropped for want of room is learnt again.
#[derive(Debug, Default)]
pub struct Runtimes(HashMap<PoolId, (Timestamp, Runtime)>);

impl Runtimes {
    /// The runtime of a pool, made where there is none.
    pub fn of(&mut self, pool: &PoolId, now: Timestamp) -> &mut Runtime {
        if !self.0.contains_key(pool) {
            self.make_room();
        }
        let (used_at, runtime) = self.0.entry(pool.clone()).or_default();
        *used_at = now;
        runtime
    }

    /// The runtime of a pool, if there is one.
    pub fn get_mut(&mut self, pool: &PoolId) -> Option<&mut Runtime> {
        self.0.get_mut(pool).map(|(_, runtime)| runtime)
    }

    /// Takes a cooldown over that the same key has in another pool: its project and that project's quotas are the same.
    /// Returns `true` if there is one.
    pub fn adopt(&mut self, key: &PoolKey, others: &[PoolKey], model: &str, now: Timestamp) -> bool {
        let cooldown = |(pool, key): &PoolKey| self.0.get(pool)?.1.quota_cooldown(key, model, now);
        let longest = others.iter().filter_map(cooldown).max_by_key(|cooldown| cooldown.until);
        let (pool, key) = key;
        longest.is_some_and(|cooldown| self.of(pool, now).adopt(key, model, cooldown, now))
    }

    /// What was learnt in all pools since the last call.
    pub fn take_learnt(&mut self, now: Timestamp) -> Vec<(PoolId, Vec<Learnt>)> {
        let learnt = |(pool, (_, runtime)): (&PoolId, &mut (Timestamp, Runtime))| {
            let learnt = runtime.take_learnt(now);
            (!learnt.is_empty()).then(|| (pool.clone(), learnt))
        };
        self.0.iter_mut().filter_map(learnt).collect()
    }

    /// The clock was set: whatever lasts goes on as long as it would have.
    pub fn shift(&mut self, by: SignedDuration, now: Timestamp) {
        for (used_at, runtime) in self.0.values_mut() {
            *used_at = shifted(*used_at, by);
            runtime.shift(by, now);
        }
    }

    /// The pools in which a key is to be tried again now, as far as that is known before the pool's keys
    /// are.
    #[must_use]
    pub fn due(&self, now: Timestamp) -> Vec<PoolId> {
        let due = self.0.iter().filter(|(_, (_, runtime))| runtime.has_due_rechecks(now));
        due.map(|(pool, _)| pool.clone()).collect()
    }

    fn make_room(&mut self) {
        let mut keys: usize = self.0.values().map(|(_, runtime)| runtime.key_count()).sum();
        while keys > MOST_KEYS {
            let oldest = self.0.iter().min_by_key(|(_, (used_at, _))| *used_at).map(|(pool, _)| pool.clone());
            let Some((_, dropped)) = oldest.and_then(|pool| self.0.remove(&pool)) else { return };
            keys -= dropped.key_count();
        }
    }
}
