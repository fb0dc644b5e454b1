//! `GET /v1beta/models` and `GET /v1beta/models/{id}`.

use serde::{Deserialize, Deserializer, Serialize};

/// One page of the models list.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ModelPage {
    /// In Google's order.
    pub models: Vec<Model>,
    /// For the `pageToken` of the next call; there is no next page without one.
    pub next_page_token: Option<String>,
}

/// A model, as Gemini describes it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Model {
    /// As [`super::ModelId`] has it: `gemini-3.8-flash`, `tunedModels/x`.
    #[serde(rename = "name", deserialize_with = "without_prefix")]
    pub id: String,
    /// For people.
    pub display_name: Option<String>,
    /// For people.
    pub description: Option<String>,
    /// Tokens in.
    pub input_token_limit: Option<u64>,
    /// Tokens out.
    pub output_token_limit: Option<u64>,
    /// `generateContent`, `embedContent` and so on.
    pub supported_generation_methods: Vec<String>,
    /// Whether it thinks.
    pub thinking: Option<bool>,
    /// When it was made, in RFC 3339: told of tuned models only.
    pub create_time: Option<String>,
}

/// What the service can pass on to a model.
const USABLE_METHODS: [&str; 5] =
    ["generateContent", "embedContent", "batchEmbedContents", "predict", "predictLongRunning"];

fn without_prefix<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let name = String::deserialize(deserializer)?;
    Ok(name.strip_prefix("models/").map(ToOwned::to_owned).unwrap_or(name))
}

impl ModelPage {
    /// Reads a page.
    ///
    /// # Errors
    /// When the body is no JSON of this shape.
    pub fn parse(body: &[u8]) -> Result<Self, serde_json::Error> {
        let page: Self = serde_json::from_slice(body)?;
        let next_page_token = page.next_page_token.filter(|token| !token.is_empty());
        Ok(Self { next_page_token, ..page })
    }
}

impl Model {
    /// Reads the response of `GET /v1beta/models/{id}`.
    ///
    /// # Errors
    /// When the body is no JSON of this shape.
    pub fn parse(body: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(body)
    }

    /// Returns `true` if clients can do anything with it.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.supported_generation_methods.iter().any(|method| USABLE_METHODS.contains(&method.as_str()))
    }
}
