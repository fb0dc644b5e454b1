//! A chat request for Gemini.
//!
//! In: the parsed request, the model it goes to, the pool's wishes. Out: the upstream body, written once for all
//! attempts; the names of what had to be dropped; and what the way back needs, owned.

use super::capabilities::Capabilities;
use super::names::Names;
use super::signatures::SignatureCache;
use super::{messages, parameters};
use crate::gemini::{GenerateRequest, Method, ModelId};
use crate::openai::{ApiError, ChatRequest};

/// What a pool wishes, and what is known about the model.
#[derive(Debug, Clone, Copy, Default)]
pub struct TranslateOptions<'a> {
    /// The model's `outputTokenLimit`, when its description is at hand.
    pub output_token_limit: Option<u64>,
    /// Signatures of calls that this service has seen, for clients that do not send them back.
    pub signatures: Option<&'a dyn SignatureCache>,
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
}

/// What the translation of the answer has to know about the request. It borrows nothing.
#[derive(Debug, Clone, Default)]
pub struct ResponseContext {
    /// Whether a last chunk tells the token counts.
    pub(super) include_usage: bool,
    /// Whether the caller used `functions` and expects `function_call`.
    pub(super) legacy_functions: bool,
    /// Whether only the first call may be delivered.
    pub(super) first_call_only: bool,
    /// The caller's names of its functions.
    pub(super) names: Names,
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
    let capabilities = Capabilities::of(model);
    let mut dropped = Dropped::default();
    let mut context =
        ResponseContext { include_usage: include_usage(request)?, ..ResponseContext::default() };
    let generation_config = parameters::generation_config(request, &capabilities, options, &mut dropped)?;
    if parameters::choices(request)? > 1 {
        let message = format!("The model '{}' gives one choice only.", request.model());
        return Err(ApiError::unsupported_value("n", message));
    }
    context.first_call_only = request.parallel_tool_calls == Some(false);
    let conversation = messages::conversation(request, &capabilities, options, &context.names)?;
    let body = GenerateRequest {
        contents: conversation.contents,
        system_instruction: conversation.system,
        generation_config,
        service_tier: parameters::service_tier(request)?,
        ..GenerateRequest::default()
    };
    let body = serde_json::to_vec(&body).map_err(|_| ApiError::invalid_json())?;
    let method = if request.stream() { Method::StreamGenerate } else { Method::Generate };
    Ok(GeminiCall { method, body, dropped: dropped.into_names(), context })
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
pub(super) struct Dropped(Vec<String>);

impl Dropped {
    /// A header has to stay readable.
    const MOST: usize = 32;
    const LONGEST: usize = 64;

    /// Notes a name once, and only one that can stand in a header: clients choose some of them.
    pub(super) fn note(&mut self, name: &str) {
        let safe = !name.is_empty()
            && name.len() <= Self::LONGEST
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'));
        if safe && self.0.len() < Self::MOST && !self.0.iter().any(|known| known == name) {
            self.0.push(name.to_owned());
        }
    }

    pub(super) fn note_if(&mut self, condition: bool, name: &str) {
        if condition {
            self.note(name);
        }
    }

    pub(super) fn into_names(self) -> Vec<String> {
        self.0
    }
}
