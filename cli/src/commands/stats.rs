//! `poolctl stats`: what the pools, or one pool's keys and models, have served.

use clap::Subcommand;
use pool_shared::{Activity, Counters, PoolStats, Quantiles, Stats};
use serde_json::json;

use super::PoolRef;
use crate::{
    ctx::Ctx,
    error::{CliError, Outcome},
    output::{Align, Cell, Table, View},
};

/// Show what was served, by pool; with a pool by key and by model
///
/// REQUESTS are attempts: calls made to Gemini. A caller's request that was tried on two keys
/// counts two.
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  poolctl stats
  poolctl stats prod
  poolctl stats prod -o json | jq '.keys[] | select(.failures > 0)'
  poolctl stats reset prod")]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    /// The pool's name or id
    pool: Option<PoolRef>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Forget what was counted, for good; keys and limits stay as they are
    #[command(after_long_help = "\
Examples:
  poolctl stats reset prod
  poolctl stats reset --yes")]
    Reset {
        /// The pool's name or id; all pools without it
        pool: Option<PoolRef>,
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
    },
}

pub async fn run(ctx: &mut Ctx, args: Args) -> Result<Outcome, CliError> {
    if let Some(Command::Reset { pool, yes }) = args.command {
        return reset(ctx, pool, yes).await;
    }
    let client = ctx.client().await?;
    match args.pool {
        None => {
            let stats = client.stats().await?;
            ctx.out.result(&stats, |view| all(&stats, view))?;
            if stats.lost > 0 {
                ctx.out.warn(&format!("{} attempts were never counted", stats.lost));
            }
        }
        Some(pool) => {
            let stats = client.pool_stats(pool.as_str()).await?;
            ctx.out.result(&stats, |view| one(&stats, view))?;
        }
    }
    Ok(Outcome::Done)
}

async fn reset(ctx: &mut Ctx, pool: Option<PoolRef>, yes: bool) -> Result<Outcome, CliError> {
    ctx.can_confirm(yes)?;
    let client = ctx.client().await?;
    let pool = match pool {
        Some(pool) => Some(client.pool(pool.as_str()).await?),
        None => None,
    };
    let whose = pool.as_ref().map_or("all pools".to_owned(), |pool| format!("pool {}", pool.name));
    ctx.confirm(yes, &format!("Forget what was counted for {whose}?")).await?;
    client.reset_stats(pool.as_ref().map(|pool| &pool.id)).await?;
    let result = json!({ "reset": { "pool": pool.as_ref().map(|pool| &pool.id) } });
    ctx.out.result(&result, |_| format!("counting starts anew for {whose}"))?;
    Ok(Outcome::Done)
}

fn all(stats: &Stats, view: &View) -> String {
    let timed = stats.activity.latency.total.is_some();
    let mut table = counting(["POOL", "ID"], timed);
    for row in &stats.pools {
        let name = row.name.clone().unwrap_or_else(|| "(deleted)".to_owned());
        let cells = numbers(view, &row.counters).chain(latencies(&row.activity, timed));
        table.row([name, row.pool.to_string()].map(Cell::from).into_iter().chain(cells));
    }
    let cells = numbers(view, &stats.total).chain(latencies(&stats.activity, timed));
    table.row(["total", ""].map(Cell::from).into_iter().chain(cells));
    table.render(view)
}

fn one(stats: &PoolStats, view: &View) -> String {
    let mut keys = counting(["KEY", "ID", "NAME"], false);
    for row in &stats.keys {
        let masked = row.masked.clone().unwrap_or_else(|| "(removed)".to_owned());
        let names = [masked, row.key.to_string(), row.name.clone()].map(Cell::from);
        keys.row(names.into_iter().chain(numbers(view, &row.counters)));
    }
    keys.row(["total", "", ""].map(Cell::from).into_iter().chain(numbers(view, &stats.total)));
    let timed = stats.activity.latency.total.is_some();
    let mut models = counting(["MODEL"], timed);
    for row in &stats.models {
        let cells = numbers(view, &row.counters).chain(latencies(&row.activity, timed));
        models.row([Cell::from(row.model.clone())].into_iter().chain(cells));
    }
    if stats.models.is_empty() {
        return keys.render(view);
    }
    format!("{}\n\n{}", keys.render(view), models.render(view))
}

/// Latencies have columns of their own where some are known.
fn counting<const N: usize>(names: [&'static str; N], timed: bool) -> Table {
    let numbers = ["REQUESTS", "OK", "FAILED", "PROMPT TOKENS", "COMPLETION TOKENS"];
    let latencies = if timed { ["P50", "P95", "P99"].as_slice() } else { &[] };
    let names = names.map(|name| (name, Align::Left));
    let right = numbers.iter().chain(latencies).map(|name| (*name, Align::Right));
    Table::new(names.into_iter().chain(right))
}

fn numbers(view: &View, counters: &Counters) -> impl Iterator<Item = Cell> {
    let failures = view.count(counters.failures);
    let cells = [
        view.count(counters.requests).into(),
        view.count(counters.successes).into(),
        if counters.failures > 0 { Cell::Bad(failures) } else { failures.into() },
        view.count(counters.prompt_tokens).into(),
        view.count(counters.completion_tokens).into(),
    ];
    cells.into_iter()
}

fn latencies(activity: &Activity, timed: bool) -> impl Iterator<Item = Cell> {
    let shown = |quantiles: Quantiles| {
        [quantiles.p50_ms, quantiles.p95_ms, quantiles.p99_ms].map(|time| duration(time).into())
    };
    let cells = activity.latency.total.map_or_else(|| ["", "", ""].map(Cell::from), shown);
    cells.into_iter().take(if timed { 3 } else { 0 })
}

/// Milliseconds, or seconds where they read better.
fn duration(milliseconds: f64) -> String {
    if milliseconds < 1_000.0 {
        format!("{milliseconds:.0} ms")
    } else {
        format!("{:.1} s", milliseconds / 1_000.0)
    }
}
