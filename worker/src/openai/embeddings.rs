//! The body of `POST /v1/embeddings`.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::ApiError;
use super::json::{self, Integer, OneOrMany, Text, request_object};

/// `input`: one string, or an array of strings, token ids or arrays of those. What the members are is decided by
/// their first byte, so that the array's elements stay unread until then.
pub type EmbeddingInput<'a> = OneOrMany<'a, RawElement<'a>>;

/// One element of `input`, as it came.
#[derive(Debug, Deserialize)]
pub struct RawElement<'a>(#[serde(borrow)] pub &'a RawValue);

request_object! {
    /// An embeddings request.
    pub struct EmbeddingsRequest<'a> {
        /// The model as the caller names it; never absent after [`EmbeddingsRequest::parse`].
        model: Text<'a>,
        /// What to embed; never absent after [`EmbeddingsRequest::parse`].
        input: EmbeddingInput<'a>,
        /// How long the vectors are to be.
        dimensions: Integer,
        /// `float` or `base64`.
        encoding_format: Text<'a>,
        /// What the vectors are for, in Gemini's words.
        task_type = "taskType": Text<'a>,
        /// Title of the document, for Gemini.
        title: Text<'a>,
        /// Known and without counterpart.
        user: IgnoredAny,
    }
}

impl<'a> EmbeddingsRequest<'a> {
    /// Reads a body.
    ///
    /// # Errors
    /// 400 when the body is no JSON, a field has the wrong type, or `model` or `input` is missing.
    pub fn parse(body: &'a [u8]) -> Result<Self, ApiError> {
        let request: Self = json::parse(body)?;
        if request.model().is_empty() {
            return Err(ApiError::missing("model"));
        }
        if request.input.is_none() {
            return Err(ApiError::missing("input"));
        }
        Ok(request)
    }

    /// The model as the caller names it.
    #[must_use]
    pub fn model(&self) -> &str {
        self.model.as_deref().unwrap_or_default()
    }
}
