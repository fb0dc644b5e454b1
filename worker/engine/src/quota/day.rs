//! The quota reset: midnight Pacific Time.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};

/// Gemini's daily quotas reset at midnight in this time zone
/// (<https://ai.google.dev/gemini-api/docs/rate-limits>). It is compiled in, because Workers have no
/// time zone database.
pub const QUOTA_ZONE: TimeZone = jiff::tz::get!("America/Los_Angeles");

/// Returns the next quota reset after `now`: 23, 24 or 25 hours after the previous one.
#[must_use]
pub fn next_quota_day(now: Timestamp) -> Timestamp {
    let tomorrow = now.to_zoned(QUOTA_ZONE).date().checked_add(1.day());
    let midnight = tomorrow.and_then(|date| date.to_zoned(QUOTA_ZONE)).map(|midnight| midnight.timestamp());
    // An error would mean the year 9999.
    midnight.unwrap_or_else(|_| now.saturating_add(SignedDuration::from_hours(24)).unwrap_or(Timestamp::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_turn_at_midnight_in_california_on_both_changes_of_the_clock() {
        for (now, midnight) in [
            ("2026-07-01T06:59:59.999Z", "2026-07-01T07:00:00Z"),
            ("2026-07-01T07:00:00Z", "2026-07-02T07:00:00Z"),
            ("2026-12-01T07:30:00Z", "2026-12-01T08:00:00Z"),
            // 2026-03-08 has 23 hours, 2026-11-01 has 25.
            ("2026-03-08T08:00:00Z", "2026-03-09T07:00:00Z"),
            ("2026-03-08T11:00:00Z", "2026-03-09T07:00:00Z"),
            ("2026-11-01T07:00:00Z", "2026-11-02T08:00:00Z"),
            ("2026-11-01T09:30:00Z", "2026-11-02T08:00:00Z"),
            // A year that no table of transitions lists.
            ("2050-07-01T12:00:00Z", "2050-07-02T07:00:00Z"),
        ] {
            let now: Timestamp = now.parse().unwrap();
            assert_eq!(next_quota_day(now).to_string(), midnight, "{now}");
        }
    }
}
