//! Fetches of media that a request names by URL.

use http::StatusCode;
use url::Url;

use super::{MaybeSend, MaybeSync, UpstreamBody, UpstreamError};

/// GETs of what a request names by URL. Only for URLs that [`crate::ssrf_guard::guard`] has let through; a host that
/// looks names up itself connects to public addresses only. It follows no redirects, sends no credentials and no
/// cookies, and uses no proxy.
pub trait MediaFetch: MaybeSend + MaybeSync {
    /// The body of an answer.
    type Body: UpstreamBody;

    /// Asks for a URL and waits for the answer's status and headers.
    fn get(
        &self,
        url: &Url,
    ) -> impl Future<Output = Result<MediaResponse<Self::Body>, UpstreamError>> + MaybeSend;
}

/// What a [`MediaFetch`] sends as `accept`.
pub(crate) const ACCEPTED_MEDIA: &str = "image/*, audio/*, video/*, application/pdf";
/// What it sends as `user-agent`, without which some servers refuse to answer.
pub(crate) const MEDIA_AGENT: &str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));

/// An answer whose body is still to be read.
#[derive(Debug)]
pub struct MediaResponse<B> {
    /// Its status.
    pub status: StatusCode,
    /// Where it redirects to, as its server wrote it.
    pub location: Option<String>,
    /// Its `content-type`.
    pub content_type: Option<String>,
    /// How long it says that it is.
    pub content_length: Option<u64>,
    /// Its body.
    pub body: B,
}
