//! What is asked of the service, and when. Pure: questions come out, nothing is sent.
//!
//! Each kind of question has at most one on its way. The next one is due an interval after the answer; one that took
//! long is given ten times as long, up to 10 s, so that looking never becomes the service's main work and one slow answer
//! never silences the dashboard.

use std::time::Duration;

use pool_shared::PoolId;

use super::{
    list::Tab,
    message::Fetch,
    model::{Link, Model},
};

/// How often what seldom changes is asked.
const SELDOM: Duration = Duration::from_secs(15);
/// Events come at least so seldom.
const EVENTS: Duration = Duration::from_secs(2);
/// How long a service that does not answer is left alone, at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A question that takes so long may take up a tenth of the time.
const PATIENCE: u32 = 10;
/// The longest pause after an answer that took long.
const MAX_SLOW_PAUSE: Duration = Duration::from_secs(10);

/// When a kind of question is due.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    due: Duration,
    running: bool,
    /// When the question on its way was sent.
    sent: Duration,
}

/// All kinds.
#[derive(Debug)]
pub struct Polling {
    /// How often the overview is asked.
    pub interval: Duration,
    overview: Slot,
    focus: Slot,
    sweep: Slot,
    keys: Slot,
    events: Slot,
    client_keys: Slot,
    health: Slot,
    /// The pool that the sweep had last.
    swept: Option<PoolId>,
    /// The pool and its version whose keys were asked for last.
    keys_of: Option<(PoolId, u64)>,
}

impl Polling {
    /// Everything is due at once.
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

    /// Everything is due again.
    pub fn all_due(&mut self) {
        self.overview.due = Duration::ZERO;
        self.sweep.due = Duration::ZERO;
        self.events.due = Duration::ZERO;
        self.health.due = Duration::ZERO;
        self.pool_due();
    }

    /// What belongs to the pool in focus is due again.
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

    /// Notes that an answer came, and when the next one is wanted.
    pub fn answered(&mut self, fetch: &Fetch, took: Duration, clock: Duration) {
        let pause = match fetch {
            Fetch::Overview | Fetch::OverviewOf(_) | Fetch::Focus { .. } | Fetch::Sweep { .. } => {
                self.interval
            }
            Fetch::Events(_) => self.interval.max(EVENTS),
            Fetch::Keys { .. } | Fetch::ClientKeys(_) | Fetch::Health => self.interval.max(SELDOM),
        };
        let slot = self.slot(fetch);
        // Measured from when it was asked, so that the interval is kept.
        let usual = pause.saturating_sub(took);
        let pause = (took * PATIENCE).saturating_sub(took).min(MAX_SLOW_PAUSE);
        *slot = Slot { due: clock + usual.max(pause), ..Slot::default() };
    }

    /// Returns for how long the service has not answered the question about all pools, if one is on its way.
    pub fn waiting(&self, clock: Duration) -> Option<Duration> {
        self.overview.running.then(|| clock.saturating_sub(self.overview.sent))
    }

    /// Notes that the service does not answer; gives the time of the next try.
    pub fn failed(&mut self, fetch: &Fetch, failures: u32, clock: Duration) -> Duration {
        let pause = self.interval.max(Duration::from_secs(1))
            * 2_u32.saturating_pow(failures.min(6) - failures.min(1));
        let due = clock + pause.min(LONGEST_PAUSE.max(self.interval));
        *self.slot(fetch) = Slot { due, ..Slot::default() };
        self.overview.due = self.overview.due.max(due);
        self.overview.due
    }
}

/// The questions that are due now. They count as asked.
pub fn due(model: &mut Model) -> Vec<Fetch> {
    let clock = model.clock;
    let mut wanted = vec![model.confined_to().map_or(Fetch::Overview, Fetch::OverviewOf)];
    // While the service is down, one question finds out whether it still is.
    if model.link == Link::Up {
        wanted.extend([Fetch::Events(model.live.cursor.clone()), Fetch::Health]);
        wanted.extend(of_the_pool(model));
        wanted.extend(next_of_the_others(model));
    }
    wanted.retain(|fetch| {
        let slot = model.polling.slot(fetch);
        let now = !slot.running && slot.due <= clock;
        if now {
            *slot = Slot { running: true, sent: clock, ..*slot };
        }
        now
    });
    for fetch in &wanted {
        match fetch {
            Fetch::Sweep { pool, .. } => model.polling.swept = Some(pool.clone()),
            Fetch::Keys { pool, version } => model.polling.keys_of = Some((pool.clone(), *version)),
            _ => {}
        }
    }
    wanted
}

fn of_the_pool(model: &mut Model) -> Vec<Fetch> {
    let Some(pool) = model.focus() else { return Vec::new() };
    let keys = model.tab == Tab::Keys;
    let mut wanted = vec![Fetch::Focus { pool: pool.clone(), step: model.span, keys }];
    if model.tab == Tab::ClientKeys {
        wanted.push(Fetch::ClientKeys(pool.clone()));
    }
    // Events show which key it was.
    if keys || (model.tab == Tab::Events && model.pool.is_some()) {
        let version = model.live.pool(&pool).map_or(0, |pool| pool.version);
        // At once when the pool has changed, but not again and again when there is no answer.
        if model.polling.keys_of.as_ref().is_none_or(|asked| *asked != (pool.clone(), version)) {
            model.polling.keys.due = model.polling.keys.due.min(model.clock);
        }
        wanted.push(Fetch::Keys { pool, version });
    }
    wanted
}

/// The other pools come one by one: that is where their trends and latencies come from.
fn next_of_the_others(model: &Model) -> Option<Fetch> {
    if model.tab != Tab::Pools {
        return None;
    }
    let focus = model.focus();
    let mut others: Vec<_> = model.live.pools().iter().map(|pool| &pool.id).collect();
    others.retain(|id| Some(*id) != focus.as_ref());
    others.sort_unstable();
    let after = model.polling.swept.as_ref();
    let next = others.iter().find(|id| after.is_none_or(|after| **id > after)).or_else(|| others.first());
    next.map(|pool| Fetch::Sweep { pool: (*pool).clone(), step: model.span })
}
