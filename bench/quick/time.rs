//! Virtual time, which passes only while all tasks wait.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use jiff::Timestamp;
use pool_worker::platform::Clock;

/// The clock shared by all parts of a harness.
#[derive(Clone)]
pub struct VirtualClock(Arc<Mutex<State>>);

struct State {
    now: Timestamp,
    /// Wake-up times of sleepers, by id.
    sleepers: BTreeMap<u64, Timestamp>,
    next: u64,
}

/// A sleeping task. Dropping it cancels the sleep.
struct Sleeper {
    clock: VirtualClock,
    number: u64,
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        self.clock.0.lock().unwrap().sleepers.remove(&self.number);
    }
}

impl Default for VirtualClock {
    fn default() -> Self {
        let now = "2026-11-23T12:00:00Z".parse().unwrap();
        Self(Arc::new(Mutex::new(State { now, sleepers: BTreeMap::new(), next: 0 })))
    }
}

impl VirtualClock {
    /// Advances the time.
    pub fn advance(&self, by: Duration) {
        self.0.lock().unwrap().now += by;
    }

    /// Runs a future to its end. Whenever it waits, time advances to the next wake-up.
    ///
    /// # Panics
    /// If it waits for anything but time.
    pub fn run<T>(&self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        let mut context = Context::from_waker(Waker::noop());
        loop {
            if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
                return value;
            }
            let mut state = self.0.lock().unwrap();
            state.now = *state.sleepers.values().min().unwrap();
        }
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        self.0.lock().unwrap().now
    }

    async fn sleep(&self, duration: Duration) {
        let (sleeper, wakes) = {
            let mut state = self.0.lock().unwrap();
            let (number, wakes) = (state.next, state.now + duration);
            state.next += 1;
            state.sleepers.insert(number, wakes);
            (Sleeper { clock: self.clone(), number }, wakes)
        };
        std::future::poll_fn(|_| if self.now() < wakes { Poll::Pending } else { Poll::Ready(()) }).await;
        drop(sleeper);
    }
}
