//! `poolctl key import`.

use std::path::{Path, PathBuf};

use pool_shared::{ErrorCode, KeyImportEntry, KeyImportReport, Pool, PoolId};
use serde::Serialize;
use serde_json::json;

use crate::{
    client::{Client, chunks},
    ctx::Ctx,
    error::{CliError, Code, Outcome},
    flags::{DryRun, PoolArg, PoolRef},
    input::KeySource,
    key_check::summary,
    key_import::{
        file,
        probe::probe,
        report::{self, LineReport, Probed},
    },
    output::{View, counted},
};

/// Add Gemini keys from a file to a pool
///
/// One key per line, or several separated by commas. A line may have columns: key,weight,tag,name,
/// or those of a header. Quotes, NAME=value, URLs with ?key= and JSON are accepted; the text around
/// a key is never stored. Keys that the pool already has count as duplicates and are unchanged, so
/// an import is idempotent, also after Ctrl-C or a lost connection. Invalid lines are reported by
/// number (exit code 3); the others are imported.
///
/// --check checks each key first. Valid keys, limited keys (valid, but their quota is exhausted)
/// and keys that could not be checked because Gemini did not respond are added. Rejected keys are
/// reported and skipped.
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  poolctl key import prod --keys more.txt
  poolctl key import prod --keys more.txt --check --report report.csv
  poolctl key import prod --keys more.txt --check --dry-run
  cat team-*.txt | poolctl key import prod --keys - -o json | jq .added")]
pub struct Args {
    #[command(flatten)]
    pool: PoolArg,
    /// File of Gemini keys, - for standard input
    #[arg(long, value_name = "FILE")]
    keys: KeySource,
    /// Check each key and skip rejected ones
    #[arg(long)]
    check: bool,
    /// Write the result of each line to this CSV file
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    #[command(flatten)]
    dry: DryRun,
}

/// The service's report, and the results of the checks.
#[derive(Serialize)]
struct Imported<'a> {
    #[serde(flatten)]
    report: &'a KeyImportReport,
    #[serde(flatten)]
    probed: Option<&'a Probed>,
}

pub async fn run(ctx: &mut Ctx, args: Args) -> Result<Outcome, CliError> {
    let pool = args.pool.get()?;
    let mut keys = file::read(ctx, &args.keys).await?;
    let client = ctx.client().await?;
    let pool = named(&client, &pool).await?;
    let mut lines = LineReport::of(&keys);
    let probed =
        if args.check { Some(probe(ctx, &client, &pool.id, &mut keys, &mut lines).await?) } else { None };
    if args.dry.dry_run {
        return dry_run(ctx, args.report.as_deref(), &pool.name, keys.entries.len(), probed.as_ref(), &lines);
    }
    let mut import = KeyImportReport::default();
    let ended = send(ctx, &client, &pool.id, &keys.entries, &mut import, &mut lines).await;
    if let Some(path) = &args.report {
        lines.write(path)?;
    }
    let sent = import.added + import.duplicate + import.malformed.len() as u64;
    if ended.is_err() && sent == 0 {
        return ended.map(|()| Outcome::Done);
    }
    report::add_local(&mut import, &keys);
    let imported = Imported { report: &import, probed: probed.as_ref() };
    ctx.out.result(&imported, |view| report::with_checks(&import, probed.as_ref(), view))?;
    ended.map_err(|error| {
        error
            .cause(format!("sent {sent} of {}", counted(keys.entries.len(), "key")))
            .hint("run the same command again: an import is idempotent")
    })?;
    let refused = probed.is_some_and(|probed| !probed.refused.is_empty());
    Ok(if refused { Outcome::Partial } else { report::outcome(&import) })
}

/// The pool that keys are imported into.
struct Target {
    id: PoolId,
    name: String,
}

/// Returns the pool's id and name. A token with only the scope `keys:import` cannot read the pool,
/// so the given name or id is used.
async fn named(client: &Client, pool: &PoolRef) -> Result<Target, CliError> {
    match client.pool(pool.as_str()).await {
        Ok(Pool { id, name, .. }) => Ok(Target { id, name }),
        Err(error) if error.code() == Code::Service(ErrorCode::Forbidden) => {
            Ok(Target { id: PoolId::new(pool.as_str()), name: pool.to_string() })
        }
        Err(error) => Err(error),
    }
}

async fn send(
    ctx: &mut Ctx,
    client: &Client,
    pool: &PoolId,
    entries: &[KeyImportEntry],
    import: &mut KeyImportReport,
    lines: &mut LineReport,
) -> Result<(), CliError> {
    let progress = ctx.out.progress("importing", entries.len() as u64);
    for chunk in chunks(entries) {
        let sent: Vec<u64> = chunk.keys.iter().filter_map(|entry| entry.line).collect();
        let mut part = KeyImportReport::default();
        client.import(pool, std::iter::once(chunk), &mut part, &progress).await?;
        lines.sent(&sent, &part);
        import.merge(part);
    }
    Ok(())
}

fn dry_run(
    ctx: &mut Ctx,
    report: Option<&Path>,
    pool: &str,
    keys: usize,
    probed: Option<&Probed>,
    lines: &LineReport,
) -> Result<Outcome, CliError> {
    if let Some(path) = report {
        lines.write(path)?;
    }
    if let Some(probed) = probed {
        let refused = report::refused(&probed.refused, &View::new(false, false));
        ctx.out.note(format!("checked: {}\n{refused}", summary(&probed.verdicts)).trim_end());
    }
    ctx.out.would(
        &format!("add up to {} to pool {pool}", counted(keys, "key")),
        json!({ "keys": keys, "checked": probed, "malformed": lines.malformed() }),
    )?;
    let flawed = lines.malformed() > 0 || probed.is_some_and(|probed| !probed.refused.is_empty());
    Ok(if flawed { Outcome::Partial } else { Outcome::Done })
}
