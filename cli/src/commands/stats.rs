//! `poolctl stats`: what the pools, or one pool's keys and models, have served.

use pool_shared::{Counters, PoolStats, Stats};

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
  poolctl stats prod -o json | jq '.keys[] | select(.failures > 0)'")]
pub struct Args {
    /// The pool's name or id
    pool: Option<PoolRef>,
}

pub async fn run(ctx: &mut Ctx, args: Args) -> Result<Outcome, CliError> {
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

fn all(stats: &Stats, view: &View) -> String {
    let mut table = counting(["POOL", "ID"]);
    for row in &stats.pools {
        let name = row.name.clone().unwrap_or_else(|| "(deleted)".to_owned());
        add(&mut table, view, [name, row.pool.to_string()], &row.counters);
    }
    add(&mut table, view, ["total".to_owned(), String::new()], &stats.total);
    table.render(view)
}

fn one(stats: &PoolStats, view: &View) -> String {
    let mut keys = counting(["KEY", "ID", "NAME"]);
    for row in &stats.keys {
        let masked = row.masked.clone().unwrap_or_else(|| "(removed)".to_owned());
        add(&mut keys, view, [masked, row.key.to_string(), row.name.clone()], &row.counters);
    }
    add(&mut keys, view, ["total".to_owned(), String::new(), String::new()], &stats.total);
    let mut models = counting(["MODEL"]);
    for row in &stats.models {
        add(&mut models, view, [row.model.clone()], &row.counters);
    }
    if stats.models.is_empty() {
        return keys.render(view);
    }
    format!("{}\n\n{}", keys.render(view), models.render(view))
}

fn counting<const N: usize>(names: [&'static str; N]) -> Table {
    let numbers = ["REQUESTS", "OK", "FAILED", "PROMPT TOKENS", "COMPLETION TOKENS"];
    let names = names.map(|name| (name, Align::Left));
    Table::new(names.into_iter().chain(numbers.map(|name| (name, Align::Right))))
}

fn add<const N: usize>(table: &mut Table, view: &View, names: [String; N], counters: &Counters) {
    let failures = view.count(counters.failures);
    let cells = [
        view.count(counters.requests).into(),
        view.count(counters.successes).into(),
        if counters.failures > 0 { Cell::Bad(failures) } else { failures.into() },
        view.count(counters.prompt_tokens).into(),
        view.count(counters.completion_tokens).into(),
    ];
    table.row(names.map(Cell::from).into_iter().chain(cells));
}
