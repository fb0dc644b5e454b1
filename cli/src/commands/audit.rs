//! `poolctl audit`: who changed what.

use jiff::Timestamp;
use pool_shared::{AuditEntry, AuditList};
use serde_json::{Map, Value};

use super::{PoolRef, times::moment};
use crate::{
    ctx::Ctx,
    error::{CliError, Outcome},
    output::{Table, View, left, right, text},
};

/// Entries a request.
const PAGE: u64 = 500;

/// Show who changed what, the latest first
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  poolctl audit
  poolctl audit --pool prod --since 7d
  poolctl audit --action key.export -o csv
  poolctl audit --actor tok-00c0ffee00c0ffee -o jsonl --limit 1000")]
pub struct Args {
    /// Only changes of this pool
    #[arg(long, value_name = "POOL")]
    pool: Option<PoolRef>,
    /// Only changes by this token, by its id
    #[arg(long, value_name = "TOKEN")]
    actor: Option<String>,
    /// Only this action, such as pool.update
    #[arg(long, value_name = "ACTION")]
    action: Option<String>,
    /// Not before then: 90m, 24h, 7d, or a time such as 2026-11-03T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<Timestamp>,
    /// At most so many
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,
}

pub async fn run(ctx: &mut Ctx, args: Args) -> Result<Outcome, CliError> {
    let client = ctx.client().await?;
    let filter = [
        ("pool", args.pool.map(|pool| pool.to_string())),
        ("actor", args.actor),
        ("action", args.action),
        ("since", args.since.map(|since| since.to_string())),
    ];
    let filter: Vec<_> = filter.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    let mut list = AuditList { entries: Vec::new(), next_cursor: None };
    loop {
        let missing = args.limit - list.entries.len() as u64;
        let mut query = filter.clone();
        query.push(("limit", missing.min(PAGE).to_string()));
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
    ctx.out.result(&list, |view| table(&list.entries, view))?;
    Ok(Outcome::Done)
}

fn table(entries: &[AuditEntry], view: &View) -> Table {
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
            change(entry.before.as_ref(), entry.after.as_ref()).into(),
            entry.request_id.clone().into(),
        ]);
    }
    table
}

/// `enabled true -> false`
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
