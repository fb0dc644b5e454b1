//! Mapping of an OpenAI chat request to Gemini's `generateContent` request.
//!
//! The upstream body is written once; every attempt for the same model reuses it.

mod call_signatures;
mod calls;
mod formats;
pub(crate) mod media;
mod messages;
#[cfg(test)]
mod options_tests;
pub(crate) mod parameters;
mod thinking;
mod tools;

use std::borrow::Cow;

use pool_shared::ImageOutput;
use serde_json::value::{RawValue, to_raw_value};

use crate::error::ApiError;
use crate::gemini::{GenerateRequest, Method, ModelId, RequestSettings};
use crate::openai::ChatRequest;
use crate::request::call::{CallStyle, GeminiCall, ResponseContext};
use crate::request::capabilities::Capabilities;
use crate::request::ignored_params::IgnoredParams;
use crate::request::names::Names;
use crate::request::options::TranslateOptions;
use crate::request::repair::Repair;
use crate::request::words;
use messages::Scope;

/// Bytes by which Gemini's member names exceed OpenAI's.
const ROOM_FOR_NAMES: usize = 1024;

/// Translates a request.
///
/// # Errors
/// 400 for what Gemini could not do and the client has to know.
pub fn to_gemini(
    request: &ChatRequest<'_>,
    model: &ModelId,
    options: &TranslateOptions<'_>,
) -> Result<GeminiCall, ApiError> {
    let capabilities = options.capabilities(model);
    let cached_content = cached_content(request, &capabilities)?;
    let mut ignored = IgnoredParams::default();
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
    let mut config = parameters::generation_config(request, &capabilities, options, &mut ignored)?;
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
    let tools = tools::tools(request, &capabilities, options, &mut context, &mut ignored)?;
    let beside = formats::Beside { functions: !context.names.is_empty(), older: tools.older };
    let in_words = formats::response_format(
        request,
        &capabilities,
        options.repairs,
        beside,
        &mut config,
        &mut context,
        &mut ignored,
    )?;
    formats::modalities(request, &capabilities, &mut config, &mut context)?;
    config.media_resolution = media_resolution(request, &capabilities, options)?;
    let scope = Scope { capabilities: &capabilities, options, names: &context.names };
    let mut conversation = messages::conversation(request, scope, &mut ignored)?;
    conversation.instruct(parameters::verbosity_hint(request, options), &capabilities);
    conversation.instruct(in_words, &capabilities);
    if options.wishes(|pool| pool.strict_params) {
        ignored.reject(request.model())?;
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
    Ok(GeminiCall { method, body, ignored_params: ignored.into_names(), context, copies })
}

/// Returns the cache that the request names, for models that have any.
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

/// Returns the client's settings, else the pool's, else Gemini's own.
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
