//! HTTP/1.1 and HTTP/2 over TCP: hyper, a task for each connection.
//!
//! In: requests as hyper reads them, answers as the service gives them. There is no router in between: the service has its
//! own, and one more would cost each request an allocation for every layer.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, Stream, StreamExt as _};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Either, Full, StreamBody};
use hyper::body::{Body as _, Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::NativeHost;
use super::server::{Shared, when_stopped};
use crate::gateway::IDLE_TIMEOUT;
use crate::host::{IncomingBody, IncomingBodyError, UpstreamBody, UpstreamError};
use crate::reply::{Reply, ReplyBody};

/// How long nothing is accepted when the system has no room for a connection more.
const REST: Duration = Duration::from_secs(1);

/// An answer's body: at hand, or in pieces. One that is at hand takes no allocation.
type AnswerBody = Either<Full<Bytes>, StreamBody<BoxStream<'static, Result<Frame<Bytes>, UpstreamError>>>>;

/// Serves connections until the server is stopped, and then those that are open until each has answered. They end with
/// this future.
pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>, stopped: watch::Receiver<bool>) {
    let mut open = JoinSet::new();
    let mut stop = pin!(when_stopped(stopped.clone()));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = open.join_next() => continue,
            () = &mut stop => break,
        };
        match accepted {
            Ok((stream, client)) => {
                open.spawn(connection(stream, client, Arc::clone(&shared), stopped.clone()));
            }
            Err(error) if is_of_the_connection(&error) => {}
            Err(_) => tokio::time::sleep(REST).await,
        }
    }
    drop(listener);
    while open.join_next().await.is_some() {}
}

/// Whether only the connection that was to be accepted has failed, and not the listener.
fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

async fn connection(
    stream: TcpStream,
    client: SocketAddr,
    shared: Arc<Shared>,
    stopped: watch::Receiver<bool>,
) {
    // Events are small and go out one by one; a socket that cannot do without delay works all the same.
    let _ = stream.set_nodelay(true);
    let builder = Builder::new(TokioExecutor::new());
    let service = service_fn(move |request: Request<Incoming>| {
        let shared = Arc::clone(&shared);
        async move { Ok::<_, Infallible>(respond(shared.answer(request.map(NativeBody), client).await)) }
    });
    let mut serving = pin!(builder.serve_connection(TokioIo::new(stream), service));
    // An error is a client that left or that speaks no HTTP: there is nobody to tell.
    tokio::select! {
        biased;
        _ = serving.as_mut() => return,
        () = when_stopped(stopped) => serving.as_mut().graceful_shutdown(),
    }
    let _ = serving.await;
}

fn respond(reply: Reply<NativeHost>) -> Response<AnswerBody> {
    let body = match reply.body {
        ReplyBody::Whole(bytes) => Either::Left(Full::new(bytes)),
        ReplyBody::Events(events) => in_pieces(stream::unfold(events, async |mut events| {
            let bytes = events.next().await?;
            Some((Ok(bytes), events))
        })),
        ReplyBody::Untouched(body) => in_pieces(stream::unfold(Some(body), async |body| {
            let mut body = body?;
            match timeout(IDLE_TIMEOUT, body.chunk()).await {
                Ok(Ok(chunk)) => Some((Ok(chunk?), Some(body))),
                // An error closes the connection, so that nobody takes a cut answer for a whole one.
                Ok(Err(error)) => Some((Err(error), None)),
                Err(_) => Some((Err(UpstreamError::Timeout(IDLE_TIMEOUT)), None)),
            }
        })),
    };
    let mut response = Response::new(body);
    *response.status_mut() = reply.status;
    *response.headers_mut() = reply.headers;
    response
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
