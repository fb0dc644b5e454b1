//! `poolctl pool update`, `enable` and `disable`.

use pool_shared::{PoolUpdate, PoolUpdated};

use serde_json::json;

use super::{create::pool_name, models::on_off};
use crate::{
    ctx::Ctx,
    error::{CliError, Outcome},
    flags::{DryRun, PoolRef},
};

/// Update a pool's name, description, allowed models or pass-through
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  poolctl pool update prod --name production
  poolctl pool update prod --allow-model 'gemini-3.8-*' --allow-model gemini-embedding-001
  poolctl pool update prod --allow-all-models
  poolctl pool update prod --pass-through on")]
#[command(group(
    clap::ArgGroup::new("change")
        .required(true)
        .multiple(true)
        .args(["name", "description", "allow_model", "allow_all_models", "pass_through", "separate_billing"])
))]
pub struct UpdateArgs {
    /// The pool's name or id
    pool: PoolRef,
    /// New name
    #[arg(long, value_parser = pool_name)]
    name: Option<String>,
    /// New description
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Allowed model; can be repeated, * is a wildcard
    #[arg(long, value_name = "MODEL")]
    allow_model: Vec<String>,
    /// Allow every model
    #[arg(long, conflicts_with = "allow_model")]
    allow_all_models: bool,
    /// Also accept native Gemini API requests and forward them unchanged
    #[arg(long, value_name = "on|off", value_parser = on_off)]
    pass_through: Option<bool>,
    /// Treat each Google project as its own billing account, unless the keys name one
    #[arg(long, value_name = "on|off", value_parser = on_off)]
    separate_billing: Option<bool>,
    #[command(flatten)]
    dry: DryRun,
}

/// Enable a pool
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  poolctl pool enable prod")]
pub struct EnableArgs {
    /// The pool's name or id
    pool: PoolRef,
    #[command(flatten)]
    dry: DryRun,
}

/// Disable a pool: its clients get 403
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  poolctl pool disable prod")]
pub struct DisableArgs {
    /// The pool's name or id
    pool: PoolRef,
    #[command(flatten)]
    dry: DryRun,
}

pub async fn update(ctx: &mut Ctx, args: UpdateArgs) -> Result<Outcome, CliError> {
    let models = args.allow_all_models || !args.allow_model.is_empty();
    let update = PoolUpdate {
        name: args.name,
        description: args.description,
        enabled: None,
        allowed_models: models.then_some(args.allow_model),
        pass_through: args.pass_through,
        separate_billing: args.separate_billing,
        ..PoolUpdate::default()
    };
    apply(ctx, &args.pool, args.dry, &update, ["update", "updated"]).await
}

pub async fn enable(ctx: &mut Ctx, args: EnableArgs) -> Result<Outcome, CliError> {
    let update = PoolUpdate { enabled: Some(true), ..PoolUpdate::default() };
    apply(ctx, &args.pool, args.dry, &update, ["enable", "enabled"]).await
}

pub async fn disable(ctx: &mut Ctx, args: DisableArgs) -> Result<Outcome, CliError> {
    let update = PoolUpdate { enabled: Some(false), ..PoolUpdate::default() };
    apply(ctx, &args.pool, args.dry, &update, ["disable", "disabled"]).await
}

async fn apply(
    ctx: &mut Ctx,
    pool: &PoolRef,
    dry: DryRun,
    update: &PoolUpdate,
    [verb, done]: [&str; 2],
) -> Result<Outcome, CliError> {
    let client = ctx.client().await?;
    if dry.dry_run {
        let pool = client.pool(pool.as_str()).await?;
        ctx.out.would(&format!("{verb} pool {} ({})", pool.name, pool.id), json!(update))?;
        return Ok(Outcome::Done);
    }
    let updated: PoolUpdated = client.update_pool(pool.as_str(), update).await?;
    let PoolUpdated { pool, changed } = &updated;
    ctx.out.result(&updated, |_| {
        if changed.as_ref().is_some_and(Vec::is_empty) {
            format!("pool {} ({}) already {done}", pool.name, pool.id)
        } else {
            format!("{done} pool {} ({})", pool.name, pool.id)
        }
    })?;
    Ok(Outcome::Done)
}
