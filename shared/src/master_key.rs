//! `POST master/rotate`: everything that is sealed under the previous master key goes over to the new one; or, below
//! it, each pool's Gemini keys to a new data key.
//!
//! Each request does a bounded step; the response's cursor goes into the next one, until there is none.

use serde::{Deserialize, Serialize};

/// `POST master/rotate`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct MasterKeyRotate {
    /// The cursor of the response before; none to begin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Give each pool a new data key, and seal its Gemini keys anew.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub data_keys: bool,
}

/// The answer to `POST master/rotate`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MasterKeyRotation {
    /// What goes into the next request; none when nothing is left to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Rows that this step sealed anew.
    pub rewrapped: u64,
    /// Gemini keys that this step looked at and that open under no data key of their pool.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unreadable_keys: u64,
    /// How every row is sealed now, each opened to find out; with the last step only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<MasterKeyRows>,
}

/// How many rows are sealed under which master key: the data key of each pool, and the keys of the hashes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MasterKeyRows {
    /// Under `MASTER_KEY`.
    pub current: u64,
    /// Under `MASTER_KEY_PREV`, which is needed as long as there are any.
    pub previous: u64,
    /// Under neither.
    pub unreadable: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks in this form")]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}
