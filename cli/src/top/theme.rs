//! Colour themes by meaning. They use only the terminal's 16 colours, which follow its own theme.

use clap::ValueEnum;
use ratatui::style::{Color, Modifier, Style};

/// Colour theme.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Theme {
    #[default]
    Dark,
    Light,
    Mono,
}

/// Meaning of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Plain.
    Plain,
    /// Secondary.
    Muted,
    /// Title.
    Heading,
    /// Good.
    Good,
    /// Temporary problem.
    Fair,
    /// Needs action.
    Bad,
    /// Keys and bars.
    Accent,
    /// Alarm badge.
    Alarm,
    /// The selected row.
    Selected,
}

impl Theme {
    /// Returns the style of a tone. Without colours, important tones are bold or reversed.
    pub const fn style(self, tone: Tone) -> Style {
        let style = Style::new();
        match (self, tone) {
            (_, Tone::Plain) | (Self::Mono, Tone::Good | Tone::Fair | Tone::Accent) => style,
            (_, Tone::Heading) | (Self::Mono, Tone::Bad) => style.add_modifier(Modifier::BOLD),
            (_, Tone::Selected) | (Self::Mono, Tone::Alarm) => style.add_modifier(Modifier::REVERSED),
            (Self::Mono, Tone::Muted) => style.add_modifier(Modifier::DIM),
            (_, Tone::Muted) => style.fg(Color::DarkGray),
            (_, Tone::Good) => style.fg(Color::Green),
            (Self::Dark, Tone::Fair) => style.fg(Color::Yellow),
            (Self::Light, Tone::Fair) => style.fg(Color::Magenta),
            (_, Tone::Bad) => style.fg(Color::Red),
            (Self::Dark, Tone::Accent) => style.fg(Color::Cyan),
            (Self::Light, Tone::Accent) => style.fg(Color::Blue),
            (_, Tone::Alarm) => style.fg(Color::White).bg(Color::Red).add_modifier(Modifier::BOLD),
        }
    }
}
