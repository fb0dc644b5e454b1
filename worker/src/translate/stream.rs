//! A streamed answer.
//!
//! In: the bytes of `:streamGenerateContent?alt=sse`, cut anywhere. Out: whole server-sent events for the client, and at
//! the end a verdict. A stream that was cut must never end like one that is complete, and what Gemini says about why it
//! ended is held back until it really has.

use http::StatusCode;

use super::answer::{Outcome, SoftFailure, block};
use super::ids::{Envelope, Ids};
use super::logprobs::logprobs;
use super::piece::{ChoiceState, Ending, Piece};
use super::request::{CallStyle, ResponseContext};
use super::signatures::CallSignature;
use super::sse::{EventSplitter, Found, TooLong};
use super::usage::Usage;
use super::write::ChunkWriter;
use crate::gemini::{Candidate, ErrorBody, GenerateResponse};
use crate::openai::{ApiError, AudioAnswer, Delta};

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

/// Most choices that OpenAI and Gemini know; candidates beyond are no answer to any request.
const MOST_CHOICES: usize = 16;
const AUDIO_LASTS_S: u64 = 3600;

impl ChatStream {
    /// A stream that has received nothing yet.
    #[must_use]
    pub fn new(context: ResponseContext, envelope: Envelope) -> Self {
        let translator = Translator {
            ids: Ids::new(envelope.seed),
            writer: ChunkWriter::new(context.include_usage),
            context,
            envelope,
            choices: Vec::new(),
            usage: None,
            before: None,
            block: None,
            begun: false,
            ended: false,
        };
        Self { splitter: EventSplitter::default(), translator }
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
        let translator = &mut self.translator;
        for choice in &mut translator.choices {
            choice.state = ChoiceState::new(choice.state.index);
        }
        (translator.usage, translator.block, translator.begun) = (None, None, false);
    }

    /// To be asked when the upstream bytes have ended: the token with which to go on where the limit of one call has cut
    /// the answer, if the caller wants more than one call can give. The call of [`super::resumed_body`] with it goes on,
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
        let translator = &mut self.translator;
        for choice in &mut translator.choices {
            choice.state.resume();
        }
        translator.before = Some(translator.total_usage());
        (translator.usage, translator.begun) = (None, false);
    }

    /// Takes the whole answer of one of the calls for several choices ([`super::GeminiCall::copies`]).
    ///
    /// # Errors
    /// As for [`ChatStream::push`].
    pub fn push_answer(&mut self, body: &[u8], index: u32, out: &mut Vec<u8>) -> Result<(), StreamFault> {
        let before = self.translator.usage.take();
        let result = self.translator.frame(body, Some(index), out);
        let translator = &mut self.translator;
        translator.usage = match (before, translator.usage) {
            (Some(before), Some(usage)) => Some(before.plus(usage)),
            (before, usage) => before.or(usage),
        };
        result
    }

    /// The signatures of the calls so far, for [`super::SignatureCache`]. Emptied by this.
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
            error.event(out);
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

    /// How many events have been written.
    #[must_use]
    pub fn chunks(&self) -> u64 {
        self.translator.writer.events()
    }
}

#[derive(Debug)]
struct Translator {
    context: ResponseContext,
    envelope: Envelope,
    ids: Ids,
    writer: ChunkWriter,
    choices: Vec<StreamedChoice>,
    usage: Option<Usage>,
    /// What the calls took with which this one goes on.
    before: Option<Usage>,
    /// The refusal of a blocked prompt, and Gemini's reason.
    block: Option<(String, String)>,
    /// This attempt has sent a frame.
    begun: bool,
    /// The error event is out.
    ended: bool,
}

#[derive(Debug)]
struct StreamedChoice {
    state: ChoiceState,
    audio_id: Option<String>,
}

enum Verdict {
    Blocked,
    Ended(Vec<Ending>),
    Unusable(SoftFailure),
    Cut,
}

impl Translator {
    fn read(&mut self, found: &Found<'_>, out: &mut Vec<u8>) -> Result<(), StreamFault> {
        match *found {
            Found::Event(b"[DONE]") => Ok(()),
            Found::Event(data) => self.frame(data, None, out),
            Found::Stray(stray) => {
                let may_be_whole = matches!(stray.trim_ascii_end().last(), Some(b'}' | b']'));
                match may_be_whole.then(|| ErrorBody::find(stray)).flatten() {
                    Some(error) => Err(StreamFault::Upstream(Box::new(error))),
                    None => Ok(()),
                }
            }
        }
    }

    /// One frame, or the whole answer of the call for the choice `only`.
    fn frame(&mut self, data: &[u8], only: Option<u32>, out: &mut Vec<u8>) -> Result<(), StreamFault> {
        let Ok(frame) = serde_json::from_slice::<GenerateResponse>(data) else {
            let error = ErrorBody::find(data).map(Box::new);
            return Err(error.map_or(StreamFault::Malformed, StreamFault::Upstream));
        };
        if frame.error.is_some() {
            return Err(StreamFault::Upstream(Box::new(ErrorBody::parse(data))));
        }
        self.begun = true;
        if !self.writer.is_open() {
            let id = self.ids.completion(frame.response_id.as_deref());
            let model = self.envelope.model.shown(frame.model_version.as_deref());
            self.writer.open(&id, self.envelope.created_s, model);
        }
        if let Some(usage) = &frame.usage_metadata {
            self.usage = Some(Usage::from(usage));
        }
        if let Some(blocked) = frame.prompt_feedback.as_ref().and_then(block) {
            self.block = Some(blocked);
        }
        if frame.candidates.is_empty() && self.choices.is_empty() {
            self.choice(0, out);
        }
        for mut candidate in frame.candidates {
            candidate.index = only.or(candidate.index);
            self.candidate(candidate, out);
        }
        Ok(())
    }

    /// The place of a choice; its role is written when it is new.
    fn choice(&mut self, index: u32, out: &mut Vec<u8>) -> Option<usize> {
        let known = self.choices.iter().position(|choice| choice.state.index == index);
        if known.is_some() || self.choices.len() >= MOST_CHOICES {
            return known;
        }
        self.choices.push(StreamedChoice { state: ChoiceState::new(index), audio_id: None });
        self.writer.role(index, out);
        Some(self.choices.len() - 1)
    }

    fn candidate(&mut self, candidate: Candidate<'_>, out: &mut Vec<u8>) {
        let place = self.choice(candidate.index.unwrap_or(0), out);
        let Some(choice) = place.and_then(|place| self.choices.get_mut(place)) else { return };
        choice.state.note(&candidate);
        let index = choice.state.index;
        let mut logprobs = logprobs(candidate.logprobs_result);
        for part in candidate.content.unwrap_or_default().parts {
            let Some(piece) = choice.state.read(part, true, &self.context, &mut self.ids) else { continue };
            let mut delta = Delta::default();
            match piece {
                Piece::Text(text) => delta.content = Some(text),
                Piece::Thought(text) => delta.reasoning_content = Some(text),
                Piece::Call(call) if self.context.calls == CallStyle::Function => {
                    delta.function_call = call.function;
                }
                Piece::Call(call) => delta.tool_calls = Some([call]),
                Piece::Image(image) => delta.images = Some([image]),
                Piece::Audio(blob) => {
                    let id = choice.audio_id.get_or_insert_with(|| self.ids.next("audio_"));
                    delta.audio = Some(AudioAnswer {
                        id: id.clone().into(),
                        data: Some(blob.data.0),
                        expires_at: None,
                        transcript: None,
                    });
                }
            }
            // They belong to the text of this frame.
            let logprobs = if delta.content.is_some() { logprobs.take() } else { None };
            self.writer.delta_with(index, &delta, logprobs.as_ref(), out);
        }
        if logprobs.is_some() {
            self.writer.delta_with(index, &Delta::default(), logprobs.as_ref(), out);
        }
    }

    fn known_usage(&self) -> Option<Usage> {
        match (self.before, self.usage) {
            (Some(before), Some(usage)) => Some(before.resumed_by(usage)),
            (before, usage) => before.or(usage),
        }
    }

    fn total_usage(&self) -> Usage {
        self.known_usage().unwrap_or_default()
    }

    fn verdict(&self) -> Verdict {
        let nothing = self
            .choices
            .iter()
            .all(|choice| choice.state.native_finish.is_none() && !choice.state.said.anything());
        if nothing && self.block.is_some() {
            return Verdict::Blocked;
        }
        if self.choices.iter().any(|choice| choice.state.native_finish.is_none()) {
            return Verdict::Cut;
        }
        let mut endings = Vec::with_capacity(self.choices.len());
        for choice in &self.choices {
            let native = choice.state.native_finish.clone().unwrap_or_default();
            // Text that was to lead up to a call which never came is not to be taken for an answer.
            let broken = native == "MALFORMED_FUNCTION_CALL" && !choice.state.said.calls;
            match choice.state.ending(&self.context).filter(|_| !broken) {
                Some(ending) => endings.push(ending),
                None => return Verdict::Unusable(SoftFailure::Finish(native)),
            }
        }
        Verdict::Ended(endings)
    }

    fn write_block(&mut self, out: &mut Vec<u8>) {
        let Some((refusal, reason)) = self.block.take() else { return };
        self.writer.delta(0, &Delta { refusal: Some(&refusal), ..Delta::default() }, out);
        self.writer.finish(0, "content_filter", Some(&reason), out);
        self.writer.end(self.known_usage(), out);
        self.ended = true;
    }

    fn write_endings(&mut self, endings: Vec<Ending>, out: &mut Vec<u8>) {
        for (choice, ending) in self.choices.iter_mut().zip(endings) {
            let index = choice.state.index;
            if let Some(refusal) = &ending.refusal {
                self.writer.delta(index, &Delta { refusal: Some(refusal), ..Delta::default() }, out);
            }
            let (mut annotations, extra) = choice.state.take_rest();
            for (place, annotation) in (0..).zip(&mut annotations) {
                annotation.index = Some(place);
            }
            let extra_content = extra.into_content();
            if extra_content.is_some() || !annotations.is_empty() {
                self.writer.delta(index, &Delta { annotations, extra_content, ..Delta::default() }, out);
            }
            self.writer.finish(index, ending.reason, ending.native.as_deref(), out);
            if let Some(id) = choice.audio_id.take() {
                let expires_at = Some(self.envelope.created_s + AUDIO_LASTS_S);
                let audio = AudioAnswer { id: id.into(), data: None, expires_at, transcript: None };
                self.writer.delta(index, &Delta { audio: Some(audio), ..Delta::default() }, out);
            }
        }
        self.writer.end(self.known_usage(), out);
        self.ended = true;
    }
}

#[cfg(test)]
mod tests;
