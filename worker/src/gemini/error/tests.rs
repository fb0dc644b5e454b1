use super::*;

#[test]
fn durations_of_every_form() {
    for (text, expected) in [
        ("14s", Some(14_000)),
        ("0.5s", Some(500)),
        ("14.123456789s", Some(14_124)),
        ("38.9s", Some(38_900)),
        ("742.5ms", Some(743)),
        ("1h2m3s", Some(3_723_000)),
        ("0s", Some(0)),
        ("", None),
        ("-5s", None),
        ("s", None),
        ("5", None),
        ("5 apples", None),
        ("1e3s", None),
        ("99999999999999999999999999h", Some(u64::MAX)),
    ] {
        assert_eq!(duration_ms(text), expected, "{text}");
    }
}

#[test]
fn a_quota_error_tells_everything() {
    let body = br#"[{"error":{"code":429,"message":"You exceeded your current quota. Please retry in 51.38s.","status":"RESOURCE_EXHAUSTED","details":[
        {"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"quotaMetric":"m","quotaId":"GenerateRequestsPerDay","quotaValue":"0"},{"quotaId":"B","quotaValue":5}]},
        {"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"RATE_LIMIT_EXCEEDED","domain":"googleapis.com","metadata":{"consumer":"projects/12"}},
        {"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"38.9s"},
        "odd", null]}}]"#;
    let error = ErrorBody::parse(body);
    assert_eq!(
        error,
        ErrorBody {
            code: Some(429),
            status: "RESOURCE_EXHAUSTED".into(),
            message: "You exceeded your current quota. Please retry in 51.38s.".into(),
            reasons: vec![ErrorReason {
                domain: "googleapis.com".into(),
                reason: "RATE_LIMIT_EXCEEDED".into()
            }],
            consumer: Some("projects/12".into()),
            violations: vec![
                Violation {
                    quota_id: "GenerateRequestsPerDay".into(),
                    quota_metric: "m".into(),
                    quota_value: "0".into()
                },
                Violation { quota_id: "B".into(), quota_metric: String::new(), quota_value: "5".into() },
            ],
            retry_delay_ms: Some(51_380),
        }
    );
    assert_eq!(ErrorBody::find(body), Some(error));
}

#[test]
fn the_message_alone_may_tell_the_delay() {
    for (message, expected) in [
        ("Please retry in 742.5ms.", Some(743)),
        ("please RETRY IN 1h2m3s, thanks", Some(3_723_000)),
        ("retry in a while", None),
        ("\u{130} retry in 5s", Some(5000)),
    ] {
        let body = serde_json::json!({"error": {"message": message}}).to_string();
        assert_eq!(ErrorBody::parse(body.as_bytes()).retry_delay_ms, expected, "{message}");
    }
}

#[test]
fn anything_else_is_survived() {
    let html = b"<!DOCTYPE html><html><title>Error 502</title><p>The server encountered\n a temporary error.";
    assert_eq!(ErrorBody::parse(html).message, "Error 502 The server encountered a temporary error.");
    assert_eq!(ErrorBody::parse(b""), ErrorBody::default());
    assert_eq!(ErrorBody::parse(br#"{"error":"nope"}"#).message, "nope");
    assert_eq!(
        ErrorBody::parse(br#"{"error":{"code":"rate_limit_exceeded"}}"#).status,
        "rate_limit_exceeded"
    );
    let cut = ErrorBody::parse(br#"{"error":{"code":429,"mess"#);
    assert_eq!((cut.code, cut.message.as_str()), (None, r#"{"error":{"code":429,"mess"#));
    for hostile in ["[".repeat(100_000), r#"{"error":"#.repeat(50_000), "<".repeat(300_000)] {
        let _ = ErrorBody::parse(hostile.as_bytes());
        assert_eq!(ErrorBody::find(hostile.as_bytes()), None);
    }
    assert_eq!(ErrorBody::parse(b"\"x\"").message, "x");
    assert_eq!(ErrorBody::parse(&[0xff, 0xfe]).message, "\u{fffd}\u{fffd}");
    assert_eq!(ErrorBody::find(br#"{"candidates":[]}"#), None);
}
