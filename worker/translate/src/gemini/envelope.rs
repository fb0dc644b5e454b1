//! The service's own errors in Gemini's error format (<https://google.aip.dev/193>).

use http::StatusCode;
use serde::Serialize;

use crate::error::ApiError;

/// Who gives the reasons in `google.rpc.ErrorInfo`.
const DOMAIN: &str = "pool-service";

#[derive(Serialize)]
struct Envelope<'a> {
    error: Problem<'a>,
}

#[derive(Serialize)]
struct Problem<'a> {
    code: u16,
    message: &'a str,
    status: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    details: Vec<Detail>,
}

#[derive(Serialize)]
#[serde(tag = "@type")]
enum Detail {
    #[serde(rename = "type.googleapis.com/google.rpc.ErrorInfo")]
    ErrorInfo { reason: String, domain: &'static str },
    #[serde(rename = "type.googleapis.com/google.rpc.RetryInfo", rename_all = "camelCase")]
    RetryInfo { retry_delay: String },
}

/// Returns the body of an error: its code as the reason of an `ErrorInfo`, the time to wait as a `RetryInfo`.
#[must_use]
pub fn error_document(error: &ApiError) -> Vec<u8> {
    let reason = |code: &str| Detail::ErrorInfo { reason: code.to_ascii_uppercase(), domain: DOMAIN };
    let delay = |milliseconds: u64| Detail::RetryInfo {
        retry_delay: format!("{}.{:03}s", milliseconds / 1_000, milliseconds % 1_000),
    };
    let details = error.code.map(reason).into_iter().chain(error.retry_after_ms.map(delay)).collect();
    let error = Problem {
        code: error.status.as_u16(),
        message: &error.message,
        status: canonical(error.status),
        details,
    };
    // Strings into a vector: there is nothing that could fail.
    serde_json::to_vec(&Envelope { error }).unwrap_or_default()
}

/// Returns the canonical code of an HTTP status: `google/rpc/code.proto`.
fn canonical(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        405 => "UNIMPLEMENTED",
        429 => "RESOURCE_EXHAUSTED",
        400..500 => "INVALID_ARGUMENT",
        502 | 503 => "UNAVAILABLE",
        504 => "DEADLINE_EXCEEDED",
        _ => "INTERNAL",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::gemini::ErrorBody;

    #[test]
    fn an_error_says_in_google_s_words_what_it_says_in_openai_s() {
        let error = ApiError {
            retry_after_ms: Some(39_050),
            ..ApiError::new(StatusCode::TOO_MANY_REQUESTS, "requests", Some("rate_limit_exceeded"), "Wait.")
        };
        let document: Value = serde_json::from_slice(&error_document(&error)).unwrap();
        assert_eq!(
            document,
            json!({"error": {"code": 429, "message": "Wait.", "status": "RESOURCE_EXHAUSTED", "details": [
                {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "RATE_LIMIT_EXCEEDED", "domain": DOMAIN},
                {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "39.050s"},
            ]}})
        );
        let read = ErrorBody::parse(&error_document(&error));
        assert_eq!((read.code, read.retry_delay_ms), (Some(429), Some(39_050)));
        let plain: Value = serde_json::from_slice(&error_document(&ApiError::invalid_json())).unwrap();
        assert_eq!(plain["error"]["status"], "INVALID_ARGUMENT");
        assert!(plain["error"].get("details").is_none(), "{plain}");
    }
}
