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
    /// When.
    pub at: Timestamp,
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
    /// The request's id, also in its answer's `x-request-id`.
    pub request_id: String,
    /// How many things were added, changed or removed.
    pub count: u64,
    /// What the changed fields were; absent where nothing was there, or several different things.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Map<String, Value>>,
    /// What they are now. Never a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Map<String, Value>>,
}

/// A page of the audit, the latest change first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AuditList {
    /// The entries.
    pub entries: Vec<AuditEntry>,
    /// Pass it as `cursor` for the next page, of earlier changes; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}
