//! Media that a request names by URL, in pools with `fetch_media`.
//!
//! They are fetched before the conversion, or their URLs are left to Gemini. If Gemini fails to fetch
//! one, it is fetched here after all, where the pool allows it.
//!
//! # Invariants
//! - Every URL and redirect passes the SSRF guard before it is fetched.
//! - Calls, bytes and time are bounded per request.
//! - An error reveals nothing about networks that the client cannot reach itself.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use futures_util::future::try_join_all;
use http::StatusCode;
use pool_shared::FetchMedia;
use url::Url;

use super::Context;
use crate::attempt::Calls;
use crate::limits::BodyPermit;
use crate::platform::lock;
use crate::platform::{Clock, MediaFetch, MediaResponse, UpstreamBody};
use crate::ports::Host;
use crate::ssrf_guard::{BlockedUrl, guard, guard_for_gemini, guard_redirect};
use pool_translate::ApiError;
use pool_translate::openai::ChatRequest;
use pool_translate::{FetchedMedia, MediaSource, RemoteMedia, invalid_url, remote_media};

/// Distinct URLs in one request.
const MAX_MEDIA: usize = 8;
/// Redirects per URL.
const MAX_REDIRECTS: usize = 3;
/// Subrequests per request, redirects included. The Workers free plan allows 50 for everything that a
/// request does; this leaves most of them to upstream requests.
const MAX_FETCHES: usize = 20;
/// Timeout of one URL, redirects included. All are fetched concurrently.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Media of one request.
#[derive(Debug, Default)]
pub(super) struct Media {
    /// Fetched before the first attempt, by URL.
    fetched: HashMap<String, FetchedMedia>,
    /// URLs that Gemini fetches itself.
    left_to_gemini: Vec<RemoteMedia>,
    /// The same URLs, fetched here after Gemini failed to.
    fetched_instead: OnceLock<HashMap<String, FetchedMedia>>,
    /// Permits for their share of the memory for large bodies.
    shares: Mutex<Vec<BodyPermit>>,
}

impl MediaSource for Media {
    fn get(&self, url: &str) -> Option<&FetchedMedia> {
        self.fetched.get(url).or_else(|| self.fetched_instead.get()?.get(url))
    }

    fn is_left_to_gemini(&self, url: &str) -> bool {
        self.fetched_instead.get().is_none() && self.left_to_gemini.iter().any(|left| left.url == url)
    }
}

/// Fetches every URL of the request that is not left to Gemini. In a pool without `fetch_media` it
/// fetches nothing, and the conversion rejects the URLs.
pub(super) async fn fetch<H: Host>(
    context: &Context<'_, H>,
    request: &ChatRequest<'_>,
) -> Result<Media, ApiError> {
    let hosts = &context.pool.settings.translation.fetch_media;
    if !hosts.is_on() {
        return Ok(Media::default());
    }
    let mut wanted: Vec<RemoteMedia> = Vec::new();
    for remote in remote_media(request) {
        if wanted.iter().any(|known| known.url == remote.url) {
            continue;
        }
        if wanted.len() == MAX_MEDIA {
            let message = format!("At most {MAX_MEDIA} different URLs are fetched for a request.");
            return Err(invalid_url(&remote.param, &message));
        }
        wanted.push(remote);
    }
    let is_left = |remote: &RemoteMedia| guard_for_gemini(&remote.url, hosts).is_ok();
    let (left_to_gemini, own) = wanted.into_iter().partition(is_left);
    let (fetched, share) = fetch_all(context, hosts, own).await?;
    let shares = Mutex::new(vec![share]);
    Ok(Media { fetched, left_to_gemini, shares, ..Media::default() })
}

impl Media {
    /// Fetches what Gemini failed to fetch. Returns `false` if there is nothing, or the pool does not allow it.
    pub(super) async fn fetch_instead<H: Host>(&self, context: &Context<'_, H>) -> bool {
        if self.left_to_gemini.is_empty() {
            return false;
        }
        if self.fetched_instead.get().is_some() {
            return true;
        }
        let hosts = &context.pool.settings.translation.fetch_media;
        let Ok((fetched, share)) = fetch_all(context, hosts, self.left_to_gemini.clone()).await else {
            return false;
        };
        lock(&self.shares).push(share);
        self.fetched_instead.get_or_init(|| fetched);
        true
    }
}

async fn fetch_all<H: Host>(
    context: &Context<'_, H>,
    hosts: &FetchMedia,
    wanted: Vec<RemoteMedia>,
) -> Result<(HashMap<String, FetchedMedia>, BodyPermit), ApiError> {
    let host = context.host;
    let share = context.state.bodies.permit(H::BODIES_AT_ONCE, H::BODY_LOST_AFTER);
    let spent = Spent {
        calls: AtomicUsize::default(),
        bytes: AtomicUsize::default(),
        share: Mutex::new(share),
        request: context.calls.clone(),
    };
    let fetching = wanted.into_iter().map(|remote| fetch_one(host, hosts, remote, &spent));
    let fetched = try_join_all(fetching).await?.into_iter().collect();
    let share = spent.share.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok((fetched, share))
}

/// Budget of the fetches of one request.
#[derive(Debug)]
struct Spent {
    calls: AtomicUsize,
    bytes: AtomicUsize,
    share: Mutex<BodyPermit>,
    /// Subrequest budget of the whole request.
    request: Calls,
}

impl Spent {
    fn call(&self) -> Result<(), Fault> {
        let before = self.calls.fetch_add(1, Ordering::Relaxed);
        if before < MAX_FETCHES && self.request.take(1) { Ok(()) } else { Err(Fault::TooManyRedirects) }
    }

    fn read<H: Host>(&self, host: &H, bytes: usize) -> Result<(), Fault> {
        let total = self.bytes.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        if total > H::MEDIA_BYTES {
            return Err(Fault::TooLarge(H::MEDIA_BYTES));
        }
        if lock(&self.share).grow(total, host.clock().now()) { Ok(()) } else { Err(Fault::NoRoom) }
    }
}

/// Why a URL could not be fetched. The texts are sent to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    Blocked(#[from] BlockedUrl),
    /// Also for a name that resolves into a private network, whose names must not be revealed.
    #[error("its server cannot be reached on the public internet")]
    Unreachable,
    #[error("its server answered with status {}", .0.as_u16())]
    Status(StatusCode),
    #[error("it redirects too often")]
    TooManyRedirects,
    #[error("it is no image, audio, video or PDF")]
    Kind,
    #[error("everything fetched for a request together may have {} MB", .0 >> 20)]
    TooLarge(usize),
    #[error("too many large requests are being answered at the same time")]
    NoRoom,
    #[error("it took longer than {} s", TIMEOUT.as_secs())]
    Timeout,
}

async fn fetch_one<H: Host>(
    host: &H,
    hosts: &FetchMedia,
    remote: RemoteMedia,
    spent: &Spent,
) -> Result<(String, FetchedMedia), ApiError> {
    let fetched = host.clock().within(TIMEOUT, pin!(follow(host, hosts, &remote.url, spent))).await;
    match fetched.unwrap_or(Err(Fault::Timeout)) {
        Ok(fetched) => Ok((remote.url, fetched)),
        Err(fault) => Err(invalid_url(&remote.param, &format!("The URL could not be fetched: {fault}."))),
    }
}

/// Fetches a URL and follows redirects, each of which passes the guard.
async fn follow<H: Host>(
    host: &H,
    hosts: &FetchMedia,
    url: &str,
    spent: &Spent,
) -> Result<FetchedMedia, Fault> {
    let mut url = guard(url, hosts)?;
    for _ in 0..=MAX_REDIRECTS {
        spent.call()?;
        let response = host.media().get(&url).await.map_err(|_| Fault::Unreachable)?;
        match &response.location {
            Some(to) if response.status.is_redirection() => url = guard_redirect(&url, to, hosts)?,
            _ if response.status.is_success() => return read(host, &url, response, spent).await,
            _ => return Err(Fault::Status(response.status)),
        }
    }
    Err(Fault::TooManyRedirects)
}

async fn read<H: Host, B: UpstreamBody>(
    host: &H,
    url: &Url,
    response: MediaResponse<B>,
    spent: &Spent,
) -> Result<FetchedMedia, Fault> {
    let MediaResponse { content_type, content_length, mut body, .. } = response;
    if !FetchedMedia::may_be(content_type.as_deref()) {
        return Err(Fault::Kind);
    }
    if content_length.is_some_and(|length| length > H::MEDIA_BYTES as u64) {
        return Err(Fault::TooLarge(H::MEDIA_BYTES));
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = body.chunk().await.map_err(|_| Fault::Unreachable)? {
        spent.read(host, chunk.len())?;
        bytes.extend_from_slice(&chunk);
    }
    FetchedMedia::new(url.path(), content_type.as_deref(), &bytes).ok_or(Fault::Kind)
}

#[cfg(test)]
mod tests;
