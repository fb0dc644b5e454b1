//! `GET /metrics`: counts, key states and pending reports in Prometheus's text format.
//!
//! The figures are those of `GET stats`, which the ledger adds up for all instances, so any
//! instance can be scraped. Only the pending reports are the instance's own. A small writer instead
//! of a client library: those keep registries of live metrics, of which there are none here.
//! Format: <https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use pool_shared::{Pool, PoolId, Quantiles};

use super::stats::unexpected;
use super::{AdminError, Context, HandlerResult, Response};
use crate::ledger::{Counted, LedgerReply, LedgerRequest, Summary};
use crate::ports::AdminHost;
use crate::store::ConfigStore;

/// The `content-type` of the format.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

impl<H: AdminHost> Context<'_, H> {
    pub(super) async fn metrics(&self) -> HandlerResult {
        let own = self.own_pool();
        let is_shown = |pool: &PoolId| own.is_none_or(|own| own == pool);
        let mut pools = self.host.store().pools().await?;
        pools.retain(|pool| is_shown(&pool.id));
        let unhealthy = self.unhealthy(None).await?;
        for pool in &mut pools {
            pool.states = unhealthy.count(pool);
        }
        let figures = match self.counted_pools().await {
            Ok((counted, lost)) => Some(Figures { counted, lost: lost.filter(|_| own.is_none()) }),
            // A scrape during an outage of the ledger shows the outage, and the remaining figures.
            Err(AdminError::Ledger(_)) => None,
            Err(error) => return Err(error),
        };
        let text = text(self.host.name(), &pools, figures.as_ref(), &self.admin.state.reporter.pending());
        Ok(Response { body: Some(text.into_bytes()), content_type: Some(CONTENT_TYPE), ..Response::OK })
    }

    /// Returns every pool's counts, and what was lost.
    async fn counted_pools(&self) -> Result<(BTreeMap<PoolId, Summary>, Option<Counted>), AdminError> {
        let (mut pools, mut lost) = (BTreeMap::<PoolId, Summary>::new(), Counted::default());
        for reply in self.ask_ledgers(&LedgerRequest::Pools).await? {
            let LedgerReply::Pools { pools: counted, lost: more } = reply else { return Err(unexpected()) };
            lost += more;
            for (pool, summary) in counted {
                pools.entry(pool).or_default().merge(&summary);
            }
        }
        Ok((pools, Some(lost)))
    }
}

/// The figures of the ledger.
struct Figures {
    counted: BTreeMap<PoolId, Summary>,
    /// Only for tokens of all pools: lost counts are not kept by pool.
    lost: Option<Counted>,
}

/// Writes the document.
fn text(
    host: &str,
    pools: &[Pool],
    figures: Option<&Figures>,
    pending: &BTreeMap<PoolId, Counted>,
) -> String {
    let mut out = Exposition::default();
    let version = [("version", env!("CARGO_PKG_VERSION")), ("host", host)];
    out.family("pool_service_info", "gauge", "The version of the service and its host.");
    out.sample("pool_service_info", &version, 1);
    out.family("pool_ledger_up", "gauge", "Whether the ledger answers: without it there are no counts.");
    out.sample("pool_ledger_up", &[], u8::from(figures.is_some()));
    out.family("pool_keys", "gauge", "Gemini keys by their state.");
    for pool in pools {
        for (state, count) in &pool.states {
            out.sample("pool_keys", &of(pool, &[("state", state.name())]), count);
        }
    }
    if let Some(Figures { counted, lost }) = figures {
        counts(&mut out, pools, counted);
        if let Some(lost) = lost {
            let what = "that were never counted (upper bound): their report was lost.";
            out.family("pool_lost_requests_total", "counter", &format!("Requests of clients {what}"));
            out.sample("pool_lost_requests_total", &[], lost.requests);
            out.family("pool_lost_attempts_total", "counter", &format!("Attempts {what}"));
            out.sample("pool_lost_attempts_total", &[], lost.attempts);
        }
    }
    let what = "that the ledger has not acknowledged yet, of the scraped instance.";
    let pending = |pool: &Pool| pending.get(&pool.id).copied().unwrap_or_default();
    out.family("pool_pending_requests", "gauge", &format!("Requests of clients {what}"));
    for pool in pools {
        out.sample("pool_pending_requests", &of(pool, &[]), pending(pool).requests);
    }
    out.family("pool_pending_attempts", "gauge", &format!("Attempts {what}"));
    for pool in pools {
        out.sample("pool_pending_attempts", &of(pool, &[]), pending(pool).attempts);
    }
    out.0
}

fn counts(out: &mut Exposition, pools: &[Pool], counted: &BTreeMap<PoolId, Summary>) {
    let nothing = Summary::default();
    let rows: Vec<_> = pools.iter().map(|pool| (pool, counted.get(&pool.id).unwrap_or(&nothing))).collect();
    let requests: Vec<_> = rows.iter().map(|(pool, summary)| (*pool, summary.request_stats())).collect();

    let name = "pool_requests_total";
    out.family(name, "counter", "Requests of clients, by how they ended for the client.");
    for (pool, stats) in &requests {
        for outcome in pool_shared::RequestOutcome::ALL {
            let count = stats.outcomes.get(&outcome).copied().unwrap_or_default();
            out.sample(name, &of(pool, &[("outcome", outcome.name())]), count);
        }
    }
    let name = "pool_requests_without_attempt_total";
    out.family(name, "counter", "Requests of clients that took no attempt.");
    for (pool, stats) in &requests {
        out.sample(name, &of(pool, &[]), stats.attempts.get(&0).copied().unwrap_or_default());
    }
    let name = "pool_request_duration_seconds";
    out.family(name, "summary", "From a request to the end of its response, of the succeeded ones.");
    for (pool, stats) in &requests {
        out.quantiles(name, pool, stats.latency.as_ref());
    }
    let name = "pool_attempts_total";
    out.family(name, "counter", "Attempts: calls of Gemini, by how they ended.");
    for (pool, summary) in &rows {
        for (outcome, count) in summary.activity().outcomes {
            out.sample(name, &of(pool, &[("outcome", outcome.name())]), count);
        }
    }
    let name = "pool_attempt_first_byte_seconds";
    out.family(name, "summary", "From an attempt to the first piece of its response, of the succeeded ones.");
    for (pool, summary) in &rows {
        out.quantiles(name, pool, summary.activity().latency.first_byte.as_ref());
    }
    let name = "pool_tokens_total";
    out.family(
        name,
        "counter",
        "Tokens as Gemini counted them; cached ones are of the prompts, thoughts of the completions.",
    );
    for (pool, summary) in &rows {
        let counters = summary.counters();
        for (kind, count) in [
            ("prompt", counters.prompt_tokens),
            ("completion", counters.completion_tokens),
            ("cached", counters.cached_tokens),
            ("thought", counters.thought_tokens),
        ] {
            out.sample(name, &of(pool, &[("kind", kind)]), count);
        }
    }
}

/// Returns a pool's labels, and further ones.
fn of<'a>(pool: &'a Pool, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let own = [("pool", pool.name.as_str()), ("pool_id", pool.id.as_str())];
    own.into_iter().chain(more.iter().copied()).collect()
}

/// A writer of the format.
#[derive(Default)]
struct Exposition(String);

impl Exposition {
    /// Begins a family; all its samples follow.
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string cannot fail.
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        self.0.push_str(name);
        for (place, (label, text)) in labels.iter().enumerate() {
            self.0.push(if place == 0 { '{' } else { ',' });
            let text = text.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n");
            let _ = write!(self.0, "{label}=\"{text}\"");
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        let _ = writeln!(self.0, " {value}");
    }

    /// Writes the quantiles and the count of a summary; nothing if nothing was measured.
    fn quantiles(&mut self, name: &str, pool: &Pool, quantiles: Option<&Quantiles>) {
        let Some(Quantiles { count, p50_ms, p95_ms, p99_ms }) = quantiles else { return };
        for (quantile, milliseconds) in [("0.5", p50_ms), ("0.95", p95_ms), ("0.99", p99_ms)] {
            let seconds = format!("{:.6}", milliseconds / 1_000.0);
            self.sample(name, &of(pool, &[("quantile", quantile)]), seconds);
        }
        self.sample(&format!("{name}_count"), &of(pool, &[]), count);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use pool_shared::{AttemptOutcome, KeyState, RequestOutcome};
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::ledger::{CounterRow, RequestCounterRow};

    fn pool(name: &str) -> Pool {
        let pool = json!({
            "id": "pool-1", "name": name, "enabled": true, "keys": 3, "enabled_keys": 2, "version": 1,
            "aliases": {}, "fallbacks": {}, "sticky": false, "states": {"healthy": 2, "disabled": 1},
            "created_at": "2026-11-03T12:00:00Z", "updated_at": "2026-11-03T12:00:00Z",
        });
        serde_json::from_value(pool).unwrap()
    }

    fn figures() -> Figures {
        let mut summary = Summary::default();
        let mut row = CounterRow { attempts: 3, prompt_tokens: 30, ..CounterRow::default() };
        row.first_byte.record(250);
        summary.count(AttemptOutcome::Ok, &row);
        let took = Some(std::time::Duration::from_secs(2));
        summary.requests().count(RequestOutcome::Ok, &RequestCounterRow::one(2, took));
        summary.requests().count(RequestOutcome::ServerError, &RequestCounterRow::one(0, None));
        let lost = Some(Counted { attempts: 5, requests: 4 });
        Figures { counted: BTreeMap::from([(PoolId::new("pool-1"), summary)]), lost }
    }

    /// A name, labels, a value.
    type Sample = (String, Vec<(String, String)>, f64);

    /// Parses the format strictly: names, labels with their escapes, values; each family once and
    /// contiguous.
    fn read(text: &str) -> Vec<Sample> {
        let is_name = |name: &str| {
            name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
                && name.starts_with(|c: char| c.is_ascii_alphabetic())
        };
        let (mut samples, mut families, mut family) = (Vec::new(), BTreeSet::new(), String::new());
        assert!(text.ends_with('\n'));
        let mut lines = text.split_terminator('\n');
        while let Some(line) = lines.next() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, what) = help.split_once(' ').unwrap();
                assert!(is_name(name) && !what.is_empty() && families.insert(name.to_owned()), "{line}");
                let kind = lines.next().unwrap().strip_prefix(&format!("# TYPE {name} ")).unwrap();
                assert!(["counter", "gauge", "summary"].contains(&kind), "{kind}");
                assert!(kind != "counter" || name.ends_with("_total"), "{name}");
                name.clone_into(&mut family);
                continue;
            }
            let end = line.find(['{', ' ']).unwrap();
            let (name, mut rest) = line.split_at(end);
            assert!(is_name(name) && (name == family || name == format!("{family}_count")), "{line}");
            let mut labels = Vec::new();
            while let Some(more) = rest.strip_prefix(['{', ',']) {
                let (label, more) = more.split_once("=\"").unwrap();
                assert!(is_name(label), "{line}");
                let (mut value, mut chars) = (String::new(), more.char_indices());
                let end = loop {
                    match chars.next().unwrap() {
                        (at, '"') => break at,
                        (_, '\\') => value.push(match chars.next().unwrap().1 {
                            'n' => '\n',
                            escaped @ ('\\' | '"') => escaped,
                            other => panic!("\\{other}"),
                        }),
                        (_, plain) => value.push(plain),
                    }
                };
                labels.push((label.to_owned(), value));
                rest = &more[end + 1..];
            }
            let value = rest.strip_prefix('}').unwrap_or(rest).strip_prefix(' ').unwrap().parse().unwrap();
            samples.push((name.to_owned(), labels, value));
        }
        samples
    }

    fn value(samples: &[Sample], name: &str, label: &str) -> f64 {
        let has =
            |labels: &[(String, String)]| label.is_empty() || labels.iter().any(|(_, value)| value == label);
        samples.iter().find(|(other, labels, _)| other == name && has(labels)).unwrap().2
    }

    #[test]
    fn everything_is_told_in_the_format() {
        let pending = BTreeMap::from([(PoolId::new("pool-1"), Counted { attempts: 2, requests: 1 })]);
        let samples = read(&text("native", &[pool("prod")], Some(&figures()), &pending));
        for (name, label, expected) in [
            ("pool_service_info", "native", 1.0),
            ("pool_ledger_up", "", 1.0),
            ("pool_keys", KeyState::Healthy.name(), 2.0),
            ("pool_requests_total", "ok", 1.0),
            ("pool_requests_total", "server_error", 1.0),
            ("pool_requests_total", "truncated", 0.0),
            ("pool_requests_without_attempt_total", "prod", 1.0),
            ("pool_request_duration_seconds_count", "prod", 1.0),
            ("pool_attempts_total", "ok", 3.0),
            ("pool_tokens_total", "prompt", 30.0),
            ("pool_lost_requests_total", "", 4.0),
            ("pool_lost_attempts_total", "", 5.0),
            ("pool_pending_requests", "pool-1", 1.0),
            ("pool_pending_attempts", "pool-1", 2.0),
        ] {
            assert!((value(&samples, name, label) - expected).abs() < 1e-9, "{name} {label}: {samples:?}");
        }
        assert!((value(&samples, "pool_request_duration_seconds", "0.95") - 2.0).abs() < 0.1);
        assert!((value(&samples, "pool_attempt_first_byte_seconds", "0.5") - 0.25).abs() < 0.02);
    }

    #[test]
    fn without_the_ledger_what_is_known_is_told() {
        let samples = read(&text("native", &[pool("prod")], None, &BTreeMap::new()));
        assert!(value(&samples, "pool_ledger_up", "").abs() < 1e-9);
        assert!(!samples.iter().any(|(name, ..)| name.ends_with("_total")));
        assert!(value(&samples, "pool_pending_attempts", "prod").abs() < 1e-9);
    }

    proptest! {
        #[test]
        fn any_name_of_a_pool_is_a_label(name in "\\PC*|[\\x00-\\x7f]{0,20}") {
            let samples = read(&text("native", &[pool(&name)], Some(&figures()), &BTreeMap::new()));
            let named = samples.iter().flat_map(|(_, labels, _)| labels).filter(|(label, _)| label == "pool");
            prop_assert!(named.map(|(_, value)| value).all(|value| *value == name));
        }
    }
}
