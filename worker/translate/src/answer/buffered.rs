//! A buffered response, read from the bodies of one or several calls.
//!
//! Several calls give one candidate each ([`crate::GeminiCall::copies`]). A call has several bodies if
//! the response continued after the limit of one call.

use std::borrow::Cow;

use crate::gemini::{AnsweredBlob, Candidate, GenerateResponse};
use crate::json::{self, Fragment, RawText};
use crate::request::call::ResponseContext;
use crate::request::schema::{Shape, answer_to_client};

use super::calls::Call;
use super::candidate::{CandidateState, Ending, Extras, Image, Piece};
use super::code_fence::without_fence;
use super::failure::{AnswerError, PromptBlock, SoftFailure};
use super::ids::Ids;
use super::logprobs::{TokenLogprob, logprobs};
use super::speech;
use super::usage::Usage;

/// The bodies of a response, read.
pub(crate) struct Buffered<'a> {
    pub(crate) head: Head<'a>,
    pub(crate) candidates: Vec<BufferedCandidate<'a>>,
    /// Token counts, if Gemini gave any.
    pub(crate) usage: Option<Usage>,
    pub(crate) ids: Ids,
}

/// What the first body says about the response as a whole.
#[derive(Default)]
pub(crate) struct Head<'a> {
    pub(crate) id: String,
    pub(crate) model_version: Option<Cow<'a, str>>,
    /// Gemini's `serviceTier`.
    pub(crate) service_tier: Option<Cow<'a, str>>,
}

/// A candidate whose content is gathered.
pub(crate) struct BufferedCandidate<'a> {
    pub(crate) state: CandidateState,
    pub(crate) text: Option<Fragment<'a>>,
    pub(crate) thoughts: Option<Fragment<'a>>,
    pub(crate) calls: Vec<Call>,
    pub(crate) images: Vec<Image<'a>>,
    pub(crate) logprobs: Option<Vec<TokenLogprob<'a>>>,
    audio: Vec<AnsweredBlob<'a>>,
    /// Set instead of content.
    pub(crate) block: Option<PromptBlock>,
}

/// The end of a candidate.
pub(crate) enum End {
    /// It has content, or is a whole turn without.
    Complete(Ending),
    /// Gemini's filters blocked it.
    Refused(Ending),
    /// It has no content and no reason. The ending is for the case that other candidates have content.
    Unusable(SoftFailure, Ending),
}

/// Reads the bodies of all calls. `resumed` says that they continue a response whose beginning is
/// elsewhere. Generated ids begin with `id_prefix`.
pub(crate) fn read<'a, B: AsRef<[u8]> + 'a, C: AsRef<[B]>>(
    calls: &'a [C],
    context: &'a ResponseContext,
    ids: Ids,
    id_prefix: &str,
    resumed: bool,
) -> Result<Buffered<'a>, AnswerError> {
    let mut reader = Reader { candidates: Vec::new(), head: None, context, ids, id_prefix };
    let mut total: Option<Usage> = None;
    for call in calls {
        let failed = |reason| AnswerError { reason, usage: total.unwrap_or_default() };
        let from = reader.candidates.len();
        let mut call_usage = None;
        for (turn, body) in call.as_ref().iter().enumerate() {
            let response: GenerateResponse =
                json::read(body.as_ref()).map_err(|_| failed(SoftFailure::Malformed))?;
            if response.error.is_some() {
                return Err(failed(SoftFailure::Malformed));
            }
            if let Some(usage) = response.usage_metadata.as_ref().map(Usage::from) {
                call_usage = Some(call_usage.map_or(usage, |before: Usage| before.resumed_by(usage)));
            }
            reader
                .body(response, turn > 0, from)
                .map_err(|reason| AnswerError { reason, usage: call_usage.unwrap_or_default() })?;
        }
        total = match (total, call_usage) {
            (Some(before), Some(usage)) => Some(before.plus(usage)),
            (before, usage) => before.or(usage),
        };
    }
    let Reader { mut candidates, head, ids, .. } = reader;
    let numbered = calls.len() > 1;
    for (place, candidate) in (0..).zip(&mut candidates) {
        if numbered {
            candidate.state.index = place;
        }
        candidate.state.may_be_empty |= resumed;
    }
    Ok(Buffered { head: head.unwrap_or_default(), candidates, usage: total, ids })
}

struct Reader<'a, 'p> {
    candidates: Vec<BufferedCandidate<'a>>,
    head: Option<Head<'a>>,
    context: &'a ResponseContext,
    ids: Ids,
    id_prefix: &'p str,
}

impl<'a> Reader<'a, '_> {
    /// Adds a body to the candidates of its call, which begin at `from`.
    fn body(
        &mut self,
        response: GenerateResponse<'a>,
        resumed: bool,
        from: usize,
    ) -> Result<(), SoftFailure> {
        if self.head.is_none() {
            let usage = response.usage_metadata;
            let id = response.response_id.map(RawText::decode);
            self.head = Some(Head {
                id: self.ids.response(self.id_prefix, id.as_deref()),
                service_tier: usage.and_then(|usage| usage.service_tier).map(|tier| tier.0),
                model_version: response.model_version.map(RawText::decode),
            });
        }
        if response.candidates.is_empty() {
            let blocked = response.prompt_feedback.as_ref().and_then(PromptBlock::of).filter(|_| !resumed);
            let block = Some(blocked.ok_or(SoftFailure::Empty)?);
            self.candidates.push(BufferedCandidate { block, ..BufferedCandidate::new(0, self.context) });
            return Ok(());
        }
        let mut candidates = response.candidates;
        candidates.sort_by_key(|candidate| candidate.index.unwrap_or(0));
        for candidate in candidates {
            let index = candidate.index.unwrap_or(0);
            let mut known = self.candidates.iter_mut().skip(from);
            if let Some(known) = known.find(|known| resumed && known.state.index == index) {
                known.state.resume();
                known.read(candidate, true, self.context, &mut self.ids);
            } else {
                let mut new = BufferedCandidate::new(index, self.context);
                new.read(candidate, false, self.context, &mut self.ids);
                self.candidates.push(new);
            }
        }
        Ok(())
    }
}

impl<'a> BufferedCandidate<'a> {
    fn new(index: u32, context: &ResponseContext) -> Self {
        Self {
            state: CandidateState::new(index, context),
            text: None,
            thoughts: None,
            calls: Vec::new(),
            images: Vec::new(),
            logprobs: None,
            audio: Vec::new(),
            block: None,
        }
    }

    fn read(&mut self, candidate: Candidate<'a>, resumed: bool, context: &'a ResponseContext, ids: &mut Ids) {
        self.state.read_metadata(&candidate, context);
        if let Some(more) = logprobs(candidate.logprobs_result) {
            self.logprobs.get_or_insert_default().extend(more);
        }
        for part in candidate.content.unwrap_or_default().parts {
            match self.state.read(part, resumed, context, ids) {
                None => {}
                Some(Piece::Text(text)) => append(&mut self.text, text),
                Some(Piece::Thought(text)) => append(&mut self.thoughts, text),
                Some(Piece::Call(call)) => self.calls.push(call),
                Some(Piece::Image(image)) => self.images.push(image),
                Some(Piece::Audio(blob)) => self.audio.push(blob),
            }
        }
    }

    /// Takes the audio as one base64 text, in the client's format.
    pub(crate) fn take_audio(&mut self, context: &ResponseContext) -> Option<Cow<'a, str>> {
        speech::deliver(std::mem::take(&mut self.audio), context.audio_format)
    }

    /// Completes the content when all bodies are read, and returns what is beside it.
    pub(crate) fn finish(&mut self, context: &ResponseContext) -> (Extras, End) {
        if let Some(PromptBlock { refusal, reason }) = self.block.take() {
            let (native, refusal) = (Some(reason), Some(refusal));
            let ending = Ending { reason: super::finish::FinishReason::ContentFilter, native, refusal };
            return (Extras::default(), End::Refused(ending));
        }
        if context.json {
            self.text = self.text.take().map(|text| as_declared(unfenced(text), context));
        }
        self.calls.extend(self.state.calls.take(context));
        let extras = self.state.take_extras();
        let end = match self.state.ending() {
            Some(ending) if ending.refusal.is_some() => End::Refused(ending),
            Some(ending) => End::Complete(ending),
            None => {
                let native = self.state.finish_reason().map(ToOwned::to_owned);
                let failure = SoftFailure::without_content(native.as_deref());
                End::Unusable(failure, Ending::without_content(native))
            }
        };
        (extras, end)
    }
}

/// Removes the Markdown fence around a JSON text.
pub(crate) fn unfenced(fragment: Fragment<'_>) -> Fragment<'_> {
    let text = fragment.text();
    let inside = without_fence(&text);
    if inside.len() == text.len() { fragment } else { Fragment::Text(Cow::Owned(inside.to_owned())) }
}

/// Returns a JSON text in the form that the client declared, where the schema was changed for Gemini.
pub(crate) fn as_declared<'a>(text: Fragment<'a>, context: &ResponseContext) -> Fragment<'a> {
    if context.json_shape == Shape::Same {
        return text;
    }
    match answer_to_client(&context.json_shape, &text.text()) {
        Cow::Owned(turned) => Fragment::Text(Cow::Owned(turned)),
        Cow::Borrowed(_) => text,
    }
}

fn append<'a>(to: &mut Option<Fragment<'a>>, fragment: Fragment<'a>) {
    *to = Some(match to.take() {
        None => fragment,
        Some(before) => {
            let mut text = before.into_text().into_owned();
            text.push_str(&fragment.text());
            Fragment::Text(text.into())
        }
    });
}
