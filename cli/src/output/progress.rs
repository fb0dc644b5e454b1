//! A bar for work that takes a while.

use std::fmt::Write;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

/// How far some work has come. It disappears when dropped.
pub struct Progress(ProgressBar);

impl Progress {
    pub(super) fn new(label: &'static str, length: u64, visible: bool) -> Self {
        let target = if visible { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(length), target).with_prefix(label);
        // The template is fixed; were it ever wrong, the library's own would do.
        if let Ok(style) =
            ProgressStyle::with_template("{prefix} {bar:30} {human_pos}/{human_len} {rate} {eta} left {msg}")
        {
            let style = style.with_key("rate", |state: &ProgressState, out: &mut dyn Write| {
                let _ = write!(out, "{:.0}/s", state.per_sec());
            });
            bar.set_style(style);
        }
        Self(bar)
    }

    /// So much more is done.
    pub fn add(&self, amount: u64) {
        self.0.inc(amount);
    }

    /// Says what the work is waiting for.
    pub fn message(&self, text: String) {
        self.0.set_message(text);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
