//! HTTP listener and routes of the mock server.
//!
//! Serves HTTP/1.1, and HTTP/2 with prior knowledge.
//!
//! # Invariants
//! - No connection outlives the accepting task.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{Request, Response, Uri};
use axum::routing::{get, post};
use hyper::body::Incoming;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::call::Call;
use crate::record::Received;
use crate::server::{self, CloseConnection};
use crate::state::ServerState;
use crate::{compat, control};

/// Accepts connections until it is dropped, which closes all of them.
pub(crate) async fn accept(listener: TcpListener, state: Arc<ServerState>) {
    let app = routes(state);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, app.clone()));
                }
                // Out of file descriptors, or the client has disconnected: accept the next one.
                Err(_) => tokio::task::yield_now().await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(stream: TcpStream, app: Router) {
    // Frames are small, so Nagle's algorithm would delay them. An error only costs latency.
    let _ = stream.set_nodelay(true);
    let app = TowerToHyperService::new(app);
    let service = service_fn(|request: Request<Incoming>| {
        let response = app.call(request);
        async move {
            let Ok(response): Result<Response<Body>, Infallible> = response.await;
            match response.extensions().get::<CloseConnection>() {
                Some(CloseConnection) => Err(Closed),
                None => Ok(response),
            }
        }
    });
    // An error is a client disconnect or a connection closed on purpose.
    let _ = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
}

/// Error that makes hyper close the connection without a response.
#[derive(Debug, thiserror::Error)]
#[error("the scenario closes the connection here")]
struct Closed;

fn routes(state: Arc<ServerState>) -> Router {
    Router::new()
        .route("/v1beta/models", get(list))
        .route("/v1beta/models/{call}", post(call).get(describe))
        .route("/v1beta/openai/chat/completions", post(complete))
        .route("/v1beta/openai/embeddings", post(embed))
        .route("/v1beta/openai/models", get(list_for_openai))
        .route("/v1beta/openai/models/{model}", get(describe_for_openai))
        .merge(control::routes())
        .fallback(|uri: Uri| async move { server::no_such_path(uri.path()) })
        .method_not_allowed_fallback(|uri: Uri| async move { server::no_such_path(uri.path()) })
        .layer(DefaultBodyLimit::disable())
        .with_state(state)
}

async fn list(State(state): State<Arc<ServerState>>, received: Received) -> Response<Body> {
    server::respond(&state, Call { model: "", method: "list", compat: false }, received).await
}

async fn list_for_openai(State(state): State<Arc<ServerState>>, received: Received) -> Response<Body> {
    server::respond(&state, Call { model: "", method: "list", compat: true }, received).await
}

async fn describe(
    State(state): State<Arc<ServerState>>,
    Path(model): Path<String>,
    received: Received,
) -> Response<Body> {
    server::respond(&state, Call { model: &model, method: "get", compat: false }, received).await
}

async fn describe_for_openai(
    State(state): State<Arc<ServerState>>,
    Path(model): Path<String>,
    received: Received,
) -> Response<Body> {
    server::respond(&state, Call { model: &model, method: "get", compat: true }, received).await
}

async fn complete(State(state): State<Arc<ServerState>>, received: Received) -> Response<Body> {
    let model = compat::model_in(&received.body);
    server::respond(&state, Call { model: &model, method: "generateContent", compat: true }, received).await
}

async fn embed(State(state): State<Arc<ServerState>>, received: Received) -> Response<Body> {
    let model = compat::model_in(&received.body);
    server::respond(&state, Call { model: &model, method: "batchEmbedContents", compat: true }, received)
        .await
}

async fn call(
    State(state): State<Arc<ServerState>>,
    Path(path): Path<String>,
    received: Received,
) -> Response<Body> {
    match path.rsplit_once(':') {
        Some((model, method)) => {
            server::respond(&state, Call { model, method, compat: false }, received).await
        }
        None => server::no_such_path(received.uri.path()),
    }
}
