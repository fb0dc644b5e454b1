//! What a refusal means: whose fault it is, how long it lasts, whether another key may do better, what
//! the caller is told.
//!
//! In: an answer's status, its error body, the request that it responds to, and the time. Out: a [`Verdict`] and the
//! [`Evidence`] that it rests on: structure first, the table of Google's own texts (`text`) last. The rules follow Google's
//! error documentation (<https://ai.google.dev/gemini-api/docs/troubleshooting>,
//! <https://ai.google.dev/gemini-api/docs/rate-limits>) and the bodies that Gemini really sends. What
//! must never happen here: a key blamed for what it did not do, a secret in a message.

mod cause;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod sent;
mod text;

use std::time::Duration;

use http::StatusCode;
use jiff::Timestamp;

pub use cause::{BlockReason, Cause, Evidence, Fault, Retry};
pub use sent::Sent;

use pool_shared::EventQuota;

use super::{Condition, Limits, Quota, next_quota_day};
use crate::gemini::{ErrorBody, Violation, redact_keys};
use crate::host::UpstreamError;
use crate::openai::ApiError;

/// What is to be done about a refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Why Gemini refused.
    pub cause: Cause,
    /// What the cause rests on.
    pub evidence: Evidence,
    /// How long the key or its project rests for this model; `None` where nothing rests, or where a
    /// schedule of its own decides.
    pub until: Option<Timestamp>,
    /// The limits that the refusal names.
    pub limits: Limits,
    /// What Gemini calls them.
    pub limit_names: Vec<LimitNames>,
    /// The key's project (`projects/123`), where the refusal names it.
    pub project: Option<String>,
    /// What the caller is told when nothing else is tried.
    pub answer: ApiError,
    /// The first quota that the error names.
    pub quota: Option<EventQuota>,
    /// Details of the cause that callers of [`classify`] may need.
    pub note: Note,
    /// The status of Gemini's response; `None` where there was none.
    pub status: Option<StatusCode>,
}

/// What Gemini calls the limit of a quota.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitNames {
    /// The quota.
    pub quota: Quota,
    /// `generativelanguage.googleapis.com/generate_content_free_tier_requests`
    pub metric: String,
    /// `GenerateRequestsPerDayPerProjectPerModel-FreeTier`
    pub limit: String,
}

/// A limit with what Gemini calls it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NamedLimit {
    pub(super) quota: Quota,
    pub(super) value: u64,
    pub(super) metric: Option<String>,
    pub(super) limit: Option<String>,
}

/// What else an error tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Note {
    /// Nothing.
    #[default]
    None,
    /// A 404 that names the model: it does not exist, or not for this key.
    ModelNotFound,
    /// A 429 with a text that is in no table.
    UnknownQuotaText,
    /// The verdict made a key suspect or blocked, which a probe has to confirm.
    Doubted,
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
    /// What it responds to. Where that is not known, no text counts as evidence.
    pub sent: Option<&'a Sent>,
}

/// Characters of a limit's name that are kept.
const LONGEST_NAME: usize = 200;
const INVALID_REQUEST: &str = "invalid_request_error";
const SERVER_ERROR: &str = "server_error";

/// How long a quota of a minute lasts when Gemini does not say.
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
/// A project without any quota for a model, or too new for it, is tried again after so long.
const DAY: Duration = Duration::from_hours(24);
/// No refusal is believed for longer than this, whatever it says.
const LONGEST: Duration = Duration::from_hours(24);
/// A delay that only the text names counts for no longer than this.
const LONGEST_BY_TEXT: Duration = Duration::from_mins(10);
/// Keys come back one after another: at once would be a burst.
const JITTER: Duration = Duration::from_secs(1);
const DAY_JITTER: Duration = Duration::from_mins(1);

/// Judges a refusal. `random` spreads the ends of cooldowns.
#[must_use]
pub fn classify(refusal: &Refusal, now: Timestamp, random: u64) -> Verdict {
    let (cause, evidence) = cause_of(refusal);
    let until = rest(cause, evidence, refusal).map(|(until, jitter)| {
        let end = match until {
            Rest::For(time) => later(now, time.min(LONGEST)),
            Rest::UntilNextDay => next_quota_day(now),
        };
        later(end, part_of(jitter, random))
    });
    let (limits, limit_names) =
        if cause.is_quota() { named_limits(&refusal.body.violations) } else { Default::default() };
    Verdict {
        cause,
        evidence,
        until,
        limits,
        limit_names,
        project: named_project(cause, refusal),
        answer: answer(cause, refusal),
        quota: named_quota(refusal),
        note: note(cause, refusal),
        status: Some(refusal.status),
    }
}

impl Verdict {
    /// The limits that the error names, with what Gemini calls them.
    pub(super) fn named_limits(&self) -> impl Iterator<Item = NamedLimit> + use<'_> {
        self.limits.known().map(|(quota, value)| {
            let names = self.limit_names.iter().find(|names| names.quota == quota);
            let text = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
            let metric = names.and_then(|names| text(&names.metric));
            NamedLimit { quota, value, metric, limit: names.and_then(|names| text(&names.limit)) }
        })
    }

    /// A verdict that says nothing about any key: the answer itself tells what happened.
    #[must_use]
    pub fn of(cause: Cause, answer: ApiError) -> Self {
        Self {
            cause,
            evidence: Evidence::Structure,
            until: None,
            limits: Limits::default(),
            limit_names: Vec::new(),
            project: None,
            answer,
            quota: None,
            note: Note::None,
            status: None,
        }
    }

    /// Returns the verdict on a request that the service itself wrote: nothing in the error is a client's.
    #[must_use]
    pub fn of_own_words(self) -> Self {
        Self { evidence: Evidence::Structure, ..self }
    }

    /// Returns `true` if the verdict is on the health of a key or project.
    #[must_use]
    pub const fn is_about_key(&self) -> bool {
        Condition::from_cause(self.cause).is_some()
    }

    /// Returns `true` if the verdict is on a key or project and rests on text alone.
    #[must_use]
    pub fn is_suspicion(&self) -> bool {
        self.evidence == Evidence::Text && self.is_about_key()
    }

    /// Returns `true` if a probe has to confirm what the verdict says of the key.
    #[must_use]
    pub fn needs_probe(&self) -> bool {
        self.evidence != Evidence::Structure && self.is_about_key()
    }

    /// Returns the verdict that the error is about the request: what it says of the key is not believed.
    #[must_use]
    pub fn not_believed(self) -> Self {
        let status = self.status.unwrap_or(StatusCode::BAD_REQUEST);
        Self::of(Cause::Caller, ApiError::new(status, INVALID_REQUEST, None, self.answer.message))
    }

    /// Returns the verdict that the key's project has no access to a model that exists.
    #[must_use]
    pub fn no_access(self, now: Timestamp, random: u64) -> Self {
        let until = later(now, DAY / 2 + part_of(DAY / 2, random));
        Self { cause: Cause::NoAccess, until: Some(until), ..self }
    }
}

/// Judges a call that never got an answer, or lost it on the way.
#[must_use]
pub fn network_fault(fault: &UpstreamError) -> Verdict {
    let (cause, status, code) = match fault {
        UpstreamError::Timeout { .. } => (Cause::Deadline, StatusCode::GATEWAY_TIMEOUT, "timeout"),
        UpstreamError::Connect(_) | UpstreamError::NoSocket(_) | UpstreamError::Read(_) => {
            (Cause::Network, StatusCode::BAD_GATEWAY, "upstream_unreachable")
        }
    };
    let error = ApiError::new(status, SERVER_ERROR, Some(code), fault.to_string());
    let error = match fault.cause() {
        Some(said) => error.because(format_args!("{fault}: {said}")),
        None => error,
    };
    Verdict::of(cause, error)
}

fn cause_of(refusal: &Refusal) -> (Cause, Evidence) {
    if let Some(cause) = from_reason(refusal) {
        return (cause, Evidence::Structure);
    }
    if let Some(cause) = text::cause(refusal) {
        return (cause, Evidence::Text);
    }
    let body = refusal.body;
    let cause = match refusal.status.as_u16() {
        // Without a reason the status is all there is, and a probe decides.
        401 if body.status_name() == "UNAUTHENTICATED" && body.is_google() => {
            return (Cause::InvalidKey, Evidence::Status);
        }
        402 if body.is_google() => Cause::Billing,
        403 if body.is_google() && text::names_a_resource(refusal) => Cause::Caller,
        403 if body.status_name() == "PERMISSION_DENIED" && body.is_google() => {
            return (Cause::Blocked(BlockReason::Permission), Evidence::Status);
        }
        // A page of a proxy or filter on the way to Google, or a status under another name than Google gives it.
        401 | 402 | 403 | 407 => Cause::Network,
        404 if body.is_error => Cause::UnknownModel,
        // A page instead of an error: the path leads nowhere.
        404 | 405 => Cause::Ours,
        429 => return exhausted(refusal),
        500 => Cause::Internal,
        503 => Cause::Overloaded,
        504 => Cause::Deadline,
        400..500 => Cause::Caller,
        _ => Cause::Network,
    };
    (cause, Evidence::Structure)
}

/// What `google.rpc.ErrorInfo` says. Its reasons are a fixed list, so no client writes them.
fn from_reason(refusal: &Refusal) -> Option<Cause> {
    if !refusal.body.is_error || !refusal.status.is_client_error() {
        return None;
    }
    let reasons = refusal.body.reasons.iter().filter(|info| info.is_google());
    reasons.map(|info| info.reason.as_str()).find_map(|reason| match reason {
        "API_KEY_INVALID" | "ACCESS_TOKEN_TYPE_UNSUPPORTED" => Some(Cause::InvalidKey),
        "CONSUMER_SUSPENDED" => Some(Cause::Suspended),
        // The request asks for something that no API key can do, or for another project's account.
        "CREDENTIALS_MISSING" | "USER_PROJECT_DENIED" => Some(Cause::Caller),
        reason => BlockReason::from_info(reason).map(Cause::Blocked),
    })
}

/// Which quota a 429 is about. Its `QuotaFailure` decides; without one, the text tells no more than that a quota of
/// some minutes is used up, or that there is none.
fn exhausted(refusal: &Refusal) -> (Cause, Evidence) {
    let body = refusal.body;
    let violations = if body.is_error { body.violations.as_slice() } else { &[] };
    let names = |part: &str| violations.iter().any(|violation| violation.quota_id.contains(part));
    let cause = if names("Spend") && (names("Month") || names("Cap")) {
        Cause::Billing
    } else if names("Spend") {
        Cause::SpendWindow
    } else if violations.is_empty()
        && let Some(cause) = text::spend(refusal)
    {
        return (cause, Evidence::Text);
    } else if violations.iter().any(|violation| violation.quota_value == "0") {
        Cause::NoQuota
    } else if names("PerDay") {
        Cause::DayQuota
    } else if names("Token") {
        Cause::TokenQuota
    } else if violations.is_empty() && text::is_quota(refusal) && text::says_limit_zero(&body.message) {
        return (Cause::NoQuota, Evidence::Text);
    } else if !violations.is_empty() || body.retry_delay_ms.is_some() {
        Cause::RequestQuota
    } else if text::is_quota(refusal) {
        return (Cause::RequestQuota, Evidence::Text);
    } else {
        Cause::Burst
    };
    (cause, Evidence::Structure)
}

/// The project that an error names, where the error is about keys or quotas: others may name the project of something
/// that the request asks for.
fn named_project(cause: Cause, refusal: &Refusal) -> Option<String> {
    if !matches!(cause.fault(), Fault::Key | Fault::Project | Fault::Account) {
        return None;
    }
    let consumer = refusal.body.consumer.as_deref()?;
    let number = consumer.strip_prefix("projects/")?;
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| consumer.to_owned())
}

/// The first quota that an error names, for people.
fn named_quota(refusal: &Refusal) -> Option<EventQuota> {
    let violation = refusal.body.violations.first()?;
    let text = |text: &String| Some(redact_keys(text)).filter(|text| !text.is_empty());
    Some(EventQuota {
        metric: text(&violation.quota_metric),
        limit: text(&violation.quota_id),
        value: text(&violation.quota_value),
        model: text(&violation.model),
        retry_after_ms: told_delay(refusal).map(milliseconds),
    })
}

fn note(cause: Cause, refusal: &Refusal) -> Note {
    if cause == Cause::UnknownModel && text::names_a_model(refusal) {
        Note::ModelNotFound
    } else if refusal.status == StatusCode::TOO_MANY_REQUESTS && text::is_unknown_quota(refusal) {
        Note::UnknownQuotaText
    } else {
        Note::None
    }
}

/// The limits that a refusal names. Zero is no limit to count against: it means that the project has no
/// such quota.
fn named_limits(violations: &[Violation]) -> (Limits, Vec<LimitNames>) {
    let (mut limits, mut names) = (Limits::default(), Vec::new());
    for Violation { quota_id, quota_metric, quota_value, .. } in violations {
        let value = quota_value.parse().ok().filter(|value: &u64| *value > 0);
        if let (Some(quota), Some(value)) = (Quota::from_id(quota_id), value) {
            limits.set(quota, value);
            names.retain(|names: &LimitNames| names.quota != quota);
            let text = |text: &str| text.chars().take(LONGEST_NAME).collect();
            names.push(LimitNames { quota, metric: text(quota_metric), limit: text(quota_id) });
        }
    }
    (limits, names)
}

enum Rest {
    For(Duration),
    UntilNextDay,
}

/// How long the key or its project rests for the model, and how far the end is spread.
fn rest(cause: Cause, evidence: Evidence, refusal: &Refusal) -> Option<(Rest, Duration)> {
    let told = told_delay(refusal);
    let hourly = refusal.body.violations.iter().any(|violation| violation.quota_id.contains("PerHour"));
    let usual = if hourly { HOUR } else { MINUTE };
    match cause {
        // Words alone never exclude for long.
        Cause::NoQuota if evidence == Evidence::Text => {
            Some((Rest::For(told.unwrap_or(usual).clamp(usual, LONGEST_BY_TEXT)), JITTER))
        }
        // The day's quota beats the short delay that Gemini sends along with it.
        Cause::DayQuota => Some((Rest::UntilNextDay, DAY_JITTER)),
        Cause::NoQuota => Some((Rest::For(DAY), DAY_JITTER)),
        Cause::NewUsers => Some((Rest::For(DAY / 2), DAY / 2)),
        Cause::RequestQuota | Cause::TokenQuota => Some((Rest::For(told.unwrap_or(usual)), JITTER)),
        Cause::Burst | Cause::SpendWindow => told.map(|told| (Rest::For(told), JITTER)),
        _ => None,
    }
}

/// How long to wait: the longest of what `RetryInfo`, the header and the text say. The text refines a delay that the
/// others give in whole seconds; alone it counts for minutes at most, and only where it is Google's.
fn told_delay(refusal: &Refusal) -> Option<Duration> {
    let firm = refusal.body.retry_delay_ms.map(Duration::from_millis).max(refusal.retry_after);
    let text = refusal.body.retry_text_ms.map(Duration::from_millis);
    match (firm, text) {
        (Some(firm), Some(text)) => Some(text.clamp(firm, firm.saturating_add(Duration::from_secs(1)))),
        (None, Some(text)) if text::is_quota(refusal) => Some(text.min(LONGEST_BY_TEXT)),
        (firm, _) => firm,
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
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
    let told_ms = told_delay(refusal).map(milliseconds);
    match cause {
        // What OpenAI would say of a key like this. No caller is told so of a key that is not its own:
        // the attempt plan says in its place that the pool has no usable key.
        Cause::InvalidKey => error(StatusCode::UNAUTHORIZED, INVALID_REQUEST, "invalid_api_key"),
        Cause::LeakedKey | Cause::Suspended | Cause::Blocked(_) => {
            error(StatusCode::FORBIDDEN, INVALID_REQUEST, "permission_denied")
        }
        Cause::Billing if refusal.body.status == "FAILED_PRECONDITION" => {
            error(StatusCode::FORBIDDEN, INVALID_REQUEST, "billing_not_active")
        }
        Cause::RequestQuota | Cause::TokenQuota | Cause::Burst | Cause::SpendWindow => ApiError {
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
        Cause::NewUsers | Cause::NoAccess | Cause::UnknownModel => ApiError {
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
        Cause::Network if refusal.status.is_client_error() => {
            let message = format!(
                "Something on the way to Gemini, such as a proxy or filter, answered with status {}: {}",
                refusal.status.as_u16(),
                message(refusal.status, refusal.body)
            );
            ApiError::new(StatusCode::BAD_GATEWAY, SERVER_ERROR, Some("upstream_error"), message)
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
    let code = if status == StatusCode::PAYLOAD_TOO_LARGE {
        Some("request_too_large")
    } else if body.message.contains("only supported in the Interactions API") {
        // What has a code is not sent again, changed.
        Some("interactions_api_only")
    } else {
        None
    };
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
