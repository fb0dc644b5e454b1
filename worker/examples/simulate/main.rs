//! Simulation of the pool engine under load, in virtual time: `make simulate SEED=7`.
//!
//! Several isolates with separate pool states serve 200,000 requests on 1,000 keys of 300 projects
//! and 10 models, while minute and day quotas run out, models are overloaded, keys are invalid and
//! the network fails. They exchange observations every two seconds. The simulated Gemini has real
//! windows and error bodies. The program prints one table and fails if a figure is not met. The
//! same seed gives the same run.

mod gemini;
mod isolate;
mod ledger;
mod scene;
mod simulation;
mod table;

use std::process::ExitCode;

use clap::Parser;

/// Simulate the pool engine under load, in virtual time
#[derive(Parser)]
struct Arguments {
    /// Seed of the run
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Number of requests
    #[arg(long, default_value_t = 200_000)]
    requests: u64,
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let figures = simulation::run(arguments.seed, arguments.requests);
    let missed = table::print(&mut std::io::stdout().lock(), arguments.seed, &figures)?;
    Ok(if missed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
