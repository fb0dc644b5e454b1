//! Responses: completions, stream deltas and embeddings.
//!
//! Optional members are omitted, never `null`, unless OpenAI always sends them: strict clients fail on
//! either.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::json::Fragment;

/// The response of `POST /v1/chat/completions` without `stream`.
#[derive(Debug, Serialize)]
pub struct ChatCompletion<'a> {
    /// `chatcmpl-…`
    pub id: &'a str,
    /// `chat.completion`
    pub object: &'static str,
    /// Unix seconds.
    pub created: u64,
    /// The model that answered.
    pub model: &'a str,
    /// By index.
    pub choices: Vec<Choice<'a>>,
    /// Left out when the upstream did not count: zeros would be a lie.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<UsageBody>,
    /// `default`, `flex`, `priority`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_tier: Option<Cow<'a, str>>,
}

/// One answer among several.
#[derive(Debug, Serialize)]
pub struct Choice<'a> {
    /// From 0.
    pub index: u32,
    /// What was said.
    pub message: MessageAnswer<'a>,
    /// Always there, mostly `null`.
    pub logprobs: Option<LogProbs<'a>>,
    /// `stop`, `length`, `tool_calls`, `function_call`, `content_filter`.
    pub finish_reason: &'static str,
    /// Gemini's own reason when it says more than `stop`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub native_finish_reason: Option<Cow<'a, str>>,
}

/// The assistant's message.
#[derive(Debug, Default, Serialize)]
pub struct MessageAnswer<'a> {
    /// `assistant`
    pub role: &'static str,
    /// `null` beside tool calls or images and when blocked, `""` when the response is empty.
    pub content: Option<Fragment<'a>>,
    /// Why nothing was said.
    pub refusal: Option<Cow<'a, str>>,
    /// The model's thoughts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_content: Option<Fragment<'a>>,
    /// What to call.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCallAnswer<'a>>,
    /// What to call, for clients that used `functions`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub function_call: Option<FunctionCallAnswer<'a>>,
    /// Images.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<ImageAnswer<'a>>,
    /// Speech.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio: Option<AudioAnswer<'a>>,
    /// Sources.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub annotations: Vec<Annotation<'a>>,
    /// What OpenAI has no place for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extra_content: Option<ExtraContent<'a>>,
}

/// What one stream event adds to a message, but for text, which is most of it and written by hand.
#[derive(Debug, Default, Serialize)]
pub struct Delta<'a> {
    /// In the first event only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<&'static str>,
    /// Why nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<&'a str>,
    /// A call, whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_calls: Option<[ToolCallAnswer<'a>; 1]>,
    /// A call, whole, for clients that used `functions`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub function_call: Option<FunctionCallAnswer<'a>>,
    /// An image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub images: Option<[ImageAnswer<'a>; 1]>,
    /// More speech.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio: Option<AudioAnswer<'a>>,
    /// Sources, all at once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub annotations: Vec<Annotation<'a>>,
    /// What OpenAI has no place for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extra_content: Option<ExtraContent<'a>>,
}

/// A tool call.
#[derive(Debug, Serialize)]
pub struct ToolCallAnswer<'a> {
    /// Its place among the message's calls, in streams only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<u32>,
    /// What the tool's message has to name.
    pub id: Cow<'a, str>,
    /// `function` or `custom`.
    pub r#type: &'static str,
    /// For `function`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub function: Option<FunctionCallAnswer<'a>>,
    /// For `custom`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custom: Option<CustomCallAnswer<'a>>,
    /// The thought signature.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extra_content: Option<ExtraContent<'a>>,
}

/// A called function.
#[derive(Debug, Serialize)]
pub struct FunctionCallAnswer<'a> {
    /// Its name.
    pub name: Cow<'a, str>,
    /// JSON as text.
    pub arguments: Cow<'a, str>,
}

/// A called tool of free text.
#[derive(Debug, Serialize)]
pub struct CustomCallAnswer<'a> {
    /// Its name.
    pub name: Cow<'a, str>,
    /// Its input.
    pub input: Cow<'a, str>,
}

/// An image.
#[derive(Debug, Serialize)]
pub struct ImageAnswer<'a> {
    /// `image_url`
    pub r#type: &'static str,
    /// Its place among the images.
    pub index: u32,
    /// The image.
    pub image_url: ImageUrlAnswer,
    /// Its thought signature.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extra_content: Option<ExtraContent<'a>>,
}

/// The URL of an image.
#[derive(Debug, Serialize)]
pub struct ImageUrlAnswer {
    /// `data:…;base64,…`
    pub url: String,
}

/// Speech.
#[derive(Debug, Serialize)]
pub struct AudioAnswer<'a> {
    /// `audio_…`
    pub id: Cow<'a, str>,
    /// Base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Cow<'a, str>>,
    /// Unix seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<u64>,
    /// What was said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transcript: Option<Cow<'a, str>>,
}

/// A source of a piece of the text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Annotation<'a> {
    /// Its place, in streams only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<u32>,
    /// `url_citation`
    pub r#type: &'static str,
    /// The source.
    pub url_citation: UrlCitation<'a>,
}

/// Where something is from, and which characters of the content it is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UrlCitation<'a> {
    /// The source.
    pub url: Cow<'a, str>,
    /// Its title, or `""`.
    pub title: Cow<'a, str>,
    /// In Unicode code points.
    pub start_index: usize,
    /// In Unicode code points, exclusive.
    pub end_index: usize,
}

/// `extra_content`, as Google's own OpenAI endpoint has it.
#[derive(Debug, Default, Serialize)]
pub struct ExtraContent<'a> {
    /// Google's part.
    pub google: GoogleExtra<'a>,
}

/// What Gemini said that OpenAI has no place for.
#[derive(Debug, Default, Serialize)]
pub struct GoogleExtra<'a> {
    /// To be sent back with the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thought_signature: Option<Cow<'a, str>>,
    /// Code that Gemini ran, and what came out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub code_execution: Vec<Box<RawValue>>,
    /// Calls of Gemini's own tools, to be sent back with the message.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub server_tool_parts: Vec<Box<RawValue>>,
    /// As Gemini gave it; it holds the search suggestions that must be displayed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grounding_metadata: Option<Box<RawValue>>,
    /// As Gemini gave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url_context_metadata: Option<Box<RawValue>>,
    /// As Gemini gave them, in pools that enable it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub safety_ratings: Option<Box<RawValue>>,
    /// As Gemini gave it, in pools that enable it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub avg_logprobs: Option<Box<RawValue>>,
    /// How many different searches were made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub web_search_requests: Option<usize>,
    /// Continues a response that was truncated by the limit of one call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub continuation_token: Option<Cow<'a, str>>,
}

impl<'a> GoogleExtra<'a> {
    /// Returns an extra with nothing but a signature.
    #[must_use]
    pub fn signed(signature: Cow<'a, str>) -> Self {
        Self { thought_signature: Some(signature), ..Self::default() }
    }

    /// Returns the extra as a member, unless it is empty.
    #[must_use]
    pub fn into_content(self) -> Option<ExtraContent<'a>> {
        let empty = self.thought_signature.is_none()
            && self.code_execution.is_empty()
            && self.server_tool_parts.is_empty()
            && self.grounding_metadata.is_none()
            && self.url_context_metadata.is_none()
            && self.safety_ratings.is_none()
            && self.avg_logprobs.is_none()
            && self.web_search_requests.is_none()
            && self.continuation_token.is_none();
        (!empty).then_some(ExtraContent { google: self })
    }
}

/// `logprobs`.
#[derive(Debug, Serialize)]
pub struct LogProbs<'a> {
    /// One for each token of the content.
    pub content: Vec<LogProb<'a>>,
    /// Always `null`: Gemini gives none.
    pub refusal: Option<Vec<LogProb<'a>>>,
}

/// A token that was chosen.
#[derive(Debug, Serialize)]
pub struct LogProb<'a> {
    /// As text.
    pub token: Cow<'a, str>,
    /// Natural logarithm.
    pub logprob: f64,
    /// The text in UTF-8.
    pub bytes: Vec<u8>,
    /// What else could have been chosen.
    pub top_logprobs: Vec<TopLogProb<'a>>,
}

/// A token that could have been chosen.
#[derive(Debug, Serialize)]
pub struct TopLogProb<'a> {
    /// As text.
    pub token: Cow<'a, str>,
    /// Natural logarithm.
    pub logprob: f64,
    /// The text in UTF-8.
    pub bytes: Vec<u8>,
}

/// `usage` of a chat completion.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct UsageBody {
    /// Tokens in.
    pub prompt_tokens: u64,
    /// Tokens out, reasoning included.
    pub completion_tokens: u64,
    /// Both.
    pub total_tokens: u64,
    /// Kinds of tokens in.
    pub prompt_tokens_details: PromptDetails,
    /// Kinds of tokens out.
    pub completion_tokens_details: CompletionDetails,
}

/// Kinds of tokens in.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct PromptDetails {
    /// Read from a cache; counted in `prompt_tokens` too.
    pub cached_tokens: u64,
    /// Audio.
    pub audio_tokens: u64,
    /// Text, when the upstream tells kinds apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text_tokens: Option<u64>,
    /// Images, when the upstream tells kinds apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_tokens: Option<u64>,
}

/// Kinds of tokens out.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct CompletionDetails {
    /// Thoughts; counted in `completion_tokens` too.
    pub reasoning_tokens: u64,
    /// Audio.
    pub audio_tokens: u64,
    /// Text, when the upstream tells kinds apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text_tokens: Option<u64>,
    /// Images, when the upstream tells kinds apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_tokens: Option<u64>,
}

/// The response of `POST /v1/embeddings`.
#[derive(Debug, Serialize)]
pub struct EmbeddingList<'a> {
    /// `list`
    pub object: &'static str,
    /// In the order of the inputs.
    pub data: Vec<EmbeddingRow>,
    /// The model as the client named it.
    pub model: &'a str,
    /// What it took.
    pub usage: EmbeddingUsage,
}

/// One vector.
#[derive(Debug, Serialize)]
pub struct EmbeddingRow {
    /// `embedding`
    pub object: &'static str,
    /// From 0.
    pub index: usize,
    /// Numbers, or base64.
    pub embedding: Embedding,
}

/// A vector, in the form that was asked for.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Embedding {
    /// JSON numbers.
    Floats(Vec<f32>),
    /// Little-endian 32-bit floats in base64.
    Base64(String),
}

/// `usage` of embeddings.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct EmbeddingUsage {
    /// Tokens in.
    pub prompt_tokens: u64,
    /// The same.
    pub total_tokens: u64,
}
