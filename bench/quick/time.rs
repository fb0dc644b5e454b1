//! Time that passes only while everything waits.
//!
//! In: a future. Out: its value, and how long it would have taken if computing took no time. Never here: real time.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use jiff::Timestamp;
use pool_worker::platform::Clock;

/// A clock that everything in one harness shares.
#[derive(Clone)]
pub struct VirtualClock(Arc<Mutex<State>>);

struct State {
    now: Timestamp,
    /// When those wake that sleep, by a number of their own.
    sleepers: BTreeMap<u64, Timestamp>,
    next: u64,
}

/// One who sleeps. Dropped, it no longer has to be waited for.
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
    /// Lets time pass.
    pub fn advance(&self, by: Duration) {
        self.0.lock().unwrap().now += by;
    }

    /// Runs a future to its end; whenever it waits, time goes on to where the next sleeper wakes.
    ///
    /// # Panics
    /// When it waits for something else than time.
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
