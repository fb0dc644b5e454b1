//! Result table of a run.

use std::io::{self, Write};

use crate::simulation::Figures;

/// Prints the figures. Returns `true` if one is not met.
#[allow(clippy::cast_precision_loss)]
pub fn print(out: &mut impl Write, seed: u64, figures: &Figures) -> io::Result<bool> {
    let success = percent(figures.served, figures.servable);
    let attempts = figures.attempts as f64 / figures.successes.max(1) as f64;
    let rows = [
        ("success of servable requests", format!("{success:.3} %"), ">= 99.9 %", success >= 99.9),
        ("attempts per success, once learnt", format!("{attempts:.4}"), "<= 1.05", attempts <= 1.05),
        ("keys marked without cause", figures.wronged.to_string(), "0", figures.wronged == 0),
        ("p99 of attempts", p99(figures).to_string(), "<= 4", p99(figures) <= 4),
        ("count error", figures.count_error.to_string(), "0", figures.count_error == 0),
    ];
    writeln!(out, "{:<36}{:>14}{:>14}", format!("seed {seed}"), "figure", "required")?;
    for (name, figure, required, met) in &rows {
        writeln!(out, "{name:<36}{figure:>14}{required:>14}{}", if *met { "" } else { "  MISSED" })?;
    }
    writeln!(
        out,
        "\n{} requests in {:.1} simulated hours, {} calls; {} servable, {} of them not served {:?}; {} answered by a \
         fallback.\nRefusals: {:?}\nAttempts: {:?}",
        figures.requests,
        figures.hours,
        figures.calls,
        figures.servable,
        figures.servable - figures.served,
        figures.failures,
        figures.by_fallback,
        figures.refusals,
        figures.attempts_taken,
    )?;
    Ok(rows.iter().any(|(.., met)| !met))
}

#[allow(clippy::cast_precision_loss)]
fn percent(part: u64, whole: u64) -> f64 {
    part as f64 * 100.0 / whole.max(1) as f64
}

fn p99(figures: &Figures) -> usize {
    let total: u64 = figures.attempts_taken.values().sum();
    let mut seen = 0;
    let at = figures.attempts_taken.iter().find(|(_, count)| {
        seen += **count;
        seen * 100 >= total * 99
    });
    at.map_or(0, |(attempts, _)| *attempts)
}
