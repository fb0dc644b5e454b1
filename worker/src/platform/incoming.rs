//! Client requests as hosts hand them to the service.

use std::net::IpAddr;

use bytes::Bytes;
use http::{HeaderMap, Method};

use super::MaybeSend;
use crate::origin::Origin;

/// Maximum request body of the admin API, and of the data plane on a host with little memory: 32 MiB,
/// enough for some inline images.
pub const MAX_BODY: usize = 32 * 1024 * 1024;

/// A client's request, as a host hands it to the router.
pub struct IncomingRequest<B> {
    /// Its method.
    pub method: Method,
    /// The path, still percent-encoded.
    pub path: String,
    /// The query without its `?`, still percent-encoded.
    pub query: Option<String>,
    /// At least the headers named in [`REQUEST_HEADERS`], where the client sent them.
    pub headers: HeaderMap,
    /// The body, unread.
    pub body: B,
    /// The client's address, if the host can trust it.
    pub client_address: Option<IpAddr>,
    /// The origin under which a browser reaches the service.
    pub origin: Option<Origin>,
}

/// The header in which Cloudflare sends the client's address; it overwrites what the client sent.
pub const CLIENT_ADDRESS: &str = "cf-connecting-ip";

/// The request headers that the service reads. A host where reading headers is expensive copies
/// only these.
pub const REQUEST_HEADERS: &[&str] = &[
    "authorization",
    "x-api-key",
    "x-goog-api-key",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "origin",
    "sec-fetch-site",
    "access-control-request-headers",
    CLIENT_ADDRESS,
];

/// A client's request body. [`crate::limits::read`] reads it within limits of memory and time.
pub trait IncomingBody: MaybeSend {
    /// Whether a body with a content length arrives as one chunk.
    const IS_WHOLE: bool;

    /// Returns the content length, which the host enforces.
    fn announced(&self) -> Option<usize>;

    /// Returns the next chunk; `None` at the end.
    fn chunk(&mut self) -> impl Future<Output = Result<Option<Bytes>, IncomingBodyError>> + MaybeSend;

    /// Discards the next chunk and returns its length; `None` at the end.
    fn skip(&mut self) -> impl Future<Output = Result<Option<usize>, IncomingBodyError>> + MaybeSend
    where
        Self: Sized,
    {
        async { Ok(self.chunk().await?.map(|chunk| chunk.len())) }
    }
}

/// Why a body could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IncomingBodyError {
    /// The body exceeds the limit.
    #[error("the body is larger than the limit")]
    TooLarge,
    /// The memory budget of bodies is used up.
    #[error("too many large bodies at once")]
    NoRoom,
    /// The body stalled or was too slow.
    #[error("the body came too slowly")]
    TooSlow,
    /// The client disconnected.
    #[error("the body ended early")]
    Broken,
}
