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
    /// Where the client is, as far as the host can be sure of it.
    pub client_address: Option<IpAddr>,
    /// The origin under which a browser reaches the service.
    pub origin: Option<Origin>,
}

/// The header in which Cloudflare names the client's address, in place of what the client may have sent.
pub const CLIENT_ADDRESS: &str = "cf-connecting-ip";

/// The request headers that the service looks at. A host for which reading headers is dear copies
/// these and no others.
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

/// A client's request body. [`crate::limits::read`] reads it, within bounds of memory and time.
pub trait IncomingBody: MaybeSend {
    /// Whether a body of announced length comes as one chunk.
    const IS_WHOLE: bool;

    /// How long it says that it is; the host holds it to that.
    fn announced(&self) -> Option<usize>;

    /// The next piece; `None` at the end.
    fn chunk(&mut self) -> impl Future<Output = Result<Option<Bytes>, IncomingBodyError>> + MaybeSend;

    /// Reads the next piece only to throw it away, and tells its length; `None` at the end.
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
    /// Longer than the limit.
    #[error("the body is larger than the limit")]
    TooLarge,
    /// Other bodies have all the memory that there is for bodies.
    #[error("too many large bodies at once")]
    NoRoom,
    /// It came too slowly, or not to its end.
    #[error("the body arrived too slowly")]
    TooSlow,
    /// The client went away.
    #[error("the body ended early")]
    Broken,
}
