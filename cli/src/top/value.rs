//! A cell's value before anybody decides how it looks: compared for sorting, short on the screen,
//! exact for programs.

use std::borrow::Cow;

use jiff::Timestamp;
use pool_shared::KeyCondition;

use super::{
    format::{compact, milliseconds, percent, seconds},
    state,
    theme::Tone,
};

/// A value.
#[derive(Clone, Debug)]
pub enum Value<'a> {
    /// Not known, or there is none.
    None,
    /// Text.
    Text(Cow<'a, str>, Tone),
    /// A number.
    Count(u64),
    /// A number to look at unless it is zero.
    Bad(u64),
    /// A number and what it may not exceed.
    Limited(u64, Option<u64>),
    /// A number out of so many; none of some is bad.
    OutOf(u64, u64),
    /// A part of one.
    Ratio(f64),
    /// How long something took.
    Milliseconds(f64),
    /// A moment.
    At(Timestamp),
    /// A moment that comes.
    Until(Timestamp),
    /// A key's state.
    State(&'a KeyCondition),
    /// A row of numbers, drawn as bars.
    Trend(Vec<u64>),
}

impl<'a> Value<'a> {
    /// Plain text.
    pub fn text(text: impl Into<Cow<'a, str>>) -> Self {
        Self::Text(text.into(), Tone::Plain)
    }

    /// As it stands on the screen, and how it is coloured.
    pub fn shown(&self, now: Timestamp) -> (Cow<'_, str>, Tone) {
        let plain = |text: String| (Cow::Owned(text), Tone::Plain);
        match self {
            Self::None | Self::Trend(_) => (Cow::Borrowed(""), Tone::Plain),
            Self::Text(text, tone) => (Cow::Borrowed(text.as_ref()), *tone),
            Self::Count(number) | Self::Limited(number, None) => plain(compact(*number)),
            Self::Bad(number) => {
                (Cow::Owned(compact(*number)), if *number == 0 { Tone::Plain } else { Tone::Bad })
            }
            Self::Limited(number, Some(limit)) => {
                let tone = if number >= limit { Tone::Fair } else { Tone::Plain };
                (Cow::Owned(format!("{}/{}", compact(*number), compact(*limit))), tone)
            }
            Self::OutOf(number, all) => {
                let tone = match number {
                    0 if *all > 0 => Tone::Bad,
                    number if number < all => Tone::Fair,
                    _ => Tone::Plain,
                };
                (Cow::Owned(format!("{}/{}", compact(*number), compact(*all))), tone)
            }
            Self::Ratio(ratio) => plain(percent(*ratio)),
            Self::Milliseconds(time) => plain(milliseconds(*time)),
            Self::At(at) => plain(ago(*at, now)),
            Self::Until(at) if *at <= now => (Cow::Borrowed("over"), Tone::Muted),
            Self::Until(at) => plain(ago(now, *at)),
            Self::State(condition) => (Cow::Owned(state::shown(condition, now)), state::tone(condition)),
        }
    }

    /// As programs get it.
    pub fn exact(&self) -> String {
        match self {
            Self::None => String::new(),
            Self::Text(text, _) => text.clone().into_owned(),
            Self::Count(number) | Self::Bad(number) | Self::Limited(number, _) | Self::OutOf(number, _) => {
                number.to_string()
            }
            Self::Ratio(ratio) => format!("{ratio:.4}"),
            Self::Milliseconds(time) => format!("{time:.1}"),
            Self::At(at) | Self::Until(at) => at.to_string(),
            Self::State(condition) => condition.state.name().to_owned(),
            Self::Trend(numbers) => numbers.iter().map(u64::to_string).collect::<Vec<_>>().join(" "),
        }
    }

    /// What it is sorted by; nothing for what is not known.
    pub fn key(&self) -> Option<Key> {
        Some(match self {
            Self::None => return None,
            Self::Text(text, _) => Key::Text(text.to_lowercase()),
            Self::State(condition) => Key::State(state::rank(condition), condition.until),
            Self::At(at) | Self::Until(at) => Key::At(*at),
            // Bits of numbers that are not negative are in the order of the numbers.
            Self::Ratio(number) | Self::Milliseconds(number) => Key::Number(number.max(0.0).to_bits()),
            Self::Count(number) | Self::Bad(number) | Self::Limited(number, _) | Self::OutOf(number, _) => {
                Key::Number(*number)
            }
            Self::Trend(numbers) => Key::Number(numbers.iter().sum()),
        })
    }

    /// Whether there is anything.
    pub const fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }
}

/// What values of one column are sorted by: smaller first, texts without regard to case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// Numbers.
    Number(u64),
    /// Texts.
    Text(String),
    /// Moments.
    At(Timestamp),
    /// States, those that last longer after others of their kind.
    State(u8, Option<Timestamp>),
}

/// How long ago something was.
pub fn ago(at: Timestamp, now: Timestamp) -> String {
    seconds(now.as_second() - at.as_second())
}
