//! The guard of one attempt: it counts the attempt exactly once and returns its lease.

use std::sync::Arc;

use jiff::Timestamp;
use pool_engine::{AttemptEnd, Belief, Cause, Lease, Note, Verdict};
use pool_shared::{AttemptOutcome, Event, KeyId, PoolId};
use pool_translate::Usage;
use pool_translate::gemini::redact_keys;

use super::Caller;
use crate::crypto::TokenHash;
use crate::ledger::{AttemptCount, UNKNOWN_MODEL};
use crate::platform::{Clock, Random, lock};
use crate::ports::Host;
use crate::reporting::{LoggedAttempt, RequestLog};
use crate::state::ServiceState;

/// What operators are told of a client key whose suspicions are not believed.
const NOT_BELIEVED: &str = "Requests of this client key cause errors that look like verdicts on Gemini keys, and probes of \
                            these keys disproved them. For a minute such errors are returned to the client.";

/// Counts one attempt exactly once and gives its lease back: as told, or as left by the client, which
/// blames nobody, when it is dropped before its end.
pub(crate) struct AttemptRecord {
    state: Arc<ServiceState>,
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
    /// When the first and the last piece of the response came.
    received: Option<(Timestamp, Timestamp)>,
}

/// Where an attempt is counted.
#[derive(Clone)]
pub(crate) struct Account {
    pub(crate) key: KeyId,
    pub(crate) model: String,
}

impl AttemptRecord {
    /// Returns the guard of an attempt that has a lease and has not begun.
    pub(crate) fn new(state: &Arc<ServiceState>, pool: &PoolId, lease: Lease, now: Timestamp) -> Self {
        Self {
            state: Arc::clone(state),
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
        }
    }

    /// Sets the request that it is made for. `generates` tells whether that asks for content.
    pub(crate) fn for_request(
        mut self,
        caller: Option<Caller>,
        client_key: Option<TokenHash>,
        generates: bool,
        log: RequestLog,
    ) -> Self {
        (self.caller, self.client_key, self.generates, self.log) = (caller, client_key, generates, log);
        self
    }

    /// Begins an attempt, which is in flight from here on.
    pub(crate) fn begin(&mut self, account: Account) {
        self.state.reporter.in_flight.begin();
        self.account = Some(account);
    }

    /// A piece of the response is there: what the attempt took is measured up to the last one.
    pub(crate) fn received(&mut self, now: Timestamp) {
        let first = self.received.map_or(now, |(first, _)| first);
        self.received = Some((first, now));
    }

    /// The attempt reached its end.
    pub(crate) fn succeeded<H: Host>(mut self, usage: &Usage, host: &H) {
        self.count(AttemptOutcome::Ok, usage);
        let tokens = Some(self.tokens + usage.prompt).filter(|tokens| *tokens > 0);
        self.finish(&AttemptEnd::Success { tokens, generated: self.generates }, host.clock().now());
    }

    /// Tells the operators, once an hour for each pool, that Gemini spent all output tokens that a client allowed on
    /// thoughts, which are billed.
    pub(crate) fn note_spent_on_thoughts<H: Host>(&self, usage: &Usage, host: &H) {
        let Some(Account { key, model }) = self.account.clone() else { return };
        let now = host.clock().now();
        if !lock(&self.state.reporter.hints).is_due(&self.pool, now) {
            return;
        }
        let message = format!(
            "A response ended at its limit of output tokens without any text: all {} were spent on thoughts, which \
             are billed. Clients should raise max_tokens, or the pool's setting min_output_tokens can.",
            usage.completion
        );
        self.state.reporter.note(Event {
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
    /// the client's own mistakes, which are none of theirs and may repeat what the client wrote. Gives
    /// the verdict back, as far as it is believed.
    pub(crate) fn failed<H: Host>(mut self, verdict: Verdict, usage: &Usage, host: &H) -> Verdict {
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
            lock(&self.state.pools.states).of(&self.pool, now).abandon(&lease);
        }
        verdict
    }

    /// Returns what is believed of a verdict, and whether anything is learnt of it.
    fn weigh<H: Host>(&self, verdict: Verdict, host: &H) -> (Verdict, bool) {
        let now = host.clock().now();
        // The same text says that a model does not exist and that it lacks the method.
        if verdict.note == Note::ModelNotFound
            && self.generates
            && let Some(Account { key, model }) = &self.account
        {
            let listed = lock(&self.state.pools.models).lists_generating(&self.pool, model);
            let runtime_knows =
                lock(&self.state.pools.states).of(&self.pool, now).lacks_access(key, model, listed, now);
            return if runtime_knows {
                (verdict.no_access(now, host.random().next_u64()), true)
            } else {
                (verdict, true)
            };
        }
        let Some(client_key) = self.client_key.as_ref().filter(|_| verdict.needs_probe()) else {
            return (verdict, true);
        };
        let belief = lock(&self.state.pools.suspicions).suspect(&client_key.tag(), now);
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
        let pool = lock(&self.state.pools.snapshots).get(&self.pool);
        let client_key = self.client_key.as_ref().filter(|_| outcome == AttemptOutcome::Caller);
        self.state.reporter.note(Event {
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
    pub(crate) fn left(mut self, usage: &Usage) {
        self.count(AttemptOutcome::ClientLeft, usage);
    }

    /// Returns the log of the request that it is made for.
    pub(crate) fn log(&self) -> RequestLog {
        self.log.clone()
    }

    /// This call reached its end, and another one follows on the same key.
    pub(crate) fn one_more(&mut self, usage: &Usage, now: Timestamp) {
        let account = self.account.clone();
        self.count(AttemptOutcome::Ok, usage);
        if let Some(account) = account {
            self.begin(account);
        }
        self.tokens += usage.prompt;
        (self.began, self.received) = (now, None);
    }

    /// This call was rejected for how it was sent, and is sent once more on the same key in another way.
    pub(crate) fn once_more(&mut self, now: Timestamp) {
        let account = self.account.clone();
        self.count(AttemptOutcome::Caller, &Usage::default());
        if let Some(account) = account {
            self.begin(account);
        }
        (self.began, self.received) = (now, None);
    }

    /// The call draws on no quota, or is not made: there is nothing to count.
    pub(crate) fn not_counted(&mut self) {
        if self.account.take().is_some() {
            self.state.reporter.in_flight.discard_attempt();
        }
    }

    fn finish(&mut self, end: &AttemptEnd, now: Timestamp) -> bool {
        let Some(lease) = self.lease.take() else { return false };
        lock(&self.state.pools.states).of(&self.pool, now).finish(&lease, end, now)
    }

    fn count(&mut self, outcome: AttemptOutcome, usage: &Usage) {
        let Some(Account { key, model }) = self.account.take() else { return };
        let tokens = usage.prompt.saturating_add(usage.completion);
        if let Some(caller) = self.caller.as_ref().filter(|_| tokens > 0) {
            caller.spent(&self.state.pools, &self.pool, tokens);
        } else if let Some(caller) = self.caller.as_ref().filter(|_| outcome == AttemptOutcome::ClientLeft) {
            caller.given_up(&self.state.pools, &self.pool);
        }
        let (began, received) = (self.began, self.received);
        self.log.attempt(&LoggedAttempt { key: &key, model: &model, outcome, usage, began, received });
        let since_began = |at: Timestamp| at.duration_since(self.began).try_into().unwrap_or_default();
        self.state.reporter.count(&AttemptCount {
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
            && let Some(runtime) = lock(&self.state.pools.states).get_mut(&self.pool)
        {
            runtime.abandon(&lease);
        }
    }
}

/// Under which outcome an error is counted.
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
