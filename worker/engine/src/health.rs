//! Key health: the model-independent state of a key, project or billing account.
//!
//! It decides whether a key may be used and when it is rechecked. A disabled key is not in the pool's
//! snapshot, so nothing here can enable it.
//!
//! # Invariants
//!
//! - Only upstream errors, successes and an operator's reset change the state.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::verdict::{BlockReason, Cause};

/// How often a project without billing is checked hourly, before it is checked daily.
const MAX_HOURLY_CHECKS: u32 = 24;
/// How often a key in a final state is checked.
const DAILY: Duration = Duration::from_hours(24);
/// How long a key is not selected whose verdict rests on text alone. A probe decides sooner.
pub(super) const SUSPECT_TIMEOUT: Duration = Duration::from_secs(8);

/// The state of a key, project or billing account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HealthState {
    /// No error is known.
    #[default]
    Healthy,
    /// Reported invalid once, which a second error has to confirm, or suspected by an error text, which a probe
    /// decides within seconds. It is not selected meanwhile.
    Suspect,
    /// Reported invalid twice.
    Invalid,
    /// Published somewhere: Google rejects it permanently. Rechecked daily nevertheless.
    Leaked,
    /// Its project is suspended.
    Suspended,
    /// Its project has to be paid for.
    Billing,
    /// Its billing account reached its spend limit for a rolling ten minutes. It recovers without a check.
    SpendWindow,
    /// It may not use the API.
    Blocked(BlockReason),
}

impl HealthState {
    /// Returns `true` for states that only an operator or Google can end: they are rechecked after all others.
    pub(super) const fn is_final(self) -> bool {
        matches!(self, Self::Invalid | Self::Leaked | Self::Suspended)
    }

    /// Returns the health state that a cause implies; `None` if it is not about the key or project.
    pub(super) const fn from_cause(cause: Cause) -> Option<Self> {
        Some(match cause {
            Cause::InvalidKey => Self::Suspect,
            Cause::LeakedKey => Self::Leaked,
            Cause::Suspended => Self::Suspended,
            Cause::Billing => Self::Billing,
            Cause::SpendWindow => Self::SpendWindow,
            Cause::Blocked(reason) => Self::Blocked(reason),
            _ => return None,
        })
    }

    /// Returns the first and the longest interval between rechecks.
    const fn schedule(self) -> Option<(Duration, Duration)> {
        Some(match self {
            Self::Suspect => (Duration::from_mins(10), Duration::from_mins(10)),
            Self::Billing => (Duration::from_hours(1), DAILY),
            Self::SpendWindow => (Duration::from_mins(1), Duration::from_mins(10)),
            Self::Blocked(_) => (Duration::from_hours(1), Duration::from_hours(24)),
            // No state is permanent by mistake.
            Self::Suspended | Self::Invalid | Self::Leaked => (DAILY, DAILY),
            Self::Healthy => return None,
        })
    }
}

/// A [`HealthState`] with its history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KeyHealth {
    pub(super) state: HealthState,
    /// Gemini's error message, redacted.
    pub(super) message: String,
    /// When an error or success last changed the state.
    pub(super) observed_at: Timestamp,
    pub(super) next_check: Option<Timestamp>,
    /// The number of failed rechecks.
    pub(super) checks: u32,
}

impl Default for KeyHealth {
    fn default() -> Self {
        Self {
            state: HealthState::Healthy,
            message: String::new(),
            observed_at: Timestamp::MIN,
            next_check: None,
            checks: 0,
        }
    }
}

impl KeyHealth {
    /// Returns until when it cannot be used: `None` if it can, [`Timestamp::MAX`] if only a check can end it.
    pub(super) fn blocked_until(&self, now: Timestamp) -> Option<Timestamp> {
        match (self.state, self.next_check) {
            (HealthState::Healthy, _) => None,
            // It is selected again without a check: the next attempt decides.
            (HealthState::Suspect | HealthState::SpendWindow, Some(check)) => (check > now).then_some(check),
            _ => Some(Timestamp::MAX),
        }
    }

    /// Applies an error of an attempt that began at `began`. An attempt that was running at the last observation
    /// says nothing new. Returns `true` if the state changed.
    pub(super) fn apply_error(
        &mut self,
        said: HealthState,
        message: &str,
        began: Timestamp,
        now: Timestamp,
    ) -> bool {
        if began <= self.observed_at {
            return false;
        }
        let state = match (self.state, said) {
            (HealthState::Suspect | HealthState::Invalid, HealthState::Suspect) => HealthState::Invalid,
            _ => said,
        };
        self.checks = if state == self.state { self.checks.saturating_add(1) } else { 0 };
        self.state = state;
        message.clone_into(&mut self.message);
        self.observed_at = now;
        self.next_check = state.schedule().map(|(first, longest)| {
            let wait = match state {
                // A monthly cap or an account without credits: the operator may pay at any time of the first day.
                HealthState::Billing if self.checks < MAX_HOURLY_CHECKS => first,
                HealthState::Billing => longest,
                _ => first.saturating_mul(1 << self.checks.min(16)).min(longest),
            };
            now.saturating_add(wait).unwrap_or(Timestamp::MAX)
        });
        true
    }

    /// Makes a healthy key suspect for some seconds, for an error whose text is the only evidence. It does not change
    /// a key that is suspect or worse already. Returns `true` if the state changed.
    pub(super) fn suspect(&mut self, message: &str, began: Timestamp, now: Timestamp) -> bool {
        let expired = self.state == HealthState::Suspect && self.blocked_until(now).is_none();
        if began <= self.observed_at || !(self.state == HealthState::Healthy || expired) {
            return false;
        }
        *self = Self {
            state: HealthState::Suspect,
            message: message.to_owned(),
            observed_at: now,
            next_check: now.checked_add(SUSPECT_TIMEOUT).ok(),
            checks: 0,
        };
        true
    }

    /// Applies a success of an attempt that began at `began`. Returns `true` if the key recovered.
    pub(super) fn apply_success(&mut self, began: Timestamp, now: Timestamp) -> bool {
        if self.state == HealthState::Healthy || began <= self.observed_at {
            return false;
        }
        self.recover(now);
        true
    }

    /// Makes it healthy.
    pub(super) fn recover(&mut self, now: Timestamp) {
        *self = Self { observed_at: now, ..Self::default() };
    }

    /// Merges the observation of another instance. Returns `true` if it is newer.
    pub(super) fn merge(&mut self, other: Self) -> bool {
        let changed = other.observed_at > self.observed_at;
        if changed {
            *self = other;
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    #[test]
    fn an_invalid_verdict_needs_a_second_one_from_a_later_attempt() {
        let mut health = KeyHealth::default();
        assert!(health.apply_error(HealthState::Suspect, "x", at(0), at(1)));
        assert!(!health.apply_error(HealthState::Suspect, "x", at(0), at(2)), "it was under way already");
        assert_eq!(health.state, HealthState::Suspect);
        assert_eq!(health.blocked_until(at(2)), Some(at(601)));
        assert_eq!(health.blocked_until(at(601)), None);
        assert!(health.apply_error(HealthState::Suspect, "x", at(601), at(602)));
        assert_eq!((health.state, health.next_check), (HealthState::Invalid, Some(at(602 + 86_400))));
        assert_eq!(health.blocked_until(at(1_000_000)), Some(Timestamp::MAX));
    }

    #[test]
    fn a_suspicion_lasts_for_seconds_and_no_number_of_them_convicts() {
        let mut health = KeyHealth::default();
        let mut now = 0;
        for _ in 0..10 {
            assert!(health.suspect("x", at(now), at(now + 1)));
            assert!(!health.suspect("x", at(now + 2), at(now + 3)), "it is suspect already");
            assert_eq!(health.state, HealthState::Suspect);
            assert_eq!(health.blocked_until(at(now + 9)), None);
            now += 10;
        }
        // What the probe says is believed.
        assert!(health.apply_error(HealthState::Leaked, "x", at(now), at(now)));
        assert!(!health.suspect("x", at(now + 1), at(now + 1)));
        assert_eq!(health.state, HealthState::Leaked);
        assert!(health.apply_success(at(now + 86_400), at(now + 86_401)));
    }

    #[test]
    fn final_states_are_checked_daily() {
        for state in [HealthState::Leaked, HealthState::Suspended] {
            let mut health = KeyHealth::default();
            let mut now = at(0);
            for _ in 0..5 {
                health.apply_error(state, "x", now, now);
                let next = health.next_check.unwrap();
                assert_eq!(next.duration_since(now).as_hours(), 24, "{state:?}");
                now = next;
            }
        }
    }

    #[test]
    fn a_later_success_heals_and_an_earlier_one_does_not() {
        let mut health = KeyHealth::default();
        health.apply_error(HealthState::Billing, "x", at(0), at(10));
        assert!(!health.apply_success(at(5), at(20)));
        assert!(health.apply_success(at(15), at(20)));
        assert_eq!(health.blocked_until(at(20)), None);
    }

    #[test]
    fn checks_in_vain_come_ever_later() {
        let mut health = KeyHealth::default();
        let mut now = at(0);
        let mut hours = Vec::new();
        for _ in 0..27 {
            health.apply_error(HealthState::Billing, "x", now, now);
            let next = health.next_check.unwrap();
            hours.push(next.duration_since(now).as_hours());
            now = next;
        }
        let expected: Vec<i64> = std::iter::repeat_n(1, 24).chain([24; 3]).collect();
        assert_eq!(hours, expected, "hourly the first day, then daily");
    }

    #[test]
    fn a_spend_window_lasts_from_a_minute_to_ten_and_comes_back_by_itself() {
        let mut health = KeyHealth::default();
        let mut now = at(0);
        let mut minutes = Vec::new();
        for _ in 0..6 {
            health.apply_error(HealthState::SpendWindow, "x", now, now);
            let until = health.blocked_until(now).unwrap();
            minutes.push(until.duration_since(now).as_mins());
            assert_eq!(health.blocked_until(until), None);
            now = until;
        }
        assert_eq!(minutes, [1, 2, 4, 8, 10, 10]);
    }

    #[test]
    fn of_two_reports_the_later_holds() {
        let mut health = KeyHealth::default();
        health.apply_error(HealthState::Leaked, "x", at(5), at(6));
        assert!(!health.merge(KeyHealth { observed_at: at(5), ..KeyHealth::default() }));
        assert!(health.merge(KeyHealth { observed_at: at(7), ..KeyHealth::default() }));
        assert_eq!(health.state, HealthState::Healthy);
    }
}
