//! What a connection is doing, and the timeouts that follow from it.
//!
//! Bytes are noted by [`Watched`], requests by the guard that each response body holds. [`deadline`] is the one place
//! that decides. A request that waits for Gemini has no timeout here.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::platform::lock;

/// How long the head of a request may take.
pub(super) const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a connection may stay open between requests.
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_secs(75);
/// How long a connection is open before it is closed for another one because no request has come.
pub(super) const FIRST_REQUEST_GRACE: Duration = Duration::from_millis(200);
/// How long a client may take none of a response that is ready.
pub(super) const WRITE_TIMEOUT: Duration = Duration::from_mins(1);

/// Fewer bytes on HTTP/2 are pings, acknowledgements and window updates, no part of a response.
const MIN_PROGRESS: usize = 1_024;

/// The state of one connection.
#[derive(Debug)]
pub(super) struct Activity {
    opened: Instant,
    /// Requests whose responses have not ended.
    requests: AtomicUsize,
    /// At least one request has come.
    is_used: AtomicBool,
    is_http2: AtomicBool,
    /// Milliseconds since `opened`, plus one; 0 for never.
    head_since: AtomicU64,
    idle_since: AtomicU64,
    blocked_since: AtomicU64,
    /// HTTP/2 responses that wait for the client's flow control window, and since when.
    stalled: Mutex<BTreeMap<u64, Instant>>,
    last_stream: AtomicU64,
    /// Wakes the connection to be closed for another one.
    evicted: Notify,
    is_evicted: AtomicBool,
    /// Wakes whoever waits for a connection that may be evicted.
    freed: Arc<Notify>,
}

/// What [`deadline`] judges: times since the connection was opened.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    requests: usize,
    is_used: bool,
    is_http2: bool,
    head_since: Option<Duration>,
    idle_since: Duration,
    blocked_since: Option<Duration>,
    stalled_since: Option<Duration>,
}

/// When the connection has to be closed; `None` while nothing limits it.
fn deadline(seen: &Seen) -> Option<Duration> {
    let writing = [seen.blocked_since, seen.stalled_since].into_iter().flatten().min();
    let writing = writing.map(|since| since + WRITE_TIMEOUT);
    let reading = match seen.head_since {
        _ if seen.requests > 0 => None,
        _ if !seen.is_used => Some(HEAD_TIMEOUT),
        // Pings and window updates are bytes too.
        Some(since) if !seen.is_http2 => Some(since + HEAD_TIMEOUT),
        _ => Some(seen.idle_since + IDLE_TIMEOUT),
    };
    writing.into_iter().chain(reading).min()
}

impl Activity {
    pub(super) fn new(freed: Arc<Notify>) -> Self {
        Self {
            opened: Instant::now(),
            requests: AtomicUsize::new(0),
            is_used: AtomicBool::new(false),
            is_http2: AtomicBool::new(false),
            head_since: AtomicU64::new(0),
            idle_since: AtomicU64::new(0),
            blocked_since: AtomicU64::new(0),
            stalled: Mutex::default(),
            last_stream: AtomicU64::new(0),
            evicted: Notify::new(),
            is_evicted: AtomicBool::new(false),
            freed,
        }
    }

    /// Notes a request; it lasts until the guard is dropped.
    pub(super) fn request(self: &Arc<Self>, is_http2: bool) -> Running {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.is_used.store(true, Ordering::Relaxed);
        self.is_http2.store(is_http2, Ordering::Relaxed);
        self.head_since.store(0, Ordering::Relaxed);
        let stream = self.last_stream.fetch_add(1, Ordering::Relaxed);
        Running { activity: Arc::clone(self), stream, is_http2 }
    }

    /// When the connection has to be closed.
    pub(super) fn deadline(&self) -> Option<Instant> {
        deadline(&self.seen()).map(|after| self.opened + after)
    }

    /// Since when no request has been running; `None` while one is, while its response has not gone out, and where the
    /// first one may still be on its way.
    pub(super) fn waiting_since(&self) -> Option<Instant> {
        let seen = self.seen();
        let is_new = !seen.is_used && self.opened.elapsed() < FIRST_REQUEST_GRACE;
        let is_waiting = seen.requests == 0 && seen.blocked_since.is_none() && !is_new;
        is_waiting.then(|| self.opened + seen.idle_since)
    }

    pub(super) fn is_http2(&self) -> bool {
        self.is_http2.load(Ordering::Relaxed)
    }

    /// Has the connection closed as soon as no request runs, to make room for another one.
    pub(super) fn evict(&self) {
        self.is_evicted.store(true, Ordering::Relaxed);
        self.evicted.notify_one();
    }

    /// Returns `true` if the connection is to be closed.
    pub(super) fn is_evicted(&self) -> bool {
        self.is_evicted.load(Ordering::Relaxed)
    }

    /// Resolves when the connection is to make room.
    pub(super) async fn evicted(&self) {
        self.evicted.notified().await;
    }

    fn seen(&self) -> Seen {
        let at = |time: &AtomicU64| time.load(Ordering::Relaxed).checked_sub(1).map(Duration::from_millis);
        let is_http2 = self.is_http2();
        let stalled = if is_http2 { lock(&self.stalled).values().min().copied() } else { None };
        Seen {
            requests: self.requests.load(Ordering::Relaxed),
            is_used: self.is_used.load(Ordering::Relaxed),
            is_http2,
            head_since: at(&self.head_since),
            idle_since: at(&self.idle_since).unwrap_or_default(),
            blocked_since: at(&self.blocked_since),
            stalled_since: stalled.map(|since| since.duration_since(self.opened)),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX - 1) + 1
    }

    fn has_read(&self) {
        if self.requests.load(Ordering::Relaxed) == 0 && self.head_since.load(Ordering::Relaxed) == 0 {
            self.head_since.store(self.now(), Ordering::Relaxed);
        }
    }

    /// Notes how many bytes the client took; `None` if it took none. A response that is at hand ends before its bytes have
    /// gone out: the connection is idle only after the last of them.
    fn has_written(&self, length: Option<usize>) {
        let blocked = self.blocked_since.load(Ordering::Relaxed);
        let Some(length) = length else {
            if blocked == 0 {
                self.blocked_since.store(self.now(), Ordering::Relaxed);
            }
            return;
        };
        if blocked > 0 {
            self.blocked_since.store(0, Ordering::Relaxed);
        }
        let is_progress = !self.is_http2() || length >= MIN_PROGRESS;
        if is_progress && self.requests.load(Ordering::Relaxed) == 0 {
            self.idle_since.store(self.now(), Ordering::Relaxed);
            if blocked > 0 {
                self.freed.notify_one();
            }
        }
    }
}

/// A request whose response has not ended.
#[derive(Debug)]
pub(super) struct Running {
    activity: Arc<Activity>,
    stream: u64,
    is_http2: bool,
}

impl Running {
    /// A piece of the response is ready, or is wanted.
    fn note(&self, is_ready: bool) {
        if !self.is_http2 {
            return;
        }
        let mut stalled = lock(&self.activity.stalled);
        if is_ready {
            stalled.insert(self.stream, Instant::now());
        } else {
            stalled.remove(&self.stream);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.note(false);
        let activity = &self.activity;
        if activity.requests.fetch_sub(1, Ordering::Relaxed) == 1 {
            activity.idle_since.store(activity.now(), Ordering::Relaxed);
            activity.freed.notify_one();
        }
    }
}

/// A response body that tells when it is taken and when it has ended.
pub(super) struct WatchedBody<B> {
    body: B,
    running: Running,
}

impl<B> WatchedBody<B> {
    /// Returns a client whose window is closed from the beginning takes nothing: hyper does not even ask for the first piece.
    pub(super) fn new(body: B, running: Running) -> Self {
        running.note(true);
        Self { body, running }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for WatchedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.get_mut();
        this.running.note(false);
        let polled = Pin::new(&mut this.body).poll_frame(context);
        if matches!(polled, Poll::Ready(Some(Ok(_)))) {
            this.running.note(true);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A socket whose reads and writes are noted.
pub(super) struct Watched<S> {
    stream: S,
    activity: Arc<Activity>,
}

impl<S> Watched<S> {
    pub(super) fn new(stream: S, activity: Arc<Activity>) -> Self {
        Self { stream, activity }
    }

    fn wrote(&self, polled: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        self.activity.has_written(match &polled {
            Poll::Ready(written) => Some(*written.as_ref().unwrap_or(&0)),
            Poll::Pending => None,
        });
        polled
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let polled = Pin::new(&mut this.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            this.activity.has_read();
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.wrote(polled)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_write_vectored(context, bytes);
        this.wrote(polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests;
