//! Fetches what a request names by URL, in pools that wish it: Gemini itself reaches only its own files and YouTube.
//!
//! In: a parsed request. Out: what stands at its URLs, for the translation to put in; or, for the first that cannot be
//! had, what the caller is told. What must never happen here: a fetch that the guard has not seen, more than a bounded
//! number of calls or bytes, or an answer that tells the caller about networks that it cannot see itself.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::try_join_all;
use http::StatusCode;
use pool_shared::FetchMedia;
use url::Url;

use super::Context;
use super::calls::Calls;
use crate::fetch_guard::{Denied, guard, guard_redirect};
use crate::host::{Clock, Host, MediaFetch, MediaResponse, UpstreamBody};
use crate::openai::{ApiError, ChatRequest};
use crate::translate::{FetchedMedia, MediaSource, RemoteMedia, invalid_url, remote_media};

/// Different URLs in one request.
const MOST_MEDIA: usize = 8;
/// Redirects from one URL on.
const MOST_REDIRECTS: usize = 3;
/// Calls for one request, redirects included. A Worker on the free plan has 50 for everything that a request does;
/// this leaves most of them to Gemini.
const MOST_CALLS: usize = 20;
/// Bytes for one request: what Gemini takes inline.
const MOST_BYTES: usize = 20 * 1024 * 1024;
/// How long one URL may take, redirects included. All are fetched at once.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What was fetched, by the URL in the request.
#[derive(Debug, Default)]
pub(super) struct Media(HashMap<String, FetchedMedia>);

impl MediaSource for Media {
    fn get(&self, url: &str) -> Option<&FetchedMedia> {
        self.0.get(url)
    }
}

/// Fetches everything that the request names. In a pool that fetches nothing this is nothing, and then the translation
/// refuses the URLs.
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
        if wanted.len() == MOST_MEDIA {
            let message = format!("At most {MOST_MEDIA} different URLs are fetched for a request.");
            return Err(invalid_url(&remote.param, &message));
        }
        wanted.push(remote);
    }
    let host = context.host;
    let spent = Spent {
        calls: AtomicUsize::default(),
        bytes: AtomicUsize::default(),
        request: context.calls.clone(),
    };
    let fetching = wanted.into_iter().map(|remote| fetch_one(host, hosts, remote, &spent));
    Ok(Media(try_join_all(fetching).await?.into_iter().collect()))
}

/// What the fetches for one request have cost.
#[derive(Debug)]
struct Spent {
    calls: AtomicUsize,
    bytes: AtomicUsize,
    /// What the whole request may still spend.
    request: Calls,
}

impl Spent {
    fn call(&self) -> Result<(), Fault> {
        let before = self.calls.fetch_add(1, Ordering::Relaxed);
        if before < MOST_CALLS && self.request.take(1) { Ok(()) } else { Err(Fault::TooManyRedirects) }
    }

    fn read(&self, bytes: usize) -> Result<(), Fault> {
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) <= MOST_BYTES { Ok(()) } else { Err(Fault::TooLarge) }
    }
}

/// Why there is nothing to give to Gemini. The texts are for the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    Denied(#[from] Denied),
    /// Also for a name that leads into a private network: which names there are in it is nobody's business.
    #[error("its server cannot be reached on the public internet")]
    Unreachable,
    #[error("its server answered with status {}", .0.as_u16())]
    Status(StatusCode),
    #[error("it redirects too often")]
    TooManyRedirects,
    #[error("it is no image, audio, video or PDF")]
    Kind,
    #[error("everything fetched for a request together may have {} MB", MOST_BYTES >> 20)]
    TooLarge,
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

/// Fetches a URL, wherever it redirects to; the guard sees every step.
async fn follow<H: Host>(
    host: &H,
    hosts: &FetchMedia,
    url: &str,
    spent: &Spent,
) -> Result<FetchedMedia, Fault> {
    let mut url = guard(url, hosts)?;
    for _ in 0..=MOST_REDIRECTS {
        spent.call()?;
        let response = host.media().get(&url).await.map_err(|_| Fault::Unreachable)?;
        match &response.location {
            Some(to) if response.status.is_redirection() => url = guard_redirect(&url, to, hosts)?,
            _ if response.status.is_success() => return read(&url, response, spent).await,
            _ => return Err(Fault::Status(response.status)),
        }
    }
    Err(Fault::TooManyRedirects)
}

async fn read<B: UpstreamBody>(
    url: &Url,
    response: MediaResponse<B>,
    spent: &Spent,
) -> Result<FetchedMedia, Fault> {
    let MediaResponse { content_type, content_length, mut body, .. } = response;
    if !FetchedMedia::may_be(content_type.as_deref()) {
        return Err(Fault::Kind);
    }
    if content_length.is_some_and(|length| length > MOST_BYTES as u64) {
        return Err(Fault::TooLarge);
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = body.chunk().await.map_err(|_| Fault::Unreachable)? {
        spent.read(chunk.len())?;
        bytes.extend_from_slice(&chunk);
    }
    FetchedMedia::new(url.path(), content_type.as_deref(), &bytes).ok_or(Fault::Kind)
}

#[cfg(test)]
mod tests;
