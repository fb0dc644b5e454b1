//! Progress bar, or one line per second without a terminal.

use std::{
    cell::Cell,
    io::{self, Write as _},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

const LINE_INTERVAL: Duration = Duration::from_secs(1);

/// Progress of an operation; removed from the terminal when dropped.
pub struct Progress {
    bar: ProgressBar,
    label: &'static str,
    began: Instant,
    /// Time of the last line; `None` without lines.
    last_line: Option<Cell<Instant>>,
}

impl Progress {
    /// Creates a hidden progress.
    pub fn silent() -> Self {
        Self::new("", 0, false, false)
    }

    pub(super) fn new(label: &'static str, length: u64, bar: bool, lines: bool) -> Self {
        let target = if bar { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(length), target).with_prefix(label);
        // The template is constant; the library's default is a fallback.
        if let Ok(style) =
            ProgressStyle::with_template("{prefix} {bar:30} {human_pos}/{human_len} {rate} {eta} left {msg}")
        {
            let style = style.with_key("rate", |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                let _ = write!(out, "{:.0}/s", state.per_sec());
            });
            bar.set_style(style);
        }
        let began = Instant::now();
        Self { bar, label, began, last_line: lines.then(|| Cell::new(began)) }
    }

    /// Adds to the completed work.
    pub fn add(&self, amount: u64) {
        self.bar.inc(amount);
        if let Some(last) = &self.last_line
            && last.get().elapsed() >= LINE_INTERVAL
        {
            last.set(Instant::now());
            let line = line(self.label, self.bar.position(), self.bar.length(), self.began.elapsed());
            // An error of stderr cannot be reported.
            let _ = writeln!(io::stderr(), "{line}");
        }
    }

    /// Shows a message beside the bar.
    pub fn message(&self, text: String) {
        self.bar.set_message(text);
    }
}

/// `importing 2000/10000, 1000/s, 8 s left`
fn line(label: &str, done: u64, all: Option<u64>, elapsed: Duration) -> String {
    #[allow(clippy::cast_precision_loss, reason = "a rate for the eye")]
    let rate = done as f64 / elapsed.as_secs_f64().max(0.001);
    let all = all.unwrap_or(done);
    #[allow(clippy::cast_precision_loss, reason = "a rate for the eye")]
    let left = all.saturating_sub(done) as f64 / rate.max(0.001);
    format!("{label} {done}/{all}, {rate:.0}/s, {left:.0} s left")
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_far_how_fast_and_how_long_yet() {
        let text = line("importing", 2_000, Some(10_000), Duration::from_secs(2));
        assert_eq!(text, "importing 2000/10000, 1000/s, 8 s left");
    }
}
