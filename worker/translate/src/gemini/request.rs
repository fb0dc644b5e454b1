//! The body of `:generateContent` and `:streamGenerateContent`. Members that are empty are left out.

mod tools;
mod write;

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::json::Fragment;
pub use crate::json::escape::Base64;
pub use tools::{CallingConfig, CallingMode, FunctionDeclaration, Tool, ToolConfig};

/// A request. The model is in the path. [`GenerateRequest::write`] makes a body of it.
#[derive(Debug, Default)]
pub struct GenerateRequest<'a> {
    /// The conversation; never empty.
    pub contents: Vec<Content<'a>>,
    /// What the model is told beforehand.
    pub system_instruction: Option<SystemInstruction<'a>>,
    /// Everything else.
    pub settings: RequestSettings<'a>,
}

/// What a request says besides the conversation.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestSettings<'a> {
    /// What the model may call.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<Tool<'a>>,
    /// What it must or must not call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_config: Option<ToolConfig<'a>>,
    /// What is to be blocked; Gemini's defaults when empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub safety_settings: Option<Cow<'a, RawValue>>,
    /// Everything else.
    #[serde(skip_serializing_if = "GenerationConfig::is_empty")]
    pub generation_config: GenerationConfig<'a>,
    /// `cachedContents/…`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cached_content: Option<&'a str>,
    /// `standard`, `flex`, `priority`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_tier: Option<&'static str>,
    /// Whether Google may keep the exchange.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store: Option<bool>,
    /// For the bill.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<&'a RawValue>,
    /// Continues a response that was truncated by the limit of one call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub continuation_token: Option<&'a str>,
}

/// One turn.
#[derive(Debug)]
pub struct Content<'a> {
    /// Whose.
    pub role: Role,
    /// Never empty.
    pub parts: Vec<Part<'a>>,
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The client, results of its tools included.
    User,
    /// Gemini.
    Model,
}

/// A content without a role.
#[derive(Debug)]
pub struct SystemInstruction<'a> {
    /// Never empty.
    pub parts: Vec<Part<'a>>,
}

/// One part of a turn.
#[derive(Debug)]
pub struct Part<'a> {
    /// What it is.
    pub data: PartData<'a>,
    /// What proves that the model itself said this.
    pub thought_signature: Option<Cow<'a, str>>,
    /// How closely to look at it.
    pub media_resolution: Option<MediaResolution>,
    /// Which piece of a video.
    pub video_metadata: Option<&'a RawValue>,
}

impl<'a> Part<'a> {
    /// Returns a part of text.
    #[must_use]
    pub fn text(text: impl Into<Fragment<'a>>) -> Self {
        PartData::Text(text.into()).into()
    }
}

impl<'a> From<PartData<'a>> for Part<'a> {
    fn from(data: PartData<'a>) -> Self {
        Self { data, thought_signature: None, media_resolution: None, video_metadata: None }
    }
}

/// The kinds of parts.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum PartData<'a> {
    /// Text.
    Text(Fragment<'a>),
    /// Anything else, in the request itself.
    InlineData(Blob<'a>),
    /// Anything else, by its URI.
    FileData(FileData<'a>),
    /// A call by the model.
    FunctionCall(FunctionCall<'a>),
    /// Its result.
    FunctionResponse(FunctionResponse<'a>),
}

/// Bytes.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Blob<'a> {
    /// `image/png`
    pub mime_type: Cow<'a, str>,
    /// Standard base64.
    pub data: Base64<'a>,
}

impl Blob<'_> {
    /// Returns the same, borrowing nothing.
    #[must_use]
    pub fn into_owned(self) -> Blob<'static> {
        Blob { mime_type: Cow::Owned(self.mime_type.into_owned()), data: self.data.into_owned() }
    }
}

/// A stored file.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FileData<'a> {
    /// Google may know it by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mime_type: Option<Cow<'a, str>>,
    /// Of the Files API, or a video on `YouTube`.
    pub file_uri: Cow<'a, str>,
}

/// A call by the model.
#[derive(Debug, Serialize)]
pub struct FunctionCall<'a> {
    /// For models that have ids.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<Cow<'a, str>>,
    /// The function.
    pub name: Cow<'a, str>,
    /// A JSON object, its text kept.
    pub args: Cow<'a, RawValue>,
}

/// The result of a call.
#[derive(Debug, Serialize)]
pub struct FunctionResponse<'a> {
    /// For models that have ids.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<Cow<'a, str>>,
    /// The function.
    pub name: Cow<'a, str>,
    /// A JSON object.
    pub response: Cow<'a, RawValue>,
    /// Images and the like that belong to the result.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<FunctionResponsePart<'a>>,
}

/// An image and the like that belongs to a result.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum FunctionResponsePart<'a> {
    /// In the request itself.
    InlineData(Blob<'a>),
    /// By its URI.
    FileData(FileData<'a>),
}

/// `mediaResolution` of one part.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct MediaResolution {
    /// `MEDIA_RESOLUTION_HIGH`
    pub level: &'static str,
}

/// `generationConfig`.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GenerationConfig<'a> {
    /// 0 to 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
    /// From 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_k: Option<u32>,
    /// 2 to 8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub candidate_count: Option<u32>,
    /// From 1; thoughts count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u64>,
    /// At most 5.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stop_sequences: Vec<&'a str>,
    /// -2 to 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub presence_penalty: Option<f64>,
    /// -2 to 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frequency_penalty: Option<f64>,
    /// 32 bits, signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<i32>,
    /// Whether to return log probabilities.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_logprobs: Option<bool>,
    /// How many alternatives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logprobs: Option<u32>,
    /// `application/json`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_mime_type: Option<&'static str>,
    /// JSON schema of the response.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_json_schema: Option<Box<RawValue>>,
    /// The older `OpenAPI` subset; never beside the JSON schema.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_schema: Option<Box<RawValue>>,
    /// `TEXT`, `IMAGE`, `AUDIO`
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub response_modalities: Vec<&'static str>,
    /// The voice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speech_config: Option<SpeechConfig<'a>>,
    /// `MEDIA_RESOLUTION_LOW` and so on, for all media at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub media_resolution: Option<Cow<'a, str>>,
    /// How much to think.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thinking_config: Option<ThinkingConfig>,
    /// Shape and size of images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_config: Option<ImageConfig<'a>>,
}

impl GenerationConfig<'_> {
    /// Returns `true` if it says nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let numbers = [self.temperature, self.top_p, self.presence_penalty, self.frequency_penalty];
        numbers.iter().all(Option::is_none)
            && self.top_k.is_none()
            && self.candidate_count.is_none()
            && self.max_output_tokens.is_none()
            && self.stop_sequences.is_empty()
            && self.seed.is_none()
            && self.response_logprobs.is_none()
            && self.logprobs.is_none()
            && self.response_mime_type.is_none()
            && self.response_json_schema.is_none()
            && self.response_schema.is_none()
            && self.response_modalities.is_empty()
            && self.speech_config.is_none()
            && self.media_resolution.is_none()
            && self.thinking_config.is_none()
            && self.image_config.is_none()
    }
}

/// `thinkingConfig`: a budget or a level, never both.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ThinkingConfig {
    /// Tokens; 0 is off, -1 is up to the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thinking_budget: Option<i32>,
    /// `minimal`, `low`, `medium`, `high`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thinking_level: Option<&'static str>,
    /// Whether thoughts are shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub include_thoughts: Option<bool>,
}

/// `imageConfig`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageConfig<'a> {
    /// `16:9`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aspect_ratio: Option<&'a str>,
    /// `2K`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_size: Option<&'a str>,
}

/// `speechConfig`.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum SpeechConfig<'a> {
    /// As the client wrote it.
    Raw(&'a RawValue),
    /// One of Gemini's voices.
    #[serde(rename_all = "camelCase")]
    Voice {
        /// The voice.
        voice_config: VoiceConfig<'a>,
    },
}

/// `voiceConfig`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VoiceConfig<'a> {
    /// The voice.
    pub prebuilt_voice_config: PrebuiltVoice<'a>,
}

/// `prebuiltVoiceConfig`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PrebuiltVoice<'a> {
    /// `Kore`
    pub voice_name: Cow<'a, str>,
}
