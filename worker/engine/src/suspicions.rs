//! Suspicions against keys that rest on an error's text, or on a status without a known reason, counted per client key.
//!
//! A probe decides each of them. A client key whose requests cause suspicions that its probes disprove is not believed
//! any more for a while: its errors are returned to it as its own. So a client that makes Gemini write words about
//! keys cannot keep a pool's keys busy.
//!
//! # Invariants
//!
//! - A suspicion that a probe confirms counts for nothing: a pool of many leaked keys is served and learnt.
//! - The memory is bounded.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::ids::TokenTag;

/// Disproved suspicions of one client key within the window, beyond which no further one is believed: those of one
/// request that makes every attempt it may.
const MAX_DISPROVED: usize = 4;
const WINDOW: Duration = Duration::from_mins(1);
/// Suspicions of one client key whose probes have not decided yet.
const MAX_PENDING: usize = 16;
/// A probe that has not decided after this time never will: its request was cancelled.
const PROBE_ENDS_WITHIN: Duration = Duration::from_secs(30);
/// Client keys that are counted for.
const MAX_CLIENTS: usize = 4_096;

/// What to do about a suspicion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Belief {
    /// The key is suspect, and a probe decides.
    Believed,
    /// Too many are being decided: another key is tried, and this one stays as it is.
    Undecided,
    /// The error is the client's. `first`: for the first time within the window.
    NotBelieved {
        /// Whether operators should be told.
        first: bool,
    },
}

/// Suspicions by client key.
#[derive(Debug, Default)]
pub struct Suspicions(HashMap<TokenTag, Suspected>);

#[derive(Debug, Default)]
struct Suspected {
    disproved: Vec<Timestamp>,
    pending: Vec<Timestamp>,
    told_at: Option<Timestamp>,
}

impl Suspected {
    fn forget_old(&mut self, now: Timestamp) {
        let age = |at: &Timestamp| now.duration_since(*at).unsigned_abs();
        // A client that leaves before the probe has decided gains nothing by it.
        let given_up = self.pending.extract_if(.., |at| age(at) >= PROBE_ENDS_WITHIN);
        self.disproved.extend(given_up);
        self.disproved.retain(|at| age(at) < WINDOW);
        self.told_at = self.told_at.filter(|at| age(at) < WINDOW);
    }

    fn is_empty(&self) -> bool {
        self.disproved.is_empty() && self.pending.is_empty() && self.told_at.is_none()
    }
}

impl Suspicions {
    /// Takes in a suspicion that a request of a client key has caused.
    pub fn suspect(&mut self, client: &TokenTag, now: Timestamp) -> Belief {
        if self.0.len() >= MAX_CLIENTS && !self.0.contains_key(client) {
            self.0.retain(|_, suspected| {
                suspected.forget_old(now);
                !suspected.is_empty()
            });
            if self.0.len() >= MAX_CLIENTS {
                self.0.clear();
            }
        }
        let suspected = self.0.entry(client.clone()).or_default();
        suspected.forget_old(now);
        if suspected.disproved.len() >= MAX_DISPROVED {
            let first = suspected.told_at.is_none();
            suspected.told_at.get_or_insert(now);
            return Belief::NotBelieved { first };
        }
        if suspected.pending.len() >= MAX_PENDING {
            return Belief::Undecided;
        }
        suspected.pending.push(now);
        Belief::Believed
    }

    /// Takes in what a probe decided: whether it confirmed the suspicion.
    pub fn decided(&mut self, client: &TokenTag, confirmed: bool, now: Timestamp) {
        if let Some(suspected) = self.0.get_mut(client) {
            let pending = suspected.pending.pop();
            suspected.disproved.extend(pending.filter(|_| !confirmed).map(|_| now));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn client(name: &str) -> TokenTag {
        serde_json::from_value(name.into()).unwrap()
    }

    #[test]
    fn a_few_disproved_suspicions_a_minute_are_believed_and_one_event_tells_of_more() {
        let mut suspicions = Suspicions::default();
        for _ in 0..4 {
            assert_eq!(suspicions.suspect(&client("a"), at(0)), Belief::Believed);
            suspicions.decided(&client("a"), false, at(1));
        }
        assert_eq!(suspicions.suspect(&client("a"), at(2)), Belief::NotBelieved { first: true });
        assert_eq!(suspicions.suspect(&client("a"), at(3)), Belief::NotBelieved { first: false });
        assert_eq!(suspicions.suspect(&client("b"), at(3)), Belief::Believed, "another client key");
        assert_eq!(suspicions.suspect(&client("a"), at(61)), Belief::Believed);
    }

    #[test]
    fn confirmed_suspicions_count_for_nothing() {
        let mut suspicions = Suspicions::default();
        for second in 0..1_000 {
            assert_eq!(suspicions.suspect(&client("a"), at(second)), Belief::Believed);
            suspicions.decided(&client("a"), true, at(second));
        }
    }

    #[test]
    fn what_no_probe_decides_is_bounded_and_ends_as_disproved() {
        let mut suspicions = Suspicions::default();
        for _ in 0..MAX_PENDING {
            assert_eq!(suspicions.suspect(&client("a"), at(0)), Belief::Believed);
        }
        assert_eq!(suspicions.suspect(&client("a"), at(1)), Belief::Undecided);
        assert!(matches!(suspicions.suspect(&client("a"), at(30)), Belief::NotBelieved { .. }));
    }

    #[test]
    fn any_number_of_client_keys_takes_bounded_memory() {
        let mut suspicions = Suspicions::default();
        for number in 0..3 * MAX_CLIENTS {
            suspicions.suspect(&client(&number.to_string()), at(0));
            assert!(suspicions.0.len() <= MAX_CLIENTS);
        }
    }
}
