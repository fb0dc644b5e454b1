//! A streaming response: the bytes of `:streamGenerateContent?alt=sse` in, a client protocol's events out.
//!
//! # Invariants
//! - A truncated stream never ends like a complete one.
//! - The reason of the end is written only when the upstream bytes have ended.

mod frames;
mod writer;

use std::sync::Arc;

use http::StatusCode;

use super::failure::{Outcome, SoftFailure};
use super::ids::Envelope;
use super::sse::{EventSplitter, TooLong};
use super::usage::Usage;
use crate::error::ApiError;
use crate::gemini::ErrorBody;
use crate::request::call::ResponseContext;
use crate::request::signatures::CallSignature;
use frames::{End, Frames};

#[cfg(test)]
pub(crate) use frames::MAX_CANDIDATES;
pub(crate) use writer::{CandidateEnd, StreamWriter};

/// Converts one stream. `W` writes the events of a client protocol.
#[derive(Debug)]
pub struct ResponseStream<W> {
    splitter: EventSplitter,
    frames: Frames<W>,
}

/// Why a stream cannot be converted any further.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamFault {
    /// Gemini reports an error: classify it like a response with [`ErrorBody::code`] as its status.
    Upstream(Box<ErrorBody>),
    /// An event is not a Gemini response.
    Malformed,
    /// An event exceeds the size limit.
    TooLarge,
}

impl From<TooLong> for StreamFault {
    fn from(_: TooLong) -> Self {
        Self::TooLarge
    }
}

impl StreamFault {
    /// Returns the client's error if no other attempt is made. For [`StreamFault::Upstream`] classify
    /// the error instead; this is a fallback.
    #[must_use]
    pub fn api_error(&self) -> ApiError {
        match self {
            Self::Upstream(error) => {
                ApiError::server(StatusCode::BAD_GATEWAY, "upstream_error", error.message.clone())
            }
            Self::Malformed => ApiError::from(&SoftFailure::Malformed),
            Self::TooLarge => {
                let message = "An event of the upstream stream is too long.";
                ApiError::server(StatusCode::BAD_GATEWAY, "invalid_upstream_response", message)
            }
        }
    }
}

/// How a stream ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamEnd {
    /// Completely: the end, usage included, is written.
    Complete(Outcome),
    /// Truncated. The error event is written if anything was written before, and nothing otherwise.
    Truncated,
    /// With an error that was only recognised at the end. Nothing is written.
    Upstream(Box<ErrorBody>),
    /// Without usable content. Nothing is written; see [`ResponseStream::delivered`].
    SoftFailure(SoftFailure),
}

#[expect(private_bounds, reason = "writers are this crate's own")]
impl<W: StreamWriter> ResponseStream<W> {
    /// Creates a stream that has received nothing yet.
    #[must_use]
    pub fn new(context: impl Into<Arc<ResponseContext>>, envelope: Envelope) -> Self {
        Self { splitter: EventSplitter::default(), frames: Frames::new(context.into(), envelope) }
    }

    /// Reads bytes from upstream and appends whole events for the client to `out`.
    ///
    /// # Errors
    /// If upstream reports an error or sends something else than a response. What was appended before
    /// is still to be sent; after that only [`Self::fail`] or [`Self::restart`] may be called.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), StreamFault> {
        let Self { splitter, frames } = self;
        splitter.push(bytes, |found| frames.read(&found, out))
    }

    /// Returns `true` if anything was written: an error can no longer be sent as a status.
    #[must_use]
    pub fn committed(&self) -> bool {
        self.frames.writer.events() > 0
    }

    /// Returns `true` if content was written: no other attempt can replace this one.
    #[must_use]
    pub fn delivered(&self) -> bool {
        self.frames.writer.deltas() > 0
    }

    /// Prepares for the bytes of another attempt. What the client has received stays valid.
    pub fn restart(&mut self) {
        self.splitter = EventSplitter::default();
        self.frames.restart();
    }

    /// Returns the token that continues a response truncated by the limit of one call, if the client
    /// asked for more than one call can give. Call it when the upstream bytes have ended: either send
    /// the body of [`crate::resumed_body`] and call [`Self::resume`], or call [`Self::finish`], which
    /// tells the client of the truncation.
    #[must_use]
    pub fn continuation(&self) -> Option<String> {
        match self.frames.candidates.as_slice() {
            [candidate] if self.frames.context.resumes => candidate.continuation(),
            _ => None,
        }
    }

    /// Prepares for the bytes of the call that continues the response; see [`Self::continuation`].
    pub fn resume(&mut self) {
        self.splitter = EventSplitter::default();
        self.frames.resume();
    }

    /// Reads the buffered response of one of the calls for several choices ([`crate::GeminiCall::copies`]).
    ///
    /// # Errors
    /// As [`Self::push`].
    pub fn push_answer(&mut self, body: &[u8], index: u32, out: &mut Vec<u8>) -> Result<(), StreamFault> {
        self.frames.buffered(body, index, out)
    }

    /// Takes the signatures of the calls so far, for [`crate::SignatureCache`].
    pub fn take_signatures(&mut self) -> Vec<CallSignature> {
        let candidates = self.frames.candidates.iter_mut();
        candidates.flat_map(|candidate| candidate.calls.take_signatures()).collect()
    }

    /// Writes the end of the stream, when the upstream bytes have ended.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> StreamEnd {
        let Self { splitter, frames } = self;
        match splitter.finish(|found| frames.read(&found, out)) {
            Err(StreamFault::Upstream(error)) => return StreamEnd::Upstream(error),
            Err(StreamFault::Malformed | StreamFault::TooLarge) => return self.truncated(out),
            Ok(()) => {}
        }
        if let Some(error) = ErrorBody::find(splitter.stray()) {
            return StreamEnd::Upstream(Box::new(error));
        }
        if !frames.begun {
            let is_empty = splitter.stray().is_empty();
            return StreamEnd::SoftFailure(if is_empty {
                SoftFailure::Empty
            } else {
                SoftFailure::Malformed
            });
        }
        match frames.end() {
            End::Blocked => {
                frames.write_block(out);
                StreamEnd::Complete(Outcome::Blocked)
            }
            End::Complete(endings) => {
                let is_silent = endings.iter().all(|ending| ending.refusal.is_some());
                frames.write_endings(endings, out);
                StreamEnd::Complete(if is_silent { Outcome::Blocked } else { Outcome::Delivered })
            }
            End::Unusable(failure) => StreamEnd::SoftFailure(failure),
            End::Truncated => self.truncated(out),
        }
    }

    fn truncated(&mut self, out: &mut Vec<u8>) -> StreamEnd {
        if self.committed() {
            self.fail(&ApiError::truncated(), out);
        }
        StreamEnd::Truncated
    }

    /// Ends the stream with an error event, so that no client takes it for complete.
    pub fn fail(&mut self, error: &ApiError, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.frames.ended, true) {
            W::error(error, out);
        }
    }

    /// Returns a comment that keeps connections open while the model thinks.
    #[must_use]
    pub const fn keep_alive() -> &'static [u8] {
        b": keep-alive\n\n"
    }

    /// Returns the tokens of the whole response, as far as they are known.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.frames.total_usage()
    }

    /// Returns the tokens of the last of the calls that continued each other.
    #[must_use]
    pub fn call_usage(&self) -> Usage {
        self.frames.call_usage().unwrap_or_default()
    }

    /// Returns what the client may receive instead of a response when Gemini blocked the prompt. Call
    /// it when the upstream bytes have ended, before [`Self::finish`].
    #[must_use]
    pub fn prompt_block(&self) -> Option<&str> {
        self.frames.blocked()
    }

    /// Returns the model version that Gemini reports, once a frame has come.
    #[must_use]
    pub fn model_version(&self) -> Option<&str> {
        self.frames.model_version.as_deref()
    }

    /// Returns `true` if the output token limit was reached before any content.
    #[must_use]
    pub fn is_spent_on_thoughts(&self) -> bool {
        self.frames.candidates.iter().any(super::candidate::CandidateState::is_spent_on_thoughts)
    }

    /// Returns the number of events written.
    #[must_use]
    pub fn chunks(&self) -> u64 {
        self.frames.writer.events()
    }
}
