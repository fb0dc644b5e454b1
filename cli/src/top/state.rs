//! How a key stands, for people: a word, until when, and why.

use jiff::Timestamp;
use pool_shared::Key;

use super::theme::Tone;

/// The states, the best first: keys are sorted in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StateKind {
    /// Nothing is known against it.
    Healthy,
    /// A person took it out of use.
    Disabled,
}

/// A key's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Which.
    pub kind: StateKind,
    /// When it ends by itself.
    pub until: Option<Timestamp>,
    /// Why; empty when there is nothing to say.
    pub reason: String,
}

impl StateKind {
    /// The word on the screen and in filters.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Disabled => "disabled",
        }
    }

    /// How it is coloured.
    pub const fn tone(self) -> Tone {
        match self {
            Self::Healthy => Tone::Good,
            Self::Disabled => Tone::Muted,
        }
    }
}

/// How the service says that a key stands.
pub fn state_of(key: &Key) -> State {
    let kind = if key.enabled { StateKind::Healthy } else { StateKind::Disabled };
    State { kind, until: None, reason: String::new() }
}
