//! What must hold for any error: the body of the fuzz target `verdict`.
//!
//! `make fuzz` looks for bytes that break a claim, and the tests here play the inputs in `worker/fuzz/corpus/verdict`.
//! None of this is part of the service.
//!
//! # Invariants
//!
//! - No body panics, and none keeps a key or project from a model for more than two days.
//! - A key or project is invalid, leaked, suspended, blocked or without billing only by structure that Google alone
//!   writes: a known `ErrorInfo.reason` of Google's, the name of a quota, or the HTTP status with the status name that
//!   belongs to it. The last of these a probe has to confirm, unless it is about payment.
//! - Text alone makes a key suspect for seconds, and not even that where the request contains the text or the error
//!   lists violations of its fields.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a claim that does not hold ends in a panic, which is how a fuzzer is told"
)]

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use jiff::Timestamp;
use pool_shared::{KeyId, Weight};
use serde_json::Value;

use super::{BlockReason, Cause, Evidence, Refusal, Sent, Verdict, classify};
use crate::{AttemptEnd, Cost, HealthState, KeySet, KeySetEntry, KeyState, Limits, PoolState};
use pool_translate::gemini::ErrorBody;

/// The statuses that a body is judged at which comes without one.
const STATUSES: [u16; 10] = [200, 400, 401, 402, 403, 404, 407, 429, 500, 503];
const LONGEST: Duration = Duration::from_hours(48);
const SUSPECT_TIMEOUT: Duration = Duration::from_secs(8);

/// Reasons of `ErrorInfo` and what they say.
const REASONS: [(&str, Cause); 11] = [
    ("API_KEY_INVALID", Cause::InvalidKey),
    ("ACCESS_TOKEN_TYPE_UNSUPPORTED", Cause::InvalidKey),
    ("CONSUMER_SUSPENDED", Cause::Suspended),
    ("SERVICE_DISABLED", Cause::Blocked(BlockReason::ServiceDisabled)),
    ("BILLING_DISABLED", Cause::Blocked(BlockReason::BillingDisabled)),
    ("CONSUMER_INVALID", Cause::Blocked(BlockReason::ConsumerInvalid)),
    ("API_KEY_SERVICE_BLOCKED", Cause::Blocked(BlockReason::ServiceBlocked)),
    ("API_KEY_HTTP_REFERRER_BLOCKED", Cause::Blocked(BlockReason::Referrer)),
    ("API_KEY_IP_ADDRESS_BLOCKED", Cause::Blocked(BlockReason::Address)),
    ("API_KEY_ANDROID_APP_BLOCKED", Cause::Blocked(BlockReason::App)),
    ("API_KEY_IOS_APP_BLOCKED", Cause::Blocked(BlockReason::App)),
];

/// A response and the request that it responds to.
struct Case {
    status: StatusCode,
    retry_after: Option<Duration>,
    path: String,
    sent: Vec<u8>,
    body: Vec<u8>,
}

/// A response to a request, as `{"status", "retry_after", "path", "sent", "body"}`; any other bytes are the body of a
/// response of every status.
pub fn verdict(bytes: &[u8]) {
    for case in cases(bytes) {
        case.check();
    }
}

fn cases(bytes: &[u8]) -> Vec<Case> {
    let case = |status: StatusCode, body: Vec<u8>| Case {
        status,
        retry_after: None,
        path: "/v1beta/models/m:generateContent".to_owned(),
        sent: br#"{"contents":[{"parts":[{"text":"hi"}]}]}"#.to_vec(),
        body,
    };
    let document: Option<Value> = serde_json::from_slice(bytes).ok();
    let status = document.as_ref().and_then(|document| document.get("status")?.as_u64());
    let status = status.and_then(|status| StatusCode::from_u16(u16::try_from(status).ok()?).ok());
    let Some((document, status)) = document.zip(status) else {
        let statuses = STATUSES.into_iter().filter_map(|status| StatusCode::from_u16(status).ok());
        return statuses.map(|status| case(status, bytes.to_vec())).collect();
    };
    // A text means itself, so that what is no JSON can be written down.
    let raw = |name: &str| match document.get(name) {
        None => Vec::new(),
        Some(Value::String(text)) => text.clone().into_bytes(),
        Some(value) => value.to_string().into_bytes(),
    };
    let retry_after = document.get("retry_after").and_then(Value::as_u64).map(Duration::from_secs);
    let path = document.get("path").and_then(Value::as_str).unwrap_or_default().to_owned();
    vec![Case { retry_after, path, sent: raw("sent"), ..case(status, raw("body")) }]
}

impl Case {
    fn check(&self) {
        let body = ErrorBody::parse(&self.body);
        // An error in the body of a success means what it would mean as a status.
        let status = if self.status.is_success() {
            let told = body.http_status().and_then(|status| StatusCode::from_u16(status).ok());
            told.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
        } else {
            self.status
        };
        let sent = Sent::new(self.path.clone(), self.sent.clone().into());
        let now: Timestamp = "2026-12-01T00:00:00Z".parse().unwrap();
        let judge = |body: &ErrorBody, sent: Option<&Sent>| {
            classify(&Refusal { status, retry_after: self.retry_after, body, sent }, now, 7)
        };
        let verdict = judge(&body, Some(&sent));
        assert!(verdict.until.is_none_or(|until| until.duration_since(now).unsigned_abs() <= LONGEST));
        self.check_structure(status, &body, &verdict);
        check_effect(&verdict, now);
        if verdict.evidence == Evidence::Text {
            assert!(!body.field_violations, "text beside violations of fields: {verdict:?}");
            assert!(!sent.contains(&body.message), "the client's own words: {verdict:?}");
        }
        let echoed = Sent::new(self.path.clone(), body.message.clone().into_bytes().into());
        for sent in [None, Some(&echoed)] {
            assert_ne!(judge(&body, sent).evidence, Evidence::Text, "text that may be the client's");
        }
        // Some endpoints put the error into an array.
        if let Ok(value @ Value::Object(_)) = serde_json::from_slice::<Value>(&self.body)
            && value.get("error").is_some()
        {
            let wrapped = ErrorBody::parse(Value::from(vec![value]).to_string().as_bytes());
            assert_eq!(judge(&wrapped, Some(&sent)), verdict, "in an array");
        }
    }

    /// What says more of a key or project than a suspicion is structure, as another reader of the body finds it.
    fn check_structure(&self, status: StatusCode, body: &ErrorBody, verdict: &Verdict) {
        if HealthState::from_cause(verdict.cause).is_none() || verdict.evidence == Evidence::Text {
            return;
        }
        let document: Value = serde_json::from_slice(&self.body).unwrap();
        let error = match &document {
            Value::Array(items) => items.iter().find_map(|item| item.get("error")),
            document => document.get("error"),
        };
        let error = error.unwrap();
        let details = || error.get("details").and_then(Value::as_array).into_iter().flatten();
        let of_kind = |detail: &&Value, kind: &str| {
            detail.get("@type").and_then(Value::as_str).is_some_and(|known| known.ends_with(kind))
        };
        let is_said = |detail: &Value| {
            let text = |name: &str| detail.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
            let domain = text("domain");
            let of_google =
                domain.is_empty() || domain == "googleapis.com" || domain.ends_with(".googleapis.com");
            of_google && REASONS.contains(&(text("reason").as_str(), verdict.cause))
        };
        let by_reason = details().filter(|detail| of_kind(detail, "google.rpc.ErrorInfo")).any(is_said);
        let by_quota = details()
            .filter(|detail| of_kind(detail, "google.rpc.QuotaFailure"))
            .any(|detail| verdict.cause == Cause::SpendWindow && detail.to_string().contains("Spend"));
        let by_status = match (status.as_u16(), body.status_name()) {
            (401, "UNAUTHENTICATED") => verdict.cause == Cause::InvalidKey,
            (403, "PERMISSION_DENIED") => verdict.cause == Cause::Blocked(BlockReason::Permission),
            (402, name) => verdict.cause == Cause::Billing && !name.is_empty(),
            _ => false,
        };
        assert!(
            status.is_client_error() && (by_reason || by_quota || by_status),
            "{verdict:?} by {document}"
        );
        let is_confirmed = by_reason || by_quota || verdict.cause == Cause::Billing;
        assert!(is_confirmed || verdict.needs_probe(), "no probe confirms {verdict:?}");
    }
}

/// What a verdict does to a key that was healthy.
fn check_effect(verdict: &Verdict, now: Timestamp) {
    let id = KeyId::from_random(1);
    let key = KeySetEntry {
        id: id.clone(),
        weight: Weight::try_from(1).unwrap(),
        project: None,
        billing_account: None,
        limits: Limits::default(),
    };
    let mut pool = PoolState::default();
    pool.register_keys(&Arc::new(KeySet::of(1, [key])), now);
    let lease = pool.check(&id, "m", Cost { requests: 1, tokens: 1 }, now).unwrap();
    pool.finish(&lease, &AttemptEnd::Refused(verdict), now);
    let state = pool.state(&id, now).unwrap();
    match &state {
        KeyState::Unhealthy(state) => {
            assert!(verdict.is_about_key(), "{state:?} after {verdict:?}");
            if verdict.evidence == Evidence::Text {
                assert_eq!(*state, HealthState::Suspect);
            }
            if verdict.needs_probe() {
                assert!(pool.has_due_rechecks(now.saturating_add(SUSPECT_TIMEOUT).unwrap()));
            }
        }
        KeyState::Cooling(models) => {
            assert!(models.iter().all(|(_, until, _)| until.duration_since(now).unsigned_abs() <= LONGEST));
        }
        KeyState::Healthy => {}
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use pool_translate::fuzz::replay;

    #[test]
    fn every_kept_error() {
        replay("verdict", super::verdict);
    }

    proptest! {
        #[test]
        fn any_bytes_as_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            super::verdict(&bytes);
        }

        #[test]
        fn any_error_of_google_s_words(
            status in prop::sample::select(super::STATUSES.to_vec()),
            name in prop::sample::select(vec![
                "INVALID_ARGUMENT", "FAILED_PRECONDITION", "UNAUTHENTICATED", "PERMISSION_DENIED", "NOT_FOUND",
                "RESOURCE_EXHAUSTED", "INTERNAL", "permission_denied", "Permission_Denied", "authentication", "",
            ]),
            message in prop::sample::select(vec![
                "API key expired. Please renew the API key.",
                "Your API key was reported as leaked. Please use another API key.",
                "Permission denied: Consumer 'api_key:x' has been suspended.",
                "Gemini API free tier is not available in your country. Please enable billing on your project.",
                "Your prepayment credits are depleted.",
                "You exceeded your spend limit.",
                "You exceeded your current quota. * Quota exceeded for metric: a/b, limit: 0, model: m",
                "Invalid value at 'a', \"api key expired\"",
                "no access to files/a",
            ]),
            reason in prop::sample::select(vec![
                "API_KEY_INVALID", "CONSUMER_SUSPENDED", "SERVICE_DISABLED", "CREDENTIALS_MISSING", "OF_TOMORROW",
            ]),
            domain in prop::sample::select(vec!["googleapis.com", "a.googleapis.com", "evilgoogleapis.com", "x", ""]),
            details in 0_u8..8,
            echo in any::<bool>(),
        ) {
            let mut list = Vec::new();
            if details & 1 > 0 {
                list.push(serde_json::json!({"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": domain, "metadata": {"consumer": "projects/1"}}));
            }
            if details & 2 > 0 {
                list.push(serde_json::json!({"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [{"description": message}]}));
            }
            if details & 4 > 0 {
                list.push(serde_json::json!({"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaId": message, "quotaValue": "0"}]}));
            }
            let sent = if echo { message } else { "hi" };
            let body = serde_json::json!({"error": {"code": status, "status": name, "message": message, "details": list}});
            let input = serde_json::json!({"status": status, "path": "/v1beta/models/m:generateContent", "sent": {"a": sent}, "body": body});
            super::verdict(input.to_string().as_bytes());
        }
    }
}
