//! Upstream requests: how Gemini is called over HTTP.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode};
use jiff::Timestamp;
use pool_shared::GeminiKey;

use super::{MaybeSend, MaybeSync, UpstreamError};

/// Client for upstream requests over HTTP. It follows no redirects and adds only the headers that
/// HTTP requires.
pub trait Upstream: MaybeSend + MaybeSync {
    /// The body of a response.
    type Body: UpstreamBody;

    /// Returns `true` if requests can also be sent from [`Egress::Elsewhere`].
    fn has_elsewhere(&self) -> bool {
        false
    }

    /// Sends a request and waits for status and headers.
    fn send(
        &self,
        request: UpstreamRequest,
    ) -> impl Future<Output = Result<UpstreamResponse<Self::Body>, UpstreamError>> + MaybeSend;
}

/// The body of an upstream response. Dropping it before its end closes the connection.
pub trait UpstreamBody: MaybeSend {
    /// Returns the next chunk; `None` at the end.
    fn chunk(&mut self) -> impl Future<Output = Result<Option<Bytes>, UpstreamError>> + MaybeSend;

    /// Returns the rest of the body, up to `limit` bytes.
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

/// The egress of an upstream request. Gemini does not serve every region.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Egress {
    /// The region where this code runs.
    #[default]
    Here,
    /// A region that Gemini serves, if the host has one ([`Upstream::has_elsewhere`]).
    Elsewhere,
}

/// The header of the Gemini key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Credential {
    /// `x-goog-api-key`, for the native API.
    #[default]
    ApiKey,
    /// `Authorization: Bearer`, for Google's OpenAI-compatible endpoint
    /// (<https://ai.google.dev/gemini-api/docs/openai>).
    Bearer,
}

/// A request to Gemini. It carries exactly one credential.
#[derive(Clone, Debug)]
pub struct UpstreamRequest {
    /// GET or POST.
    pub method: Method,
    /// Path and query, from `/v1beta/…`. Never holds a secret.
    pub path: String,
    /// The Gemini key.
    pub key: GeminiKey,
    /// Its header.
    pub credential: Credential,
    /// The body; `None` for GET.
    pub body: Option<Bytes>,
    /// The body's `content-type`.
    pub content_type: HeaderValue,
    /// Its egress.
    pub egress: Egress,
}

/// The `content-type` of JSON.
pub const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// An upstream response with an unread body.
#[derive(Debug)]
pub struct UpstreamResponse<B> {
    /// Its status.
    pub status: StatusCode,
    /// Its `content-type`.
    pub content_type: Option<HeaderValue>,
    /// Its `retry-after`.
    pub retry_after: Option<RetryAfter>,
    /// Its body.
    pub body: B,
}

/// A parsed `retry-after`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryAfter {
    /// After this time.
    In(Duration),
    /// At this time.
    At(Timestamp),
}

impl RetryAfter {
    /// Returns the delay from `now`.
    #[must_use]
    pub fn from(self, now: Timestamp) -> Duration {
        match self {
            Self::In(duration) => duration,
            Self::At(time) if time > now => time.duration_since(now).unsigned_abs(),
            Self::At(_) => Duration::ZERO,
        }
    }
}

/// Parses a `retry-after`: seconds, or an HTTP date (RFC 9110, section 10.2.3).
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
