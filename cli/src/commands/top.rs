//! `poolctl top`: the terminal dashboard, or its rows as text.

use std::time::Duration;

use crate::{
    config::seconds,
    ctx::Ctx,
    error::{CliError, Outcome},
    flags::PoolRef,
    top::{Tab, Theme, keymap, model::Options, once, runtime, terminal},
};

const EXAMPLES: &str = "\
Examples:
  poolctl top
  poolctl top prod --interval 5 --read-only
  poolctl top prod --once
  poolctl top prod --view models -o csv -n 60 --interval 60 > models.csv
  poolctl top -o json | jq '.stats.activity.rates.rpm'
";

/// Live dashboard of pools, keys, models and events, with actions on the marked rows
///
/// Rates are exact counts of the service: RPM and TPM of the last full minute, NOW of the current
/// minute, RPD and TPD since midnight Pacific Time. Other counts, latencies and TTFB (time to first
/// byte) cover the last hour, or the day or month selected with `t`. SHARE is a key's share of the
/// pool's attempts, DUE the share that its weight assigns.
///
/// Without a terminal, or with --once, -n or -o, prints the rows instead.
#[derive(clap::Args)]
#[command(after_long_help = format!("{EXAMPLES}\n{}", keymap::help("Keys:")))]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct Args {
    /// The pool to open, by name or id
    pool: Option<PoolRef>,
    /// Initial tab [default: pools, or the pool's keys]
    #[arg(long, value_enum, value_name = "VIEW")]
    view: Option<Tab>,
    /// Refresh interval
    #[arg(short, long, value_name = "SECONDS", value_parser = seconds, default_value = "1")]
    interval: Duration,
    /// Disable all actions (read-only)
    #[arg(long)]
    read_only: bool,
    /// Colour theme (mono when colour is off)
    #[arg(long, value_enum, value_name = "THEME", default_value_t)]
    theme: Theme,
    /// Use ASCII characters only (default if the locale is not UTF-8)
    #[arg(long)]
    ascii: bool,
    /// Disable mouse support
    #[arg(long)]
    no_mouse: bool,
    /// Print the rows once, then exit
    #[arg(long, conflicts_with = "count")]
    once: bool,
    /// Print the rows N times, then exit
    #[arg(short = 'n', long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
}

pub async fn run(ctx: &mut Ctx, args: Args) -> Result<Outcome, CliError> {
    let client = ctx.client().await?;
    let options = Options {
        service: client.url().to_string(),
        pool: args.pool.map(|pool| pool.as_str().to_owned()),
        only: client.whoami().await?.pool,
        tab: args.view,
        read_only: args.read_only,
        theme: if ctx.out.view().color { args.theme } else { Theme::Mono },
        ascii: args.ascii || !terminal::shows_unicode(),
    };
    let plain = args.once || args.count.is_some() || !ctx.out.format().is_human();
    if plain || !terminal::usable() {
        return once::run(ctx, &client, options, args.interval, args.count.unwrap_or(1)).await;
    }
    runtime::run(&client, &ctx.interrupt, options, args.interval, !args.no_mouse).await
}
