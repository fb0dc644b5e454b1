//! Streaming responses: one attempt, before and after its first event.
//!
//! Until an event has content an upstream error is an ordinary HTTP error, and another key can be
//! tried. After that it is an event, and the stream ends.

#![allow(clippy::result_large_err, reason = "a verdict is made once for an attempt that failed")]

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;

use super::super::Context;
use super::super::event_stream::{EventStream, KEEP_ALIVE_INTERVAL};
use super::super::families;
use super::{Call, Chat, MAX_CONTINUATIONS, OwnSignatures};
use crate::attempt::{AttemptRecord, Calls};
use crate::gateway::{Reply, events_reply};
use crate::platform::{Awaited, Clock, Upstream, UpstreamError, UpstreamRequest};
use crate::ports::Host;
use crate::reporting::RequestLog;
use crate::retry::Attempt;
use crate::upstream::{Outbound, UpstreamTimeouts, error_in_response, next_chunk, sent, start};
use pool_engine::{Cause, Sent, Verdict, network_fault};
use pool_translate::ApiError;
use pool_translate::{AnswerError, ChatStream, StreamEnd, StreamFault, Usage, resumed_body};

/// The attempt whose response is read. Dropping it counts it as abandoned by the client.
pub(in crate::gateway) struct ChatAttemptStream<H: Host> {
    body: <H::Upstream as Upstream>::Body,
    stream: Box<ChatStream>,
    /// `None` once the attempt is counted.
    record: Option<AttemptRecord>,
    continuation: Option<Continuation>,
    signatures: OwnSignatures,
    timeouts: UpstreamTimeouts,
    /// Whether comments keep the client's connection open.
    keep_alive: bool,
    silent_for: Duration,
    /// What an upstream error may repeat; `None` once there is content.
    sent: Option<Sent>,
}

/// What a step of the stream was.
enum Step {
    /// Silence: it is time for a comment.
    Idle,
    /// A chunk was converted.
    Chunk,
    /// The upstream bytes have ended.
    End,
}

/// The further calls of a response that is truncated by the limit of one call.
struct Continuation {
    path: String,
    outbound: Outbound,
    body: Bytes,
    /// Calls left for this response; `calls` has those left for the request.
    left: usize,
    calls: Calls,
}

impl Continuation {
    fn of(call: &Call, outbound: &Outbound, calls: &Calls) -> Option<Self> {
        call.context.resumes().then(|| Self {
            path: call.path.clone(),
            outbound: outbound.clone(),
            body: call.body.clone(),
            left: MAX_CONTINUATIONS,
            calls: calls.clone(),
        })
    }

    /// Returns the next call, while both budgets last.
    fn request(&mut self, token: &str) -> Option<UpstreamRequest> {
        self.left = self.left.checked_sub(1).filter(|_| self.calls.take(1))?;
        Some(self.outbound.clone().post(self.path.clone(), resumed_body(&self.body, token).into()))
    }
}

impl<H: Host + Clone> Chat<'_, '_, H> {
    /// Makes one attempt, up to the first event with content.
    pub(super) async fn stream(&self, call: &Call, attempt: Attempt) -> Result<Reply<H>, Verdict> {
        let Context { state, calls, .. } = self.context;
        let host = self.context.host;
        let Attempt { outbound, record, mark, .. } = attempt;
        let continuation = Continuation::of(call, &outbound, calls);
        let request = outbound.post(call.path.clone(), call.body.clone());
        let sent = Some(sent(&request));
        let body = match start(host, state.timeouts, request).await {
            Ok(body) => body,
            Err(verdict) => return Err(record.failed(verdict, &Usage::default(), host)),
        };
        let mut attempt = ChatAttemptStream {
            body,
            stream: Box::new(ChatStream::new(call.context.clone(), self.envelope.clone())),
            record: Some(record),
            continuation,
            signatures: OwnSignatures::of(self.context).made_by(mark.key().clone()),
            timeouts: state.timeouts,
            keep_alive: self.keeps_alive(),
            silent_for: Duration::ZERO,
            sent,
        };
        let mut first = Vec::new();
        loop {
            match attempt.step(host, &mut first).await {
                Ok(Step::Chunk) if attempt.stream.delivered() => break,
                // The stream has not begun, so there is nothing to keep alive.
                Ok(Step::Chunk | Step::Idle) => {}
                Ok(Step::End) => return self.ended_at_once(call, attempt, first),
                Err(verdict) => return Err(attempt.failed(host, verdict)),
            }
        }
        families::observe(self.context, &call.model, attempt.stream.model_version());
        attempt.received(host);
        attempt.sent = None;
        Ok(events_reply(EventStream::new(host.clone(), first.into(), attempt)))
    }

    /// Answers with a response that ended before its first event was sent.
    fn ended_at_once(
        &self,
        call: &Call,
        mut attempt: ChatAttemptStream<H>,
        mut events: Vec<u8>,
    ) -> Result<Reply<H>, Verdict> {
        let host = self.context.host;
        families::observe(self.context, &call.model, attempt.stream.model_version());
        attempt.received(host);
        if let Some(reply) = self.blocked_prompt(attempt.stream.prompt_block()) {
            attempt.succeeded(host);
            return Ok(reply);
        }
        match attempt.finish(host, &mut events) {
            Ok(()) => Ok(events_reply(EventStream::complete(host.clone(), events.into()))),
            Err(verdict) => Err(attempt.failed(host, verdict)),
        }
    }
}

impl<H: Host> ChatAttemptStream<H> {
    /// Waits for the next chunk, up to the idle timeout, and converts it.
    async fn step(&mut self, host: &H, out: &mut Vec<u8>) -> Result<Step, Verdict> {
        let idle = self.timeouts.idle;
        let left = idle.saturating_sub(self.silent_for);
        let wait = if self.keep_alive { left.min(KEEP_ALIVE_INTERVAL) } else { left };
        let Some(chunk) = next_chunk(host, &mut self.body, wait).await else {
            self.silent_for += wait;
            if self.silent_for < idle {
                return Ok(Step::Idle);
            }
            return Err(network_fault(&UpstreamError::Timeout { limit: idle, awaited: Awaited::More }));
        };
        self.silent_for = Duration::ZERO;
        let chunk = chunk.map_err(|error| network_fault(&error))?;
        if self.sent.is_none() {
            self.received(host);
        }
        let Some(chunk) = chunk else { return Ok(Step::End) };
        let sent = self.sent.as_ref();
        self.stream.push(&chunk, out).map_err(|fault| match fault {
            StreamFault::Upstream(error) => error_in_response(host, &error, sent),
            fault => Verdict::of(Cause::Network, fault.api_error()),
        })?;
        Ok(Step::Chunk)
    }

    /// Writes the next events, or a comment. Returns `true` if the stream continues.
    pub(in crate::gateway) async fn next(&mut self, host: &H, out: &mut Vec<u8>) -> bool {
        match self.step(host, out).await {
            Ok(Step::Idle) => {
                out.extend_from_slice(ChatStream::keep_alive());
                true
            }
            Ok(Step::Chunk) => true,
            Ok(Step::End) => self.resume_or_finish(host, out).await,
            Err(verdict) => {
                self.fail(host, verdict, out);
                false
            }
        }
    }

    /// Continues a response that the limit of one call has truncated, or finishes the stream. Returns
    /// `true` if the stream continues.
    async fn resume_or_finish(&mut self, host: &H, out: &mut Vec<u8>) -> bool {
        let token = self.stream.continuation();
        let continuation = token.zip(self.continuation.as_mut());
        let Some(request) = continuation.and_then(|(token, continuation)| continuation.request(&token))
        else {
            if let Err(verdict) = self.finish(host, out) {
                self.fail(host, verdict, out);
            }
            return false;
        };
        if let Some(record) = &mut self.record {
            record.one_more(&self.stream.call_usage(), host.clock().now());
        }
        match start(host, self.timeouts, request).await {
            Ok(body) => {
                self.stream.resume();
                self.body = body;
                true
            }
            Err(verdict) => {
                // The client has a part of the response. The end says that it is truncated, and how to
                // continue it.
                let verdict = self.count_failed(verdict, &Usage::default(), host);
                self.signatures.remember(self.stream.take_signatures());
                if !matches!(self.stream.finish(out), StreamEnd::Complete(_)) {
                    self.stream.fail(&verdict.answer, out);
                }
                false
            }
        }
    }

    /// Writes the end of a complete response, and counts it. Any other end is a verdict, not counted yet.
    fn finish(&mut self, host: &H, out: &mut Vec<u8>) -> Result<(), Verdict> {
        self.signatures.remember(self.stream.take_signatures());
        let end = self.stream.finish(out);
        verdict_of_end(host, end, self.stream.call_usage(), self.sent.as_ref())?;
        self.succeeded(host);
        Ok(())
    }

    /// Notes the arrival of a chunk: latencies count from the first one with content.
    fn received(&mut self, host: &H) {
        if let Some(record) = &mut self.record {
            record.received(host.clock().now());
        }
    }

    /// Counts the attempt as successful.
    fn succeeded(&mut self, host: &H) {
        if let Some(record) = self.record.take() {
            let usage = self.stream.call_usage();
            if self.stream.is_spent_on_thoughts() {
                record.note_spent_on_thoughts(&usage, host);
            }
            record.succeeded(&usage, host);
        }
    }

    /// Counts the attempt as failed, and returns the verdict.
    fn failed(mut self, host: &H, verdict: Verdict) -> Verdict {
        let usage = self.stream.call_usage();
        self.count_failed(verdict, &usage, host)
    }

    /// Ends the stream with an error event, unless the stream has one already.
    fn fail(&mut self, host: &H, verdict: Verdict, out: &mut Vec<u8>) {
        self.stream.fail(&verdict.answer, out);
        self.log_error(&verdict.answer, host.clock().now());
        let usage = self.stream.call_usage();
        self.count_failed(verdict, &usage, host);
    }

    /// Returns the log of the request, until the attempt is counted.
    pub(in crate::gateway) fn log(&self) -> Option<RequestLog> {
        self.record.as_ref().map(AttemptRecord::log)
    }

    /// Logs that the response ends early.
    pub(in crate::gateway) fn log_error(&self, error: &ApiError, now: Timestamp) {
        if let Some(log) = self.log() {
            log.broke_off(error, now);
        }
    }

    fn count_failed(&mut self, verdict: Verdict, usage: &Usage, host: &H) -> Verdict {
        match self.record.take() {
            Some(record) => record.failed(verdict, usage, host),
            None => verdict,
        }
    }
}

impl<H: Host> Drop for ChatAttemptStream<H> {
    fn drop(&mut self) {
        if let Some(record) = self.record.take() {
            record.left(&self.stream.call_usage());
        }
    }
}

/// Classifies the end of a stream. `sent` is what an upstream error may repeat.
pub(super) fn verdict_of_end<H: Host>(
    host: &H,
    end: StreamEnd,
    usage: Usage,
    sent: Option<&Sent>,
) -> Result<(), Verdict> {
    match end {
        StreamEnd::Complete(_) => Ok(()),
        StreamEnd::Truncated => Err(Verdict::of(Cause::Network, ApiError::truncated())),
        StreamEnd::Upstream(error) => Err(error_in_response(host, &error, sent)),
        StreamEnd::SoftFailure(reason) => Err(super::soft_failure(AnswerError { reason, usage })),
    }
}
