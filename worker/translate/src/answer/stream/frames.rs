//! The frames of a stream: what they add to each candidate, and how the stream ended.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::value::RawValue;

use super::StreamFault;
use super::writer::{CandidateEnd, StreamWriter};
use crate::answer::candidate::{CandidateState, Ending};
use crate::answer::failure::{PromptBlock, SoftFailure};
use crate::answer::ids::{Envelope, Ids};
use crate::answer::logprobs::logprobs;
use crate::answer::sse::Found;
use crate::answer::usage::Usage;
use crate::gemini::{Candidate, ErrorBody, GenerateResponse, UsageMetadata};
use crate::json::{self, RawText};
use crate::request::call::ResponseContext;

/// More candidates than OpenAI and Gemini allow; further ones answer no request.
pub(crate) const MAX_CANDIDATES: usize = 16;

/// State of one stream.
#[derive(Debug)]
pub(super) struct Frames<W> {
    pub(super) context: Arc<ResponseContext>,
    envelope: Envelope,
    ids: Ids,
    pub(super) writer: W,
    pub(super) candidates: Vec<CandidateState>,
    /// Tokens of the calls whose responses came buffered.
    usage: Option<Usage>,
    /// Token counts of this call as JSON: every frame has them, and only the last one's count.
    latest_usage: String,
    /// Tokens of the calls that this one continues.
    before: Option<Usage>,
    block: Option<PromptBlock>,
    /// The model version that Gemini reports.
    pub(super) model_version: Option<String>,
    /// This attempt has sent a frame.
    pub(super) begun: bool,
    /// The end or the error event is written.
    pub(super) ended: bool,
}

/// How the upstream bytes ended.
pub(super) enum End {
    Blocked,
    Complete(Vec<Ending>),
    Unusable(SoftFailure),
    Truncated,
}

impl<W: StreamWriter> Frames<W> {
    pub(super) fn new(context: Arc<ResponseContext>, envelope: Envelope) -> Self {
        Self {
            ids: Ids::new(envelope.seed),
            writer: W::new(&context),
            context,
            envelope,
            candidates: Vec::new(),
            usage: None,
            latest_usage: String::new(),
            before: None,
            block: None,
            model_version: None,
            begun: false,
            ended: false,
        }
    }

    /// Forgets what this attempt has sent, but not what the client has received.
    pub(super) fn restart(&mut self) {
        for candidate in &mut self.candidates {
            *candidate = CandidateState::new(candidate.index, &self.context);
        }
        self.writer.restart();
        self.latest_usage.clear();
        (self.usage, self.block, self.begun) = (None, None, false);
    }

    /// Prepares for the next call of the same response.
    pub(super) fn resume(&mut self) {
        for candidate in &mut self.candidates {
            candidate.resume();
        }
        self.before = Some(self.total_usage());
        self.latest_usage.clear();
        (self.usage, self.begun) = (None, false);
    }

    /// Reads the buffered response of the call for the candidate `index`.
    pub(super) fn buffered(&mut self, body: &[u8], index: u32, out: &mut Vec<u8>) -> Result<(), StreamFault> {
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

    /// Reads one frame, or the buffered response of the call for the candidate `only`.
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
            let id = self.ids.response(W::ID_PREFIX, frame.response_id.map(RawText::decode).as_deref());
            let version = frame.model_version.map(RawText::decode);
            let model = self.envelope.model.shown(version.as_deref());
            self.writer.open(&id, self.envelope.created_s, model);
            self.model_version = version.map(Cow::into_owned);
        }
        if let Some(usage) = frame.usage_metadata {
            self.latest_usage.clear();
            self.latest_usage.push_str(usage.get());
        }
        if let Some(blocked) = frame.prompt_feedback.as_ref().and_then(PromptBlock::of) {
            self.block = Some(blocked);
        }
        if frame.candidates.is_empty() && self.candidates.is_empty() {
            self.place_of(0, out);
        }
        for mut candidate in frame.candidates {
            candidate.index = only.or(candidate.index);
            self.candidate(candidate, out);
        }
        Ok(())
    }

    /// Returns the place of a candidate, which begins if it is new.
    fn place_of(&mut self, index: u32, out: &mut Vec<u8>) -> Option<usize> {
        let known = self.candidates.iter().position(|candidate| candidate.index == index);
        if known.is_some() || self.candidates.len() >= MAX_CANDIDATES {
            return known;
        }
        self.candidates.push(CandidateState::new(index, &self.context));
        self.writer.begin(index, out);
        Some(self.candidates.len() - 1)
    }

    fn candidate(&mut self, candidate: Candidate<'_>, out: &mut Vec<u8>) {
        let place = self.place_of(candidate.index.unwrap_or(0), out);
        let Self { candidates, context, ids, writer, .. } = self;
        let Some(state) = place.and_then(|place| candidates.get_mut(place)) else { return };
        state.read_metadata(&candidate, context);
        let mut logprobs = logprobs(candidate.logprobs_result);
        for part in candidate.content.unwrap_or_default().parts {
            if let Some(piece) = state.read(part, true, context, ids) {
                let has_content = state.content.any();
                writer.piece(state.index, piece, has_content, &mut logprobs, context, ids, out);
            }
        }
        if let Some(logprobs) = logprobs {
            writer.logprobs(state.index, logprobs, out);
        }
    }

    /// Returns the tokens of the last of the calls that continued each other.
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

    fn is_silent(&self) -> bool {
        let silent =
            |candidate: &CandidateState| candidate.native_finish.is_none() && !candidate.content.any();
        self.candidates.iter().all(silent)
    }

    /// Returns the error of a blocked prompt, if there is no content.
    pub(super) fn blocked(&self) -> Option<&str> {
        self.block.as_ref().filter(|_| self.is_silent()).map(|block| block.refusal.as_str())
    }

    /// Decides how the stream ended.
    pub(super) fn end(&mut self) -> End {
        if self.blocked().is_some() {
            return End::Blocked;
        }
        // The client has received thoughts, so there is no other attempt: a stop sequence explains the
        // missing content.
        if self.context.stops && self.writer.deltas() > 0 {
            self.candidates.iter_mut().for_each(|candidate| candidate.may_be_empty = true);
        }
        if self.candidates.iter().any(|candidate| candidate.native_finish.is_none()) {
            // Without any content the response is empty; otherwise it is truncated.
            let is_empty = self.is_silent() && self.writer.deltas() == 0;
            return if is_empty { End::Unusable(SoftFailure::Empty) } else { End::Truncated };
        }
        let mut endings = Vec::with_capacity(self.candidates.len());
        let mut unusable = None;
        let mut is_usable = false;
        for candidate in &self.candidates {
            let native = candidate.finish_reason();
            // Text before a call that never came is not a complete response.
            let is_broken = native == Some("MALFORMED_FUNCTION_CALL") && !candidate.content.calls;
            if is_broken && candidate.content.any() {
                return End::Unusable(SoftFailure::without_content(native));
            }
            if let Some(ending) = candidate.ending() {
                is_usable = true;
                endings.push(ending);
            } else {
                unusable.get_or_insert_with(|| SoftFailure::without_content(native));
                endings.push(Ending::without_content(native.map(ToOwned::to_owned)));
            }
        }
        // One candidate without content does not spoil the others, as in a buffered response.
        match unusable.filter(|_| !is_usable) {
            Some(failure) => End::Unusable(failure),
            None => End::Complete(endings),
        }
    }

    pub(super) fn write_block(&mut self, out: &mut Vec<u8>) {
        let Some(block) = self.block.take() else { return };
        self.writer.block(&block, out);
        self.writer.end(self.known_usage(), out);
        self.ended = true;
    }

    pub(super) fn write_endings(&mut self, endings: Vec<Ending>, out: &mut Vec<u8>) {
        for (candidate, ending) in self.candidates.iter_mut().zip(endings) {
            let call = candidate.calls.take(&self.context);
            let extras = candidate.take_extras();
            let end = CandidateEnd { index: candidate.index, call, extras, ending };
            self.writer.end_candidate(end, &self.context, &self.envelope, out);
        }
        self.writer.end(self.known_usage(), out);
        self.ended = true;
    }
}
