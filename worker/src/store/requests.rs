//! Parameters of store calls: audit context and filters.

use std::time::Duration;

use std::collections::BTreeSet;

use jiff::Timestamp;
use pool_shared::{AdminTokenId, KeyId, PoolId};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::crypto::TokenHash;

/// The audit context of a change. The store adds an audit entry in the transaction of the change,
/// and only if it changed something: one more row.
#[derive(Clone, Debug)]
pub struct Change {
    /// The time of the change.
    pub at: Timestamp,
    /// The admin token that makes it.
    pub actor: AdminTokenId,
    /// The token's name.
    pub actor_name: String,
    /// The token whose budget of changes is used.
    pub budget: AdminTokenId,
    /// The action: `pool.update`.
    pub action: &'static str,
    /// The pool.
    pub pool: Option<PoolId>,
    /// What is changed.
    pub target: Option<String>,
    /// The request id.
    pub request_id: String,
    /// The previous values of the changed fields, without secrets.
    pub before: Option<Map<String, Value>>,
    /// The new values.
    pub after: Option<Map<String, Value>>,
    /// An existing audit entry covers the change, so it gets none of its own.
    pub is_noted: bool,
}

#[cfg(test)]
impl Change {
    /// Returns a change for tests.
    pub(crate) fn of_a_test(at: Timestamp) -> Self {
        Self {
            at,
            actor: AdminTokenId::new("tok-test"),
            actor_name: "test".to_owned(),
            budget: AdminTokenId::new("tok-test"),
            action: "test",
            pool: None,
            target: None,
            request_id: "req_test".to_owned(),
            before: None,
            after: None,
            is_noted: false,
        }
    }
}

/// A login attempt, to be counted before the password is compared.
#[derive(Clone, Debug)]
pub struct LoginAttempt {
    /// Its source address, hashed.
    pub source: TokenHash,
    /// The throttling rules of the source, and of all sources together.
    pub rules: [ThrottleRule; 2],
    /// The time of the attempt.
    pub now: Timestamp,
    /// Failures before this time do not count any more.
    pub forget_before: Timestamp,
}

/// How failures delay the next attempt.
#[derive(Clone, Copy, Debug)]
pub struct ThrottleRule {
    /// The number of failures without a delay.
    pub free: u32,
    /// The delay after the next failure, doubled with each further one.
    pub first: Duration,
    /// The maximum delay.
    pub longest: Duration,
}

/// The start of a list of audit entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditCursor {
    /// Entries with smaller ids, newest first.
    Before(u64),
    /// Entries with greater ids, oldest first.
    After(u64),
}

/// A filter of the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditFilter {
    /// Where the list starts.
    pub from: AuditCursor,
    /// Only entries that are not older.
    pub since: Timestamp,
    /// Only entries of this pool.
    pub pool: Option<PoolId>,
    /// Only entries of the token with this id or name.
    pub actor: Option<String>,
    /// Only this action, or a group: `pool` for `pool.update` and the like.
    pub action: Option<String>,
    /// Maximum number of entries.
    pub limit: u32,
}

/// A filter of a pool's keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyFilter {
    /// Part of a name, tag, id, fingerprint or masked key, case-insensitive.
    pub search: Option<String>,
    /// Only enabled, or only disabled keys.
    pub enabled: Option<bool>,
    /// Only keys with this tag.
    pub tag: Option<String>,
    /// Only keys in certain states.
    pub states: Option<StateFilter>,
}

/// A filter by key state. The store knows which keys are disabled; the states of the others are
/// passed in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StateFilter {
    /// Include disabled keys.
    pub disabled: bool,
    /// Include enabled keys that are not in `unhealthy`.
    pub healthy: bool,
    /// Include these keys if they are enabled.
    pub chosen: Vec<KeyId>,
    /// All enabled keys that are not healthy.
    #[serde(rename = "unwell")]
    pub unhealthy: Vec<KeyId>,
}

/// An enabled key, with its configured project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnabledKey {
    /// Its pool.
    pub pool: PoolId,
    /// Its id.
    pub id: KeyId,
    /// Its project; empty if not configured.
    pub project: String,
    /// Its billing account; empty if not configured.
    pub billing_account: String,
}

/// A selection of enabled keys: by id, by project or by billing account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeysWanted {
    /// Their ids.
    pub ids: BTreeSet<KeyId>,
    /// The names of projects.
    pub projects: BTreeSet<String>,
    /// The names of billing accounts.
    pub accounts: BTreeSet<String>,
}
