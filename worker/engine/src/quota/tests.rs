use proptest::prelude::*;

use super::*;

const ONE: Cost = Cost { requests: 1, tokens: 100 };

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn tracker(quota: Quota, value: u64) -> QuotaTracker {
    let mut tracker = QuotaTracker::new(Limits::default(), at(0));
    tracker.observe_limit(quota, value, at(0));
    tracker
}

#[test]
fn a_full_minute_frees_as_its_oldest_use_leaves_it() {
    let mut tracker = tracker(Quota::RequestsPerMinute, 2);
    tracker.spend(ONE, at(0));
    tracker.spend(ONE, at(30));
    assert_eq!(tracker.fit(ONE, at(59)), Fit::Full(at(65), Quota::RequestsPerMinute));
    assert_eq!(tracker.fit(ONE, at(65)), Fit::Yes);
    tracker.spend(ONE, at(65));
    assert_eq!(tracker.fit(ONE, at(66)), Fit::Full(at(95), Quota::RequestsPerMinute));
}

#[test]
fn a_full_day_frees_at_midnight() {
    let mut tracker = tracker(Quota::RequestsPerDay, 1);
    tracker.spend(ONE, at(0));
    let midnight = next_quota_day(at(0));
    assert_eq!(tracker.fit(ONE, at(600)), Fit::Full(midnight, Quota::RequestsPerDay));
    assert_eq!(tracker.fit(ONE, midnight), Fit::Yes);
}

#[test]
fn a_large_request_is_passed_over_while_small_ones_fit() {
    let mut tracker = tracker(Quota::TokensPerMinute, 1_000);
    let large = Cost { requests: 1, tokens: 1_200 };
    assert_eq!(tracker.fit(large, at(0)), Fit::TooLarge);
    tracker.spend(ONE, at(0));
    assert_eq!((tracker.fit(ONE, at(1)), tracker.fit(large, at(1))), (Fit::Yes, Fit::TooLarge));
    tracker.spend(Cost { requests: 1, tokens: 850 }, at(1));
    assert!(matches!(tracker.fit(ONE, at(1)), Fit::Full(_, Quota::TokensPerMinute)));
}

#[test]
fn the_stricter_limit_counts_and_an_old_one_is_forgotten() {
    let set = Limits { requests_per_minute: Some(5), ..Limits::default() };
    let mut tracker = QuotaTracker::new(set, at(0));
    tracker.observe_limit(Quota::RequestsPerMinute, 1, at(0));
    tracker.spend(ONE, at(0));
    assert!(matches!(tracker.fit(ONE, at(1)), Fit::Full(..)));
    let later = at(61 * 60);
    tracker.spend(ONE, later);
    assert_eq!(tracker.fit(ONE, later), Fit::Yes);
    assert!(!tracker.is_idle(later));
}

#[test]
fn what_others_sent_counts_where_it_belongs() {
    let mut tracker = tracker(Quota::RequestsPerMinute, 1);
    tracker.record_remote(ONE, at(-100), at(0));
    assert_eq!(tracker.fit(ONE, at(0)), Fit::Yes, "too long ago");
    tracker.record_remote(ONE, at(-10), at(0));
    assert_eq!(tracker.fit(ONE, at(0)), Fit::Full(at(55), Quota::RequestsPerMinute));
}

proptest! {
    #[test]
    fn no_window_of_a_minute_ever_holds_more_than_the_limit(
        gaps in proptest::collection::vec(0_i64..20_000, 1..200), limit in 1_u64..8
    ) {
        let mut tracker = tracker(Quota::RequestsPerMinute, limit);
        let mut now = at(0);
        let mut sent: Vec<Timestamp> = Vec::new();
        for gap in gaps {
            now += Duration::from_millis(gap.unsigned_abs());
            match tracker.fit(ONE, now) {
                Fit::Yes => {
                    tracker.spend(ONE, now);
                    sent.push(now);
                    let recent = sent.iter().filter(|at| now.duration_since(**at).as_secs() < 60).count();
                    prop_assert!(recent as u64 <= limit);
                }
                Fit::Full(until, _) => {
                    prop_assert!(until > now && until.duration_since(now).as_secs() <= 65);
                    prop_assert_eq!(tracker.clone().fit(ONE, until), Fit::Yes);
                }
                Fit::TooLarge => prop_assert!(false, "one request fits into any limit"),
            }
        }
    }
}
