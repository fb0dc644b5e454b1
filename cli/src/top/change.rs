//! Changes that an action makes, and the keys or pools that they apply to.

use pool_shared::{KeyId, PoolId, Weight};

/// A change of keys or pools.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Enable.
    Enable,
    /// Disable.
    Disable,
    /// Set the weight.
    Weight(Weight),
    /// Check each key with one minimal request.
    Check,
    /// Reset the observed state.
    Reset,
}

/// The keys or pools that a change applies to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Keys of a pool.
    Keys { pool: PoolId, ids: Vec<KeyId> },
    /// Pools.
    Pools(Vec<PoolId>),
}

impl Target {
    /// Returns the number of keys or pools.
    pub fn len(&self) -> usize {
        match self {
            Self::Keys { ids, .. } => ids.len(),
            Self::Pools(ids) => ids.len(),
        }
    }
}
