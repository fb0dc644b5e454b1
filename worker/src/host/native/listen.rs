//! HTTP/1.1 and HTTP/2 over TCP: hyper, a task for each connection.
//!
//! In: requests as hyper reads them, answers as the service gives them. There is no router in between: the service has its
//! own, and one more would cost each request an allocation for every layer.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, Stream, StreamExt as _};
use http::header::{CONNECTION, HeaderValue};
use http::{Request, Response, StatusCode, Version};
use http_body_util::{BodyExt as _, Either, Full, StreamBody};
use hyper::body::{Body as _, Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use super::activity::{Activity, Running, WRITE_TIMEOUT, Watched, WatchedBody};
use super::connections::{Connections, Slot};
use super::server::{Shared, when_stopped};
use super::{HttpBody, NativeHost};
use crate::gateway::{ApiDialect, OutgoingEvents, shutting_down};
use crate::gateway::{Reply, Streamed};
use crate::limits;
use crate::platform::{Awaited, IncomingBody, IncomingBodyError, UpstreamBody, UpstreamError};
use crate::ports::Host;
use crate::reply::ReplyBody;
use pool_translate::ApiError;

/// How long nothing is accepted when the system has no room for a connection more.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);
/// How much of a head is kept before it is whole: the longest headers, path and query, and what is between them.
const MAX_HEAD: usize = limits::HEADERS + 2 * limits::PATH + 16 * 1024;
/// Requests at a time on one HTTP/2 connection.
const MAX_STREAMS: u32 = 100;
/// Streams that a client has reset and that still take memory, before its connection ends.
const MAX_RESET_STREAMS: usize = 50;
/// How often an HTTP/2 connection is asked whether its client is still there, and how long that may take to answer.
const PING_INTERVAL: Duration = Duration::from_secs(20);

/// A response's body: at hand, or in pieces. One that is at hand takes no allocation.
type AnswerBody = Either<Full<Bytes>, StreamBody<BoxStream<'static, Result<Frame<Bytes>, UpstreamError>>>>;

/// Serves connections until the server is stopped, and then those that are open until each has answered. They end with
/// this future.
pub(super) async fn serve(
    listener: TcpListener,
    shared: Arc<Shared>,
    connections: Arc<Connections>,
    stopped: watch::Receiver<bool>,
) {
    let mut open = JoinSet::new();
    let mut stop = pin!(when_stopped(stopped.clone()));
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &connections) => accepted,
            Some(_) = open.join_next() => continue,
            () = &mut stop => break,
        };
        match accepted {
            Ok((stream, client)) => {
                let slot = connections.open();
                open.spawn(connection(stream, client, slot, Arc::clone(&shared), stopped.clone()));
            }
            Err(error) if is_of_the_connection(&error) => {}
            Err(_) => tokio::time::sleep(ACCEPT_BACKOFF).await,
        }
    }
    drop(listener);
    while open.join_next().await.is_some() {}
}

async fn accept(listener: &TcpListener, connections: &Connections) -> io::Result<(TcpStream, SocketAddr)> {
    connections.room().await;
    listener.accept().await
}

/// Returns `true` if only the connection that was to be accepted has failed, and not the listener.
fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

async fn connection(
    stream: TcpStream,
    client: SocketAddr,
    slot: Slot,
    shared: Arc<Shared>,
    stopped: watch::Receiver<bool>,
) {
    // Events are small and go out one by one; a socket that cannot do without delay works all the same.
    let _ = stream.set_nodelay(true);
    let activity = Arc::clone(&slot.activity);
    let service = service_fn(move |request: Request<Incoming>| {
        let shared = Arc::clone(&shared);
        let running = slot.activity.request(request.version() == Version::HTTP_2);
        async move {
            let (idle, cut) = (shared.upstream_idle_timeout(), shared.cut());
            let language = ApiDialect::of(request.uri().path());
            let answered = pin!(shared.answer(request.map(NativeBody), client));
            let reply = unless_cut(answered, cut.clone(), language).await;
            Ok::<_, Infallible>(respond(reply, running, idle, cut))
        }
    });
    let builder = builder();
    let io = TokioIo::new(Watched::new(stream, Arc::clone(&activity)));
    let mut serving = pin!(builder.serve_connection(io, service));
    let mut timer = pin!(Timer::new(&activity));
    let mut stop = pin!(when_stopped(stopped));
    let mut evicted = pin!(activity.evicted());
    let (mut is_ending, mut is_evicted) = (false, false);
    // An error is a client that left or that speaks no HTTP: there is nobody to tell.
    poll_fn(|context| {
        loop {
            if serving.as_mut().poll(context).is_ready() {
                return Poll::Ready(());
            }
            if !is_ending && stop.as_mut().poll(context).is_ready() {
                is_ending = true;
                serving.as_mut().graceful_shutdown();
                continue;
            }
            if !is_evicted && evicted.as_mut().poll(context).is_ready() {
                is_evicted = true;
            }
            // A request that came in the meantime is served.
            if is_evicted && activity.waiting_since().is_some() {
                return Poll::Ready(());
            }
            match timer.as_mut().poll(&activity, context) {
                Poll::Pending => return Poll::Pending,
                // What HTTP/2 has buffered may still go out, and the client is told that the connection ends.
                Poll::Ready(()) if activity.is_http2() && !is_ending => {
                    is_ending = true;
                    serving.as_mut().graceful_shutdown();
                    timer.as_mut().end_at(Instant::now() + WRITE_TIMEOUT);
                }
                Poll::Ready(()) => return Poll::Ready(()),
            }
        }
    })
    .await;
}

/// HTTP/1.1 has no timers of hyper's: its time for a head would run between requests too.
fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().max_buf_size(MAX_HEAD);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_pending_accept_reset_streams(MAX_RESET_STREAMS)
        .max_local_error_reset_streams(MAX_RESET_STREAMS)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_INTERVAL);
    builder
}

/// A connection's timer. It is moved only when it would ring too late, or has rung too early.
struct Timer {
    sleep: Pin<Box<Sleep>>,
    end: Option<Instant>,
}

impl Timer {
    fn new(activity: &Activity) -> Self {
        let first = activity.deadline().unwrap_or_else(Instant::now);
        Self { sleep: Box::pin(sleep_until(first)), end: None }
    }

    fn end_at(mut self: Pin<&mut Self>, end: Instant) {
        self.end = Some(end);
    }

    /// Ready when the connection has to end.
    fn poll(mut self: Pin<&mut Self>, activity: &Activity, context: &mut Context<'_>) -> Poll<()> {
        loop {
            let Some(deadline) = self.end.or_else(|| activity.deadline()) else { return Poll::Pending };
            if deadline <= Instant::now() {
                return Poll::Ready(());
            }
            if self.sleep.deadline() > deadline || self.sleep.is_elapsed() {
                self.sleep.as_mut().reset(deadline);
            }
            if self.sleep.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

/// `idle` is how long Gemini may be silent, `cut` tells streams that they have to end.
fn respond(
    reply: Reply<NativeHost>,
    running: Running,
    idle: Duration,
    cut: watch::Receiver<bool>,
) -> Response<WatchedBody<AnswerBody>> {
    let body = match reply.body {
        ReplyBody::Whole(bytes) => Either::Left(Full::new(bytes)),
        ReplyBody::Streamed(Streamed::Events(events)) => in_pieces(until_cut(events, cut)),
        ReplyBody::Streamed(Streamed::Unchanged(body)) => {
            in_pieces(stream::unfold(Some(body), move |body: Option<HttpBody>| async move {
                let mut body = body?;
                match timeout(idle, body.chunk()).await {
                    Ok(Ok(chunk)) => Some((Ok(chunk?), Some(body))),
                    // An error closes the connection, so that nobody takes a cut answer for a whole one.
                    Ok(Err(error)) => Some((Err(error), None)),
                    Err(_) => {
                        Some((Err(UpstreamError::Timeout { limit: idle, awaited: Awaited::More }), None))
                    }
                }
            }))
        }
    };
    let mut response = Response::new(WatchedBody::new(body, running));
    *response.status_mut() = reply.status;
    *response.headers_mut() = reply.headers;
    if reply.status == StatusCode::REQUEST_TIMEOUT {
        // The rest of the request may still be on its way.
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Returns a request's reply, or an error where the server does not wait for it any longer.
async fn unless_cut<H: Host>(
    answered: impl Future<Output = Reply<H>>,
    mut cut: watch::Receiver<bool>,
    language: ApiDialect,
) -> Reply<H> {
    tokio::select! {
        biased;
        reply = answered => reply,
        // An error means that the server is gone altogether.
        _ = cut.wait_for(|cut| *cut) => shutting_down(language),
    }
}

/// Returns the events of a stream. When they have to end before their time, the client is told so.
fn until_cut<H: Host + Clone>(
    events: OutgoingEvents<H>,
    cut: watch::Receiver<bool>,
) -> impl Stream<Item = Result<Bytes, UpstreamError>> + Send + 'static {
    stream::unfold(Some((events, cut)), async |state| {
        let (mut events, mut cut) = state?;
        let next = tokio::select! {
            biased;
            // An error means that the server is gone altogether.
            _ = cut.wait_for(|cut| *cut) => None,
            bytes = events.next() => Some(bytes?),
        };
        match next {
            Some(bytes) => Some((Ok(bytes), Some((events, cut)))),
            None => Some((Ok(events.cut(&ApiError::shutting_down())), None)),
        }
    })
}

fn in_pieces(pieces: impl Stream<Item = Result<Bytes, UpstreamError>> + Send + 'static) -> AnswerBody {
    Either::Right(StreamBody::new(pieces.map(|piece| piece.map(Frame::data)).boxed()))
}

/// A request's body as hyper hands it over.
pub(super) struct NativeBody(Incoming);

impl IncomingBody for NativeBody {
    const IS_WHOLE: bool = false;

    fn announced(&self) -> Option<usize> {
        self.0.size_hint().exact().map(|length| usize::try_from(length).unwrap_or(usize::MAX))
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>, IncomingBodyError> {
        while let Some(frame) = self.0.frame().await {
            // What follows a body as trailers says nothing here.
            if let Ok(chunk) = frame.map_err(|_| IncomingBodyError::Broken)?.into_data() {
                return Ok(Some(chunk));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;
    use crate::gateway::endless_events;

    #[tokio::test]
    async fn a_stream_that_has_to_end_tells_its_client() {
        for pacing in [None, Some(pool_shared::Pacing::default())] {
            let (host, mut reply) = endless_events(pacing).await;
            let ReplyBody::Streamed(Streamed::Events(events)) =
                std::mem::replace(&mut reply.body, ReplyBody::Whole(Bytes::new()))
            else {
                panic!("no stream")
            };
            let (sender, cut) = watch::channel(false);
            let mut pieces = pin!(until_cut(events, cut));
            assert!(host.in_time(pieces.next()).await.unwrap().unwrap().starts_with(b"data: {"));
            sender.send_replace(true);
            let last = host.in_time(pieces.next()).await.unwrap().unwrap();
            let text = std::str::from_utf8(&last).unwrap();
            assert!(text.contains(r#""code":"shutting_down""#) && text.ends_with("\n\n"), "{text}");
            assert!(host.in_time(pieces.next()).await.is_none());
        }
    }

    #[tokio::test]
    async fn a_request_without_a_response_is_told_that_the_server_stops() {
        for (path, sign) in [
            ("/v1/chat/completions", r#""code":"shutting_down""#),
            ("/v1beta/models/m:generateContent", r#""status":"UNAVAILABLE""#),
        ] {
            let (sender, cut) = watch::channel(false);
            let hanging = std::future::pending::<Reply<crate::testing::FakeHost>>();
            let mut reply = pin!(unless_cut(hanging, cut, ApiDialect::of(path)));
            assert!(futures_util::poll!(&mut reply).is_pending());
            sender.send_replace(true);
            let reply = reply.await;
            assert_eq!(
                (reply.status, reply.headers.contains_key("retry-after")),
                (StatusCode::SERVICE_UNAVAILABLE, true)
            );
            let ReplyBody::Whole(body) = reply.body else { panic!("no document") };
            assert!(std::str::from_utf8(&body).unwrap().contains(sign), "{body:?}");
        }
    }
}
