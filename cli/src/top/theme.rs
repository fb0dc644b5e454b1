//! Colours by meaning. Only the terminal's own sixteen, so that they fit whatever it is set to.

use clap::ValueEnum;
use ratatui::style::{Color, Modifier, Style};

/// Which colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Theme {
    #[default]
    Dark,
    Light,
    Mono,
}

/// What a piece of text means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Nothing in particular.
    Plain,
    /// Beside the point.
    Muted,
    /// A title.
    Heading,
    /// As it should be.
    Good,
    /// Passes by itself.
    Fair,
    /// To look at.
    Bad,
    /// What one may press, and bars.
    Accent,
    /// A badge that must be seen.
    Alarm,
    /// The row under the cursor.
    Selected,
}

impl Theme {
    /// How a tone looks. Without colours what matters is bold or reversed; the words say it anyway.
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
