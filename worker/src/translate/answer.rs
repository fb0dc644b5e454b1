//! A whole answer.
//!
//! In: the body of a 200 from `:generateContent`. Out: a chat completion, or the verdict that the body holds no answer, so
//! that another attempt may be made. A block is an answer; nothing at all is none.

use std::borrow::Cow;

use http::StatusCode;

use super::fence::without_fence;
use super::ids::{Envelope, Ids};
use super::logprobs::logprobs;
use super::piece::{ChoiceState, Piece};
use super::request::{CallStyle, ResponseContext};
use super::speech;
use super::usage::Usage;
use crate::gemini::{Candidate, GenerateResponse, PromptFeedback};
use crate::openai::{ApiError, AudioAnswer, ChatCompletion, Choice, Fragment, MessageAnswer, Text};

/// A translated answer.
#[derive(Debug, Clone)]
pub struct ChatAnswer {
    /// JSON.
    pub body: Vec<u8>,
    /// What it took.
    pub usage: Usage,
    /// Whether anything was said.
    pub outcome: Outcome,
}

/// How a delivered answer turned out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Something was said.
    Delivered,
    /// Gemini's filters let nothing through.
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
                _ => "unusable_response",
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

/// Translates an answer.
///
/// # Errors
/// When it holds nothing that could be delivered.
pub fn chat_response(
    body: &[u8],
    context: &ResponseContext,
    envelope: &Envelope,
) -> Result<ChatAnswer, AnswerError> {
    let malformed = || AnswerError { reason: SoftFailure::Malformed, usage: Usage::default() };
    let response: GenerateResponse = serde_json::from_slice(body).map_err(|_| malformed())?;
    if response.error.is_some() {
        return Err(malformed());
    }
    let counted = response.usage_metadata.as_ref().map(Usage::from);
    let usage = counted.unwrap_or_default();
    let failed = |reason| AnswerError { reason, usage };
    let mut ids = Ids::new(envelope.seed);
    let id = ids.completion(response.response_id.as_deref());
    let (choices, outcome) = if response.candidates.is_empty() {
        let blocked = response.prompt_feedback.as_ref().and_then(blocked_choice);
        (vec![blocked.ok_or_else(|| failed(SoftFailure::Empty))?], Outcome::Blocked)
    } else {
        choices(response.candidates, context, envelope, &mut ids).map_err(failed)?
    };
    let tier = response.usage_metadata.as_ref().and_then(|usage| usage.service_tier.as_deref());
    let completion = ChatCompletion {
        id: &id,
        object: "chat.completion",
        created: envelope.created_s,
        model: envelope.model.shown(response.model_version.as_deref()),
        choices,
        usage: counted.map(Usage::body),
        service_tier: tier.and_then(service_tier),
    };
    let body = serde_json::to_vec(&completion).map_err(|_| malformed())?;
    Ok(ChatAnswer { body, usage, outcome })
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
pub(super) fn block(feedback: &PromptFeedback<'_>) -> Option<(String, String)> {
    let reason = feedback.block_reason.as_deref().filter(|reason| !reason.is_empty())?;
    let mut refusal = format!("Prompt blocked by Gemini: {reason}");
    if let Some(message) = feedback.block_reason_message.as_deref().filter(|message| !message.is_empty()) {
        refusal.push_str(". ");
        refusal.push_str(message);
    }
    Some((refusal, reason.to_owned()))
}

fn blocked_choice<'a>(feedback: &PromptFeedback<'_>) -> Option<Choice<'a>> {
    let (refusal, reason) = block(feedback)?;
    Some(Choice {
        index: 0,
        message: MessageAnswer {
            role: "assistant",
            refusal: Some(Cow::Owned(refusal)),
            ..MessageAnswer::default()
        },
        logprobs: None,
        finish_reason: "content_filter",
        native_finish_reason: Some(Cow::Owned(reason)),
    })
}

fn choices<'a>(
    mut candidates: Vec<Candidate<'a>>,
    context: &'a ResponseContext,
    envelope: &Envelope,
    ids: &mut Ids,
) -> Result<(Vec<Choice<'a>>, Outcome), SoftFailure> {
    candidates.sort_by_key(|candidate| candidate.index.unwrap_or(0));
    let mut choices = Vec::with_capacity(candidates.len());
    let mut outcome = Outcome::Blocked;
    let mut unusable = Vec::new();
    for candidate in candidates {
        let mut state = ChoiceState::new(candidate.index.unwrap_or(0));
        state.note(&candidate);
        let logprobs = logprobs(candidate.logprobs_result);
        let mut message = message(candidate, &mut state, context, envelope, ids);
        let Some(ending) = state.ending(context) else {
            unusable.push(state.native_finish.map_or(SoftFailure::Empty, SoftFailure::Finish));
            continue;
        };
        if ending.refusal.is_none() {
            outcome = Outcome::Delivered;
        }
        if message.content.is_none() && !state.said.anything() && ending.refusal.is_none() {
            message.content = Some(Cow::Borrowed(""));
        }
        message.refusal = ending.refusal.map(Cow::Owned);
        choices.push(Choice {
            index: state.index,
            message,
            logprobs,
            finish_reason: ending.reason,
            native_finish_reason: ending.native.map(Cow::Owned),
        });
    }
    match unusable.into_iter().next() {
        Some(failure) if choices.is_empty() => Err(failure),
        _ => Ok((choices, outcome)),
    }
}

/// Seconds that OpenAI keeps speech for; ours is in the message itself and lasts.
const AUDIO_LASTS_S: u64 = 3600;

fn message<'a>(
    candidate: Candidate<'a>,
    state: &mut ChoiceState,
    context: &'a ResponseContext,
    envelope: &Envelope,
    ids: &mut Ids,
) -> MessageAnswer<'a> {
    let mut message = MessageAnswer { role: "assistant", ..MessageAnswer::default() };
    let mut sound = Vec::new();
    for part in candidate.content.unwrap_or_default().parts {
        match state.read(part, false, context, ids) {
            None => {}
            Some(Piece::Text(text)) => append(&mut message.content, text),
            Some(Piece::Thought(text)) => append(&mut message.reasoning_content, text),
            Some(Piece::Call(call)) if context.calls == CallStyle::Function => {
                message.function_call = call.function;
            }
            Some(Piece::Call(mut call)) => {
                call.index = None;
                message.tool_calls.push(call);
            }
            Some(Piece::Image(image)) => message.images.push(image),
            Some(Piece::Audio(blob)) => sound.push(blob),
        }
    }
    if let Some(data) = speech::deliver(sound, context.audio_format) {
        message.audio = Some(AudioAnswer {
            id: Cow::Owned(ids.next("audio_")),
            data: Some(data),
            expires_at: Some(envelope.created_s + AUDIO_LASTS_S),
            transcript: Some(Cow::Borrowed("")),
        });
    }
    if context.json {
        message.content = message.content.take().map(unfenced);
    }
    let (annotations, extra) = state.take_rest();
    message.annotations = annotations;
    message.extra_content = extra.into_content();
    message
}

fn unfenced(text: Cow<'_, str>) -> Cow<'_, str> {
    let inside = without_fence(&text);
    if inside.len() == text.len() { text } else { Cow::Owned(inside.to_owned()) }
}

fn append<'a>(to: &mut Option<Cow<'a, str>>, fragment: Fragment<'a>) {
    let text = match fragment {
        Fragment::Raw(raw) => serde_json::from_str::<Text>(raw.get()).unwrap_or_default().0,
        Fragment::Text(text) => text,
    };
    *to.get_or_insert_default() += text;
}
