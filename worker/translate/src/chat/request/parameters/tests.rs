use serde_json::{Value, json};

use crate::error::ApiError;
use crate::gemini::ModelId;
use crate::openai::ChatRequest;
use crate::{GeminiCall, TranslateOptions, to_gemini};

fn call(model: &str, extra: &Value, options: &TranslateOptions<'_>) -> Result<GeminiCall, ApiError> {
    let mut body = json!({"model": model, "messages": [{"role": "user", "content": "x"}]});
    body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    let body = body.to_string();
    to_gemini(&ChatRequest::parse(body.as_bytes())?, &ModelId::parse(model)?, options)
}

fn body(model: &str, extra: &Value) -> Value {
    serde_json::from_slice(&call(model, extra, &TranslateOptions::default()).unwrap().body).unwrap()
}

#[test]
fn tiers() {
    for (tier, expected) in [
        ("auto", json!(null)),
        ("default", json!("standard")),
        ("flex", json!("flex")),
        ("priority", json!("priority")),
        ("fast", json!("priority")),
        ("scale", json!(null)),
    ] {
        let sent = body("gemini-3.8-flash", &json!({"service_tier": tier}));
        assert_eq!(sent.get("serviceTier").cloned().unwrap_or_default(), expected, "{tier}");
    }
    let error =
        call("gemini-3.8-flash", &json!({"service_tier": "gold"}), &TranslateOptions::default()).unwrap_err();
    assert_eq!((error.param.as_deref(), error.code), (Some("service_tier"), Some("invalid_value")));
}

#[test]
fn limits_of_the_answer() {
    let limited = TranslateOptions { output_token_limit: Some(65_536), ..TranslateOptions::default() };
    let sent = |model: &str, extra: &Value, options: &TranslateOptions<'_>| {
        let body: Value = serde_json::from_slice(&call(model, extra, options).unwrap().body).unwrap();
        body["generationConfig"]["maxOutputTokens"].as_u64()
    };
    let huge = json!({"max_tokens": 1_000_000_000_000_u64});
    assert_eq!(sent("gemini-3.8-flash", &huge, &limited), Some(65_536));
    assert_eq!(sent("gemini-3.8-flash", &huge, &TranslateOptions::default()), Some(2_147_483_647));
    // A budget for several calls is no matter of one call's limit.
    assert_eq!(sent("gemini-4-argon", &json!({"max_tokens": 100_000}), &limited), Some(100_000));
    assert_eq!(
        sent("gemini-3.8-flash", &json!({"max_tokens": 5, "max_completion_tokens": 7.0}), &limited),
        Some(7)
    );
    let resumes = |extra: &Value| call("gemini-4-argon", extra, &limited).unwrap().context.resumes();
    assert!(resumes(&json!({"max_tokens": 40_000})));
    assert!(!resumes(&json!({"max_tokens": 40_000, "stream": true})));
    assert!(!resumes(&json!({})));
    for model in ["gemini-4-hydrogen", "gemini-4-neon"] {
        let resumes = |extra: &Value| call(model, extra, &limited).unwrap().context.resumes();
        assert!(!resumes(&json!({"max_tokens": 65_536})), "{model}");
        assert!(resumes(&json!({"max_tokens": 65_537})), "{model}");
    }
}

#[test]
fn seeds_are_folded_and_stay_repeatable() {
    for (seed, expected) in [
        (json!(7), 7),
        (json!(-7), -7),
        (json!(4_294_967_299_u64), 3),
        (json!(2_147_483_648_u64), 0),
        (json!(u64::MAX), 2_147_483_647),
    ] {
        assert_eq!(body("gemini-3.8-flash", &json!({"seed": seed}))["generationConfig"]["seed"], expected);
    }
}

#[test]
fn ranges() {
    for (extra, param, code) in [
        (json!({"temperature": -0.1}), "temperature", "decimal_below_min_value"),
        (json!({"top_p": 1.1}), "top_p", "decimal_above_max_value"),
        (json!({"top_k": 0}), "top_k", "integer_below_min_value"),
        (json!({"presence_penalty": 3}), "presence_penalty", "decimal_above_max_value"),
        (json!({"frequency_penalty": -2.5}), "frequency_penalty", "decimal_below_min_value"),
        (json!({"n": 0}), "n", "integer_below_min_value"),
        (json!({"n": 9}), "n", "integer_above_max_value"),
        (json!({"n": 2}), "n", "unsupported_value"),
        (json!({"logprobs": true, "top_logprobs": 21}), "top_logprobs", "integer_above_max_value"),
        (json!({"reasoning_effort": "extreme"}), "reasoning_effort", "invalid_value"),
        (json!({"max_completion_tokens": 1.5}), "max_completion_tokens", "invalid_type"),
    ] {
        let error = call("gemini-3.8-flash", &extra, &TranslateOptions::default()).unwrap_err();
        assert_eq!((error.param.as_deref(), error.code), (Some(param), Some(code)), "{extra}");
    }
    let error =
        call("gemini-3.8-flash", &json!({"stream_options": {}}), &TranslateOptions::default()).unwrap_err();
    assert_eq!((error.param.as_deref(), error.code), (Some("stream_options"), None));
    assert_eq!(
        body("gemini-2.0-flash", &json!({"presence_penalty": 2}))["generationConfig"]["presencePenalty"],
        1.999
    );
    assert!(body("gemini-3.8-flash", &json!({"stop": ""})).get("generationConfig").is_none());
}

#[test]
fn names_of_ignored_parameters_are_safe_in_a_header() {
    let mut extra =
        json!({"verbosity": "medium", "logit_bias": {}, "evil\r\nx-admin: 1": 1, "naïve": 1, "ok_1": 1});
    for number in 0..100 {
        extra[format!("field_{number}")] = json!(1);
    }
    let ignored = call("gemini-3.8-flash", &extra, &TranslateOptions::default()).unwrap().ignored_params;
    assert_eq!(ignored.len(), 32);
    assert_eq!(ignored[..2], ["ok_1", "field_0"]);
    let verbose = call(
        "gemini-3.8-flash",
        &json!({"verbosity": "low", "top_p": 0.5, "top_k": 2}),
        &TranslateOptions::default(),
    );
    assert_eq!(verbose.unwrap().ignored_params, ["top_p", "top_k", "verbosity"]);
}
