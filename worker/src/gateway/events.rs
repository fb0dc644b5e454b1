//! A streamed answer on its way to the client.

#![allow(clippy::result_large_err, reason = "a verdict is made once for an attempt that failed")]

use std::collections::VecDeque;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;

use super::chat::{Continuation, OwnSignatures, malformed_stream, soft_failure, truncated};
use super::paced::OutgoingEvents;
use crate::attempt::AttemptRecord;
use crate::gateway::{Reply, Streamed};
use crate::platform::{Awaited, BoxedFuture, Clock, Upstream, UpstreamError};
use crate::ports::Host;
use crate::reply::ReplyBody;
use crate::reporting::{RequestLog, UntilTold};
use crate::upstream::UpstreamTimeouts;
use crate::upstream::{error_in_answer, next_chunk, open};
use pool_engine::{Sent, Verdict, network_fault};
use pool_translate::openai::ApiError;
use pool_translate::{AnswerError, ChatStream, StreamEnd, StreamFault, Usage};

/// A comment is sent when nothing else was for so long: it keeps proxies from closing the
/// connection, and tells that a client has left.
pub(super) const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The events of one answer. A host takes them with [`EventStream::next`] and sends them; dropping
/// the stream before its end closes the connection to Gemini and counts the attempt as left by the client.
pub struct EventStream<H: Host> {
    host: H,
    ready: VecDeque<Bytes>,
    state: State<H>,
}

/// Where the events come from.
enum State<H: Host> {
    /// There are none left.
    Ended,
    /// No answer has begun. Keys and models may still change.
    Waiting { reply: PendingReply<H>, log: UntilTold },
    /// An answer has begun.
    Reading(Box<Source<H>>),
}

/// A reply that is being made.
pub(super) type PendingReply<H> = BoxedFuture<Result<Reply<H>, ApiError>>;

/// How long a stream may be silent.
#[derive(Clone, Copy)]
pub(super) struct Waits {
    pub(super) timeouts: UpstreamTimeouts,
    /// Whether comments keep the client's connection open.
    pub(super) keep_alive: bool,
}

/// An attempt whose answer is being read. Dropping it counts it as left by the client.
pub(super) struct Source<H: Host> {
    body: <H::Upstream as Upstream>::Body,
    stream: Box<ChatStream>,
    /// `None` once the attempt is counted.
    record: Option<AttemptRecord>,
    continuation: Option<Continuation>,
    signatures: OwnSignatures,
    waits: Waits,
    silent_for: Duration,
    /// What an error may repeat, until the response has begun.
    sent: Option<Sent>,
}

impl<H: Host> EventStream<H> {
    /// A stream whose first events are ready.
    pub(super) fn new(host: H, first: Bytes, mut source: Source<H>) -> Self {
        source.sent = None;
        Self { host, ready: VecDeque::from([first]), state: State::Reading(Box::new(source)) }
    }

    /// A stream that is complete already.
    pub(super) fn complete(host: H, events: Bytes) -> Self {
        Self { host, ready: VecDeque::from([events]), state: State::Ended }
    }

    /// A stream that begins before there is anything to send: what goes wrong from now on is told by an event.
    pub(super) fn waiting(host: H, reply: PendingReply<H>, log: RequestLog) -> Self {
        let ready = VecDeque::from([Bytes::from_static(ChatStream::keep_alive())]);
        Self { host, ready, state: State::Waiting { reply, log: UntilTold::new(log) } }
    }

    /// The next bytes for the client, whole events; `None` at the end. Whoever stops waiting for them loses nothing, so
    /// that `cut` still finds what is to be ended.
    pub async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(ready) = self.ready.pop_front() {
                return Some(ready);
            }
            match &mut self.state {
                State::Ended => return None,
                State::Waiting { reply, .. } => {
                    let replied = self.host.clock().within(KEEP_ALIVE, Pin::new(reply)).await;
                    self.waited(replied);
                }
                State::Reading(source) => {
                    let mut out = Vec::new();
                    let goes_on = source.read(&self.host, &mut out).await;
                    if !goes_on {
                        self.state = State::Ended;
                    }
                    if !out.is_empty() {
                        self.ready.push_back(out.into());
                    }
                }
            }
        }
    }

    /// The log of the request, unless the stream has ended.
    pub(super) fn log(&self) -> RequestLog {
        match &self.state {
            State::Ended => RequestLog::default(),
            State::Waiting { log, .. } => log.log(),
            State::Reading(source) => source.record.as_ref().map(AttemptRecord::log).unwrap_or_default(),
        }
    }

    /// The event that ends the stream before its time, by no fault of Gemini's or the client's.
    #[cfg_attr(target_arch = "wasm32", allow(dead_code, reason = "only the native host ends streams"))]
    pub(super) fn cut(mut self, error: &ApiError) -> Bytes {
        let now = self.host.clock().now();
        match &mut self.state {
            State::Ended => {}
            State::Waiting { log, .. } => log.broke_off(error, now),
            State::Reading(source) => source.broke_off(error, now),
        }
        self.push_error(error);
        self.ready.pop_back().unwrap_or_default()
    }

    /// Takes in what was waited for; `None` when it is time for a comment.
    fn waited(&mut self, replied: Option<Result<Reply<H>, ApiError>>) {
        let Some(replied) = replied else {
            return self.ready.push_back(Bytes::from_static(ChatStream::keep_alive()));
        };
        let State::Waiting { mut log, .. } = std::mem::replace(&mut self.state, State::Ended) else { return };
        match replied {
            Ok(reply) => {
                log.told();
                self.adopt(reply.body);
            }
            Err(error) => {
                log.broke_off(&error, self.host.clock().now());
                self.push_error(&error);
            }
        }
    }

    /// Goes on with what a reply holds that came after the stream had begun.
    fn adopt(&mut self, body: ReplyBody<Streamed<H>>) {
        match body {
            ReplyBody::Streamed(Streamed::Events(OutgoingEvents::Plain(events))) => *self = *events,
            // An error as a whole document, which has no line breaks.
            ReplyBody::Whole(document) => {
                self.ready.push_back([b"data: ".as_slice(), &document, b"\n\n"].concat().into());
            }
            // A chat has no such reply.
            ReplyBody::Streamed(_) => {
                self.push_error(&ApiError::truncated());
            }
        }
    }

    fn push_error(&mut self, error: &ApiError) {
        let mut event = Vec::new();
        error_event(error, &mut event);
        self.ready.push_back(event.into());
    }
}

impl<H: Host> Source<H> {
    /// An attempt whose answer has begun. With a continuation it goes on where the limit of one call cuts
    /// it.
    pub(super) fn new(
        body: <H::Upstream as Upstream>::Body,
        stream: Box<ChatStream>,
        record: AttemptRecord,
        continuation: Option<Continuation>,
        signatures: OwnSignatures,
        waits: Waits,
    ) -> Self {
        let record = Some(record);
        Self { body, stream, record, continuation, signatures, waits, silent_for: Duration::ZERO, sent: None }
    }

    /// The same; an error that Gemini sends in place of a first event may repeat what was sent.
    pub(super) fn with_sent(mut self, sent: Sent) -> Self {
        self.sent = Some(sent);
        self
    }

    /// What was read so far.
    pub(super) fn stream(&mut self) -> &mut ChatStream {
        &mut self.stream
    }

    /// The next piece of the answer, `None` within at its end; `None` when it is time for a comment.
    async fn chunk(&mut self, host: &H) -> Option<Result<Option<Bytes>, Verdict>> {
        let idle = self.waits.timeouts.idle;
        let left = idle.saturating_sub(self.silent_for);
        let wait = if self.waits.keep_alive { left.min(KEEP_ALIVE) } else { left };
        let Some(chunk) = next_chunk(host, &mut self.body, wait).await else {
            self.silent_for += wait;
            let timeout = UpstreamError::Timeout { limit: idle, awaited: Awaited::More };
            return (self.silent_for >= idle).then(|| Err(network_fault(&timeout)));
        };
        self.silent_for = Duration::ZERO;
        Some(chunk.map_err(|error| network_fault(&error)))
    }

    /// The next piece of the answer, before anything of it was sent: there is no time for a comment yet.
    pub(super) async fn early_chunk(&mut self, host: &H) -> Result<Option<Bytes>, Verdict> {
        loop {
            if let Some(chunk) = self.chunk(host).await {
                return chunk;
            }
        }
    }

    /// A piece of the answer is there.
    pub(super) fn received(&mut self, host: &H) {
        if let Some(record) = &mut self.record {
            record.received(host.clock().now());
        }
    }

    /// Translates a piece of the answer.
    pub(super) fn translate(&mut self, host: &H, chunk: &[u8], out: &mut Vec<u8>) -> Result<(), Verdict> {
        let sent = self.sent.as_ref();
        self.stream.push(chunk, out).map_err(|fault| match fault {
            StreamFault::Upstream(error) => error_in_answer(host, &error, sent),
            fault => malformed_stream(&fault),
        })
    }

    /// Writes what comes next, a comment if nothing came. Returns `true` if the stream goes on.
    async fn read(&mut self, host: &H, out: &mut Vec<u8>) -> bool {
        let read = match self.chunk(host).await {
            None => {
                out.extend_from_slice(ChatStream::keep_alive());
                return true;
            }
            Some(Err(verdict)) => Err(verdict),
            Some(Ok(chunk)) => {
                self.received(host);
                match chunk {
                    None => return self.end(host, out).await,
                    Some(chunk) => self.translate(host, &chunk, out),
                }
            }
        };
        read.map_err(|verdict| self.fail(host, verdict, out)).is_ok()
    }

    /// Gemini has nothing more to say in this call. Returns `true` if another call goes on with the answer.
    async fn end(&mut self, host: &H, out: &mut Vec<u8>) -> bool {
        let token = self.stream.continuation();
        let next = token.zip(self.continuation.as_mut()).and_then(|(token, goes_on)| goes_on.request(&token));
        let Some(next) = next else {
            if let Err(verdict) = self.finish(host, out) {
                // Unless the stream itself has told the client.
                self.fail(host, verdict, out);
            }
            return false;
        };
        if let Some(record) = &mut self.record {
            record.one_more(&self.stream.call_usage(), host.clock().now());
        }
        match open(host, self.waits.timeouts, next).await {
            Ok(body) => {
                self.stream.resume();
                self.body = body;
                true
            }
            Err(verdict) => {
                // The client has a part of the answer. It is told that it was cut, and how to go on.
                let verdict = self.count_failed(verdict, &Usage::default(), host);
                self.signatures.remember(self.stream.take_signatures());
                if !matches!(self.stream.finish(out), StreamEnd::Complete(_)) {
                    self.stream.fail(&verdict.answer, out);
                }
                false
            }
        }
    }

    /// Writes what comes at the end of a whole answer, and counts it. Any other answer is judged and not counted yet.
    pub(super) fn finish(&mut self, host: &H, out: &mut Vec<u8>) -> Result<(), Verdict> {
        self.signatures.remember(self.stream.take_signatures());
        let end = self.stream.finish(out);
        let usage = self.stream.call_usage();
        match end {
            StreamEnd::Complete(_) => {
                self.succeeded(host);
                Ok(())
            }
            StreamEnd::Truncated => Err(truncated()),
            StreamEnd::Upstream(error) => Err(error_in_answer(host, &error, self.sent.as_ref())),
            StreamEnd::SoftFailure(reason) => Err(soft_failure(AnswerError { reason, usage })),
        }
    }

    /// Counts the attempt, which reached its end.
    pub(super) fn succeeded(&mut self, host: &H) {
        if let Some(record) = self.record.take() {
            let usage = self.stream.call_usage();
            if self.stream.is_spent_on_thoughts() {
                record.note_spent_on_thoughts(&usage, host);
            }
            record.succeeded(&usage, host);
        }
    }

    /// Counts the attempt, which did not reach its end, and gives the verdict back.
    pub(super) fn failed(mut self, host: &H, verdict: Verdict) -> Verdict {
        let usage = self.stream.call_usage();
        self.count_failed(verdict, &usage, host)
    }

    /// Ends the stream with an error event: a client must never take a cut answer for a whole one.
    fn fail(&mut self, host: &H, verdict: Verdict, out: &mut Vec<u8>) {
        self.stream.fail(&verdict.answer, out);
        self.broke_off(&verdict.answer, host.clock().now());
        let usage = self.stream.call_usage();
        self.count_failed(verdict, &usage, host);
    }

    /// The response ends before its time.
    fn broke_off(&self, error: &ApiError, now: Timestamp) {
        if let Some(record) = &self.record {
            record.log().broke_off(error, now);
        }
    }

    fn count_failed(&mut self, verdict: Verdict, usage: &Usage, host: &H) -> Verdict {
        match self.record.take() {
            Some(record) => record.failed(verdict, usage, host),
            None => verdict,
        }
    }
}

impl<H: Host> Drop for Source<H> {
    fn drop(&mut self) {
        if let Some(record) = self.record.take() {
            record.left(&self.stream.call_usage());
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
