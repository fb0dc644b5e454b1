//! Buffered responses as `chat.completion` documents.

use std::borrow::Cow;

use super::parts;
use crate::answer::buffered::{self, Buffered, BufferedCandidate, End};
use crate::answer::calls::Call;
use crate::answer::candidate::{Ending, Extras};
use crate::answer::failure::{AnswerError, Outcome, SoftFailure};
use crate::answer::ids::{Envelope, Ids};
use crate::answer::speech;
use crate::answer::usage::Usage;
use crate::json::Fragment;
use crate::openai::{AudioAnswer, ChatCompletion, Choice, MessageAnswer};
use crate::request::call::{CallStyle, ResponseContext};
use crate::request::signatures::CallSignature;

/// A converted response.
#[derive(Debug, Clone, Default)]
pub struct ChatAnswer {
    /// JSON.
    pub body: Vec<u8>,
    /// Token counts.
    pub usage: Usage,
    /// Whether there is content.
    pub outcome: Outcome,
    /// What the client may receive instead of this response when Gemini blocked the prompt.
    pub prompt_block: Option<String>,
    /// Whether the output token limit was reached before any content.
    pub spent_on_thoughts: bool,
    /// Set when the response was truncated by the limit of one call: [`crate::resumed_body`] makes the
    /// body that continues it.
    pub continuation: Option<String>,
    /// Signatures of the calls in it, for [`crate::SignatureCache`].
    pub signatures: Vec<CallSignature>,
    /// The model version that Gemini reports.
    pub model_version: Option<String>,
}

/// Converts the response of one call.
///
/// # Errors
/// If it holds nothing that could be delivered.
pub fn chat_response(
    body: &[u8],
    context: &ResponseContext,
    envelope: &Envelope,
) -> Result<ChatAnswer, AnswerError> {
    responses(&[[body].as_slice()], context, envelope, false)
}

/// Converts the response of a call that continues another one ([`ChatAnswer::continuation`]). It may be
/// empty: the response is what came before, then.
///
/// # Errors
/// If it holds nothing that could be delivered.
pub fn resumed_response(
    body: &[u8],
    context: &ResponseContext,
    envelope: &Envelope,
) -> Result<ChatAnswer, AnswerError> {
    responses(&[[body].as_slice()], context, envelope, true)
}

/// Converts the responses of several calls to one: those of a request for several choices
/// ([`crate::GeminiCall::copies`]), each of which may consist of a response and its continuations
/// ([`ChatAnswer::continuation`]).
///
/// # Errors
/// If one of the calls holds nothing that could be delivered.
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
    let ids = Ids::new(envelope.seed);
    let Buffered { head, candidates, usage, mut ids } =
        buffered::read(calls, context, ids, parts::ID_PREFIX, resumed)?;
    let length: usize = calls.iter().flat_map(AsRef::as_ref).map(|body| body.as_ref().len()).sum();
    let mut answer = ChatAnswer {
        body: Vec::with_capacity(length),
        usage: usage.unwrap_or_default(),
        ..ChatAnswer::default()
    };
    let lone = candidates.len() == 1;
    let mut choices = Vec::with_capacity(candidates.len());
    let mut unusable = None;
    let mut is_refused = false;
    for mut candidate in candidates {
        answer.spent_on_thoughts |= candidate.state.is_spent_on_thoughts();
        if lone {
            answer.continuation = candidate.state.continuation();
        }
        answer.signatures.append(&mut candidate.state.calls.take_signatures());
        if let Some(block) = &candidate.block {
            answer.prompt_block = Some(block.refusal.clone());
        }
        let audio = audio(&mut candidate, context, envelope, &mut ids);
        let (extras, end) = candidate.finish(context);
        let ending = match end {
            End::Complete(ending) => {
                answer.outcome = Outcome::Delivered;
                ending
            }
            End::Refused(ending) => {
                is_refused = true;
                ending
            }
            End::Unusable(failure, ending) => {
                unusable = unusable.or(Some(failure));
                ending
            }
        };
        choices.push(choice(candidate, audio, extras, ending, context));
    }
    if let Some(reason) = unusable.filter(|_| answer.outcome == Outcome::Blocked && !is_refused) {
        return Err(AnswerError { reason, usage: answer.usage });
    }
    let completion = ChatCompletion {
        id: &head.id,
        object: "chat.completion",
        created: envelope.created_s,
        model: envelope.model.shown(head.model_version.as_deref()),
        choices,
        usage: usage.map(parts::usage),
        service_tier: head.service_tier.as_deref().and_then(service_tier),
    };
    serde_json::to_writer(&mut answer.body, &completion)
        .map_err(|_| AnswerError { reason: SoftFailure::Malformed, usage: answer.usage })?;
    answer.model_version = head.model_version.map(Cow::into_owned);
    Ok(answer)
}

/// Returns OpenAI's name of a service tier of Gemini.
fn service_tier(tier: &str) -> Option<Cow<'static, str>> {
    match tier.to_ascii_lowercase().as_str() {
        "standard" => Some("default".into()),
        "flex" => Some("flex".into()),
        "priority" => Some("priority".into()),
        _ => None,
    }
}

fn audio<'a>(
    candidate: &mut BufferedCandidate<'a>,
    context: &ResponseContext,
    envelope: &Envelope,
    ids: &mut Ids,
) -> Option<AudioAnswer<'a>> {
    let data = candidate.take_audio(context)?;
    Some(AudioAnswer {
        id: Cow::Owned(ids.next("audio_")),
        data: Some(data),
        expires_at: Some(envelope.created_s + speech::LASTS_S),
        transcript: Some(Cow::Borrowed("")),
    })
}

fn choice<'a>(
    candidate: BufferedCandidate<'a>,
    audio: Option<AudioAnswer<'a>>,
    extras: Extras,
    ending: Ending,
    context: &ResponseContext,
) -> Choice<'a> {
    let BufferedCandidate { state, mut text, thoughts, calls, images, logprobs, .. } = candidate;
    if text.is_none() && !state.content.any() && ending.refusal.is_none() {
        text = Some(Fragment::Text(Cow::Borrowed("")));
    }
    let (annotations, extra) = parts::extras(extras);
    let mut message = MessageAnswer {
        role: "assistant",
        content: text,
        refusal: ending.refusal.map(Cow::Owned),
        reasoning_content: thoughts,
        images: images.into_iter().map(parts::image).collect(),
        audio,
        annotations,
        extra_content: extra.into_content(),
        ..MessageAnswer::default()
    };
    for call in calls {
        add_call(&mut message, call, context);
    }
    Choice {
        index: state.index,
        message,
        logprobs: logprobs.map(parts::logprobs),
        finish_reason: parts::finish_reason(ending.reason, context),
        native_finish_reason: ending.native.map(Cow::Owned),
    }
}

fn add_call(message: &mut MessageAnswer<'_>, call: Call, context: &ResponseContext) {
    let mut call = parts::call(call);
    if context.calls == CallStyle::Function {
        message.function_call = call.function;
    } else {
        call.index = None;
        message.tool_calls.push(call);
    }
}
