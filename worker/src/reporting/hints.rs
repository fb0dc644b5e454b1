//! Hints to operators as events, at most one per hour and pool.

use std::time::Duration;

use jiff::Timestamp;
use pool_shared::PoolId;

use crate::platform::TtlCache;

/// How long a pool's hint is not repeated.
const HINT_INTERVAL: Duration = Duration::from_hours(1);
/// Pools remembered at a time.
const MAX_POOLS: usize = 10_000;

/// When each pool had its last hint.
#[derive(Debug)]
pub struct HintMemory(TtlCache<PoolId, ()>);

impl Default for HintMemory {
    fn default() -> Self {
        Self(TtlCache::new(HINT_INTERVAL, MAX_POOLS))
    }
}

impl HintMemory {
    /// Returns `true` if a pool's hint is due, and records it.
    pub(crate) fn is_due(&mut self, pool: &PoolId, now: Timestamp) -> bool {
        if self.0.get(pool, now).is_some() {
            return false;
        }
        self.0.insert(pool.clone(), (), now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_gets_a_hint_once_an_hour_and_any_number_of_pools_may_follow() {
        let mut memory = HintMemory::default();
        let (now, pool) = (Timestamp::UNIX_EPOCH, PoolId::new("pool-a"));
        assert!(memory.is_due(&pool, now) && !memory.is_due(&pool, now));
        assert!(memory.is_due(&PoolId::new("pool-b"), now));
        assert!(memory.is_due(&pool, now + HINT_INTERVAL));
        for number in 0..2 * MAX_POOLS {
            let pool = PoolId::new(format!("pool-other-{number}"));
            assert!(memory.is_due(&pool, now) && !memory.is_due(&pool, now));
        }
    }
}
