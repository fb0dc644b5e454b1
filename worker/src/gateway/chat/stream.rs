//! An answer that comes piece by piece.

use bytes::Bytes;

use super::super::attempts::{Attempt, Outbound};
use super::super::calls::Calls;
use super::super::events::{EventStream, Source};
use super::super::exchange::{IDLE_TIMEOUT, error_in_answer, next_chunk, open, sent};
use super::super::families;
use super::{Call, Chat, MOST_CONTINUATIONS, OwnSignatures, soft_failure};
use crate::host::{Clock, Host, Upstream, UpstreamRequest};
use crate::openai::ApiError;
use crate::pool::{Cause, Verdict, network_fault};
use crate::reply::Reply;
use crate::translate::{AnswerError, ChatStream, StreamEnd, StreamFault, Usage, resumed_body};

/// How a streamed attempt began.
enum Opened<H: Host> {
    /// There is something to send, and more to come.
    Streaming { body: <H::Upstream as Upstream>::Body, stream: Box<ChatStream>, first: Bytes },
    /// It ended at once, with everything in hand.
    Complete { events: Bytes, stream: Box<ChatStream> },
    /// The prompt was blocked, which the pool wishes to be an error.
    Blocked { reply: Box<Reply<H>>, usage: Usage },
}

/// What it takes to go on with an answer that the limit of one call has cut.
pub(in crate::gateway) struct Continuation {
    path: String,
    outbound: Outbound,
    body: Bytes,
    /// How many more calls may be made for this answer, and for the request.
    left: usize,
    calls: Calls,
}

impl Continuation {
    fn of(call: &Call, outbound: &Outbound, calls: &Calls) -> Option<Self> {
        call.context.resumes().then(|| Self {
            path: call.path.clone(),
            outbound: outbound.clone(),
            body: call.body.clone(),
            left: MOST_CONTINUATIONS,
            calls: calls.clone(),
        })
    }

    /// The call that goes on, unless there were enough.
    pub(in crate::gateway) fn request(&mut self, token: &str) -> Option<UpstreamRequest> {
        self.left = self.left.checked_sub(1).filter(|_| self.calls.take(1))?;
        Some(self.outbound.clone().post(self.path.clone(), resumed_body(&self.body, token).into()))
    }
}

impl<H: Host + Clone> Chat<'_, '_, H> {
    /// Makes one attempt, up to the first event for the client.
    pub(super) async fn stream(&self, call: &Call, mut attempt: Attempt) -> Result<Reply<H>, Verdict> {
        let host = self.context.host;
        let continuation = Continuation::of(call, &attempt.outbound, &self.context.calls);
        let opened =
            self.first_event(call, attempt.outbound.post(call.path.clone(), call.body.clone())).await;
        attempt.record.received(host.clock().now());
        let signatures = OwnSignatures::of(self.context);
        match opened {
            Ok(Opened::Streaming { body, stream, first }) => {
                let source = Source::new(body, stream, attempt.record, continuation, signatures);
                Ok(Reply::events(EventStream::new(host.clone(), first, source)))
            }
            Ok(Opened::Complete { events, mut stream }) => {
                signatures.remember(stream.take_signatures());
                attempt.record.succeeded(&stream.usage(), host);
                Ok(Reply::events(EventStream::complete(host.clone(), events)))
            }
            Ok(Opened::Blocked { reply, usage }) => {
                attempt.record.succeeded(&usage, host);
                Ok(*reply)
            }
            Err((verdict, usage)) => Err(attempt.record.failed(verdict, &usage, host)),
        }
    }

    /// Reads until there is something to send. Until then a refusal is still an ordinary HTTP error,
    /// and another key can be tried.
    async fn first_event(
        &self,
        call: &Call,
        request: UpstreamRequest,
    ) -> Result<Opened<H>, (Verdict, Usage)> {
        let host = self.context.host;
        let no_usage = |verdict| (verdict, Usage::default());
        let sent = sent(&request);
        let mut body = open(host, request).await.map_err(no_usage)?;
        let mut stream = Box::new(ChatStream::new(call.context.clone(), self.envelope.clone()));
        let mut first = Vec::new();
        loop {
            let chunk = next_chunk(host, &mut body, IDLE_TIMEOUT)
                .await
                .map_err(|error| (network_fault(&error), stream.usage()))?;
            let Some(chunk) = chunk else {
                families::observe(self.context, &call.model, stream.model_version());
                if let Some(reply) = self.blocked_prompt(stream.prompt_block()) {
                    return Ok(Opened::Blocked { reply: Box::new(reply), usage: stream.usage() });
                }
                let end = stream.finish(&mut first);
                let usage = stream.usage();
                return match end {
                    StreamEnd::Complete(_) => Ok(Opened::Complete { events: first.into(), stream }),
                    StreamEnd::Upstream(error) => Err((error_in_answer(host, &error, Some(&sent)), usage)),
                    StreamEnd::Truncated => Err((truncated(), usage)),
                    StreamEnd::SoftFailure(reason) => {
                        Err((soft_failure(AnswerError { reason, usage }), usage))
                    }
                };
            };
            match stream.push(&chunk, &mut first) {
                Ok(()) if stream.delivered() => {
                    families::observe(self.context, &call.model, stream.model_version());
                    return Ok(Opened::Streaming { body, stream, first: first.into() });
                }
                Ok(()) => {}
                Err(StreamFault::Upstream(error)) => {
                    return Err((error_in_answer(host, &error, Some(&sent)), stream.usage()));
                }
                Err(fault) => return Err((malformed_stream(&fault), stream.usage())),
            }
        }
    }
}

pub(in crate::gateway) fn malformed_stream(fault: &StreamFault) -> Verdict {
    Verdict::of(Cause::Network, fault.api_error())
}

pub(in crate::gateway) fn truncated() -> Verdict {
    Verdict::of(Cause::Network, ApiError::truncated())
}
