//! `poolctl whoami`: the token's identity and the source of each setting.

use pool_shared::{API_VERSION, WhoAmI};
use serde::Serialize;

use super::{config::SettingsReport, token::scopes};
use crate::{
    ctx::Ctx,
    error::{CliError, Outcome},
    output::{Sheet, Table, View},
};

/// Show the admin token's identity and the source of each setting
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  poolctl whoami
  poolctl whoami --profile local -o json")]
pub struct Args {}

#[derive(Serialize)]
struct Report {
    identity: WhoAmI,
    settings: SettingsReport,
}

pub async fn run(ctx: &mut Ctx, _: Args) -> Result<Outcome, CliError> {
    let identity = ctx.client().await?.whoami().await?;
    let report = Report { identity, settings: SettingsReport::of(ctx) };
    if report.identity.api_version != API_VERSION {
        ctx.out.warn(&format!(
            "the service has admin API version {}, this poolctl version {API_VERSION}",
            report.identity.api_version
        ));
    }
    ctx.out.result(&report, |view| report.settings.sheet(Sheet::new().table(who(&report.identity, view))))?;
    Ok(Outcome::Done)
}

fn who(identity: &WhoAmI, view: &View) -> Table {
    Table::pairs([
        ("token", format!("{} ({})", identity.id, identity.name).into()),
        ("scopes", scopes(identity.scopes.as_deref()).into()),
        ("pool", identity.pool.as_ref().map_or("all".to_owned(), ToString::to_string).into()),
        ("expires", view.exact_time(identity.expires_at).into()),
        ("service", format!("version {}", identity.service_version).into()),
    ])
}
