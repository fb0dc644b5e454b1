//! `poolctl key check`: checks keys with one minimal request each.

use pool_shared::{KeyCheck, KeyId, KeyVerdict};

use super::select::{SelectArgs, Selection};
use crate::{
    ctx::Ctx,
    error::{CliError, Outcome},
    key_check::{Checked, summary, verdict_name},
    output::{Cell, Sheet, Table, View, counted, left, text},
};

/// Check keys with one minimal request each
///
/// The result updates the key's health, as that of any attempt does; a valid key recovers and its
/// cooldowns end. Each check uses one request of the key's quota. Exit code 3 if a key is neither
/// valid nor limited (valid, but its quota is exhausted).
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  poolctl key check prod --all
  poolctl key check prod --state invalid,suspect
  poolctl key check prod --all -o json | jq '.verdicts'
  poolctl key list prod --tag new -o name | poolctl key check prod -")]
pub struct Args {
    #[command(flatten)]
    select: SelectArgs,
}

pub async fn run(ctx: &mut Ctx, args: Args) -> Result<Outcome, CliError> {
    let (pool, selection) = args.select.get(ctx).await?;
    let client = ctx.client().await?;
    let pool = client.pool(pool.as_str()).await?;
    let ids: Vec<KeyId> = match selection {
        Selection::Ids(ids) => ids,
        Selection::Filter(filter) => {
            let keys = client.keys(pool.id.as_str(), &filter, None).await?.keys;
            keys.into_iter().map(|key| key.id).collect()
        }
    };
    if ids.is_empty() {
        ctx.out.note(&format!("no matching keys in pool {}", pool.name));
    }
    if args.select.confirm.dry_run() {
        ctx.out.would(
            &format!("check {} in pool {}", counted(ids.len(), "key"), pool.name),
            serde_json::json!(ids),
        )?;
        return Ok(Outcome::Done);
    }
    let progress = ctx.out.progress("checking", ids.len() as u64);
    let checks = ids.chunks(KeyCheck::MAX_KEYS).map(|ids| KeyCheck { ids: ids.to_vec(), keys: Vec::new() });
    let (report, ended) = client.check(&pool.id, checks.collect(), &progress).await;
    drop(progress);
    let checked = Checked::from(report);
    if ended.is_ok() || !checked.keys.is_empty() {
        ctx.out.result(&checked, |view| sheet(&checked, view))?;
    }
    ended.map_err(|error| {
        error.cause(format!("checked {} of {}", checked.keys.len(), counted(ids.len(), "key")))
    })?;
    Ok(checked.outcome())
}

fn sheet(checked: &Checked, view: &View) -> Sheet {
    let columns = [
        left("ID").rank(2),
        left("KEY"),
        left("VERDICT"),
        left("UNTIL").rank(3),
        left("MODEL").rank(4),
        text("MESSAGE"),
    ];
    let mut table = Table::list("keys", columns);
    for key in &checked.keys {
        table.row([
            key.id.as_ref().map(ToString::to_string).unwrap_or_default().into(),
            key.masked.clone().into(),
            cell(key.verdict),
            view.time_if_any(key.until).into(),
            key.model.clone().unwrap_or_default().into(),
            key.message.clone().into(),
        ]);
    }
    let missing = match checked.missing.len() {
        0 => String::new(),
        count => view.bad(&format!("{} not found in the pool", counted(count, "id"))),
    };
    Sheet::new().table(table).text(summary(&checked.verdicts)).text(missing)
}

fn cell(verdict: KeyVerdict) -> Cell {
    let name = verdict_name(verdict).to_owned();
    match verdict {
        KeyVerdict::Valid => Cell::Good(name),
        KeyVerdict::Limited | KeyVerdict::Error | KeyVerdict::Unreachable | KeyVerdict::Unknown => {
            Cell::Fair(name)
        }
        _ => Cell::Bad(name),
    }
}
