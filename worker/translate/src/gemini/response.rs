//! The response of `:generateContent`, and one frame of `:streamGenerateContent`.
//!
//! Every member may be missing; a default per member costs less than one for the whole struct. Texts and
//! results stay raw JSON until they are needed, so that text is copied from frame to frame unparsed.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::json::{RawText, Text};

/// A response or a frame of one. `U` may be a raw value where most of them are thrown away unread.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GenerateResponse<'a, U = UsageMetadata<'a>> {
    /// Mostly one; none when the prompt was blocked.
    #[serde(borrow, default, deserialize_with = "list")]
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
    /// Continues a response that was truncated by the limit of one call.
    #[serde(borrow)]
    pub continuation_token: Option<Text<'a>>,
}

/// What was said.
#[derive(Debug, Default, Deserialize)]
pub struct AnsweredContent<'a> {
    /// In order.
    #[serde(borrow, default, deserialize_with = "list")]
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
    #[serde(default, deserialize_with = "or_default")]
    pub thought: bool,
    /// To be sent back with the part.
    #[serde(borrow)]
    pub thought_signature: Option<Text<'a>>,
    /// A call of one of the client's functions.
    #[serde(borrow)]
    pub function_call: Option<AnsweredCall<'a>>,
    /// An image, sound.
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

/// A call of one of the client's functions.
#[derive(Debug, Default, Deserialize)]
pub struct AnsweredCall<'a> {
    /// Newer models name their calls.
    #[serde(borrow)]
    pub id: Option<Text<'a>>,
    /// The function; empty where the part continues the call before it.
    #[serde(borrow, default, deserialize_with = "or_default")]
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
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub mime_type: Text<'a>,
    /// Standard base64.
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub data: Text<'a>,
}

/// A stored file.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AnsweredFile<'a> {
    /// Where it is.
    #[serde(borrow, default, deserialize_with = "or_default")]
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
    #[serde(default, deserialize_with = "count")]
    pub prompt_token_count: Option<u64>,
    /// Of those, from the cache.
    #[serde(default, deserialize_with = "count")]
    pub cached_content_token_count: Option<u64>,
    /// Tokens out, thoughts excluded (but see [`crate::Usage`]).
    #[serde(default, deserialize_with = "count")]
    pub candidates_token_count: Option<u64>,
    /// Thoughts.
    #[serde(default, deserialize_with = "count")]
    pub thoughts_token_count: Option<u64>,
    /// Tokens in that came from Gemini's own tools.
    #[serde(default, deserialize_with = "count")]
    pub tool_use_prompt_token_count: Option<u64>,
    /// All.
    #[serde(default, deserialize_with = "count")]
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
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub modality: Text<'a>,
    /// How many.
    #[serde(default, deserialize_with = "count")]
    pub token_count: Option<u64>,
}

/// `null` is what is absent.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Returns a list, or `null`; of its elements those that are not `null`.
fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    struct ListVisitor<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for ListVisitor<T> {
        type Value = Vec<T>;

        fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
            formatter.write_str("a list")
        }

        fn visit_unit<E: de::Error>(self) -> Result<Vec<T>, E> {
            Ok(Vec::new())
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<T>, A::Error> {
            let mut list = Vec::new();
            while let Some(item) = items.next_element::<Option<T>>()? {
                list.extend(item);
            }
            Ok(list)
        }
    }

    deserializer.deserialize_any(ListVisitor(PhantomData))
}

/// Returns a number of tokens. What is none counts as absent: a response is not lost for a count.
fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    struct CountVisitor;

    impl Visitor<'_> for CountVisitor {
        type Value = Option<u64>;

        fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
            formatter.write_str("a number")
        }

        fn visit_unit<E: de::Error>(self) -> Result<Option<u64>, E> {
            Ok(None)
        }

        fn visit_u64<E: de::Error>(self, value: u64) -> Result<Option<u64>, E> {
            Ok(Some(value))
        }

        fn visit_i64<E: de::Error>(self, value: i64) -> Result<Option<u64>, E> {
            Ok(u64::try_from(value).ok())
        }

        fn visit_f64<E: de::Error>(self, value: f64) -> Result<Option<u64>, E> {
            // Saturates; what is below zero is none.
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            Ok((value >= 0.0).then_some(value as u64))
        }

        fn visit_str<E: de::Error>(self, value: &str) -> Result<Option<u64>, E> {
            Ok(value.parse().ok())
        }
    }

    deserializer.deserialize_any(CountVisitor)
}
