//! The classification of upstream errors.
//!
//! [`classify`] turns the status and body of an error response into a [`Verdict`]: the cause, the
//! [`Evidence`] for it, the length of the cooldown and the limits that Gemini names. Structured fields
//! decide first, the table of Google's own texts (`text`) last. The rules follow Google's documentation
//! (<https://ai.google.dev/gemini-api/docs/troubleshooting>,
//! <https://ai.google.dev/gemini-api/docs/rate-limits>) and recorded responses of Gemini.
//!
//! # Invariants
//!
//! - A key is marked only for its own errors.
//! - No message contains a secret.

mod cause;
mod cooldown;
#[cfg(any(test, feature = "test-support"))]
pub mod fuzz;
mod response;
mod sent;
mod text;

use std::time::Duration;

use http::StatusCode;
use jiff::Timestamp;

pub use cause::{BlockReason, Cause, Evidence, Fault, Retry};
pub use sent::Sent;

use cooldown::{CooldownLength, cooldown_for, retry_delay};
use response::{INVALID_REQUEST, SERVER_ERROR, response};

use pool_shared::EventQuota;

use super::{HealthState, Limits, Quota, next_quota_day};
use crate::upstream_error::UpstreamError;
use pool_translate::ApiError;
use pool_translate::gemini::{ErrorBody, Violation, redact_keys};

/// The classification of an upstream error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The cause.
    pub cause: Cause,
    /// The evidence of the cause.
    pub evidence: Evidence,
    /// The end of the cooldown of the key or its project for this model; `None` where there is none, or
    /// where a schedule of its own decides.
    pub until: Option<Timestamp>,
    /// The limits that the error names.
    pub limits: Limits,
    /// What Gemini calls them.
    pub limit_names: Vec<LimitNames>,
    /// The key's project (`projects/123`), where the error names it.
    pub project: Option<String>,
    /// The error response for the client when no other attempt is made.
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

/// A response whose status is not a success.
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
const MAX_NAME_CHARS: usize = 200;

/// The cooldown of a project without any quota for a model, or too new for it.
const DAY: Duration = Duration::from_hours(24);
/// Maximum cooldown, whatever the error says.
const LONGEST: Duration = Duration::from_hours(24);

/// Classifies an upstream error. `random` is the jitter of the cooldown.
#[must_use]
pub fn classify(refusal: &Refusal, now: Timestamp, random: u64) -> Verdict {
    let (cause, evidence) = cause_of(refusal);
    let until = cooldown_for(cause, evidence, refusal).map(|(until, jitter)| {
        let end = match until {
            CooldownLength::For(time) => later(now, time.min(LONGEST)),
            CooldownLength::UntilNextDay => next_quota_day(now),
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
        answer: response(cause, refusal),
        quota: named_quota(refusal),
        note: note(cause, refusal),
        status: Some(refusal.status),
    }
}

impl Verdict {
    /// Returns the limits that the error names, with what Gemini calls them.
    pub(super) fn named_limits(&self) -> impl Iterator<Item = NamedLimit> + use<'_> {
        self.limits.known().map(|(quota, value)| {
            let names = self.limit_names.iter().find(|names| names.quota == quota);
            let text = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
            let metric = names.and_then(|names| text(&names.metric));
            NamedLimit { quota, value, metric, limit: names.and_then(|names| text(&names.limit)) }
        })
    }

    /// Returns a verdict that says nothing about any key: the response itself tells what happened.
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
        HealthState::from_cause(self.cause).is_some()
    }

    /// Returns `true` if the verdict is on a key or project and text is its only evidence.
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

/// Classifies a network fault: no response, or a truncated one.
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

/// Returns what `google.rpc.ErrorInfo` says. Its reasons are a fixed list, so no client writes them.
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

/// Returns which quota a 429 is about. Its `QuotaFailure` decides; without one, the text tells no more than that a quota of
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

/// Returns the project that an error names, where the error is about keys or quotas: others may name the project of something
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

/// Returns the first quota that an error names, for people.
fn named_quota(refusal: &Refusal) -> Option<EventQuota> {
    let violation = refusal.body.violations.first()?;
    let text = |text: &String| Some(redact_keys(text)).filter(|text| !text.is_empty());
    Some(EventQuota {
        metric: text(&violation.quota_metric),
        limit: text(&violation.quota_id),
        value: text(&violation.quota_value),
        model: text(&violation.model),
        retry_after_ms: retry_delay(refusal).map(milliseconds),
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

/// Returns the limits that an error names. Zero is no limit to count against: it means that the project has
/// no such quota.
fn named_limits(violations: &[Violation]) -> (Limits, Vec<LimitNames>) {
    let (mut limits, mut names) = (Limits::default(), Vec::new());
    for Violation { quota_id, quota_metric, quota_value, .. } in violations {
        let value = quota_value.parse().ok().filter(|value: &u64| *value > 0);
        if let (Some(quota), Some(value)) = (Quota::from_id(quota_id), value) {
            limits.set(quota, value);
            names.retain(|names: &LimitNames| names.quota != quota);
            let text = |text: &str| text.chars().take(MAX_NAME_CHARS).collect();
            names.push(LimitNames { quota, metric: text(quota_metric), limit: text(quota_id) });
        }
    }
    (limits, names)
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn later(time: Timestamp, by: Duration) -> Timestamp {
    time.saturating_add(by).unwrap_or(Timestamp::MAX)
}

/// Returns a random part of a duration.
pub(super) fn part_of(whole: Duration, random: u64) -> Duration {
    let nanoseconds = (whole.as_nanos() * u128::from(random)) >> 64;
    Duration::from_nanos(nanoseconds.try_into().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
