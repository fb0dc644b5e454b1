//! `poolctl key import`.

use pool_shared::KeyImportReport;

use super::{
    PoolArg,
    file::{self, KeySource},
    report,
};
use crate::{
    client::chunks,
    ctx::Ctx,
    error::{CliError, Outcome},
};

/// Add Gemini keys from a file to a pool
///
/// One key a line, or several separated by commas; a line may have columns: key,weight,tag,name.
/// Keys that the pool has already are counted and left as they are, so running it again is
/// harmless. Lines that cannot be keys are reported by number (exit code 3) and stop nothing.
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  poolctl key import prod --keys more.txt
  cat team-*.txt | poolctl key import prod --keys -
  poolctl key import prod --keys more.txt -o json | jq .added")]
pub struct Args {
    #[command(flatten)]
    pool: PoolArg,
    /// File of Gemini keys, - for standard input
    #[arg(long, value_name = "FILE")]
    keys: KeySource,
}

pub async fn run(ctx: &mut Ctx, args: Args) -> Result<Outcome, CliError> {
    let pool = args.pool.get()?;
    let keys = file::read(ctx, &args.keys).await?;
    let client = ctx.client().await?;
    let pool = client.pool(pool.as_str()).await?;
    let mut import = KeyImportReport::default();
    let progress = ctx.out.progress("importing", keys.entries.len() as u64);
    let imported = client.import(&pool.id, chunks(&keys.entries), &mut import, &progress).await;
    drop(progress);
    let imported = match imported {
        Err(error) if import == KeyImportReport::default() => return Err(error),
        imported => imported,
    };
    report::add_local(&mut import, &keys);
    ctx.out.result(&import, |view| report::human(&import, view))?;
    imported.map_err(|error| {
        error.hint("run the same command again: keys that are there already are left as they are")
    })?;
    Ok(report::outcome(&import))
}
