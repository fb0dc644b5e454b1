//! Shards of the ledger, and the shard of each pool.

use std::hash::{DefaultHasher, Hash, Hasher};

use pool_shared::PoolId;

/// The number of shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shards(u32);

/// A shard, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shard(u32);

impl Shards {
    /// One shard for everything.
    pub const ONE: Self = Self(1);
    /// Maximum number of shards: a response about all pools queries each of them.
    pub const MAX: u32 = 32;

    /// Parses a setting: a number from 1 to [`Self::MAX`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        text.trim().parse().ok().filter(|count| (1..=Self::MAX).contains(count)).map(Self)
    }

    /// Returns the shard that counts a pool's attempts.
    #[must_use]
    pub fn of(self, pool: &PoolId) -> Shard {
        let count = u64::from(self.0);
        Shard(u32::try_from(hash(pool) % count).unwrap_or_default())
    }

    /// Returns every shard.
    pub fn all(self) -> impl Iterator<Item = Shard> {
        (0..self.0).map(Shard)
    }
}

impl Shard {
    /// Returns its number.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }
}

/// Returns a hash that is equal in all isolates of one version of the service. No count depends on
/// it: all shards, and all parts of a page, are always read together.
pub(super) fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pools_spread_over_all_shards() {
        let shards = Shards::parse("4").unwrap();
        let used: std::collections::BTreeSet<_> =
            (0..100).map(|bits| shards.of(&PoolId::from_random(bits))).collect();
        assert_eq!(used, shards.all().collect());
        assert_eq!(Shards::ONE.of(&PoolId::new("x")), Shard(0));
        assert_eq!([Shards::parse("0"), Shards::parse("33"), Shards::parse("x")], [None; 3]);
    }
}
