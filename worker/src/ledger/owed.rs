//! How many attempts the ledger is owed: begun, and not yet confirmed by it.
//!
//! A host that can keep a number beyond the sudden end of its process keeps an upper bound, and gives it back at its next
//! start: what was owed then is lost, and is counted as lost. The bound is at most an eighth above the number, and never
//! more than 64, so that not every attempt has to be written down. In: attempts that begin, and reports that are
//! confirmed. Out: the bound, when it has to change. What must never happen here: waiting, or a bound that is too low.

use std::fmt;
use std::sync::Mutex;

use crate::service::lock;

/// How far the bound may be above the number: one in so many, up to a most.
const ROOM_ONE_IN: u64 = 8;
const MOST_ROOM: u64 = 64;

type Keep = Box<dyn Fn(u64) + Send + Sync>;

/// The number, and who keeps a bound of it.
#[derive(Default)]
pub struct Owed {
    counts: Mutex<Counts>,
    keep: Option<Keep>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    number: u64,
    bound: u64,
}

impl Owed {
    /// Begins with what a process before this one owed; `keep` is called with each new bound, one at a time.
    pub fn new(before: u64, keep: impl Fn(u64) + Send + Sync + 'static) -> Self {
        Self { counts: Mutex::new(Counts { number: before, bound: before }), keep: Some(Box::new(keep)) }
    }

    /// What is owed now.
    pub fn number(&self) -> u64 {
        lock(&self.counts).number
    }

    /// An attempt begins.
    pub fn begin(&self) {
        self.change(|number| number.saturating_add(1));
    }

    /// So many attempts are counted, or counted as lost, or are not to be counted.
    pub fn settle(&self, attempts: u64) {
        if attempts > 0 {
            self.change(|number| number.saturating_sub(attempts));
        }
    }

    fn change(&self, change: impl FnOnce(u64) -> u64) {
        let mut counts = lock(&self.counts);
        counts.number = change(counts.number);
        let highest = counts.number.saturating_add((counts.number / ROOM_ONE_IN).min(MOST_ROOM));
        if (counts.number..=highest).contains(&counts.bound) {
            return;
        }
        counts.bound = highest;
        if let Some(keep) = &self.keep {
            // Under the lock, so that the last bound that is kept is the last one.
            keep(highest);
        }
    }
}

impl fmt::Debug for Owed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Owed").field("number", &self.number()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use proptest::prelude::*;

    use super::*;

    /// What is owed, what is kept, and how often that was written.
    fn owed(before: u64) -> (Owed, Arc<AtomicU64>, Arc<AtomicU64>) {
        let (kept, writes) = (Arc::new(AtomicU64::new(before)), Arc::new(AtomicU64::new(0)));
        let (to_keep, to_count) = (Arc::clone(&kept), Arc::clone(&writes));
        let keep = move |bound| {
            to_keep.store(bound, Ordering::Relaxed);
            to_count.fetch_add(1, Ordering::Relaxed);
        };
        (Owed::new(before, keep), kept, writes)
    }

    proptest! {
        #[test]
        fn what_is_kept_is_never_too_low_and_little_too_high(
            before in 0_u64..5_000, changes in proptest::collection::vec((0_u64..200, 0_u64..200), 0..20),
        ) {
            let (owed, kept, _) = owed(before);
            let mut plain = before;
            let check = |number: u64| {
                let kept = kept.load(Ordering::Relaxed);
                assert!(number <= kept && kept <= number + (number / 8).min(64), "{kept} for {number}");
            };
            for (begun, settled) in changes {
                for _ in 0..begun {
                    owed.begin();
                    plain += 1;
                    check(plain);
                }
                owed.settle(settled);
                plain = plain.saturating_sub(settled);
                check(plain);
            }
            owed.settle(plain);
            check(0);
            prop_assert_eq!(owed.number(), 0);
        }
    }

    #[test]
    fn few_of_many_attempts_are_written_down() {
        let (owed, _, writes) = owed(0);
        (0..10_000).for_each(|_| owed.begin());
        assert!(writes.load(Ordering::Relaxed) < 200, "{writes:?}");
    }
}
