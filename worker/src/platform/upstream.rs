//! Upstream requests: how Gemini is called over HTTP.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode};
use jiff::Timestamp;
use pool_shared::GeminiKey;

use super::{MaybeSend, MaybeSync, UpstreamError};

/// Calls to Gemini over HTTP. It follows no redirects and adds no headers of its own beyond those
/// that HTTP itself needs.
pub trait Upstream: MaybeSend + MaybeSync {
    /// The body of an answer.
    type Body: UpstreamBody;

    /// Whether calls can also be made from [`Egress::Elsewhere`].
    fn has_elsewhere(&self) -> bool {
        false
    }

    /// Sends a request and waits for the answer's status and headers.
    fn send(
        &self,
        request: UpstreamRequest,
    ) -> impl Future<Output = Result<UpstreamResponse<Self::Body>, UpstreamError>> + MaybeSend;
}

/// The body of an answer from Gemini. Dropping it before its end closes the connection.
pub trait UpstreamBody: MaybeSend {
    /// The next piece; `None` at the end.
    fn chunk(&mut self) -> impl Future<Output = Result<Option<Bytes>, UpstreamError>> + MaybeSend;

    /// All that is left of it, where that is no longer than `limit` bytes.
    fn whole(&mut self, limit: usize) -> impl Future<Output = Result<Bytes, UpstreamError>> + MaybeSend
    where
        Self: Sized,
    {
        read_whole(self, limit)
    }
}

/// Reads a body chunk by chunk to its end.
pub(crate) async fn read_whole(body: &mut impl UpstreamBody, limit: usize) -> Result<Bytes, UpstreamError> {
    let mut whole = Vec::new();
    while let Some(chunk) = body.chunk().await? {
        whole.extend_from_slice(&chunk);
        if whole.len() > limit {
            return Err(UpstreamError::longer_than(limit));
        }
    }
    Ok(whole.into())
}

/// Where a call to Gemini comes from. Gemini does not serve every place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Egress {
    /// Where this code runs.
    #[default]
    Here,
    /// A place that Gemini serves, where the host has one ([`Upstream::has_elsewhere`]).
    Elsewhere,
}

/// In which header a Gemini key travels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Credential {
    /// `x-goog-api-key`, as the Gemini API takes it.
    #[default]
    ApiKey,
    /// `Authorization: Bearer`, as Google's OpenAI endpoint takes it
    /// (<https://ai.google.dev/gemini-api/docs/openai>).
    Bearer,
}

/// A request to Gemini. Exactly one credential travels with it.
#[derive(Clone, Debug)]
pub struct UpstreamRequest {
    /// GET or POST.
    pub method: Method,
    /// Path and query, from `/v1beta/…`. Never holds a secret.
    pub path: String,
    /// The Gemini key.
    pub key: GeminiKey,
    /// How it travels.
    pub credential: Credential,
    /// A body; none for GET.
    pub body: Option<Bytes>,
    /// What the body is.
    pub content_type: HeaderValue,
    /// Where it is sent from.
    pub egress: Egress,
}

/// The `content-type` of JSON.
pub const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// An answer from Gemini whose body is still to be read.
#[derive(Debug)]
pub struct UpstreamResponse<B> {
    /// Its status.
    pub status: StatusCode,
    /// Its `content-type`.
    pub content_type: Option<HeaderValue>,
    /// How long it asks to wait, in its `retry-after`.
    pub retry_after: Option<RetryAfter>,
    /// Its body.
    pub body: B,
}

/// When a `retry-after` says to come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryAfter {
    /// After this time.
    In(Duration),
    /// At this time.
    At(Timestamp),
}

impl RetryAfter {
    /// Returns how long that is from `now`.
    #[must_use]
    pub fn from(self, now: Timestamp) -> Duration {
        match self {
            Self::In(duration) => duration,
            Self::At(time) if time > now => time.duration_since(now).unsigned_abs(),
            Self::At(_) => Duration::ZERO,
        }
    }
}

/// Reads a `retry-after`: seconds, or an HTTP date (RFC 9110, section 10.2.3).
#[must_use]
pub fn retry_after(header: Option<&str>) -> Option<RetryAfter> {
    let header = header?.trim();
    if let Ok(seconds) = header.parse() {
        return Some(RetryAfter::In(Duration::from_secs(seconds)));
    }
    let date = httpdate::parse_http_date(header).ok()?;
    let since_epoch = date.duration_since(std::time::SystemTime::UNIX_EPOCH).ok()?;
    let seconds = i64::try_from(since_epoch.as_secs()).ok()?;
    Timestamp::from_second(seconds).ok().map(RetryAfter::At)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retry_after_is_seconds_or_a_date() {
        let now = Timestamp::from_second(784_111_777).unwrap();
        for (header, seconds) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
            ("Sunday, 06-Nov-94 08:50:37 GMT", Some(60)),
            ("Sun Nov  6 08:50:37 1994", Some(60)),
            ("Sun, 06 Nov 1994 08:49:00 GMT", Some(0)),
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            ("1.5", None),
            ("-1", None),
            ("soon", None),
            ("", None),
        ] {
            let wait = retry_after(Some(header)).map(|retry_after| retry_after.from(now));
            assert_eq!(wait, seconds.map(Duration::from_secs), "{header}");
        }
        assert_eq!(retry_after(None), None);
    }
}
