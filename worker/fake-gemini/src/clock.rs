//! Clock of the quotas, and the bounds of Gemini's quota days.
//!
//! Delays of responses use tokio's timers instead.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::{Timestamp, ToSpan as _, tz::TimeZone};

/// Time zone of the daily quota reset (<https://ai.google.dev/gemini-api/docs/rate-limits>).
const QUOTA_ZONE: TimeZone = jiff::tz::get!("America/Los_Angeles");

/// A clock that follows the system clock until a test moves or stops it. Clones share the time.
#[derive(Clone, Debug)]
pub struct FakeClock(Arc<Mutex<Hands>>);

#[derive(Clone, Copy, Debug)]
enum Hands {
    Running { ahead_ms: i64 },
    Stopped { unix_ms: i64 },
}

impl Default for FakeClock {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Hands::Running { ahead_ms: 0 })))
    }
}

impl FakeClock {
    /// Returns the time in milliseconds since 1970.
    #[must_use]
    pub fn unix_ms(&self) -> i64 {
        match *self.hands() {
            Hands::Running { ahead_ms } => machine_ms().saturating_add(ahead_ms),
            Hands::Stopped { unix_ms } => unix_ms,
        }
    }

    /// Moves the clock forward. A stopped clock stays stopped, at the later time.
    pub fn advance(&self, by: Duration) {
        let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        match &mut *self.hands() {
            Hands::Running { ahead_ms: shown } | Hands::Stopped { unix_ms: shown } => {
                *shown = shown.saturating_add(by);
            }
        }
    }

    /// Stops the clock at `unix_ms`; only [`advance`](Self::advance) moves it then.
    pub fn stop_at(&self, unix_ms: i64) {
        *self.hands() = Hands::Stopped { unix_ms };
    }

    fn hands(&self) -> std::sync::MutexGuard<'_, Hands> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn machine_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// One quota day: from midnight Pacific Time to the next, in milliseconds since 1970. It has 23 or
/// 25 hours on days with a clock change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QuotaDay {
    pub start_ms: i64,
    pub end_ms: i64,
}

impl QuotaDay {
    /// Returns the day that contains `unix_ms`. A time outside the calendar gets its own day.
    pub(crate) fn of(unix_ms: i64) -> Self {
        let bounds = || -> Result<Self, jiff::Error> {
            let today = Timestamp::from_millisecond(unix_ms)?.to_zoned(QUOTA_ZONE).start_of_day()?;
            let tomorrow = today.checked_add(1.day())?.start_of_day()?;
            Ok(Self {
                start_ms: today.timestamp().as_millisecond(),
                end_ms: tomorrow.timestamp().as_millisecond(),
            })
        };
        bounds().unwrap_or(Self { start_ms: unix_ms, end_ms: unix_ms.saturating_add(1) })
    }

    pub(crate) fn holds(self, unix_ms: i64) -> bool {
        (self.start_ms..self.end_ms).contains(&unix_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_millisecond()
    }

    #[test]
    fn quota_days_follow_the_clock_changes_of_pacific_time() {
        let day = QuotaDay::of(ms("2026-03-08T12:00:00Z"));
        assert_eq!(day.start_ms, ms("2026-03-08T08:00:00Z"));
        assert_eq!(day.end_ms, ms("2026-03-09T07:00:00Z"), "23 hours");
        let day = QuotaDay::of(ms("2026-11-01T20:00:00Z"));
        assert_eq!(day.end_ms - day.start_ms, 25 * 3_600_000);
        assert!(day.holds(day.start_ms) && !day.holds(day.end_ms));
    }

    #[test]
    fn a_stopped_clock_moves_only_when_advanced() {
        let clock = FakeClock::default();
        let other = clock.clone();
        clock.stop_at(1_000);
        other.advance(Duration::from_secs(2));
        assert_eq!(clock.unix_ms(), 3_000);
    }
}
