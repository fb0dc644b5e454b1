//! `poolctl client-key update`

use std::time::Duration;

use pool_shared::ClientKeyUpdate;
use serde_json::json;

use super::{find::find, rules::RuleChanges, show};
use crate::{
    ctx::Ctx,
    error::{CliError, Outcome},
    flags::{DryRun, PoolRef, times::span},
};

/// Update a client key's name, expiry, limits, models or networks
///
/// Only the given fields change. A change applies everywhere within 30 seconds.
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  poolctl client-key update prod laptop --rpm 60 --tpd none
  poolctl client-key update prod laptop --models 'gemini-*' --cidr all
  poolctl client-key update prod ck-00c0ffee00c0ffee --expires 30d --name ci")]
pub struct Args {
    /// The pool's name or id
    pool: PoolRef,
    /// The client key's id or name
    #[arg(value_name = "CLIENT_KEY")]
    key: String,
    /// New name
    #[arg(long)]
    name: Option<String>,
    /// Expires after, from now, such as 90d; or never
    #[arg(long, value_name = "SPAN|never", value_parser = expiry)]
    expires: Option<Duration>,
    #[command(flatten)]
    rules: RuleChanges,
    #[command(flatten)]
    dry: DryRun,
}

/// Parses a duration; zero means no expiry, as in the API.
fn expiry(text: &str) -> Result<Duration, String> {
    match text {
        "never" => Ok(Duration::ZERO),
        _ => match span(text)? {
            Duration::ZERO => Err("expected a duration such as 90d, or never".to_owned()),
            span => Ok(span),
        },
    }
}

pub async fn run(ctx: &mut Ctx, args: Args) -> Result<Outcome, CliError> {
    if args.name.is_none() && args.expires.is_none() && args.rules.is_empty() {
        return Err(CliError::usage("nothing to update").hint("poolctl client-key update --help"));
    }
    let client = ctx.client().await?;
    let present = find(&client, &args.pool, &args.key).await?;
    let update = ClientKeyUpdate {
        name: args.name,
        expires_in_s: args.expires.map(|span| span.as_secs()),
        expires_at: None,
        limits: args.rules.limits(&present.rules.limits),
        allowed_models: args.rules.models(),
        allowed_networks: args.rules.networks(),
    };
    let id = &present.id;
    if args.dry.dry_run {
        ctx.out.would(&format!("update client key {id} of pool {}", args.pool), json!(update))?;
        return Ok(Outcome::Done);
    }
    let updated = client.update_client_key(args.pool.as_str(), id, &update).await?;
    if updated.changed.as_ref().is_some_and(Vec::is_empty) {
        ctx.out.note(&format!("client key {id} unchanged"));
    }
    ctx.out.result(&updated, |view| show::details(&updated.client_key, view))?;
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expiry_is_a_span_or_never() {
        assert_eq!(expiry("never"), Ok(Duration::ZERO));
        assert_eq!(expiry("2d"), Ok(Duration::from_hours(48)));
        assert!(expiry("0s").is_err() && expiry("soon").is_err());
    }
}
