//! The data plane: the client-facing API, OpenAI-compatible and native Gemini.
//!
//! A request is authenticated by its client key, converted once, and sent with one Gemini key after
//! another until one succeeds; the response is converted back. In pools with pass-through, native
//! Gemini requests are forwarded unchanged ([`pass_through`]).
//!
//! # Invariants
//! - A request whose pool is cached waits for no storage.
//! - Only Gemini's response to a key changes that key's state.
//! - The first event of a response ends retrying. Keep-alive comments are no events.
//! - No platform is named.

mod authenticate;
mod chat;
mod client_limits;
mod credentials;
mod embeddings;
mod event_stream;
mod families;
mod guesses;
mod media;
mod models;
mod pacing;
mod pass_through;
mod routes;
mod streamed;
mod token_estimate;

use std::sync::{Arc, Mutex};

use http::{HeaderMap, Method, StatusCode};
use jiff::SignedDuration;

pub use chat::{RepairMemory, SignatureMemory};
pub use credentials::CredentialMemory;
pub use event_stream::EventStream;
pub use families::FamilyMemory;
pub use guesses::Guesses;
pub use pacing::OutgoingEvents;
pub use routes::{ApiDialect, PassThroughRoute, PassThroughTarget, ROUTES, Route};
pub(crate) use streamed::events as events_reply;
pub use streamed::{Reply, Streamed};

#[cfg(test)]
pub(crate) use event_stream::tests::endless_events;
#[cfg(any(test, fuzzing))]
pub(crate) use {authenticate::presented_key, routes::find};

use pass_through::PassThrough;

use crate::attempt::{Caller, Calls};
use crate::crypto::TokenHash;
use crate::limits;
use crate::platform::{Clock, IncomingBody, IncomingBodyError, IncomingRequest, MaybeSend, lock};
use crate::pools::Snapshot;
use crate::ports::Host;
use crate::reply::{self, ReplyBody};
use crate::reporting::RequestLog;
use crate::retry;
use crate::setup::SetupError;
use crate::state::ServiceState;
use pool_translate::ApiError;

/// The data plane, with the caches that it owns.
pub struct Gateway {
    state: Arc<ServiceState>,
    guesses: Mutex<Guesses>,
    repairs: Mutex<RepairMemory>,
    families: Mutex<FamilyMemory>,
    credentials: Mutex<CredentialMemory>,
    signatures: Mutex<SignatureMemory>,
}

impl Gateway {
    /// Creates a data plane with empty caches.
    pub(crate) fn new(state: Arc<ServiceState>) -> Self {
        Self {
            state,
            guesses: Mutex::default(),
            repairs: Mutex::default(),
            families: Mutex::default(),
            credentials: Mutex::default(),
            signatures: Mutex::default(),
        }
    }

    /// Moves all times after the clock was set, so that ages stay the same.
    pub(crate) fn shift(&self, by: SignedDuration) {
        lock(&self.guesses).shift(by);
    }
}

/// An authenticated request.
type Context<'a, H> = retry::Context<'a, H, Arc<Gateway>>;
/// Its attempts.
type Attempts<'a, H> = retry::Attempts<'a, H, Arc<Gateway>>;

/// An owned [`Context`], for work that outlives the function that began it.
struct OwnedContext<H> {
    gateway: Arc<Gateway>,
    host: H,
    pool: Arc<Snapshot>,
    client_key: Option<TokenHash>,
    caller: Option<Caller>,
    calls: Calls,
    log: RequestLog,
}

impl<H: Clone> OwnedContext<H> {
    fn of(context: &Context<'_, H>) -> Self {
        let Context { plane, host, pool, client_key, caller, calls, log, .. } = context;
        Self {
            gateway: Arc::clone(plane),
            host: (*host).clone(),
            pool: Arc::clone(pool),
            client_key: client_key.clone(),
            caller: caller.clone(),
            calls: calls.clone(),
            log: log.clone(),
        }
    }
}

impl<H> OwnedContext<H> {
    fn borrowed(&self) -> Context<'_, H> {
        let Self { gateway, host, pool, client_key, caller, calls, log } = self;
        Context {
            plane: gateway,
            state: &gateway.state,
            host,
            pool: Arc::clone(pool),
            client_key: client_key.clone(),
            caller: caller.clone(),
            calls: calls.clone(),
            log: log.clone(),
        }
    }
}

/// Handles a request of the data plane.
pub(crate) async fn handle<H, B>(
    gateway: &Arc<Gateway>,
    host: &H,
    request: IncomingRequest<B>,
    request_id: &str,
) -> Reply<H>
where
    H: Host + Clone,
    B: IncomingBody,
{
    if request.method == Method::OPTIONS {
        return preflight(&request);
    }
    let log = gateway.state.reporter.log.begin("data", request_id, host.clock().now());
    let dialect = ApiDialect::of(&request.path);
    let checked = check_size(&request).and_then(|()| check_encoding(&request.headers));
    let found = checked.and_then(|()| routes::find(&request.method, &request.path));
    let answered = match found {
        Err(error) => Err((error, routes::allowed_method(&request.path))),
        Ok((route, pattern)) => {
            log.route(request.method.as_str(), pattern);
            answer(gateway, host, route, dialect, request, log.clone()).await.map_err(|error| (error, None))
        }
    };
    let reply = answered.unwrap_or_else(|(error, allowed)| {
        log.class(error.code.unwrap_or(error.kind));
        log.cause_of(&error);
        let reply = dialect.error(&error);
        match allowed {
            Some(method) => reply.header("allow", method.as_str()),
            None => reply,
        }
    });
    log.answered(reply.status.as_u16(), host.clock().now());
    with_cors(reply)
}

fn check_size<B>(request: &IncomingRequest<B>) -> Result<(), ApiError> {
    limits::check_head(request).map_err(|too_large| {
        let code = Some("request_head_too_large");
        ApiError::new(too_large.status(), "invalid_request_error", code, too_large.to_string())
    })
}

/// Rejects a compressed body: its real length would be unknown until it is decompressed.
fn check_encoding(headers: &HeaderMap) -> Result<(), ApiError> {
    if limits::is_encoded(headers) {
        let message = "The body of a request is taken as it is: send it without Content-Encoding.";
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return Err(ApiError::new(status, "invalid_request_error", Some("unsupported_encoding"), message));
    }
    Ok(())
}

/// Adds CORS headers to a response.
fn with_cors<S>(reply: reply::Reply<S>) -> reply::Reply<S> {
    reply.header("access-control-allow-origin", "*").header(
        "access-control-expose-headers",
        "x-request-id, x-pool-ignored-params, x-pool-dropped, x-pool-model, x-pool-key, x-pool-attempts, retry-after, retry-after-ms, \
         x-ratelimit-limit-requests, x-ratelimit-remaining-requests, x-ratelimit-reset-requests, \
         x-ratelimit-limit-tokens, x-ratelimit-remaining-tokens, x-ratelimit-reset-tokens",
    )
}

/// Returns the response of a deployment that lacks a binding or a secret.
pub(crate) fn not_set_up<S>(path: &str, error: &SetupError) -> reply::Reply<S> {
    let message = format!("The service is not set up: {error}.");
    with_cors(ApiDialect::of(path).error(&ApiError::server(
        StatusCode::SERVICE_UNAVAILABLE,
        "not_set_up",
        message,
    )))
}

/// Returns the response to a request that is in flight when the service stops.
#[cfg_attr(target_arch = "wasm32", allow(dead_code, reason = "only the native host stops"))]
pub(crate) fn shutting_down<S>(dialect: ApiDialect) -> reply::Reply<S> {
    with_cors(dialect.error(&ApiError::shutting_down()))
}

async fn answer<H, B>(
    gateway: &Arc<Gateway>,
    host: &H,
    route: Route,
    dialect: ApiDialect,
    request: IncomingRequest<B>,
    log: RequestLog,
) -> Result<Reply<H>, ApiError>
where
    H: Host + Clone,
    B: IncomingBody,
{
    if matches!(route, Route::PassThrough(_)) {
        pass_through::check_credential(&request)?;
    }
    let state = &gateway.state;
    let (pool, client_key, background) = authenticate::authenticate(gateway, host, &request, &log).await?;
    log.pool(&pool.id);
    // Open WebUI sends it after a chat, which is counted already.
    if route != Route::ChatCompleted {
        log.count_for(&state.reporter, &pool.id, pool.client_key_id(&client_key));
    }
    authenticate::check_enabled(&pool)?;
    let caller = pool.client_limits(&client_key).map(Caller::new);
    if let Some(caller) = &caller {
        client_limits::check_address(caller, request.client_address)?;
    }
    let calls = Calls::of_a_request::<H>();
    let context =
        Context { plane: gateway, state, host, pool, client_key: Some(client_key), caller, calls, log };
    let mut reply = match route {
        Route::ChatCompletions => serve_metered(&context, MeteredRequest::Chat, dialect, request).await?,
        Route::Embeddings => serve_metered(&context, MeteredRequest::Embeddings, dialect, request).await?,
        Route::PassThrough(passed) => {
            let pass = PassThrough::new(&context, passed, &request)?;
            match request.method {
                Method::GET => within_limits(&context, dialect, pass.get()).await,
                _ => serve_metered(&context, MeteredRequest::PassThrough(pass), dialect, request).await?,
            }
        }
        Route::Models => within_limits(&context, dialect, models::list(&context)).await,
        Route::Model(id) => within_limits(&context, dialect, models::get(&context, &id)).await,
        Route::ChatCompleted => Reply::json(StatusCode::OK, r#"{"success":true}"#),
    };
    reply.background.refresh = background.refresh;
    let body = match (reply.body, context.pool.settings.translation.pacing) {
        (ReplyBody::Streamed(Streamed::Events(events)), Some(pacing)) => {
            ReplyBody::Streamed(Streamed::Events(events.paced(pacing, host)))
        }
        (body, _) => body,
    };
    Ok(Reply { body, ..reply })
}

/// A request with a body, metered by the limits of its client key.
enum MeteredRequest<'a, H> {
    Chat,
    Embeddings,
    PassThrough(PassThrough<'a, H>),
}

/// Handles a metered request. The response has rate limit headers.
async fn serve_metered<H: Host + Clone, B: IncomingBody>(
    context: &Context<'_, H>,
    spending: MeteredRequest<'_, H>,
    dialect: ApiDialect,
    request: IncomingRequest<B>,
) -> Result<Reply<H>, ApiError> {
    let Context { state, host, .. } = context;
    let mut share = state.bodies.permit(H::BODIES_AT_ONCE, H::BODY_LOST_AFTER);
    // Held until the response has begun.
    let body = limits::read(*host, request.body, H::BODY_BYTES, &mut share)
        .await
        .map_err(|error| unread(context, error))?;
    let (admitted, headers) = client_limits::admit(context, &body);
    // On the heap: each client up to the host would copy some kilobytes into its own future.
    let answered = match (admitted, spending) {
        (Err(error), _) => Err(error),
        (Ok(()), MeteredRequest::Chat) => chat::answer_kept_alive(context, body, share).await,
        (Ok(()), MeteredRequest::Embeddings) => Box::pin(embeddings::answer(context, &body)).await,
        (Ok(()), MeteredRequest::PassThrough(pass)) => Box::pin(pass.post(body)).await,
    };
    Ok(with_limits(context, dialect, answered, headers))
}

/// Handles a request without a body within the limits of its client key, because it may call Gemini too.
async fn within_limits<H: Host>(
    context: &Context<'_, H>,
    dialect: ApiDialect,
    answer: impl Future<Output = Result<Reply<H>, ApiError>> + MaybeSend,
) -> Reply<H> {
    let (admitted, headers) = client_limits::admit(context, &[]);
    let answered = match admitted {
        Ok(()) => answer.await,
        Err(error) => Err(error),
    };
    with_limits(context, dialect, answered, headers)
}

/// Adds rate limit headers to any response.
fn with_limits<H: Host>(
    context: &Context<'_, H>,
    dialect: ApiDialect,
    answered: Result<Reply<H>, ApiError>,
    headers: client_limits::LimitHeaders,
) -> Reply<H> {
    let reply = answered.unwrap_or_else(|error| {
        context.log.refused(&error);
        dialect.error(&error)
    });
    headers.into_iter().fold(reply, |reply, (name, value)| reply.header(name, &value))
}

fn unread<H: Host>(context: &Context<'_, H>, error: IncomingBodyError) -> ApiError {
    match error {
        IncomingBodyError::TooLarge => ApiError::body_too_large(H::BODY_BYTES),
        IncomingBodyError::NoRoom => too_many_large_bodies(),
        IncomingBodyError::TooSlow => too_slow(),
        IncomingBodyError::Broken => {
            context.log.client_left();
            ApiError::invalid_json()
        }
    }
}

/// 408, which ends the connection, because the rest of the body may still arrive.
fn too_slow() -> ApiError {
    let message = format!(
        "The body of the request came too slowly: at least {} KiB a second are needed, without a pause of {} seconds.",
        limits::MIN_RATE / 1_024,
        limits::STALL_TIMEOUT.as_secs()
    );
    ApiError::new(StatusCode::REQUEST_TIMEOUT, "invalid_request_error", Some("request_timeout"), message)
}

/// Backpressure: the memory budget for large bodies is used up; the client retries later.
fn too_many_large_bodies() -> ApiError {
    let message = "Too many large requests are being answered at once. Please try again.";
    let error = ApiError::server(StatusCode::SERVICE_UNAVAILABLE, "too_many_large_requests", message);
    ApiError { retry_after_ms: Some(1_000), ..error }
}

/// Answers a CORS preflight request. OpenAI's browser SDKs send headers (`x-stainless-…`) that change
/// from version to version, so all requested headers are allowed: the only credential is one that the
/// page itself must have.
fn preflight<H: Host, B>(request: &IncomingRequest<B>) -> Reply<H> {
    let asked = request.headers.get("access-control-request-headers").and_then(|value| value.to_str().ok());
    Reply::empty(StatusCode::NO_CONTENT)
        .header("access-control-allow-origin", "*")
        .header("access-control-allow-methods", "GET, POST, OPTIONS")
        .header("access-control-allow-headers", asked.unwrap_or("authorization, content-type"))
        .header("access-control-max-age", "86400")
}

#[cfg(test)]
mod tests;
