//! Changes that an action makes, and the keys or pools that they apply to.

use pool_shared::{KeyId, PoolId, Weight};

/// A change to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Put into use.
    Enable,
    /// Take out of use.
    Disable,
    /// Set the share of the traffic.
    Weight(Weight),
    /// Try each key with a small request.
    Check,
    /// Forget what was learnt of them.
    Reset,
}

/// What is to be changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Keys of a pool.
    Keys { pool: PoolId, ids: Vec<KeyId> },
    /// Pools.
    Pools(Vec<PoolId>),
}

impl Target {
    /// How many.
    pub fn len(&self) -> usize {
        match self {
            Self::Keys { ids, .. } => ids.len(),
            Self::Pools(ids) => ids.len(),
        }
    }
}
