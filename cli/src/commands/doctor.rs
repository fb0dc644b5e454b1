//! `poolctl doctor`: diagnoses problems, and says how to fix each.
//!
//! Each check is a row with a status, and with a remedy unless it passed. A failed check skips only
//! the checks that depend on it.

mod findings;
mod pool;
mod service;

use std::time::Instant;

use jiff::Timestamp;
use pool_shared::outbound::Route;
use serde_json::json;

use self::findings::{Findings, Status, sheet};
use crate::{
    client::Client,
    ctx::Ctx,
    error::{CliError, Outcome},
};

/// Diagnose problems with settings, token, clock, service, store, ledger and pools
///
/// Checks one key of each pool with a minimal request, unless --no-probe is given. Exit code 1 if a
/// check fails, 0 if there are only warnings.
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  poolctl doctor
  poolctl doctor --no-probe
  poolctl doctor -o json | jq '.checks[] | select(.status != \"pass\")'")]
pub struct Args {
    /// Skip the key checks: send nothing to Gemini
    #[arg(long)]
    no_probe: bool,
}

pub async fn run(ctx: &mut Ctx, args: Args) -> Result<Outcome, CliError> {
    let mut findings = Findings::default();
    if let Some(client) = connect(ctx, &mut findings).await {
        examine(ctx, &client, &mut findings, !args.no_probe).await?;
    }
    let checks = findings.0;
    let failed = checks.iter().any(|check| check.status == Status::Fail);
    let document = json!({ "ok": !failed, "checks": checks });
    ctx.out.result(&document, |view| sheet(&checks, view))?;
    Ok(if failed { Outcome::Unhealthy } else { Outcome::Done })
}

/// Checks settings, profile and token before the first request.
async fn connect(ctx: &mut Ctx, findings: &mut Findings) -> Option<Client> {
    match ctx.client().await {
        Ok(client) => {
            let source = ctx.settings.url.as_ref().map(|url| url.source.to_string()).unwrap_or_default();
            let route = match Route::to(&client.url().admin(&[])) {
                Route::Direct => String::new(),
                route => format!(", {route}"),
            };
            findings.pass("settings", format!("{} (from {source}){route}", client.url()));
            Some(client)
        }
        Err(error) => {
            findings.error("settings", &error);
            None
        }
    }
}

async fn examine(
    ctx: &mut Ctx,
    client: &Client,
    findings: &mut Findings,
    probe: bool,
) -> Result<(), CliError> {
    let began = Instant::now();
    let (identity, server) = match client.whoami_from().await {
        Ok(answer) => answer,
        Err(error) => {
            findings.error("service", &error);
            return Ok(());
        }
    };
    let now = Timestamp::now();
    let colo = server.colo.as_ref().map(|colo| format!(", Cloudflare {colo}")).unwrap_or_default();
    findings.pass("service", format!("responds in {} ms{colo}", began.elapsed().as_millis()));
    service::token(&identity, now, findings);
    service::versions(&identity, findings);
    service::clock(&server, now, findings);
    let own_zone_reachable = match client.health().await {
        Ok(health) => {
            service::components(&health, findings);
            health.own_zone_reachable == Some(true)
        }
        Err(error) => {
            findings.error("health", &error);
            false
        }
    };
    match client.pools().await {
        Ok(list) if list.pools.is_empty() => {
            findings.warn("pools", "no pools", "poolctl pool create NAME --keys FILE");
        }
        Ok(list) => {
            for pool in &list.pools {
                pool::models(pool, findings);
                if own_zone_reachable {
                    pool::own_zone(pool, findings);
                }
                pool::examine(ctx, client, pool, findings, probe).await;
            }
        }
        Err(error) => findings.error("pools", &error),
    }
    Ok(())
}

#[cfg(test)]
mod tests;
