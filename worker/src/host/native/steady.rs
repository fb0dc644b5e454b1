//! Time from a monotonic clock, which starts at the wall clock's time and follows it only when told to.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// Smaller differences are drift, and not worth a correction.
const TOLERANCE: SignedDuration = SignedDuration::from_millis(500);

/// The wall clock's time at a moment, from which on elapsed time is added.
#[derive(Clone, Copy, Debug)]
pub(super) struct SteadyTime {
    base: Timestamp,
}

impl SteadyTime {
    /// Starts at the wall clock's time.
    pub(super) const fn new(wall: Timestamp) -> Self {
        Self { base: wall }
    }

    /// Returns the time when so much has elapsed since the start, in whole milliseconds.
    pub(super) fn at(&self, elapsed: Duration) -> Timestamp {
        let now = self.base.saturating_add(elapsed).unwrap_or(Timestamp::MAX);
        Timestamp::from_millisecond(now.as_millisecond()).unwrap_or_default()
    }

    /// Adopts the wall clock's time. Returns the difference, unless it is none.
    pub(super) fn correct(&mut self, wall: Timestamp, elapsed: Duration) -> Option<SignedDuration> {
        let before = self.at(elapsed);
        let off = Timestamp::from_millisecond(wall.as_millisecond()).ok()?.duration_since(before);
        if off.abs() < TOLERANCE {
            return None;
        }
        self.base = self.base.saturating_add(off).ok()?;
        Some(self.at(elapsed).duration_since(before))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn time_goes_on_evenly_and_jumps_only_by_what_a_correction_tells(
            steps in proptest::collection::vec((0_u64..100_000, -20_000_000_i64..20_000_000, any::<bool>()), 1..50)
        ) {
            let start = Timestamp::from_second(1_800_000_000).unwrap();
            let (mut time, mut wall, mut elapsed) = (SteadyTime::new(start), start, Duration::ZERO);
            let mut expected = start;
            for (milliseconds, set, corrects) in steps {
                let step = Duration::from_millis(milliseconds);
                elapsed += step;
                wall = wall + step + SignedDuration::from_millis(set);
                expected += step;
                prop_assert_eq!(time.at(elapsed), expected);
                if corrects {
                    expected += time.correct(wall, elapsed).unwrap_or_default();
                    prop_assert_eq!(time.at(elapsed), expected);
                    prop_assert!(wall.duration_since(expected).abs() < TOLERANCE);
                }
            }
        }
    }
}
