//! State of the dashboard: fetched data, lists, mode and connection.
//!
//! Only [`update`](super::update) changes it; [`view`](super::view) reads it.

use std::{collections::HashSet, time::Duration};

use jiff::Timestamp;
use pool_shared::{PoolId, StatsStep};
use ratatui::layout::Size;

use super::{
    change::{Change, Target},
    data::{Data, Recent},
    format,
    layout::regions,
    list::{List, Records, Tab},
    schedule::Schedule,
    theme::{Theme, Tone},
};

/// Options of the run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The service's address.
    pub service: String,
    /// The initial pool, by name or id.
    pub pool: Option<String>,
    /// The pool that the token is limited to.
    pub only: Option<PoolId>,
    /// The initial tab.
    pub tab: Option<Tab>,
    /// Actions are disabled.
    pub read_only: bool,
    /// The colour theme.
    pub theme: Theme,
    /// Use ASCII characters only.
    pub ascii: bool,
}

/// Duration from which a response is reported as slow.
const SLOW_RESPONSE: Duration = Duration::from_secs(5);

/// State of the connection to the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectionState {
    /// No response yet.
    Waiting,
    /// Connected.
    Up,
    /// The last fetch failed.
    Down {
        /// The error with its hint.
        error: String,
        /// Number of consecutive failures.
        failures: u32,
        /// Time of the next retry, on the clock of [`Model::clock`].
        retry: Duration,
    },
}

/// The target of a change, as the confirmation shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// What.
    pub target: Target,
    /// `3 keys in pool prod`.
    pub title: String,
    /// The first names.
    pub names: Vec<String>,
    /// Number of marked rows that the filter hides, which are not included.
    pub hidden: usize,
}

/// Input mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The list.
    List,
    /// The help, with its scroll offset.
    Help(usize),
    /// Input of the filter, with the previous text.
    Filter(String),
    /// Input of a weight.
    Weight(Selection, String),
    /// Confirmation of a change.
    Confirm(Selection, Change),
}

/// A message that is shown for a limited time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// What.
    pub text: String,
    /// Its tone.
    pub tone: Tone,
    /// When it disappears, on the clock of [`Model::clock`].
    pub until: Duration,
}

/// The state of the dashboard.
#[derive(Debug)]
pub struct Model {
    /// Options of the run.
    pub options: Options,
    /// The time.
    pub now: Timestamp,
    /// Monotonic time since the start.
    pub clock: Duration,
    /// The terminal's size.
    pub size: Size,
    /// The open tab.
    pub tab: Tab,
    /// The open pool.
    pub pool: Option<PoolId>,
    /// Intervals of the time range that counts and latencies cover.
    pub span: StatsStep,
    /// The fetched data.
    pub live: Data,
    /// The data that is shown while paused.
    pub frozen: Option<Data>,
    /// State of the connection to the service.
    pub connection: ConnectionState,
    /// Time of the last overview.
    pub heard: Option<Timestamp>,
    /// Duration of the last fetch of the overview.
    pub took: Duration,
    /// Whether the dashboard was started with a pool; the others are then fetched only for the
    /// pools tab.
    asked_for_one: bool,
    /// The lists of the tabs.
    lists: [List; 5],
    /// Ids of the marked rows of the open tab.
    pub marks: HashSet<String>,
    /// Input mode.
    pub mode: Mode,
    /// The current notice.
    pub notice: Option<Notice>,
    /// The polling schedule.
    pub schedule: Schedule,
    /// Whether the screen must be redrawn.
    pub dirty: bool,
}

impl Model {
    /// Creates the state before any data.
    pub fn new(options: Options, interval: Duration, size: Size, now: Timestamp) -> Self {
        let tab = options.tab.unwrap_or(if options.pool.is_some() { Tab::Keys } else { Tab::Pools });
        Self {
            asked_for_one: options.pool.is_some(),
            took: Duration::ZERO,
            options,
            now,
            clock: Duration::ZERO,
            size,
            tab,
            pool: None,
            span: StatsStep::Minute,
            live: Data::default(),
            frozen: None,
            connection: ConnectionState::Waiting,
            heard: None,
            lists: Tab::ALL.map(List::new),
            marks: HashSet::new(),
            mode: Mode::List,
            notice: None,
            schedule: Schedule::new(interval),
            dirty: true,
        }
    }

    /// Returns the data to show.
    pub fn data(&self) -> &Data {
        self.frozen.as_ref().unwrap_or(&self.live)
    }

    /// Returns the list of the open tab.
    pub fn list(&self) -> &List {
        let [pools, keys, models, events, client_keys] = &self.lists;
        match self.tab {
            Tab::Pools => pools,
            Tab::Keys => keys,
            Tab::Models => models,
            Tab::Events => events,
            Tab::ClientKeys => client_keys,
        }
    }

    /// Returns the list of the open tab, its data, the pool and the number of visible rows.
    pub fn list_mut(&mut self) -> (&mut List, &Data, Option<&PoolId>, usize) {
        let height = usize::from(regions(self.size).rows.height);
        let [pools, keys, models, events, client_keys] = &mut self.lists;
        let list = match self.tab {
            Tab::Pools => pools,
            Tab::Keys => keys,
            Tab::Models => models,
            Tab::Events => events,
            Tab::ClientKeys => client_keys,
        };
        (list, self.frozen.as_ref().unwrap_or(&self.live), self.pool.as_ref(), height)
    }

    /// Returns the rows of the open tab.
    pub fn records(&self) -> Records<'_> {
        Records::new(self.tab, self.data(), self.pool.as_ref())
    }

    /// Returns the pool in focus: the open one, else the selected one.
    pub fn focus(&self) -> Option<PoolId> {
        let under_cursor = || self.list().current(&self.records()).map(|row| PoolId::new(row.id()));
        self.pool.clone().or_else(|| if self.tab == Tab::Pools { under_cursor() } else { None })
    }

    /// Returns the only pool to fetch, by name or id; `None` for all.
    pub fn confined_to(&self) -> Option<String> {
        if let Some(only) = &self.options.only {
            return Some(only.to_string());
        }
        let here = self.asked_for_one && self.tab != Tab::Pools;
        let known = || self.pool.as_ref().map(ToString::to_string);
        self.options.pool.clone().or_else(known).filter(|_| here)
    }

    /// Returns why the data is stale or slow, if it is.
    pub fn trouble(&self) -> Option<String> {
        if let ConnectionState::Down { error, .. } = &self.connection {
            return Some(error.lines().map(str::trim).collect::<Vec<_>>().join("; "));
        }
        let whole = |time: Duration| format::seconds(i64::try_from(time.as_secs()).unwrap_or(i64::MAX));
        match self.schedule.waiting(self.clock) {
            Some(waiting) if self.stale().is_some() => {
                Some(format!("slow: no response for {}", whole(waiting)))
            }
            _ if self.took >= SLOW_RESPONSE => Some(format!("slow: responded in {}", whole(self.took))),
            _ => None,
        }
    }

    /// Returns the recent statistics of the pool in focus.
    pub fn focused(&self) -> Option<&Recent> {
        self.data().recent.get(&self.focus()?).map(AsRef::as_ref)
    }

    /// Returns the age of the data in seconds if it is stale.
    pub fn stale(&self) -> Option<i64> {
        let age = self.now.as_second() - self.heard?.as_second();
        let expected =
            i64::try_from(self.schedule.interval.as_secs()).unwrap_or(i64::MAX).saturating_mul(3).max(5);
        (matches!(self.connection, ConnectionState::Down { .. }) || age > expected).then_some(age)
    }
}
