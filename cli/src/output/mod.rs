//! The only place that writes to the terminal.
//!
//! In: a command's result, notes, warnings, an error. Out: results on stdout, everything else on
//! stderr; with `-o json` one document on stdout and JSON objects on stderr. Never: a secret that
//! the command did not mean to show, or a control character that came from elsewhere.

mod progress;
pub mod prompt;
mod table;
mod view;

use std::io::{self, IsTerminal, Write};

use clap::ValueEnum;
use serde::Serialize;
use serde_json::json;

pub use self::{
    progress::Progress,
    table::{Align, Cell, Table},
    view::{View, clean},
};
use crate::{
    env::Env,
    error::{CliError, Code},
};

/// How results are written: tables and text for people, or one JSON document.
// The variants have no doc comments: clap would spread them over every command's help.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    #[default]
    Table,
    Json,
}

/// When to use colour; `Auto` is on a terminal, unless `NO_COLOR` is set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    #[default]
    Auto,
    Always,
    Never,
}

/// The two streams and what is known of them.
pub struct Output {
    stdout: Box<dyn Write>,
    stderr: Box<dyn Write>,
    format: Format,
    quiet: bool,
    view: View,
    error_view: View,
    interactive: bool,
}

impl Output {
    /// The process's own streams.
    pub fn from_process(format: Format, color: ColorChoice, quiet: bool, env: &Env) -> Self {
        let (terminal, error_terminal) = (io::stdout().is_terminal(), io::stderr().is_terminal());
        Self {
            stdout: Box::new(io::BufWriter::new(io::stdout())),
            stderr: Box::new(io::stderr()),
            format,
            quiet,
            view: View::new(terminal, use_color(color, terminal, env)),
            error_view: View::new(error_terminal, use_color(color, error_terminal, env)),
            interactive: io::stdin().is_terminal() && error_terminal,
        }
    }

    /// Whether a person can be asked: stdin and stderr are terminals.
    pub fn interactive(&self) -> bool {
        self.interactive
    }

    /// Writes a command's result. With `-o json` that is `value`, else what `human` makes of it.
    pub fn result<T: Serialize>(
        &mut self,
        value: &T,
        human: impl FnOnce(&View) -> String,
    ) -> Result<(), CliError> {
        match self.format {
            Format::Json => {
                let text = serde_json::to_string_pretty(value).map_err(io::Error::from)?;
                self.raw(&text)
            }
            Format::Table => {
                let text = human(&self.view);
                self.raw(text.trim_end())
            }
        }
    }

    /// Writes text to stdout in any format (a completion script).
    pub fn raw(&mut self, text: &str) -> Result<(), CliError> {
        if !text.is_empty() {
            writeln!(self.stdout, "{text}")?;
        }
        Ok(self.stdout.flush()?)
    }

    /// Something good to know; left out with `-q` and with `-o json`.
    pub fn note(&mut self, text: &str) {
        if !self.quiet && self.format == Format::Table {
            self.stderr_line(&clean(text));
        }
    }

    /// Something to look at that does not stop the command.
    pub fn warn(&mut self, text: &str) {
        match self.format {
            Format::Json => self.stderr_line(&json!({"warning": {"message": text}}).to_string()),
            Format::Table => {
                let label = self.error_view.warning("warning:");
                self.stderr_line(&format!("{label} {}", clean(text)));
            }
        }
    }

    /// Why the command failed.
    pub fn error(&mut self, error: &CliError) {
        if error.code() == Code::BrokenPipe {
            return;
        }
        match self.format {
            Format::Json => self.stderr_line(&error.to_json().to_string()),
            Format::Table => {
                let label = self.error_view.error("error:");
                self.stderr_line(&format!("{label} {}", clean(&error.to_string())));
            }
        }
    }

    /// A bar on stderr for work of this length; invisible off a terminal and with `-q`.
    pub fn progress(&self, label: &'static str, length: u64) -> Progress {
        Progress::new(label, length, self.error_view.terminal && !self.quiet)
    }

    /// Nobody can be told that stderr is gone.
    fn stderr_line(&mut self, text: &str) {
        let _ = writeln!(self.stderr, "{text}");
    }
}

/// `NO_COLOR` (<https://no-color.org>) and `CLICOLOR_FORCE` (<https://bixense.com/clicolors>).
fn use_color(choice: ColorChoice, terminal: bool, env: &Env) -> bool {
    match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto if env.get("NO_COLOR").is_some() => false,
        ColorChoice::Auto if env.get("CLICOLOR_FORCE").is_some_and(|value| value != "0") => true,
        ColorChoice::Auto => terminal && env.get("TERM") != Some("dumb"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_follows_the_flag_then_the_environment_then_the_terminal() {
        let (none, no, force, dumb) = (
            Env::default(),
            Env::from([("NO_COLOR", "1")]),
            Env::from([("CLICOLOR_FORCE", "1")]),
            Env::from([("TERM", "dumb")]),
        );
        let cases = [
            (ColorChoice::Auto, true, &none, true),
            (ColorChoice::Auto, false, &none, false),
            (ColorChoice::Auto, true, &no, false),
            (ColorChoice::Always, false, &no, true),
            (ColorChoice::Auto, false, &force, true),
            (ColorChoice::Never, true, &force, false),
            (ColorChoice::Auto, true, &dumb, false),
        ];
        for (choice, terminal, env, expected) in cases {
            assert_eq!(use_color(choice, terminal, env), expected, "{choice:?} {terminal}");
        }
    }
}
