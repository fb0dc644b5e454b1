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
        {"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"quotaMetric":"m","quotaId":"GenerateRequestsPerDay","quotaValue":"0","quotaDimensions":{"model":"x"}},{"quotaId":"B","quotaValue":5}]},
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
                    quota_value: "0".into(),
                    model: "x".into(),
                },
                Violation { quota_id: "B".into(), quota_value: "5".into(), ..Violation::default() },
            ],
            retry_delay_ms: Some(38_900),
            retry_text_ms: Some(51_380),
            is_error: true,
            field_violations: false,
        }
    );
    assert_eq!(ErrorBody::find(body), Some(error));
}

#[test]
fn the_last_sentence_of_a_message_may_tell_the_delay_and_nothing_else_of_it() {
    for (message, expected) in [
        ("Please retry in 742.5ms.", Some(743)),
        ("Too many. please RETRY IN 1h2m3s", Some(3_723_000)),
        ("Too many.\nPlease retry in 5s.", Some(5_000)),
        ("Please retry in a while", None),
        ("Please retry in 5s, thanks", None),
        ("Unknown name \"x. Please retry in 24h\": no such field", None),
        ("Unknown value: please retry in 24h", None),
        ("\u{130} retry in 5s", None),
    ] {
        let body = serde_json::json!({"error": {"message": message}}).to_string();
        let error = ErrorBody::parse(body.as_bytes());
        assert_eq!((error.retry_text_ms, error.retry_delay_ms), (expected, None), "{message}");
    }
}

#[test]
fn string_codes_of_the_interactions_api_have_a_status() {
    for (code, status, name) in [
        ("failed_precondition", 400, "FAILED_PRECONDITION"),
        ("parameter_unknown", 400, "INVALID_ARGUMENT"),
        ("authentication", 401, "UNAUTHENTICATED"),
        ("payment_required", 402, "RESOURCE_EXHAUSTED"),
        ("permission_denied", 403, "PERMISSION_DENIED"),
        ("rate_limit_exceeded", 429, "RESOURCE_EXHAUSTED"),
    ] {
        let body = serde_json::json!({"error": {"code": code, "message": "x"}}).to_string();
        let error = ErrorBody::parse(body.as_bytes());
        assert_eq!((error.http_status(), error.status_name()), (Some(status), name), "{code}");
        assert!(error.is_google(), "{code}");
    }
    let event = br#"{"event_type":"error","error":{"code":"payment_required","message":"x"}}"#;
    assert_eq!(ErrorBody::find(event).and_then(|error| error.http_status()), Some(402));
}

#[test]
fn only_an_error_object_with_a_status_of_google_s_has_its_shape() {
    for (body, shape) in [
        (r#"{"error":{"code":403,"message":"x","status":"PERMISSION_DENIED"}}"#, true),
        (r#"[{"error":{"code":403,"message":"x","status":"PERMISSION_DENIED"}}]"#, true),
        (r#"{"error":{"code":"permission_denied","message":"x"}}"#, true),
        (r#"{"error":{"code":403,"message":"blocked by the proxy"}}"#, false),
        (r#"{"error":"PERMISSION_DENIED"}"#, false),
        (r#"{"status":"PERMISSION_DENIED","message":"x"}"#, false),
        ("<html>PERMISSION_DENIED", false),
        ("", false),
    ] {
        assert_eq!(ErrorBody::parse(body.as_bytes()).is_google(), shape, "{body}");
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
