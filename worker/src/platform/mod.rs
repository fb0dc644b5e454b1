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
    /// The client for upstream requests.
    type Upstream: Upstream;
    /// The client for media.
    type Media: MediaFetch;
    /// Time.
    type Clock: Clock;
    /// Randomness.
    type Random: Random + MaybeSend + MaybeSync;

    /// Maximum request body of the data plane.
    const BODY_BYTES: usize = MAX_BODY;
    /// Memory budget of large bodies.
    const BODIES_AT_ONCE: usize = MAX_BODY;
    /// Maximum bytes of media per request. Gemini accepts 100 MB inline; Workers have memory for
    /// less.
    const MEDIA_BYTES: usize = 20 * 1024 * 1024;
    /// Maximum subrequests of a request: Cloudflare's free plan ends it at the 51st.
    const CALLS_OF_A_REQUEST: u32 = 48;
    /// Maximum rechecks per run: a cron run on the free plan may make 50 subrequests.
    const CHECKS_AT_A_TIME: usize = 20;
    /// TTL of a body's share of the budget. Where the runtime ends a request after a client
    /// disconnect without dropping its future, nothing else returns it. Few responses take longer
    /// to begin.
    const BODY_LOST_AFTER: Option<SignedDuration> = Some(SignedDuration::from_mins(2));

    /// Returns the host's name: `cloudflare` or `native`.
    fn name(&self) -> &'static str;
    /// Returns `true` if a fetch of a URL in the service's own zone bypasses its protection;
    /// `None` if there is no such zone or it is unknown.
    fn own_zone_is_reachable(&self) -> Option<bool> {
        None
    }
    /// Returns the network path to Gemini; `None` where the runtime decides it.
    fn gemini_route(&self) -> Option<GeminiRoute> {
        None
    }
    /// Returns a nearby proxy that forwards requests and is not trusted with client addresses, if
    /// one was seen. Limits and allowlists then treat it as the client.
    fn untrusted_proxy(&self) -> Option<IpAddr> {
        None
    }
    /// Returns a text in Unicode normalisation form KC.
    fn nfkc(text: &str) -> String;
    /// Returns the config store.
    fn store(&self) -> &Self::Store;
    /// Returns the ledger.
    fn ledger(&self) -> &Self::Ledger;
    /// Returns the client for upstream requests.
    fn upstream(&self) -> &Self::Upstream;
    /// Returns the client for media.
    fn media(&self) -> &Self::Media;
    /// Time.
    fn clock(&self) -> &Self::Clock;
    /// Randomness.
    fn random(&self) -> &Self::Random;
}

/// Locks state that requests share. Poisoning is ignored: everything behind such a lock is a cache
/// or a count.
///
/// It must not be held across an `await`: on Workers that is fatal to other requests.
pub fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
