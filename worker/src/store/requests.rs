//! What is said along with a question or a change: who makes it, and which rows are meant.

use std::time::Duration;

use std::collections::BTreeSet;

use jiff::Timestamp;
use pool_shared::{AdminTokenId, KeyId, PoolId};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::crypto::TokenHash;

/// When a change is made, by whom and what it is. The store notes it in the audit, in the transaction
/// that makes the change and only if that changed anything: one more row.
#[derive(Clone, Debug)]
pub struct Change {
    /// When.
    pub at: Timestamp,
    /// Whose token it is.
    pub actor: AdminTokenId,
    /// The token's name.
    pub actor_name: String,
    /// The token with which it shares its budget of changes.
    pub budget: AdminTokenId,
    /// What is done: `pool.update`.
    pub action: &'static str,
    /// In which pool.
    pub pool: Option<PoolId>,
    /// What it is done to.
    pub target: Option<String>,
    /// The request's id.
    pub request_id: String,
    /// What the changed fields were, without secrets.
    pub before: Option<Map<String, Value>>,
    /// What they become.
    pub after: Option<Map<String, Value>>,
    /// An entry that there is tells of it: it gets none of its own.
    pub is_noted: bool,
}

#[cfg(test)]
impl Change {
    /// A change that nobody asks about.
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

/// A try of the admin password, about to be counted.
#[derive(Clone, Debug)]
pub struct LoginAttempt {
    /// Where it comes from, hashed.
    pub source: TokenHash,
    /// What holds for its source, and for all of them together.
    pub rules: [ThrottleRule; 2],
    /// Now.
    pub now: Timestamp,
    /// Failures before this are forgotten.
    pub forget_before: Timestamp,
}

/// How long failures make the next try wait.
#[derive(Clone, Copy, Debug)]
pub struct ThrottleRule {
    /// So many tries do not.
    pub free: u32,
    /// The one after them waits so long, the next one twice as long, and so on.
    pub first: Duration,
    /// No try waits longer.
    pub longest: Duration,
}

/// From where to list the audit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditCursor {
    /// Entries with smaller ids, the greatest first.
    Before(u64),
    /// Entries with greater ids, the smallest first.
    After(u64),
}

/// Which entries of the audit to list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditFilter {
    /// From where on.
    pub from: AuditCursor,
    /// Only those that are not older.
    pub since: Timestamp,
    /// Only those of this pool.
    pub pool: Option<PoolId>,
    /// Only those of the token of this id or name.
    pub actor: Option<String>,
    /// Only this action, or all of a kind: `pool` for `pool.update` and the like.
    pub action: Option<String>,
    /// At most so many.
    pub limit: u32,
}

/// Which keys of a pool to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyFilter {
    /// Part of a name, tag, id, fingerprint or masked key; upper and lower case are the same.
    pub search: Option<String>,
    /// Only enabled, or only disabled ones.
    pub enabled: Option<bool>,
    /// Only those with this label.
    pub tag: Option<String>,
    /// Only those in certain states.
    pub states: Option<StateFilter>,
}

/// Keys in certain states. The store knows who is disabled; of the others it has to be told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StateFilter {
    /// Disabled ones.
    pub disabled: bool,
    /// Enabled ones that are not among `unhealthy`.
    pub healthy: bool,
    /// These, if they are enabled.
    pub chosen: Vec<KeyId>,
    /// All that are not healthy.
    #[serde(rename = "unwell")]
    pub unhealthy: Vec<KeyId>,
}

/// An enabled key, and its project as the operator named it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnabledKey {
    /// Its pool.
    pub pool: PoolId,
    /// Its id.
    pub id: KeyId,
    /// Its project; empty when the operator named none.
    pub project: String,
    /// The billing account above it; empty when the operator named none.
    pub billing_account: String,
}

/// Which enabled keys are wanted: those of these ids, of these projects and of these billing accounts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeysWanted {
    /// Their ids.
    pub ids: BTreeSet<KeyId>,
    /// The names of projects.
    pub projects: BTreeSet<String>,
    /// The names of billing accounts.
    pub accounts: BTreeSet<String>,
}
