//! How a key is with Gemini, as the admin API shows it.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::AttemptOutcome;

/// How a key is, the best first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum KeyState {
    /// Nothing is known against it.
    Healthy,
    /// It rests for some models, for a minute or so.
    Cooling,
    /// It has used up the day's quota of some models, or has none of them, or its billing account has spent what it may in
    /// ten minutes.
    Limited,
    /// Gemini called it invalid once, or the text of an error alone speaks against it: a recheck decides.
    Suspect,
    /// Gemini called it invalid twice. Rechecked daily.
    Invalid,
    /// It was published somewhere: Google rejects it from then on. Rechecked daily.
    Leaked,
    /// Its project is suspended. Rechecked daily.
    Suspended,
    /// Its project has to be paid for.
    Billing,
    /// It may not use the API: see the reason.
    Blocked,
    /// A person took it out of use.
    Disabled,
    /// The pool does not have it any more. Only counts remain of such a key.
    Removed,
    /// A state that this version does not know; or the ledger, which knows, does not answer.
    #[default]
    #[serde(other)]
    Unknown,
}

impl KeyState {
    /// All that a key of a pool can be in.
    pub const ALL: [Self; 10] = [
        Self::Healthy,
        Self::Cooling,
        Self::Limited,
        Self::Suspect,
        Self::Invalid,
        Self::Leaked,
        Self::Suspended,
        Self::Billing,
        Self::Blocked,
        Self::Disabled,
    ];

    /// Returns `true` if it lasts until a recheck succeeds, for which [`KeyCondition::until`] is the time.
    #[must_use]
    pub const fn is_rechecked(self) -> bool {
        matches!(
            self,
            Self::Suspect | Self::Invalid | Self::Leaked | Self::Suspended | Self::Billing | Self::Blocked
        )
    }

    /// Returns the name that the API uses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Cooling => "cooling",
            Self::Limited => "limited",
            Self::Suspect => "suspect",
            Self::Invalid => "invalid",
            Self::Leaked => "leaked",
            Self::Suspended => "suspended",
            Self::Billing => "billing",
            Self::Blocked => "blocked",
            Self::Disabled => "disabled",
            Self::Removed => "removed",
            Self::Unknown => "unknown",
        }
    }
}

/// A text that names no state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a key's state: healthy, cooling, limited, suspect, invalid, leaked, suspended, billing, blocked or disabled"
)]
pub struct KeyStateError;

impl std::str::FromStr for KeyState {
    type Err = KeyStateError;

    fn from_str(text: &str) -> Result<Self, KeyStateError> {
        Self::ALL.into_iter().find(|state| state.name() == text).ok_or(KeyStateError)
    }
}

/// A key's state and what is behind it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct KeyCondition {
    /// The state.
    #[serde(default)]
    pub state: KeyState,
    /// `cooling`, `limited`: when the last of the models comes back. `suspect`, `invalid`, `leaked`,
    /// `suspended`, `billing`, `blocked`: when it is rechecked. Absent where no time helps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Why, for programs: `requests`, `tokens`, `day`, `no_quota`, `burst`, `new_users`, `no_access` where models
    /// rest; `spend` where the billing account has spent what it may in ten minutes; `service_disabled`,
    /// `billing_disabled`, `consumer_invalid`, `service_blocked`, `referrer`, `address`, `app`, `permission` where the key
    /// is blocked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What Gemini said, without secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The models that it rests for, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<RestingModel>,
    /// `healthy`: that every recent attempt failed, though Gemini has not rejected the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing: Option<Failing>,
}

/// Attempts of a key in this hour and the one before it, none of which succeeded. Attempts that failed for the request,
/// or whose client disconnected, are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Failing {
    /// Attempts that failed.
    pub failed: u64,
    /// All attempts that say something about the key.
    pub attempts: u64,
    /// The most frequent outcome.
    pub outcome: AttemptOutcome,
}

impl Failing {
    /// Fewer failed attempts may be chance.
    pub const MIN_ATTEMPTS: u64 = 5;

    /// Returns the note that attempts call for, counted by outcome; `None` where one succeeded or there are few.
    #[must_use]
    pub fn of(outcomes: &BTreeMap<AttemptOutcome, u64>) -> Option<Self> {
        if outcomes.get(&AttemptOutcome::Ok).is_some_and(|succeeded| *succeeded > 0) {
            return None;
        }
        let says_nothing = |outcome: &AttemptOutcome| {
            matches!(outcome, AttemptOutcome::Ok | AttemptOutcome::ClientLeft | AttemptOutcome::Caller)
        };
        let failed = || outcomes.iter().filter(|(outcome, _)| !says_nothing(outcome));
        let attempts: u64 = failed().map(|(_, count)| *count).sum();
        let (outcome, _) = failed().max_by_key(|(_, count)| **count)?;
        (attempts >= Self::MIN_ATTEMPTS).then_some(Self { failed: attempts, attempts, outcome: *outcome })
    }
}

impl fmt::Display for Failing {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let Self { failed, attempts, outcome } = self;
        write!(formatter, "failing ({failed} of {attempts}: {})", outcome.name())
    }
}

impl KeyCondition {
    /// Returns a state with nothing more to say.
    #[must_use]
    pub fn of(state: KeyState) -> Self {
        Self { state, ..Self::default() }
    }
}

/// A model that a key rests for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RestingModel {
    /// The Gemini model's id.
    pub model: String,
    /// When the key may be used for it again.
    pub until: Timestamp,
    /// Why, see [`KeyCondition::reason`].
    pub reason: String,
}

/// How many keys are in each state; states without keys are left out.
pub type StateCounts = BTreeMap<KeyState, u64>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_failing_when_no_attempt_of_several_succeeded() {
        use AttemptOutcome::{Caller, ClientLeft, Internal, Network, Ok};
        let of = |outcomes: &[(AttemptOutcome, u64)]| Failing::of(&outcomes.iter().copied().collect());
        let failing = of(&[(Internal, 11), (Network, 3), (Caller, 50), (ClientLeft, 2)]).unwrap();
        assert_eq!(failing.to_string(), "failing (14 of 14: internal)");
        for outcomes in
            [&[(Internal, 14), (Ok, 1)][..], &[(Internal, 4)], &[(Caller, 20)], &[(ClientLeft, 20)], &[]]
        {
            assert_eq!(of(outcomes), None, "{outcomes:?}");
        }
        assert!(of(&[(Internal, 5), (Ok, 0)]).is_some());
    }

    #[test]
    fn names_are_those_of_the_wire() {
        for state in KeyState::ALL {
            assert_eq!(serde_json::to_value(state).unwrap(), state.name());
            assert_eq!(state.name().parse(), Ok(state));
        }
        assert_eq!("unknown".parse::<KeyState>(), Err(KeyStateError));
        assert_eq!(serde_json::from_str::<KeyState>("\"newer\"").unwrap(), KeyState::Unknown);
    }
}
