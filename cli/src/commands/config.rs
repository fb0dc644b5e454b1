//! `poolctl config`: the settings and their sources.

use pool_shared::outbound::Route;
use serde::Serialize;

use crate::{
    client::TokenSource,
    config::{ProfileName, ServiceUrl, Setting, TokenPlan},
    ctx::Ctx,
    error::{CliError, Outcome},
    output::{Sheet, Table, left, text},
};

/// Show the settings and their sources, without a request to the service
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  poolctl config
  poolctl config --profile local -o json | jq -r .url.value")]
pub struct Args {}

/// Every setting with its source.
#[derive(Serialize)]
pub struct SettingsReport {
    profile: Setting<ProfileName>,
    url: Option<Setting<ServiceUrl>>,
    /// The proxy to the service, if the environment configures one.
    #[serde(skip_serializing_if = "Option::is_none")]
    proxy: Option<String>,
    token: TokenReport,
    timeout_s: Setting<f64>,
    output: Setting<String>,
    config: String,
}

/// The token's source; the token itself is not shown.
#[derive(Serialize)]
struct TokenReport {
    source: Option<String>,
}

impl SettingsReport {
    /// Returns the settings of this run.
    pub fn of(ctx: &Ctx) -> Self {
        let settings = &ctx.settings;
        let plan = settings.url.as_ref().and_then(|url| settings.token_plan(&url.value).ok());
        let source = match plan {
            Some(TokenPlan::Environment(_)) => Some(TokenSource::Environment.to_string()),
            Some(TokenPlan::Stored(store, _)) => Some(ctx.token_source(store).to_string()),
            Some(TokenPlan::Withheld(_) | TokenPlan::Missing) | None => None,
        };
        let (timeout, output) = (&settings.timeout, &settings.output);
        Self {
            profile: settings.profile.clone(),
            url: settings.url.clone(),
            proxy: settings.url.as_ref().and_then(|url| match Route::to(&url.value.admin(&[])) {
                Route::Direct => None,
                route => Some(route.to_string()),
            }),
            token: TokenReport { source },
            timeout_s: Setting { value: timeout.value.as_secs_f64(), source: timeout.source.clone() },
            output: Setting { value: output.value.name(), source: output.source.clone() },
            config: ctx.dir.config().display().to_string(),
        }
    }

    /// Renders the settings and the path of the config file.
    pub fn sheet(&self, sheet: Sheet) -> Sheet {
        let mut table = Table::new([left("SETTING"), text("VALUE"), text("SOURCE")]);
        let (profile, timeout, output) = (&self.profile, &self.timeout_s, &self.output);
        let none = || ("(none)".to_owned(), String::new());
        let (url, url_source) = match &self.url {
            Some(url) => (url.value.to_string(), url.source.to_string()),
            None => none(),
        };
        let (token, token_source) = match &self.token.source {
            Some(source) => ("[redacted]".to_owned(), source.clone()),
            None => none(),
        };
        let proxy = self.proxy.iter().map(|proxy| ("proxy", proxy.clone(), "environment".to_owned()));
        let head =
            [("profile", profile.value.to_string(), profile.source.to_string()), ("url", url, url_source)];
        let rows = [
            ("token", token, token_source),
            ("timeout", format!("{} s", timeout.value), timeout.source.to_string()),
            ("output", output.value.clone(), output.source.to_string()),
        ];
        for (name, value, source) in head.into_iter().chain(proxy).chain(rows) {
            table.row([name.into(), value.into(), source.into()]);
        }
        sheet.table(table).text(format!("config: {}", self.config))
    }
}

pub fn run(ctx: &mut Ctx, _: Args) -> Result<Outcome, CliError> {
    ctx.known_profile()?;
    let report = SettingsReport::of(ctx);
    ctx.out.result(&report, |_| report.sheet(Sheet::new()))?;
    Ok(Outcome::Done)
}
