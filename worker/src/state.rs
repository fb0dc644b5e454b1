//! State shared by both planes: pools, reporting, egress, timeouts and the memory budget of
//! bodies.

use std::sync::Arc;

use pool_shared::PoolId;

use crate::limits::BodyBudget;
use crate::pools::PoolDirectory;
use crate::reporting::Reporter;
use crate::upstream::{EgressMemory, UpstreamTimeouts};

/// The shared state.
pub struct ServiceState {
    pub(crate) pools: Arc<PoolDirectory>,
    pub(crate) reporter: Arc<Reporter>,
    pub(crate) egress: EgressMemory,
    pub(crate) timeouts: UpstreamTimeouts,
    /// The memory budget of large bodies.
    pub(crate) bodies: BodyBudget,
}

impl ServiceState {
    /// Records that a pool was changed: its next use here reads the store, and the next report
    /// informs other instances.
    pub(crate) fn pool_changed(&self, pool: &PoolId) {
        self.reporter.pool_changed(pool);
    }
}
