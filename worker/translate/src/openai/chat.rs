//! The body of `POST /v1/chat/completions`.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::lenient::said;
use super::{FunctionDefinition, Message, NamedTool, Tool, ToolChoice};
use crate::error::ApiError;
use crate::json::{self, Budget, Decimal, Integer, NameOr, OneOrMany, Text, request_object};

/// The most messages that a conversation may have, as many as OpenAI takes.
const MAX_MESSAGES: usize = 2_048;

request_object! {
    /// A chat request, read once and borrowing from its body. Absent and `null` are the same.
    pub struct ChatRequest<'a> {
        /// The model as the client names it; never absent after [`ChatRequest::parse`].
        model: Text<'a>,
        /// The conversation; never absent after [`ChatRequest::parse`].
        messages: Vec<Message<'a>>,
        /// Limit of the response in tokens, reasoning included; the newer name.
        max_completion_tokens: Integer,
        /// The older name.
        max_tokens: Integer,
        /// Randomness, 0 to 2.
        temperature: Decimal,
        /// Nucleus sampling, 0 to 1.
        top_p: Decimal,
        /// Not OpenAI's, but many clients send it.
        top_k: Integer,
        /// How many choices.
        n: Integer,
        /// Where to stop: one string or several.
        stop: OneOrMany<'a, Text<'a>>,
        /// For answers that can be repeated.
        seed: Integer,
        /// -2 to 2.
        presence_penalty: Decimal,
        /// -2 to 2.
        frequency_penalty: Decimal,
        /// Whether to return log probabilities.
        logprobs: bool,
        /// How many alternatives for each token, 0 to 20.
        top_logprobs: Integer,
        /// Token id to bias.
        logit_bias: &'a RawValue,
        /// `none`, `minimal`, `low`, `medium`, `high`, `xhigh`, `max`.
        reasoning_effort: Text<'a>,
        /// Anthropic's way to ask for reasoning.
        thinking: Thinking<'a>,
        /// `OpenRouter`'s way to ask for reasoning.
        reasoning: Reasoning<'a>,
        /// Another vendor's switch for reasoning.
        enable_thinking: bool,
        /// Another vendor's limit for reasoning, in tokens.
        thinking_budget: Budget,
        /// `low`, `medium`, `high`.
        verbosity: Text<'a>,
        /// Free text or JSON.
        response_format: ResponseFormat<'a>,
        /// `text`, `audio`, `image`.
        modalities: Vec<Text<'a>>,
        /// Voice and format of spoken answers.
        audio: AudioOptions<'a>,
        /// Shape and size of images.
        image_config: ImageConfig<'a>,
        /// The tools that the model may call.
        tools: Vec<Tool<'a>>,
        /// Which of them it must or must not call.
        tool_choice: NameOr<'a, ToolChoice<'a>>,
        /// Whether several calls may come at once.
        parallel_tool_calls: bool,
        /// The forerunner of `tools`.
        functions: Vec<FunctionDefinition<'a>>,
        /// The forerunner of `tool_choice`.
        function_call: NameOr<'a, NamedTool<'a>>,
        /// Asks for a web search.
        web_search_options: IgnoredAny,
        /// `auto`, `default`, `flex`, `priority`.
        service_tier: Text<'a>,
        /// Whether the response comes as server-sent events.
        stream: bool,
        /// Only together with `stream`.
        stream_options: StreamOptions,
        /// Where Google's own OpenAI endpoint takes its extensions.
        extra_body: ExtraBody<'a>,
        /// The same, at the top.
        google: Google<'a>,
        /// One of Google's extensions, at the top.
        thinking_config = "thinkingConfig": ThinkingConfig<'a>,
        /// One of Google's extensions, at the top.
        cached_content = "cachedContent": Text<'a>,
        /// One of Google's extensions, at the top.
        safety_settings = "safetySettings": &'a RawValue,
        /// One of Google's extensions, at the top.
        media_resolution = "mediaResolution": Text<'a>,
        /// One of Google's extensions, at the top.
        response_modalities = "responseModalities": Vec<Text<'a>>,
        /// A name for the client's cache.
        prompt_cache_key: Text<'a>,
        /// The end user's name.
        user: Text<'a>,
        /// Known and without counterpart.
        safety_identifier: IgnoredAny,
        /// Known and without counterpart.
        metadata: IgnoredAny,
        /// Known and without counterpart.
        store: IgnoredAny,
        /// Known and without counterpart.
        prompt_cache_retention: IgnoredAny,
        /// Known and without counterpart.
        prompt_cache_options: IgnoredAny,
        /// Known and without counterpart.
        moderation: IgnoredAny,
        /// Known and without counterpart: it changes the speed only.
        prediction: IgnoredAny,
    }
}

impl<'a> ChatRequest<'a> {
    /// Reads a body.
    ///
    /// # Errors
    /// 400 when the body is no JSON, a field has the wrong type, `model` or `messages` is missing, or there are no
    /// messages or too many.
    pub fn parse(body: &'a [u8]) -> Result<Self, ApiError> {
        let mut request: Self = json::parse(body)?;
        request.gather_extensions();
        request.forget_blanks();
        request.nest_tools();
        if request.model().is_empty() {
            return Err(ApiError::missing("model"));
        }
        match request.messages.as_deref() {
            None if request.unknown.iter().any(|name| name == "input") => Err(ApiError::invalid(
                Some("messages"),
                "missing_required_parameter",
                "Missing required parameter: 'messages'. A body with 'input' is a request of the Responses API, which \
                 this service does not have: send 'messages' to /v1/chat/completions.",
            )),
            None => Err(ApiError::missing("messages")),
            Some([]) => Err(ApiError::invalid(
                Some("messages"),
                "empty_array",
                "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead.",
            )),
            Some(messages) if messages.len() > MAX_MESSAGES => Err(ApiError::invalid(
                Some("messages"),
                "array_above_max_length",
                format!(
                    "Invalid 'messages': array too long. Expected an array with maximum length {MAX_MESSAGES}, but got \
                     an array with length {} instead.",
                    messages.len()
                ),
            )),
            Some(_) => Ok(request),
        }
    }

    /// Returns the model as the client names it.
    #[must_use]
    pub fn model(&self) -> &str {
        self.model.as_deref().unwrap_or_default()
    }

    /// Returns the conversation.
    #[must_use]
    pub fn messages(&self) -> &[Message<'a>] {
        self.messages.as_deref().unwrap_or_default()
    }

    /// Returns `true` if the response is to be streamed.
    #[must_use]
    pub fn stream(&self) -> bool {
        self.stream.unwrap_or_default()
    }

    /// Returns what requests of one conversation have in common, so that they may meet the same upstream cache.
    #[must_use]
    pub fn affinity(&self) -> Option<&str> {
        said(self.prompt_cache_key.as_ref()).or(said(self.user.as_ref()))
    }

    /// Puts the extensions that are alone at the top to the others.
    fn gather_extensions(&mut self) {
        let google = self.google.get_or_insert_default();
        google.thinking_config = google.thinking_config.take().or(self.thinking_config.take());
        google.cached_content = google.cached_content.take().or(self.cached_content.take());
        google.safety_settings = google.safety_settings.or(self.safety_settings);
        google.media_resolution = google.media_resolution.take().or(self.media_resolution.take());
        google.response_modalities = google.response_modalities.take().or(self.response_modalities.take());
    }

    /// Google's extensions: those under `extra_body` before those at the top.
    pub fn google(&self) -> impl Iterator<Item = &Google<'a>> {
        self.extra_body.iter().filter_map(|extra| extra.google.as_ref()).chain(&self.google)
    }
}

/// `stream_options`.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub struct StreamOptions {
    /// Whether a last chunk tells the token counts.
    pub include_usage: Option<bool>,
}

/// `response_format`, with the vendors' variants of where the schema is.
#[derive(Debug, Deserialize)]
pub struct ResponseFormat<'a> {
    /// `text`, `json_object`, `json_schema`.
    #[serde(borrow)]
    pub r#type: Text<'a>,
    /// The standard place of the schema.
    #[serde(borrow, default)]
    pub json_schema: Option<SchemaFormat<'a>>,
    /// A vendor's place.
    #[serde(borrow, default)]
    pub schema: Option<&'a RawValue>,
    /// Another vendor's place.
    #[serde(borrow, default)]
    pub response_schema: Option<&'a RawValue>,
}

/// `response_format.json_schema`.
#[derive(Debug, Deserialize)]
pub struct SchemaFormat<'a> {
    /// The schema's name.
    #[serde(borrow, default)]
    pub name: Option<Text<'a>>,
    /// What the schema is for.
    #[serde(borrow, default)]
    pub description: Option<Text<'a>>,
    /// The JSON schema itself.
    #[serde(borrow, default)]
    pub schema: Option<&'a RawValue>,
}

/// `audio`.
#[derive(Debug, Deserialize)]
pub struct AudioOptions<'a> {
    /// The voice, by OpenAI's or by Gemini's name.
    #[serde(borrow, default)]
    pub voice: Option<Text<'a>>,
    /// `wav`, `pcm16`.
    #[serde(borrow, default)]
    pub format: Option<Text<'a>>,
}

/// `thinking: {"type": "enabled", "budget_tokens": 1024}`.
#[derive(Debug, Deserialize)]
pub struct Thinking<'a> {
    /// `enabled` or `disabled`.
    #[serde(borrow, default)]
    pub r#type: Option<Text<'a>>,
    /// Limit in tokens.
    #[serde(default)]
    pub budget_tokens: Option<Budget>,
}

/// `reasoning: {"effort": "low", "max_tokens": 1024, "exclude": false, "enabled": true}`.
#[derive(Debug, Deserialize)]
pub struct Reasoning<'a> {
    /// As `reasoning_effort`.
    #[serde(borrow, default)]
    pub effort: Option<Text<'a>>,
    /// Limit in tokens.
    #[serde(default)]
    pub max_tokens: Option<Budget>,
    /// Think, but do not show.
    #[serde(default)]
    pub exclude: Option<bool>,
    /// Whether to think at all.
    #[serde(default)]
    pub enabled: Option<bool>,
}

/// `extra_body`, which Google's Python examples put into the body under its own name.
#[derive(Debug, Deserialize)]
pub struct ExtraBody<'a> {
    /// The extensions.
    #[serde(borrow, default)]
    pub google: Option<Google<'a>>,
}

/// Google's extensions, in snake case or camel case.
#[derive(Debug, Default, Deserialize)]
pub struct Google<'a> {
    /// How much to think.
    #[serde(borrow, default, alias = "thinkingConfig")]
    pub thinking_config: Option<ThinkingConfig<'a>>,
    /// `cachedContents/…`.
    #[serde(borrow, default, alias = "cachedContent")]
    pub cached_content: Option<Text<'a>>,
    /// As Gemini takes them.
    #[serde(borrow, default, alias = "safetySettings")]
    pub safety_settings: Option<&'a RawValue>,
    /// Shape and size of images.
    #[serde(borrow, default, alias = "imageConfig")]
    pub image_config: Option<ImageConfig<'a>>,
    /// `TEXT`, `IMAGE`, `AUDIO`.
    #[serde(borrow, default, alias = "responseModalities")]
    pub response_modalities: Option<Vec<Text<'a>>>,
    /// `MEDIA_RESOLUTION_LOW` and so on.
    #[serde(borrow, default, alias = "mediaResolution")]
    pub media_resolution: Option<Text<'a>>,
    /// As Gemini takes it.
    #[serde(borrow, default, alias = "speechConfig")]
    pub speech_config: Option<&'a RawValue>,
    /// As Gemini takes them, beside the client's own.
    #[serde(borrow, default)]
    pub tools: Option<Vec<&'a RawValue>>,
    /// As Gemini takes it, instead of `tool_choice`.
    #[serde(borrow, default, alias = "toolConfig")]
    pub tool_config: Option<&'a RawValue>,
    /// As Gemini takes them.
    #[serde(borrow, default)]
    pub labels: Option<&'a RawValue>,
    /// Whether Google may keep the exchange.
    #[serde(default)]
    pub store: Option<bool>,
    /// Continues a response that was truncated by the limit of one call.
    #[serde(borrow, default, alias = "continuationToken")]
    pub continuation_token: Option<Text<'a>>,
    /// As the request's own.
    #[serde(default, alias = "topK")]
    pub top_k: Option<Integer>,
}

/// `google.thinking_config`.
#[derive(Debug, Deserialize)]
pub struct ThinkingConfig<'a> {
    /// Whether thoughts are shown.
    #[serde(default, alias = "includeThoughts")]
    pub include_thoughts: Option<bool>,
    /// Limit in tokens.
    #[serde(default, alias = "thinkingBudget")]
    pub thinking_budget: Option<Budget>,
    /// `minimal`, `low`, `medium`, `high`.
    #[serde(borrow, default, alias = "thinkingLevel")]
    pub thinking_level: Option<Text<'a>>,
}

/// `image_config`.
#[derive(Debug, Deserialize)]
pub struct ImageConfig<'a> {
    /// `16:9` and the like.
    #[serde(borrow, default, alias = "aspectRatio")]
    pub aspect_ratio: Option<Text<'a>>,
    /// `1K`, `2K`, `4K`.
    #[serde(borrow, default, alias = "imageSize")]
    pub image_size: Option<Text<'a>>,
}

#[cfg(test)]
mod tests;
