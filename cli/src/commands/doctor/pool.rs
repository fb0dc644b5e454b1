//! Checks of one pool: its keys, its models, and the media that it fetches.

use pool_shared::{FetchMedia, Fetcher, Hosts, KeyCheck, KeyId, KeyState, KeyVerdict, Pool, model_notices};

use super::findings::Findings;
use crate::{
    client::{Client, KeyFilter},
    ctx::Ctx,
    error::CliError,
    key_check::verdict_name,
    output::counted,
};

/// Warns of a pool that fetches media in a Worker whose fetches reach its own zone's origin.
pub(super) fn own_zone(pool: &Pool, findings: &mut Findings) {
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

/// Warns of model names that are routed to another model, or that are deprecated.
pub(super) fn models(pool: &Pool, findings: &mut Findings) {
    if !pool.enabled {
        return;
    }
    for notice in model_notices(&pool.allowed_models, &pool.settings) {
        findings.warn(
            &format!("models {}", pool.name),
            format!("{}: {}", notice.setting, notice.message),
            format!("poolctl pool models '{}'", pool.name),
        );
    }
}

pub(super) async fn examine(ctx: &Ctx, client: &Client, pool: &Pool, findings: &mut Findings, probe: bool) {
    let name = format!("pool {}", pool.name);
    if !pool.enabled {
        findings.warn(
            &name,
            "is disabled: its clients get 403",
            format!("poolctl pool enable '{}'", pool.name),
        );
        return;
    }
    if pool.enabled_keys == 0 {
        let remedy = format!("poolctl key import '{}' --keys FILE", pool.name);
        findings.fail(&name, format!("has no enabled keys ({} in total)", pool.keys), remedy);
        return;
    }
    let rejected =
        [KeyState::Invalid, KeyState::Leaked, KeyState::Suspended, KeyState::Billing, KeyState::Blocked];
    let bad: u64 = rejected.iter().filter_map(|state| pool.states.get(state)).sum();
    if bad > 0 {
        let remedy =
            format!("poolctl key list '{}' --state invalid,leaked,suspended,billing,blocked", pool.name);
        findings.warn(&name, format!("Gemini rejects {bad} of {}", counted(pool.keys, "key")), remedy);
    }
    if probe {
        probe_pool(ctx, client, pool, &name, findings).await;
    } else if bad == 0 {
        findings.pass(&name, enabled_keys(pool));
    }
}

/// Returns `3 enabled keys`.
fn enabled_keys(pool: &Pool) -> String {
    counted(pool.enabled_keys, "enabled key")
}

/// Checks one key of the pool, a healthy one if possible.
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
        KeyVerdict::Valid => findings.pass(name, format!("{message}, {}", enabled_keys(pool))),
        KeyVerdict::Limited | KeyVerdict::Error | KeyVerdict::Unknown => {
            findings.warn(
                name,
                said,
                format!("check the other keys: poolctl key check '{}' --all", pool.name),
            );
        }
        KeyVerdict::Unreachable => {
            findings.fail(name, said, "check GEMINI_BASE_URL, DNS and the proxy of the service");
        }
        _ => findings.fail(
            name,
            said,
            format!("poolctl key check '{}' --all, then remove the rejected keys", pool.name),
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
