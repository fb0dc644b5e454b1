//! Spending of billing accounts in a rolling ten minutes, in input tokens.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use crate::scenario::Account;

const WINDOW_MS: i64 = 600_000;

/// Spending of all accounts, by index in the scenario.
#[derive(Debug, Default)]
pub(crate) struct Spending(Mutex<HashMap<usize, VecDeque<(i64, u64)>>>);

impl Spending {
    /// Records `tokens` of an account, unless its limit is reached. Google counts after a request,
    /// so the last one may exceed the limit.
    pub(crate) fn admit(&self, (place, account): (usize, &Account), tokens: u64, now_ms: i64) -> bool {
        let mut accounts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let spent = accounts.entry(place).or_default();
        while spent.front().is_some_and(|(at, _)| now_ms - at >= WINDOW_MS) {
            spent.pop_front();
        }
        if spent.iter().map(|(_, tokens)| tokens).sum::<u64>() >= account.input_tokens_per_ten_minutes {
            return false;
        }
        spent.push_back((now_ms, tokens));
        true
    }

    /// Clears all spending.
    pub(crate) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_can_spend_again_after_ten_minutes() {
        let account = Account { projects: vec!["1".into(), "2".into()], input_tokens_per_ten_minutes: 5 };
        let spending = Spending::default();
        let admit = |place, now_ms| spending.admit((place, &account), 3, now_ms);
        assert!(admit(0, 0) && admit(0, 1_000), "the second one goes beyond");
        assert!(!admit(0, 2_000) && admit(1, 2_000), "each account by itself");
        assert!(!admit(0, WINDOW_MS - 1) && admit(0, WINDOW_MS));
        assert!(!admit(0, WINDOW_MS + 999) && admit(0, WINDOW_MS + 1_000));
        spending.clear();
        assert!(admit(0, 0));
    }
}
