//! Pools, as the admin API shows and takes them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::bounds;
#[cfg(feature = "schema")]
use crate::bounds::patterns;
use crate::names::is_visible;
use crate::object;
use crate::{
    KeyImport, KeyImportReport, ModelLimits, PoolId, Secret, StateCounts, TranslationSettings,
    TranslationUpdate,
};

/// Why a text cannot name a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PoolNameError {
    /// Nothing but white space.
    #[error("a pool needs a name")]
    Empty,
    /// Longer than 64 characters.
    #[error("a pool's name has at most {} characters", bounds::POOL_NAME)]
    TooLong,
    /// A control or invisible character, or a slash.
    #[error("a pool's name holds no control or invisible characters and no '/'")]
    Character,
    /// It would vanish from a URL's path and name another route.
    #[error("a pool's name is not '.' or '..'")]
    Dots,
    /// It would be taken for an id.
    #[error("a pool's name does not start with 'pool-': that is how ids look")]
    LooksLikeId,
}

/// Checks a pool's name and takes the blanks around it away.
pub fn pool_name(text: &str) -> Result<&str, PoolNameError> {
    let name = text.trim();
    if name.is_empty() {
        Err(PoolNameError::Empty)
    } else if text.chars().count() > bounds::POOL_NAME {
        Err(PoolNameError::TooLong)
    } else if text.chars().any(|character| !is_visible(character) || character == '/') {
        Err(PoolNameError::Character)
    } else if matches!(name, "." | "..") {
        Err(PoolNameError::Dots)
    } else if name.starts_with(PoolId::PREFIX) {
        Err(PoolNameError::LooksLikeId)
    } else {
        Ok(name)
    }
}

/// How a pool serves requests, beyond what every pool does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct PoolSettings {
    /// Names that clients may use instead of a model's: `gpt-4o` for `gemini-3.8-flash`.
    pub aliases: BTreeMap<String, String>,
    /// What answers instead when a model is overloaded or its quota is used up, by model, in the order
    /// of trying. The list of `*` is for all models that have none of their own.
    pub fallbacks: BTreeMap<String, Vec<String>>,
    /// Whether requests with the same `prompt_cache_key` or `user` go to the same key, so that Gemini
    /// finds the beginning of a conversation in its cache.
    pub sticky: bool,
    /// Whether requests in Gemini's own language, and those to Google's OpenAI endpoint, are taken too, and go to
    /// Gemini as they came.
    pub pass_through: bool,
    /// Whether no two Google projects are taken to share a billing account, unless keys are set to one. Otherwise those are
    /// that fall by the same spend limit within a minute.
    pub separate_billing: bool,
    /// Limits of models, for each Google project on its own. Those of keys and those that upstream errors name hold
    /// besides.
    pub model_limits: Vec<ModelLimits>,
    /// How it translates.
    pub translation: TranslationSettings,
}

/// A pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Pool {
    /// Its id.
    pub id: PoolId,
    /// Its name, unique in the service.
    pub name: String,
    /// What it is for; may be empty.
    #[serde(default)]
    pub description: String,
    /// Off means that its client keys are rejected with 403.
    pub enabled: bool,
    /// The models that clients may use; empty means all. `*` means any run of characters.
    #[serde(default)]
    pub allowed_models: Vec<String>,
    /// How it serves requests.
    #[serde(flatten)]
    pub settings: PoolSettings,
    /// How many Gemini keys it has.
    pub keys: u64,
    /// How many of them are enabled.
    pub enabled_keys: u64,
    /// Its keys by their states; empty when the ledger does not answer.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub states: StateCounts,
    /// Moves with every change of the pool, its keys or its client keys.
    pub version: u64,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// Every pool, by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PoolList {
    /// The pools.
    pub pools: Vec<Pool>,
}

/// `POST pools`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PoolCreate {
    /// Its name.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = bounds::POOL_NAME), regex(pattern = patterns::POOL_NAME), extend("not" = {"type": "string", "pattern": patterns::NO_POOL_NAME})))]
    pub name: String,
    /// What it is for.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(length(max = bounds::DESCRIPTION)))]
    pub description: String,
    /// The models that clients may use; empty means all.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(length(max = bounds::MODELS), inner(length(max = bounds::MODEL), regex(pattern = patterns::MODELS))))]
    pub allowed_models: Vec<String>,
    /// See [`PoolSettings::aliases`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[cfg_attr(feature = "schema", schemars(transform = crate::schema::aliases))]
    pub aliases: BTreeMap<String, String>,
    /// See [`PoolSettings::fallbacks`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[cfg_attr(feature = "schema", schemars(transform = crate::schema::fallbacks))]
    pub fallbacks: BTreeMap<String, Vec<String>>,
    /// See [`PoolSettings::sticky`].
    #[serde(default)]
    pub sticky: bool,
    /// See [`PoolSettings::pass_through`].
    #[serde(default)]
    pub pass_through: bool,
    /// See [`PoolSettings::separate_billing`].
    #[serde(default)]
    pub separate_billing: bool,
    /// See [`PoolSettings::model_limits`].
    #[serde(deserialize_with = "object::list", default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schemars(length(max = bounds::MODELS)))]
    pub model_limits: Vec<ModelLimits>,
    /// What is not as in [`TranslationSettings::default`].
    #[serde(default, skip_serializing_if = "TranslationUpdate::is_empty")]
    pub translation: TranslationUpdate,
    /// Keys to import at once; more can follow by `keys/import`.
    #[serde(deserialize_with = "object::optional", default, skip_serializing_if = "Option::is_none")]
    pub import: Option<KeyImport>,
}

/// The answer to `POST pools`: the only time that the client key is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PoolCreated {
    /// The new pool.
    pub pool: Pool,
    /// Its first client key.
    pub client_key: Secret,
    /// What became of the keys that came with it.
    pub import: KeyImportReport,
}

/// `PATCH pools/{id}`: a field left out stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PoolUpdate {
    /// A new name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = bounds::POOL_NAME), regex(pattern = patterns::POOL_NAME), extend("not" = {"type": "string", "pattern": patterns::NO_POOL_NAME})))]
    pub name: Option<String>,
    /// A new description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(max = bounds::DESCRIPTION)))]
    pub description: Option<String>,
    /// Switch the pool on or off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// A new list of allowed models; an empty list allows all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(max = bounds::MODELS), inner(length(max = bounds::MODEL), regex(pattern = patterns::MODELS))))]
    pub allowed_models: Option<Vec<String>>,
    /// New aliases, instead of all there were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(transform = crate::schema::aliases))]
    pub aliases: Option<BTreeMap<String, String>>,
    /// New fallbacks, instead of all there were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(transform = crate::schema::fallbacks))]
    pub fallbacks: Option<BTreeMap<String, Vec<String>>>,
    /// Switch stickiness on or off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sticky: Option<bool>,
    /// Switch requests that go to Gemini as they came on or off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pass_through: Option<bool>,
    /// Switch the learning of billing accounts off (`true`) or on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub separate_billing: Option<bool>,
    /// New limits of models, instead of all there were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(max = bounds::MODELS)))]
    pub model_limits: Option<Vec<ModelLimits>>,
    /// Changes of the translation.
    #[serde(default, skip_serializing_if = "TranslationUpdate::is_empty")]
    pub translation: TranslationUpdate,
}

/// The answer to `PATCH pools/{id}`: the pool as it is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PoolUpdated {
    /// The pool.
    #[serde(flatten)]
    pub pool: Pool,
    /// The fields that were changed; none where all of them were already so. Absent where the service is too old to tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed: Option<Vec<String>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_trimmed_and_checked() {
        assert_eq!(pool_name("  生产 prod "), Ok("生产 prod"));
        assert_eq!(pool_name(" \t"), Err(PoolNameError::Empty));
        assert_eq!(pool_name(&"x".repeat(65)), Err(PoolNameError::TooLong));
        for name in ["a/b", "q\u{200b}", "\u{feff}q", "q\u{202e}", "a\u{ad}b", "\u{3164}"] {
            assert_eq!(pool_name(name), Err(PoolNameError::Character), "{name:?}");
        }
        assert_eq!((pool_name(".."), pool_name("...")), (Err(PoolNameError::Dots), Ok("...")));
        assert_eq!(pool_name("pool-1"), Err(PoolNameError::LooksLikeId));
    }
}
