//! State that both planes share: the pools, reporting, and what is known of the way to Gemini.

use std::sync::Arc;

use pool_shared::PoolId;

use crate::limits::BodyBudget;
use crate::pools::PoolDirectory;
use crate::reporting::Reporter;
use crate::upstream::{EgressMemory, UpstreamTimeouts};

/// See the module.
pub struct ServiceState {
    pub(crate) pools: Arc<PoolDirectory>,
    pub(crate) reporter: Arc<Reporter>,
    pub(crate) egress: EgressMemory,
    pub(crate) timeouts: UpstreamTimeouts,
    /// The memory budget of large bodies.
    pub(crate) bodies: BodyBudget,
}

impl ServiceState {
    /// Records that a pool was changed: it is read anew here before its next use, and other instances
    /// are told by the next report.
    pub(crate) fn pool_changed(&self, pool: &PoolId) {
        self.reporter.pool_changed(pool);
    }
}
