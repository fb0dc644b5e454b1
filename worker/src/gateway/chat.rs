//! `POST chat/completions`, streamed and whole.

use bytes::Bytes;
use http::StatusCode;
use pool_shared::AttemptOutcome;

use super::attempts::{Attempts, IDLE_TIMEOUT, fetch, next_chunk, open, post};
use super::events::EventStream;
use super::{Context, models};
use crate::gemini::{Method, ModelId};
use crate::host::{Clock, Host, Random};
use crate::openai::{ApiError, ChatRequest};
use crate::pool::{Fault, Verdict, classify, network_fault};
use crate::reply::Reply;
use crate::translate::{
    AnswerError, AnswerModel, ChatStream, Envelope, GeminiCall, StreamEnd, StreamFault, TranslateOptions,
    Usage, chat_response, to_gemini,
};

/// A soft failure, an answer with nothing usable in it, is tried on so many keys.
const MOST_SOFT_FAILURES: u32 = 2;

/// One chat request on its way through its attempts.
struct Chat<'a, H> {
    context: &'a Context<'a, H>,
    model: ModelId,
    path: String,
    body: Bytes,
    call: GeminiCall,
    envelope: Envelope,
}

pub(super) async fn answer<H: Host + Clone>(
    context: &Context<'_, H>,
    body: &[u8],
) -> Result<Reply<H>, ApiError> {
    let request = ChatRequest::parse(body)?;
    let model = models::allowed(context, request.model())?;
    let mut call = to_gemini(&request, &model, &TranslateOptions::default())?;
    let now = context.host.clock().now().as_second();
    let chat = Chat {
        context,
        path: call.method.path(&model),
        body: std::mem::take(&mut call.body).into(),
        envelope: Envelope {
            seed: random_seed(context.host),
            created_s: now.try_into().unwrap_or_default(),
            model: AnswerModel::Requested(request.model().to_owned()),
        },
        model,
        call,
    };
    let reply = match chat.call.method {
        Method::StreamGenerate => chat.stream().await?,
        Method::Generate | Method::BatchEmbed => chat.whole().await?,
    };
    Ok(with_dropped(reply, &chat.call.dropped))
}

/// Tells the caller which parameters had no effect.
pub(super) fn with_dropped<H: Host>(reply: Reply<H>, dropped: &[String]) -> Reply<H> {
    if dropped.is_empty() { reply } else { reply.header("x-pool-dropped", &dropped.join(",")) }
}

fn random_seed<H: Host>(host: &H) -> u128 {
    u128::from(host.random().next_u64()) << 64 | u128::from(host.random().next_u64())
}

impl<H: Host + Clone> Chat<'_, H> {
    async fn whole(&self) -> Result<Reply<H>, ApiError> {
        let mut attempts = Attempts::new(self.context);
        let mut soft_failures = 0;
        loop {
            let mut attempt = attempts.next(self.model.as_str())?;
            let request = post(self.path.clone(), attempt.key, self.body.clone());
            let body = match fetch(self.context.host, request).await {
                Ok(body) => body,
                Err(verdict) => {
                    attempt.record.refused(&verdict, &Usage::default());
                    attempts.refused(verdict)?;
                    continue;
                }
            };
            attempt.record.received(self.context.host.clock().now());
            match chat_response(&body, &self.call.context, &self.envelope) {
                Ok(answer) => {
                    attempt.record.succeeded(&answer.usage);
                    return Ok(Reply::json(StatusCode::OK, answer.body));
                }
                Err(failure) => {
                    soft_failures += 1;
                    let usage = failure.usage;
                    let verdict = soft_failure(failure, soft_failures);
                    let why = &verdict.answer.message;
                    attempt.record.failed(AttemptOutcome::SoftFailure, why, &usage);
                    attempts.refused(verdict)?;
                }
            }
        }
    }

    async fn stream(&self) -> Result<Reply<H>, ApiError> {
        let mut attempts = Attempts::new(self.context);
        let mut soft_failures = 0;
        loop {
            let mut attempt = attempts.next(self.model.as_str())?;
            let request = post(self.path.clone(), attempt.key, self.body.clone());
            let soft_failures_before = soft_failures;
            let opened = self.first_event(request, &mut soft_failures).await;
            attempt.record.received(self.context.host.clock().now());
            match opened {
                Ok(Opened::Streaming { body, stream, first }) => {
                    let host = self.context.host.clone();
                    return Ok(Reply::events(EventStream::new(host, body, stream, first, attempt.record)));
                }
                Ok(Opened::Complete { events, usage }) => {
                    attempt.record.succeeded(&usage);
                    let host = self.context.host.clone();
                    return Ok(Reply::events(EventStream::complete(host, events)));
                }
                Err((verdict, usage)) => {
                    if soft_failures > soft_failures_before {
                        let why = &verdict.answer.message;
                        attempt.record.failed(AttemptOutcome::SoftFailure, why, &usage);
                    } else {
                        attempt.record.refused(&verdict, &usage);
                    }
                    attempts.refused(verdict)?;
                }
            }
        }
    }

    /// Reads until there is something to send. Until then a refusal is still an ordinary HTTP error,
    /// and another key can be tried.
    async fn first_event(
        &self,
        request: crate::host::UpstreamRequest,
        soft_failures: &mut u32,
    ) -> Result<Opened<H>, (Verdict, Usage)> {
        let host = self.context.host;
        let no_usage = |verdict| (verdict, Usage::default());
        let mut body = open(host, request).await.map_err(no_usage)?;
        let mut stream = ChatStream::new(self.call.context.clone(), self.envelope.clone());
        let mut first = Vec::new();
        loop {
            let chunk = next_chunk(host, &mut body, IDLE_TIMEOUT)
                .await
                .map_err(|error| no_usage(network_fault(&error)))?;
            let Some(chunk) = chunk else {
                let end = stream.finish(&mut first);
                let usage = stream.usage();
                return match end {
                    StreamEnd::Complete(_) => Ok(Opened::Complete { events: first.into(), usage }),
                    StreamEnd::Upstream(error) => Err((error_in_stream(&error), usage)),
                    StreamEnd::Truncated => Err((truncated(), usage)),
                    StreamEnd::SoftFailure(reason) => {
                        *soft_failures += 1;
                        Err((soft_failure(AnswerError { reason, usage }, *soft_failures), usage))
                    }
                };
            };
            match stream.push(&chunk, &mut first) {
                Ok(()) if stream.delivered() => {
                    return Ok(Opened::Streaming { body, stream: Box::new(stream), first: first.into() });
                }
                Ok(()) => {}
                Err(StreamFault::Upstream(error)) => return Err((error_in_stream(&error), stream.usage())),
                Err(fault) => return Err((malformed_stream(&fault), stream.usage())),
            }
        }
    }
}

/// How a streamed attempt began.
enum Opened<H: Host> {
    /// There is something to send, and more to come.
    Streaming { body: <H::Upstream as crate::host::Upstream>::Body, stream: Box<ChatStream>, first: Bytes },
    /// It ended at once, with everything in hand.
    Complete { events: Bytes, usage: Usage },
}

/// An error that Gemini sent inside a stream means what it would mean as a status.
pub(super) fn error_in_stream(error: &crate::gemini::ErrorBody) -> Verdict {
    let status = error.code.and_then(|code| StatusCode::from_u16(code).ok());
    classify(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), error)
}

pub(super) fn malformed_stream(fault: &StreamFault) -> Verdict {
    Verdict { fault: Fault::Network, try_another_key: true, answer: fault.api_error() }
}

fn truncated() -> Verdict {
    let message = "Gemini's answer broke off before its end.";
    let answer = ApiError::server(StatusCode::BAD_GATEWAY, "upstream_stream_truncated", message);
    Verdict { fault: Fault::Network, try_another_key: true, answer }
}

/// An answer with nothing usable in it gets one more try.
fn soft_failure(failure: AnswerError, count: u32) -> Verdict {
    let try_another_key = count < MOST_SOFT_FAILURES;
    Verdict { fault: Fault::Model, try_another_key, answer: failure.into() }
}
