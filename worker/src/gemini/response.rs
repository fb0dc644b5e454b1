//! The answer of `:generateContent`, and one frame of `:streamGenerateContent`: the same shape.
//!
//! Every member may be absent; a default for each costs less than one for all of a struct. Texts and results stay as JSON until someone needs to look inside, so that a stream's
//! text goes from frame to frame untouched.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::openai::{RawText, Text};

/// An answer or a frame of one. `U` may be a raw value where most of them are thrown away unread.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GenerateResponse<'a, U = UsageMetadata<'a>> {
    /// Mostly one; none when the prompt was blocked.
    #[serde(borrow, default)]
    pub candidates: Vec<Candidate<'a>>,
    /// Why there is no candidate.
    #[serde(borrow)]
    pub prompt_feedback: Option<PromptFeedback<'a>>,
    /// Cumulative in streams: the last one counts.
    pub usage_metadata: Option<U>,
    /// The model that answered.
    #[serde(borrow)]
    pub model_version: Option<RawText<'a>>,
    /// The same in all frames of a stream.
    #[serde(borrow)]
    pub response_id: Option<RawText<'a>>,
    /// An error in place of a frame.
    #[serde(borrow)]
    pub error: Option<&'a RawValue>,
}

/// One answer among several.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Candidate<'a> {
    /// Absent means 0.
    pub index: Option<u32>,
    /// Absent when blocked, and in a stream's last frame.
    #[serde(borrow)]
    pub content: Option<AnsweredContent<'a>>,
    /// Why it ended; older models send `STOP` in every frame.
    #[serde(borrow)]
    pub finish_reason: Option<Text<'a>>,
    /// More about why.
    #[serde(borrow)]
    pub finish_message: Option<Text<'a>>,
    /// Sources of the text.
    #[serde(borrow)]
    pub grounding_metadata: Option<&'a RawValue>,
    /// URLs that were read.
    #[serde(borrow)]
    pub url_context_metadata: Option<&'a RawValue>,
    /// Texts that were recited.
    #[serde(borrow)]
    pub citation_metadata: Option<&'a RawValue>,
    /// How harmful Gemini finds it.
    #[serde(borrow)]
    pub safety_ratings: Option<&'a RawValue>,
    /// How sure the model was.
    #[serde(borrow)]
    pub avg_logprobs: Option<&'a RawValue>,
    /// Log probabilities.
    #[serde(borrow)]
    pub logprobs_result: Option<&'a RawValue>,
    /// To go on where the limit of one call has cut.
    #[serde(borrow)]
    pub continuation_token: Option<Text<'a>>,
}

/// What was said.
#[derive(Debug, Default, Deserialize)]
pub struct AnsweredContent<'a> {
    /// In order.
    #[serde(borrow, default)]
    pub parts: Vec<AnswerPart<'a>>,
}

/// One part. At most one of the kinds is there; a part of an unknown kind has none.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AnswerPart<'a> {
    /// Text.
    #[serde(borrow)]
    pub text: Option<RawText<'a>>,
    /// Whether it is a thought.
    #[serde(default)]
    pub thought: bool,
    /// To be sent back with the part.
    #[serde(borrow)]
    pub thought_signature: Option<Text<'a>>,
    /// A call of one of the caller's functions.
    #[serde(borrow)]
    pub function_call: Option<AnsweredCall<'a>>,
    /// A picture, sound.
    #[serde(borrow)]
    pub inline_data: Option<AnsweredBlob<'a>>,
    /// A stored file.
    #[serde(borrow)]
    pub file_data: Option<AnsweredFile<'a>>,
    /// Code that Gemini runs.
    #[serde(borrow)]
    pub executable_code: Option<&'a RawValue>,
    /// What came out.
    #[serde(borrow)]
    pub code_execution_result: Option<&'a RawValue>,
    /// A call of one of Gemini's own tools.
    #[serde(borrow)]
    pub tool_call: Option<&'a RawValue>,
    /// Its result.
    #[serde(borrow)]
    pub tool_response: Option<&'a RawValue>,
}

/// A call of one of the caller's functions.
#[derive(Debug, Default, Deserialize)]
pub struct AnsweredCall<'a> {
    /// Newer models name their calls.
    #[serde(borrow)]
    pub id: Option<Text<'a>>,
    /// The function.
    #[serde(borrow, default)]
    pub name: Text<'a>,
    /// A JSON object.
    #[serde(borrow)]
    pub args: Option<&'a RawValue>,
}

/// Bytes.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AnsweredBlob<'a> {
    /// `image/png`
    #[serde(borrow, default)]
    pub mime_type: Text<'a>,
    /// Standard base64.
    #[serde(borrow, default)]
    pub data: Text<'a>,
}

/// A stored file.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AnsweredFile<'a> {
    /// Where it is.
    #[serde(borrow, default)]
    pub file_uri: Text<'a>,
}

/// Why a prompt was not answered.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PromptFeedback<'a> {
    /// `SAFETY` and so on.
    #[serde(borrow)]
    pub block_reason: Option<Text<'a>>,
    /// For people.
    #[serde(borrow)]
    pub block_reason_message: Option<Text<'a>>,
}

/// What it took.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UsageMetadata<'a> {
    /// Tokens in, cached ones included.
    pub prompt_token_count: Option<u64>,
    /// Of those, from the cache.
    pub cached_content_token_count: Option<u64>,
    /// Tokens out, thoughts excluded (but see [`crate::translate::Usage`]).
    pub candidates_token_count: Option<u64>,
    /// Thoughts.
    pub thoughts_token_count: Option<u64>,
    /// Tokens in that came from Gemini's own tools.
    pub tool_use_prompt_token_count: Option<u64>,
    /// All.
    pub total_token_count: Option<u64>,
    /// Kinds of tokens in.
    #[serde(borrow)]
    pub prompt_tokens_details: Option<Vec<ModalityCount<'a>>>,
    /// Kinds of tokens out.
    #[serde(borrow)]
    pub candidates_tokens_details: Option<Vec<ModalityCount<'a>>>,
    /// `standard`, `flex`, `priority`
    #[serde(borrow)]
    pub service_tier: Option<Text<'a>>,
}

/// How many tokens of one kind.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ModalityCount<'a> {
    /// `TEXT`, `IMAGE`, `AUDIO`, `VIDEO`, `DOCUMENT`
    #[serde(borrow, default)]
    pub modality: Text<'a>,
    /// How many.
    #[serde(default)]
    pub token_count: u64,
}
