//! Where calls to Gemini come from.
//!
//! In: that Gemini refused the place where this code runs. Out: from where the next call is made. What
//! must never happen here: a key that is blamed for the place.

use std::sync::Mutex;
use std::time::Duration;

use jiff::Timestamp;

use crate::platform::lock;
use crate::platform::{Clock, Egress, Upstream};
use crate::ports::Host;
use pool_engine::Cause;

/// How long calls go the longer way after a refusal. An isolate stays where it is, but an address that
/// was taken for one of another country is put right some time.
const REFUSED_FOR: Duration = Duration::from_mins(10);

/// Until when this place is left alone.
#[derive(Debug, Default)]
pub struct EgressMemory(Mutex<Option<Timestamp>>);

impl EgressMemory {
    /// From where a call is made now.
    pub(crate) fn at(&self, now: Timestamp) -> Egress {
        if lock(&self.0).is_some_and(|until| until > now) { Egress::Elsewhere } else { Egress::Here }
    }

    /// Takes in why Gemini refused. Only where the host has another place does that of a call matter.
    pub(crate) fn refused<H: Host>(&self, cause: Cause, host: &H) {
        if cause == Cause::Location && host.upstream().has_elsewhere() {
            *lock(&self.0) = Some(host.clock().now() + REFUSED_FOR);
        }
    }
}
