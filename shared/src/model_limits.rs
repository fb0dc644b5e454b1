//! Limits of models: those that upstream errors named, and those that operators set.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

#[cfg(feature = "schema")]
use crate::bounds;
#[cfg(feature = "schema")]
use crate::bounds::patterns;
use crate::object;
use crate::{KeyId, Limits, Quota};

/// Limits that an operator set for a model. They hold for each Google project on its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ModelLimits {
    /// The model; `*` means any characters. Where several entries match, the strictest limit counts.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = bounds::MODEL), regex(pattern = patterns::MODELS)))]
    pub model: String,
    /// The only Google project that they hold for (`projects/123`); empty for every project.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[cfg_attr(feature = "schema", schemars(length(max = bounds::KEY_TEXT), regex(pattern = patterns::PRINTABLE)))]
    pub project: String,
    /// The limits; at least one.
    #[serde(deserialize_with = "object::object")]
    #[cfg_attr(feature = "schema", schemars(extend("anyOf" = [{"required": ["requests_per_minute"], "properties": {"requests_per_minute": {"type": "integer"}}}, {"required": ["requests_per_day"], "properties": {"requests_per_day": {"type": "integer"}}}, {"required": ["tokens_per_minute"], "properties": {"tokens_per_minute": {"type": "integer"}}}, {"required": ["tokens_per_day"], "properties": {"tokens_per_day": {"type": "integer"}}}])))]
    pub limits: Limits,
}

/// A limit that an upstream error named.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LearntLimit {
    /// The model that was requested.
    pub model: String,
    /// What it limits.
    pub quota: Quota,
    /// How much it allows.
    pub value: u64,
    /// Gemini's name of what is counted: `generativelanguage.googleapis.com/generate_content_free_tier_requests`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<String>,
    /// Gemini's name of the limit: `GenerateRequestsPerDayPerProjectPerModel-FreeTier`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<String>,
    /// The Google project, if its name is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// The key, if the name of its project is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_id: Option<KeyId>,
    /// First and last four characters of that key, while it is enabled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub masked: Option<String>,
    /// When the error came that named it. Errors that repeat it while it is remembered do not move this.
    pub learnt_at: Timestamp,
}

/// `GET pools/{id}/limits`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PoolLimits {
    /// Those that operators set for models.
    pub set: Vec<ModelLimits>,
    /// Those that upstream errors named in the last 7 days, the latest first.
    pub learnt: Vec<LearntLimit>,
    /// How many were learnt, those that are not shown included.
    pub total: u64,
}

/// Returns `true` if a pattern matches a model; `*` means any characters.
///
/// It is matched piece by piece: the first piece at the start, the last at the end, those between
/// at the first place where they fit. Linear in the product of the lengths, whatever the pattern.
#[must_use]
pub fn matches_model(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(first) else { return false };
    let mut pieces = rest.split('*').peekable();
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            return text.ends_with(piece);
        }
        let Some(at) = text.find(piece) else { return false };
        text = text.get(at + piece.len()..).unwrap_or_default();
    }
    true
}
