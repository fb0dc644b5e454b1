//! A whole answer.
//!
//! In: the body of a 200 from `:generateContent`. Out: a chat completion, or the verdict that the body holds no answer, so
//! that another attempt may be made. A block is an answer; nothing at all is none.

use std::borrow::Cow;

use http::StatusCode;

use crate::answer::code_fence::without_fence;
use crate::answer::ids::{Envelope, Ids};
use crate::answer::logprobs::logprobs;
use crate::answer::piece::{ChoiceState, Piece};
use crate::answer::speech;
use crate::answer::usage::Usage;
use crate::gemini::{AnsweredBlob, Candidate, GenerateResponse, PromptFeedback};
use crate::json::{self, Fragment, RawText};
use crate::openai::{ApiError, AudioAnswer, ChatCompletion, Choice, LogProbs, MessageAnswer, ToolCallAnswer};
use crate::request::call::{CallStyle, ResponseContext};
use crate::request::schema::{Shape, answer_to_client};
use crate::request::signatures::CallSignature;

/// A translated answer.
#[derive(Debug, Clone, Default)]
pub struct ChatAnswer {
    /// JSON.
    pub body: Vec<u8>,
    /// What it took.
    pub usage: Usage,
    /// Whether anything was said.
    pub outcome: Outcome,
    /// What the caller may be told instead of this answer when Gemini blocked the prompt.
    pub prompt_block: Option<String>,
    /// Whether the limit of output tokens was reached before anything was said.
    pub spent_on_thoughts: bool,
    /// Set when the answer was cut by the limit of one call: [`crate::resumed_body`] makes the body that goes on.
    pub continuation: Option<String>,
    /// Signatures of the calls in it, for [`crate::SignatureCache`].
    pub signatures: Vec<CallSignature>,
    /// The model that Gemini says has answered.
    pub model_version: Option<String>,
}

/// How a delivered answer turned out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Outcome {
    /// Something was said.
    Delivered,
    /// Gemini's filters let nothing through.
    #[default]
    Blocked,
}

/// A 200 that holds nothing usable. Asking once more, with any key, may help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct AnswerError {
    /// What is wrong.
    pub reason: SoftFailure,
    /// What it took nevertheless.
    pub usage: Usage,
}

impl SoftFailure {
    /// Nothing came, and this is Gemini's `finishReason`.
    pub(crate) fn nothing(native_finish: Option<&str>) -> Self {
        match native_finish {
            None | Some("" | "STOP" | "FINISH_REASON_UNSPECIFIED") => Self::Empty,
            Some(reason) => Self::Finish(reason.to_owned()),
        }
    }
}

/// What can be wrong with an answer of status 200.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SoftFailure {
    /// It is not what Gemini answers with.
    #[error("The upstream answer could not be read.")]
    Malformed,
    /// It says nothing and does not say why.
    #[error("The upstream answer was empty.")]
    Empty,
    /// It says nothing, for this `finishReason`.
    #[error("The model ended without a usable answer: {0}.")]
    Finish(String),
}

impl From<&SoftFailure> for ApiError {
    fn from(failure: &SoftFailure) -> Self {
        let code = match failure {
            SoftFailure::Malformed => "invalid_upstream_response",
            SoftFailure::Empty => "empty_response",
            SoftFailure::Finish(reason) => match reason.as_str() {
                "MALFORMED_FUNCTION_CALL"
                | "UNEXPECTED_TOOL_CALL"
                | "TOO_MANY_TOOL_CALLS"
                | "MALFORMED_RESPONSE" => "malformed_function_call",
                "MISSING_THOUGHT_SIGNATURE" => "missing_thought_signature",
                // A reason that is not known says no more than that nothing came.
                _ => "empty_response",
            },
        };
        ApiError::server(StatusCode::BAD_GATEWAY, code, failure.to_string())
    }
}

impl From<AnswerError> for ApiError {
    fn from(error: AnswerError) -> Self {
        Self::from(&error.reason)
    }
}

/// Translates the answer of one call.
///
/// # Errors
/// When it holds nothing that could be delivered.
pub fn chat_response(
    body: &[u8],
    context: &ResponseContext,
    envelope: &Envelope,
) -> Result<ChatAnswer, AnswerError> {
    responses(&[[body].as_slice()], context, envelope, false)
}

/// Translates the answer of a call that goes on with another one ([`ChatAnswer::continuation`]). It may be empty: what
/// was said before is the answer then.
///
/// # Errors
/// When it holds nothing that could be delivered.
pub fn resumed_response(
    body: &[u8],
    context: &ResponseContext,
    envelope: &Envelope,
) -> Result<ChatAnswer, AnswerError> {
    responses(&[[body].as_slice()], context, envelope, true)
}

/// Translates the answers of several calls as one: those of a request for several choices
/// ([`crate::GeminiCall::copies`]), each of which may consist of an answer and those that went on with it
/// ([`ChatAnswer::continuation`]).
///
/// # Errors
/// When one of the calls holds nothing that could be delivered.
pub fn chat_responses<B: AsRef<[u8]>, C: AsRef<[B]>>(
    calls: &[C],
    context: &ResponseContext,
    envelope: &Envelope,
) -> Result<ChatAnswer, AnswerError> {
    responses(calls, context, envelope, false)
}

fn responses<B: AsRef<[u8]>, C: AsRef<[B]>>(
    calls: &[C],
    context: &ResponseContext,
    envelope: &Envelope,
    resumed: bool,
) -> Result<ChatAnswer, AnswerError> {
    let mut ids = Ids::new(envelope.seed);
    let mut gathered: Vec<GatheredChoice<'_>> = Vec::new();
    let mut counted: Option<Usage> = None;
    let mut first: Option<Head<'_>> = None;
    for call in calls {
        let failed = |reason| AnswerError { reason, usage: counted.unwrap_or_default() };
        let from = gathered.len();
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
            gather(response, turn > 0, from, &mut gathered, &mut first, context, &mut ids)
                .map_err(|reason| AnswerError { reason, usage: call_usage.unwrap_or_default() })?;
        }
        counted = match (counted, call_usage) {
            (Some(before), Some(usage)) => Some(before.plus(usage)),
            (before, usage) => before.or(usage),
        };
    }
    let numbered = calls.len() > 1;
    let length: usize = calls.iter().flat_map(AsRef::as_ref).map(|body| body.as_ref().len()).sum();
    let usage = counted.unwrap_or_default();
    let mut answer = ChatAnswer {
        body: Vec::with_capacity(length),
        usage,
        outcome: Outcome::Blocked,
        prompt_block: None,
        spent_on_thoughts: false,
        continuation: None,
        signatures: Vec::new(),
        model_version: None,
    };
    let lone = gathered.len() == 1;
    let mut choices = Vec::with_capacity(gathered.len());
    let mut unusable = None;
    let mut refused = false;
    for (place, mut choice) in (0..).zip(gathered) {
        if numbered {
            choice.state.index = place;
        }
        choice.state.may_be_empty |= resumed;
        answer.spent_on_thoughts |= choice.state.is_spent_on_thoughts();
        if lone {
            answer.continuation = choice.state.continuation();
        }
        answer.signatures.append(&mut choice.state.signatures);
        if let Some((refusal, _)) = &choice.blocked {
            answer.prompt_block = Some(refusal.clone());
        }
        match choice.end(context, envelope, &mut ids) {
            Ended::Said(choice) => {
                answer.outcome = Outcome::Delivered;
                choices.push(choice);
            }
            Ended::Refused(choice) => {
                refused = true;
                choices.push(choice);
            }
            Ended::Unusable(reason, choice) => {
                unusable = unusable.or(Some(reason));
                choices.push(choice);
            }
        }
    }
    if let Some(reason) = unusable.filter(|_| answer.outcome == Outcome::Blocked && !refused) {
        return Err(AnswerError { reason, usage });
    }
    let head = first.unwrap_or_default();
    let completion = ChatCompletion {
        id: &head.id,
        object: "chat.completion",
        created: envelope.created_s,
        model: envelope.model.shown(head.model_version.as_deref()),
        choices,
        usage: counted.map(Usage::body),
        service_tier: head.service_tier,
    };
    serde_json::to_writer(&mut answer.body, &completion)
        .map_err(|_| AnswerError { reason: SoftFailure::Malformed, usage })?;
    answer.model_version = head.model_version.map(Cow::into_owned);
    Ok(answer)
}

/// What the first body says about the answer as a whole.
#[derive(Default)]
struct Head<'a> {
    id: String,
    model_version: Option<Cow<'a, str>>,
    service_tier: Option<Cow<'static, str>>,
}

/// Adds a body to the choices of its call, which begin at `from`.
fn gather<'a>(
    response: GenerateResponse<'a>,
    resumed: bool,
    from: usize,
    gathered: &mut Vec<GatheredChoice<'a>>,
    first: &mut Option<Head<'a>>,
    context: &'a ResponseContext,
    ids: &mut Ids,
) -> Result<(), SoftFailure> {
    if first.is_none() {
        let tier = response.usage_metadata.as_ref().and_then(|usage| usage.service_tier.as_deref());
        *first = Some(Head {
            id: ids.completion(response.response_id.map(RawText::decode).as_deref()),
            service_tier: tier.and_then(service_tier),
            model_version: response.model_version.map(RawText::decode),
        });
    }
    if response.candidates.is_empty() {
        let blocked = response.prompt_feedback.as_ref().and_then(block).filter(|_| !resumed);
        gathered.push(GatheredChoice::blocked(blocked.ok_or(SoftFailure::Empty)?, context));
        return Ok(());
    }
    let mut candidates = response.candidates;
    candidates.sort_by_key(|candidate| candidate.index.unwrap_or(0));
    for candidate in candidates {
        let index = candidate.index.unwrap_or(0);
        let known = gathered.iter_mut().skip(from).find(|choice| resumed && choice.state.index == index);
        if let Some(choice) = known {
            choice.state.resume();
            choice.add(candidate, true, context, ids);
        } else {
            let mut choice = GatheredChoice::new(index, context);
            choice.add(candidate, false, context, ids);
            gathered.push(choice);
        }
    }
    Ok(())
}

/// Gemini's tier in OpenAI's words.
fn service_tier(tier: &str) -> Option<Cow<'static, str>> {
    match tier.to_ascii_lowercase().as_str() {
        "standard" => Some("default".into()),
        "flex" => Some("flex".into()),
        "priority" => Some("priority".into()),
        _ => None,
    }
}

/// What to say about a prompt that was blocked, and Gemini's reason.
pub(crate) fn block(feedback: &PromptFeedback<'_>) -> Option<(String, String)> {
    let reason = feedback.block_reason.as_deref().filter(|reason| !reason.is_empty())?;
    let mut refusal = format!("Prompt blocked by Gemini: {reason}");
    if let Some(message) = feedback.block_reason_message.as_deref().filter(|message| !message.is_empty()) {
        refusal.push_str(". ");
        refusal.push_str(message);
    }
    Some((refusal, reason.to_owned()))
}

/// One choice, put together from one or several bodies.
struct GatheredChoice<'a> {
    state: ChoiceState,
    message: MessageAnswer<'a>,
    sound: Vec<AnsweredBlob<'a>>,
    logprobs: Option<LogProbs<'a>>,
    /// The refusal of a blocked prompt, and Gemini's reason.
    blocked: Option<(String, String)>,
}

/// What became of a choice.
enum Ended<'a> {
    Said(Choice<'a>),
    Refused(Choice<'a>),
    /// Nothing; the choice is for the case that others said something.
    Unusable(SoftFailure, Choice<'a>),
}

impl<'a> GatheredChoice<'a> {
    fn new(index: u32, context: &ResponseContext) -> Self {
        let message = MessageAnswer { role: "assistant", ..MessageAnswer::default() };
        Self {
            state: ChoiceState::new(index, context),
            message,
            sound: Vec::new(),
            logprobs: None,
            blocked: None,
        }
    }

    fn blocked(refusal: (String, String), context: &ResponseContext) -> Self {
        Self { blocked: Some(refusal), ..Self::new(0, context) }
    }

    fn add(&mut self, candidate: Candidate<'a>, resumed: bool, context: &'a ResponseContext, ids: &mut Ids) {
        self.state.note(&candidate, context);
        if let Some(more) = logprobs(candidate.logprobs_result) {
            match &mut self.logprobs {
                Some(known) => known.content.extend(more.content),
                None => self.logprobs = Some(more),
            }
        }
        let message = &mut self.message;
        for part in candidate.content.unwrap_or_default().parts {
            match self.state.read(part, resumed, context, ids) {
                None => {}
                Some(Piece::Text(text)) => append(&mut message.content, text),
                Some(Piece::Thought(text)) => append(&mut message.reasoning_content, text),
                Some(Piece::Call(call)) => add_call(message, call, context),
                Some(Piece::Image(image)) => message.images.push(image),
                Some(Piece::Audio(blob)) => self.sound.push(blob),
            }
        }
    }

    fn end(mut self, context: &ResponseContext, envelope: &Envelope, ids: &mut Ids) -> Ended<'a> {
        if let Some((refusal, reason)) = self.blocked.take() {
            return Ended::Refused(self.choice("content_filter", Some(reason), Some(refusal)));
        }
        if let Some(data) = speech::deliver(std::mem::take(&mut self.sound), context.audio_format) {
            self.message.audio = Some(AudioAnswer {
                id: Cow::Owned(ids.next("audio_")),
                data: Some(data),
                expires_at: Some(envelope.created_s + speech::LASTS_S),
                transcript: Some(Cow::Borrowed("")),
            });
        }
        if context.json {
            self.message.content =
                self.message.content.take().map(|text| as_declared(unfenced(text), context));
        }
        if let Some(call) = self.state.take_call(context) {
            add_call(&mut self.message, call, context);
        }
        let (annotations, extra) = self.state.take_rest();
        self.message.annotations = annotations;
        self.message.extra_content = extra.into_content();
        let Some(ending) = self.state.ending(context) else {
            let native = self.state.finish_reason().map(ToOwned::to_owned);
            let reason = SoftFailure::nothing(native.as_deref());
            let native = native.filter(|native| native != "STOP");
            return Ended::Unusable(reason, self.choice("stop", native, None));
        };
        let refused = ending.refusal.is_some();
        let choice = self.choice(ending.reason, ending.native, ending.refusal);
        if refused { Ended::Refused(choice) } else { Ended::Said(choice) }
    }

    fn choice(
        self,
        finish_reason: &'static str,
        native: Option<String>,
        refusal: Option<String>,
    ) -> Choice<'a> {
        let Self { state, mut message, logprobs, .. } = self;
        if message.content.is_none() && !state.said.anything() && refusal.is_none() {
            message.content = Some(Fragment::Text(Cow::Borrowed("")));
        }
        message.refusal = refusal.map(Cow::Owned);
        let native_finish_reason = native.map(Cow::Owned);
        Choice { index: state.index, message, logprobs, finish_reason, native_finish_reason }
    }
}

pub(crate) fn unfenced(fragment: Fragment<'_>) -> Fragment<'_> {
    let text = fragment.text();
    let inside = without_fence(&text);
    if inside.len() == text.len() { fragment } else { Fragment::Text(Cow::Owned(inside.to_owned())) }
}

/// A JSON answer as the caller has declared it, where Gemini was told another form.
pub(crate) fn as_declared<'a>(text: Fragment<'a>, context: &ResponseContext) -> Fragment<'a> {
    if context.json_shape == Shape::Same {
        return text;
    }
    match answer_to_client(&context.json_shape, &text.text()) {
        Cow::Owned(turned) => Fragment::Text(Cow::Owned(turned)),
        Cow::Borrowed(_) => text,
    }
}

fn add_call<'a>(message: &mut MessageAnswer<'a>, mut call: ToolCallAnswer<'a>, context: &ResponseContext) {
    if context.calls == CallStyle::Function {
        message.function_call = call.function;
    } else {
        call.index = None;
        message.tool_calls.push(call);
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
