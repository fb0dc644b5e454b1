//! Evidence that a model exists: the keys that it has answered.

use std::collections::HashSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::shifted;

/// How long a response is evidence: Google takes models away.
const LASTS: Duration = Duration::from_hours(24);
/// Keys that are remembered for a model.
const MAX_KEYS: usize = 1_024;

/// The keys that a model has answered.
#[derive(Debug, Default)]
pub(crate) struct Access {
    keys: HashSet<usize>,
    last: Option<Timestamp>,
}

impl Access {
    /// Notes that the model answered a key.
    pub(crate) fn served(&mut self, key: usize, now: Timestamp) {
        self.last = Some(now);
        if self.keys.len() < MAX_KEYS {
            self.keys.insert(key);
        }
    }

    /// Returns `true` if another key shows that the model exists, for which `key` does not find it. A key that the model
    /// has answered before shows that it was taken away: then nothing is evidence any more.
    pub(crate) fn exists_without(&mut self, key: usize, now: Timestamp) -> bool {
        let is_fresh = self.last.is_some_and(|last| now.duration_since(last).unsigned_abs() < LASTS);
        if !is_fresh || self.keys.contains(&key) {
            *self = Self::default();
        }
        !self.keys.is_empty()
    }

    /// The clock was set: times move with it.
    pub(crate) fn shift(&mut self, by: SignedDuration) {
        self.last = self.last.map(|last| shifted(last, by));
    }

    /// Keeps the keys that still have a place.
    pub(crate) fn move_to(&mut self, place: impl Fn(usize) -> Option<usize>) {
        self.keys = self.keys.drain().filter_map(place).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_second(hours * 3_600).unwrap()
    }

    #[test]
    fn another_key_s_answer_is_evidence_for_a_day() {
        let mut access = Access::default();
        assert!(!access.exists_without(0, at(0)), "nobody knows the model");
        access.served(1, at(0));
        assert!(access.exists_without(0, at(23)));
        assert!(!access.exists_without(0, at(24)));
    }

    #[test]
    fn a_model_that_is_taken_away_is_not_looked_for() {
        let mut access = Access::default();
        access.served(0, at(0));
        access.served(1, at(0));
        assert!(!access.exists_without(0, at(1)), "it has answered this very key");
        assert!(!access.exists_without(2, at(1)));
        access.served(1, at(2));
        access.move_to(|key| key.checked_sub(1));
        assert!(access.exists_without(1, at(2)));
        assert!(!access.exists_without(0, at(2)), "places have moved");
    }
}
