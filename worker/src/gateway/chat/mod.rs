//! `POST chat/completions`: buffered, streaming, and with several choices.
//!
//! A request is converted once per model. [`ChatRun`] is its attempt loop; `buffered` and `stream` make
//! one attempt each; `fan_out` makes one run per choice for models without `candidateCount`; `repairs`
//! decides how to change a request after an upstream error that a changed request avoids.

mod attempt_loop;
mod buffered;
mod fan_out;
mod repairs;
mod signatures;
mod stream;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use memchr::memmem;
use pool_shared::{KeepAlive, PromptBlock};

pub use repairs::RepairMemory;
pub use signatures::SignatureMemory;

pub(super) use buffered::soft_failure;
pub(super) use signatures::OwnSignatures;
pub(super) use stream::ChatAttemptStream;

use attempt_loop::ChatRun;

use super::event_stream::{EventStream, KEEP_ALIVE_INTERVAL, LateResponse, PendingResponse};
use super::media::{self, Media};
use super::{Context, models};
use crate::gateway::{OutgoingEvents, Reply, Streamed, events_reply};
use crate::limits::BodyPermit;
use crate::platform::{BoxedFuture, Clock, Random};
use crate::ports::Host;
use crate::reply::ReplyBody;
use pool_translate::ApiError;
use pool_translate::gemini::ModelId;
use pool_translate::json::well_formed;
use pool_translate::openai::ChatRequest;
use pool_translate::{AnswerModel, Capabilities, Envelope, ModelSuffix, Repairs, ResponseContext};

/// Calls that may continue one response; each of them can return 32,768 tokens and more.
const MAX_CONTINUATIONS: usize = 40;

/// One chat request.
struct Chat<'a, 'r, H> {
    context: &'a Context<'a, H>,
    request: &'a ChatRequest<'r>,
    /// Suffix of the model's name.
    suffix: ModelSuffix,
    /// Media at the URLs of the request.
    media: Media,
    envelope: Envelope,
    /// Length of its body in bytes.
    length: usize,
}

/// The request, converted for one model.
#[derive(Clone)]
struct Call {
    /// Place of the model in the run.
    place: usize,
    model: ModelId,
    /// Changes for the model, or after an upstream error.
    repairs: Repairs,
    /// Capabilities that it was converted for.
    capabilities: Capabilities,
    path: String,
    body: Bytes,
    /// Number of calls it takes.
    copies: u32,
    ignored_params: Vec<String>,
    context: Arc<ResponseContext>,
}

/// Answers a chat request. A stream without events for [`KEEP_ALIVE_INTERVAL`] begins with comments, so
/// that no proxy closes the connection while the model thinks; the response follows behind them.
pub(super) async fn answer_kept_alive<H: Host + Clone>(
    context: &Context<'_, H>,
    body: Bytes,
    share: BodyPermit,
) -> Result<Reply<H>, ApiError> {
    // A timer is expensive on Workers, and most buffered requests can be recognised without parsing.
    let may_stream = keeps_alive(context) && memmem::find(&body, br#""stream""#).is_some();
    let streams = Arc::new(AtomicBool::new(false));
    let (owned, told) = (super::OwnedContext::of(context), Arc::clone(&streams));
    // On the heap: each client up to the host would copy some kilobytes into its own future.
    let mut reply: BoxedFuture<Result<Reply<H>, ApiError>> = Box::pin(async move {
        let _share = share;
        answer(&owned.borrowed(), &body, &told).await
    });
    if may_stream {
        let clock = context.host.clock();
        if let Some(reply) = clock.within(KEEP_ALIVE_INTERVAL, Pin::new(&mut reply)).await {
            return reply;
        }
        if streams.load(Ordering::Relaxed) {
            let (host, log) = (context.host.clone(), context.log.clone());
            let response: PendingResponse<H> = Box::pin(async move { late(reply.await?) });
            return Ok(events_reply(EventStream::waiting(host, response, log)));
        }
    }
    reply.await
}

/// Returns what a stream that has begun continues with.
fn late<H: Host>(reply: Reply<H>) -> Result<LateResponse<H>, ApiError> {
    match reply.body {
        ReplyBody::Streamed(Streamed::Events(OutgoingEvents::Plain(events))) => {
            Ok(LateResponse::Events(events))
        }
        ReplyBody::Whole(document) => Ok(LateResponse::Document(document)),
        // A chat has no such response.
        ReplyBody::Streamed(_) => Err(ApiError::truncated()),
    }
}

fn keeps_alive<H>(context: &Context<'_, H>) -> bool {
    context.pool.settings.translation.keep_alive == KeepAlive::Comments
}

/// Sets `streams` if the client wants a stream, once the request is parsed.
async fn answer<H: Host + Clone>(
    context: &Context<'_, H>,
    body: &[u8],
    streams: &AtomicBool,
) -> Result<Reply<H>, ApiError> {
    let body = well_formed(body);
    let request = ChatRequest::parse(&body)?;
    streams.store(request.stream(), Ordering::Relaxed);
    let (models, suffix) = models::to_ask(context, request.model())?;
    let media = media::fetch(context, &request).await?;
    let now = context.host.clock().now();
    let requested = request.model().to_owned();
    let model = if context.pool.settings.aliases.contains_key(&requested) {
        AnswerModel::Alias(requested)
    } else {
        AnswerModel::Requested(requested)
    };
    let envelope = Envelope {
        seed: random_seed(context.host),
        created_s: now.as_second().try_into().unwrap_or_default(),
        model,
    };
    let chat = Chat { context, request: &request, suffix, media, envelope, length: body.len() };
    chat.answer(ChatRun::new(&chat, &models)?).await
}

/// Names the parameters that had no effect. The former name of the header is also sent, until version 0.2.
pub(super) fn with_ignored_params<H: Host>(reply: Reply<H>, ignored: &[String]) -> Reply<H> {
    if ignored.is_empty() {
        return reply;
    }
    let names = ignored.join(",");
    reply.header("x-pool-ignored-params", &names).header("x-pool-dropped", &names)
}

fn random_seed<H: Host>(host: &H) -> u128 {
    u128::from(host.random().next_u64()) << 64 | u128::from(host.random().next_u64())
}

impl<H: Host + Clone> Chat<'_, '_, H> {
    async fn answer(&self, mut run: ChatRun<'_, '_, '_, H>) -> Result<Reply<H>, ApiError> {
        if let Some(call) = run.first().filter(|call| call.copies > 1).cloned() {
            return self.several(&call).await;
        }
        loop {
            let (mut attempt, call) = run.next().await?;
            if call.copies > 1 {
                // Only a fallback model or a repaired request takes several calls.
                attempt.record.not_counted();
                drop(attempt);
                let reply = self.several(&call).await?;
                run.succeeded(&call);
                return Ok(reply);
            }
            let mark = attempt.mark.clone();
            let tried = if self.request.stream() {
                self.stream(&call, attempt).await
            } else {
                self.whole(&call, attempt).await.map(|answered| self.reply(answered.answer, Some(mark.key())))
            };
            match tried {
                Ok(reply) => {
                    run.succeeded(&call);
                    return Ok(mark.put_on(self.with_notes(reply, &call)));
                }
                Err(verdict) => run.refused(&call, &verdict).await,
            }
        }
    }

    /// Adds headers: the model that responded, and ignored parameters.
    fn with_notes(&self, reply: Reply<H>, call: &Call) -> Reply<H> {
        let reply = models::with_model(reply, self.request.model(), Some(&call.model));
        with_ignored_params(reply, &call.ignored_params)
    }

    fn keeps_alive(&self) -> bool {
        keeps_alive(self.context)
    }

    /// Returns the error for a blocked prompt, in pools with `prompt_block: error`.
    fn blocked_prompt(&self, refusal: Option<&str>) -> Option<Reply<H>> {
        let as_error = self.context.pool.settings.translation.prompt_block == PromptBlock::Error;
        let refusal = refusal.filter(|_| as_error)?;
        Some(Reply::error(&ApiError::content_policy(refusal)))
    }
}

#[cfg(test)]
mod tests;
