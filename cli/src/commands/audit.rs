//! `poolctl audit`: the audit log.

use std::time::Duration;

use jiff::Timestamp;
use pool_shared::{AuditEntry, AuditList, ErrorCode};
use serde_json::{Map, Value};

use crate::{
    client::Client,
    config::seconds,
    ctx::Ctx,
    error::{CliError, Code, Outcome},
    flags::{PoolRef, times::moment},
    output::{Table, View, left, right, text},
};

/// Maximum number of entries per request.
const MAX_PAGE: u64 = 500;

type Filter = Vec<(&'static str, String)>;

/// List configuration changes, newest first
///
/// Equal actions of one token within a minute are merged into one entry with a count. --follow
/// streams changes, oldest first, until Ctrl-C. Each is written once, when it is final, after 90
/// seconds. After an interruption, --after with the id of the last entry resumes.
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  poolctl audit
  poolctl audit --pool prod --since 7d
  poolctl audit --action key.export -o csv
  poolctl audit --actor tok-00c0ffee00c0ffee -o jsonl --limit 1000
  poolctl audit --follow --since 24h -o jsonl >> audit.jsonl
  poolctl audit --follow --after \"$(tail -n 1 audit.jsonl | jq .id)\" -o jsonl >> audit.jsonl")]
pub struct Args {
    /// Show only changes of this pool
    #[arg(long, value_name = "POOL")]
    pool: Option<PoolRef>,
    /// Show only changes made with this token (id)
    #[arg(long, value_name = "TOKEN")]
    actor: Option<String>,
    /// Show only this action, such as pool.update
    #[arg(long, value_name = "ACTION")]
    action: Option<String>,
    /// Show only changes since: 90m, 24h, 7d ago, or a time such as 2026-11-03T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<Timestamp>,
    /// Maximum number of entries
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..), conflicts_with = "follow")]
    limit: u64,
    /// Stream changes as they become final; without --since or --after, only new ones
    #[arg(short, long)]
    follow: bool,
    /// Resume after the entry with this id
    #[arg(long, value_name = "ID", requires = "follow")]
    after: Option<u64>,
    /// Polling interval
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds, requires = "follow")]
    interval: Duration,
}

pub async fn run(ctx: &mut Ctx, args: Args) -> Result<Outcome, CliError> {
    let client = ctx.client().await?;
    let filter = [
        ("pool", args.pool.as_ref().map(ToString::to_string)),
        ("actor", args.actor.clone()),
        ("action", args.action.clone()),
        ("since", args.since.map(|since| since.to_string())),
    ];
    let filter: Filter = filter.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    if args.follow {
        return follow(ctx, &client, &args, &filter).await;
    }
    let mut list = AuditList { entries: Vec::new(), next_cursor: None };
    loop {
        let missing = args.limit - list.entries.len() as u64;
        let mut query = filter.clone();
        query.push(("limit", missing.min(MAX_PAGE).to_string()));
        query.extend(list.next_cursor.clone().map(|cursor| ("cursor", cursor)));
        let page = client.audit(&query).await?;
        let stands_still = page.entries.is_empty() || page.next_cursor == list.next_cursor;
        list.entries.extend(page.entries.into_iter().take(usize::try_from(missing).unwrap_or(usize::MAX)));
        list.next_cursor = page.next_cursor;
        if list.next_cursor.is_none() || stands_still || list.entries.len() as u64 >= args.limit {
            break;
        }
    }
    if list.entries.is_empty() {
        ctx.out.note("no changes to show");
    }
    ctx.out.result(&list, |view| table(&list.entries, true, view))?;
    Ok(Outcome::Done)
}

/// Writes entries until Ctrl-C. Only the id of the last one is kept.
async fn follow(ctx: &mut Ctx, client: &Client, args: &Args, filter: &Filter) -> Result<Outcome, CliError> {
    let mut after = match (args.after, args.since) {
        (Some(id), _) => id,
        (None, Some(_)) => 0,
        (None, None) => newest(client).await?,
    };
    // The header is written once, before the first entries.
    let mut header = true;
    loop {
        let mut query = filter.clone();
        query.extend([("limit", MAX_PAGE.to_string()), ("after", after.to_string())]);
        let list = match client.audit(&query).await {
            Ok(list) => list,
            // Following continues once the service is back.
            Err(error) if is_transient(&error) => {
                ctx.out.warn(&format!("{error}"));
                ctx.interrupt.wait(tokio::time::sleep(args.interval)).await?;
                continue;
            }
            Err(error) => return Err(error),
        };
        let is_full = list.entries.len() as u64 >= MAX_PAGE;
        if let Some(last) = list.entries.last() {
            after = last.id;
            ctx.out.result(&list, |view| table(&list.entries, header, view))?;
            header = false;
        }
        if !is_full {
            ctx.interrupt.wait(tokio::time::sleep(args.interval)).await?;
        }
    }
}

/// Returns the id of the latest entry, unfiltered; 0 if there is none.
async fn newest(client: &Client) -> Result<u64, CliError> {
    let list = client.audit(&[("limit", "1".to_owned())]).await?;
    Ok(list.entries.first().map_or(0, |entry| entry.id))
}

fn is_transient(error: &CliError) -> bool {
    matches!(
        error.code(),
        Code::Unreachable
            | Code::Timeout
            | Code::Service(ErrorCode::Unavailable | ErrorCode::RateLimited | ErrorCode::Internal)
    )
}

fn table(entries: &[AuditEntry], header: bool, view: &View) -> Table {
    let columns = [
        right("ID").wide(),
        left("TIME"),
        text("WHO").rank(2),
        left("TOKEN").wide(),
        left("ACTION"),
        left("POOL").rank(4),
        left("TARGET").rank(3),
        right("COUNT").rank(3),
        text("CHANGE"),
        left("REQUEST").wide(),
    ];
    let mut table = Table::list("entries", columns);
    if !header {
        table = table.without_header();
    }
    for entry in entries {
        table.row([
            entry.id.to_string().into(),
            view.time(entry.at).into(),
            entry.actor_name.clone().into(),
            entry.actor.to_string().into(),
            entry.action.clone().into(),
            entry.pool.as_ref().map(ToString::to_string).unwrap_or_default().into(),
            entry.target.clone().unwrap_or_default().into(),
            view.count(entry.count).into(),
            description(entry).into(),
            entry.request_id.clone().into(),
        ]);
    }
    table
}

/// Returns the text of a change, with its count.
fn description(entry: &AuditEntry) -> String {
    let change = change(entry.before.as_ref(), entry.after.as_ref());
    if entry.times < 2 {
        return change;
    }
    format!("{change} ({} times)", entry.times).trim_start().to_owned()
}

/// Returns a change as `enabled true -> false`.
fn change(before: Option<&Map<String, Value>>, after: Option<&Map<String, Value>>) -> String {
    let field = |(name, now): (&String, &Value)| match before.and_then(|before| before.get(name)) {
        Some(was) => format!("{name} {was} -> {now}"),
        None => format!("{name} {now}"),
    };
    after.into_iter().flatten().map(field).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_change_names_what_was_and_what_is() {
        let (before, after) = (json!({"enabled": true}), json!({"enabled": false, "name": "x"}));
        let text = change(before.as_object(), after.as_object());
        assert_eq!(text, r#"enabled true -> false, name "x""#);
        assert_eq!(change(None, None), "");
    }
}
