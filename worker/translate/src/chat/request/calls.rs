//! Tool calls and tool results of the history.
//!
//! Gemini requires that a turn with calls is followed by one turn with as many results, in the same
//! order. A result without a call becomes text of the user.

mod pairing;

use serde_json::value::RawValue;
use std::borrow::Cow;

use super::call_signatures;
use crate::chat::request::messages::{Scope, content_part, plain_text};
use crate::error::ApiError;
use crate::gemini::{FunctionCall, FunctionResponse, FunctionResponsePart, Part, PartData};
use crate::json::Text;
use crate::openai::{CalledFunction, ContentPart, Message, MessageContent, ToolCall, said};
use crate::request::signatures::{self, split_id};
use crate::request::{arguments, results, words};
use pairing::{By, pair};

/// One call of a message.
#[derive(Debug)]
pub(crate) struct Call<'r> {
    /// As the client knows it, without what `LiteLLM` appends to it.
    pub(crate) id: Option<&'r str>,
    pub(crate) name: &'r str,
    pub(crate) args: CallArgs<'r>,
    pub(crate) source: Option<&'r ToolCall<'r>>,
    /// Signature that `LiteLLM` has appended to the id.
    pub(crate) id_signature: Option<&'r str>,
}

/// What a call is called with.
#[derive(Debug)]
pub(crate) enum CallArgs<'r> {
    Function(&'r CalledFunction<'r>),
    Custom(&'r str),
    /// As JSON, and no more is known.
    Raw(Option<&'r RawValue>),
}

impl<'r> CallArgs<'r> {
    /// Returns the arguments as JSON, or the text of a tool of free text.
    fn raw(&self) -> Result<Option<&'r RawValue>, &'r str> {
        match self {
            Self::Function(function) => Ok(function.arguments),
            Self::Raw(raw) => Ok(*raw),
            Self::Custom(input) => Err(input),
        }
    }
}

/// The calls of one assistant's message, and which message answers each.
#[derive(Debug)]
pub(crate) struct CallSite<'r> {
    message: usize,
    pub(crate) calls: Vec<Call<'r>>,
    results: Vec<Option<usize>>,
}

/// All calls of a conversation.
#[derive(Debug)]
pub(crate) struct History<'r> {
    /// By message.
    sites: Vec<CallSite<'r>>,
    /// By message: what its result was matched by.
    matched: Vec<Option<By>>,
}

impl<'r> History<'r> {
    /// Finds the call of every tool's message.
    pub(crate) fn of(messages: &'r [Message<'r>]) -> Self {
        let (sites, matched) = pair(messages);
        Self { sites, matched }
    }

    /// Rejects what OpenAI rejects: calls that no message answers right after them, and answers to no call.
    pub(crate) fn check(&self, messages: &[Message<'_>]) -> Result<(), ApiError> {
        let refused = |index: usize, message: String| {
            let error = ApiError::invalid_value(&format!("messages.[{index}].role"), message);
            Err(ApiError { code: None, ..error })
        };
        for site in &self.sites {
            let follows = |result: &usize| {
                let between = messages.get(site.message + 1..=*result);
                let right_after =
                    between.is_some_and(|between| between.iter().all(|message| &*message.role == "tool"));
                right_after && !self.is_guessed(*result, messages)
            };
            let calls = site.calls.iter().zip(&site.results);
            let unanswered: Vec<&str> = calls
                .filter(|(call, result)| {
                    (call.source.is_some() || call.id.is_some()) && !result.as_ref().is_some_and(follows)
                })
                .map(|(call, _)| call.id.unwrap_or(call.name))
                .collect();
            if !unanswered.is_empty() {
                let message = format!(
                    "An assistant message with 'tool_calls' must be followed by tool messages responding to each \
                     'tool_call_id'. The following tool_call_ids did not have response messages: {}",
                    unanswered.join(", ")
                );
                return refused(site.message, message);
            }
        }
        let stray = |(index, message): &(usize, &Message<'_>)| {
            let answers = self.is_matched(*index) && !self.is_guessed(*index, messages);
            matches!(&*message.role, "tool" | "function") && !answers
        };
        match messages.iter().enumerate().find(stray) {
            None => Ok(()),
            Some((index, message)) => {
                let role = &*message.role;
                refused(
                    index,
                    format!(
                        "Invalid parameter: messages with role '{role}' must be a response to a preceding message with \
                         'tool_calls'."
                    ),
                )
            }
        }
    }

    /// Returns the calls of the message at `index`.
    pub(crate) fn site(&self, index: usize) -> Option<&CallSite<'r>> {
        let place = self.sites.binary_search_by_key(&index, |site| site.message).ok()?;
        self.sites.get(place)
    }

    /// Returns `true` if the tool's message at `index` answers a call.
    pub(crate) fn is_matched(&self, index: usize) -> bool {
        self.matched.get(index).is_some_and(Option::is_some)
    }

    /// Returns `true` if it names another call than the one it was given to.
    fn is_guessed(&self, index: usize, messages: &[Message<'_>]) -> bool {
        let by_place = self.matched.get(index) == Some(&Some(By::Place));
        by_place && messages.get(index).is_some_and(|message| said(message.tool_call_id.as_ref()).is_some())
    }
}

fn calls_of<'r>(message: &'r Message<'r>) -> Vec<Call<'r>> {
    let mut calls: Vec<Call<'r>> = Vec::new();
    for call in message.tool_calls.iter().flatten() {
        let (name, args) = match (&call.function, &call.custom, &call.name) {
            (Some(function), ..) => (&*function.name, CallArgs::Function(function)),
            (None, Some(custom), _) => {
                (&*custom.name, CallArgs::Custom(custom.input.as_deref().unwrap_or_default()))
            }
            (None, None, Some(name)) => (&**name, CallArgs::Raw(call.arguments)),
            (None, None, None) => continue,
        };
        let (id, id_signature) = read_id(call.id.as_ref());
        calls.push(Call { id, name, args, source: Some(call), id_signature });
    }
    let told = calls.len();
    if let Some(MessageContent::Many(parts)) = &message.content {
        for part in parts.iter().filter(|part| is_kept_call(&part.r#type)) {
            let Some(call) = kept_call(part) else { continue };
            // Some clients keep a call in both places.
            let same = |known: &Call<'_>| {
                if call.id.is_some() { known.id == call.id } else { known.name == call.name }
            };
            if !calls.iter().take(told).any(same) {
                calls.push(call);
            }
        }
    }
    let function = message.function_call.as_ref().filter(|function| !function.name.trim().is_empty());
    if let Some(function) = function.filter(|_| calls.is_empty()) {
        let args = CallArgs::Function(function);
        calls.push(Call { id: None, name: &function.name, args, source: None, id_signature: None });
    }
    calls
}

/// Returns `true` if a part of this kind is a call, as Anthropic, `LangChain`, the AI SDK and the Responses API write them.
pub(crate) fn is_kept_call(kind: &str) -> bool {
    matches!(kind, "tool_use" | "tool_call" | "tool-call" | "function_call")
}

/// Returns a call among the parts of a message.
fn kept_call<'r>(part: &'r ContentPart<'_>) -> Option<Call<'r>> {
    let name = said(part.name.as_ref()).or(said(part.tool_name.as_ref()))?;
    let id = part.call_id.as_ref().filter(|id| said(Some(id)).is_some());
    let (id, id_signature) = read_id(id.or(part.id.as_ref()));
    Some(Call { id, name, args: CallArgs::Raw(part.input.or(part.args)), source: None, id_signature })
}

/// Returns the id of a call, if it has one, and the signature that `LiteLLM` appended.
fn read_id<'r>(id: Option<&'r Text<'_>>) -> (Option<&'r str>, Option<&'r str>) {
    let Some(id) = said(id) else { return (None, None) };
    let (id, signature) = split_id(id);
    (Some(id).filter(|id| !id.is_empty()), signature)
}

/// Returns the model's parts of a turn with calls.
///
/// Newer models reject a turn whose first call does not carry the signature it was made with; where it is lost, a
/// value that Google accepts instead replaces it.
pub(crate) fn call_parts<'r>(site: &CallSite<'r>, scope: Scope<'r>) -> Vec<Part<'r>> {
    let Scope { capabilities, options, names } = scope;
    let mut parts = Vec::with_capacity(site.calls.len());
    for call in &site.calls {
        let args = match call.args.raw() {
            Ok(raw) => arguments::to_gemini(names, call.name, raw),
            Err(input) => results::custom_input(input),
        };
        let id = call.id.filter(|_| capabilities.call_ids).map(words::call_id);
        let data = PartData::FunctionCall(FunctionCall { id, name: names.to_gemini(call.name), args });
        let kept = scope.keeps_signatures().then(|| call_signatures::of_call(call, options.signatures));
        let mut thought_signature = kept.flatten();
        if thought_signature.is_none() && capabilities.modern && parts.is_empty() {
            thought_signature = Some(Cow::Borrowed(signatures::STAND_IN));
        }
        parts.push(Part { thought_signature, ..data.into() });
    }
    parts
}

/// Returns the results of a turn with calls, in the order of the calls.
pub(crate) fn result_parts<'r>(
    site: &CallSite<'r>,
    messages: &'r [Message<'_>],
    scope: Scope<'r>,
) -> Result<Vec<Part<'r>>, ApiError> {
    let modern = scope.capabilities.modern;
    let mut parts = Vec::with_capacity(site.calls.len());
    let mut media = Vec::new();
    for (call, result) in site.calls.iter().zip(&site.results) {
        let (response, shown) = match result.and_then(|index| Some((index, messages.get(index)?))) {
            Some((index, message)) => {
                let (text, shown) = result_content(index, message, scope)?;
                (results::response(text), shown)
            }
            None => (results::no_response(), Vec::new()),
        };
        let mut own_parts = Vec::new();
        for part in shown {
            match part.data {
                PartData::InlineData(blob) if modern => {
                    own_parts.push(FunctionResponsePart::InlineData(blob));
                }
                PartData::FileData(file) if modern => own_parts.push(FunctionResponsePart::FileData(file)),
                _ => media.push(part),
            }
        }
        let id = call.id.filter(|_| scope.capabilities.call_ids).map(words::call_id);
        let name = scope.names.to_gemini(call.name);
        parts.push(
            PartData::FunctionResponse(FunctionResponse { id, name, response, parts: own_parts }).into(),
        );
    }
    // Older models take no media inside a result; after all results is where they expect them.
    parts.extend(media);
    Ok(parts)
}

/// Returns the calls of a turn in words, for a history that Gemini does not accept otherwise.
pub(crate) fn calls_as_text<'r>(site: &CallSite<'r>) -> Vec<Part<'r>> {
    let text = |call: &Call<'r>| match call.args.raw() {
        Ok(raw) => format!("[tool call {}] {}", call.name, results::arguments(raw).get()),
        Err(input) => format!("[tool call {}] {input}", call.name),
    };
    site.calls.iter().map(|call| Part::text(text(call))).collect()
}

/// Returns the results of a turn in words.
pub(crate) fn results_as_text<'r>(
    site: &CallSite<'r>,
    messages: &'r [Message<'_>],
    scope: Scope<'r>,
) -> Result<Vec<Part<'r>>, ApiError> {
    let mut parts = Vec::with_capacity(site.calls.len());
    for (call, result) in site.calls.iter().zip(&site.results) {
        let Some((index, message)) = result.and_then(|index| Some((index, messages.get(index)?))) else {
            continue;
        };
        let (text, media) = result_content(index, message, scope)?;
        parts.push(Part::text(format!("[tool result {}] {text}", call.name)));
        parts.extend(media);
    }
    Ok(parts)
}

/// Returns what a tool says, as one text, and what it shows.
fn result_content<'r>(
    index: usize,
    message: &'r Message<'_>,
    scope: Scope<'r>,
) -> Result<(Cow<'r, str>, Vec<Part<'r>>), ApiError> {
    match &message.content {
        None => Ok((Cow::Borrowed(""), Vec::new())),
        Some(MessageContent::One(text)) => Ok((text.decode(), Vec::new())),
        Some(MessageContent::Many(content)) => {
            let mut texts = Vec::with_capacity(content.len());
            let mut media = Vec::new();
            for (place, part) in content.iter().enumerate() {
                match plain_text(part) {
                    Some(text) => texts.push(text.into_text()),
                    None => media.extend(content_part(index, place, part, scope)?),
                }
            }
            let text = if texts.len() == 1 { texts.pop() } else { Some(Cow::Owned(texts.join("\n"))) };
            Ok((text.unwrap_or_default(), media))
        }
    }
}

/// Returns a result whose call is not in the history, as words of the user.
pub(crate) fn orphan<'r>(
    index: usize,
    message: &'r Message<'_>,
    scope: Scope<'r>,
) -> Result<Vec<Part<'r>>, ApiError> {
    let (text, media) = result_content(index, message, scope)?;
    let id = said(message.tool_call_id.as_ref()).or(said(message.name.as_ref()));
    let id = id.map(|id| format!(" {id}")).unwrap_or_default();
    let mut parts = vec![Part::text(format!("[tool result{id}] {text}"))];
    parts.extend(media);
    Ok(parts)
}

#[cfg(test)]
mod tests;
