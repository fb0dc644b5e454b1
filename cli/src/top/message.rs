//! Messages that the update function takes, and commands that it returns.

use std::time::Duration;

use crossterm::event::{KeyEvent, MouseEvent};
use jiff::Timestamp;
use pool_shared::{ClientKey, EventList, Health, Key, PoolId, PoolStats, StatsStep};
use ratatui::layout::Size;

use super::{
    change::{Change, Target},
    data::Overview,
};
use crate::error::CliError;

/// An event for the update function.
#[derive(Debug)]
pub enum Message {
    /// A timer tick.
    Tick {
        /// The current time.
        now: Timestamp,
        /// The time since the start.
        clock: Duration,
    },
    /// A key press.
    Key(KeyEvent),
    /// A mouse event.
    Mouse(MouseEvent),
    /// The terminal was resized.
    Resize(Size),
    /// The terminal is available again after a suspension.
    Resumed,
    /// A fetch has ended.
    Fetched {
        /// The fetch.
        fetch: Fetch,
        /// Its duration.
        took: Duration,
        /// Its result.
        result: Result<FetchedData, CliError>,
    },
    /// A change has ended; the text of the notice, or the error.
    Acted(Result<String, CliError>),
}

/// An effect for the runtime.
#[derive(Debug)]
pub enum Command {
    /// Fetch data.
    Fetch(Fetch),
    /// Make a change.
    Act(Target, Change),
    /// Suspend to the shell.
    Suspend,
    /// Exit.
    Quit,
    /// Exit with an error that a retry cannot fix.
    Fail(CliError),
}

/// A request for data of the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetch {
    /// All pools with their statistics.
    Overview,
    /// One pool with its statistics, by name or id: for a token that is limited to this pool, or a
    /// dashboard of one pool.
    OverviewOf(String),
    /// Recent statistics of the pool in focus.
    Focus {
        /// The pool.
        pool: PoolId,
        /// Length of the intervals.
        step: StatsStep,
        /// Whether the keys' rows are shown.
        keys: bool,
    },
    /// Recent statistics of one other pool, in turn.
    Sweep {
        /// The pool.
        pool: PoolId,
        /// Length of the intervals.
        step: StatsStep,
    },
    /// The keys of a pool.
    Keys {
        /// The pool.
        pool: PoolId,
        /// The pool's known version.
        version: u64,
    },
    /// Events after a cursor.
    Events(Option<String>),
    /// The client keys of a pool.
    ClientKeys(PoolId),
    /// Health of the service.
    Health,
}

impl Fetch {
    /// Returns `true` for the fetch that determines the connection state.
    pub const fn is_overview(&self) -> bool {
        matches!(self, Self::Overview | Self::OverviewOf(_))
    }
}

/// The data of a fetch.
#[derive(Debug)]
pub enum FetchedData {
    /// Of [`Fetch::Overview`] and [`Fetch::OverviewOf`].
    Overview(Box<Overview>),
    /// Of [`Fetch::Focus`] and [`Fetch::Sweep`].
    Recent(Box<PoolStats>),
    /// Of [`Fetch::Keys`].
    Keys(Vec<Key>),
    /// Of [`Fetch::Events`].
    Events(EventList),
    /// Of [`Fetch::ClientKeys`].
    ClientKeys(Vec<ClientKey>),
    /// Of [`Fetch::Health`].
    Health(Box<Health>),
}
