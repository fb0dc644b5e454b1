//! `poolctl client-key`: what callers of a pool present.

use clap::Subcommand;
use pool_shared::{ClientKeyCreate, ClientKeyId};
use serde_json::json;

use super::PoolRef;
use crate::{
    ctx::Ctx,
    error::{CliError, Outcome},
    output::{Align, Table, View},
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
  poolctl client-key create prod -o json | jq -r .secret")]
    Create {
        /// The pool's name or id
        pool: PoolRef,
        /// A name to know it by
        #[arg(long, default_value = "", hide_default_value = true)]
        name: String,
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
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
    },
}

pub async fn run(ctx: &mut Ctx, command: Command) -> Result<Outcome, CliError> {
    match command {
        Command::List { pool } => list(ctx, &pool).await,
        Command::Create { pool, name } => create(ctx, &pool, name).await,
        Command::Revoke { pool, id, yes } => revoke(ctx, &pool, ClientKeyId::new(id), yes).await,
    }
}

async fn list(ctx: &mut Ctx, pool: &PoolRef) -> Result<Outcome, CliError> {
    let keys = ctx.client().await?.client_keys(pool.as_str()).await?;
    if keys.client_keys.is_empty() {
        ctx.out.note(&format!("pool {pool} has no client keys; poolctl client-key create {pool} makes one"));
    }
    ctx.out.result(&keys, |view: &View| {
        let mut table = Table::new(["ID", "NAME", "ENDS IN", "CREATED"].map(|name| (name, Align::Left)));
        for key in &keys.client_keys {
            let created = view.time(key.created_at);
            table.row([key.id.to_string(), key.name.clone(), key.hint.clone(), created].map(Into::into));
        }
        if keys.client_keys.is_empty() { String::new() } else { table.render(view) }
    })?;
    Ok(Outcome::Done)
}

async fn create(ctx: &mut Ctx, pool: &PoolRef, name: String) -> Result<Outcome, CliError> {
    let client = ctx.client().await?;
    let created =
        client.create_client_key(pool.as_str(), &ClientKeyCreate { name, ..ClientKeyCreate::default() }).await?;
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

async fn revoke(ctx: &mut Ctx, pool: &PoolRef, id: ClientKeyId, yes: bool) -> Result<Outcome, CliError> {
    ctx.can_confirm(yes)?;
    let client = ctx.client().await?;
    ctx.confirm(yes, &format!("Revoke client key {id} of pool {pool}? Its callers will be refused.")).await?;
    client.revoke_client_key(pool.as_str(), &id).await?;
    let result = json!({ "revoked": id });
    ctx.out.result(&result, |_| format!("revoked client key {id} of pool {pool}"))?;
    Ok(Outcome::Done)
}
