//! Output: results on stdout; notes, warnings and errors on stderr.
//!
//! The only module that writes to the terminal. With `-o json`, stdout gets one document, and
//! stderr JSON objects. Control characters in values are replaced.

mod fit;
mod format;
mod progress;
pub mod prompt;
mod sheet;
mod table;
mod view;

use std::io::{self, IsTerminal, Write};

use clap::ValueEnum;
use serde::Serialize;
use serde_json::json;

pub use self::{
    format::Format,
    progress::Progress,
    sheet::Sheet,
    table::{Cell, Column, Table, left, right, text},
    view::{View, clean, counted},
};
use crate::{
    env::{self, Env},
    error::{CliError, Code},
};

/// When to use colour; `Auto` means on a terminal, unless `NO_COLOR` is set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    #[default]
    Auto,
    Always,
    Never,
}

/// The two output streams and their properties.
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
    /// Creates the output of the process.
    pub fn from_process(format: Format, color: ColorChoice, quiet: bool, env: &Env) -> Self {
        let (terminal, error_terminal) = (io::stdout().is_terminal(), io::stderr().is_terminal());
        let columns =
            terminal.then(crossterm::terminal::size).and_then(Result::ok).map(|(columns, _)| columns);
        Self {
            stdout: Box::new(io::BufWriter::new(io::stdout())),
            stderr: Box::new(io::stderr()),
            format,
            quiet,
            view: View::new(terminal, use_color(color, terminal, env)).sized(columns),
            error_view: View::new(error_terminal, use_color(color, error_terminal, env)),
            interactive: io::stdin().is_terminal() && error_terminal && env.get(env::NO_PROMPT).is_none(),
        }
    }

    /// Returns `true` if prompts are possible: stdin and stderr are terminals.
    pub fn interactive(&self) -> bool {
        self.interactive
    }

    /// Writes a command's result: `value` in machine-readable formats, else the sheet of `human`.
    pub fn result<T: Serialize, S: Into<Sheet>>(
        &mut self,
        value: &T,
        human: impl FnOnce(&View) -> S,
    ) -> Result<(), CliError> {
        let document = |value| serde_json::to_value(value).map_err(io::Error::from);
        let exact = self.view.exact();
        let text = match self.format {
            Format::Table => human(&self.view).into().render(&self.view),
            Format::Wide => {
                let view = self.view.wide();
                human(&view).into().render(&view)
            }
            Format::Json => serde_json::to_string_pretty(value).map_err(io::Error::from)?,
            Format::Yaml => serde_saphyr::to_string(&document(value)?).map_err(io::Error::other)?,
            Format::Jsonl => format::jsonl(&document(value)?, &human(&exact).into()),
            Format::Csv => format::csv(&document(value)?, &human(&exact).into()).map_err(io::Error::other)?,
            Format::Name => format::names(&document(value)?, &human(&exact).into()),
        };
        self.raw(text.trim_end())
    }

    /// Writes and flushes a part of a streamed result, without a line end.
    pub fn piece(&mut self, text: &str) -> Result<(), CliError> {
        write!(self.stdout, "{}", clean(text))?;
        Ok(self.stdout.flush()?)
    }

    /// Writes the result of a dry run; `what` is a phrase such as "delete pool prod".
    pub fn would(&mut self, what: &str, request: impl Serialize) -> Result<(), CliError> {
        let result = json!({ "dry_run": true, "would": what, "request": request });
        self.result(&result, |_| format!("would {what}"))
    }

    /// Writes text to stdout in any format (a completion script).
    pub fn raw(&mut self, text: &str) -> Result<(), CliError> {
        if !text.is_empty() {
            writeln!(self.stdout, "{text}")?;
        }
        Ok(self.stdout.flush()?)
    }

    /// Returns the view of stdout.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// Returns the output format.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Writes a note to stderr, unless `-q` or a machine-readable format is set.
    pub fn note(&mut self, text: &str) {
        if !self.quiet && self.format.is_human() {
            self.stderr_line(&clean(text));
        }
    }

    /// Writes a warning.
    pub fn warn(&mut self, text: &str) {
        if self.format.is_json() {
            self.stderr_line(&json!({"warning": {"message": text}}).to_string());
        } else {
            let label = self.error_view.warning("warning:");
            self.stderr_line(&format!("{label} {}", clean(text)));
        }
    }

    /// Writes an error.
    pub fn error(&mut self, error: &CliError) {
        if error.code() == Code::BrokenPipe {
            return;
        }
        if self.format.is_json() {
            self.stderr_line(&error.to_json().to_string());
        } else {
            let label = self.error_view.error("error:");
            self.stderr_line(&format!("{label} {}", clean(&error.to_string())));
        }
    }

    /// Creates a progress bar on stderr; without a terminal, one line per second. With `-q` there
    /// is neither, and with a machine-readable format there are no lines.
    pub fn progress(&self, label: &'static str, length: u64) -> Progress {
        let (terminal, quiet) = (self.error_view.terminal, self.quiet);
        Progress::new(label, length, terminal && !quiet, !terminal && !quiet && self.format.is_human())
    }

    /// Writes a line to stderr; an error of stderr cannot be reported.
    fn stderr_line(&mut self, text: &str) {
        let _ = writeln!(self.stderr, "{text}");
    }
}

/// Applies `NO_COLOR` (<https://no-color.org>) and `CLICOLOR_FORCE`
/// (<https://bixense.com/clicolors>).
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
