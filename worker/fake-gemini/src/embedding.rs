//! Deterministic embeddings, and the responses of both embedding methods
//! (<https://ai.google.dev/api/embeddings>).
//!
//! Vectors have no meaning: similar texts have unrelated vectors.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use serde::Serialize;

use crate::refusal::Refusal;
use crate::request::{BatchEmbed, Content, Embed};

/// Dimensions of both embedding models.
const DIMENSIONS: usize = 3_072;
const MOST_IN_A_BATCH: usize = 100;

#[derive(Serialize)]
struct Values {
    values: Vec<f32>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Usage {
    prompt_token_count: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct One {
    embedding: Values,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage_metadata: Option<Usage>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Many {
    embeddings: Vec<Values>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage_metadata: Option<Usage>,
}

/// Returns the input tokens of all items.
pub(crate) fn tokens(items: &[Embed]) -> u64 {
    items.iter().filter_map(|item| item.content.as_ref()).map(Content::tokens).sum()
}

/// Applies Gemini's checks of a whole batch.
pub(crate) fn check(batch: &BatchEmbed) -> Result<(), Refusal> {
    if batch.requests.is_empty() {
        let message = "* BatchEmbedContentsRequest.requests: requests is not specified\n";
        return Err(Refusal::invalid_argument(message));
    }
    if batch.requests.len() > MOST_IN_A_BATCH {
        let message = "* BatchEmbedContentsRequest.requests: at most 100 requests can be in one batch\n";
        return Err(Refusal::invalid_argument(message));
    }
    Ok(())
}

/// Returns the response to `:batchEmbedContents`.
pub(crate) fn many(model: &str, batch: &BatchEmbed, usage: bool) -> Result<Vec<u8>, Refusal> {
    let embeddings = batch.requests.iter().map(|item| embed(model, item)).collect::<Result<_, _>>()?;
    let usage_metadata = usage.then(|| Usage { prompt_token_count: tokens(&batch.requests) });
    Ok(serde_json::to_vec(&Many { embeddings, usage_metadata }).unwrap_or_default())
}

/// Returns the response to `:embedContent`.
pub(crate) fn one(model: &str, item: &Embed, usage: bool) -> Result<Vec<u8>, Refusal> {
    let embedding = embed(model, item)?;
    let usage_metadata = usage.then(|| Usage { prompt_token_count: tokens(std::slice::from_ref(item)) });
    Ok(serde_json::to_vec(&One { embedding, usage_metadata }).unwrap_or_default())
}

fn embed(model: &str, item: &Embed) -> Result<Values, Refusal> {
    let named = item.model.as_deref();
    if named.is_some_and(|named| named.strip_prefix("models/") != Some(model)) {
        let message =
            format!("* EmbedContentRequest.model: the model must be models/{model}, as in the URL\n");
        return Err(Refusal::invalid_argument(&message));
    }
    let Some(content) = &item.content else {
        return Err(Refusal::invalid_argument("* EmbedContentRequest.content: content is not specified\n"));
    };
    let dimensions = item.output_dimensionality.unwrap_or(DIMENSIONS);
    if !(1..=DIMENSIONS).contains(&dimensions) {
        let message = format!("output_dimensionality must be between 1 and {DIMENSIONS}, got {dimensions}");
        return Err(Refusal::invalid_argument(&message));
    }
    Ok(Values { values: vector(model, &content.text(), dimensions) })
}

/// Returns the first `dimensions` of the text's vector. The whole vector has unit length.
/// `gemini-embedding-001` does not normalise a shortened one, later models do
/// (<https://ai.google.dev/gemini-api/docs/embeddings>).
fn vector(model: &str, text: &str, dimensions: usize) -> Vec<f32> {
    let mut hasher = DefaultHasher::new();
    (model, text).hash(&mut hasher);
    let mut state = hasher.finish();
    let mut values: Vec<f32> = std::iter::repeat_with(|| uniform(&mut state)).take(DIMENSIONS).collect();
    normalise(&mut values);
    values.truncate(dimensions);
    if model != "gemini-embedding-001" {
        normalise(&mut values);
    }
    values
}

/// Returns the next number in [-1, 1) of the generator `SplitMix64`.
fn uniform(state: &mut u64) -> f32 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut bits = *state;
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^= bits >> 31;
    // The top 16 bits, so that the number is exact in an f32.
    let top = u16::try_from(bits >> 48).unwrap_or_default();
    f32::from(top) / 32_768.0 - 1.0
}

fn normalise(values: &mut [f32]) {
    let length = values.iter().map(|value| value * value).sum::<f32>().sqrt();
    if length > 0.0 {
        for value in values {
            *value /= length;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn length(values: &[f32]) -> f32 {
        values.iter().map(|value| value * value).sum::<f32>().sqrt()
    }

    #[test]
    fn only_001_leaves_a_shortened_vector_short() {
        let old = vector("gemini-embedding-001", "a", 256);
        let new = vector("gemini-embedding-2", "a", 256);
        assert_eq!((old.len(), new.len()), (256, 256));
        assert!(length(&old) < 0.5, "{}", length(&old));
        assert!((length(&new) - 1.0).abs() < 1e-3);
        assert!((length(&vector("gemini-embedding-001", "a", 3_072)) - 1.0).abs() < 1e-3);
    }

    #[test]
    fn a_text_has_one_vector() {
        let of = |text| vector("gemini-embedding-2", text, 8);
        assert_eq!(of("a"), of("a"));
        assert_ne!(of("a"), of("b"));
    }

    #[test]
    fn a_batch_has_bounds() {
        let batch = |count: usize| {
            let requests: Vec<_> =
                std::iter::repeat_n(serde_json::json!({"content": {"parts": [{"text": "x y"}]}}), count)
                    .collect();
            serde_json::json!({"requests": requests}).to_string()
        };
        let checked = |count| check(&crate::request::parse(&batch(count)).unwrap()).is_ok();
        assert!(!checked(0) && checked(1) && checked(100) && !checked(101));
        let two = batch(2);
        let two: BatchEmbed = crate::request::parse(&two).unwrap();
        let answer: serde_json::Value =
            serde_json::from_slice(&many("gemini-embedding-2", &two, true).unwrap()).unwrap();
        assert_eq!(answer["usageMetadata"]["promptTokenCount"], 4);
        assert_eq!(answer["embeddings"][1]["values"].as_array().unwrap().len(), 3_072);
    }
}
