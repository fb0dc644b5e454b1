//! The client of a request, as far as its client key has limits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use pool_engine::ClientLimits;
use pool_shared::PoolId;

use crate::platform::lock;
use crate::pools::PoolDirectory;

/// A client whose client key may not do everything.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) rules: Arc<ClientLimits>,
    /// Tokens that this request was estimated to cost and that Gemini has not counted yet.
    pub(crate) estimated: Arc<AtomicU64>,
    /// What it costs at least if nobody ever counts them.
    pub(crate) least: Arc<AtomicU64>,
}

impl Caller {
    pub(crate) fn new(rules: Arc<ClientLimits>) -> Self {
        Self { rules, estimated: Arc::default(), least: Arc::default() }
    }

    /// Takes to account what Gemini counted of one call of the request.
    pub(crate) fn spent(&self, pools: &PoolDirectory, pool: &PoolId, tokens: u64) {
        let estimated = self.estimated.swap(0, Ordering::Relaxed);
        if let Some(runtime) = lock(&pools.states).get_mut(pool) {
            runtime.rate_limiter().correct(&self.rules.id, estimated, tokens);
        }
    }

    /// Takes to account what a request costs that its client gave up before Gemini had counted anything.
    pub(crate) fn given_up(&self, pools: &PoolDirectory, pool: &PoolId) {
        let tokens = self.estimated.load(Ordering::Relaxed).max(self.least.load(Ordering::Relaxed));
        if tokens > 0 {
            self.spent(pools, pool, tokens);
        }
    }
}
