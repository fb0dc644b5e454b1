//! What a clock that is set does to times that are kept: each moves with it, so that what is left of a cooldown, a
//! window or a delay stays what it is.
//!
//! Other instances and an earlier process may have had another clock: what they observed in the future was observed now.

use std::borrow::Cow;

use jiff::{SignedDuration, Timestamp};

use super::{Observation, ObservationKind};

/// Returns a time that moves with the clock. What lies before or after all time stays there.
#[must_use]
pub fn shifted(time: Timestamp, by: SignedDuration) -> Timestamp {
    if time == Timestamp::MIN || time == Timestamp::MAX {
        return time;
    }
    let end = if by.is_negative() { Timestamp::MIN } else { Timestamp::MAX };
    time.checked_add(by).unwrap_or(end)
}

impl Observation {
    /// Returns the observation as of `now`. One from the future comes from a clock that was ahead: it lasts
    /// as long from now on as it did from then on.
    #[must_use]
    pub fn as_of(&self, now: Timestamp) -> Cow<'_, Self> {
        let ahead = self.at.duration_since(now);
        if !ahead.is_positive() {
            return Cow::Borrowed(self);
        }
        let mut observation = self.clone();
        observation.shift(-ahead);
        Cow::Owned(observation)
    }

    /// Moves with the clock.
    pub(super) fn shift(&mut self, by: SignedDuration) {
        self.at = shifted(self.at, by);
        match &mut self.fact {
            ObservationKind::Cooling { until, .. } => *until = shifted(*until, by),
            ObservationKind::Health { next_check: Some(next_check), .. } => {
                *next_check = shifted(*next_check, by);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use pool_shared::KeyId;

    use super::*;
    use crate::{CoolingReason, Subject};

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    #[test]
    fn a_fact_of_the_future_lasts_no_longer_than_it_was_told_to() {
        let told = |seconds: i64| Observation {
            subject: Subject::Key(KeyId::new("key")),
            model: Some("m".to_owned()),
            at: at(seconds),
            fact: ObservationKind::Cooling { until: at(seconds + 30), reason: CoolingReason::Requests },
        };
        for hours in [1, 24, 24 * 365 * 1_000] {
            assert_eq!(*told(hours * 3_600).as_of(at(0)), told(0));
        }
        assert_eq!(*told(-20).as_of(at(0)), told(-20), "what is past keeps its end");
    }

    #[test]
    fn the_ends_of_time_stay_where_they_are() {
        let hour = SignedDuration::from_hours(1);
        assert_eq!(shifted(Timestamp::MIN, hour), Timestamp::MIN);
        assert_eq!(shifted(Timestamp::MAX, -hour), Timestamp::MAX);
        assert_eq!(shifted(at(0), -hour), at(-3_600));
    }
}
