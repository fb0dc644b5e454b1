//! Copies of pools, and the models that a pool offers.

use serde::{Deserialize, Serialize};

#[cfg(feature = "schema")]
use crate::bounds;
#[cfg(feature = "schema")]
use crate::bounds::patterns;
use crate::{Pool, Secret};

/// `POST pools/{id}/copy`: a new pool with the settings of this one, and its keys if wanted. Client
/// keys are never copied: the new pool has one of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", schemars(extend("anyOf" = [{"required": ["name"], "properties": {"name": {"type": "string"}}}, {"required": ["cursor"], "properties": {"cursor": {"type": "string"}}}])))]
pub struct PoolCopy {
    /// The new pool's name. Left out with a cursor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = bounds::POOL_NAME), regex(pattern = patterns::POOL_NAME), extend("not" = {"type": "string", "pattern": patterns::NO_POOL_NAME})))]
    pub name: Option<String>,
    /// Whether its keys come along. Needs the scope `keys:export`.
    #[serde(default)]
    pub keys: bool,
    /// [`PoolCopied::cursor`] of the request before: copies the next keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(regex(pattern = patterns::COPY_CURSOR)))]
    pub cursor: Option<String>,
}

/// The answer to `POST pools/{id}/copy`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PoolCopied {
    /// The new pool as it is now.
    pub pool: Pool,
    /// Its client key, in the first answer only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_key: Option<Secret>,
    /// Keys that this request copied.
    pub copied: u64,
    /// Send it back for the rest of the keys; absent when there are no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// `GET pools/{id}/models`: what Gemini offers to one of the pool's keys now, and what the pool makes
/// of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PoolModels {
    /// The models, in Google's order.
    pub models: Vec<PoolModel>,
}

/// One model of [`PoolModels`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PoolModel {
    /// The Gemini model's id.
    pub id: String,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// The most input tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_token_limit: Option<u64>,
    /// The most output tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_token_limit: Option<u64>,
    /// What can be done with it: `generateContent`, `embedContent` and so on.
    pub methods: Vec<String>,
    /// Whether the pool's clients may use it.
    pub allowed: bool,
    /// The names that clients may use instead.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
}
