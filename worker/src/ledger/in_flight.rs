//! In-flight counter: attempts and requests that have begun and that the ledger has not
//! acknowledged.
//!
//! A host with persistent storage stores upper bounds of both numbers, and returns them at the next
//! start: what was in flight when the process was killed is counted as lost. A bound exceeds its
//! number by at most an eighth, and by at most 64, so few attempts and requests cause a write.
//!
//! # Invariants
//!
//! * A bound is never below its number.
//! * Nothing waits here.

use std::fmt;
use std::sync::Mutex;

use super::Counted;
use crate::platform::lock;

/// Limits of how far a bound may exceed its number: a fraction of it, and an absolute maximum.
const SLACK_DIVISOR: u64 = 8;
const MAX_SLACK: u64 = 64;

type Keep = Box<dyn Fn(Counted) + Send + Sync>;

/// The numbers, and the callback that stores their bounds.
#[derive(Default)]
pub struct InFlightCounter {
    counts: Mutex<Counts>,
    keep: Option<Keep>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    number: Counted,
    bound: Counted,
}

impl InFlightCounter {
    /// Starts with the numbers of the previous process. `keep` is called with each new pair of
    /// bounds, one call at a time.
    pub fn new(before: Counted, keep: impl Fn(Counted) + Send + Sync + 'static) -> Self {
        Self { counts: Mutex::new(Counts { number: before, bound: before }), keep: Some(Box::new(keep)) }
    }

    /// Returns the numbers.
    pub fn number(&self) -> Counted {
        lock(&self.counts).number
    }

    /// Counts the start of an attempt.
    pub fn begin(&self) {
        self.change(|number| number.attempts = number.attempts.saturating_add(1));
    }

    /// Counts the start of a request.
    pub fn begin_request(&self) {
        self.change(|number| number.requests = number.requests.saturating_add(1));
    }

    /// Subtracts what was counted, or counted as lost, or is not to be counted.
    pub fn acknowledge(&self, acknowledged: Counted) {
        if !acknowledged.is_zero() {
            self.change(|number| {
                number.attempts = number.attempts.saturating_sub(acknowledged.attempts);
                number.requests = number.requests.saturating_sub(acknowledged.requests);
            });
        }
    }

    /// Subtracts an attempt that has begun and is not to be counted.
    pub fn discard_attempt(&self) {
        self.acknowledge(Counted { attempts: 1, requests: 0 });
    }

    fn change(&self, change: impl FnOnce(&mut Counted)) {
        let mut counts = lock(&self.counts);
        change(&mut counts.number);
        let Counts { number, bound } = *counts;
        let bounds = Counted {
            attempts: bound_of(number.attempts, bound.attempts),
            requests: bound_of(number.requests, bound.requests),
        };
        if bounds == bound {
            return;
        }
        counts.bound = bounds;
        if let Some(keep) = &self.keep {
            // Under the lock, so that the latest bounds are stored last.
            keep(bounds);
        }
    }
}

/// Returns the bound of a number: the present one, if it is still valid.
fn bound_of(number: u64, bound: u64) -> u64 {
    let highest = number.saturating_add((number / SLACK_DIVISOR).min(MAX_SLACK));
    if (number..=highest).contains(&bound) { bound } else { highest }
}

impl fmt::Debug for InFlightCounter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InFlightCounter").field("number", &self.number()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use proptest::prelude::*;

    use super::*;

    /// Returns a counter, the stored bounds, and the number of writes.
    fn counter(before: Counted) -> (InFlightCounter, Arc<Mutex<Counted>>, Arc<AtomicU64>) {
        let (kept, writes) = (Arc::new(Mutex::new(before)), Arc::new(AtomicU64::new(0)));
        let (to_keep, to_count) = (Arc::clone(&kept), Arc::clone(&writes));
        let keep = move |bound| {
            *to_keep.lock().unwrap() = bound;
            to_count.fetch_add(1, Ordering::Relaxed);
        };
        (InFlightCounter::new(before, keep), kept, writes)
    }

    fn counted(attempts: u64, requests: u64) -> Counted {
        Counted { attempts, requests }
    }

    proptest! {
        #[test]
        fn what_is_kept_is_never_too_low_and_little_too_high(
            before in (0_u64..5_000, 0_u64..5_000),
            changes in proptest::collection::vec((0_u64..200, 0_u64..200, 0_u64..200, 0_u64..200), 0..20),
        ) {
            let mut plain = counted(before.0, before.1);
            let (counter, kept, _) = counter(plain);
            let check = |number: Counted| {
                let kept = *kept.lock().unwrap();
                for (number, kept) in [(number.attempts, kept.attempts), (number.requests, kept.requests)] {
                    assert!(number <= kept && kept <= number + (number / 8).min(64), "{kept} for {number}");
                }
                assert_eq!(counter.number(), number);
            };
            for (attempts, requests, acknowledged_attempts, acknowledged_requests) in changes {
                for _ in 0..attempts {
                    counter.begin();
                    plain.attempts += 1;
                    check(plain);
                }
                for _ in 0..requests {
                    counter.begin_request();
                    plain.requests += 1;
                    check(plain);
                }
                counter.acknowledge(counted(acknowledged_attempts, acknowledged_requests));
                plain.attempts = plain.attempts.saturating_sub(acknowledged_attempts);
                plain.requests = plain.requests.saturating_sub(acknowledged_requests);
                check(plain);
            }
            counter.acknowledge(plain);
            check(Counted::default());
        }
    }

    #[test]
    fn few_of_many_attempts_are_written_down() {
        let (counter, _, writes) = counter(Counted::default());
        (0..10_000).for_each(|_| counter.begin());
        assert!(writes.load(Ordering::Relaxed) < 200, "{writes:?}");
    }
}
