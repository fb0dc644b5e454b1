//! Bodies of the data plane that are sent as they are made.

use http::StatusCode;

use super::{EventStream, OutgoingEvents};
use crate::platform::{Platform, Upstream};
use crate::ports::Host;
use crate::reply::{self, ReplyBody};

/// A response of the data plane.
pub type Reply<H> = reply::Reply<Streamed<H>>;

/// A body that is sent as it is made. Dropping it before its end closes the connection to Gemini.
pub enum Streamed<H: Host> {
    /// Server-sent events.
    Events(OutgoingEvents<H>),
    /// The body of Gemini's response, forwarded unchanged.
    Unchanged(<<H as Platform>::Upstream as Upstream>::Body),
}

/// Returns a response that streams events.
#[must_use]
pub(crate) fn events<H: Host>(events: EventStream<H>) -> Reply<H> {
    let events = OutgoingEvents::Plain(Box::new(events));
    Reply { body: ReplyBody::Streamed(Streamed::Events(events)), ..Reply::empty(StatusCode::OK) }
        .header("content-type", "text/event-stream; charset=utf-8")
        .header("cache-control", "no-store, no-transform")
        .header("x-accel-buffering", "no")
}
