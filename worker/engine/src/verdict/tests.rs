//! One body for each row of the table, as Gemini sends it, and bodies that nobody should send.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::Awaited;

/// 2026-03-07, 18:00 in California, the evening before the clocks go forward.
const NOW: &str = "2026-03-08T02:00:00Z";
const MIDNIGHT: &str = "2026-03-08T08:00:00Z";

fn judge(status: u16, body: &str) -> Verdict {
    judge_response_to(r#"{"contents":[{"parts":[{"text":"hi"}]}]}"#, status, body)
}

fn judge_response_to(sent: &str, status: u16, body: &str) -> Verdict {
    let body = ErrorBody::parse(body.as_bytes());
    let status = StatusCode::from_u16(status).unwrap();
    let sent =
        Sent::new("/v1beta/models/gemini-3.8-flash:generateContent", sent.to_owned().into_bytes().into());
    let refusal = Refusal { status, retry_after: None, body: &body, sent: Some(&sent) };
    classify(&refusal, NOW.parse().unwrap(), 0)
}

fn refusal(status: &str, message: &str, details: &str) -> String {
    format!(r#"{{"error":{{"code":1,"message":"{message}","status":"{status}","details":[{details}]}}}}"#)
}

fn info(reason: &str) -> String {
    format!(
        r#"{{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"{reason}","domain":"googleapis.com",
            "metadata":{{"consumer":"projects/42","service":"generativelanguage.googleapis.com"}}}}"#
    )
}

fn violation(id: &str, value: &str) -> String {
    format!(
        r#"{{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{{"quotaId":"{id}","quotaValue":"{value}"}}]}}"#
    )
}

fn delay(delay: &str) -> String {
    format!(r#"{{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"{delay}"}}"#)
}

const QUOTA: &str = "You exceeded your current quota, please check your plan and billing details. * Quota exceeded \
                     for metric: generativelanguage.googleapis.com/generate_content_free_tier_requests, limit: 10, \
                     model: gemini-3.8-flash";

fn exhausted_by(details: &[String]) -> String {
    refusal("RESOURCE_EXHAUSTED", QUOTA, &details.join(","))
}

/// Status, body, cause, whose fault, what the client is told.
type Row = (u16, String, Cause, Fault, (u16, Option<&'static str>));

#[allow(clippy::too_many_lines)] // It is one table.
fn table() -> Vec<Row> {
    let argument = |message: &str| refusal("INVALID_ARGUMENT", message, "");
    let denied = |message: &str| refusal("PERMISSION_DENIED", message, "");
    let blocked = |reason: &str| refusal("PERMISSION_DENIED", "Blocked.", &info(reason));
    let bad_key = (401, Some("invalid_api_key"));
    let no_right = (403, Some("permission_denied"));
    let no_money = (429, Some("insufficient_quota"));
    let (day, minute, tokens) = (
        "GenerateRequestsPerDayPerProjectPerModel-FreeTier",
        "GenerateRequestsPerMinutePerProjectPerModel-FreeTier",
        "GenerateContentInputTokensPerModelPerMinute-FreeTier",
    );
    let short = || delay("26s");
    let invalid = refusal(
        "INVALID_ARGUMENT",
        "API key not valid. Please pass a valid API key.",
        &info("API_KEY_INVALID"),
    );
    let key = "AIzaSyA-0123456789abcdefghijklmnopqrstu";
    let suspended = refusal(
        "PERMISSION_DENIED",
        &format!("Permission denied: Consumer 'api_key:{key}' has been suspended."),
        &info("CONSUMER_SUSPENDED"),
    );
    let depleted = "Your prepayment credits are depleted. Please go to AI Studio.";
    let not_found = "models/x is not found for API version v1beta, or is not supported for generateContent.";
    let new_users = "This model models/x is no longer available to new users.";
    let unauthenticated = "Request had invalid authentication credentials.";
    vec![
        (400, invalid, Cause::InvalidKey, Fault::Key, bad_key),
        (400, argument("API key expired. Please renew the API key."), Cause::InvalidKey, Fault::Key, bad_key),
        (400, argument("Invalid Auth key."), Cause::InvalidKey, Fault::Key, bad_key),
        (
            400,
            argument("Multiple authentication credentials received. Please pass only one."),
            Cause::Ours,
            Fault::Ours,
            (502, Some("upstream_error")),
        ),
        (
            400,
            argument(
                "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
            ),
            Cause::Caller,
            Fault::Caller,
            (400, Some("context_length_exceeded")),
        ),
        (400, argument("Request contains an invalid argument."), Cause::Caller, Fault::Caller, (400, None)),
        (
            400,
            argument("Function call is missing a thought_signature in functionCall parts."),
            Cause::Caller,
            Fault::Caller,
            (400, None),
        ),
        (
            400,
            refusal("FAILED_PRECONDITION", "User location is not supported for the API use.", ""),
            Cause::Location,
            Fault::Egress,
            (403, Some("unsupported_country_region_territory")),
        ),
        (
            400,
            refusal(
                "FAILED_PRECONDITION",
                "Gemini API free tier is not available in your country. Please enable billing on your project.",
                "",
            ),
            Cause::Billing,
            Fault::Account,
            (403, Some("billing_not_active")),
        ),
        (
            401,
            refusal("UNAUTHENTICATED", unauthenticated, &info("ACCESS_TOKEN_TYPE_UNSUPPORTED")),
            Cause::InvalidKey,
            Fault::Key,
            bad_key,
        ),
        (401, refusal("UNAUTHENTICATED", unauthenticated, ""), Cause::InvalidKey, Fault::Key, bad_key),
        (402, refusal("RESOURCE_EXHAUSTED", depleted, ""), Cause::Billing, Fault::Account, no_money),
        (403, suspended, Cause::Suspended, Fault::Project, no_right),
        (
            403,
            denied("Your API key was reported as leaked. Please use another API key."),
            Cause::LeakedKey,
            Fault::Key,
            no_right,
        ),
        (
            403,
            blocked("SERVICE_DISABLED"),
            Cause::Blocked(BlockReason::ServiceDisabled),
            Fault::Project,
            no_right,
        ),
        (
            403,
            blocked("API_KEY_SERVICE_BLOCKED"),
            Cause::Blocked(BlockReason::ServiceBlocked),
            Fault::Key,
            no_right,
        ),
        (
            403,
            blocked("BILLING_DISABLED"),
            Cause::Blocked(BlockReason::BillingDisabled),
            Fault::Project,
            no_right,
        ),
        (
            403,
            blocked("CONSUMER_INVALID"),
            Cause::Blocked(BlockReason::ConsumerInvalid),
            Fault::Project,
            no_right,
        ),
        (
            403,
            blocked("API_KEY_HTTP_REFERRER_BLOCKED"),
            Cause::Blocked(BlockReason::Referrer),
            Fault::Key,
            no_right,
        ),
        (
            403,
            blocked("API_KEY_IP_ADDRESS_BLOCKED"),
            Cause::Blocked(BlockReason::Address),
            Fault::Key,
            no_right,
        ),
        (
            403,
            denied("You do not have permission to access the File x or it may not exist."),
            Cause::Caller,
            Fault::Caller,
            (403, None),
        ),
        (
            403,
            denied("CachedContent not found (or permission denied)"),
            Cause::Caller,
            Fault::Caller,
            (403, None),
        ),
        (
            403,
            denied("You do not have permission to access tunedModels/x-123."),
            Cause::Caller,
            Fault::Caller,
            (403, None),
        ),
        (
            403,
            denied("The caller does not have permission"),
            Cause::Blocked(BlockReason::Permission),
            Fault::Key,
            no_right,
        ),
        (403, blocked("SOMETHING_NEW"), Cause::Blocked(BlockReason::Permission), Fault::Key, no_right),
        (
            400,
            r#"{"error":{"code":"failed_precondition","message":"x"}}"#.to_owned(),
            Cause::Caller,
            Fault::Caller,
            (400, None),
        ),
        (
            400,
            r#"{"error":{"code":"parameter_unknown","message":"x"}}"#.to_owned(),
            Cause::Caller,
            Fault::Caller,
            (400, None),
        ),
        (
            401,
            r#"{"error":{"code":"authentication","message":"x"}}"#.to_owned(),
            Cause::InvalidKey,
            Fault::Key,
            bad_key,
        ),
        (
            402,
            r#"{"error":{"code":"payment_required","message":"x"}}"#.to_owned(),
            Cause::Billing,
            Fault::Account,
            no_money,
        ),
        (
            403,
            r#"{"error":{"code":"permission_denied","message":"x"}}"#.to_owned(),
            Cause::Blocked(BlockReason::Permission),
            Fault::Key,
            no_right,
        ),
        (
            400,
            argument("This model is only supported in the Interactions API."),
            Cause::Caller,
            Fault::Caller,
            (400, Some("interactions_api_only")),
        ),
        (
            403,
            denied("Method doesn't allow unregistered callers."),
            Cause::Ours,
            Fault::Ours,
            (502, Some("upstream_error")),
        ),
        (
            404,
            refusal("NOT_FOUND", not_found, ""),
            Cause::UnknownModel,
            Fault::Caller,
            (404, Some("model_not_found")),
        ),
        (
            404,
            refusal("NOT_FOUND", new_users, ""),
            Cause::NewUsers,
            Fault::Key,
            (404, Some("model_not_found")),
        ),
        (
            404,
            "<html><title>Error 404 (Not Found)!!1</title>".to_owned(),
            Cause::Ours,
            Fault::Ours,
            (502, Some("upstream_error")),
        ),
        (
            408,
            refusal("CANCELLED", "The operation was cancelled.", ""),
            Cause::Caller,
            Fault::Caller,
            (408, None),
        ),
        (
            499,
            refusal("CANCELLED", "The operation was cancelled.", ""),
            Cause::Caller,
            Fault::Caller,
            (499, None),
        ),
        (
            413,
            "<html><title>Error 413</title>".to_owned(),
            Cause::Caller,
            Fault::Caller,
            (413, Some("request_too_large")),
        ),
        (416, refusal("OUT_OF_RANGE", "x", ""), Cause::Caller, Fault::Caller, (416, None)),
        (
            429,
            exhausted_by(&[violation(minute, "10"), short()]),
            Cause::RequestQuota,
            Fault::Project,
            (429, Some("rate_limit_exceeded")),
        ),
        (
            429,
            exhausted_by(&[violation(minute, "10"), violation(day, "250"), short()]),
            Cause::DayQuota,
            Fault::Project,
            (429, Some("insufficient_quota")),
        ),
        (
            429,
            exhausted_by(&[violation(minute, "0"), short()]),
            Cause::NoQuota,
            Fault::Project,
            (429, Some("insufficient_quota")),
        ),
        (
            429,
            refusal("RESOURCE_EXHAUSTED", "Quota exceeded for metric: x, limit: 0, model: y", &short()),
            Cause::NoQuota,
            Fault::Project,
            (429, Some("insufficient_quota")),
        ),
        (
            429,
            exhausted_by(&[violation(tokens, "250000"), short()]),
            Cause::TokenQuota,
            Fault::Project,
            (429, Some("rate_limit_exceeded")),
        ),
        (
            429,
            refusal("RESOURCE_EXHAUSTED", "You have reached the spend limit of the last 10 minutes.", ""),
            Cause::SpendWindow,
            Fault::Account,
            (429, Some("rate_limit_exceeded")),
        ),
        (
            429,
            exhausted_by(&[violation("SpendPerTenMinutesPerBillingAccount", "10"), short()]),
            Cause::SpendWindow,
            Fault::Account,
            (429, Some("rate_limit_exceeded")),
        ),
        (
            429,
            refusal("RESOURCE_EXHAUSTED", "The project has exceeded its monthly spending cap.", ""),
            Cause::Billing,
            Fault::Account,
            no_money,
        ),
        (429, refusal("RESOURCE_EXHAUSTED", depleted, ""), Cause::Billing, Fault::Account, no_money),
        (
            429,
            refusal("RESOURCE_EXHAUSTED", "Resource has been exhausted (e.g. check quota).", ""),
            Cause::Burst,
            Fault::Model,
            (429, Some("rate_limit_exceeded")),
        ),
        (
            500,
            refusal("INTERNAL", "An internal error has occurred.", ""),
            Cause::Internal,
            Fault::Model,
            (500, Some("internal_error")),
        ),
        (
            502,
            "<html><title>Error 502 (Server Error)!!1</title>".to_owned(),
            Cause::Network,
            Fault::Network,
            (502, Some("upstream_error")),
        ),
        (522, String::new(), Cause::Network, Fault::Network, (502, Some("upstream_error"))),
        (
            503,
            refusal("UNAVAILABLE", "The model is overloaded. Please try again later.", ""),
            Cause::Overloaded,
            Fault::Model,
            (503, Some("overloaded")),
        ),
        (
            504,
            refusal("DEADLINE_EXCEEDED", "Deadline expired before operation could complete.", ""),
            Cause::Deadline,
            Fault::Model,
            (504, Some("timeout")),
        ),
    ]
}

#[test]
fn every_row_is_judged_alone_and_in_an_array() {
    for (status, body, cause, fault, (told, code)) in table() {
        for body in [body.clone(), format!("[{body}\n]\n")] {
            let verdict = judge(status, &body);
            assert_eq!((verdict.cause, verdict.cause.fault()), (cause, fault), "{status} {body}");
            assert_eq!(
                (verdict.answer.status.as_u16(), verdict.answer.code),
                (told, code),
                "{status} {body}"
            );
            assert!(!verdict.answer.message.contains("AIza"), "{}", verdict.answer.message);
            assert_eq!(verdict.cause.retry() == Retry::Stop, matches!(fault, Fault::Caller | Fault::Ours));
        }
    }
}

#[test]
fn a_limit_a_day_lasts_until_midnight_whatever_delay_comes_with_it() {
    let body = exhausted_by(&[violation("GenerateRequestsPerDayPerProjectPerModel", "250"), delay("26s")]);
    let verdict = judge(429, &body);
    assert_eq!(verdict.until, Some(MIDNIGHT.parse().unwrap()));
    assert_eq!((verdict.answer.should_retry, verdict.answer.retry_after_ms), (Some(false), None));
    assert_eq!(verdict.limits.requests_per_day, Some(250));
}

#[test]
fn a_limit_a_minute_lasts_as_long_as_gemini_says() {
    let minute = violation("GenerateRequestsPerMinutePerProjectPerModel", "10");
    for (details, seconds) in [
        (vec![minute.clone(), delay("14.5s")], 15),
        (vec![minute.clone()], 60),
        (vec![violation("GenerateRequestsPerHour", "10")], 3_600),
        (vec![minute.clone(), delay("999999999999999s")], 86_400),
        (vec![minute, delay("-3s")], 60),
    ] {
        let until = judge(429, &exhausted_by(&details)).until.unwrap();
        let now: Timestamp = NOW.parse().unwrap();
        assert_eq!(
            until.duration_since(now).as_millis().div_euclid(1_000),
            seconds - i128::from(seconds == 15)
        );
    }
}

#[test]
fn the_end_of_a_cooldown_is_spread() {
    let body = ErrorBody::parse(exhausted_by(&[delay("10s")]).as_bytes());
    let refusal =
        Refusal { status: StatusCode::TOO_MANY_REQUESTS, retry_after: None, body: &body, sent: None };
    let now: Timestamp = NOW.parse().unwrap();
    let spread = classify(&refusal, now, u64::MAX / 2).until.unwrap().duration_since(now);
    assert_eq!(spread.as_millis(), 10_499);
}

#[test]
fn the_header_counts_when_it_asks_for_more() {
    let body = ErrorBody::default();
    let refusal = Refusal {
        status: StatusCode::TOO_MANY_REQUESTS,
        retry_after: Some(Duration::from_secs(9)),
        body: &body,
        sent: None,
    };
    let now: Timestamp = NOW.parse().unwrap();
    let verdict = classify(&refusal, now, 0);
    assert_eq!((verdict.cause, verdict.answer.retry_after_ms), (Cause::Burst, Some(9_000)));
    assert_eq!(verdict.until.unwrap().duration_since(now).as_secs(), 9);
}

#[test]
fn projects_are_learnt_and_a_key_in_their_place_is_not() {
    let body = refusal("PERMISSION_DENIED", "x", &info("SERVICE_DISABLED"));
    assert_eq!(judge(403, &body).project.as_deref(), Some("projects/42"));
    let body = body.replace("projects/42", "api_key:AIzaSyA-0123456789abcdefghijklmnopqrstu");
    assert_eq!(judge(403, &body).project, None);
}

#[test]
fn a_project_is_learnt_only_from_google_and_beside_a_verdict_on_keys_or_quotas() {
    for (status, name) in
        [(400, "INVALID_ARGUMENT"), (404, "NOT_FOUND"), (500, "INTERNAL"), (503, "UNAVAILABLE")]
    {
        let body = refusal(name, "x", &info("SOMETHING_ELSE"));
        assert_eq!(judge(status, &body).project, None, "{status}");
    }
    let other = refusal("PERMISSION_DENIED", "x", &info("SERVICE_DISABLED"));
    let foreign =
        other.replace("\"domain\":\"googleapis.com\"", "\"domain\":\"googleapis.com.evil.example\"");
    let verdict = judge(403, &foreign);
    assert_eq!((verdict.project.as_deref(), verdict.evidence), (None, Evidence::Status), "{foreign}");
}

#[test]
fn a_status_under_another_name_is_no_verdict_on_a_key() {
    for (status, name) in [
        (401, "INVALID_ARGUMENT"),
        (403, "NOT_FOUND"),
        (401, "PERMISSION_DENIED"),
        (403, "Permission_Denied"),
    ] {
        let verdict = judge(status, &refusal(name, "x", ""));
        assert!(!verdict.is_about_key(), "{status} {name}: {:?}", verdict.cause);
    }
    for (status, name) in [
        (401, "UNAUTHENTICATED"),
        (401, "authentication"),
        (403, "PERMISSION_DENIED"),
        (403, "permission_denied"),
    ] {
        let verdict = judge(status, &refusal(name, "x", ""));
        assert!(verdict.is_about_key() && verdict.needs_probe(), "{status} {name}: {verdict:?}");
    }
}

#[test]
fn a_403_for_a_resource_of_a_project_is_the_request_s() {
    let body =
        ErrorBody::parse(refusal("PERMISSION_DENIED", "The caller does not have permission", "").as_bytes());
    for (path, cause) in [
        ("/v1beta/tunedModels/mine:generateContent", Cause::Caller),
        ("/v1beta/files/abc", Cause::Caller),
        ("/v1beta/models/m:generateContent", Cause::Blocked(BlockReason::Permission)),
    ] {
        let sent = Sent::new(path, bytes::Bytes::new());
        let refusal =
            Refusal { status: StatusCode::FORBIDDEN, retry_after: None, body: &body, sent: Some(&sent) };
        assert_eq!(classify(&refusal, NOW.parse().unwrap(), 0).cause, cause, "{path}");
    }
}

#[test]
fn bodies_that_say_little_are_judged_by_their_status() {
    for (body, cause) in [
        ("", Cause::Burst),
        ("{", Cause::Burst),
        ("<html>Too Many Requests", Cause::Burst),
        (
            r#"{"error":{"code":429,"message":"x","details":[{"violations":[{"quotaId":"GenerateRequestsPerDayPerPro"#,
            Cause::Burst,
        ),
        (r#"{"error":{"code":429,"message":"You exceeded your current quota, please"#, Cause::Burst),
    ] {
        assert_eq!(judge(429, body).cause, cause, "{body}");
    }
    for status in [401, 402, 403, 407] {
        for body in
            ["", "<html>Blocked by policy", r#"{"error":{"message":"blocked"}}"#, r#"{"error":"blocked"}"#]
        {
            let verdict = judge(status, body);
            assert_eq!(
                (verdict.cause, verdict.answer.status.as_u16()),
                (Cause::Network, 502),
                "{status} {body}"
            );
        }
    }
    assert_eq!(judge(503, "[]").cause, Cause::Overloaded);
    assert_eq!(judge(302, "").cause, Cause::Network);
    assert_eq!(judge(400, "null").cause, Cause::Caller);
}

#[test]
fn network_faults_blame_nobody() {
    for (fault, cause) in [
        (UpstreamError::Connect("refused".to_owned()), Cause::Network),
        (UpstreamError::Read("reset".to_owned()), Cause::Network),
        (
            UpstreamError::Timeout { limit: Duration::from_secs(9), awaited: Awaited::Headers },
            Cause::Deadline,
        ),
    ] {
        let verdict = network_fault(&fault);
        assert_eq!((verdict.cause, verdict.until), (cause, None));
        assert!(!matches!(verdict.cause.fault(), Fault::Key | Fault::Project));
    }
}

/// Texts that Google writes about keys, projects and quotas.
const WORDS: [&str; 16] = [
    "API key not valid. Please pass a valid API key.",
    "API key expired. Please renew the API key.",
    "Invalid Auth key.",
    "Your API key was reported as leaked. Please use another API key.",
    "Permission denied: Consumer 'api_key:x' has been suspended.",
    "Your prepayment credits are depleted.",
    "Your project has exceeded its monthly spending cap.",
    "Gemini API free tier is not available in your country. Please enable billing on your project.",
    "User location is not supported for the API use.",
    "You exceeded your current quota.\n* Quota exceeded for metric: a/b, limit: 0, model: x\nPlease retry in 90000s.",
    "Quota exceeded for metric: GenerateRequestsPerDay, limit: 0, model: x. Please retry in 23h.",
    "This model models/x is no longer available to new users.",
    "models/x is not found for API version v1beta",
    "Multiple authentication credentials received. Please pass only one.",
    "Method doesn't allow unregistered callers.",
    "API_KEY_INVALID CONSUMER_SUSPENDED PerDay prepay spending cap limit: 0",
];

const STATUSES: [(u16, &str); 18] = [
    (400, "INVALID_ARGUMENT"),
    (400, "FAILED_PRECONDITION"),
    (400, "OUT_OF_RANGE"),
    (401, "UNAUTHENTICATED"),
    (402, "RESOURCE_EXHAUSTED"),
    (403, "PERMISSION_DENIED"),
    (404, "NOT_FOUND"),
    (409, "ABORTED"),
    (413, "INVALID_ARGUMENT"),
    (429, "RESOURCE_EXHAUSTED"),
    (499, "CANCELLED"),
    (500, "INTERNAL"),
    (500, "UNKNOWN"),
    (501, "UNIMPLEMENTED"),
    (503, "UNAVAILABLE"),
    (504, "DEADLINE_EXCEEDED"),
    (400, "invalid_request"),
    (403, ""),
];

/// Returns what a verdict does to keys and projects, and for how long.
fn effect(verdict: &Verdict) -> (Option<HealthState>, Option<Timestamp>, Limits, Option<&str>) {
    (HealthState::from_cause(verdict.cause), verdict.until, verdict.limits, verdict.project.as_deref())
}

/// Returns an error with a status, a message, and the same text wherever a detail is for people.
fn error_with(status: &str, message: &str, details: u8) -> String {
    let violations = json!([{"field": message, "description": message}]);
    let detail = match details {
        0 => json!([]),
        1 => json!([{"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": violations}]),
        2 => json!([{"@type": "type.googleapis.com/google.rpc.LocalizedMessage", "message": message}]),
        3 => {
            json!([{"@type": "type.googleapis.com/google.rpc.DebugInfo", "detail": message, "reason": message}])
        }
        _ => json!([{"@type": "type.googleapis.com/google.rpc.Help", "links": [{"description": message}]},
                    {"@type": "type.googleapis.com/google.rpc.ResourceInfo", "resourceName": message}]),
    };
    json!({"error": {"code": 1, "message": message, "status": status, "details": detail}}).to_string()
}

#[test]
fn a_client_s_words_are_no_verdict_on_a_key() {
    // The message and details as Gemini sent them for a wrong response modality.
    let sent = r#"{"generationConfig":{"responseModalities":["api key expired"]}}"#;
    let message = "Invalid value at 'generation_config.response_modalities[0]' (x), \"api key expired\"";
    for details in 0..5 {
        let verdict = judge_response_to(sent, 400, &error_with("INVALID_ARGUMENT", message, details));
        assert_eq!(verdict.cause, Cause::Caller);
        let verdict =
            judge_response_to(sent, 400, &error_with("INVALID_ARGUMENT", "API key expired.", details));
        assert_eq!(verdict.cause, Cause::Caller, "the words are in the request");
    }
    let quoted = error_with("INVALID_ARGUMENT", "API key expired.", 1);
    assert_eq!(judge(400, &quoted).cause, Cause::Caller, "field violations are beside them");
    assert_eq!(judge(400, &error_with("INVALID_ARGUMENT", "API key expired.", 0)).cause, Cause::InvalidKey);
}

#[test]
fn a_text_is_evidence_only_at_its_own_status() {
    let body = |status: &str| refusal(status, "Your API key was reported as leaked.", "");
    let verdict = judge(403, &body("PERMISSION_DENIED"));
    assert_eq!((verdict.cause, verdict.evidence), (Cause::LeakedKey, Evidence::Text));
    assert!(verdict.is_suspicion() && verdict.needs_probe());
    assert!(!verdict.of_own_words().is_suspicion());
    for (status, name) in
        [(400, "INVALID_ARGUMENT"), (404, "NOT_FOUND"), (500, "INTERNAL"), (429, "RESOURCE_EXHAUSTED")]
    {
        assert!(HealthState::from_cause(judge(status, &body(name)).cause).is_none(), "{status}");
    }
    // Nor is it where it is elsewhere than at the beginning, even if nobody knows where the words come from.
    for (status, name, words) in [
        (400, "INVALID_ARGUMENT", "API key expired. Please renew the API key."),
        (400, "FAILED_PRECONDITION", "Gemini API free tier is not available in your country."),
        (404, "NOT_FOUND", "This model models/x is no longer available to new users."),
    ] {
        assert_eq!(judge(status, &refusal(name, words, "")).evidence, Evidence::Text, "{words}");
        for before in ["Invalid value at 'x': ", "* ", "> ", "The tool said that your "] {
            let verdict = judge(status, &refusal(name, &format!("{before}{words}"), ""));
            assert!(HealthState::from_cause(verdict.cause).is_none() && verdict.until.is_none(), "{words}");
        }
    }
    // The status alone speaks against the key; that it is leaked, nobody said.
    let verdict = judge_response_to("Your API key was reported as leaked", 403, &body("PERMISSION_DENIED"));
    assert_eq!(verdict.cause, Cause::Blocked(BlockReason::Permission));
    assert!(!verdict.is_suspicion() && verdict.needs_probe());
}

#[test]
fn a_reason_counts_if_google_gives_it() {
    let reason = |domain: &str| {
        json!({"error": {"code": 400, "message": "x", "status": "INVALID_ARGUMENT", "details": [
            {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID", "domain": domain}]}})
        .to_string()
    };
    for (domain, cause) in [
        ("googleapis.com", Cause::InvalidKey),
        ("generativelanguage.googleapis.com", Cause::InvalidKey),
        ("evilgoogleapis.com", Cause::Caller),
        ("example.com", Cause::Caller),
    ] {
        assert_eq!(judge(400, &reason(domain)).cause, cause, "{domain}");
    }
    assert_eq!(judge(500, &reason("googleapis.com")).cause, Cause::Internal);
}

#[test]
fn words_about_quotas_never_exclude_for_long() {
    let now: Timestamp = NOW.parse().unwrap();
    for (message, cause) in [
        ("You exceeded your current quota. Please retry in 23h.", Cause::RequestQuota),
        (
            "You exceeded your current quota.\\n* Quota exceeded for metric: m, limit: 0, model: x",
            Cause::NoQuota,
        ),
        ("Your request of GenerateRequestsPerDay is too large, limit: 0. Please retry in 23h.", Cause::Burst),
        (
            "Quota exceeded for metric: m, limit: 5, model: limit: 0 PerDay. Please retry in 23h.",
            Cause::RequestQuota,
        ),
    ] {
        let verdict = judge(429, &refusal("RESOURCE_EXHAUSTED", message, ""));
        assert_eq!(verdict.cause, cause, "{message}");
        let wait = verdict.until.map_or(0, |until| until.duration_since(now).as_mins());
        assert!(wait <= 10, "{message}: {wait} min");
    }
    // Beside a delay in whole seconds the text refines it.
    let body = refusal(
        "RESOURCE_EXHAUSTED",
        "You exceeded your current quota. Please retry in 9.25s.",
        &delay("9s"),
    );
    assert_eq!(judge(429, &body).answer.retry_after_ms, Some(9_250));
    let body =
        refusal("RESOURCE_EXHAUSTED", "You exceeded your current quota. Please retry in 9h.", &delay("9s"));
    assert_eq!(judge(429, &body).answer.retry_after_ms, Some(10_000));
}

#[test]
fn a_404_that_names_a_model_is_told_from_others() {
    let note = |message: &str| judge(404, &refusal("NOT_FOUND", message, "")).note;
    for message in [
        "models/gemini-x is not found for API version v1beta, or is not supported for generateContent.",
        "models/gemini-x is not found for API version v1main",
        "Model is not found: models/gemini-x for api version v1beta",
    ] {
        assert_eq!(note(message), Note::ModelNotFound, "{message}");
    }
    assert_eq!(note("Requested entity was not found."), Note::None);
}

#[test]
fn a_quota_is_told_in_full_and_an_unknown_text_is_known_as_such() {
    let day = violation("GenerateRequestsPerDayPerProjectPerModel-FreeTier", "250");
    let quota = judge(429, &exhausted_by(&[day, delay("26s")])).quota.unwrap();
    assert_eq!(quota.limit.as_deref(), Some("GenerateRequestsPerDayPerProjectPerModel-FreeTier"));
    assert_eq!((quota.value.as_deref(), quota.retry_after_ms), (Some("250"), Some(26_000)));
    for (message, unknown) in [
        ("Too many concurrent sessions for this tier.", true),
        ("Resource has been exhausted (e.g. check quota).", false),
        ("You exceeded your current quota.", false),
        ("Your prepayment credits are depleted.", false),
        ("", false),
    ] {
        let verdict = judge(429, &refusal("RESOURCE_EXHAUSTED", message, ""));
        assert_eq!(verdict.note == Note::UnknownQuotaText, unknown, "{message}");
    }
}

proptest! {
    /// Whatever part of a request an error repeats: its effect is that of an error which repeats nothing.
    #[test]
    fn an_echo_changes_nothing_for_any_key_or_project(
        status in proptest::sample::select(STATUSES.to_vec()),
        words in proptest::sample::select(WORDS.to_vec()),
        (before, after) in (".{0,20}", ".{0,20}"),
        cut in any::<(proptest::sample::Index, proptest::sample::Index)>(),
        details in 0_u8..5,
        escaped in any::<bool>(),
        prefix in proptest::sample::select(vec!["", "Invalid value: ", "* "]),
    ) {
        let written = json!({"contents": [{"parts": [{"text": format!("{before}{words}{after}")}]}]}).to_string();
        // As it is on the wire, or as Gemini reads it.
        let text = if escaped { written.clone() } else { format!("{before}{words}{after}") };
        let places: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
        let (a, b) = (*cut.0.get(&places), *cut.1.get(&places));
        // Mostly the whole of the words, so that they are at the beginning.
        for echo in [&text[a.min(b)..a.max(b)], words, &text] {
            let message = format!("{prefix}{echo}");
            let told = judge_response_to(&written, status.0, &error_with(status.1, &message, details));
            let plain = judge_response_to(&written, status.0, &error_with(status.1, "Something went wrong.", details));
            prop_assert_eq!(effect(&told), effect(&plain), "{} {}", status.0, message);
            prop_assert!(!told.is_suspicion());
            let page = judge_response_to(&written, status.0, &message);
            prop_assert!(HealthState::from_cause(page.cause).is_none() && page.until.is_none());
        }
    }

    #[test]
    fn no_body_makes_it_fail_or_rest_for_more_than_two_days(
        status in 100_u16..600, body in ".{0,300}", seconds in any::<u64>(), random in any::<u64>()
    ) {
        let now: Timestamp = NOW.parse().unwrap();
        let details = [violation(&body.replace(['"', '\\'], ""), "x"), delay(&format!("{seconds}s"))];
        for body in [body.clone(), exhausted_by(&details)] {
            let body = ErrorBody::parse(body.as_bytes());
            let status = StatusCode::from_u16(status).unwrap();
            let retry_after = Some(Duration::from_secs(seconds));
            let verdict = classify(&Refusal { status, retry_after, body: &body, sent: None }, now, random);
            if let Some(until) = verdict.until {
                prop_assert!(until >= now && until.duration_since(now).as_hours() <= 48);
            }
        }
    }
}

#[test]
fn spending_is_recognised_in_other_words() {
    for (message, cause) in [
        ("The rate of spend of your billing account is too high. Slow down.", Cause::SpendWindow),
        ("SPEND_LIMIT_EXCEEDED: $10 in 10 minutes", Cause::SpendWindow),
        ("Spending limit of tier 1 ($10 per 10 minutes) reached.", Cause::SpendWindow),
        ("Your project may not spend more this month.", Cause::Billing),
        ("The monthly spending limit of your project is reached.", Cause::Billing),
        ("Project spend-cap reached.", Cause::Billing),
        ("Your pre-paid balance is used up.", Cause::Billing),
        ("Prepaid credits are exhausted, add funds.", Cause::Billing),
        ("You are out of credits.", Cause::Billing),
        ("You exceeded your current quota. Raise your spend limit to get more.", Cause::RequestQuota),
        ("Requests are slowed down for a while.", Cause::Burst),
    ] {
        assert_eq!(judge(429, &refusal("RESOURCE_EXHAUSTED", message, "")).cause, cause, "{message}");
    }
    let short = r#"{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"20s"}"#.to_owned();
    let cap = exhausted_by(&[violation("SpendCapPerMonthPerProject", "250"), short]);
    assert_eq!(judge(429, &cap).cause, Cause::Billing);
}

#[test]
fn a_spend_limit_is_told_from_quotas_whose_text_links_to_it_and_from_a_client_s_words() {
    let quota =
        "You exceeded your current quota, please check your plan. See https://ai.studio/spend for details.";
    let quota = refusal("RESOURCE_EXHAUSTED", quota, "");
    assert_eq!(judge(429, &quota).cause, Cause::RequestQuota);
    let spent = refusal("RESOURCE_EXHAUSTED", "Spend-based rate limit reached.", "");
    assert_eq!(judge(429, &spent).cause, Cause::SpendWindow);
    let asked = r#"{"contents":[{"parts":[{"text":"what do we spend?"}]}]}"#;
    assert_ne!(
        judge_response_to(asked, 429, &spent).cause,
        Cause::SpendWindow,
        "the client may have written it"
    );
    let with_delay = r#"{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"90s"}"#;
    let told = judge(429, &refusal("RESOURCE_EXHAUSTED", "Spend limit reached.", with_delay));
    let now: Timestamp = NOW.parse().unwrap();
    assert_eq!((told.cause, told.until), (Cause::SpendWindow, Some(now + Duration::from_secs(90))));
    assert_eq!(judge(400, &spent).cause, Cause::Caller, "at no other status");
}
