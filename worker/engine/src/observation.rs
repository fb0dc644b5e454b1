//! Observations: facts about keys and projects that instances share.
//!
//! An [`Observation`] is sent in reports to the ledger, and from there to the other instances that serve the
//! pool. It holds no secret: keys are named by their ids, messages are redacted.

use jiff::Timestamp;
use pool_shared::{ClientKeyId, KeyId};
use serde::{Deserialize, Serialize};

use super::{HealthState, Quota};
use crate::ids::TokenTag;

/// A fact about a subject.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// The subject.
    pub subject: Subject,
    /// The model it holds for; absent for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// When it was observed. Of two facts of a kind about one subject, the later one counts.
    pub at: Timestamp,
    /// The fact.
    pub fact: ObservationKind,
}

/// The subject of an observation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// One key, and its project while the name of that is unknown.
    Key(KeyId),
    /// Every key of a project.
    Project(String),
    /// Every key of a billing account.
    Account(String),
    /// A client key with limits, for its use.
    Caller(ClientKeyId),
    /// Any client key, for the fact that it is used.
    ClientKey(TokenTag),
}

/// The kinds of facts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObservationKind {
    /// A cooldown.
    Cooling {
        /// When it ends.
        until: Timestamp,
        /// Why.
        reason: CoolingReason,
    },
    /// The health of the subject, for all models.
    #[serde(rename = "standing")]
    Health {
        /// The state.
        #[serde(rename = "condition")]
        state: HealthState,
        /// Gemini's error message, without secrets.
        message: String,
        /// When it is rechecked; absent for never.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        next_check: Option<Timestamp>,
        /// The number of failed rechecks.
        #[serde(default)]
        checks: u32,
    },
    /// A quota of the model.
    Limit {
        /// Which one.
        quota: Quota,
        /// How much it allows.
        value: u64,
        /// Gemini's name of what is counted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        metric: Option<String>,
        /// Gemini's name of the limit.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limit: Option<String>,
    },
    /// What was sent since the last report, of the quotas and client keys that have a known limit.
    Spent {
        /// Requests.
        requests: u64,
        /// Input tokens, as estimated.
        tokens: u64,
    },
    /// It was used.
    Used,
    /// An operator reset the cooldowns, the state and the observed limits of the subject: what was observed
    /// up to then does not hold any more.
    Cleared,
    /// The billing account that the project, or the key of an unknown project, shares with others: they reached
    /// the same spend limit in the same minute.
    BillingAccount {
        /// A name that is made of one of the projects.
        account: String,
    },
    /// The project that the key belongs to, as Gemini named it.
    Member {
        /// `projects/123`.
        project: String,
    },
}

/// Why a key or project is in a cooldown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CoolingReason {
    /// Requests a minute (or an hour).
    Requests,
    /// Input tokens a minute.
    Tokens,
    /// The day's quota is used up.
    Day,
    /// The project has no quota of this model at all.
    NoQuota,
    /// Too many requests in a short time, without a named quota.
    Burst,
    /// The model is closed to new users and the key's project is one.
    NewUsers,
    /// The key's project has no access to the model, which exists for other keys.
    NoAccess,
}

impl CoolingReason {
    /// Returns `true` if the reason is a quota of the key's project.
    #[must_use]
    pub const fn is_quota(self) -> bool {
        matches!(self, Self::Requests | Self::Tokens | Self::Day | Self::NoQuota)
    }

    /// Returns `true` if the cooldown lasts until a quota reset.
    #[must_use]
    pub const fn lasts_until_reset(self) -> bool {
        matches!(self, Self::Day | Self::NoQuota)
    }
}
