//! `poolctl client-key`: the credentials of a pool's clients.

mod find;
mod import;
mod rules;
mod show;
mod update;

use std::time::Duration;

use clap::Subcommand;
use pool_shared::{ClientKeyCreate, ClientKeyId, ClientKeyRotate};
use serde_json::json;

use self::{find::find, rules::Rules};
use crate::{
    ctx::Ctx,
    error::{CliError, Outcome},
    flags::{Confirm, DryRun, PoolRef, times::span},
};

/// Manage client keys (sk-pool-...), the credentials of a pool's clients
#[derive(Subcommand)]
pub enum Command {
    /// List a pool's client keys
    #[command(
        visible_alias = "ls",
        after_long_help = "\
Examples:
  poolctl client-key list prod
  poolctl client-key list prod -o json"
    )]
    List {
        /// The pool's name or id
        pool: PoolRef,
    },
    Show(show::Args),
    /// Create a client key; it is shown once
    #[command(after_long_help = "\
Examples:
  poolctl client-key create prod --name laptop
  poolctl client-key create prod --rpm 60 --tpd 2000000 --models 'gemini-3.8-*' --cidr 192.0.2.0/24
  poolctl client-key create prod -o json | jq -r .secret")]
    Create {
        /// The pool's name or id
        pool: PoolRef,
        /// Name
        #[arg(long, default_value = "", hide_default_value = true)]
        name: String,
        /// Expires after, such as 90d (default: never)
        #[arg(long, value_name = "SPAN", value_parser = span)]
        expires: Option<Duration>,
        #[command(flatten)]
        rules: Rules,
        #[command(flatten)]
        dry: DryRun,
    },
    Update(update::Args),
    Import(import::Args),
    /// Rotate a client key; the old one keeps working for a grace period
    #[command(after_long_help = "\
Examples:
  poolctl client-key rotate prod laptop
  poolctl client-key rotate prod ck-00c0ffee00c0ffee --grace 1h -o json | jq -r .secret")]
    Rotate {
        /// The pool's name or id
        pool: PoolRef,
        /// The client key's id or name
        #[arg(value_name = "CLIENT_KEY")]
        key: String,
        /// Grace period of the old one, at most 30d [default: 24h]
        #[arg(long, value_name = "SPAN", value_parser = span)]
        grace: Option<Duration>,
        /// Expires after, such as 90d (default: never)
        #[arg(long, value_name = "SPAN", value_parser = span)]
        expires: Option<Duration>,
        #[command(flatten)]
        dry: DryRun,
    },
    /// Revoke a client key: its clients are rejected within 30 seconds
    #[command(
        visible_alias = "rm",
        after_long_help = "\
Examples:
  poolctl client-key revoke prod laptop
  poolctl client-key revoke prod ck-00c0ffee00c0ffee --yes"
    )]
    Revoke {
        /// The pool's name or id
        pool: PoolRef,
        /// The client key's id or name
        #[arg(value_name = "CLIENT_KEY")]
        key: String,
        #[command(flatten)]
        confirm: Confirm,
    },
}

pub async fn run(ctx: &mut Ctx, command: Command) -> Result<Outcome, CliError> {
    match command {
        Command::List { pool } => show::list(ctx, &pool).await,
        Command::Show(args) => show::show(ctx, args).await,
        Command::Update(args) => update::run(ctx, args).await,
        Command::Import(args) => import::run(ctx, args).await,
        Command::Create { pool, name, expires, rules, dry } => {
            let create = ClientKeyCreate {
                trial: false,
                name,
                expires_in_s: expires.map(|span| span.as_secs()),
                expires_at: None,
                limits: rules.limits(),
                allowed_models: rules.models,
                allowed_networks: rules.cidr,
            };
            self::create(ctx, &pool, create, dry).await
        }
        Command::Rotate { pool, key, grace, expires, dry } => {
            let (grace_s, expires_in_s) =
                (grace.map(|span| span.as_secs()), expires.map(|span| span.as_secs()));
            let rotate = ClientKeyRotate { grace_s, expires_in_s };
            self::rotate(ctx, &pool, &key, &rotate, dry).await
        }
        Command::Revoke { pool, key, confirm } => revoke(ctx, &pool, &key, confirm).await,
    }
}

async fn create(
    ctx: &mut Ctx,
    pool: &PoolRef,
    create: ClientKeyCreate,
    dry: DryRun,
) -> Result<Outcome, CliError> {
    let client = ctx.client().await?;
    if dry.dry_run {
        let pool = client.pool(pool.as_str()).await?;
        ctx.out.would(&format!("create a client key of pool {}", pool.name), json!(create))?;
        return Ok(Outcome::Done);
    }
    let created = client.create_client_key(pool.as_str(), &create).await?;
    ctx.out.result(&created, |view| {
        format!(
            "created client key {} of pool {pool}\n\n{}\n  {}",
            created.client_key.id,
            view.heading("client key (shown once; store it now)"),
            created.secret.expose()
        )
    })?;
    Ok(Outcome::Done)
}

async fn rotate(
    ctx: &mut Ctx,
    pool: &PoolRef,
    key: &str,
    rotate: &ClientKeyRotate,
    dry: DryRun,
) -> Result<Outcome, CliError> {
    let client = ctx.client().await?;
    let id = find(&client, pool, key).await?.id;
    if dry.dry_run {
        ctx.out.would(&format!("rotate client key {id} of pool {pool}"), json!(rotate))?;
        return Ok(Outcome::Done);
    }
    let created = client.rotate_client_key(pool.as_str(), &id, rotate).await?;
    ctx.out.result(&created, |view| {
        let title = view.heading("client key (shown once; store it now)");
        let new = &created.client_key.id;
        format!("client key {new} replaces {id}\n\n{title}\n  {}", created.secret.expose())
    })?;
    Ok(Outcome::Done)
}

async fn revoke(ctx: &mut Ctx, pool: &PoolRef, key: &str, confirm: Confirm) -> Result<Outcome, CliError> {
    ctx.can_confirm(confirm)?;
    let client = ctx.client().await?;
    let found = find(&client, pool, key).await?;
    let id: &ClientKeyId = &found.id;
    let result = json!({ "revoked": id });
    if confirm.dry_run() {
        ctx.out.would(&format!("revoke client key {id} of pool {pool}"), result)?;
        return Ok(Outcome::Done);
    }
    let named = if found.name.is_empty() { id.to_string() } else { format!("{id} ({})", found.name) };
    ctx.confirm(confirm, &format!("Revoke client key {named} of pool {pool}? Its clients will be rejected."))
        .await?;
    client.revoke_client_key(pool.as_str(), id).await?;
    ctx.out.result(&result, |_| format!("revoked client key {id} of pool {pool}"))?;
    Ok(Outcome::Done)
}
