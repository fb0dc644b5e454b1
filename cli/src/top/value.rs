//! Cell values: their order, their short form on the screen and their exact form in exports.

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
    /// Unknown or absent.
    None,
    /// Text with its tone.
    Text(Cow<'a, str>, Tone),
    /// A number.
    Count(u64),
    /// A number that is bad unless it is zero.
    Bad(u64),
    /// A number and its limit.
    Limited(u64, Option<u64>),
    /// A part of a total; zero of a total is bad.
    OutOf(u64, u64),
    /// A ratio from 0 to 1.
    Ratio(f64),
    /// A duration.
    Milliseconds(f64),
    /// A time in the past.
    At(Timestamp),
    /// A time in the future.
    Until(Timestamp),
    /// A key's state.
    State(&'a KeyCondition),
    /// Numbers that are drawn as bars.
    Trend(Vec<u64>),
}

impl<'a> Value<'a> {
    /// Creates plain text.
    pub fn text(text: impl Into<Cow<'a, str>>) -> Self {
        Self::Text(text.into(), Tone::Plain)
    }

    /// Returns the text on the screen and its tone.
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

    /// Returns the exact text for exports.
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

    /// Returns the sort key; `None` if unknown.
    pub fn key(&self) -> Option<Key> {
        Some(match self {
            Self::None => return None,
            Self::Text(text, _) => Key::Text(text.to_lowercase()),
            Self::State(condition) => Key::State(state::rank(condition), condition.until),
            Self::At(at) | Self::Until(at) => Key::At(*at),
            // Non-negative floats have the same order as their bits.
            Self::Ratio(number) | Self::Milliseconds(number) => Key::Number(number.max(0.0).to_bits()),
            Self::Count(number) | Self::Bad(number) | Self::Limited(number, _) | Self::OutOf(number, _) => {
                Key::Number(*number)
            }
            Self::Trend(numbers) => Key::Number(numbers.iter().sum()),
        })
    }

    /// Returns `true` if there is a value.
    pub const fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }
}

/// Sort key of a column's values; texts are compared case-insensitively.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// Numbers.
    Number(u64),
    /// Texts.
    Text(String),
    /// Times.
    At(Timestamp),
    /// States, then their remaining time.
    State(u8, Option<Timestamp>),
}

/// Returns the age of a time.
pub fn ago(at: Timestamp, now: Timestamp) -> String {
    seconds(now.as_second() - at.as_second())
}
