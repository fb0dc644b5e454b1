//! `poolctl client-key`: what callers of a pool present.

use std::time::Duration;

use clap::{Args, Subcommand};
use pool_shared::{ClientKeyCreate, ClientKeyId, ClientKeyRotate, ErrorCode, Limits};
use serde_json::json;

use super::{Confirm, DryRun, PoolRef, times::span};
use crate::{
    ctx::Ctx,
    error::{CliError, Code, Outcome},
    output::{Table, left},
};

/// Manage the keys (sk-pool-...) that callers of a pool present
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
    /// Create a client key; it is shown once
    #[command(after_long_help = "\
Examples:
  poolctl client-key create prod --name laptop
  poolctl client-key create prod --rpm 60 --tpd 2000000 --models 'gemini-2.5-*' --cidr 192.0.2.0/24
  poolctl client-key create prod -o json | jq -r .secret")]
    Create {
        /// The pool's name or id
        pool: PoolRef,
        /// A name to know it by
        #[arg(long, default_value = "", hide_default_value = true)]
        name: String,
        /// How long it is good for, such as 90d; for ever without it
        #[arg(long, value_name = "SPAN", value_parser = span)]
        expires: Option<Duration>,
        #[command(flatten)]
        rules: Rules,
        #[command(flatten)]
        dry: DryRun,
    },
    /// Put a new client key in the place of an old one, which goes on working for a while
    #[command(after_long_help = "\
Examples:
  poolctl client-key rotate prod ck-00c0ffee00c0ffee
  poolctl client-key rotate prod ck-00c0ffee00c0ffee --grace 1h -o json | jq -r .secret")]
    Rotate {
        /// The pool's name or id
        pool: PoolRef,
        /// The client key's id, as client-key list shows it
        id: String,
        /// How long the old one goes on working, at most 30d [default: 24h]
        #[arg(long, value_name = "SPAN", value_parser = span)]
        grace: Option<Duration>,
        /// How long the new one is good for; for ever without it
        #[arg(long, value_name = "SPAN", value_parser = span)]
        expires: Option<Duration>,
        #[command(flatten)]
        dry: DryRun,
    },
    /// Revoke a client key: its callers are refused within 30 seconds
    #[command(
        visible_alias = "rm",
        after_long_help = "\
Examples:
  poolctl client-key revoke prod ck-00c0ffee00c0ffee
  poolctl client-key revoke prod ck-00c0ffee00c0ffee --yes"
    )]
    Revoke {
        /// The pool's name or id
        pool: PoolRef,
        /// The client key's id, as client-key list shows it
        id: String,
        #[command(flatten)]
        confirm: Confirm,
    },
}

/// What a client key may do; everything that its pool may, where nothing is said.
#[derive(Args)]
pub struct Rules {
    /// Requests a minute, at most
    #[arg(long, value_name = "NUMBER")]
    rpm: Option<u64>,
    /// Requests a day, at most; a day ends at midnight in California
    #[arg(long, value_name = "NUMBER")]
    rpd: Option<u64>,
    /// Tokens a minute, of what is asked and answered, at most
    #[arg(long, value_name = "NUMBER")]
    tpm: Option<u64>,
    /// Tokens a day, at most
    #[arg(long, value_name = "NUMBER")]
    tpd: Option<u64>,
    /// The models that it may use, with commas; * stands for any characters
    #[arg(long, value_name = "MODELS", value_delimiter = ',')]
    models: Vec<String>,
    /// The addresses and networks that it may be used from, with commas
    #[arg(long, value_name = "NETWORKS", value_delimiter = ',')]
    cidr: Vec<String>,
}

pub async fn run(ctx: &mut Ctx, command: Command) -> Result<Outcome, CliError> {
    match command {
        Command::List { pool } => list(ctx, &pool).await,
        Command::Create { pool, name, expires, rules, dry } => {
            let Rules { rpm, rpd, tpm, tpd, models, cidr } = rules;
            let create = ClientKeyCreate {
                name,
                expires_in_s: expires.map(|span| span.as_secs()),
                limits: Limits {
                    requests_per_minute: rpm,
                    requests_per_day: rpd,
                    tokens_per_minute: tpm,
                    tokens_per_day: tpd,
                },
                allowed_models: models,
                allowed_networks: cidr,
            };
            self::create(ctx, &pool, create, dry).await
        }
        Command::Rotate { pool, id, grace, expires, dry } => {
            let (grace_s, expires_in_s) =
                (grace.map(|span| span.as_secs()), expires.map(|span| span.as_secs()));
            let rotate = ClientKeyRotate { grace_s, expires_in_s };
            self::rotate(ctx, &pool, &ClientKeyId::new(id), &rotate, dry).await
        }
        Command::Revoke { pool, id, confirm } => revoke(ctx, &pool, ClientKeyId::new(id), confirm).await,
    }
}

async fn list(ctx: &mut Ctx, pool: &PoolRef) -> Result<Outcome, CliError> {
    let keys = ctx.client().await?.client_keys(pool.as_str()).await?;
    if keys.client_keys.is_empty() {
        ctx.out.note(&format!("pool {pool} has no client keys; poolctl client-key create {pool} makes one"));
    }
    ctx.out.result(&keys, |view| {
        let mut table = Table::list(
            "client_keys",
            ["ID", "NAME", "ENDS IN", "CREATED", "LAST USED", "EXPIRES"].map(left),
        );
        for key in &keys.client_keys {
            let created = view.time(key.created_at);
            let last_used = key.last_used_at.map_or(String::new(), |time| view.time(time));
            let expires = key.expires_at.map_or("never".to_owned(), |time| view.time(time));
            let cells = [key.id.to_string(), key.name.clone(), key.hint.clone(), created, last_used, expires];
            table.row(cells.map(Into::into));
        }
        table
    })?;
    Ok(Outcome::Done)
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
            view.heading("client key (shown once, keep it now)"),
            created.secret.expose()
        )
    })?;
    Ok(Outcome::Done)
}

async fn rotate(
    ctx: &mut Ctx,
    pool: &PoolRef,
    id: &ClientKeyId,
    rotate: &ClientKeyRotate,
    dry: DryRun,
) -> Result<Outcome, CliError> {
    let client = ctx.client().await?;
    if dry.dry_run {
        ctx.out.would(&format!("rotate client key {id} of pool {pool}"), json!(rotate))?;
        return Ok(Outcome::Done);
    }
    let created = client.rotate_client_key(pool.as_str(), id, rotate).await?;
    ctx.out.result(&created, |view| {
        let title = view.heading("client key (shown once, keep it now)");
        let new = &created.client_key.id;
        format!("client key {new} takes the place of {id}\n\n{title}\n  {}", created.secret.expose())
    })?;
    Ok(Outcome::Done)
}

async fn revoke(
    ctx: &mut Ctx,
    pool: &PoolRef,
    id: ClientKeyId,
    confirm: Confirm,
) -> Result<Outcome, CliError> {
    ctx.can_confirm(confirm)?;
    let client = ctx.client().await?;
    let result = json!({ "revoked": id });
    if confirm.dry_run() {
        let known = client.client_keys(pool.as_str()).await?.client_keys.iter().any(|key| key.id == id);
        if !known {
            let missing = CliError::new(Code::Service(ErrorCode::NotFound), format!("no client key {id}"));
            return Err(missing.hint(format!("poolctl client-key list {pool}")));
        }
        ctx.out.would(&format!("revoke client key {id} of pool {pool}"), result)?;
        return Ok(Outcome::Done);
    }
    ctx.confirm(confirm, &format!("Revoke client key {id} of pool {pool}? Its callers will be refused."))
        .await?;
    client.revoke_client_key(pool.as_str(), &id).await?;
    ctx.out.result(&result, |_| format!("revoked client key {id} of pool {pool}"))?;
    Ok(Outcome::Done)
}
