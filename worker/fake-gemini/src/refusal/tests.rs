//! Tests of the error bodies against Google's.

use super::exhausted::quota_names;
use super::*;

const ASKED: Asked = Asked {
    key: "AQ.fake-key",
    project: "42",
    model: "gemini-3.8-flash",
    method: "generateContent",
    tier: Tier::Free,
    // 8.617 s before the end of the minute.
    now_ms: 51_383,
};

fn error(behaviour: Behaviour) -> Value {
    let refusal = of(behaviour, ASKED).unwrap();
    let body: Value = serde_json::from_str(&refusal.body(false)).unwrap();
    assert_eq!(body["error"]["code"], refusal.status);
    body["error"].clone()
}

#[test]
fn a_minute_quota_error_has_limit_and_delay() {
    let error = error(Behaviour::ExhaustedMinute);
    assert_eq!(error["status"], "RESOURCE_EXHAUSTED");
    let violation = &error["details"][1]["violations"][0];
    assert_eq!(violation["quotaId"], "GenerateRequestsPerMinutePerProjectPerModel-FreeTier");
    assert_eq!(violation["quotaValue"], "10");
    assert_eq!(violation["quotaDimensions"]["model"], "gemini-3.8-flash");
    assert_eq!(error["details"][2]["retryDelay"], "8s");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("limit: 10, model: gemini-3.8-flash\nPlease retry in 8.617s."), "{message}");
}

#[test]
fn a_daily_quota_error_has_a_short_delay_too() {
    let error = error(Behaviour::ExhaustedDay);
    let violation = &error["details"][1]["violations"][0];
    assert_eq!(violation["quotaId"], "GenerateRequestsPerDayPerProjectPerModel-FreeTier");
    assert_eq!(error["details"][2]["retryDelay"], "8s");
}

#[test]
fn quota_ids_follow_tier_and_kind_of_model() {
    let names: std::collections::HashSet<_> = [false, true]
        .into_iter()
        .flat_map(|embeds| [(embeds, Tier::Free), (embeds, Tier::Paid)])
        .flat_map(|(embeds, tier)| {
            [QuotaKind::RequestsPerMinute, QuotaKind::RequestsPerDay, QuotaKind::InputTokensPerMinute].map(
                |kind| {
                    let (_, id) = quota_names(kind, tier, embeds);
                    assert_eq!(id.ends_with("-FreeTier"), tier == Tier::Free, "{id}");
                    assert_eq!(id.contains("PerDay"), kind == QuotaKind::RequestsPerDay, "{id}");
                    assert_eq!(id.contains("Token"), kind == QuotaKind::InputTokensPerMinute, "{id}");
                    id
                },
            )
        })
        .collect();
    assert_eq!(names.len(), 12);
}

#[test]
fn the_error_of_a_suspended_key_repeats_the_key() {
    let error = error(Behaviour::Suspended);
    assert!(error["message"].as_str().unwrap().contains("'api_key:AQ.fake-key'"));
    assert_eq!(error["details"][0]["reason"], "CONSUMER_SUSPENDED");
    assert_eq!(error["details"][0]["metadata"]["consumer"], "projects/42");
    assert_eq!(error["details"][0]["metadata"]["containerInfo"], "api_key:AQ.fake-key");
}

#[test]
fn reasons_and_statuses_are_googles() {
    use Behaviour as B;
    for (behaviour, status, reason) in [
        (B::Invalid, 400, "API_KEY_INVALID"),
        (B::Expired, 400, "API_KEY_INVALID"),
        (B::Unauthenticated, 401, "ACCESS_TOKEN_TYPE_UNSUPPORTED"),
        (B::ServiceDisabled, 403, "SERVICE_DISABLED"),
        (B::ServiceBlocked, 403, "API_KEY_SERVICE_BLOCKED"),
        (B::ReferrerBlocked, 403, "API_KEY_HTTP_REFERRER_BLOCKED"),
        (B::IpBlocked, 403, "API_KEY_IP_ADDRESS_BLOCKED"),
        (B::BillingDisabled, 403, "BILLING_DISABLED"),
        (B::ConsumerInvalid, 403, "CONSUMER_INVALID"),
    ] {
        let error = error(behaviour);
        assert_eq!(error["code"], status, "{behaviour:?}");
        assert_eq!(error["details"][0]["reason"], reason, "{behaviour:?}");
    }
    for (behaviour, status, code) in [
        (B::Leaked, 403, "PERMISSION_DENIED"),
        (B::Billing, 429, "RESOURCE_EXHAUSTED"),
        (B::PaymentRequired, 402, "RESOURCE_EXHAUSTED"),
        (B::FreeTierUnavailable, 400, "FAILED_PRECONDITION"),
        (B::Location, 400, "FAILED_PRECONDITION"),
        (B::ExhaustedBare, 429, "RESOURCE_EXHAUSTED"),
        (B::Overloaded, 503, "UNAVAILABLE"),
        (B::Internal, 500, "INTERNAL"),
        (B::Deadline, 504, "DEADLINE_EXCEEDED"),
        (B::NewUsers, 404, "NOT_FOUND"),
        (B::NotFound, 404, "NOT_FOUND"),
        (B::InvalidArgument, 400, "INVALID_ARGUMENT"),
        (B::ContextTooLong, 400, "INVALID_ARGUMENT"),
        (B::FileForbidden, 403, "PERMISSION_DENIED"),
    ] {
        let error = error(behaviour);
        assert_eq!(
            (error["code"].as_u64(), error["status"].as_str()),
            (Some(status), Some(code)),
            "{behaviour:?}"
        );
        assert!(error.get("details").is_none(), "{behaviour:?}");
    }
}

#[test]
fn front_end_errors_are_html() {
    for (behaviour, status) in [(Behaviour::BadGatewayHtml, 502), (Behaviour::TooLarge, 413)] {
        let refusal = of(behaviour, ASKED).unwrap();
        assert_eq!(refusal.status, status);
        assert!(
            refusal.content_type().starts_with("text/html") && refusal.body(true).starts_with("<!DOCTYPE")
        );
    }
}

#[test]
fn a_stream_without_sse_wraps_its_error() {
    let body = overloaded().body(true);
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body[0]["error"]["code"], 503);
}
