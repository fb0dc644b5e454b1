//! Request and token quotas by project and model, counted in fixed windows.
//!
//! # Invariants
//! - A rejected request uses no quota.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::clock::QuotaDay;
use crate::scenario::Limits;

const MINUTE_MS: i64 = 60_000;

/// What a quota counts, as in its `quotaId`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum QuotaKind {
    RequestsPerMinute,
    RequestsPerDay,
    InputTokensPerMinute,
}

/// A quota that a request would exceed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    pub kind: QuotaKind,
    pub limit: u64,
}

/// Cost of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    /// Requests; a batch of embeddings counts one per item.
    pub requests: u64,
    pub input_tokens: u64,
}

/// Windows of all projects and models.
#[derive(Debug, Default)]
pub(crate) struct Quotas(Mutex<HashMap<String, HashMap<String, Windows>>>);

#[derive(Debug)]
struct Windows {
    minute: i64,
    minute_requests: u64,
    minute_tokens: u64,
    day: QuotaDay,
    day_requests: u64,
}

impl Windows {
    fn at(now_ms: i64) -> Self {
        Self {
            minute: now_ms.div_euclid(MINUTE_MS),
            minute_requests: 0,
            minute_tokens: 0,
            day: QuotaDay::of(now_ms),
            day_requests: 0,
        }
    }

    fn turn(&mut self, now_ms: i64) {
        let minute = now_ms.div_euclid(MINUTE_MS);
        if self.minute != minute {
            self.minute = minute;
            self.minute_requests = 0;
            self.minute_tokens = 0;
        }
        if !self.day.holds(now_ms) {
            self.day = QuotaDay::of(now_ms);
            self.day_requests = 0;
        }
    }
}

impl Quotas {
    /// Subtracts `cost` from the windows of (`project`, `model`), or returns every quota that it
    /// would exceed.
    pub(crate) fn admit(
        &self,
        project: &str,
        model: &str,
        limits: &Limits,
        cost: Cost,
        now_ms: i64,
    ) -> Result<(), Vec<Violation>> {
        let mut projects = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !projects.contains_key(project) {
            projects.insert(project.to_owned(), HashMap::new());
        }
        let Some(models) = projects.get_mut(project) else {
            return Ok(());
        };
        if !models.contains_key(model) {
            models.insert(model.to_owned(), Windows::at(now_ms));
        }
        let Some(windows) = models.get_mut(model) else {
            return Ok(());
        };
        windows.turn(now_ms);
        let minute_requests = windows.minute_requests + cost.requests;
        let minute_tokens = windows.minute_tokens + cost.input_tokens;
        let day_requests = windows.day_requests + cost.requests;
        let violations: Vec<Violation> = [
            (QuotaKind::InputTokensPerMinute, limits.input_tokens_per_minute, minute_tokens),
            (QuotaKind::RequestsPerMinute, limits.requests_per_minute, minute_requests),
            (QuotaKind::RequestsPerDay, limits.requests_per_day, day_requests),
        ]
        .into_iter()
        .filter_map(|(kind, limit, used)| {
            limit.filter(|limit| used > *limit).map(|limit| Violation { kind, limit })
        })
        .collect();
        if !violations.is_empty() {
            return Err(violations);
        }
        windows.minute_requests = minute_requests;
        windows.minute_tokens = minute_tokens;
        windows.day_requests = day_requests;
        Ok(())
    }

    /// Clears all windows.
    pub(crate) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// Returns the milliseconds to the end of the minute's window. Gemini returns this short delay for
/// daily quotas too.
pub(crate) fn until_next_minute_ms(now_ms: i64) -> u64 {
    (MINUTE_MS - now_ms.rem_euclid(MINUTE_MS)).unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Cost = Cost { requests: 1, input_tokens: 5 };
    /// 2026-11-22, 30 s into a minute, 23:58:30 Pacific Time.
    const NOW: i64 = 1_795_420_710_000;

    fn limits(minute: Option<u64>, day: Option<u64>, tokens: Option<u64>) -> Limits {
        Limits {
            requests_per_minute: minute,
            requests_per_day: day,
            input_tokens_per_minute: tokens,
            ..Limits::default()
        }
    }

    #[test]
    fn minute_quotas_reset_and_are_separate_by_project_and_model() {
        let quotas = Quotas::default();
        let limits = limits(Some(1), None, None);
        let refused = vec![Violation { kind: QuotaKind::RequestsPerMinute, limit: 1 }];
        assert_eq!(quotas.admit("p", "m", &limits, ONE, NOW), Ok(()));
        assert_eq!(quotas.admit("p", "m", &limits, ONE, NOW + 1), Err(refused));
        assert_eq!(quotas.admit("q", "m", &limits, ONE, NOW), Ok(()));
        assert_eq!(quotas.admit("p", "n", &limits, ONE, NOW), Ok(()));
        let turn = NOW + i64::try_from(until_next_minute_ms(NOW)).unwrap();
        assert!(quotas.admit("p", "m", &limits, ONE, turn - 1).is_err());
        assert_eq!(quotas.admit("p", "m", &limits, ONE, turn), Ok(()));
    }

    #[test]
    fn daily_quotas_reset_at_midnight_pacific_time() {
        let quotas = Quotas::default();
        let limits = limits(Some(10), Some(1), None);
        assert_eq!(quotas.admit("p", "m", &limits, ONE, NOW), Ok(()));
        let day = QuotaDay::of(NOW);
        assert_eq!(
            quotas.admit("p", "m", &limits, ONE, day.end_ms - 1),
            Err(vec![Violation { kind: QuotaKind::RequestsPerDay, limit: 1 }])
        );
        assert_eq!(quotas.admit("p", "m", &limits, ONE, day.end_ms), Ok(()));
    }

    #[test]
    fn a_rejected_request_uses_no_quota() {
        let quotas = Quotas::default();
        let limits = limits(Some(2), None, Some(9));
        let large = Cost { requests: 1, input_tokens: 10 };
        assert!(quotas.admit("p", "m", &limits, large, NOW).is_err());
        assert!(quotas.admit("p", "m", &limits, large, NOW).is_err());
        assert_eq!(quotas.admit("p", "m", &limits, ONE, NOW), Ok(()));
        assert_eq!(
            quotas.admit("p", "m", &limits, ONE, NOW),
            Err(vec![Violation { kind: QuotaKind::InputTokensPerMinute, limit: 9 }])
        );
    }
}
