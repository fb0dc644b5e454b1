//! The retry loop of one request: tries one key after another until one succeeds or no retry can help.

mod context;
mod errors;

use std::hash::{DefaultHasher, Hash, Hasher};

use jiff::Timestamp;
use pool_engine::{Cost, KeyState, Note, PoolState, RetryPlan, Step, Verdict};
use pool_shared::{AttemptOutcome, Event, GeminiKey, KeyId, PoolId};
use pool_translate::ApiError;

use crate::attempt::{Account, AttemptRecord};
use crate::health::{ProbeModels, probe_member};
use crate::platform::{Clock, MaybeSync, lock};
use crate::pools::PoolDirectory;
use crate::ports::Host;
use crate::reply::Reply;
use crate::upstream::Outbound;

pub(crate) use context::Context;

/// One request's attempts.
pub(crate) struct Attempts<'a, H, P> {
    context: &'a Context<'a, H, P>,
    plan: RetryPlan,
    cost: Cost,
    /// Content is asked for.
    generates: bool,
    /// How many attempts there were.
    made: u32,
    /// The key for the next attempt, if it is usable.
    wanted: Option<KeyId>,
    /// The place of the last key that was tried, and which model it was asked for.
    last: Option<(usize, usize)>,
    /// The verdict on the last key is one that a probe has to confirm.
    doubt: bool,
}

impl<'a, H: Host, P: MaybeSync> Attempts<'a, H, P> {
    /// Attempts on the first of `models`, then on those to fall back on.
    pub(crate) fn new(
        context: &'a Context<'a, H, P>,
        models: Vec<String>,
        affinity: Option<&str>,
        cost: Cost,
    ) -> Self {
        let affinity = affinity.map(|affinity| {
            let mut hasher = DefaultHasher::new();
            affinity.hash(&mut hasher);
            hasher.finish()
        });
        let plan = RetryPlan::new(models, affinity, cost, context.host.clock().now());
        Self { context, plan, cost, generates: true, made: 0, wanted: None, last: None, doubt: false }
    }

    /// Returns the same attempts, which ask for something else than content: a 404 may then say that the model lacks the method,
    /// which is no fault of a key.
    pub(crate) fn of_another_method(self) -> Self {
        Self { generates: false, ..self }
    }

    /// Returns the next key to try, and the record under which the attempt is counted; or what the client is
    /// told when there is none.
    pub(crate) async fn next(&mut self) -> Result<Attempt, ApiError> {
        if std::mem::take(&mut self.doubt) {
            // On the heap: it happens rarely, and every request's future would be as large.
            Box::pin(self.confirm()).await;
        }
        let Context { state, host, pool, caller, client_key, calls, log, .. } = self.context;
        loop {
            let now = host.clock().now();
            let step = {
                let mut runtimes = lock(&state.pools.states);
                let runtime = runtimes.of(&pool.id, now);
                let wanted = self.wanted.take().and_then(|key| self.take(runtime, &key, now));
                match wanted {
                    Some(step) => step,
                    None => self.plan.next(pool.key_set(), runtime, now, host.random()),
                }
            };
            let (index, lease, model) = match step {
                Step::Try { index, lease, model } => (index, lease, model),
                Step::Wait(time) => {
                    host.clock().sleep(time).await;
                    continue;
                }
                Step::Hear => {
                    state.reporter.fetch_observations(*host, &pool.id).await;
                    continue;
                }
                Step::GiveUp(exhausted) => {
                    log.unserved(self.plan.unserved_for());
                    return Err(errors::exhausted(*exhausted, &pool.name));
                }
            };
            let mut record = AttemptRecord::new(state, &pool.id, lease, now).for_request(
                caller.clone(),
                client_key.clone(),
                self.generates,
                log.clone(),
            );
            let model_id = self.plan.models().get(model).cloned().unwrap_or_default();
            let Some(stored) = pool.key(index) else {
                self.plan.not_sent();
                continue;
            };
            let key = match pool.decrypt(&stored) {
                Ok(key) => key,
                Err(error) => {
                    self.plan.not_sent();
                    state.reporter.note(Event {
                        at: now,
                        pool: pool.id.clone(),
                        key: stored.id,
                        model: model_id,
                        verdict: AttemptOutcome::Key,
                        message: error.to_string(),
                        count: 1,
                        quota: None,
                        unknown_text: false,
                        client_key: None,
                    });
                    continue;
                }
            };
            if cools_elsewhere(&state.pools, (&pool.id, &stored.id), &key, &model_id, now) {
                self.plan.not_sent();
                continue;
            }
            if !calls.take(1) {
                self.plan.not_sent();
                let last = self.plan.take_last_error(now);
                let error = last.map(|last| errors::exhausted(last, &pool.name));
                return Err(error.unwrap_or_else(|| calls.used_up()));
            }
            record.begin(Account { key: stored.id.clone(), model: model_id });
            self.made += 1;
            self.last = Some((index, model));
            let mark = Mark { key: stored.id, number: self.made };
            let egress = state.egress.at(now);
            return Ok(Attempt { outbound: Outbound { key, egress }, model, mark, record });
        }
    }

    /// Takes a certain key, if it is enabled and usable for the model.
    fn take(&mut self, runtime: &mut PoolState, key: &KeyId, now: Timestamp) -> Option<Step> {
        let index = self.context.pool.key_set().find(key)?;
        let model = self.plan.take(index, now)?;
        let name = self.plan.models().get(model).cloned().unwrap_or_default();
        let is_usable = match runtime.state(key, now) {
            Some(KeyState::Healthy) => true,
            Some(KeyState::Cooling(models)) => models.iter().all(|(cooling, ..)| *cooling != name),
            Some(KeyState::Unhealthy(_)) | None => false,
        };
        let lease = is_usable.then(|| runtime.check(key, &name, self.cost, now)).flatten();
        if lease.is_none() {
            self.plan.not_sent();
        }
        Some(Step::Try { index, lease: lease?, model })
    }

    /// Takes note of an error.
    pub(crate) fn refused(&mut self, verdict: &Verdict) {
        let Context { state, host, .. } = self.context;
        state.egress.refused(verdict.cause, *host);
        self.plan.refused(verdict);
        self.doubt = verdict.note == Note::Doubted;
    }

    /// Lets a probe with the service's own words decide about the last key: whatever the client wrote, the probe's error
    /// does not repeat it.
    async fn confirm(&self) {
        let Context { state, host, pool, client_key, calls, .. } = self.context;
        let key = self.last.and_then(|(place, _)| pool.key(place));
        let Some((stored, Ok(key))) = key.map(|stored| (stored.clone(), pool.decrypt(&stored))) else {
            return;
        };
        let asked = self.last.and_then(|(_, model)| self.plan.models().get(model));
        let models = ProbeModels::of(pool).asked_first(asked.map(String::as_str));
        let probe = if calls.take(models.len()) {
            Some(probe_member(state, *host, pool, &stored.id, &key, &models).await)
        } else {
            None
        };
        if let Some(client_key) = client_key {
            let confirmed = probe.is_some_and(|probe| {
                probe.is_denied_a_model || probe.refusal.is_some_and(|verdict| verdict.is_about_key())
            });
            let now = host.clock().now();
            lock(&state.pools.suspicions).decided(&client_key.tag(), confirmed, now);
        }
    }

    /// Takes note of an error after which the request was changed.
    pub(crate) fn resend(&mut self, verdict: &Verdict) {
        self.plan.resend(verdict);
    }

    /// Takes note of an error after which the same request goes to a certain key, if that is usable.
    pub(crate) fn resend_on(&mut self, key: KeyId, verdict: &Verdict) {
        self.plan.resend(verdict);
        self.wanted = Some(key);
    }

    /// The model of the attempt at hand cannot do what the request asks for.
    pub(crate) fn skip_model(&mut self) {
        self.plan.skip_model();
    }
}

/// One key, about to be tried.
pub(crate) struct Attempt {
    pub(crate) outbound: Outbound,
    /// Which of the request's models is asked.
    pub(crate) model: usize,
    pub(crate) mark: Mark,
    pub(crate) record: AttemptRecord,
}

/// Which attempt it is, for the client's eyes.
#[derive(Clone)]
pub(crate) struct Mark {
    key: KeyId,
    number: u32,
}

impl Mark {
    /// Returns the key.
    pub(crate) const fn key(&self) -> &KeyId {
        &self.key
    }

    /// Tells the client which key answered, by its id, and at which attempt.
    pub(crate) fn put_on<S>(&self, reply: Reply<S>) -> Reply<S> {
        reply.header("x-pool-key", self.key.as_str()).header("x-pool-attempts", &self.number.to_string())
    }
}

/// Takes over the cooldown that the same Gemini key has for a model in another pool. Returns `true` if it has one.
fn cools_elsewhere(
    pools: &PoolDirectory,
    (pool, id): (&PoolId, &KeyId),
    key: &GeminiKey,
    model: &str,
    now: Timestamp,
) -> bool {
    let place = (pool.clone(), id.clone());
    let others = lock(&pools.same_keys).others(&place, || pools.vault.key_digest(key));
    !others.is_empty() && lock(&pools.states).adopt(&place, &others, model, now)
}
