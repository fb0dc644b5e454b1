//! Egress selection: the region from which upstream requests are sent.
//!
//! # Invariants
//! - An unsupported region never affects key health.

use std::sync::Mutex;
use std::time::Duration;

use jiff::Timestamp;

use crate::platform::lock;
use crate::platform::{Clock, Egress, Upstream};
use crate::ports::Host;
use pool_engine::Cause;

/// TTL of the detour after an unsupported region. An isolate does not move, but a wrong
/// geolocation of its address is corrected eventually.
const EGRESS_TTL: Duration = Duration::from_mins(10);

/// Until when requests take the detour.
#[derive(Debug, Default)]
pub struct EgressMemory(Mutex<Option<Timestamp>>);

impl EgressMemory {
    /// Returns the egress of a request sent now.
    pub(crate) fn at(&self, now: Timestamp) -> Egress {
        if lock(&self.0).is_some_and(|until| until > now) { Egress::Elsewhere } else { Egress::Here }
    }

    /// Records the cause of an upstream error. Only an unsupported region matters, and only if the
    /// host has another one.
    pub(crate) fn refused<H: Host>(&self, cause: Cause, host: &H) {
        if cause == Cause::Location && host.upstream().has_elsewhere() {
            *lock(&self.0) = Some(host.clock().now() + EGRESS_TTL);
        }
    }
}
