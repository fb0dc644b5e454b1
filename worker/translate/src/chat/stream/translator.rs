//! What a stream's frames become.
//!
//! In: one frame after the other. Out: events, and at the end a verdict. Finish reasons, sources and signatures are held
//! until the end.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::value::RawValue;

use super::StreamFault;
use crate::answer::ids::{Envelope, Ids};
use crate::answer::logprobs::logprobs;
use crate::answer::piece::{ChoiceState, Ending, Piece};
use crate::answer::speech;
use crate::answer::sse::Found;
use crate::answer::usage::Usage;
use crate::chat::response::{SoftFailure, as_declared, block, unfenced};
use crate::chat::writer::{ChunkWriter, HeldEvents, TextMember};
use crate::gemini::{Candidate, ErrorBody, GenerateResponse, UsageMetadata};
use crate::json::{self, RawText};
use crate::openai::{AudioAnswer, Delta, ToolCallAnswer};
use crate::request::call::{CallStyle, ResponseContext};
use crate::request::schema::Shape;

/// Most bytes of events that are held back for being blank. A model that goes on with white space for ever is shown to
/// the client, who can leave.
const MOST_HELD: usize = 64 * 1024;
/// Most choices that OpenAI and Gemini know; candidates beyond are no answer to any request.
pub(super) const MOST_CHOICES: usize = 16;

/// One stream's state.
#[derive(Debug)]
pub(super) struct Translator {
    pub(super) context: Arc<ResponseContext>,
    envelope: Envelope,
    ids: Ids,
    pub(super) writer: ChunkWriter,
    pub(super) choices: Vec<StreamedChoice>,
    /// What the calls took whose answers were taken whole.
    usage: Option<Usage>,
    /// What this call took so far, as JSON: every frame tells, and only the last one counts.
    latest_usage: String,
    /// What the calls took with which this one goes on.
    before: Option<Usage>,
    /// The refusal of a blocked prompt, and Gemini's reason.
    block: Option<(String, String)>,
    /// The model that Gemini says answers.
    pub(super) model_version: Option<String>,
    /// This attempt has sent a frame.
    pub(super) begun: bool,
    /// The error event is out.
    pub(super) ended: bool,
}

#[derive(Debug)]
pub(super) struct StreamedChoice {
    pub(super) state: ChoiceState,
    audio_id: Option<String>,
    /// The text so far, where it can be delivered only as a whole: JSON that is to be turned into what the caller declared.
    held: String,
    /// Blank text at the beginning, which is not sent before something follows it.
    blank: HeldEvents,
}

impl StreamedChoice {
    fn new(index: u32, context: &ResponseContext) -> Self {
        let state = ChoiceState::new(index, context);
        Self { state, audio_id: None, held: String::new(), blank: HeldEvents::default() }
    }
}

/// How the upstream bytes have ended.
pub(super) enum Verdict {
    Blocked,
    Ended(Vec<Ending>),
    Unusable(SoftFailure),
    Cut,
}

fn call_delta<'a>(call: ToolCallAnswer<'a>, context: &ResponseContext) -> Delta<'a> {
    if context.calls == CallStyle::Function {
        Delta { function_call: call.function, ..Delta::default() }
    } else {
        Delta { tool_calls: Some([call]), ..Delta::default() }
    }
}

impl Translator {
    pub(super) fn new(context: Arc<ResponseContext>, envelope: Envelope) -> Self {
        Self {
            ids: Ids::new(envelope.seed),
            writer: ChunkWriter::new(context.include_usage),
            context,
            envelope,
            choices: Vec::new(),
            usage: None,
            latest_usage: String::new(),
            before: None,
            block: None,
            model_version: None,
            begun: false,
            ended: false,
        }
    }

    /// Forgets what this attempt has said about the answer, but not what the client has got.
    pub(super) fn restart(&mut self) {
        for choice in &mut self.choices {
            choice.state = ChoiceState::new(choice.state.index, &self.context);
            choice.held.clear();
            choice.blank = HeldEvents::default();
        }
        self.latest_usage.clear();
        (self.usage, self.block, self.begun) = (None, None, false);
    }

    /// Makes ready for more of the same answer.
    pub(super) fn resume(&mut self) {
        for choice in &mut self.choices {
            choice.state.resume();
        }
        self.before = Some(self.total_usage());
        self.latest_usage.clear();
        (self.usage, self.begun) = (None, false);
    }

    /// Takes the whole answer of the call for the choice `index`.
    pub(super) fn answer(&mut self, body: &[u8], index: u32, out: &mut Vec<u8>) -> Result<(), StreamFault> {
        let before = self.usage.take();
        let result = self.frame(body, Some(index), out);
        let usage = self.call_usage();
        self.latest_usage.clear();
        self.usage = match (before, usage) {
            (Some(before), Some(usage)) => Some(before.plus(usage)),
            (before, usage) => before.or(usage),
        };
        result
    }

    pub(super) fn read(&mut self, found: &Found<'_>, out: &mut Vec<u8>) -> Result<(), StreamFault> {
        match *found {
            // An event that says nothing is no more than a comment.
            Found::Event(data) if matches!(data.trim_ascii(), b"" | b"[DONE]" | b"null") => Ok(()),
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
        let Ok(frame) = json::read::<GenerateResponse<'_, &RawValue>>(data) else {
            if let Cow::Owned(text) = String::from_utf8_lossy(data) {
                return self.frame(text.as_bytes(), only, out);
            }
            let error = ErrorBody::find(data).map(Box::new);
            return Err(error.map_or(StreamFault::Malformed, StreamFault::Upstream));
        };
        if frame.error.is_some() {
            return Err(StreamFault::Upstream(Box::new(ErrorBody::parse(data))));
        }
        self.begun = true;
        if !self.writer.is_open() {
            let id = self.ids.completion(frame.response_id.map(RawText::decode).as_deref());
            let version = frame.model_version.map(RawText::decode);
            let model = self.envelope.model.shown(version.as_deref());
            self.writer.open(&id, self.envelope.created_s, model);
            self.model_version = version.map(Cow::into_owned);
        }
        if let Some(usage) = frame.usage_metadata {
            self.latest_usage.clear();
            self.latest_usage.push_str(usage.get());
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
        self.choices.push(StreamedChoice::new(index, &self.context));
        self.writer.role(index, out);
        Some(self.choices.len() - 1)
    }

    fn candidate(&mut self, candidate: Candidate<'_>, out: &mut Vec<u8>) {
        let place = self.choice(candidate.index.unwrap_or(0), out);
        let Some(choice) = place.and_then(|place| self.choices.get_mut(place)) else { return };
        choice.state.note(&candidate, &self.context);
        let index = choice.state.index;
        let mut logprobs = logprobs(candidate.logprobs_result);
        for part in candidate.content.unwrap_or_default().parts {
            let Some(piece) = choice.state.read(part, true, &self.context, &mut self.ids) else { continue };
            if !matches!(piece, Piece::Thought(_)) && choice.state.said.anything() {
                self.writer.release(&mut choice.blank, out);
            }
            let delta = match piece {
                Piece::Text(text) if self.context.json_shape != Shape::Same => {
                    choice.held.push_str(&text.text());
                    continue;
                }
                Piece::Text(text) => {
                    // They belong to the text of this frame.
                    let logprobs = logprobs.take();
                    if choice.state.said.anything() {
                        self.writer.text(index, TextMember::Content, &text, logprobs.as_ref(), out);
                    } else {
                        self.writer.hold_text(index, &text, logprobs.as_ref(), &mut choice.blank);
                        if choice.blank.len() > MOST_HELD {
                            self.writer.release(&mut choice.blank, out);
                        }
                    }
                    continue;
                }
                Piece::Thought(text) => {
                    self.writer.text(index, TextMember::Reasoning, &text, None, out);
                    continue;
                }
                Piece::Call(call) => call_delta(call, &self.context),
                Piece::Image(image) => Delta { images: Some([image]), ..Delta::default() },
                Piece::Audio(blob) => {
                    let id = choice.audio_id.get_or_insert_with(|| self.ids.next("audio_"));
                    let data = Some(blob.data.0);
                    let audio =
                        AudioAnswer { id: id.as_str().into(), data, expires_at: None, transcript: None };
                    self.writer.delta(index, &Delta { audio: Some(audio), ..Delta::default() }, out);
                    continue;
                }
            };
            self.writer.delta(index, &delta, out);
        }
        if logprobs.is_some() {
            self.writer.delta_with(index, &Delta::default(), logprobs.as_ref(), out);
        }
    }

    /// What the last call took, of those that went on with each other.
    pub(super) fn call_usage(&self) -> Option<Usage> {
        let latest: Option<UsageMetadata> = serde_json::from_str(&self.latest_usage).ok();
        latest.as_ref().map(Usage::from).or(self.usage)
    }

    fn known_usage(&self) -> Option<Usage> {
        match (self.before, self.call_usage()) {
            (Some(before), Some(usage)) => Some(before.resumed_by(usage)),
            (before, usage) => before.or(usage),
        }
    }

    pub(super) fn total_usage(&self) -> Usage {
        self.known_usage().unwrap_or_default()
    }

    /// What to say about a prompt that was blocked, if nothing else has been said.
    pub(super) fn blocked(&self) -> Option<&str> {
        let nothing = self
            .choices
            .iter()
            .all(|choice| choice.state.native_finish.is_none() && !choice.state.said.anything());
        self.block.as_ref().filter(|_| nothing).map(|(refusal, _)| refusal.as_str())
    }

    pub(super) fn verdict(&mut self) -> Verdict {
        if self.blocked().is_some() {
            return Verdict::Blocked;
        }
        // The client has seen thoughts, so there is no second attempt: a stop sequence is what explains the silence.
        if self.context.stops && self.writer.deltas() > 0 {
            self.choices.iter_mut().for_each(|choice| choice.state.may_be_empty = true);
        }
        if self.choices.iter().any(|choice| choice.state.native_finish.is_none()) {
            let nothing = self
                .choices
                .iter()
                .all(|choice| choice.state.native_finish.is_none() && !choice.state.said.anything());
            // What ended without a word is empty. What ended in the middle of one was cut.
            let empty = nothing && self.writer.deltas() == 0;
            return if empty { Verdict::Unusable(SoftFailure::Empty) } else { Verdict::Cut };
        }
        let mut endings = Vec::with_capacity(self.choices.len());
        let mut unusable = None;
        let mut usable = false;
        for choice in &self.choices {
            let native = choice.state.finish_reason();
            // Text that was to lead up to a call which never came is not to be taken for an answer.
            let broken = native == Some("MALFORMED_FUNCTION_CALL") && !choice.state.said.calls;
            if broken && choice.state.said.anything() {
                return Verdict::Unusable(SoftFailure::nothing(native));
            }
            if let Some(ending) = choice.state.ending(&self.context) {
                usable = true;
                endings.push(ending);
            } else {
                unusable.get_or_insert_with(|| SoftFailure::nothing(native));
                let native = native.filter(|native| *native != "STOP").map(ToOwned::to_owned);
                endings.push(Ending { reason: "stop", native, refusal: None });
            }
        }
        // One choice with nothing in it does not spoil the others, as in an answer that comes whole.
        match unusable.filter(|_| !usable) {
            Some(failure) => Verdict::Unusable(failure),
            None => Verdict::Ended(endings),
        }
    }

    pub(super) fn write_block(&mut self, out: &mut Vec<u8>) {
        let Some((refusal, reason)) = self.block.take() else { return };
        self.writer.delta(0, &Delta { refusal: Some(&refusal), ..Delta::default() }, out);
        self.writer.finish(0, "content_filter", Some(&reason), out);
        self.writer.end(self.known_usage(), out);
        self.ended = true;
    }

    pub(super) fn write_endings(&mut self, endings: Vec<Ending>, out: &mut Vec<u8>) {
        for (choice, ending) in self.choices.iter_mut().zip(endings) {
            let index = choice.state.index;
            if !choice.held.is_empty() {
                let text = unfenced(std::mem::take(&mut choice.held).into());
                let text = as_declared(text, &self.context);
                self.writer.text(index, TextMember::Content, &text, None, out);
            }
            self.writer.release(&mut choice.blank, out);
            if let Some(call) = choice.state.take_call(&self.context) {
                self.writer.delta(index, &call_delta(call, &self.context), out);
            }
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
                let expires_at = Some(self.envelope.created_s + speech::LASTS_S);
                let audio = AudioAnswer { id: id.into(), data: None, expires_at, transcript: None };
                self.writer.delta(index, &Delta { audio: Some(audio), ..Delta::default() }, out);
            }
        }
        self.writer.end(self.known_usage(), out);
        self.ended = true;
    }
}
