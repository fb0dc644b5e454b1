//! `poolctl client-key list` and `show`.

use pool_shared::ClientKey;

use super::{find::find, rules::cells};
use crate::{
    ctx::Ctx,
    error::{CliError, Outcome},
    flags::PoolRef,
    output::{Cell, Table, View, left, text},
};

/// Show a client key: its limits, models, networks, expiry and last use
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  poolctl client-key show prod laptop
  poolctl client-key show prod ck-00c0ffee00c0ffee -o json | jq .limits")]
pub struct Args {
    /// The pool's name or id
    pool: PoolRef,
    /// The client key's id or name
    #[arg(value_name = "CLIENT_KEY")]
    key: String,
}

pub async fn list(ctx: &mut Ctx, pool: &PoolRef) -> Result<Outcome, CliError> {
    let keys = ctx.client().await?.client_keys(pool.as_str()).await?;
    if keys.client_keys.is_empty() {
        ctx.out.note(&format!(
            "pool {pool} has no client keys; create one with poolctl client-key create {pool}"
        ));
    }
    ctx.out.result(&keys, |view| table(&keys.client_keys, view))?;
    Ok(Outcome::Done)
}

pub async fn show(ctx: &mut Ctx, args: Args) -> Result<Outcome, CliError> {
    let key = find(&ctx.client().await?, &args.pool, &args.key).await?;
    ctx.out.result(&key, |view| details(&key, view))?;
    Ok(Outcome::Done)
}

fn table(keys: &[ClientKey], view: &View) -> Table {
    let columns = [
        left("ID"),
        text("NAME"),
        left("ENDS IN").rank(6),
        left("LIMITS").rank(1),
        text("MODELS").rank(2),
        text("NETWORKS").rank(2),
        left("CREATED").rank(5),
        left("LAST USED").rank(4),
        left("EXPIRES").rank(3),
    ];
    let mut table = Table::list("client_keys", columns);
    for key in keys {
        let [limits, models, networks] = cells(&key.rules);
        let row = [
            key.id.to_string(),
            key.name.clone(),
            key.hint.clone(),
            limits,
            models,
            networks,
            view.time(key.created_at),
            view.time_if_any(key.last_used_at),
            expires(key, view),
        ];
        table.row(row.map(Cell::from));
    }
    table
}

pub fn details(key: &ClientKey, view: &View) -> Table {
    let [limits, models, networks] = cells(&key.rules);
    let last_used = key.last_used_at.map(|time| view.exact_time(time)).unwrap_or_default();
    let mut pairs: Vec<(&'static str, Cell)> = vec![
        ("id", key.id.to_string().into()),
        ("name", key.name.clone().into()),
        ("ends in", key.hint.clone().into()),
        ("limits", limits.into()),
        ("models", models.into()),
        ("networks", networks.into()),
        ("created", view.exact_time(key.created_at).into()),
        ("last used", last_used.into()),
        ("expires", expires(key, view).into()),
    ];
    if key.weak {
        pairs.push(("imported", Cell::Fair("yes (strength unknown)".to_owned())));
    }
    Table::pairs(pairs)
}

fn expires(key: &ClientKey, view: &View) -> String {
    key.expires_at.map_or_else(|| "never".to_owned(), |time| view.time(time))
}
