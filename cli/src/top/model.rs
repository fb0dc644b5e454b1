//! The dashboard's whole state, as plain data: what was fetched, where the cursor is, what is asked.
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

/// What holds for the whole run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The service's address.
    pub service: String,
    /// The pool to begin with, by name or id.
    pub pool: Option<String>,
    /// The only pool that the token is good for.
    pub only: Option<PoolId>,
    /// The tab to begin with.
    pub tab: Option<Tab>,
    /// Change nothing.
    pub read_only: bool,
    /// The colours.
    pub theme: Theme,
    /// Only ASCII characters.
    pub ascii: bool,
}

/// An answer that takes so long is said to be slow.
const SLOW: Duration = Duration::from_secs(5);

/// How the service answered last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectionState {
    /// It was not heard of yet.
    Waiting,
    /// As it should.
    Up,
    /// Not.
    Down {
        /// Why, and what may help, line by line.
        error: String,
        /// How often in a row.
        failures: u32,
        /// When it is asked again, on the clock of [`Model::clock`].
        retry: Duration,
    },
}

/// What a change is about to touch, as the question shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// What.
    pub target: Target,
    /// `3 keys of pool prod`.
    pub title: String,
    /// The first of them, by name.
    pub names: Vec<String>,
    /// Marked rows that the filter hides and that are therefore left out.
    pub hidden: usize,
}

/// Who has the keyboard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The list.
    List,
    /// The help, from this line on.
    Help(usize),
    /// The filter, with the text that holds when it is given up.
    Filter(String),
    /// The question for a weight.
    Weight(Selection, String),
    /// The question whether to go on.
    Confirm(Selection, Change),
}

/// Something to say for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// What.
    pub text: String,
    /// How it is meant.
    pub tone: Tone,
    /// When it goes, on the clock of [`Model::clock`].
    pub until: Duration,
}

/// The state.
#[derive(Debug)]
pub struct Model {
    /// What holds for the whole run.
    pub options: Options,
    /// The time.
    pub now: Timestamp,
    /// The time since the start, which no change of the clock turns back.
    pub clock: Duration,
    /// The terminal's size.
    pub size: Size,
    /// The tab that is open.
    pub tab: Tab,
    /// The pool that was opened.
    pub pool: Option<PoolId>,
    /// How the span is cut that counts and latencies cover.
    pub span: StatsStep,
    /// What was fetched.
    pub live: Data,
    /// What is shown while the screen is kept still.
    pub frozen: Option<Data>,
    /// How the service answered last.
    pub connection: ConnectionState,
    /// When the overview last came.
    pub heard: Option<Timestamp>,
    /// How long the last overview took.
    pub took: Duration,
    /// A pool was asked for from the start, so the others are asked for only where they are shown.
    asked_for_one: bool,
    /// The tabs' lists.
    lists: [List; 5],
    /// Ids of the rows that are marked in the open tab.
    pub marks: HashSet<String>,
    /// Who has the keyboard.
    pub mode: Mode,
    /// Something to say.
    pub notice: Option<Notice>,
    /// What is asked of the service, and when.
    pub schedule: Schedule,
    /// Whether what is on the screen may be out of date.
    pub dirty: bool,
}

impl Model {
    /// A dashboard that knows nothing yet.
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

    /// What is shown.
    pub fn data(&self) -> &Data {
        self.frozen.as_ref().unwrap_or(&self.live)
    }

    /// The open tab's list.
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

    /// The open tab's list, what it lists, the pool and how many rows there is room for.
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

    /// The open tab's rows.
    pub fn records(&self) -> Records<'_> {
        Records::new(self.tab, self.data(), self.pool.as_ref())
    }

    /// The pool whose figures are shown: the one that was opened, else the one under the cursor.
    pub fn focus(&self) -> Option<PoolId> {
        let under_cursor = || self.list().current(&self.records()).map(|row| PoolId::new(row.id()));
        self.pool.clone().or_else(|| if self.tab == Tab::Pools { under_cursor() } else { None })
    }

    /// Returns the only pool that is asked for, by name or id; `None` for all.
    pub fn confined_to(&self) -> Option<String> {
        if let Some(only) = &self.options.only {
            return Some(only.to_string());
        }
        let here = self.asked_for_one && self.tab != Tab::Pools;
        let known = || self.pool.as_ref().map(ToString::to_string);
        self.options.pool.clone().or_else(known).filter(|_| here)
    }

    /// Returns why the figures are old or came late, in a few words.
    pub fn trouble(&self) -> Option<String> {
        if let ConnectionState::Down { error, .. } = &self.connection {
            return Some(error.lines().map(str::trim).collect::<Vec<_>>().join("; "));
        }
        let whole =
            |time: Duration| format::seconds(i64::try_from(time.as_secs()).unwrap_or(i64::MAX));
        match self.schedule.waiting(self.clock) {
            Some(waiting) if self.stale().is_some() => {
                Some(format!("slow: no response for {}", whole(waiting)))
            }
            _ if self.took >= SLOW => Some(format!("slow: answered in {}", whole(self.took))),
            _ => None,
        }
    }

    /// What that pool did lately.
    pub fn focused(&self) -> Option<&Recent> {
        self.data().recent.get(&self.focus()?).map(AsRef::as_ref)
    }

    /// For how long the overview has not come, when that is longer than it should be.
    pub fn stale(&self) -> Option<i64> {
        let age = self.now.as_second() - self.heard?.as_second();
        let expected =
            i64::try_from(self.schedule.interval.as_secs()).unwrap_or(i64::MAX).saturating_mul(3).max(5);
        (matches!(self.connection, ConnectionState::Down { .. }) || age > expected).then_some(age)
    }
}
