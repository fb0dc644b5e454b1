//! Responses of the service, before a host converts them to its own type.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use pool_shared::PoolId;
use pool_translate::ApiError;
use pool_translate::gemini;
use pool_translate::openai::error_body;

/// A response. `S` is the type of streamed bodies: the data plane streams, the admin API and the
/// web UI do not.
pub struct Reply<S> {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: ReplyBody<S>,
    /// Work for the host to run after the response is sent.
    pub background: BackgroundTask,
}

/// The body of a response.
pub enum ReplyBody<S> {
    /// The whole body; empty for none.
    Whole(Bytes),
    /// A streamed body.
    Streamed(S),
}

/// Background work after a response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BackgroundTask {
    /// A pool whose snapshot is past its soft TTL.
    pub refresh: Option<PoolId>,
    /// A pool whose list of models is past its soft TTL.
    pub refresh_models: Option<PoolId>,
}

impl<S> Reply<S> {
    /// Creates a response without a body.
    #[must_use]
    pub fn empty(status: StatusCode) -> Self {
        Self {
            status,
            headers: HeaderMap::new(),
            body: ReplyBody::Whole(Bytes::new()),
            background: BackgroundTask::default(),
        }
    }

    /// Creates a response with a JSON body.
    #[must_use]
    pub fn json(status: StatusCode, body: impl Into<Bytes>) -> Self {
        let reply = Self { body: ReplyBody::Whole(body.into()), ..Self::empty(status) };
        reply.header("content-type", "application/json").header("cache-control", "no-store")
    }

    /// Creates an error in OpenAI's format, with the headers that OpenAI's SDKs use.
    #[must_use]
    pub fn error(error: &ApiError) -> Self {
        Self::refusal(error, error_body(error))
    }

    /// Creates an error in Gemini's format.
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

    /// Sets a header, unless its value is invalid.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(HeaderName::from_static(name), value);
        }
        self
    }
}
