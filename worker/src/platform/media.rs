//! Fetches of media that a request names by URL.

use http::StatusCode;
use url::Url;

use super::{MaybeSend, MaybeSync, UpstreamBody, UpstreamError};

/// Fetches media by URL, only if [`crate::ssrf_guard::guard`] allows the URL. A host that resolves
/// names itself connects to public addresses only. It follows no redirects, sends no credentials
/// and no cookies, and uses no proxy.
pub trait MediaFetch: MaybeSend + MaybeSync {
    /// The body of a response.
    type Body: UpstreamBody;

    /// Sends a GET and waits for status and headers.
    fn get(
        &self,
        url: &Url,
    ) -> impl Future<Output = Result<MediaResponse<Self::Body>, UpstreamError>> + MaybeSend;
}

/// The `accept` header of a [`MediaFetch`].
pub(crate) const ACCEPTED_MEDIA: &str = "image/*, audio/*, video/*, application/pdf";
/// Its `user-agent` header, which some servers require.
pub(crate) const MEDIA_AGENT: &str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));

/// A response with an unread body.
#[derive(Debug)]
pub struct MediaResponse<B> {
    /// Its status.
    pub status: StatusCode,
    /// Its `location`, as the server sent it.
    pub location: Option<String>,
    /// Its `content-type`.
    pub content_type: Option<String>,
    /// Its `content-length`.
    pub content_length: Option<u64>,
    /// Its body.
    pub body: B,
}
