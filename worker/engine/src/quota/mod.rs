//! The quota tracker: counts what a project has used of a model, where a limit is known.
//!
//! Limits come from upstream errors and from the operator. The minute is a sliding window in buckets, so
//! that a limit holds whatever window Gemini uses. The day ends at the quota reset.

mod day;

use std::collections::VecDeque;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::rate_limiter::{Left, OverLimit};
use super::{Limits, Quota, shifted};

pub use day::{QUOTA_ZONE, next_quota_day};

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

/// The sliding window of a minute has buckets of this length: 13 of them cover at least 60 s.
const BUCKET_SECONDS: i64 = 5;
const BUCKETS: i64 = 13;
/// A limit that no error has named for this time is forgotten, since it may have been raised; finding
/// out costs one error. A confirmed limit lives twice as long, up to a day.
const LIMIT_TTL: Duration = Duration::from_hours(1);
/// The TTL of a limit that replaced a higher one, which then applies again.
const LOWERED_TTL: Duration = Duration::from_mins(10);
const MAX_TTL: Duration = Duration::from_hours(24);
/// Minimum interval between attempts on a project that is exhausted by our count: the count may be too
/// strict.
const PROBE_INTERVAL: Duration = Duration::from_mins(5);

/// What a project has used of a model.
#[derive(Clone, Debug)]
pub(super) struct QuotaTracker {
    set: Limits,
    observed: Vec<ObservedLimit>,
    buckets: VecDeque<(i64, Cost)>,
    minute: Cost,
    day: Cost,
    day_ends: Timestamp,
    probed_at: Timestamp,
}

/// A limit that upstream errors named.
#[derive(Clone, Copy, Debug)]
struct ObservedLimit {
    quota: Quota,
    value: u64,
    life: Duration,
    until: Timestamp,
    /// The higher limit, and its life, that it came in the place of.
    before: Option<(u64, Duration)>,
}

impl QuotaTracker {
    /// Nothing used; `set` are the operator's limits.
    pub(super) fn new(set: Limits, now: Timestamp) -> Self {
        Self {
            set,
            observed: Vec::new(),
            buckets: VecDeque::new(),
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

    /// Records a limit that Gemini named. Returns `true` if it is new.
    pub(super) fn observe_limit(&mut self, quota: Quota, value: u64, now: Timestamp) -> bool {
        self.expire_limits(now);
        let Some(known) = self.observed.iter_mut().find(|known| known.quota == quota) else {
            let life = if quota.is_daily() { MAX_TTL } else { LIMIT_TTL };
            self.observed.push(ObservedLimit { quota, value, life, until: now + life, before: None });
            return true;
        };
        let changed = known.value != value;
        if value < known.value {
            let before = known.before.unwrap_or((known.value, known.life));
            *known = ObservedLimit { value, life: LOWERED_TTL, before: Some(before), ..*known };
        } else {
            known.life = known.life.saturating_mul(2).min(MAX_TTL);
            known.value = value;
            known.before = known.before.filter(|(before, _)| *before > value);
        }
        known.until = now + known.life;
        changed
    }

    /// Moves the windows after the clock was set. Use stays in the window for as long as it would have, at most a
    /// bucket longer. The day ends by the new clock.
    pub(super) fn shift(&mut self, by: SignedDuration, now: Timestamp) {
        let buckets = by.as_millis().div_euclid(i128::from(BUCKET_SECONDS * 1_000));
        let buckets = i64::try_from(buckets).unwrap_or_default()
            + i64::from(by.as_millis() % i128::from(BUCKET_SECONDS * 1_000) != 0);
        let latest = bucket_of(now);
        for (number, _) in &mut self.buckets {
            *number = number.saturating_add(buckets).min(latest);
        }
        for known in &mut self.observed {
            known.until = shifted(known.until, by);
        }
        self.probed_at = shifted(self.probed_at, by);
        self.day_ends = next_quota_day(now);
    }

    /// Forgets the limits that upstream errors named. What was used stays counted, for the operator's limits.
    pub(super) fn forget_observed(&mut self) {
        self.observed.clear();
    }

    fn expire_limits(&mut self, now: Timestamp) {
        self.observed.retain_mut(|known| {
            if known.until <= now
                && let Some((value, life)) = known.before
            {
                *known = ObservedLimit { value, life, until: now + life, before: None, ..*known };
            }
            known.until > now
        });
    }

    /// Returns `true` if no limit is known.
    pub(super) fn is_idle(&self, now: Timestamp) -> bool {
        self.set.is_empty() && self.observed.iter().all(|known| known.until <= now)
    }

    /// Whether `cost` fits into every known limit.
    pub(super) fn fit(&mut self, cost: Cost, now: Timestamp) -> Fit {
        self.advance(now);
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

    /// Returns the limit that `cost` exceeds, the longest-lasting one of several; `None` if it fits all.
    pub(super) fn exceeded_limit(&mut self, cost: Cost, now: Timestamp) -> Option<OverLimit> {
        self.advance(now);
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

    /// Returns what is left of each known limit.
    pub(super) fn left(&mut self, now: Timestamp) -> Vec<Left> {
        self.advance(now);
        let left = self.limits(now).known().map(|(quota, limit)| {
            let (used, _) = self.used(quota, Cost::default());
            let resets_at = match (used, quota.is_daily()) {
                (0, _) => now,
                (_, true) => self.day_ends,
                (_, false) => end_of_bucket(self.last_bucket()),
            };
            Left { quota, limit, remaining: limit.saturating_sub(used), resets_at }
        });
        left.collect()
    }

    /// Returns what was used of a quota, and what `cost` would use of it.
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
        self.advance(now);
        self.count(cost, now, now);
    }

    /// Replaces an attempt's estimated tokens with Gemini's count.
    pub(super) fn correct(&mut self, estimated: u64, counted: u64) {
        let Some((_, bucket)) = self.buckets.back_mut() else { return };
        for cost in [bucket, &mut self.minute, &mut self.day] {
            cost.tokens = cost.tokens.saturating_add(counted).saturating_sub(estimated);
        }
    }

    /// Counts what another instance sent at `at`.
    pub(super) fn record_remote(&mut self, cost: Cost, at: Timestamp, now: Timestamp) {
        self.advance(now);
        self.count(cost, at.min(now), now);
    }

    /// Returns `true` if an exhausted project may be tried once now.
    pub(super) fn probe(&mut self, now: Timestamp) -> bool {
        let due = now.duration_since(self.probed_at).unsigned_abs() >= PROBE_INTERVAL;
        if due {
            self.probed_at = now;
        }
        due
    }

    fn limits(&mut self, now: Timestamp) -> Limits {
        self.expire_limits(now);
        let mut observed = Limits::default();
        for known in &self.observed {
            observed.set(known.quota, known.value);
        }
        self.set.strictest(&observed)
    }

    fn count(&mut self, cost: Cost, at: Timestamp, now: Timestamp) {
        if is_same_day(self.day_ends, at) {
            self.day.add(cost);
        }
        let bucket = bucket_of(at);
        if bucket <= bucket_of(now) - BUCKETS {
            return;
        }
        self.minute.add(cost);
        match self.buckets.iter_mut().rev().find(|(number, _)| *number <= bucket) {
            Some((number, used)) if *number == bucket => used.add(cost),
            // Use that is reported late may belong to an earlier bucket: the next bucket is near enough.
            Some(_) => self.buckets.push_back((bucket.max(self.last_bucket()), cost)),
            None => self.buckets.push_front((bucket, cost)),
        }
    }

    fn last_bucket(&self) -> i64 {
        self.buckets.back().map_or(i64::MIN, |(number, _)| *number)
    }

    /// Removes what is older than the windows.
    fn advance(&mut self, now: Timestamp) {
        let oldest = bucket_of(now) - BUCKETS;
        while let Some((number, used)) = self.buckets.front().copied()
            && number <= oldest
        {
            self.minute.subtract(used);
            self.buckets.pop_front();
        }
        if now >= self.day_ends {
            self.day = Cost::default();
            self.day_ends = next_quota_day(now);
        }
    }

    fn minute_frees(&self, now: Timestamp) -> Timestamp {
        let oldest = self.buckets.front().map_or(bucket_of(now), |(number, _)| *number);
        end_of_bucket(oldest)
    }
}

/// Returns when a bucket leaves the sliding window.
fn end_of_bucket(bucket: i64) -> Timestamp {
    Timestamp::from_second(bucket.saturating_add(BUCKETS).saturating_mul(BUCKET_SECONDS))
        .unwrap_or(Timestamp::MAX)
}

fn bucket_of(time: Timestamp) -> i64 {
    time.as_second().div_euclid(BUCKET_SECONDS)
}

/// Returns `true` if `at` lies in the day that ends at `day_ends`. No day is longer than 25 hours.
fn is_same_day(day_ends: Timestamp, at: Timestamp) -> bool {
    at < day_ends && (day_ends.duration_since(at).as_hours() < 23 || next_quota_day(at) == day_ends)
}

#[cfg(test)]
mod tests;
