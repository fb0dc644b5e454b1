//! One key after another, until an answer is there or there is no sense in going on.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use jiff::Timestamp;
use pool_shared::{AttemptOutcome, Event, GeminiKey, KeyId, PoolId};

use super::Context;
use super::callers::Caller;
use super::probe::{ProbeModels, probe_member};
use super::suspicions::Belief;
use crate::crypto::TokenHash;
use crate::gemini::redact_keys;
use crate::host::{Clock, Credential, Egress, Host, JSON, Random, UpstreamRequest};
use crate::ledger::{Attempt as CountedAttempt, UNKNOWN_MODEL};
use crate::log::{LoggedAttempt, RequestLog};
use crate::openai::ApiError;
use crate::pool::{AttemptEnd, AttemptPlan, Cause, Cost, KeyState, Lease, Note, Runtime, Step, Verdict};
use crate::reply::Reply;
use crate::service::{Service, lock};
use crate::translate::Usage;

/// What operators are told of a client key whose suspicions are not believed.
const NOT_BELIEVED: &str = "Requests of this client key cause errors that look like verdicts on Gemini keys, and probes of \
                            these keys disproved them. For a minute such errors are returned to the client.";

/// One request's attempts.
pub(super) struct Attempts<'a, H> {
    context: &'a Context<'a, H>,
    plan: AttemptPlan,
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

impl<'a, H: Host> Attempts<'a, H> {
    /// Attempts on the first of `models`, then on those to fall back on.
    pub(super) fn new(
        context: &'a Context<'a, H>,
        models: Vec<String>,
        affinity: Option<&str>,
        cost: Cost,
    ) -> Self {
        let affinity = affinity.map(|affinity| {
            let mut hasher = DefaultHasher::new();
            affinity.hash(&mut hasher);
            hasher.finish()
        });
        let plan = AttemptPlan::new(models, affinity, cost, context.host.clock().now());
        Self { context, plan, cost, generates: true, made: 0, wanted: None, last: None, doubt: false }
    }

    /// The same attempts, which ask for something else than content: a 404 may then say that the model lacks the method,
    /// which is no fault of a key.
    pub(super) fn of_another_method(self) -> Self {
        Self { generates: false, ..self }
    }

    /// The next key to try, and the record under which the attempt is counted; or what the caller is
    /// told when there is none.
    pub(super) async fn next(&mut self) -> Result<Attempt, ApiError> {
        if std::mem::take(&mut self.doubt) {
            // On the heap: it happens rarely, and every request's future would be as large.
            Box::pin(self.confirm()).await;
        }
        let Context { service, host, pool, caller, client_key, calls, log, .. } = self.context;
        loop {
            let now = host.clock().now();
            let step = {
                let mut runtimes = lock(&service.runtimes);
                let runtime = runtimes.of(&pool.id, now);
                let wanted = self.wanted.take().and_then(|key| self.take(runtime, &key, now));
                match wanted {
                    Some(step) => step,
                    None => self.plan.next(&pool.name, pool.roster(), runtime, now, host.random()),
                }
            };
            let (index, lease, model) = match step {
                Step::Try { index, lease, model } => (index, lease, model),
                Step::Wait(time) => {
                    host.clock().sleep(time).await;
                    continue;
                }
                Step::Hear => {
                    service.hear_of(*host, &pool.id).await;
                    continue;
                }
                Step::Answer(answer) => {
                    log.unserved(self.plan.unserved_for());
                    return Err(*answer);
                }
            };
            let mut record = AttemptRecord {
                service: Arc::clone(service),
                pool: pool.id.clone(),
                caller: caller.clone(),
                client_key: client_key.clone(),
                generates: self.generates,
                log: log.clone(),
                lease: Some(lease),
                account: None,
                tokens: 0,
                began: now,
                received: None,
            };
            let model_id = self.plan.models().get(model).cloned().unwrap_or_default();
            let Some(stored) = pool.key(index) else {
                self.plan.not_sent();
                continue;
            };
            let key = match pool.open(&stored) {
                Ok(key) => key,
                Err(error) => {
                    self.plan.not_sent();
                    service.note(Event {
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
            if cools_elsewhere(service, (&pool.id, &stored.id), &key, &model_id, now) {
                self.plan.not_sent();
                continue;
            }
            if !calls.take(1) {
                self.plan.not_sent();
                return Err(self.plan.last_answer(now).unwrap_or_else(|| calls.used_up()));
            }
            record.begin(Account { key: stored.id.clone(), model: model_id });
            self.made += 1;
            self.last = Some((index, model));
            let mark = Mark { key: stored.id, number: self.made };
            let egress = service.egress.at(now);
            return Ok(Attempt { outbound: Outbound { key, egress }, model, mark, record });
        }
    }

    /// Takes a certain key, if it is enabled and usable for the model.
    fn take(&mut self, runtime: &mut Runtime, key: &KeyId, now: Timestamp) -> Option<Step> {
        let index = self.context.pool.roster().find(key)?;
        let model = self.plan.take(index, now)?;
        let name = self.plan.models().get(model).cloned().unwrap_or_default();
        let is_usable = match runtime.state(key, now) {
            Some(KeyState::Healthy) => true,
            Some(KeyState::Cooling(models)) => models.iter().all(|(cooling, ..)| *cooling != name),
            Some(KeyState::Standing(_)) | None => false,
        };
        let lease = is_usable.then(|| runtime.check(key, &name, self.cost, now)).flatten();
        if lease.is_none() {
            self.plan.not_sent();
        }
        Some(Step::Try { index, lease: lease?, model })
    }

    /// Takes note of a refusal.
    pub(super) fn refused(&mut self, verdict: &Verdict) {
        let Context { service, host, .. } = self.context;
        service.egress.refused(verdict.cause, *host);
        self.plan.refused(verdict);
        self.doubt = verdict.note == Note::Doubted;
    }

    /// Lets a probe with the service's own words decide about the last key: whatever the client wrote, the probe's error
    /// does not repeat it.
    async fn confirm(&self) {
        let Context { service, host, pool, client_key, calls, .. } = self.context;
        let key = self.last.and_then(|(place, _)| pool.key(place));
        let Some((stored, Ok(key))) = key.map(|stored| (stored.clone(), pool.open(&stored))) else { return };
        let asked = self.last.and_then(|(_, model)| self.plan.models().get(model));
        let models = ProbeModels::of(pool).asked_first(asked.map(String::as_str));
        let probe = if calls.take(models.len()) {
            Some(probe_member(service, *host, pool, &stored.id, &key, &models).await)
        } else {
            None
        };
        if let Some(client_key) = client_key {
            let confirmed = probe.is_some_and(|probe| {
                probe.is_denied_a_model || probe.refusal.is_some_and(|verdict| verdict.is_about_key())
            });
            let now = host.clock().now();
            lock(&service.suspicions).decided(&client_key.tag(), confirmed, now);
        }
    }

    /// Takes note of a refusal after which the request was changed.
    pub(super) fn resend(&mut self, verdict: &Verdict) {
        self.plan.resend(verdict);
    }

    /// Takes note of a refusal after which the same request goes to a certain key, if that is usable.
    pub(super) fn resend_on(&mut self, key: KeyId, verdict: &Verdict) {
        self.plan.resend(verdict);
        self.wanted = Some(key);
    }

    /// The model of the attempt at hand cannot do what the request asks for.
    pub(super) fn skip_model(&mut self) {
        self.plan.skip_model();
    }
}

/// One key, about to be tried.
pub(super) struct Attempt {
    pub(super) outbound: Outbound,
    /// Which of the request's models is asked.
    pub(super) model: usize,
    pub(super) mark: Mark,
    pub(super) record: AttemptRecord,
}

/// Who calls Gemini, and from where.
#[derive(Clone)]
pub(super) struct Outbound {
    pub(super) key: GeminiKey,
    pub(super) egress: Egress,
}

impl Outbound {
    /// A GET.
    pub(super) fn get(self, path: String) -> UpstreamRequest {
        let Self { key, egress } = self;
        let credential = Credential::default();
        UpstreamRequest { method: Method::GET, path, key, credential, body: None, content_type: JSON, egress }
    }

    /// A POST of a JSON body.
    pub(super) fn post(self, path: String, body: Bytes) -> UpstreamRequest {
        UpstreamRequest { method: Method::POST, body: Some(body), ..self.get(path) }
    }
}

/// Which attempt it is, for the caller's eyes.
#[derive(Clone)]
pub(super) struct Mark {
    key: KeyId,
    number: u32,
}

impl Mark {
    /// The key.
    pub(super) const fn key(&self) -> &KeyId {
        &self.key
    }

    /// Tells the caller which key answered, by its id, and at which attempt.
    pub(super) fn put_on<H: Host>(&self, reply: Reply<H>) -> Reply<H> {
        reply.header("x-pool-key", self.key.as_str()).header("x-pool-attempts", &self.number.to_string())
    }
}

/// Counts one attempt exactly once and gives its lease back: as told, or as left by the client, which
/// blames nobody, when it is dropped before its end.
pub(super) struct AttemptRecord {
    service: Arc<Service>,
    pool: PoolId,
    caller: Option<Caller>,
    /// Whose request it is; none for what the service does on its own.
    client_key: Option<TokenHash>,
    /// Content is asked for.
    generates: bool,
    log: RequestLog,
    lease: Option<Lease>,
    account: Option<Account>,
    /// Input tokens of the calls before the last one.
    tokens: u64,
    began: Timestamp,
    /// When the first and the last piece of the answer came.
    received: Option<(Timestamp, Timestamp)>,
}

/// Where an attempt is counted.
#[derive(Clone)]
struct Account {
    key: KeyId,
    model: String,
}

impl AttemptRecord {
    /// The record of an attempt on one certain key.
    pub(super) fn of_key(
        service: &Arc<Service>,
        pool: &PoolId,
        lease: Lease,
        key: &KeyId,
        model: &str,
        now: Timestamp,
    ) -> Self {
        let mut record = Self {
            service: Arc::clone(service),
            pool: pool.clone(),
            caller: None,
            client_key: None,
            generates: true,
            log: RequestLog::default(),
            lease: Some(lease),
            account: None,
            tokens: 0,
            began: now,
            received: None,
        };
        record.begin(Account { key: key.clone(), model: model.to_owned() });
        record
    }

    /// From here on the ledger is owed an attempt.
    fn begin(&mut self, account: Account) {
        self.service.owed.begin();
        self.account = Some(account);
    }

    /// A piece of the answer is there: what the attempt took is measured up to the last one.
    pub(super) fn received(&mut self, now: Timestamp) {
        let first = self.received.map_or(now, |(first, _)| first);
        self.received = Some((first, now));
    }

    /// The attempt reached its end.
    pub(super) fn succeeded<H: Host>(mut self, usage: &Usage, host: &H) {
        self.count(AttemptOutcome::Ok, usage);
        let tokens = Some(self.tokens + usage.prompt).filter(|tokens| *tokens > 0);
        self.finish(&AttemptEnd::Success { tokens, generated: self.generates }, host.clock().now());
    }

    /// Tells the operators, once an hour for each pool, that Gemini spent all output tokens that a client allowed on
    /// thoughts, which are billed.
    pub(super) fn note_spent_on_thoughts<H: Host>(&self, usage: &Usage, host: &H) {
        let Some(Account { key, model }) = self.account.clone() else { return };
        let now = host.clock().now();
        if !lock(&self.service.hints).is_due(&self.pool, now) {
            return;
        }
        let message = format!(
            "A response ended at its limit of output tokens without any text: all {} were spent on thoughts, which \
             are billed. Clients should raise max_tokens, or the pool's setting min_output_tokens can.",
            usage.completion
        );
        self.service.note(Event {
            at: now,
            pool: self.pool.clone(),
            key,
            model,
            verdict: AttemptOutcome::Ok,
            message,
            count: 1,
            quota: None,
            unknown_text: false,
            client_key: None,
        });
    }

    /// It did not; `usage` is what Gemini said it cost all the same. Operators are shown why, except for
    /// the caller's own mistakes, which are none of theirs and may repeat what the caller wrote. Gives
    /// the verdict back, as far as it is believed.
    pub(super) fn failed<H: Host>(mut self, verdict: Verdict, usage: &Usage, host: &H) -> Verdict {
        let now = host.clock().now();
        let (mut verdict, is_learnt) = self.weigh(verdict, host);
        let outcome = outcome_of(verdict.cause);
        if verdict.cause == Cause::UnknownModel
            && let Some(account) = &mut self.account
        {
            UNKNOWN_MODEL.clone_into(&mut account.model);
        }
        if outcome != AttemptOutcome::Caller {
            self.note(outcome, redact_keys(&verdict.answer.message), &verdict);
        }
        self.count(outcome, usage);
        if is_learnt {
            if self.finish(&AttemptEnd::Refused(&verdict), now) && verdict.needs_probe() {
                verdict.note = Note::Doubted;
            }
        } else if let Some(lease) = self.lease.take() {
            lock(&self.service.runtimes).of(&self.pool, now).abandon(&lease);
        }
        verdict
    }

    /// What is believed of a verdict, and whether anything is learnt of it.
    fn weigh<H: Host>(&self, verdict: Verdict, host: &H) -> (Verdict, bool) {
        let now = host.clock().now();
        // The same text says that a model does not exist and that it lacks the method.
        if verdict.note == Note::ModelNotFound
            && self.generates
            && let Some(Account { key, model }) = &self.account
        {
            let listed = lock(&self.service.models).lists_generating(&self.pool, model);
            let runtime_knows =
                lock(&self.service.runtimes).of(&self.pool, now).lacks_access(key, model, listed, now);
            return if runtime_knows {
                (verdict.no_access(now, host.random().next_u64()), true)
            } else {
                (verdict, true)
            };
        }
        let Some(client_key) = self.client_key.as_ref().filter(|_| verdict.needs_probe()) else {
            return (verdict, true);
        };
        let belief = lock(&self.service.suspicions).suspect(&client_key.tag(), now);
        match belief {
            Belief::Believed => (verdict, true),
            Belief::Undecided => (verdict, false),
            Belief::NotBelieved { first } => {
                let verdict = verdict.not_believed();
                if first {
                    self.note(AttemptOutcome::Caller, NOT_BELIEVED.to_owned(), &verdict);
                }
                (verdict, true)
            }
        }
    }

    /// Tells operators what became of the attempt.
    fn note(&self, outcome: AttemptOutcome, message: String, verdict: &Verdict) {
        let Some(Account { key, model }) = self.account.clone() else { return };
        let pool = lock(&self.service.snapshots).get(&self.pool);
        let client_key = self.client_key.as_ref().filter(|_| outcome == AttemptOutcome::Caller);
        self.service.note(Event {
            at: self.began,
            pool: self.pool.clone(),
            key,
            model,
            verdict: outcome,
            message,
            count: 1,
            quota: verdict.quota.clone(),
            unknown_text: verdict.note == Note::UnknownQuotaText,
            client_key: client_key.and_then(|hash| pool?.client_key_id(hash).cloned()),
        });
    }

    /// The client left before the end, when Gemini had said that it cost this much.
    pub(super) fn left(mut self, usage: &Usage) {
        self.count(AttemptOutcome::ClientLeft, usage);
    }

    /// The log of the request that it is made for.
    pub(super) fn log(&self) -> RequestLog {
        self.log.clone()
    }

    /// This call reached its end, and another one follows on the same key.
    pub(super) fn one_more(&mut self, usage: &Usage, now: Timestamp) {
        let account = self.account.clone();
        self.count(AttemptOutcome::Ok, usage);
        if let Some(account) = account {
            self.begin(account);
        }
        self.tokens += usage.prompt;
        (self.began, self.received) = (now, None);
    }

    /// This call was refused for how it was sent, and is sent once more on the same key in another way.
    pub(super) fn once_more(&mut self, now: Timestamp) {
        let account = self.account.clone();
        self.count(AttemptOutcome::Caller, &Usage::default());
        if let Some(account) = account {
            self.begin(account);
        }
        (self.began, self.received) = (now, None);
    }

    /// The call draws on no quota, or is not made: there is nothing to count.
    pub(super) fn not_counted(&mut self) {
        if self.account.take().is_some() {
            self.service.owed.forget_attempt();
        }
    }

    fn finish(&mut self, end: &AttemptEnd, now: Timestamp) -> bool {
        let Some(lease) = self.lease.take() else { return false };
        lock(&self.service.runtimes).of(&self.pool, now).finish(&lease, end, now)
    }

    fn count(&mut self, outcome: AttemptOutcome, usage: &Usage) {
        let Some(Account { key, model }) = self.account.take() else { return };
        let tokens = usage.prompt.saturating_add(usage.completion);
        if let Some(caller) = self.caller.as_ref().filter(|_| tokens > 0) {
            caller.spent(&self.service, &self.pool, tokens);
        } else if let Some(caller) = self.caller.as_ref().filter(|_| outcome == AttemptOutcome::ClientLeft) {
            caller.given_up(&self.service, &self.pool);
        }
        let (began, received) = (self.began, self.received);
        self.log.attempt(&LoggedAttempt { key: &key, model: &model, outcome, usage, began, received });
        let since_began = |at: Timestamp| at.duration_since(self.began).try_into().unwrap_or_default();
        self.service.count(&CountedAttempt {
            pool: self.pool.clone(),
            key,
            model,
            outcome,
            began: self.began,
            took: self.received.map(|(first, last)| (since_began(first), since_began(last))),
            prompt_tokens: usage.prompt,
            completion_tokens: usage.completion,
            cached_tokens: usage.cached,
            thought_tokens: usage.thoughts,
        });
    }
}

impl Drop for AttemptRecord {
    fn drop(&mut self) {
        self.count(AttemptOutcome::ClientLeft, &Usage::default());
        if let Some(lease) = self.lease.take()
            && let Some(runtime) = lock(&self.service.runtimes).get_mut(&self.pool)
        {
            runtime.abandon(&lease);
        }
    }
}

/// Takes over the cooldown that the same Gemini key has for a model in another pool. Returns `true` if it has one.
fn cools_elsewhere(
    service: &Service,
    (pool, id): (&PoolId, &KeyId),
    key: &GeminiKey,
    model: &str,
    now: Timestamp,
) -> bool {
    let place = (pool.clone(), id.clone());
    let others = lock(&service.same_keys).others(&place, || service.vault.key_digest(key));
    !others.is_empty() && lock(&service.runtimes).adopt(&place, &others, model, now)
}

/// Under which outcome a refusal is counted.
const fn outcome_of(cause: Cause) -> AttemptOutcome {
    match cause {
        Cause::InvalidKey | Cause::LeakedKey | Cause::Suspended | Cause::Blocked(_) | Cause::Billing => {
            AttemptOutcome::Key
        }
        Cause::RequestQuota
        | Cause::TokenQuota
        | Cause::DayQuota
        | Cause::SpendWindow
        | Cause::NoQuota
        | Cause::Burst
        | Cause::NewUsers
        | Cause::NoAccess => AttemptOutcome::Quota,
        Cause::Overloaded | Cause::Deadline => AttemptOutcome::Model,
        Cause::Internal => AttemptOutcome::Internal,
        Cause::SoftFailure => AttemptOutcome::SoftFailure,
        Cause::Location => AttemptOutcome::Egress,
        Cause::Network => AttemptOutcome::Network,
        Cause::UnknownModel | Cause::Caller | Cause::Ours => AttemptOutcome::Caller,
    }
}
