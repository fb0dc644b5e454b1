//! Responses of `GET /v1/models` and `GET /v1/models/{id}`.

use std::borrow::Cow;

use serde::Serialize;

/// All models.
#[derive(Debug, Serialize)]
pub struct ModelList<'a> {
    /// `list`
    pub object: &'static str,
    /// In the upstream's order, aliases last.
    pub data: Vec<Model<'a>>,
}

/// One model, with what clients besides OpenAI's like to know.
#[derive(Debug, Serialize)]
pub struct Model<'a> {
    /// What to put into `model`.
    pub id: Cow<'a, str>,
    /// `model`
    pub object: &'static str,
    /// Unix seconds; never "now", which would make clients think that every model is new.
    pub created: u64,
    /// `google`, or `proxy` for an alias.
    pub owned_by: &'static str,
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<&'a str>,
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<&'a str>,
    /// Tokens in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_length: Option<u64>,
    /// Tokens out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u64>,
    /// Gemini's method names.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub supported_generation_methods: &'a [String],
    /// Whether it thinks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thinking: Option<bool>,
}
