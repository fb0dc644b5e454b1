//! `poolctl events`: what went wrong lately, and as it goes wrong.

use std::time::Duration;

use pool_shared::{AttemptOutcome, Event, EventList};

use super::PoolRef;
use crate::{
    config::seconds,
    ctx::Ctx,
    error::{CliError, Code, Outcome},
    output::{Cell, Table, View, left, right, text},
};

/// Show what Gemini or the network refused, key by key
///
/// --follow goes on until Ctrl-C; use it with -o jsonl for other programs.
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  poolctl events
  poolctl events prod --limit 20
  poolctl events --follow
  poolctl events --follow -o jsonl | jq -r .message")]
pub struct Args {
    /// Only this pool's
    pool: Option<PoolRef>,
    /// At most so many
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    limit: u64,
    /// Wait for new ones
    #[arg(short, long)]
    follow: bool,
    /// How often to look for new ones
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = seconds, requires = "follow")]
    interval: Duration,
}

pub async fn run(ctx: &mut Ctx, args: Args) -> Result<Outcome, CliError> {
    let client = ctx.client().await?;
    let pool = args.pool.as_ref().map(PoolRef::as_str);
    let mut list = client.events(pool, None, args.limit).await?;
    if list.events.is_empty() {
        ctx.out.note("nothing went wrong lately");
    }
    ctx.out.result(&list, |view| table(&list, true, view))?;
    if !args.follow {
        return Ok(Outcome::Done);
    }
    // The header stands above the first events, whenever they come.
    let mut header = list.events.is_empty();
    loop {
        ctx.interrupt.wait(tokio::time::sleep(args.interval)).await?;
        list = match client.events(pool, Some(&list.cursor), args.limit).await {
            Ok(list) => list,
            // Whoever watches wants to go on watching once the service is back.
            Err(error) if matches!(error.code(), Code::Unreachable | Code::Timeout) => {
                ctx.out.warn(&format!("{error}"));
                continue;
            }
            Err(error) => return Err(error),
        };
        if !list.events.is_empty() {
            ctx.out.result(&list, |view| table(&list, header, view))?;
            header = false;
        }
    }
}

fn table(list: &EventList, header: bool, view: &View) -> Table {
    let columns = [
        left("TIME"),
        left("POOL").rank(5),
        left("KEY").rank(3),
        left("MODEL").rank(4),
        left("VERDICT"),
        right("COUNT").rank(2),
        text("MESSAGE"),
    ];
    let mut table = Table::list("events", columns);
    if !header {
        table = table.without_header();
    }
    for event in &list.events {
        let Event { at, pool, key, model, verdict, message, count, .. } = event;
        table.row([
            view.time(*at).into(),
            pool.to_string().into(),
            key.to_string().into(),
            model.clone().into(),
            cell(*verdict),
            view.count(*count).into(),
            message.clone().into(),
        ]);
    }
    table
}

/// Only a refused key asks for somebody to look at it.
fn cell(verdict: AttemptOutcome) -> Cell {
    let name = verdict.label().to_owned();
    match verdict {
        AttemptOutcome::Ok => Cell::Good(name),
        AttemptOutcome::Key => Cell::Bad(name),
        AttemptOutcome::Quota | AttemptOutcome::Model | AttemptOutcome::Internal | AttemptOutcome::Egress => {
            Cell::Fair(name)
        }
        _ => Cell::Plain(name),
    }
}
