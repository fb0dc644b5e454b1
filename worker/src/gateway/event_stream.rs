//! The events of a streaming response, on their way to the client.

use std::collections::VecDeque;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;

use super::chat::ChatAttemptStream;
use crate::platform::{BoxedFuture, Clock};
use crate::ports::Host;
use crate::reporting::{RequestLog, UntilTold};
use pool_translate::ApiError;
use pool_translate::ChatStream;
use pool_translate::openai::error_event;

/// Silence after which a comment is sent: it keeps proxies from closing the connection, and reveals
/// that a client has disconnected.
pub(super) const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// The events of one response. Dropping it before its end closes the connection to Gemini and counts
/// the attempt as abandoned by the client.
pub struct EventStream<H: Host> {
    host: H,
    ready: VecDeque<Bytes>,
    state: State<H>,
}

/// Where the next events come from.
enum State<H: Host> {
    /// The stream has ended.
    Ended,
    /// No attempt has delivered yet. Key and model may still change.
    Waiting { response: PendingResponse<H>, log: UntilTold },
    /// An attempt delivers.
    Reading(Box<ChatAttemptStream<H>>),
}

/// A response that comes after its stream has begun.
pub(super) enum LateResponse<H: Host> {
    /// The events of an attempt.
    Events(Box<EventStream<H>>),
    /// An error as a JSON document without line breaks.
    Document(Bytes),
}

/// A response in the making.
pub(super) type PendingResponse<H> = BoxedFuture<Result<LateResponse<H>, ApiError>>;

impl<H: Host> EventStream<H> {
    /// Creates a stream whose first events are ready.
    pub(super) fn new(host: H, first: Bytes, attempt: ChatAttemptStream<H>) -> Self {
        Self { host, ready: VecDeque::from([first]), state: State::Reading(Box::new(attempt)) }
    }

    /// Creates a stream whose events are all there.
    pub(super) fn complete(host: H, events: Bytes) -> Self {
        Self { host, ready: VecDeque::from([events]), state: State::Ended }
    }

    /// Creates a stream that begins with a comment, before there is a response. From now on errors are
    /// events.
    pub(super) fn waiting(host: H, response: PendingResponse<H>, log: RequestLog) -> Self {
        let ready = VecDeque::from([Bytes::from_static(ChatStream::keep_alive())]);
        Self { host, ready, state: State::Waiting { response, log: UntilTold::new(log) } }
    }

    /// Returns the next bytes for the client, whole events; `None` at the end. Cancelling the call
    /// loses nothing.
    pub async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(ready) = self.ready.pop_front() {
                return Some(ready);
            }
            match &mut self.state {
                State::Ended => return None,
                State::Waiting { response, .. } => {
                    let response = self.host.clock().within(KEEP_ALIVE_INTERVAL, Pin::new(response)).await;
                    self.waited(response);
                }
                State::Reading(attempt) => {
                    let mut out = Vec::new();
                    if !attempt.next(&self.host, &mut out).await {
                        self.state = State::Ended;
                    }
                    if !out.is_empty() {
                        self.ready.push_back(out.into());
                    }
                }
            }
        }
    }

    /// Returns the log of the request, unless the stream has ended.
    pub(super) fn log(&self) -> RequestLog {
        match &self.state {
            State::Ended => RequestLog::default(),
            State::Waiting { log, .. } => log.log(),
            State::Reading(attempt) => attempt.log().unwrap_or_default(),
        }
    }

    /// Returns the event that ends the stream early because of the service.
    #[cfg_attr(target_arch = "wasm32", allow(dead_code, reason = "only the native host ends streams"))]
    pub(super) fn cut(mut self, error: &ApiError) -> Bytes {
        let now = self.host.clock().now();
        match &mut self.state {
            State::Ended => {}
            State::Waiting { log, .. } => log.broke_off(error, now),
            State::Reading(attempt) => attempt.log_error(error, now),
        }
        self.push_error(error);
        self.ready.pop_back().unwrap_or_default()
    }

    /// Reads the response that was waited for, or `None` when it is time for a comment.
    fn waited(&mut self, response: Option<Result<LateResponse<H>, ApiError>>) {
        let Some(response) = response else {
            return self.ready.push_back(Bytes::from_static(ChatStream::keep_alive()));
        };
        let State::Waiting { mut log, .. } = std::mem::replace(&mut self.state, State::Ended) else { return };
        match response {
            Ok(response) => {
                log.told();
                match response {
                    LateResponse::Events(events) => *self = *events,
                    LateResponse::Document(document) => {
                        self.ready.push_back([b"data: ".as_slice(), &document, b"\n\n"].concat().into());
                    }
                }
            }
            Err(error) => {
                log.broke_off(&error, self.host.clock().now());
                self.push_error(&error);
            }
        }
    }

    fn push_error(&mut self, error: &ApiError) {
        let mut event = Vec::new();
        error_event(error, &mut event);
        self.ready.push_back(event.into());
    }
}

#[cfg(test)]
pub(crate) mod tests;
