//! Native baseline: axum and reqwest forward request and response unchanged.
//!
//! `forwarder URL` listens on a free port of 127.0.0.1 and prints its address. Allocator, runtime,
//! sockets and client are configured as in `pool-server`.

#![forbid(unsafe_code)]

use std::io::Write as _;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::serve::ListenerExt as _;
use http::{HeaderMap, Method, StatusCode, Uri, header};
use mimalloc::MiMalloc;
use reqwest::Client;
use reqwest::redirect::Policy;
use tokio::net::TcpListener;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

#[derive(Clone)]
struct Upstream {
    client: Client,
    base: String,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let base = std::env::args().nth(1).context("the address to forward to is missing")?;
    let client =
        Client::builder().redirect(Policy::none()).connect_timeout(Duration::from_secs(10)).build()?;
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    writeln!(std::io::stdout(), "http://{}", listener.local_addr()?)?;
    let listener = listener.tap_io(|connection| drop(connection.set_nodelay(true)));
    axum::serve(listener, Router::new().fallback(forward).with_state(Upstream { client, base })).await?;
    Ok(())
}

async fn forward(
    State(upstream): State<Upstream>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let mut call = upstream.client.request(method, format!("{}{path}", upstream.base)).body(body);
    for name in ["content-type", "x-goog-api-key"] {
        if let Some(value) = headers.get(name) {
            call = call.header(name, value);
        }
    }
    let Ok(answer) = call.send().await else { return StatusCode::BAD_GATEWAY.into_response() };
    let status = answer.status();
    let content_type = answer.headers().get(header::CONTENT_TYPE).cloned();
    let length = answer.headers().get(header::CONTENT_LENGTH).cloned();
    let mut response = Response::new(Body::from_stream(answer.bytes_stream()));
    *response.status_mut() = status;
    for (name, value) in [(header::CONTENT_TYPE, content_type), (header::CONTENT_LENGTH, length)] {
        if let Some(value) = value {
            response.headers_mut().insert(name, value);
        }
    }
    response
}
