//! Mock Gemini server as a program, for the demo, benchmarks and trials without an account.
//!
//! ```text
//! cargo run -p pool-worker --example fake_gemini -- --port 9090 --scenario worker/examples/scenario.toml
//! ```
//!
//! Set `GEMINI_BASE_URL` of the service to its address. `GET /_fake/counts` returns the counts by key;
//! `POST /_fake/scenario`, `/_fake/behaviour`, `/_fake/fail`, `/_fake/clock` and `/_fake/reset` change
//! it while it runs.

use std::io::Write as _;
use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Parser;
use pool_fake_gemini::{FakeGemini, Scenario};
use tokio::net::TcpListener;

/// Mock Gemini server with the API's error bodies, quotas and stream framing
#[derive(Parser)]
struct Arguments {
    /// Address to listen on
    #[arg(long, default_value = "127.0.0.1")]
    host: IpAddr,
    /// Port to listen on; 0 selects a free one
    #[arg(long, default_value_t = 9090)]
    port: u16,
    /// Scenario file (TOML); default: all models, no valid key
    #[arg(long)]
    scenario: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let scenario = match &arguments.scenario {
        Some(path) => {
            let named = || path.display().to_string();
            let text = std::fs::read_to_string(path).with_context(named)?;
            Scenario::from_toml(&text).with_context(named)?
        }
        None => Scenario::default(),
    };
    let listener = TcpListener::bind((arguments.host, arguments.port)).await?;
    // Flushed, so that a script can wait for it through a pipe.
    writeln!(std::io::stdout(), "http://{}", listener.local_addr()?)?;
    tokio::select! {
        served = FakeGemini::serve(listener, scenario) => served?,
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    Ok(())
}
