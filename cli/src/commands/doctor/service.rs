//! Checks of the token, the versions, the clock and the service's components.

use jiff::Timestamp;
use pool_shared::{API_VERSION, ComponentHealth, Health, HealthStatus, WhoAmI};

use super::findings::Findings;
use crate::{client::ServerInfo, commands::health::audit_lost, output::counted};

/// Maximum clock difference; a larger one makes quota resets and expiries wrong.
const CLOCK_TOLERANCE_S: i64 = 30;
/// Remaining lifetime of a token below which there is a warning.
const EXPIRY_WARNING_DAYS: i64 = 7;

pub(super) fn token(identity: &WhoAmI, now: Timestamp, findings: &mut Findings) {
    let days = (identity.expires_at.as_second() - now.as_second()) / 86_400;
    let message = format!("{} ({}), expires in {}", identity.id, identity.name, counted(days.max(0), "day"));
    if days < EXPIRY_WARNING_DAYS {
        findings.warn("token", message, "poolctl login, or poolctl token create NAME for CI");
    } else {
        findings.pass("token", message);
    }
}

pub(super) fn versions(identity: &WhoAmI, findings: &mut Findings) {
    let (service, own) = (&identity.service_version, env!("CARGO_PKG_VERSION"));
    let message = format!("service {service}, poolctl {own}");
    if identity.api_version == API_VERSION {
        findings.pass("versions", message);
    } else {
        let (theirs, ours) = (identity.api_version, API_VERSION);
        let message = format!("{message}; the service has admin API version {theirs}, poolctl {ours}");
        findings.fail("versions", message, "install the poolctl version of the service");
    }
}

pub(super) fn clock(server: &ServerInfo, now: Timestamp, findings: &mut Findings) {
    let Some(date) = server.date else { return };
    let off = now.as_second() - date.as_second();
    if off.abs() <= CLOCK_TOLERANCE_S {
        findings.pass("clock", "in sync");
    } else {
        let side = if off > 0 { "ahead of" } else { "behind" };
        let message = format!("this machine is {} s {side} the service", off.abs());
        findings.warn("clock", message, "synchronise the clocks with NTP (timedatectl set-ntp true)");
    }
}

pub(super) fn components(health: &Health, findings: &mut Findings) {
    for (name, part) in health.parts() {
        let ComponentHealth { status, kind, message } = part;
        let said = message.as_deref().map(|message| format!(": {message}")).unwrap_or_default();
        let message = format!("{kind}{said}");
        match status {
            HealthStatus::Ok | HealthStatus::Unknown => findings.pass(name, message),
            HealthStatus::Degraded | HealthStatus::Failing if name == "encryption" => {
                let remedy =
                    "start with the previous MASTER_KEY; for a single pool, restore it from a backup";
                findings.fail(name, message, remedy);
            }
            HealthStatus::Degraded => {
                findings.warn(
                    name,
                    message,
                    "serving cached configuration; retry `poolctl health` in a minute",
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
        let message = format!("{} lost and not counted", counted(health.lost_attempts, "attempt"));
        findings.warn("counts", message, "the ledger was unavailable for too long; see its line above");
    }
    if let Some(proxy) = health.untrusted_proxy {
        findings.warn(
            "proxy",
            format!("forwarding headers of proxy {proxy} are ignored: all its clients share its address"),
            format!("if it is your proxy, start the server with TRUSTED_PROXIES={proxy}"),
        );
    }
    for loss in &health.audit_lost {
        findings.warn(
            "audit",
            audit_lost(loss),
            "find the frequent changes, and keep a copy: poolctl audit --follow -o jsonl >> audit.jsonl",
        );
    }
}
