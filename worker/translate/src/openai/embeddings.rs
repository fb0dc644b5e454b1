//! The body of `POST /v1/embeddings`.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::error::ApiError;
use crate::json::{self, Integer, JsonError, OneOrMany, Text, request_object};

/// `input`: one string, or an array of strings, token ids or arrays of those. What the members are is decided by
/// their first byte, so that the array's elements stay unread until then.
pub type EmbeddingInput<'a> = OneOrMany<'a, RawElement<'a>>;

/// One element of `input`, as it came.
#[derive(Debug, Deserialize)]
pub struct RawElement<'a>(#[serde(borrow)] pub &'a RawValue);

request_object! {
    /// An embeddings request.
    pub struct EmbeddingsRequest<'a> {
        /// The model as the client names it; never absent after [`EmbeddingsRequest::parse`].
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
        let request: Self = json::parse(body).map_err(|error| {
            // What would be rejected anyway, whatever its length, is rejected for that.
            if error == JsonError::TooManyValues && begins_with_tokens(body) {
                token_arrays_unsupported()
            } else {
                error.into()
            }
        })?;
        if request.model().is_empty() {
            return Err(ApiError::missing("model"));
        }
        if request.input.is_none() {
            return Err(ApiError::missing("input"));
        }
        Ok(request)
    }

    /// Returns the model as the client names it.
    #[must_use]
    pub fn model(&self) -> &str {
        self.model.as_deref().unwrap_or_default()
    }
}

/// 400: `input` holds token ids.
#[must_use]
pub fn token_arrays_unsupported() -> ApiError {
    ApiError::invalid_value(
        "input",
        "Invalid 'input': token arrays are not supported, Gemini embeds text. With LangChain set \
         check_embedding_ctx_length=False.",
    )
}

/// Returns `true` if the first thing in `input` is a number.
fn begins_with_tokens(body: &[u8]) -> bool {
    const INPUT: &[u8] = b"\"input\"";
    let Some(at) = memchr::memmem::find(body, INPUT) else { return false };
    let after = body.get(at + INPUT.len()..).unwrap_or_default();
    let is_around = |byte: &&u8| byte.is_ascii_whitespace() || matches!(**byte, b':' | b'[');
    after.iter().find(|byte| !is_around(byte)).is_some_and(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::bounds::MAX_ELEMENTS;

    #[test]
    fn token_ids_are_refused_as_such_however_many_there_are() {
        let tokens = vec!["1"; MAX_ELEMENTS + 1].join(",");
        for input in [format!("[{tokens}]"), format!(" [ [ {tokens} ] ]")] {
            let body = format!(r#"{{"model":"gemini-embedding-001","input":{input}}}"#);
            assert_eq!(EmbeddingsRequest::parse(body.as_bytes()).unwrap_err(), token_arrays_unsupported());
        }
        let texts = vec![r#""a""#; MAX_ELEMENTS + 1].join(",");
        let body = format!(r#"{{"model":"gemini-embedding-001","input":[{texts}]}}"#);
        let error = EmbeddingsRequest::parse(body.as_bytes()).unwrap_err();
        assert_eq!((error.status.as_u16(), error.code), (400, Some("request_too_large")));
    }
}
