//! A request ready to be sent to Gemini, and what reading its response needs to know of it.

use super::names::Names;
use super::schema::Shape;
use crate::gemini::Method;

/// A translated request.
#[derive(Debug, Clone)]
pub struct GeminiCall {
    /// One answer or a stream.
    pub method: Method,
    /// JSON.
    pub body: Vec<u8>,
    /// Names of ignored parameters, safe in a header (`x-pool-ignored-params`).
    pub ignored_params: Vec<String>,
    /// For the response.
    pub context: ResponseContext,
    /// How many calls with this body it takes: several when several choices are wanted of a model that gives one.
    pub copies: u32,
}

/// Returns the body of the call that continues a response: the same, and the token.
#[must_use]
pub fn resumed_body(body: &[u8], token: &str) -> Vec<u8> {
    let mut resumed = body.strip_suffix(b"}").unwrap_or(body).to_vec();
    resumed.extend_from_slice(b",\"continuationToken\":");
    resumed.extend_from_slice(&serde_json::to_vec(token).unwrap_or_default());
    resumed.push(b'}');
    resumed
}

/// What the translation of the response has to know about the request. It borrows nothing.
#[derive(Debug, Clone, Default)]
// Answers to questions that have nothing to do with each other.
#[allow(clippy::struct_excessive_bools)]
pub struct ResponseContext {
    /// Whether a last chunk tells the token counts.
    pub(crate) include_usage: bool,
    /// Whether a response truncated by the limit of one call is continued.
    pub(crate) resumes: bool,
    /// Whether the conversation ends in results of tools, to which the model may have nothing to add.
    pub(crate) follows_results: bool,
    /// Whether the request has stop sequences, of which one may be the first thing that the model writes.
    pub(crate) stops: bool,
    /// Whether a response without content is a whole turn.
    pub(crate) accepts_empty: bool,
    /// How calls are delivered.
    pub(crate) calls: CallStyle,
    /// Whether the response is to be JSON.
    pub(crate) json: bool,
    /// How that JSON differs from what the client declared.
    pub(crate) json_shape: Shape,
    /// Whether the response may name its sources.
    pub(crate) grounded: bool,
    /// How speech is to be delivered.
    pub(crate) audio_format: AudioFormat,
    /// Whether images are delivered in the text.
    pub(crate) images_in_text: bool,
    /// Whether a call's id carries its signature.
    pub(crate) signature_in_id: bool,
    /// Whether Gemini's ratings are delivered.
    pub(crate) native_details: bool,
    /// The client's names of its functions.
    pub(crate) names: Names,
}

impl ResponseContext {
    /// Returns `true` if a response truncated by the limit of one call is continued.
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
pub(crate) enum CallStyle {
    /// All of them, as `tool_calls`.
    #[default]
    Tools,
    /// The first one only: Gemini has no switch for `parallel_tool_calls: false`.
    FirstTool,
    /// The first one only, as `function_call`, for clients that used `functions`.
    Function,
}

impl CallStyle {
    /// Returns `true` if the client accepts one call only.
    pub(crate) fn is_limited_to_one(self) -> bool {
        self != Self::Tools
    }
}

/// How speech is delivered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum AudioFormat {
    /// A WAV file.
    #[default]
    Wav,
    /// Bare samples of 16 bits.
    Pcm16,
}
