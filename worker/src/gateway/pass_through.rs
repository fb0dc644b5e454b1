//! Pass-through: native Gemini requests, and requests to Google's OpenAI-compatible endpoint, forwarded
//! unchanged.
//!
//! The body is read for the model's name only, where the path has none, and an error body only for what
//! it repeats of the request. Aliases apply in paths; fallback models and session affinity do not apply.
//! Failover and the limits of client keys do. Attempts on a model are counted, their tokens are not.
//!
//! # Invariants
//! - Exactly one credential is sent upstream; query parameters are sent by allowlist.
//! - No byte of a forwarded body is changed.
//! - The headers of a successful response end retrying.

use std::borrow::Cow;
use std::pin::pin;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, StatusCode};
use memchr::memmem;
use percent_encoding::percent_decode_str;
use serde::Deserialize;

use super::authenticate::presented_key;
use super::routes::{ApiDialect, PassThroughRoute, PassThroughTarget};
use super::token_estimate::estimated_tokens;
use super::{Context, credentials, models};
use crate::gateway::Attempts;
use crate::gateway::{Reply, Streamed};
use crate::model_lists;
use crate::platform::lock;
use crate::platform::{
    Awaited, Clock, Credential, IncomingRequest, JSON, Upstream, UpstreamBody, UpstreamError,
    UpstreamRequest, UpstreamResponse,
};
use crate::pools::ModelPageText;
use crate::ports::Host;
use crate::reply::ReplyBody;
use crate::retry::{Attempt, Mark};
use crate::upstream::Outbound;
use crate::upstream::{MAX_RESPONSE_BYTES, error_in, error_of, send, sent};
use pool_engine::{Cause, Cost, Verdict, network_fault};
use pool_translate::ApiError;
use pool_translate::Usage;
use pool_translate::gemini::ModelId;

/// Query parameters that are forwarded. Others may be credentials, replace headers or the method, or charge
/// another project (<https://cloud.google.com/apis/docs/system-parameters>).
const FORWARDED_QUERY: [&str; 4] = ["alt", "pageSize", "pageToken", "fields"];
/// Values of `alt` with which errors are JSON, so that verdicts can be read from them.
const READABLE: [&str; 3] = ["json", "sse", "media"];

/// A request that may be forwarded.
pub(super) struct PassThrough<'a, H> {
    context: &'a Context<'a, H>,
    passed: PassThroughRoute,
    /// With its `?`; empty for none.
    query: String,
    content_type: HeaderValue,
}

/// Rejects a client key in the query with a hint: some Gemini clients put it there.
pub(super) fn check_credential<B>(request: &IncomingRequest<B>) -> Result<(), ApiError> {
    let in_query =
        || request.query.as_deref().is_some_and(|query| query.split('&').any(|pair| name_of(pair) == "key"));
    if presented_key(&request.headers).is_some() || !in_query() {
        return Ok(());
    }
    let message = "Send the client key of your pool (sk-pool-...) in the header x-goog-api-key. One in the URL is not \
                   taken: URLs end up in logs.";
    Err(ApiError { message: message.to_owned(), ..ApiError::unauthorized() })
}

impl<'a, H: Host> PassThrough<'a, H> {
    /// Fails if the pool or the client key does not allow pass-through.
    pub(super) fn new<B>(
        context: &'a Context<'a, H>,
        passed: PassThroughRoute,
        request: &IncomingRequest<B>,
    ) -> Result<Self, ApiError> {
        let denied = |code, message| {
            Err(ApiError::new(StatusCode::FORBIDDEN, "permission_error", Some(code), message))
        };
        let pool = &context.pool;
        if !pool.settings.pass_through {
            return denied(
                "pass_through_off",
                format!(
                    "The pool '{0}' does not take requests under /v1beta. Its operator can switch them on: poolctl pool \
                     update '{0}' --pass-through on.",
                    pool.name
                ),
            );
        }
        let limits = context.caller.as_ref().map(|caller| caller.rules.limits);
        if limits.is_some_and(|limits| limits.tokens_per_minute.is_some() || limits.tokens_per_day.is_some())
        {
            return denied(
                "tokens_not_counted",
                "This client key has a limit of tokens, and the tokens of requests under /v1beta are not counted. Use /v1, \
                 or a client key without such a limit."
                    .to_owned(),
            );
        }
        let content_type = request.headers.get(CONTENT_TYPE).cloned().unwrap_or(JSON);
        if request.method == Method::POST && !is_json(&content_type) {
            let message =
                "Requests under /v1beta have a body of JSON: send 'content-type: application/json'.";
            let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return Err(ApiError::new(
                status,
                "invalid_request_error",
                Some("unsupported_media_type"),
                message,
            ));
        }
        Ok(Self { context, passed, query: passed_query(request.query.as_deref()), content_type })
    }

    /// Handles a request that uses no quota of a key: its attempts are not counted.
    pub(super) async fn get(&self) -> Result<Reply<H>, ApiError> {
        let PassThroughTarget::Model(id) = &self.passed.target else { return self.read("models").await };
        let model = models::allowed(self.context, self.unaliased(id))?;
        models::check_known(self.context, &model)?;
        let answered = self.read(&model.resource()).await;
        let status = answered.as_ref().map_or_else(|error| error.status, |reply| reply.status);
        models::note_unknown(self.context, &model, status);
        answered
    }

    /// Reads a model or a list of models, from the cache if it is fresh.
    async fn read(&self, resource: &str) -> Result<Reply<H>, ApiError> {
        let (host, path) = (self.context.host, self.path(resource));
        if let Some(page) = model_lists::cached_page(self.context, &path) {
            return Ok(with_forwarded_headers(Reply::json(StatusCode::OK, page.body), page.content_type));
        }
        let mut reply = self.attempt(None, resource, None).await?;
        let ReplyBody::Streamed(Streamed::Unchanged(body)) = &mut reply.body else { return Ok(reply) };
        let limit = model_lists::LISTING_TIMEOUTS.total;
        let whole = host.clock().within(limit, pin!(body.whole(MAX_RESPONSE_BYTES))).await;
        let timeout = UpstreamError::Timeout { limit, awaited: Awaited::Response };
        let body = whole.unwrap_or(Err(timeout)).map_err(|fault| network_fault(&fault).answer)?;
        if error_in(&body).is_none() {
            let content_type = reply.headers.get(CONTENT_TYPE).cloned();
            model_lists::cache_page(self.context, path, ModelPageText { body: body.clone(), content_type });
        }
        Ok(Reply { body: ReplyBody::Whole(body), ..reply })
    }

    /// Returns the upstream path and query.
    fn path(&self, resource: &str) -> String {
        let base = match self.passed.dialect {
            ApiDialect::Gemini => "/v1beta",
            ApiDialect::OpenAi => "/v1beta/openai",
        };
        format!("{base}/{resource}{}", self.query)
    }

    /// Counts the request under its model.
    fn counted(&self, found: Result<ModelId, ApiError>) -> Result<ModelId, ApiError> {
        self.context.log.model(found.as_ref().ok());
        found
    }

    /// Handles a request with a body.
    pub(super) async fn post(&self, body: Bytes) -> Result<Reply<H>, ApiError> {
        let (model, path) = match &self.passed.target {
            PassThroughTarget::Method(id, method) => {
                let model = self.counted(models::allowed(self.context, self.unaliased(id)))?;
                let path = format!("{}:{method}", model.resource());
                (Some(model).filter(|_| *method != "countTokens"), path)
            }
            PassThroughTarget::OfBody(path) => {
                (Some(self.counted(models::allowed(self.context, &model_in(&body)?))?), (*path).to_owned())
            }
            PassThroughTarget::Models | PassThroughTarget::Model(_) => (None, "models".to_owned()),
        };
        self.attempt(model, &path, Some(body)).await
    }

    /// Resolves an alias in the path. The body stays unchanged.
    fn unaliased<'n>(&'n self, name: &'n str) -> &'n str {
        let aliases = &self.context.pool.settings.aliases;
        let alias = aliases.get(name).filter(|_| self.passed.dialect == ApiDialect::Gemini);
        alias.map_or(name, String::as_str)
    }

    /// Tries one key after another. Without a model no quota is used.
    async fn attempt(
        &self,
        model: Option<ModelId>,
        path: &str,
        body: Option<Bytes>,
    ) -> Result<Reply<H>, ApiError> {
        let host = self.context.host;
        let cost = match (&model, &body) {
            (Some(_), Some(body)) => Cost { requests: 1, tokens: estimated_tokens(body) },
            _ => Cost::default(),
        };
        let name = model.as_ref().map(|model| model.as_str().to_owned()).unwrap_or_default();
        let attempts = Attempts::new(self.context, vec![name], None, cost);
        let mut attempts =
            if self.passed.target.generates() { attempts } else { attempts.of_another_method() };
        loop {
            let Attempt { outbound, mut record, mark, .. } = attempts.next().await?;
            if model.is_none() {
                record.not_counted();
            }
            let request = self.request(&outbound, path, body.clone());
            let mut sent = self.send(request.clone()).await;
            if self.wants_other_header(&sent) && self.context.calls.take(1) {
                record.once_more(host.clock().now());
                let credential = credentials::other(request.credential);
                sent = self.send(UpstreamRequest { credential, ..request }).await;
                // A key rejected in both headers says nothing about the header.
                if !self.wants_other_header(&sent) {
                    let now = host.clock().now();
                    lock(&self.context.plane.credentials).prefer(&outbound.key, credential, now);
                }
            }
            let (verdict, error) = match sent {
                Ok(response) => {
                    record.received(host.clock().now());
                    record.succeeded(&Usage::default(), host);
                    return Ok(forward_unchanged(response, &mark));
                }
                Err(failed) => failed,
            };
            let verdict = record.failed(verdict, &Usage::default(), host);
            if let Some(error) = error.filter(|error| error.is_for_the_client(&verdict, &outbound)) {
                return Ok(mark.put_on(error.reply()));
            }
            attempts.refused(&verdict);
        }
    }

    /// Returns `true` if Google's endpoint may accept the key in the other header.
    fn wants_other_header<T>(&self, sent: &Result<T, (Verdict, Option<ErrorResponse>)>) -> bool {
        let Err((_, Some(error))) = sent else { return false };
        self.passed.dialect == ApiDialect::OpenAi
            && credentials::wants_other_header(error.status, &error.body)
    }

    /// Sends a request, and waits for the headers of a success or for the body of an error.
    async fn send(
        &self,
        request: UpstreamRequest,
    ) -> Result<UpstreamResponse<<H::Upstream as Upstream>::Body>, (Verdict, Option<ErrorResponse>)> {
        let host = self.context.host;
        let sent = sent(&request);
        let timeouts = self.context.state.timeouts;
        let response = send(host, timeouts, request).await.map_err(|verdict| (verdict, None))?;
        if response.status.is_success() {
            return Ok(response);
        }
        let (status, content_type) = (response.status, response.content_type.clone());
        let (verdict, body) = error_of(host, response, &sent).await;
        Err((verdict, body.map(|body| ErrorResponse { status, content_type, body })))
    }

    fn request(&self, outbound: &Outbound, path: &str, body: Option<Bytes>) -> UpstreamRequest {
        let credential = match self.passed.dialect {
            ApiDialect::Gemini => Credential::ApiKey,
            ApiDialect::OpenAi => {
                let now = self.context.host.clock().now();
                lock(&self.context.plane.credentials).get(&outbound.key, now)
            }
        };
        let request = outbound.clone().get(self.path(path));
        let method = if body.is_some() { Method::POST } else { Method::GET };
        UpstreamRequest { method, credential, body, content_type: self.content_type.clone(), ..request }
    }
}

/// An error response of Gemini.
struct ErrorResponse {
    status: StatusCode,
    content_type: Option<HeaderValue>,
    body: Bytes,
}

impl ErrorResponse {
    /// Returns `true` if it can be forwarded: the client caused the error, and the body does not contain the key.
    fn is_for_the_client(&self, verdict: &Verdict, outbound: &Outbound) -> bool {
        matches!(verdict.cause, Cause::Caller | Cause::UnknownModel)
            && memmem::find(&self.body, outbound.key.expose().as_bytes()).is_none()
    }

    fn reply<H: Host>(self) -> Reply<H> {
        let mut reply = Reply::json(self.status, self.body);
        reply.headers.insert(CONTENT_TYPE, self.content_type.unwrap_or(JSON));
        reply
    }
}

/// Forwards Gemini's response, its body unread.
fn forward_unchanged<H: Host>(
    response: UpstreamResponse<<H::Upstream as Upstream>::Body>,
    mark: &Mark,
) -> Reply<H> {
    let reply = Reply {
        body: ReplyBody::Streamed(Streamed::Unchanged(response.body)),
        ..Reply::empty(response.status)
    };
    mark.put_on(with_forwarded_headers(reply, response.content_type))
}

/// Adds the headers of a forwarded response.
fn with_forwarded_headers<H: Host>(mut reply: Reply<H>, content_type: Option<HeaderValue>) -> Reply<H> {
    if let Some(content_type) = content_type {
        reply.headers.insert(CONTENT_TYPE, content_type);
    }
    reply.header("cache-control", "no-store, no-transform").header("x-accel-buffering", "no")
}

/// Returns the model that a body names. A body with two is rejected, because Gemini's choice between
/// them is unknown.
fn model_in(body: &[u8]) -> Result<Cow<'_, str>, ApiError> {
    #[derive(Deserialize)]
    struct Named<'a> {
        #[serde(borrow, default)]
        model: Cow<'a, str>,
    }
    match serde_json::from_slice::<Named>(body) {
        Ok(named) if named.model.is_empty() => Err(ApiError::missing("model")),
        Ok(named) => Ok(named.model),
        Err(error) if error.is_data() => Err(ApiError::invalid_value("model", "'model' must be one text.")),
        Err(_) => Err(ApiError::invalid_json()),
    }
}

/// Returns the forwarded part of a query, with its `?`.
fn passed_query(query: Option<&str>) -> String {
    let pairs = query.unwrap_or_default().split('&');
    let passed: Vec<&str> =
        pairs.filter(|pair| FORWARDED_QUERY.contains(&&*name_of(pair)) && is_readable(pair)).collect();
    if passed.is_empty() { String::new() } else { format!("?{}", passed.join("&")) }
}

fn is_json(content_type: &HeaderValue) -> bool {
    let essence = content_type.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}

fn is_readable(pair: &str) -> bool {
    let value = percent_decode_str(pair.split_once('=').map_or("", |(_, value)| value)).decode_utf8_lossy();
    name_of(pair) != "alt" || READABLE.contains(&&*value)
}

fn name_of(pair: &str) -> Cow<'_, str> {
    percent_decode_str(pair.split('=').next().unwrap_or_default()).decode_utf8_lossy()
}

#[cfg(test)]
mod tests;
