//! Formats of single values on a terminal and in a pipe.

use anstyle::{AnsiColor, Style};
use jiff::Timestamp;

const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const HEADING: Style = Style::new().bold();
const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default();
/// Default width of a terminal of unknown size.
const DEFAULT_WIDTH: usize = 80;

/// Properties of the output. A pipe gets exact, plain values, a terminal readable ones.
#[derive(Clone, Copy, Debug)]
pub struct View {
    /// Stdout is a terminal.
    pub terminal: bool,
    /// Colours are enabled.
    pub color: bool,
    /// Every column is shown.
    pub wide: bool,
    /// Width of the terminal; `None` in a pipe, where lines have any length.
    pub width: Option<usize>,
    now: Timestamp,
}

impl View {
    /// Creates a view at the current time.
    pub fn new(terminal: bool, color: bool) -> Self {
        let width = terminal.then_some(DEFAULT_WIDTH);
        Self { terminal, color, wide: false, width, now: Timestamp::now() }
    }

    /// Sets the size of the terminal, if it is one. A size of 0 columns means unknown; 80 is used.
    #[must_use]
    pub fn sized(self, columns: Option<u16>) -> Self {
        let known = columns.filter(|columns| *columns > 0).map_or(DEFAULT_WIDTH, usize::from);
        Self { width: self.terminal.then_some(known), ..self }
    }

    /// Shows every column.
    pub fn wide(self) -> Self {
        Self { wide: true, ..self }
    }

    /// Creates the view of machine-readable formats: every column, exact and plain.
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

    /// Formats an optional time; empty if `None`.
    pub fn time_if_any(&self, time: Option<Timestamp>) -> String {
        time.map(|time| self.time(time)).unwrap_or_default()
    }

    /// Formats a time as RFC 3339, on a terminal with its age.
    pub fn exact_time(&self, time: Timestamp) -> String {
        if self.terminal { format!("{time} ({})", relative(time, self.now)) } else { time.to_string() }
    }

    /// Returns `last 11 min (22:18–22:29 UTC)` on a terminal for a window that ends now, else both
    /// ends.
    pub fn window(&self, since: Timestamp, until: Timestamp) -> String {
        if !self.terminal || (self.now.as_second() - until.as_second()).unsigned_abs() >= PRESENT_S {
            return format!("from {} to {}", self.time(since), self.time(until));
        }
        let seconds = (until.as_second() - since.as_second()).unsigned_abs();
        let format = if seconds < 86_400 { "%H:%M" } else { "%Y-%m-%d %H:%M" };
        let (since, until) = (since.strftime(format), until.strftime(format));
        format!("last {} ({since}–{until} UTC)", duration(seconds))
    }

    /// Formats a title above a part of the result.
    pub fn heading(&self, text: &str) -> String {
        paint(self.color, HEADING, text)
    }

    /// Formats a good state.
    pub fn good(&self, text: &str) -> String {
        paint(self.color, GOOD, text)
    }

    /// Formats a state that needs action.
    pub fn bad(&self, text: &str) -> String {
        paint(self.color, BAD, text)
    }

    /// Formats the label of an error.
    pub fn error(&self, text: &str) -> String {
        paint(self.color, ERROR, text)
    }

    /// Formats the label of a warning.
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

/// Applies a style to a text.
fn paint(color: bool, style: Style, text: &str) -> String {
    if color { format!("{style}{text}{style:#}") } else { text.to_owned() }
}

/// Replaces control characters except line ends, so that a name or message from another source
/// cannot move the cursor or overwrite lines.
pub fn clean(text: &str) -> String {
    text.chars()
        .map(|character| if character.is_control() && character != '\n' { '\u{fffd}' } else { character })
        .collect()
}

/// Seconds up to which a time is shown as the present.
const PRESENT_S: u64 = 45;

fn relative(time: Timestamp, now: Timestamp) -> String {
    let seconds = now.as_second() - time.as_second();
    let size = seconds.unsigned_abs();
    match (size < PRESENT_S, seconds >= 0) {
        (true, true) => "just now".to_owned(),
        (true, false) => "now".to_owned(),
        (false, true) => format!("{} ago", duration(size)),
        (false, false) => format!("in {}", duration(size)),
    }
}

/// `11 min`, `5 h`, `3 days`
fn duration(seconds: u64) -> String {
    match seconds {
        0..5_400 => format!("{} min", (seconds + 30) / 60),
        5_400..172_800 => format!("{} h", (seconds + 1_800) / 3_600),
        _ => format!("{} days", (seconds + 43_200) / 86_400),
    }
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
            (30, "now"),
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
