//! What a refusal means: whose fault it is, how long it lasts, whether another key may do better, what
//! the caller is told.
//!
//! In: an answer's status, its error body and the time. Out: a [`Verdict`]. The rules follow Google's
//! error documentation (<https://ai.google.dev/gemini-api/docs/troubleshooting>,
//! <https://ai.google.dev/gemini-api/docs/rate-limits>) and the bodies that Gemini really sends. What
//! must never happen here: a key blamed for what it did not do, a secret in a message.

mod cause;

use std::time::Duration;

use http::StatusCode;
use jiff::Timestamp;

pub use cause::{BlockReason, Cause, Fault, Retry};

use super::{Limits, Quota, next_quota_day};
use crate::gemini::{ErrorBody, Violation};
use crate::host::UpstreamError;
use crate::openai::ApiError;

/// What is to be done about a refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Why Gemini refused.
    pub cause: Cause,
    /// How long the key or its project rests for this model; `None` where nothing rests, or where a
    /// schedule of its own decides.
    pub until: Option<Timestamp>,
    /// The limits that the refusal names.
    pub limits: Limits,
    /// The key's project (`projects/123`), where the refusal names it.
    pub project: Option<String>,
    /// What the caller is told when nothing else is tried.
    pub answer: ApiError,
}

/// An answer whose status is not a success.
#[derive(Clone, Copy, Debug)]
pub struct Refusal<'a> {
    /// Its status.
    pub status: StatusCode,
    /// Its `retry-after`, if any.
    pub retry_after: Option<Duration>,
    /// What it says.
    pub body: &'a ErrorBody,
}

const INVALID_REQUEST: &str = "invalid_request_error";
const SERVER_ERROR: &str = "server_error";

/// How long a quota of a minute lasts when Gemini does not say.
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
/// A project without any quota for a model, or too new for it, is tried again after so long.
const DAY: Duration = Duration::from_hours(24);
/// No refusal is believed for longer than this, whatever it says.
const LONGEST: Duration = Duration::from_hours(24);
/// Keys come back one after another: at once would be a burst.
const JITTER: Duration = Duration::from_secs(1);
const DAY_JITTER: Duration = Duration::from_mins(1);

/// Judges a refusal. `random` spreads the ends of cooldowns.
#[must_use]
pub fn classify(refusal: &Refusal, now: Timestamp, random: u64) -> Verdict {
    let cause = cause_of(refusal);
    let until = rest(cause, refusal).map(|(until, jitter)| {
        let end = match until {
            Rest::For(time) => later(now, time.min(LONGEST)),
            Rest::UntilNextDay => next_quota_day(now),
        };
        later(end, part_of(jitter, random))
    });
    Verdict {
        cause,
        until,
        limits: named_limits(&refusal.body.violations),
        project: refusal.body.consumer.clone().filter(|consumer| consumer.starts_with("projects/")),
        answer: answer(cause, refusal),
    }
}

impl Verdict {
    /// A verdict that says nothing about any key: the answer itself tells what happened.
    #[must_use]
    pub fn of(cause: Cause, answer: ApiError) -> Self {
        Self { cause, until: None, limits: Limits::default(), project: None, answer }
    }
}

/// Judges a call that never got an answer, or lost it on the way.
#[must_use]
pub fn network_fault(fault: &UpstreamError) -> Verdict {
    let (cause, status, code) = match fault {
        UpstreamError::Timeout(_) => (Cause::Deadline, StatusCode::GATEWAY_TIMEOUT, "timeout"),
        UpstreamError::Connect(_) | UpstreamError::Read(_) => {
            (Cause::Network, StatusCode::BAD_GATEWAY, "upstream_unreachable")
        }
    };
    Verdict::of(cause, ApiError::new(status, SERVER_ERROR, Some(code), fault.to_string()))
}

fn cause_of(refusal: &Refusal) -> Cause {
    let body = refusal.body;
    let message = body.message.to_ascii_lowercase();
    if let Some(cause) = key_trouble(body, &message) {
        return cause;
    }
    match refusal.status.as_u16() {
        400 if message.contains("multiple authentication credentials") => Cause::Ours,
        400 if body.status == "FAILED_PRECONDITION" => failed_precondition(&message),
        401 => Cause::InvalidKey,
        402 => Cause::Billing,
        403 if message.contains("unregistered callers") => Cause::Ours,
        404 if message.contains("new users") => Cause::NewUsers,
        404 if body.status == "NOT_FOUND" || message.contains("model") => Cause::UnknownModel,
        // A page instead of an error: the path leads nowhere.
        404 | 405 => Cause::Ours,
        429 => exhausted(body, &message),
        500 => Cause::Internal,
        503 => Cause::Overloaded,
        504 => Cause::Deadline,
        400..500 => Cause::Caller,
        _ => Cause::Network,
    }
}

/// What Gemini says about a key or its project, whatever the status.
fn key_trouble(body: &ErrorBody, message: &str) -> Option<Cause> {
    let from_info = body.reasons.iter().find_map(|info| match info.reason.as_str() {
        "API_KEY_INVALID" | "ACCESS_TOKEN_TYPE_UNSUPPORTED" => Some(Cause::InvalidKey),
        "CONSUMER_SUSPENDED" => Some(Cause::Suspended),
        reason => BlockReason::from_info(reason).map(Cause::Blocked),
    });
    let says = |texts: &[&str]| texts.iter().any(|text| message.contains(text));
    from_info.or_else(|| {
        if says(&["api key not valid", "api key expired", "invalid auth key"]) {
            Some(Cause::InvalidKey)
        } else if says(&["reported as leaked"]) {
            Some(Cause::LeakedKey)
        } else if message.contains("consumer '") && says(&["has been suspended"]) {
            Some(Cause::Suspended)
        } else {
            None
        }
    })
}

fn failed_precondition(message: &str) -> Cause {
    if message.contains("location is not supported") {
        Cause::Location
    } else if message.contains("billing") || message.contains("free tier") {
        Cause::Billing
    } else {
        Cause::Caller
    }
}

/// Which quota a 429 is about. Every such message says "check your plan and billing details".
fn exhausted(body: &ErrorBody, message: &str) -> Cause {
    if ["prepay", "credits are depleted", "spending cap"].iter().any(|text| message.contains(text)) {
        return Cause::Billing;
    }
    // A body that was cut off still shows its first quota's id in the text.
    let names = |part: &str| {
        body.violations.iter().any(|violation| violation.quota_id.contains(part))
            || message.contains(&part.to_ascii_lowercase())
    };
    if body.violations.iter().any(|violation| violation.quota_value == "0") || says_limit_zero(message) {
        Cause::NoQuota
    } else if names("PerDay") {
        Cause::DayQuota
    } else if body.violations.iter().any(|violation| violation.quota_id.contains("Token")) {
        Cause::TokenQuota
    } else if !body.violations.is_empty()
        || names("PerMinute")
        || body.retry_delay_ms.is_some()
        || message.contains("exceeded your current quota")
    {
        Cause::RequestQuota
    } else {
        Cause::Burst
    }
}

/// Whether the text says "limit: 0", and not "limit: 05" or "limit: 0.5".
fn says_limit_zero(message: &str) -> bool {
    message.match_indices("limit: 0").any(|(at, text)| {
        let after = message.get(at + text.len()..).unwrap_or_default();
        let mut after = after.chars();
        match after.next() {
            Some('.') => !after.next().is_some_and(|next| next.is_ascii_digit()),
            next => !next.is_some_and(|next| next.is_ascii_digit()),
        }
    })
}

/// The limits that a refusal names. Zero is no limit to count against: it means that the project has no
/// such quota.
fn named_limits(violations: &[Violation]) -> Limits {
    let mut limits = Limits::default();
    for violation in violations {
        let value = violation.quota_value.parse().ok().filter(|value: &u64| *value > 0);
        if let (Some(quota), Some(value)) = (Quota::from_id(&violation.quota_id), value) {
            limits.set(quota, value);
        }
    }
    limits
}

enum Rest {
    For(Duration),
    UntilNextDay,
}

/// How long the key or its project rests for the model, and how far the end is spread.
fn rest(cause: Cause, refusal: &Refusal) -> Option<(Rest, Duration)> {
    let told = told_delay(refusal);
    let hourly = refusal.body.violations.iter().any(|violation| violation.quota_id.contains("PerHour"));
    let usual = if hourly { HOUR } else { MINUTE };
    match cause {
        // The day's quota beats the short delay that Gemini sends along with it.
        Cause::DayQuota => Some((Rest::UntilNextDay, DAY_JITTER)),
        Cause::NoQuota => Some((Rest::For(DAY), DAY_JITTER)),
        Cause::NewUsers => Some((Rest::For(DAY / 2), DAY / 2)),
        Cause::RequestQuota | Cause::TokenQuota => Some((Rest::For(told.unwrap_or(usual)), JITTER)),
        Cause::Burst => told.map(|told| (Rest::For(told), JITTER)),
        _ => None,
    }
}

fn told_delay(refusal: &Refusal) -> Option<Duration> {
    refusal.body.retry_delay_ms.map(Duration::from_millis).max(refusal.retry_after)
}

fn later(time: Timestamp, by: Duration) -> Timestamp {
    time.saturating_add(by).unwrap_or(Timestamp::MAX)
}

/// A random part of a duration.
pub(super) fn part_of(whole: Duration, random: u64) -> Duration {
    let nanoseconds = (whole.as_nanos() * u128::from(random)) >> 64;
    Duration::from_nanos(nanoseconds.try_into().unwrap_or(u64::MAX))
}

fn answer(cause: Cause, refusal: &Refusal) -> ApiError {
    let error = |status: StatusCode, kind, code| {
        ApiError::new(status, kind, Some(code), message(refusal.status, refusal.body))
    };
    let told_ms = told_delay(refusal).map(|delay| u64::try_from(delay.as_millis()).unwrap_or(u64::MAX));
    match cause {
        // Gemini answers 400 for a bad key; a caller must never take that for a bad request. What a
        // pool's callers are told instead of all these is the plan's business.
        Cause::InvalidKey => error(StatusCode::UNAUTHORIZED, INVALID_REQUEST, "invalid_api_key"),
        Cause::LeakedKey | Cause::Suspended | Cause::Blocked(_) => {
            error(StatusCode::FORBIDDEN, INVALID_REQUEST, "permission_denied")
        }
        Cause::RequestQuota | Cause::TokenQuota | Cause::Burst => ApiError {
            retry_after_ms: told_ms,
            ..error(
                StatusCode::TOO_MANY_REQUESTS,
                if cause == Cause::TokenQuota { "tokens" } else { "requests" },
                "rate_limit_exceeded",
            )
        },
        // Only the day's turn or a person helps, so SDKs are told not to try again.
        Cause::DayQuota | Cause::NoQuota | Cause::Billing => ApiError {
            should_retry: Some(false),
            ..error(StatusCode::TOO_MANY_REQUESTS, "insufficient_quota", "insufficient_quota")
        },
        Cause::NewUsers | Cause::UnknownModel => ApiError {
            param: Some("model".to_owned()),
            ..error(StatusCode::NOT_FOUND, INVALID_REQUEST, "model_not_found")
        },
        Cause::Overloaded => ApiError {
            // The overload of a model passes in seconds; OpenAI's SDKs honour this wait.
            retry_after_ms: told_ms.or(Some(2_000)),
            ..error(StatusCode::SERVICE_UNAVAILABLE, SERVER_ERROR, "overloaded")
        },
        Cause::Internal | Cause::SoftFailure => {
            error(StatusCode::INTERNAL_SERVER_ERROR, SERVER_ERROR, "internal_error")
        }
        Cause::Deadline => error(StatusCode::GATEWAY_TIMEOUT, SERVER_ERROR, "timeout"),
        Cause::Location => {
            error(StatusCode::FORBIDDEN, INVALID_REQUEST, "unsupported_country_region_territory")
        }
        Cause::Network | Cause::Ours => error(StatusCode::BAD_GATEWAY, SERVER_ERROR, "upstream_error"),
        Cause::Caller => caller_s_mistake(refusal),
    }
}

fn caller_s_mistake(refusal: &Refusal) -> ApiError {
    let Refusal { status, body, .. } = *refusal;
    let text = message(status, body);
    if body.message.contains("token count") && body.message.contains("exceeds the maximum") {
        let error = ApiError::new(status, INVALID_REQUEST, Some("context_length_exceeded"), text);
        return ApiError { param: Some("messages".to_owned()), ..error };
    }
    let code = (status == StatusCode::PAYLOAD_TOO_LARGE).then_some("request_too_large");
    ApiError::new(status, INVALID_REQUEST, code, text)
}

fn message(status: StatusCode, body: &ErrorBody) -> String {
    if body.message.is_empty() {
        format!("Gemini answered with status {} and no message.", status.as_u16())
    } else {
        body.message.clone()
    }
}

#[cfg(test)]
mod tests;
