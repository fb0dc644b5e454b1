//! `poolctl stats`: statistics of all pools, or of one pool.

use clap::{Subcommand, ValueEnum};
use jiff::Timestamp;
use pool_shared::{
    Activity, Counters, ErrorCode, Latency, PoolStats, Quantiles, Rates, RequestRates, RequestStats, Stats,
    StatsStep,
};
use serde_json::json;

use crate::{
    ctx::Ctx,
    error::{CliError, Code, Outcome},
    flags::{Confirm, PoolRef, times::moment},
    output::{Cell, Column, Sheet, Table, View, left, right, text},
};

/// Show statistics by pool, or of one pool by key, model, client key, outcome or time
///
/// REQUESTS counts client requests, also rejected ones. FAILED counts requests that ended in a
/// server error, an exhausted quota or a truncated response. ATTEMPTS counts calls to Gemini: a
/// request that used two keys has two. REFUSED counts attempts without a complete response. P50 to
/// P99 are latencies of requests; for keys, of attempts. Without --since, statistics cover all
/// time. Minutes are kept for 26 hours, hours for 35 days, and days (from midnight Pacific Time)
/// for 400 days.
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  poolctl stats
  poolctl stats prod
  poolctl stats prod --by model --since 24h
  poolctl stats prod --by client-key
  poolctl stats prod --by time --since 7d --step day -o csv
  poolctl stats prod -o json | jq '.keys[] | select(.failures > 0)'
  poolctl stats reset prod")]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    /// The pool's name or id
    pool: Option<PoolRef>,
    /// Show only this table of a pool
    #[arg(long, value_enum, value_name = "WHAT", requires = "pool")]
    by: Option<By>,
    /// Start: 90m, 24h, 7d ago, or a time such as 2026-11-03T12:00:00Z
    #[arg(long, value_name = "TIME", requires = "pool", value_parser = moment)]
    since: Option<Timestamp>,
    /// End, in the same formats
    #[arg(long, value_name = "TIME", requires = "since", value_parser = moment)]
    until: Option<Timestamp>,
    /// Length of the intervals
    #[arg(long, value_enum, value_name = "STEP", requires = "pool")]
    step: Option<Step>,
    #[command(subcommand)]
    command: Option<Command>,
}

// The variants have no doc comments, because clap would add them to the help.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum By {
    Key,
    Model,
    ClientKey,
    Outcome,
    Time,
}

#[derive(Clone, Copy, ValueEnum)]
enum Step {
    Minute,
    Hour,
    Day,
}

#[derive(Subcommand)]
enum Command {
    /// Reset statistics permanently; keys and limits are unchanged
    #[command(after_long_help = "\
Examples:
  poolctl stats reset prod
  poolctl stats reset --yes")]
    Reset {
        /// The pool's name or id [default: all pools]
        pool: Option<PoolRef>,
        #[command(flatten)]
        confirm: Confirm,
    },
}

impl Args {
    fn window(&self) -> Vec<(&'static str, String)> {
        let step = self.step.map(|step| match step {
            Step::Minute => StatsStep::Minute,
            Step::Hour => StatsStep::Hour,
            Step::Day => StatsStep::Day,
        });
        let pairs = [
            ("since", self.since.map(|time| time.to_string())),
            ("until", self.until.map(|time| time.to_string())),
            ("step", step.map(|step| step.name().to_owned())),
        ];
        let mut query: Vec<_> = pairs.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        if query.is_empty() && self.by == Some(By::Time) {
            // A time series needs a window; the service chooses its length by step.
            query.push(("step", StatsStep::Hour.name().to_owned()));
        }
        query
    }
}

pub async fn run(ctx: &mut Ctx, args: Args) -> Result<Outcome, CliError> {
    if let Some(Command::Reset { pool, confirm }) = args.command {
        return reset(ctx, pool, confirm).await;
    }
    let client = ctx.client().await?;
    let pool = match &args.pool {
        Some(pool) => pool.as_str().to_owned(),
        None => match client.stats().await {
            Ok(stats) => {
                ctx.out.result(&stats, |view| all(&stats, view))?;
                if stats.lost > 0 || stats.lost_requests > 0 {
                    let lost = format!("{} requests, {} attempts", stats.lost_requests, stats.lost);
                    ctx.out.warn(&format!("lost and not counted, at most: {lost}"));
                }
                return Ok(Outcome::Done);
            }
            // A token that is limited to one pool cannot read all of them.
            Err(error) if error.code() == Code::Service(ErrorCode::Forbidden) => {
                client.whoami().await?.pool.ok_or(error)?.to_string()
            }
            Err(error) => return Err(error),
        },
    };
    let stats = client.pool_stats(&pool, &args.window()).await?;
    ctx.out.result(&stats, |view| one(&stats, args.by, view))?;
    Ok(Outcome::Done)
}

async fn reset(ctx: &mut Ctx, pool: Option<PoolRef>, confirm: Confirm) -> Result<Outcome, CliError> {
    ctx.can_confirm(confirm)?;
    let client = ctx.client().await?;
    let pool = match pool {
        Some(pool) => Some(client.pool(pool.as_str()).await?),
        None => None,
    };
    let whose = pool.as_ref().map_or("all pools".to_owned(), |pool| format!("pool {}", pool.name));
    let result = json!({ "reset": { "pool": pool.as_ref().map(|pool| &pool.id) } });
    if confirm.dry_run() {
        ctx.out.would(&format!("reset the statistics of {whose}"), result)?;
        return Ok(Outcome::Done);
    }
    ctx.confirm(confirm, &format!("Reset the statistics of {whose}?")).await?;
    client.reset_stats(pool.as_ref().map(|pool| &pool.id)).await?;
    ctx.out.result(&result, |_| format!("reset the statistics of {whose}"))?;
    Ok(Outcome::Done)
}

fn all(stats: &Stats, view: &View) -> Table {
    let timed = stats.requests.latency.is_some();
    let mut table = serving("pools", [text("POOL"), left("ID").rank(5)], timed);
    for row in &stats.pools {
        let name = row.name.clone().unwrap_or_else(|| "(deleted)".to_owned());
        let names = [name, row.pool.to_string()].map(Cell::from);
        table.row(names.into_iter().chain(served(
            view,
            &row.requests,
            &row.counters,
            Some(&row.activity),
            timed,
        )));
    }
    let cells = served(view, &stats.requests, &stats.total, Some(&stats.activity), timed);
    table.row(["total", ""].map(Cell::from).into_iter().chain(cells));
    table
}

fn one(stats: &PoolStats, by: Option<By>, view: &View) -> Sheet {
    let mut sheet = Sheet::new();
    if let Some(window) = &stats.window {
        sheet = sheet.text(view.heading(&view.window(window.since, window.until)));
    }
    sheet = sheet.text(summary(stats, view));
    match by {
        None => sheet.table(keys(stats, view)).table(models(stats, view)).table(client_keys(stats, view)),
        Some(By::Key) => sheet.table(keys(stats, view)),
        Some(By::Model) => sheet.table(models(stats, view)),
        Some(By::ClientKey) => sheet.table(client_keys(stats, view)),
        Some(By::Outcome) => sheet.table(outcomes(stats, view)),
        Some(By::Time) => sheet.table(series(stats, view)),
    }
}

/// Renders the outcomes of requests and of attempts.
fn summary(stats: &PoolStats, view: &View) -> String {
    let listed = |counts: Vec<(&str, u64)>| {
        let mut counts: Vec<_> = counts.into_iter().filter(|(_, count)| *count > 0).collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let each: Vec<_> =
            counts.into_iter().map(|(name, count)| format!("{} {name}", view.count(count))).collect();
        if each.is_empty() { String::new() } else { format!(" ({})", each.join(", ")) }
    };
    let requests = stats.requests.outcomes.iter().map(|(outcome, count)| (outcome.name(), *count));
    let attempts = stats.activity.outcomes.iter().map(|(outcome, count)| (outcome.name(), *count));
    format!(
        "requests: {}{}\nattempts: {}{}",
        view.count(stats.requests.total),
        listed(requests.collect()),
        view.count(stats.total.attempts),
        listed(attempts.collect())
    )
}

fn keys(stats: &PoolStats, view: &View) -> Table {
    let timed = stats.keys.iter().any(|row| row.activity.latency.total.is_some());
    let names = [left("KEY"), left("ID").rank(5), text("NAME").rank(4), left("LAST USED").rank(6).wide()];
    let mut table = trying("keys", names, timed);
    for row in &stats.keys {
        let masked = row.masked.clone().unwrap_or_else(|| "(removed)".to_owned());
        let names = [masked, row.key.to_string(), row.name.clone(), view.time_if_any(row.last_used)];
        let cells = tried(view, &row.counters, Some(&row.activity), timed);
        table.row(names.map(Cell::from).into_iter().chain(cells));
    }
    let cells = tried(view, &stats.total, None, timed);
    table.row(["total", "", "", ""].map(Cell::from).into_iter().chain(cells));
    table
}

fn models(stats: &PoolStats, view: &View) -> Table {
    let timed = stats.requests.latency.is_some();
    let mut table = serving("models", [left("MODEL")], timed);
    for row in &stats.models {
        let cells = served(view, &row.requests, &row.counters, Some(&row.activity), timed);
        table.row([Cell::from(row.model.clone())].into_iter().chain(cells));
    }
    table
}

fn client_keys(stats: &PoolStats, view: &View) -> Table {
    let numbers = ["REQUESTS", "FAILED", "RPM", "RPD"].map(right);
    let names = [text("CLIENT KEY"), left("ID").rank(5)];
    let mut table = Table::list("client_keys", names.into_iter().chain(numbers));
    for row in &stats.client_keys {
        let name = row.name.clone().unwrap_or_else(|| "(revoked)".to_owned());
        let [requests, failed] = requested(view, &row.requests);
        let rates = [row.requests.rates.rpm_now, row.requests.rates.rpd].map(|rate| view.count(rate).into());
        let names = [name, row.client_key.to_string()].map(Cell::from);
        table.row(names.into_iter().chain([requests, failed]).chain(rates));
    }
    table
}

fn outcomes(stats: &PoolStats, view: &View) -> Table {
    let mut table = trying("outcomes", [left("OUTCOME")], false);
    for row in &stats.outcomes {
        let cells = tried(view, &row.counters, None, false);
        table.row([Cell::from(row.outcome.name())].into_iter().chain(cells));
    }
    table
}

fn series(stats: &PoolStats, view: &View) -> Table {
    let timed = stats.requests.latency.is_some();
    let mut table = serving("series", [left("FROM")], timed);
    for point in &stats.series {
        let activity = Activity { latency: point.latency, ..Activity::default() };
        let cells = served(view, &point.requests, &point.counters, Some(&activity), timed);
        table.row([Cell::from(point.at.to_string())].into_iter().chain(cells));
    }
    table
}

/// Creates a table of requests and their attempts, with latencies if known.
fn serving<const N: usize>(field: &'static str, names: [Column; N], timed: bool) -> Table {
    let numbers =
        ["REQUESTS", "FAILED", "ATTEMPTS", "REFUSED", "PROMPT TOKENS", "COMPLETION TOKENS"].map(right);
    Table::list(field, names.into_iter().chain(numbers).chain(more_columns(timed)))
}

/// Creates a table of attempts.
fn trying<const N: usize>(field: &'static str, names: [Column; N], timed: bool) -> Table {
    let numbers = ["ATTEMPTS", "OK", "FAILED", "PROMPT TOKENS", "COMPLETION TOKENS"].map(right);
    Table::list(field, names.into_iter().chain(numbers).chain(more_columns(timed)))
}

fn more_columns(timed: bool) -> impl Iterator<Item = Column> {
    let more = ["CACHED TOKENS", "THOUGHT TOKENS", "RPM", "RPD", "TPM", "TPD"].map(|name| right(name).wide());
    let latencies = ["P50", "P95", "P99"].map(right);
    let latencies = latencies.into_iter().chain(["FIRST P50", "FIRST P95"].map(|name| right(name).wide()));
    more.into_iter().chain(latencies.take(if timed { usize::MAX } else { 0 }))
}

fn served(
    view: &View,
    requests: &RequestStats,
    counters: &Counters,
    activity: Option<&Activity>,
    timed: bool,
) -> impl Iterator<Item = Cell> + use<> {
    let RequestRates { rpm_now, rpd, .. } = requests.rates;
    let rates = activity.map(|activity| Rates { rpm_now, rpd, ..activity.rates });
    let latency = activity.map(|activity| activity.latency).unwrap_or_default();
    let latency = Latency { total: requests.latency, ..latency };
    let attempts = [view.count(counters.attempts).into(), bad(view, counters.failures)];
    let cells = requested(view, requests).into_iter().chain(attempts);
    cells.chain(tokens(view, counters, rates)).chain(latencies(&latency, timed))
}

fn requested(view: &View, requests: &RequestStats) -> [Cell; 2] {
    [view.count(requests.total).into(), bad(view, requests.failed)]
}

fn tried(
    view: &View,
    counters: &Counters,
    activity: Option<&Activity>,
    timed: bool,
) -> impl Iterator<Item = Cell> + use<> {
    let cells = [
        view.count(counters.attempts).into(),
        view.count(counters.successes).into(),
        bad(view, counters.failures),
    ];
    let rates = activity.map(|activity| activity.rates);
    let latency = activity.map(|activity| activity.latency).unwrap_or_default();
    cells.into_iter().chain(tokens(view, counters, rates)).chain(latencies(&latency, timed))
}

fn bad(view: &View, count: u64) -> Cell {
    let text = view.count(count);
    if count > 0 { Cell::Bad(text) } else { text.into() }
}

/// Returns the cells of tokens and rates.
fn tokens(view: &View, counters: &Counters, rates: Option<Rates>) -> [Cell; 8] {
    let rate = |of: fn(&Rates) -> u64| {
        Cell::from(rates.as_ref().map(|rates| view.count(of(rates))).unwrap_or_default())
    };
    [
        view.count(counters.prompt_tokens).into(),
        view.count(counters.completion_tokens).into(),
        view.count(counters.cached_tokens).into(),
        view.count(counters.thought_tokens).into(),
        rate(|rates| rates.rpm_now),
        rate(|rates| rates.rpd),
        rate(|rates| rates.tpm_now),
        rate(|rates| rates.tpd),
    ]
}

fn latencies(latency: &Latency, timed: bool) -> impl Iterator<Item = Cell> + use<> {
    let shown = |time: fn(&Quantiles) -> f64, quantiles: Option<Quantiles>| {
        Cell::from(quantiles.map(|quantiles| duration(time(&quantiles))).unwrap_or_default())
    };
    let (total, first) = (latency.total, latency.first_byte);
    let cells = [
        shown(|times| times.p50_ms, total),
        shown(|times| times.p95_ms, total),
        shown(|times| times.p99_ms, total),
        shown(|times| times.p50_ms, first),
        shown(|times| times.p95_ms, first),
    ];
    cells.into_iter().take(if timed { usize::MAX } else { 0 })
}

/// Formats milliseconds, from 1 s on as seconds.
pub fn duration(milliseconds: f64) -> String {
    if milliseconds < 1_000.0 {
        format!("{milliseconds:.0} ms")
    } else {
        format!("{:.1} s", milliseconds / 1_000.0)
    }
}
