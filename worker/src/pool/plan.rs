//! One request's way from key to key, and from model to model.
//!
//! In: picks and verdicts. Out: what to do next. At most four attempts, and one more where the request was changed; no
//! key twice for one model unless it did what it was asked; no further attempt past a deadline; a pause only where a
//! model or the network needs one, and once for a cooldown that ends within 2 s. Whoever drives a plan stops asking it
//! once the first event of a response has gone to the client; comments that keep a stream open are none.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use jiff::Timestamp;
use pool_shared::AttemptOutcome;

use super::circuit::OpenReason;
use super::verdict::{Cause, Retry, Verdict, part_of};
use super::{Condition, Cost, Lease, Pick, PickRequest, Roster, Runtime};
use crate::host::Random;
use crate::openai::ApiError;

/// Two more than one bad key and one limited key need, and far below the 50 calls that a request may
/// make on Cloudflare's free plan.
const MOST_ATTEMPTS: usize = 4;
/// Nothing further is tried when a request has taken this long.
const DEADLINE: Duration = Duration::from_mins(1);
/// Pauses grow from the first to the second.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(4);
/// How often a request waits for a model that is left alone at the moment.
const MOST_CIRCUIT_WAITS: usize = 2;
/// A prompt that exceeds a project's tokens a minute is tried on so many projects.
const MOST_TOO_LARGE: usize = 2;

/// How long a request waits, once, for keys that are all in cooldown.
const MAX_COOLDOWN_WAIT: Duration = Duration::from_secs(2);
/// Requests that wait for the same key come back one after another within this.
const COOLDOWN_JITTER: Duration = Duration::from_millis(100);
/// The wait that a client is told when keys are usable that its request did not get to.
const MIN_RETRY_AFTER: Duration = Duration::from_secs(1);
/// SDKs do not wait longer than this before they retry, so they are told not to.
const MAX_SDK_WAIT: Duration = Duration::from_mins(1);

/// The plan of one request.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each notes something that happens once")]
pub struct AttemptPlan {
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
    /// What the caller is told when nothing more can be tried.
    last: Option<(Cause, ApiError)>,
    /// When the quota of the day is reset that the last attempt found used up.
    reset: Option<Timestamp>,
    unserved: Option<ApiError>,
    /// What others learnt was asked for already.
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
    /// Try a key.
    Try {
        /// Its place in the roster.
        index: usize,
        /// Its lease.
        lease: Lease,
        /// Which of the plan's models to ask.
        model: usize,
    },
    /// Wait, then ask again.
    Wait(Duration),
    /// No key can be selected by what is known here: hear what others have learnt, then ask again.
    Hear,
    /// Tell the caller this.
    Answer(Box<ApiError>),
}

impl AttemptPlan {
    /// A plan for a request: the model that was asked for, then those to fall back on.
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

    /// The models that it asks.
    #[must_use]
    pub fn models(&self) -> &[String] {
        &self.models
    }

    /// What to do now.
    pub fn next(
        &mut self,
        pool: &str,
        roster: &Arc<Roster>,
        runtime: &mut Runtime,
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
            if self.ended || self.attempts >= MOST_ATTEMPTS || !self.in_time(now, Duration::ZERO) {
                return self.give_up(pool, roster, runtime, now);
            }
            let Some(model) = self.models.get(self.model) else {
                return self.give_up(pool, roster, runtime, now);
            };
            let request = PickRequest { model, tried: &self.tried, affinity: self.affinity, cost: self.cost };
            let pick = runtime.pick(roster, &request, now, random);
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
                    (Some(AttemptOutcome::Model), model_unavailable(reason, until, now))
                }
                Pick::AllCooling { .. } | Pick::NoneLeft { .. }
                    if !std::mem::replace(&mut self.heard, true) =>
                {
                    return Step::Hear;
                }
                Pick::AllCooling { soonest, only_the_day_helps } => {
                    if let Some(wait) = self.wait_for_cooldown(roster, soonest, now) {
                        return Step::Wait(wait + part_of(COOLDOWN_JITTER, random.next_u64()));
                    }
                    (Some(AttemptOutcome::Quota), all_cooling(pool, soonest, only_the_day_helps, now))
                }
                Pick::NoneLeft { returns } => {
                    (Some(AttemptOutcome::Key), no_usable_key(pool, roster, returns, now))
                }
                Pick::AllTried => match self.last_answer(now) {
                    Some(answer) => (None, answer),
                    None => (Some(AttemptOutcome::Key), no_usable_key(pool, roster, None, now)),
                },
            };
            self.unserved_for = self.unserved_for.or(why);
            self.unserved.get_or_insert(unserved);
            self.fall_back();
        }
    }

    /// Takes note of how the attempt under way failed.
    pub fn refused(&mut self, verdict: &Verdict) {
        let cause = verdict.cause;
        self.causes.push(cause);
        self.last = Some((cause, verdict.answer.clone()));
        self.reset = verdict.until.filter(|_| cause == Cause::DayQuota);
        if cause == Cause::SoftFailure {
            // The key has nothing to do with it: another one is preferred, and where there is none it is asked again.
            self.again = self.tried.last().copied();
        }
        let ended_so = self.causes.iter().filter(|other| **other == cause).count();
        match cause.retry() {
            Retry::Stop => self.ended = true,
            Retry::AnotherKey if self.never_fits(verdict) && ended_so >= MOST_TOO_LARGE => {
                // A smaller prompt may work; the same one never will.
                self.last = Some((cause, ApiError { should_retry: Some(false), ..verdict.answer.clone() }));
                (self.never_fitted, self.ended) = (true, true);
            }
            // The last attempt is better spent on a model that may have room.
            Retry::AnotherKey if self.attempts + 1 == MOST_ATTEMPTS => {
                self.try_to_fall_back(verdict);
            }
            Retry::AtMost { attempts, .. } if ended_so >= attempts => {
                self.ended = !self.try_to_fall_back(verdict);
            }
            Retry::AtMost { at_once, .. } if ended_so > at_once => {
                let doubled = u32::try_from(ended_so - at_once - 1).unwrap_or_default().min(8);
                self.pause = Some(FIRST_PAUSE.saturating_mul(1 << doubled).min(LONGEST_PAUSE));
            }
            Retry::AnotherKey | Retry::AtMost { .. } => {}
        }
    }

    /// The attempt under way failed for what was sent, and something else is sent now: no reason to pass its
    /// key over. The first such attempt is one more than the most.
    pub fn resend(&mut self, verdict: &Verdict) {
        self.causes.push(verdict.cause);
        self.last = Some((verdict.cause, verdict.answer.clone()));
        self.tried.pop();
        if !std::mem::replace(&mut self.resent, true) {
            self.attempts -= 1;
        }
    }

    /// Takes a certain key for the next attempt, where there may be one: which of the models to ask.
    pub fn take(&mut self, index: usize, now: Timestamp) -> Option<usize> {
        let may = !self.ended
            && self.attempts < MOST_ATTEMPTS
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

    /// What the caller was to be told after the last refusal, if there was one.
    pub fn last_answer(&mut self, now: Timestamp) -> Option<ApiError> {
        let (_, answer) = self.last.take()?;
        Some(match self.reset {
            Some(reset) => until_reset(answer, reset, now),
            None => answer,
        })
    }

    /// What kept an attempt from being made, if anything did: the model's circuit breaker, used-up quotas, or keys that
    /// Gemini refuses.
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

    /// Goes on to the next model if there is one and it may do better. False: it does not.
    fn try_to_fall_back(&mut self, verdict: &Verdict) -> bool {
        let helps = verdict.cause.another_model_helps() && !self.is_last_model();
        if helps {
            self.unserved.get_or_insert(verdict.answer.clone());
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
        now.duration_since(self.began).unsigned_abs() + wait < DEADLINE
    }

    /// How long to wait until a key that was not tried may be back, where that is soon.
    fn wait_for_cooldown(&mut self, roster: &Roster, soonest: Timestamp, now: Timestamp) -> Option<Duration> {
        let wait = soonest.duration_since(now).unsigned_abs();
        let may = !self.waited_for_cooldown
            && wait <= MAX_COOLDOWN_WAIT
            && self.is_last_model()
            && self.tried.len() < roster.keys.len()
            && self.in_time(now, wait + COOLDOWN_JITTER);
        self.waited_for_cooldown |= may;
        may.then_some(wait)
    }

    fn may_wait_for_circuit(&mut self, now: Timestamp, wait: Duration) -> bool {
        let may = self.circuit_waits < MOST_CIRCUIT_WAITS && wait <= LONGEST_PAUSE && self.in_time(now, wait);
        self.circuit_waits += usize::from(may);
        may
    }

    /// The last thing that can be said. What the model that was asked for lacked tells more than what
    /// its stand-ins did, and a refused key tells least.
    fn give_up(&mut self, pool: &str, roster: &Arc<Roster>, runtime: &mut Runtime, now: Timestamp) -> Step {
        let cause = self.last.as_ref().map(|(cause, _)| *cause);
        let decisive = cause.is_some_and(|cause| cause.retry() == Retry::Stop) || self.never_fitted;
        let last = self.last_answer(now);
        let answer = match (last, self.unserved.take()) {
            (Some(answer), _) if decisive => answer,
            (_, Some(unserved)) => unserved,
            (Some(answer), None) => {
                let model = self.models.get(self.model).map(String::as_str).unwrap_or_default();
                let chance = runtime.next_chance(roster, model, &self.tried, now);
                match cause {
                    // It passes by itself.
                    Some(Cause::SpendWindow) => {
                        come_again(answer, at_least(MIN_RETRY_AFTER, chance, now), now)
                    }
                    Some(cause) if Condition::from_cause(cause).is_some() => {
                        refused_keys(pool, roster, chance, now)
                    }
                    // Other keys have room: the same request may be answered by one of them.
                    Some(cause) if cause.retry() == Retry::AnotherKey && chance == Some(now) => ApiError {
                        retry_after_ms: milliseconds(MIN_RETRY_AFTER),
                        should_retry: None,
                        ..answer
                    },
                    _ => answer,
                }
            }
            (None, None) => ApiError::server(
                StatusCode::GATEWAY_TIMEOUT,
                "timeout",
                "The request took too long to be tried on a key.",
            ),
        };
        Step::Answer(Box::new(answer))
    }
}

fn wait_until(until: Timestamp, now: Timestamp, random: &impl Random) -> Duration {
    until.duration_since(now).unsigned_abs() + part_of(FIRST_PAUSE / 2, random.next_u64())
}

fn milliseconds_until(until: Timestamp, now: Timestamp) -> Option<u64> {
    milliseconds(until.duration_since(now).try_into().unwrap_or_default())
}

fn milliseconds(time: Duration) -> Option<u64> {
    time.as_millis().try_into().ok()
}

fn model_unavailable(reason: OpenReason, until: Timestamp, now: Timestamp) -> ApiError {
    let retry_after_ms = milliseconds_until(until, now);
    match reason {
        OpenReason::Overload => {
            let message = "The model is overloaded. Please try again later.";
            ApiError {
                retry_after_ms,
                ..ApiError::server(StatusCode::SERVICE_UNAVAILABLE, "overloaded", message)
            }
        }
        OpenReason::Burst => {
            let message = "Gemini takes no more requests for this model at the moment.";
            ApiError { retry_after_ms, ..rate_limited("requests", "rate_limit_exceeded", message) }
        }
    }
}

fn all_cooling(pool: &str, soonest: Timestamp, only_the_day_helps: bool, now: Timestamp) -> ApiError {
    let retry_after_ms = milliseconds_until(soonest, now);
    if only_the_day_helps {
        let message =
            format!("Every key of the pool '{pool}' has used up its quota of the day for this model.");
        let error = rate_limited("insufficient_quota", "insufficient_quota", message);
        // The time is told, and no program should wait for it.
        return until_reset(ApiError { should_retry: Some(false), ..error }, soonest, now);
    }
    let message = format!("Every key of the pool '{pool}' has reached its rate limit for this model.");
    ApiError { retry_after_ms, ..rate_limited("requests", "rate_limit_exceeded", message) }
}

fn rate_limited(kind: &'static str, code: &'static str, message: impl Into<String>) -> ApiError {
    ApiError::new(StatusCode::TOO_MANY_REQUESTS, kind, Some(code), message)
}

/// Adds when a quota of the day is reset.
fn until_reset(error: ApiError, reset: Timestamp, now: Timestamp) -> ApiError {
    let at = Timestamp::from_second(reset.as_second()).unwrap_or(reset);
    let message = format!("{} The quota is reset at {at}.", error.message.trim_end());
    ApiError { retry_after_ms: milliseconds_until(reset, now), message, ..error }
}

/// Keys were tried and refused, and that was all that the request could try.
fn refused_keys(pool: &str, roster: &Roster, chance: Option<Timestamp>, now: Timestamp) -> ApiError {
    let Some(chance) = chance else { return no_usable_key(pool, roster, None, now) };
    let message = format!(
        "Gemini refused the keys of the pool '{pool}' that were tried. They are out of use now: trying again may help."
    );
    let at = at_least(MIN_RETRY_AFTER, Some(chance), now);
    come_again(ApiError::server(StatusCode::SERVICE_UNAVAILABLE, "no_usable_key", message), at, now)
}

/// The caller did nothing wrong: the operator has to add keys, unless some come back by themselves.
fn no_usable_key(pool: &str, roster: &Roster, returns: Option<Timestamp>, now: Timestamp) -> ApiError {
    let why = if roster.keys.is_empty() { "has no enabled key" } else { "has no key that Gemini accepts" };
    let message = format!("The pool '{pool}' {why}.");
    let error = ApiError::server(StatusCode::SERVICE_UNAVAILABLE, "no_usable_key", message);
    match returns {
        Some(returns) => come_again(error, returns, now),
        None => ApiError { should_retry: Some(false), ..error },
    }
}

fn at_least(wait: Duration, at: Option<Timestamp>, now: Timestamp) -> Timestamp {
    let earliest = now.saturating_add(wait).unwrap_or(now);
    at.map_or(earliest, |at| at.max(earliest))
}

/// Tells when to try again. SDKs are told not to where that takes longer than they wait.
fn come_again(error: ApiError, at: Timestamp, now: Timestamp) -> ApiError {
    let is_long = at.duration_since(now).unsigned_abs() > MAX_SDK_WAIT;
    ApiError { retry_after_ms: milliseconds_until(at, now), should_retry: is_long.then_some(false), ..error }
}

#[cfg(test)]
mod tests;
