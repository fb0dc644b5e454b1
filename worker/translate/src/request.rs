//! A chat request for Gemini.
//!
//! In: the parsed request, the model it goes to, the pool's wishes. Out: the upstream body, written once for all
//! attempts; the names of what had to be dropped; and what the way back needs, owned.

use std::borrow::Cow;

use jiff::Timestamp;
use pool_shared::{ImageOutput, TranslationSettings};
use serde_json::value::{RawValue, to_raw_value};

use super::capabilities::Capabilities;
use super::media::{self, MediaSource};
use super::messages::Scope;
use super::names::Names;
use super::repair::{Repair, Repairs};
use super::schema::Shape;
use super::signatures::SignatureCache;
use super::suffix::ModelSuffix;
use super::{formats, messages, parameters, tools, words};
use crate::gemini::{GenerateRequest, Method, ModelId, RequestSettings};
use crate::openai::{ApiError, ChatRequest};

/// What Gemini's names for things can take more than OpenAI's.
const ROOM_FOR_NAMES: usize = 1024;

/// What a pool wishes, and what is known about the model.
#[derive(Debug, Clone, Copy, Default)]
pub struct TranslateOptions<'a> {
    /// The time, which decides what answers under some names.
    pub now: Timestamp,
    /// The model that lately answered under the name, where that was another one.
    pub answered_by: Option<&'a ModelId>,
    /// The model's `outputTokenLimit`, when its description is at hand.
    pub output_token_limit: Option<u64>,
    /// Whether the caller of the translation makes [`GeminiCall::copies`] calls; otherwise `n` is refused where the model
    /// gives one choice only.
    pub several_calls: bool,
    /// How many bytes the caller's body has; Gemini's has about as many.
    pub length: usize,
    /// What Gemini's refusals have taught about this model or this request.
    pub repairs: Repairs,
    /// The pool's settings; the defaults without.
    pub settings: Option<&'a TranslationSettings>,
    /// What the model's name asks for besides the model.
    pub suffix: ModelSuffix,
    /// What was fetched of [`super::remote_media`]; without it, such addresses are refused.
    pub media: Option<&'a dyn MediaSource>,
    /// Signatures of calls that this service has seen, for clients that do not send them back.
    pub signatures: Option<&'a dyn SignatureCache>,
}

impl TranslateOptions<'_> {
    /// What the model that answers under this name can do, corrected by what its errors have told.
    #[must_use]
    pub fn capabilities(&self, model: &ModelId) -> Capabilities {
        self.repairs.apply(self.row(model))
    }

    fn row(&self, model: &ModelId) -> Capabilities {
        let name = model.as_str();
        let family = self.settings.and_then(|settings| settings.families.get(name));
        match (family, self.answered_by) {
            _ if self.repairs.contains(Repair::OwnFamily) => Capabilities::of_name(name),
            (Some(family), _) => Capabilities::of_name(family),
            (None, Some(answering)) => Capabilities::of_name(answering.as_str()),
            (None, None) => Capabilities::of(model, self.now),
        }
    }

    /// Whether the pool wishes something.
    pub(super) fn wishes(&self, wish: impl FnOnce(&TranslationSettings) -> bool) -> bool {
        self.settings.is_some_and(wish)
    }
}

/// A translated request.
#[derive(Debug, Clone)]
pub struct GeminiCall {
    /// One answer or a stream.
    pub method: Method,
    /// JSON.
    pub body: Vec<u8>,
    /// Names of what was dropped, safe in a header (`x-pool-dropped`).
    pub dropped: Vec<String>,
    /// For the answer.
    pub context: ResponseContext,
    /// How many calls with this body it takes: several when several choices are wanted of a model that gives one.
    pub copies: u32,
}

/// The body of the call that goes on with an answer: the same, and the token.
#[must_use]
pub fn resumed_body(body: &[u8], token: &str) -> Vec<u8> {
    let mut resumed = body.strip_suffix(b"}").unwrap_or(body).to_vec();
    resumed.extend_from_slice(b",\"continuationToken\":");
    resumed.extend_from_slice(&serde_json::to_vec(token).unwrap_or_default());
    resumed.push(b'}');
    resumed
}

/// What the translation of the answer has to know about the request. It borrows nothing.
#[derive(Debug, Clone, Default)]
// Answers to questions that have nothing to do with each other.
#[allow(clippy::struct_excessive_bools)]
pub struct ResponseContext {
    /// Whether a last chunk tells the token counts.
    pub(super) include_usage: bool,
    /// Whether to go on with an answer that was cut by the limit of one call.
    pub(super) resumes: bool,
    /// Whether the conversation ends in results of tools, to which the model may have nothing to add.
    pub(super) follows_results: bool,
    /// Whether the request has stop sequences, of which one may be the first thing that the model writes.
    pub(super) stops: bool,
    /// Whether a response without content is a whole turn.
    pub(super) accepts_empty: bool,
    /// How calls are delivered.
    pub(super) calls: CallStyle,
    /// Whether the answer is to be JSON.
    pub(super) json: bool,
    /// How that JSON differs from what the caller declared.
    pub(super) json_shape: Shape,
    /// Whether the answer may name its sources.
    pub(super) grounded: bool,
    /// How speech is to be delivered.
    pub(super) audio_format: AudioFormat,
    /// Whether pictures are delivered in the text.
    pub(super) images_in_text: bool,
    /// Whether a call's id carries its signature.
    pub(super) signature_in_id: bool,
    /// Whether Gemini's ratings are delivered.
    pub(super) native_details: bool,
    /// The caller's names of its functions.
    pub(super) names: Names,
}

impl ResponseContext {
    /// Whether to go on with an answer that was cut by the limit of one call.
    #[must_use]
    pub fn resumes(&self) -> bool {
        self.resumes
    }

    /// Returns the context of the request's next attempt after an empty response: what a stop sequence can explain is
    /// taken for a whole turn when it comes again. Returns `None` if nothing explains it, or the context is that already.
    #[must_use]
    pub fn accepting_empty(&self) -> Option<Self> {
        (self.stops && !self.accepts_empty).then(|| Self { accepts_empty: true, ..self.clone() })
    }
}

/// How calls are delivered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum CallStyle {
    /// All of them, as `tool_calls`.
    #[default]
    Tools,
    /// The first one only: Gemini has no switch for `parallel_tool_calls: false`.
    FirstTool,
    /// The first one only, as `function_call`, for callers that used `functions`.
    Function,
}

/// How speech is delivered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum AudioFormat {
    /// A WAV file.
    #[default]
    Wav,
    /// Bare samples of 16 bits.
    Pcm16,
}

/// Translates a request.
///
/// # Errors
/// 400 for what Gemini could not do and the caller has to know.
pub fn to_gemini(
    request: &ChatRequest<'_>,
    model: &ModelId,
    options: &TranslateOptions<'_>,
) -> Result<GeminiCall, ApiError> {
    let capabilities = options.capabilities(model);
    let cached_content = cached_content(request, &capabilities)?;
    let mut dropped = Dropped::default();
    let mut context = ResponseContext {
        include_usage: include_usage(request)?,
        images_in_text: options.wishes(|pool| pool.image_output == ImageOutput::Markdown),
        signature_in_id: options.wishes(|pool| pool.signature_in_id),
        native_details: options.wishes(|pool| pool.native_details),
        names: Names::by(options.repairs.name_rule()),
        follows_results: request
            .messages()
            .last()
            .is_some_and(|last| matches!(&*last.role, "tool" | "function")),
        ..ResponseContext::default()
    };
    let mut config = parameters::generation_config(request, &capabilities, options, &mut dropped)?;
    context.stops = !config.stop_sequences.is_empty();
    let choices = parameters::choices(request)?;
    let copies = if capabilities.candidates { 1 } else { choices };
    if copies > 1 && !options.several_calls {
        let message = format!("The model '{}' gives one choice only.", request.model());
        return Err(ApiError::unsupported_value("n", message));
    }
    config.candidate_count = Some(choices).filter(|choices| *choices > 1 && capabilities.candidates);
    context.resumes =
        choices == 1 && parameters::exceeds_one_call(request, &capabilities, config.max_output_tokens);
    if request.parallel_tool_calls == Some(false) {
        context.calls = CallStyle::FirstTool;
    }
    let tools = tools::tools(request, &capabilities, options, &mut context, &mut dropped)?;
    let beside = formats::Beside { functions: !context.names.is_empty(), older: tools.older };
    let in_words = formats::response_format(
        request,
        &capabilities,
        options.repairs,
        beside,
        &mut config,
        &mut context,
        &mut dropped,
    )?;
    formats::modalities(request, &capabilities, &mut config, &mut context)?;
    config.media_resolution = media_resolution(request, &capabilities, options)?;
    let scope = Scope { capabilities: &capabilities, options, names: &context.names };
    let mut conversation = messages::conversation(request, scope, &mut dropped)?;
    conversation.instruct(parameters::verbosity_hint(request, options), &capabilities);
    conversation.instruct(in_words, &capabilities);
    if options.wishes(|pool| pool.strict_params) {
        dropped.refuse(request)?;
    }
    let translated = GenerateRequest {
        contents: conversation.contents,
        system_instruction: conversation.system,
        settings: RequestSettings {
            tools: tools.all,
            tool_config: tools.config,
            safety_settings: safety_settings(request, options)?,
            generation_config: config,
            cached_content,
            service_tier: parameters::service_tier(request)?,
            store: request.google().find_map(|google| google.store),
            labels: labels(request)?,
            continuation_token: continuation_token(request)?,
        },
    };
    // A vector that grows step by step takes up to thrice the room of a large body, and wasm never gives room back.
    let mut body = Vec::with_capacity(options.length + ROOM_FOR_NAMES);
    translated.write(&mut body).map_err(|_| ApiError::invalid_json())?;
    // The answers of several calls are put together whole.
    let method = if request.stream() && copies == 1 { Method::StreamGenerate } else { Method::Generate };
    Ok(GeminiCall { method, body, dropped: dropped.into_names(), context, copies })
}

/// The cache that the request names, for models that have any.
fn cached_content<'r>(
    request: &'r ChatRequest<'_>,
    capabilities: &Capabilities,
) -> Result<Option<&'r str>, ApiError> {
    let name = request.google().find_map(|google| google.cached_content.as_deref());
    if name.is_some() && !capabilities.explicit_cache {
        let message = format!(
            "The model '{}' has no explicit caching: send the whole prompt instead of 'cached_content'. Gemini caches \
             equal beginnings of 4,096 tokens and more by itself.",
            request.model()
        );
        return Err(ApiError::unsupported_value("extra_body.google.cached_content", message));
    }
    name.map(|name| words::resource("extra_body.google.cached_content", name)).transpose()
}

fn labels<'r>(request: &'r ChatRequest<'_>) -> Result<Option<&'r RawValue>, ApiError> {
    let labels = request.google().find_map(|google| google.labels);
    labels.map(|labels| words::settings("extra_body.google.labels", labels)).transpose()
}

fn continuation_token<'r>(request: &'r ChatRequest<'_>) -> Result<Option<&'r str>, ApiError> {
    let token = request.google().find_map(|google| google.continuation_token.as_deref());
    token.map(|token| words::token("extra_body.google.continuation_token", token)).transpose()
}

fn media_resolution<'r>(
    request: &'r ChatRequest<'_>,
    capabilities: &Capabilities,
    options: &TranslateOptions<'_>,
) -> Result<Option<Cow<'r, str>>, ApiError> {
    if options.repairs.contains(Repair::NoMediaResolution) {
        return Ok(None);
    }
    let own = request.google().find_map(|google| google.media_resolution.as_deref());
    if let Some(own) = own {
        let own = words::media_resolution("extra_body.google.media_resolution", own)?;
        return Ok(Some(Cow::Owned(own)));
    }
    let common = if capabilities.modern { None } else { media::common_resolution(request) };
    Ok(common.map(Cow::Borrowed))
}

/// The caller's settings, else the pool's, else Gemini's own.
fn safety_settings<'r>(
    request: &'r ChatRequest<'_>,
    options: &TranslateOptions<'_>,
) -> Result<Option<Cow<'r, RawValue>>, ApiError> {
    if let Some(own) = request.google().find_map(|google| google.safety_settings) {
        return words::safety("extra_body.google.safety_settings", own).map(|own| Some(Cow::Borrowed(own)));
    }
    let settings = options.settings.map(|settings| &settings.safety_settings);
    let settings = settings.filter(|settings| !settings.is_empty());
    Ok(settings.and_then(|settings| to_raw_value(settings).ok()).map(Cow::Owned))
}

fn include_usage(request: &ChatRequest<'_>) -> Result<bool, ApiError> {
    let Some(options) = request.stream_options else { return Ok(false) };
    if !request.stream() {
        let message = "The 'stream_options' parameter is only allowed when 'stream' is enabled.";
        let error = ApiError::invalid_value("stream_options", message);
        return Err(ApiError { code: None, ..error });
    }
    Ok(options.include_usage.unwrap_or_default())
}

/// Names of parameters that could not be honoured.
#[derive(Debug, Default)]
pub(super) struct Dropped {
    names: Vec<String>,
    /// Including those that cannot stand in a header.
    any: bool,
}

impl Dropped {
    /// A header has to stay readable.
    const MOST: usize = 32;
    const LONGEST: usize = 64;

    /// Notes a name once, and only one that can stand in a header: clients choose some of them.
    pub(super) fn note(&mut self, name: &str) {
        self.any = true;
        let safe = !name.is_empty()
            && name.len() <= Self::LONGEST
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'));
        if safe && self.names.len() < Self::MOST && !self.names.iter().any(|known| known == name) {
            self.names.push(name.to_owned());
        }
    }

    /// Notes a parameter that has an effect, and another one than was asked for, because the pool wants it so.
    pub(super) fn note_raised(&mut self, name: &str) {
        let any = self.any;
        self.note(name);
        self.any = any;
    }

    pub(super) fn note_if(&mut self, condition: bool, name: &str) {
        if condition {
            self.note(name);
        }
    }

    pub(super) fn into_names(self) -> Vec<String> {
        self.names
    }

    /// For pools that rather refuse a request than leave a part of it out.
    fn refuse(&self, request: &ChatRequest<'_>) -> Result<(), ApiError> {
        if !self.any {
            return Ok(());
        }
        let name = self.names.first().map_or("", String::as_str);
        let message =
            format!("Unsupported parameter: '{name}' has no effect with the model '{}'.", request.model());
        let error = ApiError::unsupported_parameter(name, message);
        Err(ApiError { param: error.param.filter(|name| !name.is_empty()), ..error })
    }
}
