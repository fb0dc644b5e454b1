//! What the service answers, before a host turns it into its own kind of response.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::gateway::{EventStream, OutgoingEvents};
use crate::gemini;
use crate::host::{Host, Upstream};
use crate::openai::ApiError;
use crate::service::FollowUp;

/// An answer.
pub struct Reply<H: Host> {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: ReplyBody<H>,
    /// What the host has to do once the answer is on its way.
    pub follow_up: FollowUp,
}

/// The body of an answer.
pub enum ReplyBody<H: Host> {
    /// All of it; empty for none.
    Whole(Bytes),
    /// Server-sent events, as Gemini makes them.
    Events(OutgoingEvents<H>),
    /// The body of Gemini's answer, to be sent on as it comes. Dropping it before its end closes the connection to
    /// Gemini.
    Untouched(<H::Upstream as Upstream>::Body),
}

impl<H: Host> Reply<H> {
    /// An answer without a body.
    #[must_use]
    pub fn empty(status: StatusCode) -> Self {
        Self {
            status,
            headers: HeaderMap::new(),
            body: ReplyBody::Whole(Bytes::new()),
            follow_up: FollowUp::default(),
        }
    }

    /// An answer with a JSON body.
    #[must_use]
    pub fn json(status: StatusCode, body: impl Into<Bytes>) -> Self {
        let reply = Self { body: ReplyBody::Whole(body.into()), ..Self::empty(status) };
        reply.header("content-type", "application/json").header("cache-control", "no-store")
    }

    /// A stream of events.
    #[must_use]
    pub fn events(events: EventStream<H>) -> Self {
        let reply = Self {
            body: ReplyBody::Events(OutgoingEvents::Plain(Box::new(events))),
            ..Self::empty(StatusCode::OK)
        };
        reply
            .header("content-type", "text/event-stream; charset=utf-8")
            .header("cache-control", "no-store, no-transform")
            .header("x-accel-buffering", "no")
    }

    /// An error in OpenAI's envelope, with the headers that OpenAI's SDKs act on.
    #[must_use]
    pub fn error(error: &ApiError) -> Self {
        Self::refusal(error, error.body())
    }

    /// The same in Gemini's envelope.
    #[must_use]
    pub fn gemini_error(error: &ApiError) -> Self {
        Self::refusal(error, gemini::error_document(error))
    }

    fn refusal(error: &ApiError, body: Vec<u8>) -> Self {
        let mut reply = Self::json(error.status, body);
        if let Some(milliseconds) = error.retry_after_ms {
            reply = reply
                .header("retry-after", &milliseconds.div_ceil(1_000).to_string())
                .header("retry-after-ms", &milliseconds.to_string());
        }
        if let Some(should_retry) = error.should_retry {
            reply = reply.header("x-should-retry", if should_retry { "true" } else { "false" });
        }
        reply
    }

    /// Sets a header. A value that cannot stand in a header is left out.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(HeaderName::from_static(name), value);
        }
        self
    }
}
