//! Hints to operators as events, at most one per hour and pool.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use pool_shared::PoolId;

/// How long a pool's hint is not repeated.
const HINT_INTERVAL: Duration = Duration::from_hours(1);
/// Pools remembered at the same time.
const MAX_POOLS: usize = 10_000;

/// When each pool had its last hint.
#[derive(Debug, Default)]
pub struct HintMemory(HashMap<PoolId, Timestamp>);

impl HintMemory {
    /// Returns `true` if a pool's hint is due, and records it.
    pub(crate) fn is_due(&mut self, pool: &PoolId, now: Timestamp) -> bool {
        let is_recent = |at: &Timestamp| now.duration_since(*at).unsigned_abs() < HINT_INTERVAL;
        if self.0.get(pool).is_some_and(is_recent) {
            return false;
        }
        if self.0.len() >= MAX_POOLS {
            self.0.retain(|_, at| is_recent(at));
        }
        if self.0.len() >= MAX_POOLS {
            self.0.clear();
        }
        self.0.insert(pool.clone(), now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_is_told_once_an_hour_and_memory_is_bounded() {
        let mut memory = HintMemory::default();
        let (now, pool) = (Timestamp::UNIX_EPOCH, PoolId::new("pool-a"));
        assert!(memory.is_due(&pool, now) && !memory.is_due(&pool, now));
        assert!(memory.is_due(&PoolId::new("pool-b"), now));
        assert!(memory.is_due(&pool, now + HINT_INTERVAL));
        for number in 0..2 * MAX_POOLS {
            memory.is_due(&PoolId::new(format!("pool-{number}")), now);
            assert!(memory.0.len() <= MAX_POOLS);
        }
    }
}
