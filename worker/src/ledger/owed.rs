//! How many attempts the ledger is owed: begun, and not yet confirmed by it.
//!
//! A host that can keep a number beyond the sudden end of its process is told each time it changes, and gives it back at
//! its next start: what was owed then is lost, and is counted as lost. In: attempts that begin, and reports that are
//! confirmed. Out: the number. What must never happen here: waiting, or a number that is too small.

use std::fmt;
use std::sync::Mutex;

use crate::service::lock;

type Tell = Box<dyn Fn(u64) + Send + Sync>;

/// The number, and who is told.
#[derive(Default)]
pub struct Owed {
    number: Mutex<u64>,
    tell: Option<Tell>,
}

impl Owed {
    /// Begins with what a process before this one owed; `tell` is called with each new number, one at a time.
    pub fn new(before: u64, tell: impl Fn(u64) + Send + Sync + 'static) -> Self {
        Self { number: Mutex::new(before), tell: Some(Box::new(tell)) }
    }

    /// What is owed now.
    pub fn number(&self) -> u64 {
        *lock(&self.number)
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
        // Told under the lock, so that the last number told is the last one.
        let mut number = lock(&self.number);
        *number = change(*number);
        if let Some(tell) = &self.tell {
            tell(*number);
        }
    }
}

impl fmt::Debug for Owed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Owed").field("number", &self.number()).finish_non_exhaustive()
    }
}
