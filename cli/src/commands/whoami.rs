//! `poolctl whoami`: whose token this is, and where each setting came from.

use pool_shared::{API_VERSION, WhoAmI};
use serde::Serialize;

use crate::{
    client::TokenSource,
    config::{ProfileName, ServiceUrl, Setting, TokenPlan},
    ctx::Ctx,
    error::{CliError, Outcome},
    output::{Align, Table, View},
};

/// Show who you are to the service and where each setting came from
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

#[derive(Serialize)]
struct SettingsReport {
    profile: Setting<ProfileName>,
    url: Setting<ServiceUrl>,
    token: TokenReport,
    timeout_s: Setting<f64>,
    config: String,
}

/// The token's source alone: its text is nobody's business.
#[derive(Serialize)]
struct TokenReport {
    source: String,
}

pub async fn run(ctx: &mut Ctx, _: Args) -> Result<Outcome, CliError> {
    let identity = ctx.client().await?.whoami().await?;
    let settings = &ctx.settings;
    let url = settings.service()?.clone();
    let source = match settings.token_plan(&url.value)? {
        TokenPlan::Stored(store, _) => ctx.token_source(store),
        _ => TokenSource::Environment,
    };
    let timeout = &settings.timeout;
    let report = Report {
        identity,
        settings: SettingsReport {
            profile: settings.profile.clone(),
            url,
            token: TokenReport { source: source.to_string() },
            timeout_s: Setting { value: timeout.value.as_secs_f64(), source: timeout.source.clone() },
            config: ctx.dir.config().display().to_string(),
        },
    };
    if report.identity.api_version != API_VERSION {
        ctx.out.warn(&format!(
            "the service speaks version {} of the admin API, this poolctl version {API_VERSION}",
            report.identity.api_version
        ));
    }
    ctx.out.result(&report, |view| human(&report, view))?;
    Ok(Outcome::Done)
}

fn human(report: &Report, view: &View) -> String {
    let Report { identity, settings } = report;
    let who = Table::pairs([
        ("token", format!("{} ({})", identity.id, identity.name).into()),
        ("expires", view.exact_time(identity.expires_at).into()),
        ("service", format!("version {}", identity.service_version).into()),
    ]);
    let mut table = Table::new([("SETTING", Align::Left), ("VALUE", Align::Left), ("SOURCE", Align::Left)]);
    let profile = &settings.profile;
    let timeout = &settings.timeout_s;
    table.row(["profile".into(), profile.value.to_string().into(), profile.source.to_string().into()]);
    table.row(["url".into(), settings.url.value.to_string().into(), settings.url.source.to_string().into()]);
    table.row(["token".into(), "[redacted]".into(), settings.token.source.clone().into()]);
    table.row(["timeout".into(), format!("{} s", timeout.value).into(), timeout.source.to_string().into()]);
    format!("{}\n\n{}\n\nconfig: {}", who.render(view), table.render(view), settings.config)
}
