//! `poolctl events`: recent failed attempts, optionally as a stream.

use std::time::Duration;

use pool_shared::{AttemptOutcome, Event, EventList, EventQuota};

use crate::{
    config::seconds,
    ctx::Ctx,
    describe::quota_text,
    error::{CliError, Code, Outcome},
    flags::PoolRef,
    output::{Cell, Table, View, left, right, text},
};

/// List recent failed attempts
///
/// --follow streams new events until Ctrl-C; combine it with -o jsonl for other programs.
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  poolctl events
  poolctl events prod --limit 20
  poolctl events --follow
  poolctl events --follow -o jsonl | jq -r .message")]
pub struct Args {
    /// Show only events of this pool
    pool: Option<PoolRef>,
    /// Maximum number of events
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    limit: u64,
    /// Stream new events
    #[arg(short, long)]
    follow: bool,
    /// Polling interval
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = seconds, requires = "follow")]
    interval: Duration,
}

pub async fn run(ctx: &mut Ctx, args: Args) -> Result<Outcome, CliError> {
    let client = ctx.client().await?;
    let pool = args.pool.as_ref().map(PoolRef::as_str);
    let mut list = client.events(pool, None, args.limit).await?;
    if list.events.is_empty() {
        ctx.out.note("no recent errors");
    }
    ctx.out.result(&list, |view| table(&list, true, view))?;
    if !args.follow {
        return Ok(Outcome::Done);
    }
    // The header is written once, before the first events.
    let mut header = list.events.is_empty();
    loop {
        ctx.interrupt.wait(tokio::time::sleep(args.interval)).await?;
        list = match client.events(pool, Some(&list.cursor), args.limit).await {
            Ok(list) => list,
            // Following continues once the service is back.
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
        left("QUOTA").rank(4),
        text("MESSAGE"),
        left("METRIC").wide(),
        left("LIMIT").wide(),
        right("VALUE").wide(),
        left("QUOTA MODEL").wide(),
        right("RETRY MS").wide(),
        left("UNKNOWN TEXT").wide(),
        left("CLIENT KEY").wide(),
    ];
    let mut table = Table::list("events", columns);
    if !header {
        table = table.without_header();
    }
    for event in &list.events {
        let Event { at, pool, key, model, verdict, message, count, quota, unknown_text, client_key } = event;
        let EventQuota { metric, limit, value, model: quota_model, retry_after_ms } =
            quota.clone().unwrap_or_default();
        table.row([
            view.time(*at).into(),
            pool.to_string().into(),
            key.to_string().into(),
            model.clone().into(),
            cell(*verdict),
            view.count(*count).into(),
            quota.as_ref().map(quota_text).unwrap_or_default().into(),
            message.clone().into(),
            metric.unwrap_or_default().into(),
            limit.unwrap_or_default().into(),
            value.unwrap_or_default().into(),
            quota_model.unwrap_or_default().into(),
            retry_after_ms.map(|retry| retry.to_string()).unwrap_or_default().into(),
            if *unknown_text { "yes" } else { "" }.into(),
            client_key.as_ref().map(ToString::to_string).unwrap_or_default().into(),
        ]);
    }
    table
}

/// Returns the tone of a verdict: only a rejected key needs action.
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

#[cfg(test)]
mod tests {
    use pool_shared::{ClientKeyId, KeyId, PoolId};

    use super::*;

    fn list() -> EventList {
        let event = |quota: EventQuota, unknown_text, client_key: Option<&str>| Event {
            at: "2026-11-03T12:00:00Z".parse().unwrap(),
            pool: PoolId::new("pool-1"),
            key: KeyId::new("key-1"),
            model: "gemini-x".to_owned(),
            verdict: AttemptOutcome::Quota,
            message: "exceeded".to_owned(),
            count: 2,
            quota: Some(quota).filter(|quota| *quota != EventQuota::default()),
            unknown_text,
            client_key: client_key.map(ClientKeyId::new),
        };
        let quota = EventQuota {
            metric: Some("generativelanguage.googleapis.com/requests".to_owned()),
            limit: Some("GenerateRequestsPerDayPerProjectPerModel-FreeTier".to_owned()),
            value: Some("250".to_owned()),
            model: Some("gemini-3.8-flash".to_owned()),
            retry_after_ms: Some(31_500),
        };
        let events = vec![event(quota, false, None), event(EventQuota::default(), true, Some("ck-1"))];
        EventList { events, cursor: "2".to_owned() }
    }

    #[test]
    fn a_quota_is_shown_in_short_and_in_full() {
        let shown = table(&list(), true, &View::new(false, false)).render(&View::new(false, false));
        assert!(shown.contains("250 rpd") && !shown.contains("FreeTier"), "{shown}");
        let wide = View::new(false, false).wide();
        let shown = table(&list(), true, &wide).render(&wide);
        for part in ["googleapis.com/requests", "-FreeTier", "gemini-3.8-flash", "31500", "yes", "ck-1"] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
    }
}
