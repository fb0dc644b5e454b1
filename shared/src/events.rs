//! `GET events`: what went wrong lately, key by key.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{AttemptOutcome, ClientKeyId, KeyId, PoolId};

/// `GET events`: the last ones, the oldest of them first. With `after`: the first ones after that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EventList {
    /// The events.
    pub events: Vec<Event>,
    /// What to ask for `after` these.
    pub cursor: String,
}

/// Something that Gemini or the network did to one or several like attempts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Event {
    /// When the last of the attempts began.
    pub at: Timestamp,
    /// The pool.
    pub pool: PoolId,
    /// The key that was used.
    pub key: KeyId,
    /// The model that was asked.
    pub model: String,
    /// What became of the attempts.
    pub verdict: AttemptOutcome,
    /// What Gemini said, without secrets.
    pub message: String,
    /// How many attempts ended like this within a second or so; of a quota text that the service does not know, within
    /// a day.
    pub count: u64,
    /// The quota that Gemini named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<EventQuota>,
    /// Whether Gemini's text about a quota is one that the service does not know.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unknown_text: bool,
    /// The client key that the event is about, where it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_key: Option<ClientKeyId>,
}

/// A quota, as an error of Gemini names it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EventQuota {
    /// `generativelanguage.googleapis.com/generate_content_free_tier_requests`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<String>,
    /// `GenerateRequestsPerDayPerProjectPerModel-FreeTier`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<String>,
    /// How much it allows: `250`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// The model that it holds for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// How long Gemini says to wait, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}
