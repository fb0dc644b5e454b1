//! Messages as Gemini's turns and system instruction.
//!
//! Turns follow Gemini's rules for the order of roles. No message is lost, except an empty one of the
//! assistant.

use pool_shared::SystemMessages;

use crate::chat::request::calls::{self, History};
use crate::chat::request::media;
use crate::error::ApiError;
use crate::gemini::{Content, Part, PartData, Role, SystemInstruction};
use crate::json::Fragment;
use crate::openai::{ChatRequest, ContentPart, Message, MessageContent, said};
use crate::request::capabilities::Capabilities;
use crate::request::ignored_params::IgnoredParams;
use crate::request::media::{MediaContext, markdown_parts};
use crate::request::names::Names;
use crate::request::options::TranslateOptions;
use crate::request::repair::Repair;
use crate::request::signatures;

/// What the translation of every message depends on.
#[derive(Clone, Copy)]
pub(crate) struct Scope<'r> {
    pub(crate) capabilities: &'r Capabilities,
    pub(crate) options: &'r TranslateOptions<'r>,
    pub(crate) names: &'r Names,
}

impl<'r> Scope<'r> {
    /// Returns `true` if signatures go back to the model that made them.
    pub(crate) fn keeps_signatures(self) -> bool {
        self.capabilities.signs() && !self.options.repairs.contains(Repair::StandInSignatures)
    }

    pub(crate) fn media(self) -> MediaContext<'r> {
        let allowed = !self.options.repairs.contains(Repair::NoMediaResolution);
        MediaContext { resolutions: self.capabilities.modern && allowed, fetched: self.options.media }
    }
}

/// A translated conversation.
pub(crate) struct Conversation<'r> {
    pub(crate) system: Option<SystemInstruction<'r>>,
    pub(crate) contents: Vec<Content<'r>>,
}

impl Conversation<'_> {
    /// Adds what has to be said in words.
    pub(crate) fn instruct(&mut self, words: Option<String>, capabilities: &Capabilities) {
        let Some(words) = words else { return };
        let part = Part::text(words);
        if capabilities.system_instruction {
            self.system.get_or_insert_with(|| SystemInstruction { parts: Vec::new() }).parts.push(part);
        } else {
            prepend_system(&mut self.contents, &[part]);
        }
    }
}

/// Translates all messages.
pub(crate) fn conversation<'r>(
    request: &'r ChatRequest<'_>,
    scope: Scope<'r>,
    ignored: &mut IgnoredParams,
) -> Result<Conversation<'r>, ApiError> {
    let capabilities = scope.capabilities;
    let messages = request.messages();
    let history = History::of(messages);
    if scope.options.wishes(|pool| pool.strict_history) {
        history.check(messages)?;
    }
    let hoisted = scope.options.wishes(|pool| pool.system_messages == SystemMessages::Hoist);
    let leading = messages.iter().take_while(|message| is_system(message)).count();
    let mut system = Vec::new();
    let mut turns = Turns::default();
    for (index, message) in messages.iter().enumerate() {
        match &*message.role {
            "system" | "developer" if hoisted || index < leading => {
                system.extend(system_parts(index, message)?);
            }
            "system" | "developer" => turns.extend(Role::User, system_parts(index, message)?),
            "user" => turns.extend(Role::User, user_parts(index, message, scope)?),
            "assistant" => {
                turns.extend(Role::Model, assistant_parts(index, message, scope, ignored)?);
                let site = history.site(index);
                if let Some(site) = site.filter(|_| scope.options.repairs.contains(Repair::CallsAsText)) {
                    turns.extend(Role::Model, calls::calls_as_text(site));
                    turns.extend(Role::User, calls::results_as_text(site, messages, scope)?);
                } else if let Some(site) = site {
                    turns.extend(Role::Model, calls::call_parts(site, scope));
                    turns.push_results(calls::result_parts(site, messages, scope)?);
                }
            }
            "tool" | "function" if history.is_matched(index) => {}
            "tool" | "function" => turns.extend(Role::User, calls::orphan(index, message, scope)?),
            role => {
                let param = format!("messages[{index}].role");
                let message = format!(
                    "Invalid value: '{}'. Supported values are: 'system', 'developer', 'user', 'assistant', 'tool' and \
                     'function'.",
                    role.chars().take(40).collect::<String>()
                );
                return Err(ApiError::invalid_value(&param, message));
            }
        }
    }
    let mut contents = turns.contents;
    if !capabilities.system_instruction {
        prepend_system(&mut contents, &std::mem::take(&mut system));
    }
    repair(&mut contents, capabilities);
    let system = (!system.is_empty()).then_some(SystemInstruction { parts: system });
    Ok(Conversation { system, contents })
}

fn is_system(message: &Message<'_>) -> bool {
    matches!(&*message.role, "system" | "developer")
}

/// Turns in the making: neighbours of one role become one turn.
#[derive(Default)]
struct Turns<'r> {
    contents: Vec<Content<'r>>,
    /// The last turn holds results of calls, which nothing may be mixed with.
    sealed: bool,
}

impl<'r> Turns<'r> {
    fn extend(&mut self, role: Role, parts: impl IntoIterator<Item = Part<'r>>) {
        let mut parts = parts.into_iter().peekable();
        if parts.peek().is_none() {
            return;
        }
        match self.contents.last_mut() {
            Some(last) if last.role == role && !self.sealed => last.parts.extend(parts),
            _ => self.contents.push(Content { role, parts: parts.collect() }),
        }
        self.sealed = false;
    }

    fn push_results(&mut self, parts: Vec<Part<'r>>) {
        self.contents.push(Content { role: Role::User, parts });
        self.sealed = true;
    }
}

fn system_parts<'r>(index: usize, message: &'r Message<'_>) -> Result<Vec<Part<'r>>, ApiError> {
    content_parts(index, message, |_, part| {
        plain_text(part).map(text_part).ok_or_else(|| {
            let param = format!("messages[{index}].content");
            ApiError::invalid_value(&param, format!("Invalid '{param}': text only."))
        })
    })
}

fn user_parts<'r>(
    index: usize,
    message: &'r Message<'_>,
    scope: Scope<'r>,
) -> Result<Vec<Part<'r>>, ApiError> {
    let mut parts = content_parts(index, message, |place, part| content_part(index, place, part, scope))?;
    if parts.is_empty() {
        parts.push(Part::text(" "));
    }
    let name = said(message.name.as_ref());
    if let Some(name) = name.filter(|_| scope.options.wishes(|pool| pool.prefix_names)) {
        match parts.first_mut().map(|part| &mut part.data) {
            Some(PartData::Text(text)) => *text = format!("{name}: {}", text.text()).into(),
            _ => parts.insert(0, Part::text(format!("{name}: "))),
        }
    }
    Ok(parts)
}

/// Returns the parts of a content that has to be there: its text, or what `each` makes of its pieces.
fn content_parts<'r>(
    index: usize,
    message: &'r Message<'_>,
    mut each: impl FnMut(usize, &'r ContentPart<'_>) -> Result<Option<Part<'r>>, ApiError>,
) -> Result<Vec<Part<'r>>, ApiError> {
    match &message.content {
        None => Err(no_content(index)),
        Some(MessageContent::One(text)) => Ok(text_part(*text).into_iter().collect()),
        Some(MessageContent::Many(content)) => {
            content.iter().enumerate().filter_map(|(place, part)| each(place, part).transpose()).collect()
        }
    }
}

fn assistant_parts<'r>(
    index: usize,
    message: &'r Message<'_>,
    scope: Scope<'r>,
    ignored: &mut IgnoredParams,
) -> Result<Vec<Part<'r>>, ApiError> {
    let mut parts = match &message.content {
        None => Vec::new(),
        Some(MessageContent::One(text)) => markdown_parts(*text),
        Some(MessageContent::Many(_)) => content_parts(index, message, |place, part| match &*part.r#type {
            // Already among the calls.
            kind if calls::is_kept_call(kind) => Ok(None),
            kind if is_said(kind) => content_part(index, place, part, scope),
            // What clients of other vendors keep: reasoning, which Gemini has no use for, since its own is in the
            // signatures, searches of their own, marks between steps. No conversation is to end for it.
            kind => {
                ignored.add(&format!("messages.content.{kind}"));
                Ok(None)
            }
        })?,
    };
    parts.extend(message.refusal.and_then(text_part));
    let images_from = parts.len();
    for (place, image) in message.images.iter().flatten().enumerate() {
        let param = format!("messages[{index}].images[{place}]");
        let part = media::assistant_image(&image.image_url, &param, scope.media())?;
        let thought_signature =
            signatures::in_extra(image.extra_content).filter(|_| scope.keeps_signatures());
        parts.push(Part { thought_signature, ..part });
    }
    if scope.keeps_signatures()
        && let Some(last) = parts.get_mut(..images_from).and_then(<[_]>::last_mut)
    {
        last.thought_signature = signatures::in_extra(message.extra_content);
    }
    Ok(parts)
}

/// Returns `true` if a part of this kind is something that an assistant said or showed.
fn is_said(kind: &str) -> bool {
    matches!(kind, "text" | "input_text" | "output_text" | "refusal" | "file" | "input_audio")
        || matches!(kind, "image_url" | "video_url" | "audio_url")
}

fn text_part<'r>(text: impl Into<Fragment<'r>>) -> Option<Part<'r>> {
    Some(text.into()).filter(|text| !text.is_empty()).map(Part::text)
}

/// Returns the text of a part that is nothing but text.
pub(crate) fn plain_text<'r>(part: &ContentPart<'r>) -> Option<Fragment<'r>> {
    match &*part.r#type {
        "text" | "input_text" | "output_text" => Some(part.text.map(Fragment::from).unwrap_or_default()),
        "refusal" => part.refusal.or(part.text).map(Fragment::from),
        _ => None,
    }
}

/// Returns the part for Gemini; none for an empty text.
pub(crate) fn content_part<'r>(
    index: usize,
    place: usize,
    part: &'r ContentPart<'_>,
    scope: Scope<'r>,
) -> Result<Option<Part<'r>>, ApiError> {
    if let Some(text) = plain_text(part) {
        return Ok(text_part(text));
    }
    let param = format!("messages[{index}].content[{place}]");
    if let Some(part) = media::media_part(part, &param, scope.media())? {
        return Ok(Some(part));
    }
    let shown: String = part.r#type.chars().take(40).collect();
    let message = format!(
        "Invalid value: '{shown}'. Supported values are: 'text', 'image_url', 'input_audio', 'video_url', 'audio_url', \
         'file' and 'refusal'."
    );
    Err(ApiError::invalid_value(&format!("{param}.type"), message))
}

fn no_content(index: usize) -> ApiError {
    let param = format!("messages[{index}].content");
    let message = format!("Invalid type for '{param}': expected a string or an array, but got null instead.");
    ApiError::invalid(Some(&param), "invalid_type", message)
}

/// For models without a system instruction: its text goes before the first words of the user.
fn prepend_system<'r>(contents: &mut Vec<Content<'r>>, system: &[Part<'r>]) {
    let mut words = String::new();
    for part in system {
        if let PartData::Text(text) = &part.data {
            words.push_str(&text.text());
            words.push_str("\n\n");
        }
    }
    if words.is_empty() {
        return;
    }
    let first = contents.iter_mut().find(|content| content.role == Role::User);
    let text = first.and_then(|content| {
        content.parts.iter_mut().find_map(|part| match &mut part.data {
            PartData::Text(text) => Some(text),
            _ => None,
        })
    });
    match text {
        Some(text) => {
            words.push_str(&text.text());
            *text = words.into();
        }
        None => contents.insert(0, Content { role: Role::User, parts: vec![Part::text(words)] }),
    }
}

/// What Gemini insists on: someone has spoken, no call comes first, and for some models the user comes last.
fn repair(contents: &mut Vec<Content<'_>>, capabilities: &Capabilities) {
    let space = || Content { role: Role::User, parts: vec![Part::text(" ")] };
    let is_call = |part: &Part| matches!(part.data, PartData::FunctionCall(_));
    let begins_with_call =
        contents.first().is_none_or(|first| first.role == Role::Model && first.parts.iter().any(is_call));
    if begins_with_call {
        contents.insert(0, space());
    }
    if !capabilities.model_turn_last && contents.last().is_some_and(|last| last.role == Role::Model) {
        contents.push(space());
    }
    if !capabilities.modern {
        for content in contents.iter_mut().filter(|content| content.role == Role::User) {
            let media = |part: &Part| matches!(part.data, PartData::InlineData(_) | PartData::FileData(_));
            if content.parts.iter().all(media) {
                content.parts.push(Part::text(" "));
            }
        }
    }
}

#[cfg(test)]
mod tests;
