//! Keeps count of what a project has used of a model, where a limit is known.
//!
//! In: what is about to be sent, and the limits that refusals named or an operator set. Out: whether it
//! fits. The minute slides, so that whatever window Gemini counts by, the limit holds in it.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::callers::{Left, OverLimit};
use super::{Limits, Quota, next_quota_day, shifted};

/// What a request uses up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Requests: a batch of embeddings may count several.
    pub requests: u64,
    /// Input tokens, as estimated.
    pub tokens: u64,
}

impl Cost {
    pub(super) const fn add(&mut self, other: Self) {
        self.requests = self.requests.saturating_add(other.requests);
        self.tokens = self.tokens.saturating_add(other.tokens);
    }

    const fn subtract(&mut self, other: Self) {
        self.requests = self.requests.saturating_sub(other.requests);
        self.tokens = self.tokens.saturating_sub(other.tokens);
    }
}

/// Whether a request fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// It does.
    Yes,
    /// Nothing does, until this time, because of this quota.
    Full(Timestamp, Quota),
    /// It is too large; a smaller one may fit.
    TooLarge,
}

/// The minute is counted in pieces of this length: 13 of them cover at least 60 s.
const PIECE_SECONDS: i64 = 5;
const PIECES: i64 = 13;
/// A limit that no refusal has named for so long is forgotten, since it may have been raised; finding
/// out costs a refusal. One that was confirmed lives twice as long, up to a day.
const LIMIT_LIFE: Duration = Duration::from_hours(1);
/// So does one that came in the place of a higher one, which then holds again.
const LOWERED_LIFE: Duration = Duration::from_mins(10);
const LONGEST_LIFE: Duration = Duration::from_hours(24);
/// How often a project is tried although it seems used up, when nothing else is left: the count may be
/// too strict.
const PROBE_EVERY: Duration = Duration::from_mins(5);

/// What a project has used of a model.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    set: Limits,
    learnt: Vec<LearntLimit>,
    pieces: VecDeque<(i64, Cost)>,
    minute: Cost,
    day: Cost,
    day_ends: Timestamp,
    probed_at: Timestamp,
}

/// A limit that refusals named.
#[derive(Clone, Copy, Debug)]
struct LearntLimit {
    quota: Quota,
    value: u64,
    life: Duration,
    until: Timestamp,
    /// The higher limit, and its life, that it came in the place of.
    before: Option<(u64, Duration)>,
}

impl Budget {
    /// Nothing used; `set` are the operator's limits.
    pub(super) fn new(set: Limits, now: Timestamp) -> Self {
        Self {
            set,
            learnt: Vec::new(),
            pieces: VecDeque::new(),
            minute: Cost::default(),
            day: Cost::default(),
            day_ends: next_quota_day(now),
            probed_at: Timestamp::MIN,
        }
    }

    /// Replaces the operator's limits.
    pub(super) const fn set_limits(&mut self, set: Limits) {
        self.set = set;
    }

    /// Takes in a limit that Gemini named. True: it was not known.
    pub(super) fn learn(&mut self, quota: Quota, value: u64, now: Timestamp) -> bool {
        self.forget_old_limits(now);
        let Some(known) = self.learnt.iter_mut().find(|known| known.quota == quota) else {
            let life = if quota.is_daily() { LONGEST_LIFE } else { LIMIT_LIFE };
            self.learnt.push(LearntLimit { quota, value, life, until: now + life, before: None });
            return true;
        };
        let news = known.value != value;
        if value < known.value {
            let before = known.before.unwrap_or((known.value, known.life));
            *known = LearntLimit { value, life: LOWERED_LIFE, before: Some(before), ..*known };
        } else {
            known.life = known.life.saturating_mul(2).min(LONGEST_LIFE);
            known.value = value;
            known.before = known.before.filter(|(before, _)| *before > value);
        }
        known.until = now + known.life;
        news
    }

    /// The clock was set: what was used stays in the window for as long as it would have, at most a piece longer. The
    /// day ends when it does by the new clock.
    pub(super) fn shift(&mut self, by: SignedDuration, now: Timestamp) {
        let pieces = by.as_millis().div_euclid(i128::from(PIECE_SECONDS * 1_000));
        let pieces = i64::try_from(pieces).unwrap_or_default()
            + i64::from(by.as_millis() % i128::from(PIECE_SECONDS * 1_000) != 0);
        let latest = piece_of(now);
        for (number, _) in &mut self.pieces {
            *number = number.saturating_add(pieces).min(latest);
        }
        for known in &mut self.learnt {
            known.until = shifted(known.until, by);
        }
        self.probed_at = shifted(self.probed_at, by);
        self.day_ends = next_quota_day(now);
    }

    /// Forgets the limits that upstream errors named. What was used stays counted, for the operator's limits.
    pub(super) fn forget_learnt(&mut self) {
        self.learnt.clear();
    }

    fn forget_old_limits(&mut self, now: Timestamp) {
        self.learnt.retain_mut(|known| {
            if known.until <= now
                && let Some((value, life)) = known.before
            {
                *known = LearntLimit { value, life, until: now + life, before: None, ..*known };
            }
            known.until > now
        });
    }

    /// Whether there is nothing left to count for.
    pub(super) fn is_idle(&self, now: Timestamp) -> bool {
        self.set.is_empty() && self.learnt.iter().all(|known| known.until <= now)
    }

    /// Whether `cost` fits into every known limit.
    pub(super) fn fit(&mut self, cost: Cost, now: Timestamp) -> Fit {
        self.turn(now);
        let mut fit = Fit::Yes;
        for (quota, limit) in self.limits(now).known() {
            let (used, needed) = self.used(quota, cost);
            if used.saturating_add(needed) <= limit {
                continue;
            }
            // When less than an eighth is left, looking at every request anew is not worth it.
            let spent = used > 0 && (used.saturating_add(1) > limit || used >= limit - limit / 8);
            if !spent {
                fit = if fit == Fit::Yes { Fit::TooLarge } else { fit };
                continue;
            }
            let frees = if quota.is_daily() { self.day_ends } else { self.minute_frees(now) };
            if !matches!(fit, Fit::Full(until, _) if until >= frees) {
                fit = Fit::Full(frees, quota);
            }
        }
        fit
    }

    /// The limit that `cost` goes beyond, the one that holds longest first; none when it fits into all.
    pub(super) fn over_limit(&mut self, cost: Cost, now: Timestamp) -> Option<OverLimit> {
        self.turn(now);
        let over = self.limits(now).known().filter_map(|(quota, limit)| {
            let (used, needed) = self.used(quota, cost);
            if used.saturating_add(needed) <= limit {
                return None;
            }
            let frees = if quota.is_daily() { self.day_ends } else { self.minute_frees(now) };
            Some(OverLimit { quota, limit, until: (needed <= limit).then_some(frees) })
        });
        over.max_by_key(|over| over.until.unwrap_or(Timestamp::MAX))
    }

    /// What is left of each known limit.
    pub(super) fn left(&mut self, now: Timestamp) -> Vec<Left> {
        self.turn(now);
        let left = self.limits(now).known().map(|(quota, limit)| {
            let (used, _) = self.used(quota, Cost::default());
            let resets_at = match (used, quota.is_daily()) {
                (0, _) => now,
                (_, true) => self.day_ends,
                (_, false) => end_of_piece(self.last_piece()),
            };
            Left { quota, limit, remaining: limit.saturating_sub(used), resets_at }
        });
        left.collect()
    }

    /// What was used of a quota, and what `cost` would use of it.
    const fn used(&self, quota: Quota, cost: Cost) -> (u64, u64) {
        match quota {
            Quota::RequestsPerMinute => (self.minute.requests, cost.requests),
            Quota::TokensPerMinute => (self.minute.tokens, cost.tokens),
            Quota::RequestsPerDay => (self.day.requests, cost.requests),
            Quota::TokensPerDay => (self.day.tokens, cost.tokens),
        }
    }

    /// Counts what is sent at `now`.
    pub(super) fn spend(&mut self, cost: Cost, now: Timestamp) {
        self.turn(now);
        self.count(cost, now, now);
    }

    /// Puts right what an attempt was estimated to cost, now that Gemini has counted its tokens.
    pub(super) fn correct(&mut self, estimated: u64, counted: u64) {
        let Some((_, piece)) = self.pieces.back_mut() else { return };
        for cost in [piece, &mut self.minute, &mut self.day] {
            cost.tokens = cost.tokens.saturating_add(counted).saturating_sub(estimated);
        }
    }

    /// Counts what another isolate sent at `at`.
    pub(super) fn spend_elsewhere(&mut self, cost: Cost, at: Timestamp, now: Timestamp) {
        self.turn(now);
        self.count(cost, at.min(now), now);
    }

    /// Whether a project that seems used up is tried all the same, once.
    pub(super) fn probe(&mut self, now: Timestamp) -> bool {
        let due = now.duration_since(self.probed_at).unsigned_abs() >= PROBE_EVERY;
        if due {
            self.probed_at = now;
        }
        due
    }

    fn limits(&mut self, now: Timestamp) -> Limits {
        self.forget_old_limits(now);
        let mut learnt = Limits::default();
        for known in &self.learnt {
            learnt.set(known.quota, known.value);
        }
        self.set.strictest(&learnt)
    }

    fn count(&mut self, cost: Cost, at: Timestamp, now: Timestamp) {
        if next_day_holds(self.day_ends, at) {
            self.day.add(cost);
        }
        let piece = piece_of(at);
        if piece <= piece_of(now) - PIECES {
            return;
        }
        self.minute.add(cost);
        match self.pieces.iter_mut().rev().find(|(number, _)| *number <= piece) {
            Some((number, used)) if *number == piece => used.add(cost),
            // Use that is told late may belong before what is there already: the next piece is near enough.
            Some(_) => self.pieces.push_back((piece.max(self.last_piece()), cost)),
            None => self.pieces.push_front((piece, cost)),
        }
    }

    fn last_piece(&self) -> i64 {
        self.pieces.back().map_or(i64::MIN, |(number, _)| *number)
    }

    /// Forgets what is older than the windows.
    fn turn(&mut self, now: Timestamp) {
        let oldest = piece_of(now) - PIECES;
        while let Some((number, used)) = self.pieces.front().copied()
            && number <= oldest
        {
            self.minute.subtract(used);
            self.pieces.pop_front();
        }
        if now >= self.day_ends {
            self.day = Cost::default();
            self.day_ends = next_quota_day(now);
        }
    }

    fn minute_frees(&self, now: Timestamp) -> Timestamp {
        let oldest = self.pieces.front().map_or(piece_of(now), |(number, _)| *number);
        end_of_piece(oldest)
    }
}

/// When what was used in a piece does not count for the minute any more.
fn end_of_piece(piece: i64) -> Timestamp {
    Timestamp::from_second(piece.saturating_add(PIECES).saturating_mul(PIECE_SECONDS))
        .unwrap_or(Timestamp::MAX)
}

fn piece_of(time: Timestamp) -> i64 {
    time.as_second().div_euclid(PIECE_SECONDS)
}

/// Whether `at` lies in the day that ends at `day_ends`. No day is longer than 25 hours.
fn next_day_holds(day_ends: Timestamp, at: Timestamp) -> bool {
    at < day_ends && (day_ends.duration_since(at).as_hours() < 23 || next_quota_day(at) == day_ends)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ONE: Cost = Cost { requests: 1, tokens: 100 };

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn budget(quota: Quota, value: u64) -> Budget {
        let mut budget = Budget::new(Limits::default(), at(0));
        budget.learn(quota, value, at(0));
        budget
    }

    #[test]
    fn a_full_minute_frees_as_its_oldest_use_leaves_it() {
        let mut budget = budget(Quota::RequestsPerMinute, 2);
        budget.spend(ONE, at(0));
        budget.spend(ONE, at(30));
        assert_eq!(budget.fit(ONE, at(59)), Fit::Full(at(65), Quota::RequestsPerMinute));
        assert_eq!(budget.fit(ONE, at(65)), Fit::Yes);
        budget.spend(ONE, at(65));
        assert_eq!(budget.fit(ONE, at(66)), Fit::Full(at(95), Quota::RequestsPerMinute));
    }

    #[test]
    fn a_full_day_frees_at_midnight() {
        let mut budget = budget(Quota::RequestsPerDay, 1);
        budget.spend(ONE, at(0));
        let midnight = next_quota_day(at(0));
        assert_eq!(budget.fit(ONE, at(600)), Fit::Full(midnight, Quota::RequestsPerDay));
        assert_eq!(budget.fit(ONE, midnight), Fit::Yes);
    }

    #[test]
    fn a_large_request_is_passed_over_while_small_ones_fit() {
        let mut budget = budget(Quota::TokensPerMinute, 1_000);
        let large = Cost { requests: 1, tokens: 1_200 };
        assert_eq!(budget.fit(large, at(0)), Fit::TooLarge);
        budget.spend(ONE, at(0));
        assert_eq!((budget.fit(ONE, at(1)), budget.fit(large, at(1))), (Fit::Yes, Fit::TooLarge));
        budget.spend(Cost { requests: 1, tokens: 850 }, at(1));
        assert!(matches!(budget.fit(ONE, at(1)), Fit::Full(_, Quota::TokensPerMinute)));
    }

    #[test]
    fn the_stricter_limit_counts_and_an_old_one_is_forgotten() {
        let set = Limits { requests_per_minute: Some(5), ..Limits::default() };
        let mut budget = Budget::new(set, at(0));
        budget.learn(Quota::RequestsPerMinute, 1, at(0));
        budget.spend(ONE, at(0));
        assert!(matches!(budget.fit(ONE, at(1)), Fit::Full(..)));
        let later = at(61 * 60);
        budget.spend(ONE, later);
        assert_eq!(budget.fit(ONE, later), Fit::Yes);
        assert!(!budget.is_idle(later));
    }

    #[test]
    fn what_others_sent_counts_where_it_belongs() {
        let mut budget = budget(Quota::RequestsPerMinute, 1);
        budget.spend_elsewhere(ONE, at(-100), at(0));
        assert_eq!(budget.fit(ONE, at(0)), Fit::Yes, "too long ago");
        budget.spend_elsewhere(ONE, at(-10), at(0));
        assert_eq!(budget.fit(ONE, at(0)), Fit::Full(at(55), Quota::RequestsPerMinute));
    }

    proptest! {
        #[test]
        fn no_window_of_a_minute_ever_holds_more_than_the_limit(
            gaps in proptest::collection::vec(0_i64..20_000, 1..200), limit in 1_u64..8
        ) {
            let mut budget = budget(Quota::RequestsPerMinute, limit);
            let mut now = at(0);
            let mut sent: Vec<Timestamp> = Vec::new();
            for gap in gaps {
                now += Duration::from_millis(gap.unsigned_abs());
                match budget.fit(ONE, now) {
                    Fit::Yes => {
                        budget.spend(ONE, now);
                        sent.push(now);
                        let recent = sent.iter().filter(|at| now.duration_since(**at).as_secs() < 60).count();
                        prop_assert!(recent as u64 <= limit);
                    }
                    Fit::Full(until, _) => {
                        prop_assert!(until > now && until.duration_since(now).as_secs() <= 65);
                        prop_assert_eq!(budget.clone().fit(ONE, until), Fit::Yes);
                    }
                    Fit::TooLarge => prop_assert!(false, "one request fits into any limit"),
                }
            }
        }
    }
}
