//! How single values look to a person, on a terminal and in a pipe.

use anstyle::{AnsiColor, Style};
use jiff::Timestamp;

const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const HEADING: Style = Style::new().bold();
const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default();
/// The width of a terminal that does not tell its own.
const DEFAULT_WIDTH: usize = 80;

/// What a renderer knows of its reader. A pipe gets exact, plain values, a terminal handy ones.
#[derive(Clone, Copy, Debug)]
pub struct View {
    /// Stdout is a terminal.
    pub terminal: bool,
    /// Colours are welcome.
    pub color: bool,
    /// Every column is wanted.
    pub wide: bool,
    /// How many columns the terminal has; `None` in a pipe, which takes lines of any length.
    pub width: Option<usize>,
    now: Timestamp,
}

impl View {
    /// A view at this moment.
    pub fn new(terminal: bool, color: bool) -> Self {
        let width = terminal.then_some(DEFAULT_WIDTH);
        Self { terminal, color, wide: false, width, now: Timestamp::now() }
    }

    /// The same reader, on a terminal of this size, if it is one. One that does not know its size (0 columns) is taken
    /// for one of 80.
    #[must_use]
    pub fn sized(self, columns: Option<u16>) -> Self {
        let known = columns.filter(|columns| *columns > 0).map_or(DEFAULT_WIDTH, usize::from);
        Self { width: self.terminal.then_some(known), ..self }
    }

    /// The same reader, who wants every column.
    pub fn wide(self) -> Self {
        Self { wide: true, ..self }
    }

    /// A program: every column, exact and plain.
    pub fn exact(self) -> Self {
        Self { terminal: false, color: false, wide: true, width: None, ..self }
    }

    /// `12,345` on a terminal, `12345` in a pipe.
    pub fn count(&self, number: u64) -> String {
        let digits = number.to_string();
        if !self.terminal {
            return digits;
        }
        let mut text = String::with_capacity(digits.len() * 4 / 3);
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                text.push(',');
            }
            text.push(digit);
        }
        text
    }

    /// `3 days ago` on a terminal, RFC 3339 in a pipe.
    pub fn time(&self, time: Timestamp) -> String {
        if self.terminal { relative(time, self.now) } else { time.to_string() }
    }

    /// [`View::time`], or nothing where there is none.
    pub fn time_if_any(&self, time: Option<Timestamp>) -> String {
        time.map(|time| self.time(time)).unwrap_or_default()
    }

    /// RFC 3339, and on a terminal how long ago that is.
    pub fn exact_time(&self, time: Timestamp) -> String {
        if self.terminal { format!("{time} ({})", relative(time, self.now)) } else { time.to_string() }
    }

    /// A title above a part of the result.
    pub fn heading(&self, text: &str) -> String {
        paint(self.color, HEADING, text)
    }

    /// A state that is as it should be.
    pub fn good(&self, text: &str) -> String {
        paint(self.color, GOOD, text)
    }

    /// A state to look at.
    pub fn bad(&self, text: &str) -> String {
        paint(self.color, BAD, text)
    }

    /// The word in front of an error.
    pub fn error(&self, text: &str) -> String {
        paint(self.color, ERROR, text)
    }

    /// The word in front of a warning.
    pub fn warning(&self, text: &str) -> String {
        paint(self.color, WARNING, text)
    }
}

/// `1 key`, `2 keys`
pub fn counted(count: impl TryInto<u64>, thing: &str) -> String {
    let count = count.try_into().unwrap_or(u64::MAX);
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {thing}{plural}")
}

/// Puts a style around a text.
fn paint(color: bool, style: Style, text: &str) -> String {
    if color { format!("{style}{text}{style:#}") } else { text.to_owned() }
}

/// Replaces control characters, line ends apart: a name or a message from elsewhere must not move
/// the cursor or rewrite what stands above it.
pub fn clean(text: &str) -> String {
    text.chars()
        .map(|character| if character.is_control() && character != '\n' { '\u{fffd}' } else { character })
        .collect()
}

fn relative(time: Timestamp, now: Timestamp) -> String {
    let seconds = now.as_second() - time.as_second();
    let size = seconds.unsigned_abs();
    let (number, unit) = match size {
        0..45 => return if seconds >= 0 { "just now".to_owned() } else { "in a moment".to_owned() },
        45..5_400 => ((size + 30) / 60, "min"),
        5_400..172_800 => ((size + 1_800) / 3_600, "h"),
        _ => ((size + 43_200) / 86_400, "days"),
    };
    if seconds >= 0 { format!("{number} {unit} ago") } else { format!("in {number} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_gets_handy_values_and_a_pipe_exact_ones() {
        let (terminal, pipe) = (View::new(true, false), View::new(false, false));
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (12_345_678, "12,345,678")] {
            assert_eq!(terminal.count(number), text);
            assert_eq!(pipe.count(number), number.to_string());
        }
        let time: Timestamp = "2026-11-03T12:00:00Z".parse().unwrap();
        assert_eq!(pipe.time(time), "2026-11-03T12:00:00Z");
    }

    #[test]
    fn distances_read_well_both_ways() {
        let now: Timestamp = "2026-11-03T12:00:00Z".parse().unwrap();
        let cases = [
            (-10, "just now"),
            (-60, "1 min ago"),
            (-5_399, "90 min ago"),
            (-7_200, "2 h ago"),
            (-86_400 * 3, "3 days ago"),
            (30, "in a moment"),
            (86_400 * 30, "in 30 days"),
        ];
        for (offset, text) in cases {
            let time = Timestamp::from_second(now.as_second() + offset).unwrap();
            assert_eq!(relative(time, now), text);
        }
    }

    #[test]
    fn what_came_from_elsewhere_cannot_move_the_cursor() {
        assert_eq!(clean("a\u{1b}[2Jb\rc\nd"), "a\u{fffd}[2Jb\u{fffd}c\nd");
    }
}
