//! Buckets of minutes, hours and days, and the pages that hold them.
//!
//! A page holds many buckets, so that a quiet pool writes one row instead of sixty. Days begin at
//! midnight Pacific Time.

use std::time::Duration;

use jiff::Timestamp;
use pool_engine::QUOTA_ZONE;
use pool_shared::StatsStep;

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

/// The granularity of counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// All time.
    Total,
    /// By minute.
    Minute,
    /// By hour.
    Hour,
    /// By day.
    Day,
}

impl From<StatsStep> for Level {
    fn from(step: StatsStep) -> Self {
        match step {
            StatsStep::Minute => Self::Minute,
            StatsStep::Hour => Self::Hour,
            StatsStep::Day => Self::Day,
        }
    }
}

impl Level {
    /// Every level: an attempt is counted in each.
    pub const ALL: [Self; 4] = [Self::Total, Self::Minute, Self::Hour, Self::Day];

    /// Returns its number in the database. Never changes.
    #[must_use]
    pub const fn number(self) -> u64 {
        match self {
            Self::Total => 0,
            Self::Minute => 1,
            Self::Hour => 2,
            Self::Day => 3,
        }
    }

    /// Returns the start of the bucket that contains a time, in seconds.
    #[must_use]
    pub fn bucket(self, at: i64) -> i64 {
        match self {
            Self::Total => 0,
            Self::Minute => at - at.rem_euclid(60),
            Self::Hour => at - at.rem_euclid(HOUR),
            Self::Day => start_of_day(at),
        }
    }

    /// Returns the start of the bucket after the one that starts at `start`.
    #[must_use]
    pub fn next(self, start: i64) -> i64 {
        match self {
            Self::Total => i64::MAX,
            Self::Minute => start + 60,
            Self::Hour => start + HOUR,
            // A day has 23, 24 or 25 hours.
            Self::Day => start_of_day(start + 26 * HOUR),
        }
    }

    /// Returns the page that contains a bucket.
    #[must_use]
    pub const fn page(self, start: i64) -> i64 {
        start - start.rem_euclid(self.page_length())
    }

    /// Returns the position of a bucket in its page.
    #[must_use]
    pub const fn slot(self, start: i64) -> i64 {
        let place = start.rem_euclid(self.page_length());
        match self {
            Self::Total => 0,
            Self::Minute => place / 60,
            Self::Hour => place / HOUR,
            // Midnight Pacific Time is 7 or 8 hours into a UTC day, so each day has its own
            // position.
            Self::Day => place / DAY,
        }
    }

    const fn page_length(self) -> i64 {
        match self {
            // About 3,000 years: everything is in page 0.
            Self::Total => 100_000_000_000,
            Self::Minute => HOUR,
            Self::Hour => DAY,
            Self::Day => 32 * DAY,
        }
    }

    /// Returns how long buckets are kept; `None` for always.
    #[must_use]
    pub const fn kept(self) -> Option<Duration> {
        match self {
            Self::Total => None,
            Self::Minute => Some(Duration::from_hours(26)),
            Self::Hour => Some(Duration::from_hours(35 * 24)),
            Self::Day => Some(Duration::from_hours(400 * 24)),
        }
    }

    /// Returns the time before which nothing is kept at `now`.
    #[must_use]
    pub fn kept_since(self, now: i64) -> i64 {
        let kept = self.kept().and_then(|kept| i64::try_from(kept.as_secs()).ok());
        kept.map_or(0, |kept| (now - kept).max(0))
    }

    /// Returns the first page that still holds something to keep at `now`.
    #[must_use]
    pub fn oldest_page(self, now: i64) -> i64 {
        self.page(self.kept_since(now))
    }
}

/// Returns midnight Pacific Time at or before `at`.
fn start_of_day(at: i64) -> i64 {
    let midnight = Timestamp::from_second(at)
        .and_then(|at| at.to_zoned(QUOTA_ZONE).start_of_day())
        .map(|midnight| midnight.timestamp().as_second());
    // It fails only for years after 9999.
    midnight.unwrap_or(at - at.rem_euclid(DAY))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seconds(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_second()
    }

    #[test]
    fn days_turn_at_midnight_in_california_on_both_changes_of_the_clock() {
        for (at, start, next) in [
            ("2026-07-01T06:59:59Z", "2026-06-30T07:00:00Z", "2026-07-01T07:00:00Z"),
            ("2026-07-01T07:00:00Z", "2026-07-01T07:00:00Z", "2026-07-02T07:00:00Z"),
            ("2026-03-08T07:59:59Z", "2026-03-07T08:00:00Z", "2026-03-08T08:00:00Z"),
            // 23 hours, then 25.
            ("2026-03-08T12:00:00Z", "2026-03-08T08:00:00Z", "2026-03-09T07:00:00Z"),
            ("2026-11-01T07:00:00Z", "2026-11-01T07:00:00Z", "2026-11-02T08:00:00Z"),
            ("2026-11-02T07:59:59Z", "2026-11-01T07:00:00Z", "2026-11-02T08:00:00Z"),
        ] {
            assert_eq!(Level::Day.bucket(seconds(at)), seconds(start), "{at}");
            assert_eq!(Level::Day.next(seconds(start)), seconds(next), "{at}");
        }
    }

    proptest! {
        #[test]
        fn buckets_follow_each_other_and_each_has_a_place_of_its_own(at in 0_i64..5_000_000_000) {
            for level in [Level::Minute, Level::Hour, Level::Day] {
                let start = level.bucket(at);
                let next = level.next(start);
                prop_assert!(start <= at && at < next);
                prop_assert_eq!(level.bucket(next - 1), start);
                prop_assert_eq!(level.bucket(next), next);
                let place = |start| (level.page(start), level.slot(start));
                prop_assert_ne!(place(start), place(next));
                prop_assert!(place(start) < place(next));
            }
        }
    }
}
