//! OpenAI embeddings requests as batches of at most 100 texts for Gemini, and the response in the order
//! of the inputs. No input is lost or merged with another.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use crate::answer::failure::{AnswerError, SoftFailure};
use crate::answer::usage::Usage;
use crate::chat::request::parameters::{at_least, at_most};
use crate::error::ApiError;
use crate::gemini::{
    BatchEmbedRequest, BatchEmbedResponse, EmbedContent, EmbedRequest, EmbedText, ModelId, Vector,
};
use crate::json::{self, Text};
use crate::openai::{
    Embedding, EmbeddingInput, EmbeddingList, EmbeddingRow, EmbeddingUsage, EmbeddingsRequest,
    token_arrays_unsupported,
};
use crate::request::ignored_params::IgnoredParams;
use crate::request::words;

/// "at most 100 requests can be in one batch"
const BATCH: usize = 100;
/// OpenAI's limit of inputs.
const MAX_INPUTS: usize = 2048;

/// How long a number of a vector is as text, with a comma.
const DIGITS: usize = 13;
/// What is around the numbers of a list.
const ROOM_FOR_NAMES: usize = 256;

/// What to send, and how to read what comes back.
#[derive(Debug, Clone)]
pub struct EmbeddingsPlan {
    /// Bodies of `:batchEmbedContents`, to be sent with one key, their answers in this order.
    pub batches: Vec<Bytes>,
    /// Names of ignored parameters, safe in a header (`x-pool-ignored-params`).
    pub ignored_params: Vec<String>,
    sizes: Vec<usize>,
    /// Bytes of all inputs, for an estimate where Gemini does not count.
    input_bytes: Vec<usize>,
    base64: bool,
    normalise: bool,
}

/// Plans the upstream calls.
///
/// # Errors
/// 400 for inputs that Gemini could not embed: none, empty ones, token ids.
pub fn embeddings_plan(request: &EmbeddingsRequest<'_>, model: &ModelId) -> Result<EmbeddingsPlan, ApiError> {
    let texts = texts(request)?;
    let first_generation = model.as_str() == "gemini-embedding-001";
    let mut ignored = IgnoredParams::default();
    for name in &request.unknown {
        ignored.add(name);
    }
    let task_type = request.task_type.as_deref();
    // The second generation has no task types; it returns 400 to them.
    let second_generation = model.as_str().starts_with("gemini-embedding-2");
    ignored.add_if(second_generation && task_type.is_some(), "task_type");
    let task_type = task_type.filter(|text| !second_generation && !text.trim().is_empty());
    let task_type = task_type.map(|text| words::task_type("task_type", text)).transpose()?;
    let title = request.title.as_deref();
    ignored.add_if(second_generation && title.is_some(), "title");
    let title = title.filter(|_| !second_generation);
    let resource = model.resource();
    let output_dimensionality = dimensions(request)?;
    let batches: Result<Vec<_>, _> = texts
        .chunks(BATCH)
        .map(|texts| {
            let request = |text| EmbedRequest {
                model: &resource,
                content: EmbedContent { parts: [EmbedText { text }] },
                output_dimensionality,
                task_type,
                title,
            };
            let requests = texts.iter().map(|text| request(text)).collect();
            serde_json::to_vec(&BatchEmbedRequest { requests }).map(Bytes::from)
        })
        .collect();
    Ok(EmbeddingsPlan {
        batches: batches.map_err(|_| ApiError::invalid_json())?,
        ignored_params: ignored.into_names(),
        sizes: texts.chunks(BATCH).map(<[_]>::len).collect(),
        input_bytes: texts.chunks(BATCH).map(|texts| texts.iter().map(|text| text.len()).sum()).collect(),
        base64: wants_base64(request)?,
        // Only the full length comes out of the first generation as a unit vector.
        normalise: first_generation && output_dimensionality.is_some_and(|length| length != 3072),
    })
}

fn texts<'r>(request: &'r EmbeddingsRequest<'_>) -> Result<Vec<Text<'r>>, ApiError> {
    let invalid = |message: &str| ApiError::invalid_value("input", message);
    let texts: Vec<Text<'r>> = match &request.input {
        None => return Err(ApiError::missing("input")),
        Some(EmbeddingInput::One(text)) => vec![Text((&*text.0).into())],
        Some(EmbeddingInput::Many(elements)) => {
            let read = |raw: &'r str| match raw.as_bytes().first() {
                Some(b'"') => {
                    serde_json::from_str::<Text>(raw).map_err(|_| invalid("Invalid 'input': not a string."))
                }
                Some(b'[' | b'0'..=b'9') => Err(token_arrays_unsupported()),
                _ => Err(invalid("Invalid 'input': expected a string or an array of strings.")),
            };
            elements.iter().map(|element| read(element.0.get())).collect::<Result<_, _>>()?
        }
    };
    if texts.is_empty() || texts.iter().any(|text| text.is_empty()) {
        return Err(invalid("Invalid 'input': input cannot be an empty string or an empty array."));
    }
    if texts.len() > MAX_INPUTS {
        let message = format!("Invalid 'input': array too long. Expected at most {MAX_INPUTS} inputs.");
        return Err(ApiError::invalid(Some("input"), "array_above_max_length", message));
    }
    Ok(texts)
}

fn dimensions(request: &EmbeddingsRequest<'_>) -> Result<Option<u32>, ApiError> {
    let Some(dimensions) = request.dimensions else { return Ok(None) };
    at_least("dimensions", dimensions, 1)?;
    at_most("dimensions", dimensions, 3072)?;
    Ok(u32::try_from(dimensions.0).ok())
}

fn wants_base64(request: &EmbeddingsRequest<'_>) -> Result<bool, ApiError> {
    match request.encoding_format.as_deref() {
        None | Some("float") => Ok(false),
        Some("base64") => Ok(true),
        Some(_) => Err(ApiError::invalid_value(
            "encoding_format",
            "Invalid value for 'encoding_format'. Supported values are: 'float' and 'base64'.",
        )),
    }
}

/// The vectors of one batch.
#[derive(Debug)]
pub struct EmbeddedBatch {
    vectors: Vec<Vector>,
    /// What Gemini counted, or a guess where it does not count.
    pub usage: Usage,
}

impl EmbeddingsPlan {
    /// Returns the number of texts there are: Gemini counts each as a request.
    #[must_use]
    pub fn inputs(&self) -> u64 {
        self.sizes.iter().map(|size| *size as u64).sum()
    }

    /// Reads the body that answers batch number `batch`.
    ///
    /// # Errors
    /// When it is no list of as many vectors as the batch has texts.
    pub fn read(&self, batch: usize, body: &[u8]) -> Result<EmbeddedBatch, AnswerError> {
        let malformed = || AnswerError { reason: SoftFailure::Malformed, usage: Usage::default() };
        let response: BatchEmbedResponse = json::read(body).map_err(|_| malformed())?;
        if self.sizes.get(batch) != Some(&response.embeddings.len()) {
            return Err(malformed());
        }
        let counted = response.usage_metadata.and_then(|usage| usage.prompt_token_count);
        let guessed = || self.input_bytes.get(batch).map_or(0, |bytes| bytes.div_ceil(4) as u64);
        let prompt = counted.unwrap_or_else(guessed);
        let usage = Usage { prompt, total: prompt, ..Usage::default() };
        Ok(EmbeddedBatch { vectors: response.embeddings, usage })
    }

    /// Puts all batches together in their order; `shown_model` is the model as the client named it.
    #[must_use]
    pub fn answer(&self, batches: Vec<EmbeddedBatch>, shown_model: &str) -> Vec<u8> {
        let tokens = batches.iter().fold(0_u64, |sum, batch| sum.saturating_add(batch.usage.prompt));
        let numbers: usize =
            batches.iter().flat_map(|batch| &batch.vectors).map(|vector| vector.values.len()).sum();
        let vectors = batches.into_iter().flat_map(|batch| batch.vectors);
        let row = |(index, vector): (usize, Vector)| EmbeddingRow {
            object: "embedding",
            index,
            embedding: self.embedding(vector.values),
        };
        let data = vectors.enumerate().map(row).collect();
        let usage = EmbeddingUsage { prompt_tokens: tokens, total_tokens: tokens };
        let list = EmbeddingList { object: "list", data, model: shown_model, usage };
        let mut body = Vec::with_capacity(ROOM_FOR_NAMES + numbers * DIGITS);
        // Strings and numbers into a vector: there is nothing that could fail.
        serde_json::to_writer(&mut body, &list).unwrap_or_default();
        body
    }

    fn embedding(&self, mut values: Vec<f32>) -> Embedding {
        if self.normalise {
            let length = values.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
            if length > 0.0 {
                // Back to the precision that the vectors come in.
                #[allow(clippy::cast_possible_truncation)]
                for value in &mut values {
                    *value = (f64::from(*value) / length) as f32;
                }
            }
        }
        if !self.base64 {
            return Embedding::Floats(values);
        }
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Embedding::Base64(STANDARD.encode(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(extra: &str) -> Result<EmbeddingsPlan, ApiError> {
        let body = format!(r#"{{"model":"m",{extra}}}"#);
        let request = EmbeddingsRequest::parse(body.as_bytes())?;
        embeddings_plan(&request, &ModelId::parse("gemini-embedding-001").unwrap())
    }

    #[test]
    fn many_inputs_become_batches_in_order() {
        let inputs: Vec<String> = (0..250).map(|number| format!("text {number}")).collect();
        let plan = plan(&format!(r#""input":{}"#, serde_json::json!(inputs))).unwrap();
        let bodies: Vec<Vec<u8>> = plan
            .batches
            .iter()
            .map(|batch| {
                let batch: serde_json::Value = serde_json::from_slice(batch).unwrap();
                let vectors = batch["requests"].as_array().unwrap().iter().map(|request| {
                    let text = request["content"]["parts"][0]["text"].as_str().unwrap();
                    let number: f32 = text.strip_prefix("text ").unwrap().parse().unwrap();
                    serde_json::json!({"values": [number]})
                });
                serde_json::json!({"embeddings": vectors.collect::<Vec<_>>()}).to_string().into_bytes()
            })
            .collect();
        assert_eq!(bodies.len(), 3);
        let read = |(batch, body): (usize, &Vec<u8>)| plan.read(batch, body).unwrap();
        let body = plan.answer(bodies.iter().enumerate().map(read).collect(), "shown");
        let list: serde_json::Value = serde_json::from_slice(&body).unwrap();
        for (index, row) in list["data"].as_array().unwrap().iter().enumerate() {
            assert_eq!(
                (&row["index"], row["embedding"][0].to_string()),
                (&index.into(), format!("{index}.0"))
            );
        }
        assert_eq!(list["data"].as_array().unwrap().len(), 250);
        assert!(plan.read(2, &bodies[0]).is_err(), "a batch of another size");
    }

    #[test]
    fn what_cannot_be_embedded_is_refused() {
        for input in [r#""""#, "[]", r#"["a",""]"#, "[1,2]", "[[1,2]]", "[null]", "[{}]"] {
            let error = plan(&format!(r#""input":{input}"#)).unwrap_err();
            assert_eq!(
                (error.param.as_deref(), error.code),
                (Some("input"), Some("invalid_value")),
                "{input}"
            );
        }
        assert_eq!(plan(r#""input":5"#).unwrap_err().code, Some("invalid_type"));
        assert_eq!(plan(r#""dimensions":5"#).unwrap_err().code, Some("missing_required_parameter"));
        assert_eq!(
            plan(r#""input":"x","encoding_format":"hex""#).unwrap_err().param.as_deref(),
            Some("encoding_format")
        );
        assert_eq!(plan(r#""input":"x","dimensions":0"#).unwrap_err().code, Some("integer_below_min_value"));
    }
}
