//! A streamed answer.
//!
//! In: the bytes of `:streamGenerateContent?alt=sse`, cut anywhere. Out: whole server-sent events for the client, and at
//! the end a verdict. A stream that was cut must never end like one that is complete, and what Gemini says about why it
//! ended is held back until it really has.

mod translator;

use std::sync::Arc;

use http::StatusCode;

use crate::answer::ids::Envelope;
use crate::answer::sse::{EventSplitter, TooLong};
use crate::answer::usage::Usage;
use crate::chat::response::{Outcome, SoftFailure};
use crate::gemini::ErrorBody;
use crate::openai::{ApiError, error_event};
use crate::request::call::ResponseContext;
use crate::request::signatures::CallSignature;
use translator::{Translator, Verdict};

/// Translates one stream; see the module.
#[derive(Debug)]
pub struct ChatStream {
    splitter: EventSplitter,
    translator: Translator,
}

/// Why no more can be translated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamFault {
    /// Gemini reports an error: to be classified like an answer with [`ErrorBody::code`] as its status.
    Upstream(Box<ErrorBody>),
    /// An event is not what Gemini answers with.
    Malformed,
    /// An event is longer than any real one.
    TooLarge,
}

impl From<TooLong> for StreamFault {
    fn from(_: TooLong) -> Self {
        Self::TooLarge
    }
}

impl StreamFault {
    /// What the caller is told if no other attempt is made. For [`StreamFault::Upstream`] this is the least that can be
    /// said: classify the error instead.
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
    /// As it should: finish, usage and `[DONE]` are written.
    Complete(Outcome),
    /// In the middle. The error event is written if anything was written before, and nothing otherwise.
    Truncated,
    /// With an error that was only recognised at the end. Nothing is written.
    Upstream(Box<ErrorBody>),
    /// With nothing usable. Nothing is written; see [`ChatStream::delivered`].
    SoftFailure(SoftFailure),
}

impl ChatStream {
    /// A stream that has received nothing yet.
    #[must_use]
    pub fn new(context: impl Into<Arc<ResponseContext>>, envelope: Envelope) -> Self {
        Self { splitter: EventSplitter::default(), translator: Translator::new(context.into(), envelope) }
    }

    /// Takes bytes from upstream and appends whole events for the client to `out`.
    ///
    /// # Errors
    /// When upstream reports an error or sends nonsense. What was appended before is still to be sent, and then nothing
    /// but [`ChatStream::fail`] or [`ChatStream::restart`] makes sense.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), StreamFault> {
        let Self { splitter, translator } = self;
        splitter.push(bytes, |found| translator.read(&found, out))
    }

    /// Whether anything has been written: from then on an error cannot be told by a status any more.
    #[must_use]
    pub fn committed(&self) -> bool {
        self.translator.writer.events() > 0
    }

    /// Whether more than the role has been written: from then on no other attempt can take over.
    #[must_use]
    pub fn delivered(&self) -> bool {
        self.translator.writer.deltas() > 0
    }

    /// Makes ready for the bytes of another attempt. What the client has got stays as it is.
    pub fn restart(&mut self) {
        self.splitter = EventSplitter::default();
        self.translator.restart();
    }

    /// To be asked when the upstream bytes have ended: the token with which to go on where the limit of one call has cut
    /// the answer, if the caller wants more than one call can give. The call of [`crate::resumed_body`] with it goes on,
    /// after [`ChatStream::resume`]. Without, [`ChatStream::finish`] tells the client that the answer was cut.
    #[must_use]
    pub fn continuation(&self) -> Option<String> {
        match self.translator.choices.as_slice() {
            [choice] if self.translator.context.resumes => choice.state.continuation(),
            _ => None,
        }
    }

    /// Makes ready for the bytes of the call that goes on; see [`ChatStream::continuation`].
    pub fn resume(&mut self) {
        self.splitter = EventSplitter::default();
        self.translator.resume();
    }

    /// Takes the whole answer of one of the calls for several choices ([`crate::GeminiCall::copies`]).
    ///
    /// # Errors
    /// As for [`ChatStream::push`].
    pub fn push_answer(&mut self, body: &[u8], index: u32, out: &mut Vec<u8>) -> Result<(), StreamFault> {
        self.translator.answer(body, index, out)
    }

    /// The signatures of the calls so far, for [`crate::SignatureCache`]. Emptied by this.
    pub fn take_signatures(&mut self) -> Vec<CallSignature> {
        let states = self.translator.choices.iter_mut().map(|choice| &mut choice.state);
        states.flat_map(|state| std::mem::take(&mut state.signatures)).collect()
    }

    /// The upstream bytes have ended; writes what comes at the end.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> StreamEnd {
        let Self { splitter, translator } = self;
        match splitter.finish(|found| translator.read(&found, out)) {
            Err(StreamFault::Upstream(error)) => return StreamEnd::Upstream(error),
            Err(StreamFault::Malformed | StreamFault::TooLarge) => return self.truncated(out),
            Ok(()) => {}
        }
        if let Some(error) = ErrorBody::find(splitter.stray()) {
            return StreamEnd::Upstream(Box::new(error));
        }
        if !translator.begun {
            let stray = splitter.stray().is_empty();
            return StreamEnd::SoftFailure(if stray { SoftFailure::Empty } else { SoftFailure::Malformed });
        }
        match translator.verdict() {
            Verdict::Blocked => {
                translator.write_block(out);
                StreamEnd::Complete(Outcome::Blocked)
            }
            Verdict::Ended(endings) => {
                let silent = endings.iter().all(|ending| ending.refusal.is_some());
                translator.write_endings(endings, out);
                StreamEnd::Complete(if silent { Outcome::Blocked } else { Outcome::Delivered })
            }
            Verdict::Unusable(failure) => StreamEnd::SoftFailure(failure),
            Verdict::Cut => self.truncated(out),
        }
    }

    fn truncated(&mut self, out: &mut Vec<u8>) -> StreamEnd {
        if self.committed() {
            self.fail(&ApiError::truncated(), out);
        }
        StreamEnd::Truncated
    }

    /// Ends the stream with an error event. No `[DONE]` follows, so that no client takes it for complete.
    pub fn fail(&mut self, error: &ApiError, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.translator.ended, true) {
            error_event(error, out);
        }
    }

    /// A comment that keeps connections open while the model thinks.
    #[must_use]
    pub const fn keep_alive() -> &'static [u8] {
        b": keep-alive\n\n"
    }

    /// What it took, as far as it is known.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.translator.total_usage()
    }

    /// What the last call took, of those that went on with each other.
    #[must_use]
    pub fn call_usage(&self) -> Usage {
        self.translator.call_usage().unwrap_or_default()
    }

    /// What the caller may be told instead of an answer when Gemini blocked the prompt. To be asked when the upstream
    /// bytes have ended, before [`ChatStream::finish`].
    #[must_use]
    pub fn prompt_block(&self) -> Option<&str> {
        self.translator.blocked()
    }

    /// The model that Gemini says answers, once a frame has come.
    #[must_use]
    pub fn model_version(&self) -> Option<&str> {
        self.translator.model_version.as_deref()
    }

    /// Whether the limit of output tokens was reached before anything was said.
    #[must_use]
    pub fn is_spent_on_thoughts(&self) -> bool {
        self.translator.choices.iter().any(|choice| choice.state.is_spent_on_thoughts())
    }

    /// How many events have been written.
    #[must_use]
    pub fn chunks(&self) -> u64 {
        self.translator.writer.events()
    }
}

#[cfg(test)]
mod tests;
