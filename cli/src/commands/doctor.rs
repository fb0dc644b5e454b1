//! `poolctl doctor`: what is wrong, and what to do about it.
//!
//! Every check is a line with a status; each that is not passed has its remedy. A check that fails
//! stops only those that need what it looked at.

use std::time::Instant;

use jiff::Timestamp;
use pool_shared::{
    API_VERSION, ComponentHealth, FetchMedia, Fetcher, Health, HealthStatus, Hosts, KeyCheck, KeyId,
    KeyState, KeyVerdict, Pool, WhoAmI, model_notices, outbound::Route,
};
use serde::Serialize;
use serde_json::json;

use crate::{
    client::{Client, KeyFilter, ServerInfo},
    ctx::Ctx,
    error::{CliError, Outcome},
    key_check::verdict_name,
    output::{Cell, Sheet, Table, View, left},
};

/// A clock that is further off makes quota times and expiries wrong.
const CLOCK_TOLERANCE_S: i64 = 30;
/// A token that ends sooner is worth a word.
const EXPIRY_WARNING_DAYS: i64 = 7;

/// Diagnose problems with settings, token, clock, service, store, ledger and pools
///
/// Tries one key of each pool with a smallest request, unless --no-probe is given. Exit code 1 when
/// a check fails; warnings alone are exit code 0.
#[derive(clap::Args)]
#[command(after_long_help = "\
Examples:
  poolctl doctor
  poolctl doctor --no-probe
  poolctl doctor -o json | jq '.checks[] | select(.status != \"pass\")'")]
pub struct Args {
    /// Send nothing to Gemini
    #[arg(long)]
    no_probe: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Pass,
    Warn,
    Fail,
}

#[derive(Serialize)]
struct Check {
    name: String,
    status: Status,
    message: String,
    remedy: Option<String>,
}

#[derive(Default)]
struct Findings(Vec<Check>);

impl Findings {
    fn pass(&mut self, name: &str, message: impl Into<String>) {
        self.0.push(Check { name: name.into(), status: Status::Pass, message: message.into(), remedy: None });
    }

    fn warn(&mut self, name: &str, message: impl Into<String>, remedy: impl Into<String>) {
        let remedy = Some(remedy.into());
        self.0.push(Check { name: name.into(), status: Status::Warn, message: message.into(), remedy });
    }

    fn fail(&mut self, name: &str, message: impl Into<String>, remedy: impl Into<String>) {
        let remedy = Some(remedy.into());
        self.0.push(Check { name: name.into(), status: Status::Fail, message: message.into(), remedy });
    }

    /// An error says itself what to do.
    fn error(&mut self, name: &str, error: &CliError) {
        let document = error.to_json();
        let text = |field: &str| document.pointer(&format!("/error/{field}")).and_then(|text| text.as_str());
        let message = text("message").unwrap_or_default().to_owned();
        self.fail(name, message, text("hint").unwrap_or("see the service's own log"));
    }
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

/// Settings, profile and token, before anything is sent.
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
    let (identity, surroundings) = match client.whoami_from().await {
        Ok(answer) => answer,
        Err(error) => {
            findings.error("service", &error);
            return Ok(());
        }
    };
    let now = Timestamp::now();
    let colo = surroundings.colo.as_ref().map(|colo| format!(", at Cloudflare's {colo}")).unwrap_or_default();
    findings.pass("service", format!("answers in {} ms{colo}", began.elapsed().as_millis()));
    token(&identity, now, findings);
    versions(&identity, findings);
    clock(&surroundings, now, findings);
    let own_zone_reachable = match client.health().await {
        Ok(health) => {
            components(&health, findings);
            health.own_zone_reachable == Some(true)
        }
        Err(error) => {
            findings.error("health", &error);
            false
        }
    };
    match client.pools().await {
        Ok(list) if list.pools.is_empty() => {
            findings.warn("pools", "there are none", "poolctl pool create NAME --keys FILE");
        }
        Ok(list) => {
            for pool in &list.pools {
                models(pool, findings);
                if own_zone_reachable {
                    own_zone(pool, findings);
                }
                examine_pool(ctx, client, pool, findings, probe).await;
            }
        }
        Err(error) => findings.error("pools", &error),
    }
    Ok(())
}

fn token(identity: &WhoAmI, now: Timestamp, findings: &mut Findings) {
    let days = (identity.expires_at.as_second() - now.as_second()) / 86_400;
    let message = format!("{} ({}), good for {days} more days", identity.id, identity.name);
    if days < EXPIRY_WARNING_DAYS {
        findings.warn("token", message, "poolctl login, or poolctl token create NAME for CI");
    } else {
        findings.pass("token", message);
    }
}

fn versions(identity: &WhoAmI, findings: &mut Findings) {
    let (service, own) = (&identity.service_version, env!("CARGO_PKG_VERSION"));
    let message = format!("service {service}, poolctl {own}");
    if identity.api_version == API_VERSION {
        findings.pass("versions", message);
    } else {
        let (theirs, ours) = (identity.api_version, API_VERSION);
        let message =
            format!("{message}; the service speaks version {theirs} of the admin API, poolctl {ours}");
        findings.fail("versions", message, "install the poolctl of the service's version");
    }
}

fn clock(surroundings: &ServerInfo, now: Timestamp, findings: &mut Findings) {
    let Some(date) = surroundings.date else { return };
    let off = now.as_second() - date.as_second();
    if off.abs() <= CLOCK_TOLERANCE_S {
        findings.pass("clock", "as the service's");
    } else {
        let side = if off > 0 { "ahead of" } else { "behind" };
        let message = format!("this machine is {} s {side} the service", off.abs());
        findings.warn("clock", message, "set one of the clocks by a time server (timedatectl set-ntp true)");
    }
}

fn components(health: &Health, findings: &mut Findings) {
    for (name, part) in health.parts() {
        let ComponentHealth { status, kind, message } = part;
        let said = message.as_deref().map(|message| format!(": {message}")).unwrap_or_default();
        let message = format!("{kind}{said}");
        match status {
            HealthStatus::Ok | HealthStatus::Unknown => findings.pass(name, message),
            HealthStatus::Degraded | HealthStatus::Failing if name == "encryption" => {
                let remedy = "start with the MASTER_KEY of before; a single pool: restore it from a backup";
                findings.fail(name, message, remedy);
            }
            HealthStatus::Degraded => {
                findings.warn(
                    name,
                    message,
                    "it goes on from memory; look again in a minute with poolctl health",
                );
            }
            HealthStatus::Failing => {
                findings.fail(name, message, "check the bindings in wrangler.toml and the service's log");
            }
        }
    }
    if let Some(route) = &health.gemini {
        findings.pass("gemini", route.to_string());
    }
    if health.lost_attempts > 0 {
        let message = format!("{} attempts were never counted", health.lost_attempts);
        findings.warn("counts", message, "the ledger was away for too long; its line above says why");
    }
    if let Some(proxy) = health.untrusted_proxy {
        findings.warn(
            "proxy",
            format!("requests come from {proxy} with forwarding headers, which are ignored: its clients share its address"),
            format!("if it is your proxy, start the server with TRUSTED_PROXIES={proxy}"),
        );
    }
    for loss in &health.audit_lost {
        findings.warn(
            "audit",
            super::health::audit_lost(loss),
            "see what changes so much, and keep a copy: poolctl audit --follow -o jsonl >> audit.jsonl",
        );
    }
}

/// A pool that fetches media for its callers, in a Worker whose fetches reach its zone's origin.
fn own_zone(pool: &Pool, findings: &mut Findings) {
    let fetches = match &pool.settings.translation.fetch_media {
        FetchMedia::Switch(on) => *on,
        FetchMedia::From(_) => true,
        FetchMedia::By(Fetcher::Gemini) => false,
        FetchMedia::Each(each) => each.own != Hosts::default(),
    };
    if fetches {
        findings.warn(
            &format!("fetch_media {}", pool.name),
            "URLs of the Worker's own zone are fetched from its origin, past Cloudflare's protection",
            "compatibility_flags = [\"global_fetch_strictly_public\"] in wrangler.toml, then deploy",
        );
    }
}

/// Names of models that another model answers, or that end.
fn models(pool: &Pool, findings: &mut Findings) {
    if !pool.enabled {
        return;
    }
    for notice in model_notices(&pool.allowed_models, &pool.settings) {
        findings.warn(
            &format!("models {}", pool.name),
            format!("{}: {}", notice.setting, notice.message),
            format!("poolctl pool models '{}' changes which models it names", pool.name),
        );
    }
}

async fn examine_pool(ctx: &Ctx, client: &Client, pool: &Pool, findings: &mut Findings, probe: bool) {
    let name = format!("pool {}", pool.name);
    if !pool.enabled {
        findings.warn(
            &name,
            "is disabled: its callers get 403",
            format!("poolctl pool enable '{}'", pool.name),
        );
        return;
    }
    if pool.enabled_keys == 0 {
        let remedy = format!("poolctl key import '{}' --keys FILE", pool.name);
        findings.fail(&name, format!("has no key in use ({} in all)", pool.keys), remedy);
        return;
    }
    let refused =
        [KeyState::Invalid, KeyState::Leaked, KeyState::Suspended, KeyState::Billing, KeyState::Blocked];
    let bad: u64 = refused.iter().filter_map(|state| pool.states.get(state)).sum();
    if bad > 0 {
        let remedy =
            format!("poolctl key list '{}' --state invalid,leaked,suspended,billing,blocked", pool.name);
        findings.warn(&name, format!("Gemini refuses {bad} of {} keys", pool.keys), remedy);
    }
    if probe {
        probe_pool(ctx, client, pool, &name, findings).await;
    } else if bad == 0 {
        findings.pass(&name, format!("{} keys in use", pool.enabled_keys));
    }
}

/// One key, the best that there is.
async fn probe_pool(ctx: &Ctx, client: &Client, pool: &Pool, name: &str, findings: &mut Findings) {
    let key = match candidate(client, pool).await {
        Ok(Some(key)) => key,
        Ok(None) => return,
        Err(error) => return findings.error(name, &error),
    };
    let progress = ctx.out.progress("probing", 1);
    let check = KeyCheck { ids: vec![key], keys: Vec::new() };
    let (report, ended) = client.check(&pool.id, vec![check], &progress).await;
    drop(progress);
    if let Err(error) = ended {
        return findings.error(name, &error);
    }
    let Some(result) = report.results.first() else { return };
    let verdict = verdict_name(result.verdict);
    let message = format!("key {} is {verdict}", result.masked);
    let said =
        if result.message.is_empty() { message.clone() } else { format!("{message}: {}", result.message) };
    match result.verdict {
        KeyVerdict::Valid => findings.pass(name, format!("{message}, {} keys in use", pool.enabled_keys)),
        KeyVerdict::Limited | KeyVerdict::Error | KeyVerdict::Unknown => {
            findings.warn(name, said, format!("poolctl key check '{}' --all tries the others", pool.name));
        }
        KeyVerdict::Unreachable => {
            findings.fail(name, said, "check GEMINI_BASE_URL and the service's way to Google");
        }
        _ => findings.fail(
            name,
            said,
            format!("poolctl key check '{}' --all, then remove what is refused", pool.name),
        ),
    }
}

async fn candidate(client: &Client, pool: &Pool) -> Result<Option<KeyId>, CliError> {
    let healthy = KeyFilter { enabled: Some(true), states: vec![KeyState::Healthy], ..KeyFilter::default() };
    let enabled = KeyFilter { enabled: Some(true), ..KeyFilter::default() };
    for filter in [healthy, enabled] {
        let found = client.keys(pool.id.as_str(), &filter, Some(1)).await?.keys;
        if let Some(key) = found.into_iter().next() {
            return Ok(Some(key.id));
        }
    }
    Ok(None)
}

fn sheet(checks: &[Check], view: &View) -> Sheet {
    let mut table =
        Table::list("checks", [left("CHECK"), left("STATUS"), left("FOUND"), left("REMEDY").wide()])
            .wrapped();
    for check in checks {
        let status = match check.status {
            Status::Pass => Cell::Good("pass".into()),
            Status::Warn => Cell::Fair("warn".into()),
            Status::Fail => Cell::Bad("FAIL".into()),
        };
        let remedy = check.remedy.clone().unwrap_or_default();
        table.row([check.name.clone().into(), status, check.message.clone().into(), remedy.into()]);
    }
    let remedies: Vec<_> = checks
        .iter()
        .filter_map(|check| Some(format!("{}: {}", view.heading(&check.name), check.remedy.as_ref()?)))
        .collect();
    let todo =
        if remedies.is_empty() { String::new() } else { format!("what to do\n{}", remedies.join("\n")) };
    Sheet::new().table(table).text(todo)
}

#[cfg(test)]
mod tests {
    use pool_shared::{AdminTokenId, AuditLoss};

    use super::*;

    fn status(findings: &Findings) -> Status {
        findings.0.last().unwrap().status
    }

    #[test]
    fn a_clock_may_be_a_little_off() {
        let now: Timestamp = "2026-11-03T12:00:00Z".parse().unwrap();
        for (service, expected) in [
            ("2026-11-03T12:00:29Z", Status::Pass),
            ("2026-11-03T12:01:00Z", Status::Warn),
            ("2026-11-03T11:00:00Z", Status::Warn),
        ] {
            let mut findings = Findings::default();
            let date = Some(service.parse().unwrap());
            clock(&ServerInfo { date, colo: None }, now, &mut findings);
            assert!(status(&findings) == expected, "{service}");
        }
        let mut findings = Findings::default();
        clock(&ServerInfo::default(), now, &mut findings);
        assert!(findings.0.is_empty());
    }

    #[test]
    fn whatever_is_not_passed_has_a_remedy() {
        let mut findings = Findings::default();
        let identity = |api_version, expires: &str| WhoAmI {
            id: pool_shared::AdminTokenId::new("tok-1"),
            name: "ci".into(),
            scopes: None,
            pool: None,
            expires_at: expires.parse().unwrap(),
            service_version: "0.1.0".into(),
            api_version,
        };
        let now: Timestamp = "2026-11-03T12:00:00Z".parse().unwrap();
        token(&identity(1, "2026-11-05T12:00:00Z"), now, &mut findings);
        versions(&identity(99, "2027-11-05T12:00:00Z"), &mut findings);
        let part = |status| ComponentHealth { status, kind: "d1".into(), message: Some("gone".into()) };
        components(
            &Health {
                status: HealthStatus::Failing,
                version: "0.1.0".into(),
                host: "native".into(),
                store: part(HealthStatus::Failing),
                ledger: part(HealthStatus::Degraded),
                encryption: None,
                unreadable: Vec::new(),
                lost_attempts: 3,
                lost_requests: 0,
                ledger_load: None,
                master_key: None,
                own_zone_reachable: None,
                gemini: None,
                untrusted_proxy: Some([127, 0, 0, 1].into()),
                audit_lost: vec![AuditLoss {
                    pool: None,
                    actor: AdminTokenId::new("tok-1"),
                    actor_name: "ci".into(),
                    entries: 2,
                    until: now,
                }],
                models: Vec::new(),
            },
            &mut findings,
        );
        findings.error("settings", &CliError::usage("broken"));
        let expected = [
            Status::Warn,
            Status::Fail,
            Status::Fail,
            Status::Warn,
            Status::Warn,
            Status::Warn,
            Status::Warn,
            Status::Fail,
        ];
        assert!(findings.0.iter().map(|check| check.status).eq(expected));
        assert!(findings.0.iter().all(|check| check.remedy.is_some()));
    }

    #[test]
    fn a_pool_that_fetches_is_warned_of_where_the_own_zone_is_within_reach() {
        for (setting, warned) in [
            ("true", true),
            (r#"["a.example"]"#, true),
            (r#"{"gemini":true,"own":["a.example"]}"#, true),
            (r#""gemini""#, false),
            (r#"{"gemini":true}"#, false),
            ("false", false),
        ] {
            let pool = format!(
                r#"{{"id":"pool-1","name":"p","enabled":true,"keys":1,"enabled_keys":1,"version":1,"translation":{{"fetch_media":{setting}}},
                    "created_at":"2026-11-03T12:00:00Z","updated_at":"2026-11-03T12:00:00Z"}}"#
            );
            let mut findings = Findings::default();
            own_zone(&serde_json::from_str(&pool).unwrap(), &mut findings);
            assert_eq!(findings.0.len(), usize::from(warned), "{setting}");
        }
    }
}
