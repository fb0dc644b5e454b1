//! `GET events`: what went wrong lately, key by key.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{AttemptOutcome, KeyId, PoolId};

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
    /// How many attempts ended like this within a second or so.
    pub count: u64,
}
