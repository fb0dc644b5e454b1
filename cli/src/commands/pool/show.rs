//! `poolctl pool list` and `poolctl pool show`.

use pool_shared::{Pool, StateCounts};

use crate::{
    ctx::Ctx,
    describe::{model_limits_text, state},
    error::{CliError, Outcome},
    flags::PoolRef,
    output::{Cell, Table, View, left, right, text},
};

/// List the pools
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  poolctl pool list
  poolctl pool list -o name
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
        ctx.out.note("no pools; create one with poolctl pool create NAME --keys FILE");
    }
    ctx.out.result(&list, |view| table(&list.pools, view))?;
    Ok(Outcome::Done)
}

fn table(pools: &[Pool], view: &View) -> Table {
    let columns = [
        text("NAME"),
        left("ID").rank(3),
        left("STATE"),
        right("KEYS").rank(0),
        right("ENABLED").rank(2),
        left("KEY STATES"),
        left("CREATED").rank(5),
        left("UPDATED").rank(6).wide(),
        text("MODELS").rank(4).wide(),
        text("DESCRIPTION").rank(4),
    ];
    let mut table = Table::list("pools", columns);
    for pool in pools {
        table.row([
            pool.name.clone().into(),
            pool.id.to_string().into(),
            state(pool.enabled),
            view.count(pool.keys).into(),
            view.count(pool.enabled_keys).into(),
            states(&pool.states).into(),
            view.time(pool.created_at).into(),
            view.time(pool.updated_at).into(),
            allowed(pool).into(),
            pool.description.clone().into(),
        ]);
    }
    table
}

pub async fn show(ctx: &mut Ctx, args: ShowArgs) -> Result<Outcome, CliError> {
    let client = ctx.client().await?;
    let pool = client.pool(args.pool.as_str()).await?;
    let base = client.url().openai_base();
    ctx.out.result(&pool, |view| details(&pool, &base, view))?;
    Ok(Outcome::Done)
}

fn details(pool: &Pool, base: &str, view: &View) -> Table {
    let keys = format!("{} ({} enabled)", view.count(pool.keys), view.count(pool.enabled_keys));
    let mut pairs: Vec<(&'static str, Cell)> = vec![
        ("name", pool.name.clone().into()),
        ("id", pool.id.to_string().into()),
        ("description", pool.description.clone().into()),
        ("state", state(pool.enabled)),
        ("models", allowed(pool).into()),
    ];
    let settings = &pool.settings;
    if !settings.aliases.is_empty() {
        pairs.push(("aliases", aliases(pool).join(", ").into()));
    }
    if !settings.fallbacks.is_empty() {
        pairs.push(("fallbacks", fallbacks(pool).join("; ").into()));
    }
    if settings.sticky {
        pairs.push(("sticky", "yes".into()));
    }
    if settings.pass_through {
        pairs.push(("pass-through", "yes".into()));
    }
    if !settings.model_limits.is_empty() {
        let limits: Vec<_> = settings.model_limits.iter().map(model_limits_text).collect();
        pairs.push(("model limits", limits.join("; ").into()));
    }
    if settings.separate_billing {
        pairs.push(("separate billing", "yes".into()));
    }
    pairs.extend([
        ("keys", keys.into()),
        ("key states", states(&pool.states).into()),
        ("base URL", base.into()),
        ("version", pool.version.to_string().into()),
        ("created", view.exact_time(pool.created_at).into()),
        ("updated", view.exact_time(pool.updated_at).into()),
    ]);
    Table::pairs(pairs)
}

/// Returns the allowed models on one line.
pub fn allowed(pool: &Pool) -> String {
    if pool.allowed_models.is_empty() { "all".to_owned() } else { pool.allowed_models.join(", ") }
}

/// `12 healthy, 1 invalid`
pub fn states(counts: &StateCounts) -> String {
    counts.iter().map(|(state, count)| format!("{count} {}", state.name())).collect::<Vec<_>>().join(", ")
}

/// `gpt-4o=gemini-3.8-flash`
pub fn aliases(pool: &Pool) -> Vec<String> {
    pool.settings.aliases.iter().map(|(name, model)| format!("{name}={model}")).collect()
}

/// `gemini-3.8-flash=gemini-3.6-flash,gemini-3.5-flash-lite`
pub fn fallbacks(pool: &Pool) -> Vec<String> {
    pool.settings.fallbacks.iter().map(|(model, list)| format!("{model}={}", list.join(","))).collect()
}
