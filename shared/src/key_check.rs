//! Trying keys now, and taking them out in clear.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

#[cfg(feature = "schema")]
use crate::bounds::patterns;
use crate::{KeyId, KeyImportEntry, Secret};

/// `POST pools/{id}/keys/check`: sends a smallest request with each key. Either keys of the pool, or
/// candidates that are not stored anywhere.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", schemars(extend("anyOf" = [{"required": ["ids"], "properties": {"ids": {"minItems": 1}}}, {"required": ["keys"], "properties": {"keys": {"minItems": 1}}}])))]
pub struct KeyCheck {
    /// Keys of the pool. What Gemini says of them is learnt as from any attempt.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schemars(length(max = Self::MAX_KEYS)))]
    pub ids: Vec<KeyId>,
    /// Candidates in clear.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schemars(length(max = Self::MAX_KEYS)))]
    pub keys: Vec<Secret>,
}

impl KeyCheck {
    /// Keys a request, of both kinds together: a request on Cloudflare's free plan may make 50 calls,
    /// and a key may take two.
    pub const MAX_KEYS: usize = 20;
}

/// What Gemini said to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum KeyVerdict {
    /// It answered.
    Valid,
    /// The key is good, and a quota of its project is used up.
    Limited,
    /// The key is wrong or expired.
    Invalid,
    /// The key's project is suspended.
    Suspended,
    /// The key or its project may not use the API.
    Blocked,
    /// The key's project has to be paid for.
    Billing,
    /// The key was published somewhere, and Google knows.
    Leaked,
    /// Nothing about the key: Gemini returned an error of its own, or has none of the models that were tried. The
    /// message begins with the status.
    Error,
    /// Nothing about the key: Gemini could not be reached.
    Unreachable,
    /// The text cannot be a key: nothing was sent.
    Malformed,
    /// A verdict that this version does not know.
    #[serde(other)]
    Unknown,
}

/// What came of one key of a [`KeyCheck`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CheckedKey {
    /// The pool's key; absent for a candidate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<KeyId>,
    /// First and last four characters; empty where the text cannot be a key.
    #[serde(default)]
    pub masked: String,
    /// What Gemini said.
    pub verdict: KeyVerdict,
    /// In its own words, without secrets; empty for a valid key.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// The model that was asked, if any was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// `limited`: when the quota comes back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// The answer to `POST pools/{id}/keys/check`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct KeyCheckReport {
    /// One for each id that the pool has, then one for each candidate, in the order of the request.
    pub results: Vec<CheckedKey>,
    /// Ids that the pool does not have.
    pub missing: Vec<KeyId>,
}

/// `POST pools/{id}/keys/export`: keys in clear. Needs the scope `keys:export`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct KeyExport {
    /// Only these; empty for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<KeyId>,
    /// [`ExportedKeys::next_cursor`] of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(regex(pattern = patterns::CURSOR)))]
    pub cursor: Option<String>,
    /// Keys a page: 1 to [`KeyExport::MAX_KEYS`], which is what comes when it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = Self::MAX_KEYS)))]
    pub limit: Option<u32>,
}

impl KeyExport {
    /// Keys a page: opening a key takes some microseconds of the 10 ms that a request has on
    /// Cloudflare's free plan.
    pub const MAX_KEYS: u32 = 500;
}

/// A page of a pool's keys in clear, in the order in which they were added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ExportedKeys {
    /// The keys.
    pub keys: Vec<ExportedKey>,
    /// Pass it as `cursor` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// A key in clear, as an import takes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ExportedKey {
    /// Its id.
    pub id: KeyId,
    /// Off means that a person took it out of use.
    pub enabled: bool,
    /// The key, and what belongs to it.
    #[serde(flatten)]
    pub entry: KeyImportEntry,
}
