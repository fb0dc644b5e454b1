//! `poolctl health`.

use pool_shared::{AuditLoss, ComponentHealth, HealthStatus, PoolModelNotice};

use crate::{
    ctx::Ctx,
    error::{CliError, Outcome},
    output::{Cell, Sheet, Table, left},
};

/// Show the health of the service
///
/// Exit code 0 if it is ok or degraded, 1 if it is failing, 7 if it does not respond.
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  poolctl health
  poolctl health -o json --timeout 5")]
pub struct Args {}

pub async fn run(ctx: &mut Ctx, _: Args) -> Result<Outcome, CliError> {
    let client = ctx.client().await?;
    let health = client.health().await?;
    ctx.out.result(&health, |view| {
        let mut table = Table::new(["PART", "STATUS", "KIND", "MESSAGE"].map(left)).wrapped();
        let service = format!("version {} on {}", health.version, health.host);
        table.row(["service".into(), status(health.status), service.into(), client.url().to_string().into()]);
        for (name, part) in health.parts() {
            let ComponentHealth { status: part_status, kind, message } = part;
            let message = message.clone().unwrap_or_default();
            table.row([name.into(), status(*part_status), kind.clone().into(), message.into()]);
        }
        let gemini = health.gemini.as_ref().map(|route| format!("Gemini: {route}")).unwrap_or_default();
        let lost = match health.lost_attempts {
            0 => String::new(),
            1 => "1 attempt was lost and is not counted".to_owned(),
            lost => format!("{} attempts were lost and are not counted", view.count(lost)),
        };
        let models: Vec<String> = health
            .models
            .iter()
            .map(|PoolModelNotice { pool, notice }| {
                format!("pool {pool}, {}: {}", notice.setting, notice.message)
            })
            .collect();
        let audit: Vec<String> = health.audit_lost.iter().map(audit_lost).collect();
        let proxy = health.untrusted_proxy.map(|proxy| {
            format!("proxy {proxy} is not trusted: all its clients share its address (set TRUSTED_PROXIES)")
        });
        Sheet::from(table)
            .text(gemini)
            .text(lost)
            .text(proxy.unwrap_or_default())
            .text(audit.join("\n"))
            .text(models.join("\n"))
    })?;
    Ok(if health.status == HealthStatus::Failing { Outcome::Unhealthy } else { Outcome::Done })
}

/// Returns the text about audit entries that were dropped early.
pub fn audit_lost(loss: &AuditLoss) -> String {
    let AuditLoss { pool, actor, actor_name, entries, until } = loss;
    let entries = if *entries == 1 { "1 entry".to_owned() } else { format!("{entries} entries") };
    let place = pool.as_ref().map(|pool| format!(" in pool {pool}")).unwrap_or_default();
    format!("the audit log dropped {entries} early: token {actor_name} ({actor}){place}, newest from {until}")
}

/// Returns the cell of a component's status.
pub fn status(status: HealthStatus) -> Cell {
    match status {
        HealthStatus::Ok => Cell::Good("ok".into()),
        HealthStatus::Degraded => Cell::Fair("degraded".into()),
        HealthStatus::Failing => Cell::Bad("failing".into()),
        HealthStatus::Unknown => Cell::Plain("unknown".into()),
    }
}
