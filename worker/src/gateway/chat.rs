//! `POST chat/completions`, streamed and whole.

use bytes::Bytes;
use http::StatusCode;

use super::attempts::{Attempt, Attempts, IDLE_TIMEOUT, estimated_tokens, fetch, next_chunk, open, post};
use super::events::EventStream;
use super::{Context, models};
use crate::gemini::{ErrorBody, ModelId};
use crate::host::{Clock, Host, Random};
use crate::openai::{ApiError, ChatRequest};
use crate::pool::{Cause, Cost, Refusal, Verdict, classify, network_fault};
use crate::reply::Reply;
use crate::translate::{
    AnswerError, AnswerModel, ChatStream, Envelope, ResponseContext, StreamEnd, StreamFault,
    TranslateOptions, Usage, chat_response, to_gemini,
};

/// One chat request on its way through its attempts.
struct Chat<'a, 'r, H> {
    context: &'a Context<'a, H>,
    request: &'a ChatRequest<'r>,
    /// What was asked for, then what to fall back on, each translated when it is first needed.
    models: Vec<ModelId>,
    calls: Vec<Option<Call>>,
    envelope: Envelope,
}

/// The request as one model takes it; retries reuse it.
#[derive(Clone)]
struct Call {
    path: String,
    body: Bytes,
    dropped: Vec<String>,
    context: ResponseContext,
}

pub(super) async fn answer<H: Host + Clone>(
    context: &Context<'_, H>,
    body: &[u8],
) -> Result<Reply<H>, ApiError> {
    let request = ChatRequest::parse(body)?;
    let models = models::to_ask(context, request.model())?;
    let first = translate(&request, models.first().ok_or_else(|| ApiError::missing("model"))?)?;
    let cost = Cost { requests: 1, tokens: estimated_tokens(&first.body) };
    let affinity = request.affinity().filter(|_| context.pool.settings.sticky);
    let names = models.iter().map(|model| model.as_str().to_owned()).collect();
    let attempts = Attempts::new(context, names, affinity, cost);
    let now = context.host.clock().now().as_second();
    let mut calls = vec![None; models.len()];
    if let Some(call) = calls.first_mut() {
        *call = Some(first);
    }
    let chat = Chat {
        context,
        envelope: Envelope {
            seed: random_seed(context.host),
            created_s: now.try_into().unwrap_or_default(),
            model: AnswerModel::Requested(request.model().to_owned()),
        },
        request: &request,
        models,
        calls,
    };
    chat.answer(attempts).await
}

fn translate(request: &ChatRequest, model: &ModelId) -> Result<Call, ApiError> {
    let call = to_gemini(request, model, &TranslateOptions::default())?;
    Ok(Call {
        path: call.method.path(model),
        body: call.body.into(),
        dropped: call.dropped,
        context: call.context,
    })
}

/// Tells the caller which parameters had no effect.
pub(super) fn with_dropped<H: Host>(reply: Reply<H>, dropped: &[String]) -> Reply<H> {
    if dropped.is_empty() { reply } else { reply.header("x-pool-dropped", &dropped.join(",")) }
}

fn random_seed<H: Host>(host: &H) -> u128 {
    u128::from(host.random().next_u64()) << 64 | u128::from(host.random().next_u64())
}

impl<H: Host + Clone> Chat<'_, '_, H> {
    async fn answer(mut self, mut attempts: Attempts<'_, H>) -> Result<Reply<H>, ApiError> {
        loop {
            let mut attempt = attempts.next().await?;
            let model = attempt.model;
            let Ok(call) = self.call(model) else {
                // The stand-in cannot do what the request asks for.
                attempt.record.not_counted();
                attempts.skip_model();
                continue;
            };
            let mark = attempt.mark.clone();
            let tried = if self.request.stream() {
                self.stream(&call, attempt).await
            } else {
                self.whole(&call, attempt).await
            };
            match tried {
                Ok(reply) => {
                    let reply = models::with_model(reply, self.request.model(), self.models.get(model));
                    return Ok(mark.put_on(with_dropped(reply, &call.dropped)));
                }
                Err(verdict) => attempts.refused(&verdict),
            }
        }
    }

    fn call(&mut self, model: usize) -> Result<Call, ApiError> {
        let (Some(slot), Some(id)) = (self.calls.get_mut(model), self.models.get(model)) else {
            return Err(ApiError::missing("model"));
        };
        match slot {
            Some(call) => Ok(call.clone()),
            None => Ok(slot.insert(translate(self.request, id)?).clone()),
        }
    }

    async fn whole(&self, call: &Call, mut attempt: Attempt) -> Result<Reply<H>, Verdict> {
        let host = self.context.host;
        let request = post(call.path.clone(), attempt.key, call.body.clone());
        let body = match fetch(host, request).await {
            Ok(body) => body,
            Err(verdict) => return Err(attempt.record.failed(verdict, &Usage::default(), host)),
        };
        attempt.record.received(host.clock().now());
        match chat_response(&body, &call.context, &self.envelope) {
            Ok(answer) => {
                attempt.record.succeeded(&answer.usage, host);
                Ok(Reply::json(StatusCode::OK, answer.body))
            }
            Err(failure) => {
                let usage = failure.usage;
                Err(attempt.record.failed(soft_failure(failure), &usage, host))
            }
        }
    }

    async fn stream(&self, call: &Call, mut attempt: Attempt) -> Result<Reply<H>, Verdict> {
        let host = self.context.host;
        let request = post(call.path.clone(), attempt.key, call.body.clone());
        let opened = self.first_event(call, request).await;
        attempt.record.received(host.clock().now());
        match opened {
            Ok(Opened::Streaming { body, stream, first }) => {
                Ok(Reply::events(EventStream::new(host.clone(), body, stream, first, attempt.record)))
            }
            Ok(Opened::Complete { events, usage }) => {
                attempt.record.succeeded(&usage, host);
                Ok(Reply::events(EventStream::complete(host.clone(), events)))
            }
            Err((verdict, usage)) => Err(attempt.record.failed(verdict, &usage, host)),
        }
    }

    /// Reads until there is something to send. Until then a refusal is still an ordinary HTTP error,
    /// and another key can be tried.
    async fn first_event(
        &self,
        call: &Call,
        request: crate::host::UpstreamRequest,
    ) -> Result<Opened<H>, (Verdict, Usage)> {
        let host = self.context.host;
        let no_usage = |verdict| (verdict, Usage::default());
        let mut body = open(host, request).await.map_err(no_usage)?;
        let mut stream = ChatStream::new(call.context.clone(), self.envelope.clone());
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
                    StreamEnd::Upstream(error) => Err((error_in_stream(host, &error), usage)),
                    StreamEnd::Truncated => Err((truncated(), usage)),
                    StreamEnd::SoftFailure(reason) => {
                        Err((soft_failure(AnswerError { reason, usage }), usage))
                    }
                };
            };
            match stream.push(&chunk, &mut first) {
                Ok(()) if stream.delivered() => {
                    return Ok(Opened::Streaming { body, stream: Box::new(stream), first: first.into() });
                }
                Ok(()) => {}
                Err(StreamFault::Upstream(error)) => {
                    return Err((error_in_stream(host, &error), stream.usage()));
                }
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
pub(super) fn error_in_stream<H: Host>(host: &H, error: &ErrorBody) -> Verdict {
    let status = error.code.and_then(|code| StatusCode::from_u16(code).ok());
    let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let refusal = Refusal { status, retry_after: None, body: error };
    classify(&refusal, host.clock().now(), host.random().next_u64())
}

pub(super) fn malformed_stream(fault: &StreamFault) -> Verdict {
    Verdict::of(Cause::Network, fault.api_error())
}

pub(super) fn truncated() -> Verdict {
    Verdict::of(Cause::Network, ApiError::truncated())
}

pub(super) fn soft_failure(failure: AnswerError) -> Verdict {
    Verdict::of(Cause::SoftFailure, failure.into())
}
