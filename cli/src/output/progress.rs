//! A bar for work that takes a while, or a line a second where there is no terminal.

use std::{
    cell::Cell,
    io::{self, Write as _},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

const LINE_EVERY: Duration = Duration::from_secs(1);

/// How far some work has come. It disappears when dropped.
pub struct Progress {
    bar: ProgressBar,
    label: &'static str,
    began: Instant,
    /// When the last line was written; none where no lines are wanted.
    last_line: Option<Cell<Instant>>,
}

impl Progress {
    /// One that nobody sees.
    pub fn silent() -> Self {
        Self::new("", 0, false, false)
    }

    pub(super) fn new(label: &'static str, length: u64, bar: bool, lines: bool) -> Self {
        let target = if bar { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(length), target).with_prefix(label);
        // The template is fixed; were it ever wrong, the library's own would do.
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

    /// So much more is done.
    pub fn add(&self, amount: u64) {
        self.bar.inc(amount);
        if let Some(last) = &self.last_line
            && last.get().elapsed() >= LINE_EVERY
        {
            last.set(Instant::now());
            let line = line(self.label, self.bar.position(), self.bar.length(), self.began.elapsed());
            // Nobody can be told that stderr is gone.
            let _ = writeln!(io::stderr(), "{line}");
        }
    }

    /// Says what the work is waiting for.
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
