//! What one isolate or process has learnt from Gemini's answers and tells the others.
//!
//! A [`Learnt`] travels in reports to the ledger and from there to whoever serves the same pool. It
//! holds no secret: keys are named by their ids, messages are redacted.

use jiff::Timestamp;
use pool_shared::{ClientKeyId, KeyId};
use serde::{Deserialize, Serialize};

use super::{Condition, Quota};
use crate::crypto::TokenTag;

/// One thing learnt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Learnt {
    /// Whom it is about.
    pub subject: Subject,
    /// The model it holds for; absent for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// When it was learnt. Of two facts of a kind about one subject, the later one holds.
    pub at: Timestamp,
    /// What it is.
    pub fact: Fact,
}

/// Whom a fact is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// One key, and its project as long as nobody knows its name.
    Key(KeyId),
    /// Every key of a project.
    Project(String),
    /// Every key of a billing account.
    Account(String),
    /// A client key that has limits, of which only what it has spent is told.
    Caller(ClientKeyId),
    /// Any client key, of which only is told that it is used.
    ClientKey(TokenTag),
}

/// What can be learnt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fact {
    /// Gemini refuses for a while.
    Cooling {
        /// When it ends.
        until: Timestamp,
        /// Why.
        reason: CoolingReason,
    },
    /// Gemini refuses until somebody does something about it, or accepts again.
    Standing {
        /// How it stands.
        condition: Condition,
        /// What Gemini said, without secrets.
        message: String,
        /// When it is tried again; absent for never.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        next_check: Option<Timestamp>,
        /// How often it was tried again in vain.
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
    /// An operator ended the cooldowns, the state and the learnt limits of the subject: what was learnt of it
    /// up to then does not hold any more.
    Cleared,
    /// The billing account that the project, or the key whose project nobody knows, shares with others: they fell by
    /// the same spend limit at the same time.
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

/// Why a key or project rests.
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
    /// Too much at once, without a named quota.
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

    /// Whether waiting some minutes is of no use.
    #[must_use]
    pub const fn lasts_the_day(self) -> bool {
        matches!(self, Self::Day | Self::NoQuota)
    }
}
