//! Polling schedule: when each kind of fetch is due next, with backoff while the service is
//! unreachable.
//!
//! At most one fetch of a kind runs at a time. The next one is due an interval after the start of
//! the last one. After a slow response the interval is ten times its duration, up to 10 s, so that
//! the dashboard does not load a slow service and still shows new data.

use std::time::Duration;

use pool_shared::PoolId;

use super::message::Fetch;

/// Interval of fetches whose data rarely changes.
const SLOW_INTERVAL: Duration = Duration::from_secs(15);
/// Minimum interval between fetches of events.
const MIN_EVENTS_INTERVAL: Duration = Duration::from_secs(2);
/// Maximum interval between retries while the service is unreachable.
const MAX_RETRY_INTERVAL: Duration = Duration::from_secs(30);
/// Interval of a slow fetch, as a multiple of its duration: fetching takes at most a tenth of the
/// time.
const SLOW_FACTOR: u32 = 10;
/// Maximum pause after a slow response.
const MAX_SLOW_PAUSE: Duration = Duration::from_secs(10);

/// State of one kind of fetch.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    due: Duration,
    running: bool,
    /// When the running fetch was sent.
    sent: Duration,
}

/// When each kind of fetch is due next.
#[derive(Debug)]
pub struct Schedule {
    /// Interval between fetches of the overview.
    pub interval: Duration,
    overview: Slot,
    focus: Slot,
    sweep: Slot,
    keys: Slot,
    events: Slot,
    client_keys: Slot,
    health: Slot,
    /// The pool of the last sweep.
    swept: Option<PoolId>,
    /// The pool, and its version, whose keys were fetched last.
    keys_of: Option<(PoolId, u64)>,
}

impl Schedule {
    /// Creates a schedule in which every fetch is due.
    pub fn new(interval: Duration) -> Self {
        let slot = Slot::default();
        Self {
            interval,
            overview: slot,
            focus: slot,
            sweep: slot,
            keys: slot,
            events: slot,
            client_keys: slot,
            health: slot,
            swept: None,
            keys_of: None,
        }
    }

    /// Makes every fetch due.
    pub fn all_due(&mut self) {
        self.overview.due = Duration::ZERO;
        self.sweep.due = Duration::ZERO;
        self.events.due = Duration::ZERO;
        self.health.due = Duration::ZERO;
        self.pool_due();
    }

    /// Makes the fetches of the pool in focus due.
    pub fn pool_due(&mut self) {
        self.focus.due = Duration::ZERO;
        self.keys.due = Duration::ZERO;
        self.client_keys.due = Duration::ZERO;
    }

    fn slot(&mut self, fetch: &Fetch) -> &mut Slot {
        match fetch {
            Fetch::Overview | Fetch::OverviewOf(_) => &mut self.overview,
            Fetch::Focus { .. } => &mut self.focus,
            Fetch::Sweep { .. } => &mut self.sweep,
            Fetch::Keys { .. } => &mut self.keys,
            Fetch::Events(_) => &mut self.events,
            Fetch::ClientKeys(_) => &mut self.client_keys,
            Fetch::Health => &mut self.health,
        }
    }

    /// Records a response and schedules the next fetch of that kind.
    pub fn completed(&mut self, fetch: &Fetch, took: Duration, clock: Duration) {
        let pause = match fetch {
            Fetch::Overview | Fetch::OverviewOf(_) | Fetch::Focus { .. } | Fetch::Sweep { .. } => {
                self.interval
            }
            Fetch::Events(_) => self.interval.max(MIN_EVENTS_INTERVAL),
            Fetch::Keys { .. } | Fetch::ClientKeys(_) | Fetch::Health => self.interval.max(SLOW_INTERVAL),
        };
        let slot = self.slot(fetch);
        // The interval is measured from the start of the fetch.
        let usual = pause.saturating_sub(took);
        let pause = (took * SLOW_FACTOR).saturating_sub(took).min(MAX_SLOW_PAUSE);
        *slot = Slot { due: clock + usual.max(pause), ..Slot::default() };
    }

    /// Returns for how long the running fetch of the overview has waited, if one is running.
    pub fn waiting(&self, clock: Duration) -> Option<Duration> {
        self.overview.running.then(|| clock.saturating_sub(self.overview.sent))
    }

    /// Records a failed fetch with exponential backoff and returns the time of the next retry.
    pub fn failed(&mut self, fetch: &Fetch, failures: u32, clock: Duration) -> Duration {
        let pause = self.interval.max(Duration::from_secs(1))
            * 2_u32.saturating_pow(failures.min(6) - failures.min(1));
        let due = clock + pause.min(MAX_RETRY_INTERVAL.max(self.interval));
        *self.slot(fetch) = Slot { due, ..Slot::default() };
        self.overview.due = self.overview.due.max(due);
        self.overview.due
    }

    /// Makes the keys due now if they were last fetched for another pool or version.
    ///
    /// A pool whose keys cannot be fetched keeps the usual interval.
    pub fn keys_changed(&mut self, pool: &PoolId, version: u64, clock: Duration) {
        let fetched = self.keys_of.as_ref().is_some_and(|(of, at)| of == pool && *at == version);
        if !fetched {
            self.keys.due = self.keys.due.min(clock);
        }
    }

    /// Returns the pool of the last sweep.
    pub fn swept(&self) -> Option<&PoolId> {
        self.swept.as_ref()
    }

    /// Returns `true` if a fetch is due, and marks it as running.
    pub fn start(&mut self, fetch: &Fetch, clock: Duration) -> bool {
        let slot = self.slot(fetch);
        if slot.running || slot.due > clock {
            return false;
        }
        *slot = Slot { running: true, sent: clock, ..*slot };
        match fetch {
            Fetch::Sweep { pool, .. } => self.swept = Some(pool.clone()),
            Fetch::Keys { pool, version } => self.keys_of = Some((pool.clone(), *version)),
            _ => {}
        }
        true
    }
}
