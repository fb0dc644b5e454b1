//! One body for each row of the table, as Gemini sends it, and bodies that nobody should send.

use proptest::prelude::*;

use super::*;

/// 2026-03-07, 18:00 in California, the evening before the clocks go forward.
const NOW: &str = "2026-03-08T02:00:00Z";
const MIDNIGHT: &str = "2026-03-08T08:00:00Z";

fn judge(status: u16, body: &str) -> Verdict {
    let body = ErrorBody::parse(body.as_bytes());
    let status = StatusCode::from_u16(status).unwrap();
    classify(&Refusal { status, retry_after: None, body: &body }, NOW.parse().unwrap(), 0)
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
                     model: gemini-3.5-flash";

fn exhausted_by(details: &[String]) -> String {
    refusal("RESOURCE_EXHAUSTED", QUOTA, &details.join(","))
}

/// Status, body, cause, whose fault, what the caller is told.
type Row = (u16, String, Cause, Fault, (u16, Option<&'static str>));

#[allow(clippy::too_many_lines)] // It is one table.
fn table() -> Vec<Row> {
    let argument = |message: &str| refusal("INVALID_ARGUMENT", message, "");
    let denied = |message: &str| refusal("PERMISSION_DENIED", message, "");
    let blocked = |reason: &str| refusal("PERMISSION_DENIED", "Blocked.", &info(reason));
    let (bad_key, denied_key) = ((401, Some("invalid_api_key")), (403, Some("permission_denied")));
    let unpaid = (429, Some("insufficient_quota"));
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
            Fault::Project,
            unpaid,
        ),
        (
            401,
            refusal("UNAUTHENTICATED", unauthenticated, &info("ACCESS_TOKEN_TYPE_UNSUPPORTED")),
            Cause::InvalidKey,
            Fault::Key,
            bad_key,
        ),
        (401, refusal("UNAUTHENTICATED", unauthenticated, ""), Cause::InvalidKey, Fault::Key, bad_key),
        (402, refusal("RESOURCE_EXHAUSTED", depleted, ""), Cause::Billing, Fault::Project, unpaid),
        (403, suspended, Cause::Suspended, Fault::Project, denied_key),
        (
            403,
            denied("Your API key was reported as leaked. Please use another API key."),
            Cause::LeakedKey,
            Fault::Key,
            denied_key,
        ),
        (
            403,
            blocked("SERVICE_DISABLED"),
            Cause::Blocked(BlockReason::ServiceDisabled),
            Fault::Project,
            denied_key,
        ),
        (
            403,
            blocked("API_KEY_SERVICE_BLOCKED"),
            Cause::Blocked(BlockReason::ServiceBlocked),
            Fault::Key,
            denied_key,
        ),
        (
            403,
            blocked("BILLING_DISABLED"),
            Cause::Blocked(BlockReason::BillingDisabled),
            Fault::Project,
            denied_key,
        ),
        (
            403,
            blocked("CONSUMER_INVALID"),
            Cause::Blocked(BlockReason::ConsumerInvalid),
            Fault::Project,
            denied_key,
        ),
        (
            403,
            blocked("API_KEY_HTTP_REFERRER_BLOCKED"),
            Cause::Blocked(BlockReason::Referrer),
            Fault::Key,
            denied_key,
        ),
        (
            403,
            blocked("API_KEY_IP_ADDRESS_BLOCKED"),
            Cause::Blocked(BlockReason::Address),
            Fault::Key,
            denied_key,
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
        (429, refusal("RESOURCE_EXHAUSTED", depleted, ""), Cause::Billing, Fault::Project, unpaid),
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
    let refusal = Refusal { status: StatusCode::TOO_MANY_REQUESTS, retry_after: None, body: &body };
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
fn bodies_that_say_little_are_judged_by_their_status() {
    for (body, cause) in [
        ("", Cause::Burst),
        ("{", Cause::Burst),
        ("<html>Too Many Requests", Cause::Burst),
        (
            r#"{"error":{"code":429,"message":"x","details":[{"violations":[{"quotaId":"GenerateRequestsPerDayPerPro"#,
            Cause::DayQuota,
        ),
        (r#"{"error":{"code":429,"message":"You exceeded your current quota, please"#, Cause::RequestQuota),
    ] {
        assert_eq!(judge(429, body).cause, cause, "{body}");
    }
    assert_eq!(judge(503, "[]").cause, Cause::Overloaded);
    assert_eq!(judge(302, "").cause, Cause::Network);
    assert_eq!(judge(400, "null").cause, Cause::Caller);
}

#[test]
fn a_limit_of_zero_is_told_from_limits_that_begin_with_it() {
    for (message, zero) in [
        ("limit: 0", true),
        ("limit: 0, model: x", true),
        ("limit: 0.", true),
        ("limit: 0.5", false),
        ("limit: 05", false),
        ("limit: 10", false),
    ] {
        assert_eq!(says_limit_zero(message), zero, "{message}");
    }
}

#[test]
fn network_faults_blame_nobody() {
    for (fault, cause) in [
        (UpstreamError::Connect("refused".to_owned()), Cause::Network),
        (UpstreamError::Read("reset".to_owned()), Cause::Network),
        (UpstreamError::Timeout(Duration::from_secs(9)), Cause::Deadline),
    ] {
        let verdict = network_fault(&fault);
        assert_eq!((verdict.cause, verdict.until), (cause, None));
        assert!(!matches!(verdict.cause.fault(), Fault::Key | Fault::Project));
    }
}

proptest! {
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
            let verdict = classify(&Refusal { status, retry_after, body: &body }, now, random);
            if let Some(until) = verdict.until {
                prop_assert!(until >= now && until.duration_since(now).as_hours() <= 48);
            }
        }
    }
}
