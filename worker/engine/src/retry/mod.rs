//! The retry policy of one request: failover between keys and fallback models, with backoff.
//!
//! The caller drives a [`RetryPlan`]: [`RetryPlan::next`] returns the next [`Step`], and
//! [`RetryPlan::refused`] records an error. It stops once the first event of a response has been
//! sent to the client; keep-alive comments do not count as such.
//!
//! # Invariants
//!
//! - At most four attempts, and one more where the request was changed.
//! - No key is used twice for one model, unless the key was not why the attempt failed.
//! - No attempt begins after the time limit.
//! - A pause only for an overloaded model, for the network, and once for a cooldown that ends within 2 s.

mod exhausted;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use pool_shared::AttemptOutcome;

use super::verdict::{Cause, Retry, Verdict, part_of};
use super::{Cost, HealthState, KeySet, Lease, Pick, PickRequest, PoolState};
use crate::random::Random;
use pool_translate::ApiError;

pub use exhausted::{Exhausted, ExhaustionReason, RetryAdvice};

/// Two more than one bad key and one limited key need, and far below the 50 calls that a request may
/// make on Cloudflare's free plan.
const MAX_ATTEMPTS: usize = 4;
/// No further attempt is made when a request has taken this long.
const MAX_RETRY_TIME: Duration = Duration::from_mins(1);
/// The backoff grows from the first to the second.
const MIN_BACKOFF: Duration = Duration::from_secs(1);
const MAX_BACKOFF: Duration = Duration::from_secs(4);
/// How often a request waits for an open circuit breaker.
const MAX_CIRCUIT_WAITS: usize = 2;
/// The number of projects on which a prompt is tried that exceeds a project's tokens per minute.
const MAX_TOO_LARGE: usize = 2;

/// How long a request waits, once, for keys that are all in cooldown.
const MAX_COOLDOWN_WAIT: Duration = Duration::from_secs(2);
/// Requests that wait for the same key come back one after another within this.
const COOLDOWN_JITTER: Duration = Duration::from_millis(100);
/// The shortest wait before a client's retry where other keys are usable.
const MIN_RETRY_AFTER: Duration = Duration::from_secs(1);

/// The retry policy of one request, with its attempts so far.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each notes something that happens once")]
pub struct RetryPlan {
    models: Vec<String>,
    model: usize,
    affinity: Option<u64>,
    cost: Cost,
    began: Timestamp,
    attempts: usize,
    /// Of the current model.
    tried: Vec<usize>,
    /// One of those, which may be tried once more when no other key is left: it is not why it failed.
    again: Option<usize>,
    causes: Vec<Cause>,
    /// A changed request has been sent once already.
    resent: bool,
    circuit_waits: usize,
    waited_for_cooldown: bool,
    pause: Option<Duration>,
    /// The error of the last attempt, and whether a client's retry can help at all.
    last: Option<(Cause, ApiError, RetryAdvice)>,
    /// When the quota of the day is reset that the last attempt found used up.
    reset: Option<Timestamp>,
    /// Why the first model could not be used.
    unserved: Option<Exhausted>,
    /// The observations of other instances were fetched already.
    heard: bool,
    /// The request alone exceeds what a project may send in a minute.
    never_fitted: bool,
    /// What kept the first model from being asked at all.
    unserved_for: Option<AttemptOutcome>,
    ended: bool,
}

/// What to do next.
#[derive(Debug)]
pub enum Step {
    /// Make an attempt with a key.
    Try {
        /// Its place in the key set.
        index: usize,
        /// Its lease.
        lease: Lease,
        /// Which of the request's models to use.
        model: usize,
    },
    /// Wait, then call [`RetryPlan::next`] again.
    Wait(Duration),
    /// No key can be selected by what is known here: fetch the observations of other instances, then call
    /// [`RetryPlan::next`] again.
    Hear,
    /// Make no further attempt: the request ends with this.
    GiveUp(Box<Exhausted>),
}

impl RetryPlan {
    /// Returns the policy of a request for a model, with its fallback models.
    #[must_use]
    pub const fn new(models: Vec<String>, affinity: Option<u64>, cost: Cost, now: Timestamp) -> Self {
        Self {
            models,
            model: 0,
            affinity,
            cost,
            began: now,
            attempts: 0,
            tried: Vec::new(),
            again: None,
            causes: Vec::new(),
            resent: false,
            circuit_waits: 0,
            waited_for_cooldown: false,
            pause: None,
            last: None,
            reset: None,
            unserved: None,
            heard: false,
            never_fitted: false,
            unserved_for: None,
            ended: false,
        }
    }

    /// Returns the models that it asks.
    #[must_use]
    pub fn models(&self) -> &[String] {
        &self.models
    }

    /// Returns what to do now.
    pub fn next(
        &mut self,
        key_set: &Arc<KeySet>,
        state: &mut PoolState,
        now: Timestamp,
        random: &impl Random,
    ) -> Step {
        if let Some(pause) = self.pause.take() {
            let wait = pause / 2 + part_of(pause / 2, random.next_u64());
            if self.in_time(now, wait) {
                return Step::Wait(wait);
            }
            self.ended = true;
        }
        loop {
            if self.ended || self.attempts >= MAX_ATTEMPTS || !self.in_time(now, Duration::ZERO) {
                return self.give_up(key_set, state, now);
            }
            let Some(model) = self.models.get(self.model) else {
                return self.give_up(key_set, state, now);
            };
            let request = PickRequest { model, tried: &self.tried, affinity: self.affinity, cost: self.cost };
            let pick = state.pick(key_set, &request, now, random);
            if matches!(pick, Pick::AllTried | Pick::AllCooling { .. } | Pick::NoneLeft { .. })
                && let Some(again) = self.again.take()
            {
                self.tried.retain(|tried| *tried != again);
                continue;
            }
            // Where every key was tried the attempts tell why.
            let (why, unserved) = match pick {
                Pick::Key { index, lease } => {
                    self.attempts += 1;
                    self.tried.push(index);
                    return Step::Try { index, lease, model: self.model };
                }
                Pick::Open { until, reason } => {
                    let wait = wait_until(until, now, random);
                    if self.is_last_model() && self.may_wait_for_circuit(now, wait) {
                        return Step::Wait(wait);
                    }
                    (Some(AttemptOutcome::Model), ExhaustionReason::ModelUnavailable { reason, until })
                }
                Pick::AllCooling { .. } | Pick::NoneLeft { .. }
                    if !std::mem::replace(&mut self.heard, true) =>
                {
                    return Step::Hear;
                }
                Pick::AllCooling { soonest, all_until_reset } => {
                    if let Some(wait) = self.wait_for_cooldown(key_set, soonest, now) {
                        return Step::Wait(wait + part_of(COOLDOWN_JITTER, random.next_u64()));
                    }
                    (Some(AttemptOutcome::Quota), ExhaustionReason::AllCooling { soonest, all_until_reset })
                }
                Pick::NoneLeft { returns } => (Some(AttemptOutcome::Key), no_usable_key(key_set, returns)),
                Pick::AllTried => match self.take_last() {
                    Some(last) => (None, last),
                    None => (Some(AttemptOutcome::Key), no_usable_key(key_set, None)),
                },
            };
            self.unserved_for = self.unserved_for.or(why);
            self.unserved.get_or_insert(Exhausted { reason: unserved, at: now });
            self.fall_back();
        }
    }

    /// Takes note of how the attempt under way failed.
    pub fn refused(&mut self, verdict: &Verdict) {
        let cause = verdict.cause;
        self.causes.push(cause);
        self.last = Some((cause, verdict.answer.clone(), RetryAdvice::AsReported));
        self.reset = verdict.until.filter(|_| cause == Cause::DayQuota);
        if cause == Cause::SoftFailure {
            // The key has nothing to do with it: another one is preferred, and where there is none it is asked again.
            self.again = self.tried.last().copied();
        }
        let ended_so = self.causes.iter().filter(|other| **other == cause).count();
        match cause.retry() {
            Retry::Stop => self.ended = true,
            Retry::AnotherKey if self.never_fits(verdict) && ended_so >= MAX_TOO_LARGE => {
                // A smaller prompt may work; the same one never will.
                self.last = Some((cause, verdict.answer.clone(), RetryAdvice::Never));
                (self.never_fitted, self.ended) = (true, true);
            }
            // The last attempt is better spent on a model that may have room.
            Retry::AnotherKey if self.attempts + 1 == MAX_ATTEMPTS => {
                self.try_to_fall_back(verdict);
            }
            Retry::AtMost { attempts, .. } if ended_so >= attempts => {
                self.ended = !self.try_to_fall_back(verdict);
            }
            Retry::AtMost { at_once, .. } if ended_so > at_once => {
                let doubled = u32::try_from(ended_so - at_once - 1).unwrap_or_default().min(8);
                self.pause = Some(MIN_BACKOFF.saturating_mul(1 << doubled).min(MAX_BACKOFF));
            }
            Retry::AnotherKey | Retry::AtMost { .. } => {}
        }
    }

    /// The attempt under way failed for what was sent, and something else is sent now: no reason to pass its
    /// key over. The first such attempt is one more than the most.
    pub fn resend(&mut self, verdict: &Verdict) {
        self.causes.push(verdict.cause);
        self.last = Some((verdict.cause, verdict.answer.clone(), RetryAdvice::AsReported));
        self.tried.pop();
        if !std::mem::replace(&mut self.resent, true) {
            self.attempts -= 1;
        }
    }

    /// Takes a certain key for the next attempt, where there may be one: which of the models to ask.
    pub fn take(&mut self, index: usize, now: Timestamp) -> Option<usize> {
        let may = !self.ended
            && self.attempts < MAX_ATTEMPTS
            && self.model < self.models.len()
            && self.in_time(now, Duration::ZERO)
            && !self.tried.contains(&index);
        if !may {
            return None;
        }
        self.attempts += 1;
        self.tried.push(index);
        Some(self.model)
    }

    /// The attempt was never made: the key could not be opened.
    pub const fn not_sent(&mut self) {
        self.attempts -= 1;
    }

    /// Takes the error of the last attempt, if there was one.
    pub fn take_last_error(&mut self, now: Timestamp) -> Option<Exhausted> {
        self.take_last().map(|reason| Exhausted { reason, at: now })
    }

    fn take_last(&mut self) -> Option<ExhaustionReason> {
        let (_, error, advice) = self.last.take()?;
        Some(ExhaustionReason::Failed { error, reset: self.reset, advice })
    }

    /// Returns what kept an attempt from being made, if anything did: the model's circuit breaker, used-up quotas, or keys that
    /// Gemini rejects.
    #[must_use]
    pub const fn unserved_for(&self) -> Option<AttemptOutcome> {
        self.unserved_for
    }

    /// The model cannot do what the request asks for; the attempt on it was never made.
    pub fn skip_model(&mut self) {
        self.not_sent();
        self.fall_back();
    }

    fn never_fits(&self, verdict: &Verdict) -> bool {
        verdict.cause == Cause::TokenQuota
            && verdict.limits.tokens_per_minute.is_some_and(|limit| self.cost.tokens > limit)
    }

    fn is_last_model(&self) -> bool {
        self.model + 1 >= self.models.len()
    }

    /// Switches to the next model if there is one and it may succeed. Returns `false` otherwise.
    fn try_to_fall_back(&mut self, verdict: &Verdict) -> bool {
        let helps = verdict.cause.another_model_helps() && !self.is_last_model();
        if helps {
            let error = verdict.answer.clone();
            let reason = ExhaustionReason::Failed { error, reset: None, advice: RetryAdvice::AsReported };
            // No wait is counted from this time: the error is returned as it is.
            self.unserved.get_or_insert(Exhausted { reason, at: self.began });
            self.fall_back();
        }
        helps
    }

    fn fall_back(&mut self) {
        self.model += 1;
        self.tried.clear();
        self.again = None;
        self.causes.clear();
        self.circuit_waits = 0;
    }

    fn in_time(&self, now: Timestamp, wait: Duration) -> bool {
        now.duration_since(self.began).unsigned_abs() + wait < MAX_RETRY_TIME
    }

    /// Returns how long to wait until a key that was not tried may be back, where that is soon.
    fn wait_for_cooldown(
        &mut self,
        key_set: &KeySet,
        soonest: Timestamp,
        now: Timestamp,
    ) -> Option<Duration> {
        let wait = soonest.duration_since(now).unsigned_abs();
        let may = !self.waited_for_cooldown
            && wait <= MAX_COOLDOWN_WAIT
            && self.is_last_model()
            && self.tried.len() < key_set.keys.len()
            && self.in_time(now, wait + COOLDOWN_JITTER);
        self.waited_for_cooldown |= may;
        may.then_some(wait)
    }

    fn may_wait_for_circuit(&mut self, now: Timestamp, wait: Duration) -> bool {
        let may = self.circuit_waits < MAX_CIRCUIT_WAITS && wait <= MAX_BACKOFF && self.in_time(now, wait);
        self.circuit_waits += usize::from(may);
        may
    }

    /// Returns why the request ends. What kept the requested model from being used explains more than the errors of
    /// its fallback models, and the error of a rejected key explains least.
    fn give_up(&mut self, key_set: &Arc<KeySet>, state: &mut PoolState, now: Timestamp) -> Step {
        let cause = self.last.as_ref().map(|(cause, ..)| *cause);
        let decisive = cause.is_some_and(|cause| cause.retry() == Retry::Stop) || self.never_fitted;
        let reason = match (self.take_last(), self.unserved.take()) {
            (Some(last), _) if decisive => last,
            (_, Some(unserved)) => return Step::GiveUp(Box::new(unserved)),
            (Some(last), None) => {
                let model = self.models.get(self.model).map(String::as_str).unwrap_or_default();
                let chance = state.next_chance(key_set, model, &self.tried, now);
                match cause {
                    // The limit ends by itself.
                    Some(Cause::SpendWindow) => {
                        last.with_advice(RetryAdvice::At(at_least(MIN_RETRY_AFTER, chance, now)))
                    }
                    Some(cause) if HealthState::from_cause(cause).is_some() => match chance {
                        Some(chance) => {
                            let retry_at = at_least(MIN_RETRY_AFTER, Some(chance), now);
                            ExhaustionReason::KeysRefused { retry_at }
                        }
                        None => no_usable_key(key_set, None),
                    },
                    // Other keys are usable: a retry may succeed on one of them.
                    Some(cause) if cause.retry() == Retry::AnotherKey && chance == Some(now) => {
                        last.with_advice(RetryAdvice::At(at_least(MIN_RETRY_AFTER, None, now)))
                    }
                    _ => last,
                }
            }
            (None, None) => ExhaustionReason::Timeout,
        };
        Step::GiveUp(Box::new(Exhausted { reason, at: now }))
    }
}

const fn no_usable_key(key_set: &KeySet, returns: Option<Timestamp>) -> ExhaustionReason {
    ExhaustionReason::NoUsableKey { has_keys: !key_set.keys.is_empty(), returns }
}

fn wait_until(until: Timestamp, now: Timestamp, random: &impl Random) -> Duration {
    until.duration_since(now).unsigned_abs() + part_of(MIN_BACKOFF / 2, random.next_u64())
}

fn at_least(wait: Duration, at: Option<Timestamp>, now: Timestamp) -> Timestamp {
    let earliest = now.saturating_add(wait).unwrap_or(now);
    at.map_or(earliest, |at| at.max(earliest))
}
