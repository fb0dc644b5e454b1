//! What the service needs from the machine it runs on, as traits.
//!
//! Six things come from a host: the config store ([`crate::store::ConfigStore`]), the ledger
//! ([`crate::ledger::Ledger`]), calls to Gemini ([`Upstream`]), media from the internet ([`MediaFetch`]),
//! time ([`Clock`]) and randomness ([`Random`]). Nothing outside this module's two children names a platform.
//!
//! *Send or not.* Futures on Workers hold JavaScript values and cannot be `Send`; tokio's tasks
//! have to be. [`MaybeSend`] is `Send` off wasm and nothing on wasm, so one generic core
//! serves both.

#[cfg(target_arch = "wasm32")]
pub mod cloudflare;
#[cfg(not(target_arch = "wasm32"))]
pub mod native;
mod random;

use std::future::Future;
use std::net::IpAddr;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{Either, select};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use jiff::{SignedDuration, Timestamp};
use pool_shared::{GeminiKey, GeminiRoute};
use url::Url;

pub use random::SystemRandom;

use crate::origin::Origin;

#[cfg(not(target_arch = "wasm32"))]
mod bounds {
    /// `Send` where there are threads.
    pub trait MaybeSend: Send {}
    impl<T: Send + ?Sized> MaybeSend for T {}
    /// `Sync` where there are threads.
    pub trait MaybeSync: Sync {}
    impl<T: Sync + ?Sized> MaybeSync for T {}
    /// A stream of any type.
    pub type BoxedStream<T> = futures_util::stream::BoxStream<'static, T>;
    /// A future of any type.
    pub type BoxedFuture<T> = futures_util::future::BoxFuture<'static, T>;
}

#[cfg(target_arch = "wasm32")]
mod bounds {
    /// `Send` where there are threads.
    pub trait MaybeSend {}
    impl<T: ?Sized> MaybeSend for T {}
    /// `Sync` where there are threads.
    pub trait MaybeSync {}
    impl<T: ?Sized> MaybeSync for T {}
    /// A stream of any type.
    pub type BoxedStream<T> = futures_util::stream::LocalBoxStream<'static, T>;
    /// A future of any type.
    pub type BoxedFuture<T> = futures_util::future::LocalBoxFuture<'static, T>;
}

pub use bounds::{BoxedFuture, BoxedStream, MaybeSend, MaybeSync};

/// Everything that a host supplies.
pub trait Host: MaybeSend + MaybeSync + 'static {
    /// Where configuration is read; a host that also runs the admin API has a
    /// [`crate::store::ConfigStore`] here, and with it is an [`AdminHost`].
    type Store: crate::store::PoolReader;
    /// Where counts are kept.
    type Ledger: crate::ledger::Ledger;
    /// How Gemini is called.
    type Upstream: Upstream;
    /// How media are fetched that a request names by URL.
    type Media: MediaFetch;
    /// Time.
    type Clock: Clock;
    /// Randomness.
    type Random: Random;

    /// The longest request body of the data plane.
    const BODY_BYTES: usize = crate::limits::BODY;
    /// How many bytes of larger bodies are worked on at once at most.
    const BODIES_AT_ONCE: usize = crate::limits::BODIES;
    /// How many bytes are fetched for one request at most. Gemini takes 100 MB inline; Workers have memory for less.
    const MEDIA_BYTES: usize = 20 * 1024 * 1024;
    /// The most calls to other servers that a request may make: Cloudflare's free plan ends it at the 51st.
    const CALLS_OF_A_REQUEST: u32 = 48;
    /// The most keys that are tried again a time: a cron run on the free plan may make 50 calls.
    const CHECKS_AT_A_TIME: usize = 20;
    /// When a body's share of that counts as lost: where the runtime ends a request without dropping its future, since
    /// the client left, nothing gives it back. Few answers take so long to begin.
    const BODY_LOST_AFTER: Option<SignedDuration> = Some(SignedDuration::from_mins(2));

    /// Which host this is: `cloudflare` or `native`.
    fn name(&self) -> &'static str;
    /// Whether a fetch of a URL of the service's own zone goes past what protects it; `None` where there is no such zone
    /// or nobody can tell.
    fn own_zone_is_reachable(&self) -> Option<bool> {
        None
    }
    /// How Gemini is called; `None` where a runtime decides that.
    fn gemini_route(&self) -> Option<GeminiRoute> {
        None
    }
    /// A proxy nearby that passes requests on and is not trusted to tell from whom, if one was seen. It stands for all of its
    /// clients then, in limits and in lists of networks.
    fn untrusted_proxy(&self) -> Option<IpAddr> {
        None
    }
    /// A text in Unicode's normalisation form KC.
    fn nfkc(text: &str) -> String;
    /// The config store.
    fn store(&self) -> &Self::Store;
    /// The ledger.
    fn ledger(&self) -> &Self::Ledger;
    /// Calls to Gemini.
    fn upstream(&self) -> &Self::Upstream;
    /// Fetches of media.
    fn media(&self) -> &Self::Media;
    /// Time.
    fn clock(&self) -> &Self::Clock;
    /// Randomness.
    fn random(&self) -> &Self::Random;
}

/// A host whose config can be changed.
pub trait AdminHost: Host<Store: crate::store::ConfigStore> {}

impl<H: Host<Store: crate::store::ConfigStore>> AdminHost for H {}

/// Time. On Workers it stands still while code computes and moves with every I/O.
pub trait Clock: MaybeSend + MaybeSync {
    /// Now.
    fn now(&self) -> Timestamp;
    /// Adopts the time that the machine's clock was set to, where [`Self::now`] has gone on without a jump. Returns by
    /// how much `now` moved by that. A host whose clock is never set has nothing to do.
    fn correct(&self) -> Option<SignedDuration> {
        None
    }
    /// Resolves after `duration`.
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + MaybeSend;

    /// Waits for `work`, at most for `limit`; `None` when it takes longer. It is pinned where it was made: a future that
    /// holds another one by value is twice as large, and is copied as often as it is handed on.
    fn within<F: Future + MaybeSend + Unpin>(
        &self,
        limit: Duration,
        work: F,
    ) -> impl Future<Output = Option<F::Output>> + MaybeSend {
        async move {
            match select(work, pin!(self.sleep(limit))).await {
                Either::Left((done, _)) => Some(done),
                Either::Right(_) => None,
            }
        }
    }
}

/// Randomness that is good enough for keys.
pub trait Random: MaybeSend + MaybeSync {
    /// Fills `bytes` with random bytes.
    fn fill(&self, bytes: &mut [u8]);

    /// 64 random bits.
    fn next_u64(&self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }
}

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

/// GETs of what a request names by URL. Only for URLs that [`crate::fetch_guard::guard`] has let through; a host that
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

/// Gemini could not be reached or the connection broke. Never blames a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamError {
    /// No connection, or no answer on it.
    #[error("Gemini could not be reached: {0}")]
    Connect(String),
    /// This process may have no more files or sockets open. What the system said is for the log.
    #[error("Gemini could not be reached: the service has no connection to spare")]
    NoSocket(String),
    /// The connection broke in the middle of an answer.
    #[error("the connection to Gemini broke: {0}")]
    Read(String),
    /// The time allowed for it ran out.
    #[error("Gemini sent {awaited} within {} s", limit.as_secs())]
    Timeout {
        /// The time that was allowed.
        limit: Duration,
        /// What did not come.
        awaited: Awaited,
    },
}

/// What a call to Gemini waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// The headers of the response.
    Headers,
    /// All of the response.
    Response,
    /// More of a response that has begun.
    More,
}

impl std::fmt::Display for Awaited {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Headers => "no response headers",
            Self::Response => "no complete response",
            Self::More => "nothing more of its response",
        })
    }
}

impl UpstreamError {
    /// What the log is told beyond the text of the error.
    #[must_use]
    pub fn cause(&self) -> Option<&str> {
        match self {
            Self::NoSocket(cause) => Some(cause),
            Self::Connect(_) | Self::Read(_) | Self::Timeout { .. } => None,
        }
    }

    fn longer_than(limit: usize) -> Self {
        Self::Read(format!("more than {limit} bytes"))
    }
}

/// A request from a client, as a host hands it to [`crate::service::Service`].
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
    #[error("the body came too slowly")]
    TooSlow,
    /// The client went away.
    #[error("the body ended early")]
    Broken,
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
