//! A clock that tests advance.

use std::sync::Mutex;
use std::task::Poll;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::platform::Clock;

/// A clock with manual time. It wakes no task: a sleeper continues only if a test advances the time
/// and polls again.
pub struct ManualClock(Mutex<Timestamp>, Mutex<SignedDuration>);

impl ManualClock {
    pub fn new(now: Timestamp) -> Self {
        Self(Mutex::new(now), Mutex::default())
    }

    /// Changes the machine's clock; the host notices when it checks.
    pub fn set_by(&self, by: SignedDuration) {
        *self.1.lock().unwrap() += by;
    }

    pub fn advance(&self, duration: Duration) {
        let mut now = self.0.lock().unwrap();
        *now += duration;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }

    fn correct(&self) -> Option<SignedDuration> {
        let by = std::mem::take(&mut *self.1.lock().unwrap());
        *self.0.lock().unwrap() += by;
        Some(by).filter(|by| !by.is_zero())
    }

    async fn sleep(&self, duration: Duration) {
        let end = self.now() + duration;
        std::future::poll_fn(|_| if self.now() < end { Poll::Pending } else { Poll::Ready(()) }).await;
    }
}
