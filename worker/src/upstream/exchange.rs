//! Upstream requests over HTTP.
//!
//! # Invariants
//! - Every wait has a timeout, every buffer a limit.

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use memchr::memmem;
use simdutf8::basic::from_utf8;

use super::timeouts::UpstreamTimeouts;
use crate::platform::{
    Awaited, Clock, Platform, Random, Upstream, UpstreamBody, UpstreamError, UpstreamRequest,
    UpstreamResponse,
};
use crate::ports::Host;
use pool_engine::{Refusal, Sent, Verdict, classify, network_fault};
use pool_translate::gemini::ErrorBody;

/// Timeout of an error's body; the status alone is enough for a classification.
const ERROR_BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// Maximum size of a buffered response.
pub(crate) const MAX_RESPONSE_BYTES: usize = 64 * 1024 * 1024;
/// Maximum size of an error body.
const MAX_ERROR_BYTES: usize = 256 * 1024;

type Body<H> = <<H as Platform>::Upstream as Upstream>::Body;

/// Sends a request and waits for the headers of a success.
pub(crate) async fn start<H: Host>(
    host: &H,
    timeouts: UpstreamTimeouts,
    request: UpstreamRequest,
) -> Result<Body<H>, Verdict> {
    let sent = sent(&request);
    success(host, send(host, timeouts, request).await?, &sent).await
}

/// Returns the parts of a request that an error may repeat.
pub(crate) fn sent(request: &UpstreamRequest) -> Sent {
    Sent::new(request.path.clone(), request.body.clone().unwrap_or_default())
}

/// Sends a request and waits for the response headers, of any status.
pub(crate) async fn send<H: Host>(
    host: &H,
    timeouts: UpstreamTimeouts,
    request: UpstreamRequest,
) -> Result<UpstreamResponse<Body<H>>, Verdict> {
    let limit = timeouts.headers;
    let response = host.clock().within(limit, pin!(host.upstream().send(request))).await;
    let response = response.unwrap_or(Err(UpstreamError::Timeout { limit, awaited: Awaited::Headers }));
    response.map_err(|error| network_fault(&error))
}

/// Sends a request and reads the whole response. One timeout covers both, because Gemini sends a
/// buffered response when it is complete and timers are expensive on Workers.
pub(crate) async fn fetch<H: Host>(
    host: &H,
    timeouts: UpstreamTimeouts,
    request: UpstreamRequest,
) -> Result<Bytes, Verdict> {
    let sent = sent(&request);
    let answer = pin!(async {
        let response = host.upstream().send(request).await.map_err(|error| network_fault(&error))?;
        let mut body = success(host, response, &sent).await?;
        let body = readable(body.whole(MAX_RESPONSE_BYTES).await.map_err(|error| network_fault(&error))?);
        match error_in(&body) {
            Some(error) => Err(error_in_response(host, &error, Some(&sent))),
            None => Ok(body),
        }
    });
    let limit = timeouts.total;
    match host.clock().within(limit, answer).await {
        Some(answer) => answer,
        None => Err(network_fault(&UpstreamError::Timeout { limit, awaited: Awaited::Response })),
    }
}

async fn success<H: Host>(
    host: &H,
    response: UpstreamResponse<Body<H>>,
    sent: &Sent,
) -> Result<Body<H>, Verdict> {
    if response.status.is_success() { Ok(response.body) } else { Err(error_of(host, response, sent).await.0) }
}

/// Returns a body as UTF-8. An invalid byte is replaced by U+FFFD, so that one cannot invalidate a
/// response.
fn readable(body: Bytes) -> Bytes {
    if from_utf8(&body).is_ok() { body } else { String::from_utf8_lossy(&body).into_owned().into() }
}

/// Returns the error object in the body of a success, if there is one.
pub(crate) fn error_in(body: &[u8]) -> Option<ErrorBody> {
    // Nearly no response contains this name, and searching is faster than parsing.
    memmem::find(body, b"\"error\"").and_then(|_| ErrorBody::find(body)).filter(|error| error.is_error)
}

/// Classifies an error in the body of a success like an error status.
pub(crate) fn error_in_response<H: Host>(host: &H, error: &ErrorBody, sent: Option<&Sent>) -> Verdict {
    let status = error.http_status().and_then(|code| StatusCode::from_u16(code).ok());
    let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let refusal = Refusal { status, retry_after: None, body: error, sent };
    classify(&refusal, host.clock().now(), host.random().next_u64())
}

/// Classifies an error response. Returns also its body, unless it is truncated or too long.
pub(crate) async fn error_of<H: Host>(
    host: &H,
    response: UpstreamResponse<impl UpstreamBody>,
    sent: &Sent,
) -> (Verdict, Option<Bytes>) {
    let UpstreamResponse { status, retry_after, mut body, .. } = response;
    let whole = host.clock().within(ERROR_BODY_TIMEOUT, pin!(body.whole(MAX_ERROR_BYTES))).await;
    // A truncated body is classified by its status.
    let whole = whole.and_then(Result::ok);
    let body = ErrorBody::parse(&readable(whole.clone().unwrap_or_default()));
    let now = host.clock().now();
    let retry_after = retry_after.map(|retry_after| retry_after.from(now));
    let refusal = Refusal { status, retry_after, body: &body, sent: Some(sent) };
    (classify(&refusal, now, host.random().next_u64()), whole)
}

/// Returns the next chunk of a response; the outer `None` is the timeout `wait`.
pub(crate) async fn next_chunk<H: Host>(
    host: &H,
    body: &mut impl UpstreamBody,
    wait: Duration,
) -> Option<Result<Option<Bytes>, UpstreamError>> {
    host.clock().within(wait, pin!(body.chunk())).await
}
