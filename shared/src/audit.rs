//! `GET audit`: who changed what.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{AdminTokenId, PoolId};

/// One change that an admin made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AuditEntry {
    /// Its number: later changes have greater ones.
    pub id: u64,
    /// When; of several equal actions within a minute, the first.
    pub at: Timestamp,
    /// When it was done last; absent for what was done once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_at: Option<Timestamp>,
    /// How many equal actions within a minute this means.
    #[serde(default = "once")]
    pub times: u64,
    /// Whose token it was.
    pub actor: AdminTokenId,
    /// The token's name then.
    #[serde(default)]
    pub actor_name: String,
    /// What was done: `pool.update`, `key.import`, `token.create` and so on.
    pub action: String,
    /// In which pool; absent for what is about none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<PoolId>,
    /// What it was done to: a pool's name, the id of a client key or of a token; absent for several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The request's id, also in its answer's `x-request-id`; of several equal actions, the first one's.
    pub request_id: String,
    /// How many things were added, changed or removed, in all of its actions.
    pub count: u64,
    /// What the changed fields were; absent where nothing was there, or several different things.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Map<String, Value>>,
    /// What they are now. Never a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Map<String, Value>>,
}

const fn once() -> u64 {
    1
}

/// The audit lost entries before their time: a token, or what it made, changed more in a pool than is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AuditLoss {
    /// In which pool; absent for changes that are about none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<PoolId>,
    /// Whose entry was dropped last.
    pub actor: AdminTokenId,
    /// Its name then.
    pub actor_name: String,
    /// How many entries were dropped.
    pub entries: u64,
    /// The time of the youngest of them: from then on nothing is missing.
    pub until: Timestamp,
}

/// A page of the audit, the latest change first; with `after`, the earliest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AuditList {
    /// The entries.
    pub entries: Vec<AuditEntry>,
    /// Pass it as `cursor` for the next page, of earlier changes; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}
