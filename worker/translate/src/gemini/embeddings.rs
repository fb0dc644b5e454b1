//! `POST …:batchEmbedContents`.

use serde::{Deserialize, Serialize};

/// The body.
#[derive(Debug, Serialize)]
pub struct BatchEmbedRequest<'a> {
    /// At most 100.
    pub requests: Vec<EmbedRequest<'a>>,
}

/// One text to embed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EmbedRequest<'a> {
    /// `models/…`
    pub model: &'a str,
    /// What to embed.
    pub content: EmbedContent<'a>,
    /// How long the vector is to be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_dimensionality: Option<u32>,
    /// `RETRIEVAL_QUERY` and so on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_type: Option<&'a str>,
    /// Title of the document.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<&'a str>,
}

/// A content of one part: newer models fuse several parts into one vector.
#[derive(Debug, Serialize)]
pub struct EmbedContent<'a> {
    /// The part.
    pub parts: [EmbedText<'a>; 1],
}

/// A part of text.
#[derive(Debug, Serialize)]
pub struct EmbedText<'a> {
    /// Never empty.
    pub text: &'a str,
}

/// The response.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BatchEmbedResponse {
    /// In the order of the requests.
    pub embeddings: Vec<Vector>,
    /// Not every model counts.
    pub usage_metadata: Option<EmbedUsage>,
}

/// One vector.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Vector {
    /// Its components.
    pub values: Vec<f32>,
}

/// What it took.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EmbedUsage {
    /// Tokens in.
    pub prompt_token_count: Option<u64>,
}
