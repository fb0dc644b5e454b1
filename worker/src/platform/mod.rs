//! The ports: what the service needs from the machine it runs on, as traits, and the limits of that
//! machine, as constants.
//!
//! Futures on Workers hold JavaScript values and cannot be `Send`; tokio's tasks must be. [`MaybeSend`]
//! is `Send` off wasm and nothing on wasm, so that one generic core serves both.

mod clock;
mod incoming;
mod media;
mod ttl_cache;
mod upstream;

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::SignedDuration;
use pool_shared::GeminiRoute;

pub use clock::Clock;
pub use incoming::{
    CLIENT_ADDRESS, IncomingBody, IncomingBodyError, IncomingRequest, MAX_BODY, REQUEST_HEADERS,
};
pub(crate) use media::{ACCEPTED_MEDIA, MEDIA_AGENT};
pub use media::{MediaFetch, MediaResponse};
pub use pool_engine::{Awaited, Random, UpstreamError};
pub(crate) use ttl_cache::TtlCache;
#[cfg(target_arch = "wasm32")]
pub(crate) use upstream::read_whole;
pub use upstream::{
    Credential, Egress, JSON, RetryAfter, Upstream, UpstreamBody, UpstreamRequest, UpstreamResponse,
    retry_after,
};

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

/// Everything that a host supplies, and what it can do, as constants.
///
/// The types of the two stores have no bounds here: their traits are above this layer, and
/// [`crate::ports::Host`] adds them.
pub trait Platform: MaybeSend + MaybeSync + 'static {
    /// The config store.
    type Store;
    /// The ledger.
    type Ledger;
    /// How Gemini is called.
    type Upstream: Upstream;
    /// How media are fetched that a request names by URL.
    type Media: MediaFetch;
    /// Time.
    type Clock: Clock;
    /// Randomness.
    type Random: Random + MaybeSend + MaybeSync;

    /// The longest request body of the data plane.
    const BODY_BYTES: usize = MAX_BODY;
    /// How many bytes of larger bodies are worked on at once at most.
    const BODIES_AT_ONCE: usize = MAX_BODY;
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

/// Locks state that requests share. A panic while it was held cannot have left it inconsistent in a
/// way that matters: everything behind such a lock is a cache or a count.
///
/// Never hold it across an `await`: on Workers that is fatal to another request.
pub fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
