//! The pool engine under storms, in simulated time: `make simulate SEED=7`.
//!
//! Several isolates, each with its own runtime, serve 200,000 requests on 1,000 keys over 300 projects and 10 models,
//! while minute and day quotas run out, models are overloaded, keys are dead and the network is cut. They tell each
//! other what they learn every two seconds. The simulated Gemini keeps real windows and answers with real bodies. One
//! table is printed; a figure that is missed makes the program fail. The same seed gives the same run.

mod gemini;
mod isolate;
mod ledger;
mod scene;
mod table;
mod world;

use std::process::ExitCode;

use clap::Parser;

/// The pool engine under storms, in simulated time
#[derive(Parser)]
struct Arguments {
    /// Reproduces a run
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many requests to serve
    #[arg(long, default_value_t = 200_000)]
    requests: u64,
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let figures = world::run(arguments.seed, arguments.requests);
    let missed = table::print(&mut std::io::stdout().lock(), arguments.seed, &figures)?;
    Ok(if missed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
