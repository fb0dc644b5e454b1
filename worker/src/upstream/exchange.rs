//! One call to Gemini, bounded in time and in length.
//!
//! In: a request for the host to send. Out: an answer, whole or piece by piece, or the verdict on why there is none.
//! What must never happen here: waiting without a limit, or holding an answer of any length.

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

/// How long an error's body may take: what it says is wanted, and its status says enough without.
const ERROR_BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest answer that is held in memory whole.
pub(crate) const LONGEST_ANSWER: usize = 64 * 1024 * 1024;
/// The longest error body that is looked at.
const LONGEST_REFUSAL: usize = 256 * 1024;

type Body<H> = <<H as Platform>::Upstream as Upstream>::Body;

/// Sends a request and waits for a success's headers.
pub(crate) async fn open<H: Host>(
    host: &H,
    timeouts: UpstreamTimeouts,
    request: UpstreamRequest,
) -> Result<Body<H>, Verdict> {
    let sent = sent(&request);
    success(host, send(host, timeouts, request).await?, &sent).await
}

/// What an error that responds to a request may repeat.
pub(crate) fn sent(request: &UpstreamRequest) -> Sent {
    Sent::new(request.path.clone(), request.body.clone().unwrap_or_default())
}

/// Sends a request and waits for the headers of its answer, whatever it is.
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

/// Sends a request and reads the whole answer. One limit holds for all of it: Gemini sends such an answer when it is made,
/// and each limit is a timer, which is dear on Workers.
pub(crate) async fn fetch<H: Host>(
    host: &H,
    timeouts: UpstreamTimeouts,
    request: UpstreamRequest,
) -> Result<Bytes, Verdict> {
    let sent = sent(&request);
    let answer = pin!(async {
        let response = host.upstream().send(request).await.map_err(|error| network_fault(&error))?;
        let mut body = success(host, response, &sent).await?;
        let body = readable(body.whole(LONGEST_ANSWER).await.map_err(|error| network_fault(&error))?);
        match error_in(&body) {
            Some(error) => Err(error_in_answer(host, &error, Some(&sent))),
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
    if response.status.is_success() { Ok(response.body) } else { Err(refusal(host, response, sent).await.0) }
}

/// A body as text. One wrong byte is no reason to throw a response away: U+FFFD stands in its place.
fn readable(body: Bytes) -> Bytes {
    if from_utf8(&body).is_ok() { body } else { String::from_utf8_lossy(&body).into_owned().into() }
}

/// The error object that stands in the body of a success in place of a response.
pub(crate) fn error_in(body: &[u8]) -> Option<ErrorBody> {
    // Nearly no response has the word as a name, which is found faster than the JSON is read.
    memmem::find(body, b"\"error\"").and_then(|_| ErrorBody::find(body)).filter(|error| error.is_error)
}

/// An error that Gemini sent in the body of a success means what it would mean as a status.
pub(crate) fn error_in_answer<H: Host>(host: &H, error: &ErrorBody, sent: Option<&Sent>) -> Verdict {
    let status = error.http_status().and_then(|code| StatusCode::from_u16(code).ok());
    let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let refusal = Refusal { status, retry_after: None, body: error, sent };
    classify(&refusal, host.clock().now(), host.random().next_u64())
}

/// What an answer other than a success means, and its body, unless that broke off or is too long.
pub(crate) async fn refusal<H: Host>(
    host: &H,
    response: UpstreamResponse<impl UpstreamBody>,
    sent: &Sent,
) -> (Verdict, Option<Bytes>) {
    let UpstreamResponse { status, retry_after, mut body, .. } = response;
    let whole = host.clock().within(ERROR_BODY_TIMEOUT, pin!(body.whole(LONGEST_REFUSAL))).await;
    // One that broke off is judged by its status.
    let whole = whole.and_then(Result::ok);
    let body = ErrorBody::parse(&readable(whole.clone().unwrap_or_default()));
    let now = host.clock().now();
    let retry_after = retry_after.map(|retry_after| retry_after.from(now));
    let refusal = Refusal { status, retry_after, body: &body, sent: Some(sent) };
    (classify(&refusal, now, host.random().next_u64()), whole)
}

/// The next piece of an answer; `None` within when none comes for `wait`.
pub(crate) async fn next_chunk<H: Host>(
    host: &H,
    body: &mut impl UpstreamBody,
    wait: Duration,
) -> Option<Result<Option<Bytes>, UpstreamError>> {
    host.clock().within(wait, pin!(body.chunk())).await
}
