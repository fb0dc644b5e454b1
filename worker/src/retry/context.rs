//! One request on its way through a plane.

use std::sync::Arc;

use crate::attempt::{Caller, Calls};
use crate::crypto::TokenHash;
use crate::pools::Snapshot;
use crate::reporting::RequestLog;
use crate::state::ServiceState;

/// A request whose pool is known. `P` is the plane that serves it, with the caches of its own.
pub(crate) struct Context<'a, H, P> {
    pub(crate) plane: &'a P,
    pub(crate) state: &'a Arc<ServiceState>,
    pub(crate) host: &'a H,
    pub(crate) pool: Arc<Snapshot>,
    /// The client key that it came with; `None` for what the service does on its own.
    pub(crate) client_key: Option<TokenHash>,
    /// Its client; `None` if the client key has no limits.
    pub(crate) caller: Option<Caller>,
    /// Its budget of subrequests.
    pub(crate) calls: Calls,
    /// Its line in the request log.
    pub(crate) log: RequestLog,
}
