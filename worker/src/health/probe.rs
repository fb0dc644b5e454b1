//! A smallest request that tells whether a key works.
//!
//! In: a key, in clear or of a snapshot. Out: what Gemini said; of a pool's key it is counted and learnt as
//! from any attempt. The request has to be one that spends: Gemini lists its models to keys that it rejects
//! everything else. What must never happen here: a key blamed for a model that nobody has.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use pool_shared::{EXAMPLE_MODEL, GeminiKey, KeyId};

use crate::attempt::{Account, AttemptRecord};
use crate::platform::lock;
use crate::platform::{Clock, Random};
use crate::pools::Snapshot;
use crate::ports::Host;
use crate::state::ServiceState;
use crate::upstream::{Outbound, UpstreamTimeouts, fetch};
use pool_engine::{AttemptEnd, BlockReason, Cause, Cost, Lease, Verdict};
use pool_translate::ApiError;
use pool_translate::Usage;
use pool_translate::gemini::{GenerateResponse, Method, ModelId};
use pool_translate::json;

/// Models that cost little. Google takes models away, so there are several; `-latest` names stay.
const USUAL_MODELS: [&str; 5] = [
    "gemini-3.5-flash-lite",
    "gemini-flash-lite-latest",
    "gemini-flash-latest",
    EXAMPLE_MODEL,
    "gemini-2.5-flash-lite",
];
/// Models that are tried until one is known: each one too many is a further call.
const MOST_MODELS: usize = 4;
/// How long a probe waits for its answer, whatever a client's request may take.
const TIMEOUT: Duration = Duration::from_secs(20);
/// How long a request waits for a probe of a key that was rejected to it. Google rejects a key within 0.2 s.
const TIMEOUT_OF_A_REQUEST: Duration = Duration::from_secs(5);
/// Models that such a probe asks at most.
const MOST_MODELS_OF_A_REQUEST: usize = 2;
const PROMPT: &str =
    r#"{"contents":[{"role":"user","parts":[{"text":"hi"}]}],"generationConfig":{"maxOutputTokens":1}}"#;
/// What it uses up of its key's quotas.
const COST: Cost = Cost { requests: 1, tokens: 2 };

/// The models to probe a pool's keys with. What one probe finds out about them the next ones heed.
pub(crate) struct ProbeModels {
    models: Vec<ModelId>,
    first_known: AtomicUsize,
    timeout: Duration,
}

impl ProbeModels {
    /// Models that the pool may use: cheap ones, then those that it names. A pool that may use none of
    /// them is probed with the cheap ones all the same: its list is for clients.
    pub(crate) fn of(pool: &Snapshot) -> Self {
        let allowed = |name: &&str| pool.models.allow(name);
        let own = pool.models.names().chain(pool.settings.aliases.values().map(String::as_str));
        let mut names: Vec<&str> = USUAL_MODELS.into_iter().chain(own).filter(allowed).collect();
        if names.is_empty() {
            names.extend(USUAL_MODELS);
        }
        let mut models: Vec<ModelId> = Vec::new();
        for model in names.into_iter().filter_map(|name| ModelId::parse(name).ok()) {
            if models.len() < MOST_MODELS && !models.contains(&model) {
                models.push(model);
            }
        }
        Self { models, first_known: AtomicUsize::new(0), timeout: TIMEOUT }
    }

    /// Models for a probe that a request waits for: first the model that the request asked, since some keys are rejected
    /// for some models only.
    pub(crate) fn asked_first(mut self, model: Option<&str>) -> Self {
        if let Some(model) = model.and_then(|model| ModelId::parse(model).ok()) {
            self.models.retain(|other| *other != model);
            self.models.insert(0, model);
        }
        self.models.truncate(MOST_MODELS_OF_A_REQUEST);
        self.timeout = TIMEOUT_OF_A_REQUEST;
        self
    }

    /// Returns how many calls a probe makes at most.
    pub(crate) const fn len(&self) -> usize {
        self.models.len()
    }
}

/// What Gemini said to a probe.
pub(crate) struct Probe {
    /// The model that was asked last.
    pub(crate) model: Option<ModelId>,
    /// Why it rejected, if it did.
    pub(crate) refusal: Option<Verdict>,
    /// One model was rejected to the key, and another one was not.
    pub(crate) is_denied_a_model: bool,
}

/// Probes a key that belongs to no pool: nothing is learnt or counted.
pub(crate) async fn probe<H: Host>(
    state: &ServiceState,
    host: &H,
    key: &GeminiKey,
    models: &ProbeModels,
) -> Probe {
    probe_each(state, host, key, models, None).await
}

/// Probes a key of a pool. Each call is counted as an attempt, and what Gemini says is learnt.
pub(crate) async fn probe_member<H: Host>(
    state: &Arc<ServiceState>,
    host: &H,
    pool: &Snapshot,
    id: &KeyId,
    key: &GeminiKey,
    models: &ProbeModels,
) -> Probe {
    probe_each(state, host, key, models, Some(Member { state, pool, id })).await
}

/// A key of a pool.
#[derive(Clone, Copy)]
struct Member<'a> {
    state: &'a Arc<ServiceState>,
    pool: &'a Snapshot,
    id: &'a KeyId,
}

impl Member<'_> {
    fn begin<H: Host>(self, host: &H, model: &ModelId) -> Option<AttemptRecord> {
        let Self { state, pool, id } = self;
        let now = host.clock().now();
        let lease = self.lease(model, COST, now)?;
        let mut record = AttemptRecord::new(state, &pool.id, lease, now);
        record.begin(Account { key: id.clone(), model: model.as_str().to_owned() });
        Some(record)
    }

    fn lease(self, model: &ModelId, cost: Cost, now: Timestamp) -> Option<Lease> {
        let mut states = lock(&self.state.pools.states);
        let runtime = states.of(&self.pool.id, now);
        runtime.register_keys(self.pool.key_set(), now);
        runtime.check(self.id, model.as_str(), cost, now)
    }

    /// Excludes the key for one model.
    fn lacks<H: Host>(self, host: &H, model: &ModelId, verdict: Verdict) {
        let now = host.clock().now();
        let verdict = verdict.no_access(now, host.random().next_u64());
        if let Some(lease) = self.lease(model, Cost::default(), now) {
            let end = AttemptEnd::Refused(&verdict);
            lock(&self.state.pools.states).of(&self.pool.id, now).finish(&lease, &end, now);
        }
    }
}

async fn probe_each<H: Host>(
    state: &ServiceState,
    host: &H,
    key: &GeminiKey,
    models: &ProbeModels,
    member: Option<Member<'_>>,
) -> Probe {
    let first = models.first_known.load(Ordering::Relaxed);
    let mut probe = Probe { model: None, refusal: Some(no_model()), is_denied_a_model: false };
    let mut denied: Option<(ModelId, Verdict)> = None;
    for (place, model) in models.models.iter().enumerate().skip(first) {
        let record = member.and_then(|member| member.begin(host, model));
        let outbound = Outbound { key: key.clone(), egress: state.egress.at(host.clock().now()) };
        let answer = ask(host, outbound, model, models.timeout).await;
        // Nothing in an error that responds to it is a client's.
        let refusal = match (answer.map_err(Verdict::of_own_words), record) {
            (Ok(usage), record) => {
                if let Some(record) = record {
                    record.succeeded(&usage, host);
                }
                None
            }
            (Err(verdict), Some(record)) => Some(record.failed(verdict, &Usage::default(), host)),
            (Err(verdict), None) => Some(verdict),
        };
        let cause = refusal.as_ref().map(|verdict| verdict.cause);
        if let Some(cause) = cause {
            state.egress.refused(cause, host);
        }
        probe = Probe { model: Some(model.clone()), refusal, is_denied_a_model: false };
        match cause {
            Some(Cause::UnknownModel) => drop(models.first_known.fetch_max(place + 1, Ordering::Relaxed)),
            // Closed to this key only.
            Some(Cause::NewUsers | Cause::NoAccess) => {}
            // Of the key, or of this model for the key: another model tells.
            Some(Cause::Blocked(BlockReason::Permission)) if denied.is_none() => {
                denied = probe.refusal.clone().map(|verdict| (model.clone(), verdict));
            }
            _ => break,
        }
    }
    match (denied, &probe.refusal) {
        (Some((model, verdict)), None) => {
            if let Some(member) = member {
                member.lacks(host, &model, verdict);
            }
            Probe { is_denied_a_model: true, ..probe }
        }
        // No model was there to tell.
        (Some((model, verdict)), Some(last)) if !last.is_about_key() => {
            Probe { model: Some(model), refusal: Some(verdict), is_denied_a_model: false }
        }
        _ => probe,
    }
}

async fn ask<H: Host>(
    host: &H,
    outbound: Outbound,
    model: &ModelId,
    timeout: Duration,
) -> Result<Usage, Verdict> {
    let request = if model.as_str().contains("embedding") {
        let name = model.resource();
        let body =
            format!(r#"{{"requests":[{{"model":"{name}","content":{{"parts":[{{"text":"hi"}}]}}}}]}}"#);
        outbound.post(Method::BatchEmbed.path(model), body.into())
    } else {
        outbound.post(Method::Generate.path(model), Bytes::from_static(PROMPT.as_bytes()))
    };
    let timeouts = UpstreamTimeouts { headers: timeout, total: timeout, idle: timeout };
    let body = fetch(host, timeouts, request).await?;
    // A response is a response, whatever is in it; only its cost is of interest.
    let answer: Option<GenerateResponse> = json::read(&body).ok();
    let usage = answer.as_ref().and_then(|answer| answer.usage_metadata.as_ref());
    Ok(usage.map(Usage::from).unwrap_or_default())
}

/// Others have found out that Gemini has none of the models.
fn no_model() -> Verdict {
    Verdict::of(Cause::UnknownModel, ApiError::model_not_found(&USUAL_MODELS.join(", ")))
}
