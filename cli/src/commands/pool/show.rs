//! `poolctl pool list` and `poolctl pool show`.

use pool_shared::Pool;

use crate::{
    commands::PoolRef,
    ctx::Ctx,
    error::{CliError, Outcome},
    output::{Align, Cell, Table, View},
};

/// List the pools
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  poolctl pool list
  poolctl pool list -o json | jq -r '.pools[].name'")]
pub struct ListArgs {}

/// Show one pool
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  poolctl pool show prod
  poolctl pool show prod -o json")]
pub struct ShowArgs {
    /// The pool's name or id
    pool: PoolRef,
}

pub async fn list(ctx: &mut Ctx, _: ListArgs) -> Result<Outcome, CliError> {
    let list = ctx.client().await?.pools().await?;
    if list.pools.is_empty() {
        ctx.out.note("there are no pools; poolctl pool create NAME --keys FILE makes one");
    }
    ctx.out
        .result(&list, |view| if list.pools.is_empty() { String::new() } else { table(&list.pools, view) })?;
    Ok(Outcome::Done)
}

fn table(pools: &[Pool], view: &View) -> String {
    let mut table = Table::new([
        ("NAME", Align::Left),
        ("ID", Align::Left),
        ("STATE", Align::Left),
        ("KEYS", Align::Right),
        ("ENABLED", Align::Right),
        ("CREATED", Align::Left),
        ("DESCRIPTION", Align::Left),
    ]);
    for pool in pools {
        table.row([
            pool.name.clone().into(),
            pool.id.to_string().into(),
            state(pool.enabled),
            view.count(pool.keys).into(),
            view.count(pool.enabled_keys).into(),
            view.time(pool.created_at).into(),
            pool.description.clone().into(),
        ]);
    }
    table.render(view)
}

pub async fn show(ctx: &mut Ctx, args: ShowArgs) -> Result<Outcome, CliError> {
    let client = ctx.client().await?;
    let pool = client.pool(args.pool.as_str()).await?;
    let base = client.url().openai_base();
    ctx.out.result(&pool, |view| details(&pool, &base, view))?;
    Ok(Outcome::Done)
}

fn details(pool: &Pool, base: &str, view: &View) -> String {
    let models =
        if pool.allowed_models.is_empty() { "all".to_owned() } else { pool.allowed_models.join(", ") };
    let keys = format!("{} ({} enabled)", view.count(pool.keys), view.count(pool.enabled_keys));
    Table::pairs([
        ("name", pool.name.clone().into()),
        ("id", pool.id.to_string().into()),
        ("description", pool.description.clone().into()),
        ("state", state(pool.enabled)),
        ("models", models.into()),
        ("keys", keys.into()),
        ("base URL", base.into()),
        ("version", pool.version.to_string().into()),
        ("created", view.exact_time(pool.created_at).into()),
        ("updated", view.exact_time(pool.updated_at).into()),
    ])
    .render(view)
}

/// `enabled` or `disabled`.
pub fn state(enabled: bool) -> Cell {
    if enabled { Cell::Good("enabled".into()) } else { Cell::Bad("disabled".into()) }
}
