//! An answer that comes piece by piece.

#![allow(clippy::result_large_err, reason = "a verdict is made once for an attempt that failed")]

use bytes::Bytes;

use super::super::Context;
use super::super::events::{EventStream, Source, Waits};
use super::super::families;
use super::{Call, Chat, MOST_CONTINUATIONS, OwnSignatures};
use crate::attempt::Calls;
use crate::gateway::{Reply, events_reply};
use crate::platform::UpstreamRequest;
use crate::ports::Host;
use crate::retry::Attempt;
use crate::upstream::Outbound;
use crate::upstream::{open, sent};
use pool_engine::{Cause, Verdict};
use pool_translate::openai::ApiError;
use pool_translate::{ChatStream, StreamFault, Usage, resumed_body};

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
    /// Makes one attempt, up to the first event for the client. Until then a refusal is still an ordinary HTTP error,
    /// and another key can be tried.
    pub(super) async fn stream(&self, call: &Call, attempt: Attempt) -> Result<Reply<H>, Verdict> {
        let Context { state, calls, .. } = self.context;
        let host = self.context.host;
        let Attempt { outbound, record, mark, .. } = attempt;
        let waits = Waits { timeouts: state.timeouts, keep_alive: self.keeps_alive() };
        let continuation = Continuation::of(call, &outbound, calls);
        let request = outbound.post(call.path.clone(), call.body.clone());
        let sent = sent(&request);
        let body = match open(host, waits.timeouts, request).await {
            Ok(body) => body,
            Err(verdict) => return Err(record.failed(verdict, &Usage::default(), host)),
        };
        let stream = Box::new(ChatStream::new(call.context.clone(), self.envelope.clone()));
        let signatures = OwnSignatures::of(self.context).made_by(mark.key().clone());
        let mut source = Source::new(body, stream, record, continuation, signatures, waits).with_sent(sent);
        let mut first = Vec::new();
        loop {
            let read = match source.early_chunk(host).await {
                Ok(None) => return self.ended_at_once(call, source, first),
                Ok(Some(chunk)) => source.translate(host, &chunk, &mut first),
                Err(verdict) => Err(verdict),
            };
            match read {
                Ok(()) if source.stream().delivered() => {
                    families::observe(self.context, &call.model, source.stream().model_version());
                    source.received(host);
                    return Ok(events_reply(EventStream::new(host.clone(), first.into(), source)));
                }
                Ok(()) => {}
                Err(verdict) => return Err(source.failed(host, verdict)),
            }
        }
    }

    /// The answer ended before there was anything to send, with everything in hand.
    fn ended_at_once(
        &self,
        call: &Call,
        mut source: Source<H>,
        mut events: Vec<u8>,
    ) -> Result<Reply<H>, Verdict> {
        let host = self.context.host;
        families::observe(self.context, &call.model, source.stream().model_version());
        source.received(host);
        if let Some(reply) = self.blocked_prompt(source.stream().prompt_block()) {
            source.succeeded(host);
            return Ok(reply);
        }
        match source.finish(host, &mut events) {
            Ok(()) => Ok(events_reply(EventStream::complete(host.clone(), events.into()))),
            Err(verdict) => Err(source.failed(host, verdict)),
        }
    }
}

pub(in crate::gateway) fn malformed_stream(fault: &StreamFault) -> Verdict {
    Verdict::of(Cause::Network, fault.api_error())
}

pub(in crate::gateway) fn truncated() -> Verdict {
    Verdict::of(Cause::Network, ApiError::truncated())
}
