//! Responses of the service, before a host converts them to its own type.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use pool_shared::PoolId;
use pool_translate::gemini;
use pool_translate::openai::{ApiError, error_body};

/// A response. `S` is what its body may be other than whole: the data plane streams, the admin API and
/// the web UI do not.
pub struct Reply<S> {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: ReplyBody<S>,
    /// What the host has to run once the response is on its way.
    pub background: BackgroundTask,
}

/// The body of a response.
pub enum ReplyBody<S> {
    /// All of it; empty for none.
    Whole(Bytes),
    /// A body that is sent as it is made.
    Streamed(S),
}

/// Work that is left after a response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BackgroundTask {
    /// A pool whose snapshot is past its soft TTL.
    pub refresh: Option<PoolId>,
    /// A pool whose list of models is past its soft TTL.
    pub refresh_models: Option<PoolId>,
}

impl<S> Reply<S> {
    /// An answer without a body.
    #[must_use]
    pub fn empty(status: StatusCode) -> Self {
        Self {
            status,
            headers: HeaderMap::new(),
            body: ReplyBody::Whole(Bytes::new()),
            background: BackgroundTask::default(),
        }
    }

    /// An answer with a JSON body.
    #[must_use]
    pub fn json(status: StatusCode, body: impl Into<Bytes>) -> Self {
        let reply = Self { body: ReplyBody::Whole(body.into()), ..Self::empty(status) };
        reply.header("content-type", "application/json").header("cache-control", "no-store")
    }

    /// An error in OpenAI's envelope, with the headers that OpenAI's SDKs act on.
    #[must_use]
    pub fn error(error: &ApiError) -> Self {
        Self::refusal(error, error_body(error))
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
