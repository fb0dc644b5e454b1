//! What comes in and what is to be done: all that passes between the pure part and the world.

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

/// Something happened.
#[derive(Debug)]
pub enum Message {
    /// Time went by.
    Tick {
        /// The time.
        now: Timestamp,
        /// The time since the start.
        clock: Duration,
    },
    /// A key was pressed.
    Key(KeyEvent),
    /// The mouse did something.
    Mouse(MouseEvent),
    /// The terminal has another size.
    Resize(Size),
    /// The terminal is back after the shell had it.
    Resumed,
    /// The service answered.
    Fetched {
        /// What was asked.
        fetch: Fetch,
        /// How long it took.
        took: Duration,
        /// What it said.
        result: Result<Answer, CliError>,
    },
    /// A change was made, or not: what is to be said.
    Acted(Result<String, CliError>),
}

/// Something to do.
#[derive(Debug)]
pub enum Command {
    /// Ask the service.
    Fetch(Fetch),
    /// Change something.
    Act(Target, Change),
    /// Give the terminal back to the shell until it is wanted again.
    Suspend,
    /// End.
    Quit,
    /// End with an error: there is nothing to show, and waiting does not help.
    Fail(CliError),
}

/// A question to the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetch {
    /// All pools, their counts and rates.
    Overview,
    /// The same of one pool, by name or id: what a token of that pool may read, and all that is shown where one pool was
    /// asked for.
    OverviewOf(String),
    /// What the pool in focus did lately; with the keys' rows.
    Focus {
        /// The pool.
        pool: PoolId,
        /// How the span is cut.
        step: StatsStep,
        /// Whether anybody looks at the keys' rows.
        keys: bool,
    },
    /// The same of one of the others, in turn.
    Sweep {
        /// The pool.
        pool: PoolId,
        /// How the span is cut.
        step: StatsStep,
    },
    /// The keys of a pool.
    Keys {
        /// The pool.
        pool: PoolId,
        /// The pool's version so far as is known.
        version: u64,
    },
    /// What went wrong after a cursor.
    Events(Option<String>),
    /// The client keys of a pool.
    ClientKeys(PoolId),
    /// How the service is doing.
    Health,
}

impl Fetch {
    /// Returns `true` for the question that tells whether the service answers at all.
    pub const fn is_overview(&self) -> bool {
        matches!(self, Self::Overview | Self::OverviewOf(_))
    }
}

/// An answer.
#[derive(Debug)]
pub enum Answer {
    /// To [`Fetch::Overview`] and [`Fetch::OverviewOf`].
    Overview(Box<Overview>),
    /// To [`Fetch::Focus`] and [`Fetch::Sweep`].
    Recent(Box<PoolStats>),
    /// To [`Fetch::Keys`].
    Keys(Vec<Key>),
    /// To [`Fetch::Events`].
    Events(EventList),
    /// To [`Fetch::ClientKeys`].
    ClientKeys(Vec<ClientKey>),
    /// To [`Fetch::Health`].
    Health(Box<Health>),
}
