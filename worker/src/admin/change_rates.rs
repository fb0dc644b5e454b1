//! Sliding-window rate limiter for the changes of an admin token.
//!
//! It counts per instance. Across instances the store limits the entries of a pool and token to the
//! same number, see [`store::sql`](crate::store).

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use jiff::Timestamp;
use pool_shared::AdminTokenId;

/// Changes per window of a token and of those created with it. Ten per second are more than scripts
/// need, and the 10,000 audit entries of a pool last a quarter of an hour at least.
const MAX_CHANGES: usize = 600;
const WINDOW: Duration = Duration::from_mins(1);
/// Maximum number of tokens in memory.
const MAX_TOKENS: usize = 1_000;

/// The times of each token's latest changes.
#[derive(Debug, Default)]
pub(crate) struct ChangeRates(HashMap<AdminTokenId, VecDeque<Timestamp>>);

impl ChangeRates {
    /// Counts a change, or returns how long the token has to wait.
    pub(crate) fn admit(&mut self, budget: &AdminTokenId, now: Timestamp) -> Result<(), Duration> {
        if self.0.len() >= MAX_TOKENS && !self.0.contains_key(budget) {
            self.make_room(now);
        }
        let made = self.0.entry(budget.clone()).or_default();
        while made.front().is_some_and(|at| left(*at, now).is_none()) {
            made.pop_front();
        }
        if let Some(wait) = made.front().filter(|_| made.len() >= MAX_CHANGES).and_then(|at| left(*at, now)) {
            return Err(wait);
        }
        made.push_back(now);
        Ok(())
    }

    fn make_room(&mut self, now: Timestamp) {
        self.0.retain(|_, made| made.back().is_some_and(|at| left(*at, now).is_some()));
        if self.0.len() >= MAX_TOKENS {
            let idle = self.0.iter().min_by_key(|(_, made)| made.back().copied());
            if let Some(idle) = idle.map(|(budget, _)| budget.clone()) {
                self.0.remove(&idle);
            }
        }
    }
}

/// Returns how long a change stays in the window. One that is more than a window in the future was
/// made before the clock was set.
fn left(at: Timestamp, now: Timestamp) -> Option<Duration> {
    let elapsed = now.duration_since(at);
    let elapsed = if elapsed.is_negative() && elapsed.unsigned_abs() < WINDOW {
        Duration::ZERO
    } else {
        elapsed.unsigned_abs()
    };
    WINDOW.checked_sub(elapsed).filter(|left| !left.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: i64) -> Timestamp {
        Timestamp::from_millisecond(1_800_000_000_000 + milliseconds).unwrap()
    }

    #[test]
    fn a_token_makes_600_changes_in_any_minute() {
        let mut rates = ChangeRates::default();
        let [one, other] = ["tok-1", "tok-2"].map(AdminTokenId::new);
        for number in 0..600 {
            assert_eq!(rates.admit(&one, at(number * 50)), Ok(()));
        }
        assert_eq!(rates.admit(&one, at(30_000)), Err(Duration::from_secs(30)));
        assert_eq!(rates.admit(&other, at(30_000)), Ok(()));
        assert_eq!(rates.admit(&one, at(59_999)), Err(Duration::from_millis(1)));
        assert_eq!(rates.admit(&one, at(60_000)), Ok(()));
        assert_eq!(rates.admit(&one, at(60_010)), Err(Duration::from_millis(40)), "the window slides");
        assert_eq!(rates.admit(&one, at(-3_600_000)), Ok(()), "the clock was set back");
    }

    #[test]
    fn it_is_bounded() {
        let mut rates = ChangeRates::default();
        for number in 0..3_000 {
            let token = AdminTokenId::new(format!("tok-{number}"));
            assert_eq!(rates.admit(&token, at(number)), Ok(()));
        }
        assert_eq!(rates.0.len(), MAX_TOKENS);
    }
}
