//! How a key or project stands with Gemini, whatever the model.
//!
//! In: refusals and successes of attempts. Out: whether it may be used, and when it is rechecked. Nothing else changes it
//! but an operator's reset, which makes it healthy. (A key that a person switched off is not in the pool's snapshot at
//! all, so nothing here can lift that.)

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::verdict::{BlockReason, Cause};

/// How often a project without billing is checked hourly, before it is checked daily.
const HOURLY_CHECKS: u32 = 24;
/// How often a key in a final state is checked.
const DAILY: Duration = Duration::from_hours(24);
/// How long a key is not selected whose verdict rests on text alone. A probe decides sooner.
pub(super) const SUSPICION: Duration = Duration::from_secs(8);

/// How a key or project stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// Nothing is known against it.
    #[default]
    Healthy,
    /// Called invalid once, which a second time has to confirm, or accused by a text alone, which a probe decides within
    /// seconds. It is not selected meanwhile.
    Suspect,
    /// Called invalid twice.
    Invalid,
    /// Published somewhere: Google refuses it from then on. Rechecked daily all the same.
    Leaked,
    /// Its project is suspended.
    Suspended,
    /// Its project has to be paid for.
    Billing,
    /// Its billing account has spent what it may in a rolling ten minutes: it comes back by itself.
    SpendWindow,
    /// It may not use the API.
    Blocked(BlockReason),
}

impl Condition {
    /// Returns `true` for states that only an operator or Google can end: they are rechecked after all others.
    pub(super) const fn is_final(self) -> bool {
        matches!(self, Self::Invalid | Self::Leaked | Self::Suspended)
    }

    /// What a refusal says of the key or project as such.
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

    /// After how long it is tried again for the first time, and the longest time between two tries.
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

/// A [`Condition`] with its history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) condition: Condition,
    /// What Gemini said, redacted.
    pub(super) message: String,
    /// When Gemini last said something that counted.
    pub(super) heard_at: Timestamp,
    pub(super) next_check: Option<Timestamp>,
    /// How often it was tried again in vain.
    pub(super) checks: u32,
}

impl Default for Standing {
    fn default() -> Self {
        Self {
            condition: Condition::Healthy,
            message: String::new(),
            heard_at: Timestamp::MIN,
            next_check: None,
            checks: 0,
        }
    }
}

impl Standing {
    /// Until when it cannot be used: `None` if it can, [`Timestamp::MAX`] if no time helps.
    pub(super) fn blocked_until(&self, now: Timestamp) -> Option<Timestamp> {
        match (self.condition, self.next_check) {
            (Condition::Healthy, _) => None,
            // It comes back by itself: the next refusal decides.
            (Condition::Suspect | Condition::SpendWindow, Some(check)) => (check > now).then_some(check),
            _ => Some(Timestamp::MAX),
        }
    }

    /// Takes in a refusal of an attempt that began at `began`. An attempt that was under way when
    /// Gemini last spoke says nothing new. True: something changed.
    pub(super) fn refuse(
        &mut self,
        said: Condition,
        message: &str,
        began: Timestamp,
        now: Timestamp,
    ) -> bool {
        if began <= self.heard_at {
            return false;
        }
        let condition = match (self.condition, said) {
            (Condition::Suspect | Condition::Invalid, Condition::Suspect) => Condition::Invalid,
            _ => said,
        };
        self.checks = if condition == self.condition { self.checks.saturating_add(1) } else { 0 };
        self.condition = condition;
        message.clone_into(&mut self.message);
        self.heard_at = now;
        self.next_check = condition.schedule().map(|(first, longest)| {
            let wait = match condition {
                // A cap of the month or an account without credits: somebody may pay at any time of the first day.
                Condition::Billing if self.checks < HOURLY_CHECKS => first,
                Condition::Billing => longest,
                _ => first.saturating_mul(1 << self.checks.min(16)).min(longest),
            };
            now.saturating_add(wait).unwrap_or(Timestamp::MAX)
        });
        true
    }

    /// Makes a healthy key suspect for some seconds, for an error whose text alone speaks against it. It never says more
    /// of a key that is suspect or worse already. Returns `true` if something changed.
    pub(super) fn suspect(&mut self, message: &str, began: Timestamp, now: Timestamp) -> bool {
        let expired = self.condition == Condition::Suspect && self.blocked_until(now).is_none();
        if began <= self.heard_at || !(self.condition == Condition::Healthy || expired) {
            return false;
        }
        *self = Self {
            condition: Condition::Suspect,
            message: message.to_owned(),
            heard_at: now,
            next_check: now.checked_add(SUSPICION).ok(),
            checks: 0,
        };
        true
    }

    /// Takes in a success of an attempt that began at `began`. True: it healed.
    pub(super) fn accept(&mut self, began: Timestamp, now: Timestamp) -> bool {
        if self.condition == Condition::Healthy || began <= self.heard_at {
            return false;
        }
        self.recover(now);
        true
    }

    /// Makes it healthy.
    pub(super) fn recover(&mut self, now: Timestamp) {
        *self = Self { heard_at: now, ..Self::default() };
    }

    /// Takes in what another isolate heard. True: it was news.
    pub(super) fn absorb(&mut self, other: Self) -> bool {
        let news = other.heard_at > self.heard_at;
        if news {
            *self = other;
        }
        news
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
        let mut standing = Standing::default();
        assert!(standing.refuse(Condition::Suspect, "x", at(0), at(1)));
        assert!(!standing.refuse(Condition::Suspect, "x", at(0), at(2)), "it was under way already");
        assert_eq!(standing.condition, Condition::Suspect);
        assert_eq!(standing.blocked_until(at(2)), Some(at(601)));
        assert_eq!(standing.blocked_until(at(601)), None);
        assert!(standing.refuse(Condition::Suspect, "x", at(601), at(602)));
        assert_eq!((standing.condition, standing.next_check), (Condition::Invalid, Some(at(602 + 86_400))));
        assert_eq!(standing.blocked_until(at(1_000_000)), Some(Timestamp::MAX));
    }

    #[test]
    fn a_suspicion_lasts_for_seconds_and_no_number_of_them_convicts() {
        let mut standing = Standing::default();
        let mut now = 0;
        for _ in 0..10 {
            assert!(standing.suspect("x", at(now), at(now + 1)));
            assert!(!standing.suspect("x", at(now + 2), at(now + 3)), "it is suspect already");
            assert_eq!(standing.condition, Condition::Suspect);
            assert_eq!(standing.blocked_until(at(now + 9)), None);
            now += 10;
        }
        // What the probe says is believed.
        assert!(standing.refuse(Condition::Leaked, "x", at(now), at(now)));
        assert!(!standing.suspect("x", at(now + 1), at(now + 1)));
        assert_eq!(standing.condition, Condition::Leaked);
        assert!(standing.accept(at(now + 86_400), at(now + 86_401)));
    }

    #[test]
    fn final_states_are_checked_daily() {
        for condition in [Condition::Leaked, Condition::Suspended] {
            let mut standing = Standing::default();
            let mut now = at(0);
            for _ in 0..5 {
                standing.refuse(condition, "x", now, now);
                let next = standing.next_check.unwrap();
                assert_eq!(next.duration_since(now).as_hours(), 24, "{condition:?}");
                now = next;
            }
        }
    }

    #[test]
    fn a_later_success_heals_and_an_earlier_one_does_not() {
        let mut standing = Standing::default();
        standing.refuse(Condition::Billing, "x", at(0), at(10));
        assert!(!standing.accept(at(5), at(20)));
        assert!(standing.accept(at(15), at(20)));
        assert_eq!(standing.blocked_until(at(20)), None);
    }

    #[test]
    fn checks_in_vain_come_ever_later() {
        let mut standing = Standing::default();
        let mut now = at(0);
        let mut hours = Vec::new();
        for _ in 0..27 {
            standing.refuse(Condition::Billing, "x", now, now);
            let next = standing.next_check.unwrap();
            hours.push(next.duration_since(now).as_hours());
            now = next;
        }
        let expected: Vec<i64> = std::iter::repeat_n(1, 24).chain([24; 3]).collect();
        assert_eq!(hours, expected, "hourly the first day, then daily");
    }

    #[test]
    fn a_spend_window_lasts_from_a_minute_to_ten_and_comes_back_by_itself() {
        let mut standing = Standing::default();
        let mut now = at(0);
        let mut minutes = Vec::new();
        for _ in 0..6 {
            standing.refuse(Condition::SpendWindow, "x", now, now);
            let until = standing.blocked_until(now).unwrap();
            minutes.push(until.duration_since(now).as_mins());
            assert_eq!(standing.blocked_until(until), None);
            now = until;
        }
        assert_eq!(minutes, [1, 2, 4, 8, 10, 10]);
    }

    #[test]
    fn of_two_reports_the_later_holds() {
        let mut standing = Standing::default();
        standing.refuse(Condition::Leaked, "x", at(5), at(6));
        assert!(!standing.absorb(Standing { heard_at: at(5), ..Standing::default() }));
        assert!(standing.absorb(Standing { heard_at: at(7), ..Standing::default() }));
        assert_eq!(standing.condition, Condition::Healthy);
    }
}
