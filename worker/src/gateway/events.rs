//! A streamed answer on its way to the client.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use super::attempts::AttemptRecord;
use super::chat::{Continuation, OwnSignatures, malformed_stream, soft_failure, truncated};
use super::exchange::{IDLE_TIMEOUT, error_in_answer, next_chunk, open};
use crate::host::{Clock, Host, Upstream, UpstreamError};
use crate::pool::{Verdict, network_fault};
use crate::translate::{AnswerError, ChatStream, StreamEnd, StreamFault, Usage};

/// A comment is sent when Gemini has been silent for so long: it keeps proxies from closing the
/// connection, and tells that a client has left.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The events of one answer. A host takes them with [`EventStream::next`] and sends them; dropping
/// the stream before its end closes the connection to Gemini and counts the attempt as failed.
pub struct EventStream<H: Host> {
    host: H,
    ready: VecDeque<Bytes>,
    source: Option<Source<H>>,
}

/// Where the events come from.
pub(super) struct Source<H: Host> {
    body: <H::Upstream as Upstream>::Body,
    stream: Box<ChatStream>,
    record: AttemptRecord,
    continuation: Option<Continuation>,
    signatures: OwnSignatures,
    silent_for: Duration,
}

impl<H: Host> EventStream<H> {
    /// A stream whose first events are ready.
    pub(super) fn new(host: H, first: Bytes, source: Source<H>) -> Self {
        Self { host, ready: VecDeque::from([first]), source: Some(source) }
    }

    /// A stream that is complete already.
    pub(super) fn complete(host: H, events: Bytes) -> Self {
        Self { host, ready: VecDeque::from([events]), source: None }
    }

    /// The next bytes for the client, whole events; `None` at the end.
    pub async fn next(&mut self) -> Option<Bytes> {
        if let Some(ready) = self.ready.pop_front() {
            return Some(ready);
        }
        let mut out = Vec::new();
        while out.is_empty() {
            let mut source = self.source.take()?;
            match next_chunk(&self.host, &mut source.body, KEEP_ALIVE).await {
                Err(UpstreamError::Timeout(_)) if source.silent_for + KEEP_ALIVE < IDLE_TIMEOUT => {
                    source.silent_for += KEEP_ALIVE;
                    out.extend_from_slice(ChatStream::keep_alive());
                    self.source = Some(source);
                }
                Err(error) => source.fail(&self.host, network_fault(&error), &mut out),
                Ok(chunk) => {
                    source.record.received(self.host.clock().now());
                    match chunk {
                        None => self.source = source.end(&self.host, &mut out).await,
                        Some(chunk) => self.source = source.push(&self.host, &chunk, &mut out),
                    }
                }
            }
        }
        Some(out.into())
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
    ) -> Self {
        Self { body, stream, record, continuation, signatures, silent_for: Duration::ZERO }
    }

    fn push(mut self, host: &H, chunk: &[u8], out: &mut Vec<u8>) -> Option<Self> {
        self.silent_for = Duration::ZERO;
        match self.stream.push(chunk, out) {
            Ok(()) => return Some(self),
            Err(StreamFault::Upstream(error)) => self.fail(host, error_in_answer(host, &error, None), out),
            Err(fault) => self.fail(host, malformed_stream(&fault), out),
        }
        None
    }

    /// Gemini has nothing more to say in this call.
    async fn end(mut self, host: &H, out: &mut Vec<u8>) -> Option<Self> {
        let token = self.stream.continuation();
        let next = token.zip(self.continuation.as_mut()).and_then(|(token, goes_on)| goes_on.request(&token));
        let Some(next) = next else {
            self.finish(host, out);
            return None;
        };
        self.record.one_more(&self.stream.call_usage(), host.clock().now());
        match open(host, next).await {
            Ok(body) => {
                self.stream.resume();
                self.silent_for = Duration::ZERO;
                Some(Self { body, ..self })
            }
            Err(verdict) => {
                // The client has a part of the answer. It is told that it was cut, and how to go on.
                let verdict = self.record.failed(verdict, &Usage::default(), host);
                self.signatures.remember(self.stream.take_signatures());
                if !matches!(self.stream.finish(out), StreamEnd::Complete(_)) {
                    self.stream.fail(&verdict.answer, out);
                }
                None
            }
        }
    }

    fn finish(mut self, host: &H, out: &mut Vec<u8>) {
        self.signatures.remember(self.stream.take_signatures());
        let usage = self.stream.call_usage();
        match self.stream.finish(out) {
            StreamEnd::Complete(_) => self.record.succeeded(&self.stream.call_usage(), host),
            // The stream itself has told the client.
            StreamEnd::Truncated => drop(self.record.failed(truncated(), &usage, host)),
            StreamEnd::Upstream(error) => self.fail(host, error_in_answer(host, &error, None), out),
            StreamEnd::SoftFailure(reason) => {
                self.fail(host, soft_failure(AnswerError { reason, usage }), out);
            }
        }
    }

    /// Ends the stream with an error event: a client must never take a cut answer for a whole one.
    fn fail(mut self, host: &H, verdict: Verdict, out: &mut Vec<u8>) {
        self.stream.fail(&verdict.answer, out);
        drop(self.record.failed(verdict, &self.stream.call_usage(), host));
    }
}
