//! `poolctl version`.

use pool_shared::API_VERSION;
use serde_json::json;

use crate::{
    error::{CliError, Outcome},
    output::Output,
};

/// Show this program's version
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  poolctl version
  poolctl version -o json")]
pub struct Args {}

pub fn run(out: &mut Output, _: &Args) -> Result<Outcome, CliError> {
    let version = env!("CARGO_PKG_VERSION");
    let result = json!({ "version": version, "api_version": API_VERSION });
    out.result(&result, |_| format!("poolctl {version} (admin API version {API_VERSION})"))?;
    Ok(Outcome::Done)
}
