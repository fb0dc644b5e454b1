//! `poolctl token`: admin tokens with limited scopes.

use std::{path::PathBuf, time::Duration};

use clap::Subcommand;
use pool_shared::{AdminToken, AdminTokenCreate, AdminTokenCreated, AdminTokenId, AdminTokenRotate, Scope};
use serde_json::json;

use crate::{
    client::Client,
    config::write_file,
    ctx::Ctx,
    error::{CliError, Outcome},
    flags::{Confirm, DryRun, PoolRef, times::span},
    output::{Table, View, left, text},
};

/// Manage admin tokens
#[derive(Subcommand)]
pub enum Command {
    /// List the valid admin tokens
    #[command(
        visible_alias = "ls",
        after_long_help = "\
Examples:
  poolctl token list
  poolctl token list -o json | jq -r '.tokens[] | select(.last_used_at == null) | .id'"
    )]
    List,
    /// Create an admin token; it is shown once
    ///
    /// A token cannot have more scopes than the token that creates it. CI passes it in the
    /// environment: poolctl help environment.
    #[command(after_long_help = "\
Examples:
  poolctl token create ci --scope keys:import --scope stats:read --pool prod --expires 90d
  poolctl token create grafana --scope stats:read --to grafana-token.txt
  poolctl token create ci -o json | jq -r .secret")]
    Create(CreateArgs),
    /// Rotate an admin token; the old one keeps working for a grace period
    ///
    /// The new token has the name and scopes of the old one, and is shown once.
    #[command(after_long_help = "\
Examples:
  poolctl token rotate tok-00c0ffee00c0ffee
  poolctl token rotate tok-00c0ffee00c0ffee --grace 0s --to ci-token.txt")]
    Rotate {
        /// The token's id, as token list shows it
        id: String,
        /// Grace period of the old token, at most 24h [default: 1h]
        #[arg(long, value_name = "SPAN", value_parser = span)]
        grace: Option<Duration>,
        /// The new token expires after [default: 90d]
        #[arg(long, value_name = "SPAN", value_parser = span)]
        expires: Option<Duration>,
        /// Write the token to this file (mode 600) instead of showing it
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
        #[command(flatten)]
        dry: DryRun,
    },
    /// Revoke an admin token immediately
    ///
    /// Also revokes the tokens created with it, and those created with them; --keep-children keeps
    /// them.
    #[command(
        visible_alias = "rm",
        after_long_help = "\
Examples:
  poolctl token revoke tok-00c0ffee00c0ffee
  poolctl token revoke tok-00c0ffee00c0ffee --yes"
    )]
    Revoke {
        /// The token's id, as token list shows it
        id: String,
        /// Keep the tokens created with it
        #[arg(long)]
        keep_children: bool,
        #[command(flatten)]
        confirm: Confirm,
    },
}

#[derive(clap::Args)]
pub struct CreateArgs {
    /// Name
    name: String,
    /// Scope; can be repeated [scopes: pools, keys:import, keys:export, stats:read, tokens]
    /// [default: all]
    #[arg(long, value_name = "SCOPE", value_delimiter = ',')]
    scope: Vec<Scope>,
    /// Limit the token to this pool
    #[arg(long, value_name = "POOL")]
    pool: Option<PoolRef>,
    /// Expires after [default: 90d]
    #[arg(long, value_name = "SPAN", value_parser = span)]
    expires: Option<Duration>,
    /// Write the token to this file (mode 600) instead of showing it
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    #[command(flatten)]
    dry: DryRun,
}

pub async fn run(ctx: &mut Ctx, command: Command) -> Result<Outcome, CliError> {
    match command {
        Command::List => list(ctx).await?,
        Command::Create(args) => create(ctx, args).await?,
        Command::Rotate { id, grace, expires, to, dry } => {
            let (grace_s, expires_in_s) =
                (grace.map(|span| span.as_secs()), expires.map(|span| span.as_secs()));
            let rotate = AdminTokenRotate { grace_s, expires_in_s };
            self::rotate(ctx, &AdminTokenId::new(id), &rotate, to, dry).await?;
        }
        Command::Revoke { id, keep_children, confirm } => {
            revoke(ctx, AdminTokenId::new(id), keep_children, confirm).await?;
        }
    }
    Ok(Outcome::Done)
}

async fn list(ctx: &mut Ctx) -> Result<(), CliError> {
    let list = ctx.client().await?.tokens().await?;
    ctx.out.result(&list, |view| table(&list.tokens, view))
}

fn table(tokens: &[AdminToken], view: &View) -> Table {
    let columns = [
        left("ID"),
        text("NAME"),
        text("SCOPES"),
        left("POOL").rank(3),
        left("EXPIRES").rank(2),
        left("LAST USED").rank(4),
        left("CREATED").rank(5).wide(),
        left("MADE BY").rank(5).wide(),
    ];
    let mut table = Table::list("tokens", columns);
    for token in tokens {
        let pool = token.pool.as_ref().map_or("all".to_owned(), ToString::to_string);
        let last_used = token.last_used_at.map_or("never".to_owned(), |time| view.time(time));
        table.row([
            token.id.to_string().into(),
            token.name.clone().into(),
            scopes(token.scopes.as_deref()).into(),
            pool.into(),
            view.time(token.expires_at).into(),
            last_used.into(),
            view.time(token.created_at).into(),
            token.parent.as_ref().map(ToString::to_string).unwrap_or_default().into(),
        ]);
    }
    table
}

/// `keys:import, stats:read`
pub fn scopes(scopes: Option<&[Scope]>) -> String {
    scopes.map_or("all".to_owned(), |scopes| {
        scopes.iter().map(|scope| scope.name()).collect::<Vec<_>>().join(", ")
    })
}

async fn create(ctx: &mut Ctx, args: CreateArgs) -> Result<(), CliError> {
    let create = AdminTokenCreate {
        name: args.name,
        scopes: (!args.scope.is_empty()).then_some(args.scope),
        pool: args.pool.map(|pool| pool.to_string()),
        expires_in_s: args.expires.map(|span| span.as_secs()),
    };
    let client = ctx.client().await?;
    if args.dry.dry_run {
        return ctx.out.would(&format!("create admin token {}", create.name), json!(create));
    }
    let created = client.create_token(&create).await?;
    show_once(ctx, &client, &created, args.to, &format!("created admin token {}", created.token.name)).await
}

async fn rotate(
    ctx: &mut Ctx,
    id: &AdminTokenId,
    rotate: &AdminTokenRotate,
    to: Option<PathBuf>,
    dry: DryRun,
) -> Result<(), CliError> {
    let client = ctx.client().await?;
    if dry.dry_run {
        return ctx.out.would(&format!("rotate admin token {id}"), json!(rotate));
    }
    let created = client.rotate_token(id, rotate).await?;
    let done = format!("admin token {} replaces {id}", created.token.id);
    show_once(ctx, &client, &created, to, &done).await
}

/// Shows a new token, or writes it to a file.
async fn show_once(
    ctx: &mut Ctx,
    client: &Client,
    created: &AdminTokenCreated,
    to: Option<PathBuf>,
    done: &str,
) -> Result<(), CliError> {
    let token = &created.token;
    let facts = |view: &View| {
        Table::pairs([
            ("id", token.id.to_string().into()),
            ("scopes", scopes(token.scopes.as_deref()).into()),
            ("pool", token.pool.as_ref().map_or("all".to_owned(), ToString::to_string).into()),
            ("expires", view.exact_time(token.expires_at).into()),
        ])
        .render(view)
    };
    if let Some(path) = to {
        if let Err(error) = write_file(&path, &format!("{}\n", created.secret.expose()), 0o600) {
            // A token that cannot be written is revoked, because it would stay valid unused.
            client.revoke_token(&token.id, false).await?;
            return Err(CliError::file("write", &path, &error));
        }
        let result = json!({ "token": token, "file": path });
        return ctx
            .out
            .result(&result, |view| format!("{done}, written to {}\n{}", path.display(), facts(view)));
    }
    ctx.out.result(created, |view| {
        let title = view.heading("admin token (shown once; store it now)");
        format!("{done}\n{}\n\n{title}\n  {}", facts(view), created.secret.expose())
    })
}

async fn revoke(
    ctx: &mut Ctx,
    id: AdminTokenId,
    keep_children: bool,
    confirm: Confirm,
) -> Result<(), CliError> {
    ctx.can_confirm(confirm)?;
    let client = ctx.client().await?;
    let made = if keep_children { Vec::new() } else { made_by(&client.tokens().await?.tokens, &id) };
    let also = match made.len() {
        0 => String::new(),
        _ => format!(" and the tokens created with it: {}", made.join(", ")),
    };
    let result =
        if made.is_empty() { json!({ "revoked": id }) } else { json!({ "revoked": id, "made": made }) };
    if confirm.dry_run() {
        return ctx.out.would(&format!("revoke admin token {id}{also}"), result);
    }
    ctx.confirm(confirm, &format!("Revoke admin token {id}{also}? Its users are rejected immediately."))
        .await?;
    client.revoke_token(&id, keep_children).await?;
    ctx.out.result(&result, |_| format!("revoked admin token {id}{also}"))
}

/// Returns the ids of all tokens created with a token, directly or indirectly.
fn made_by(tokens: &[AdminToken], id: &AdminTokenId) -> Vec<String> {
    let mut found: Vec<&AdminTokenId> = Vec::new();
    while let Some(next) = tokens.iter().find(|token| {
        let is_below = |parent: &AdminTokenId| parent == id || found.contains(&parent);
        token.parent.as_ref().is_some_and(is_below) && !found.contains(&&token.id)
    }) {
        found.push(&next.id);
    }
    found.iter().map(ToString::to_string).collect()
}
