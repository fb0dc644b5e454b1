//! What a refusal means: whose fault it is, whether another key may do better, what the caller is told.
//!
//! The rules follow Google's error documentation (ai.google.dev/gemini-api/docs/troubleshooting) and
//! the bodies that Gemini really sends.

use http::StatusCode;

use crate::gemini::ErrorBody;
use crate::host::UpstreamError;
use crate::openai::ApiError;

/// Whose fault a refusal is. Only [`Fault::Key`] and [`Fault::Quota`] say anything about a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The key is no good: invalid, expired, suspended, leaked, restricted, without billing.
    Key,
    /// The key's project has used up a quota of this model.
    Quota,
    /// The model is overloaded or Gemini has a fault of its own.
    Model,
    /// Gemini does not serve the place that the request came from.
    Egress,
    /// The network, or Google's front end.
    Network,
    /// The request itself.
    Caller,
}

/// What is to be done about a refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whose fault it is.
    pub fault: Fault,
    /// Whether another key may do better. Never so for the caller's own mistakes.
    pub try_another_key: bool,
    /// What the caller is told when no other key is tried.
    pub answer: ApiError,
}

const INVALID_REQUEST: &str = "invalid_request_error";
const SERVER_ERROR: &str = "server_error";

/// Reasons of `google.rpc.ErrorInfo` that say the key is of no use, whatever the status.
const KEY_REASONS: &[&str] = &[
    "API_KEY_INVALID",
    "API_KEY_SERVICE_BLOCKED",
    "API_KEY_HTTP_REFERRER_BLOCKED",
    "API_KEY_IP_ADDRESS_BLOCKED",
    "ACCESS_TOKEN_TYPE_UNSUPPORTED",
    "CONSUMER_SUSPENDED",
    "CONSUMER_INVALID",
    "SERVICE_DISABLED",
    "BILLING_DISABLED",
];

/// Judges an answer whose status is not a success.
#[must_use]
pub fn classify(status: StatusCode, body: &ErrorBody) -> Verdict {
    let says = |text: &str| body.message.to_ascii_lowercase().contains(text);
    if body.reasons.iter().any(|reason| KEY_REASONS.contains(&reason.reason.as_str()))
        || says("api key not valid")
        || says("api key expired")
        || says("invalid auth key")
        || says("reported as leaked")
    {
        return key_fault(status, body);
    }
    match status.as_u16() {
        400 if body.status == "FAILED_PRECONDITION" => failed_precondition(body),
        400 => caller(bad_request(body)),
        401 | 402 => key_fault(status, body),
        404 => model_not_found(body),
        413 => caller(error(status, INVALID_REQUEST, "request_too_large", body)),
        429 => quota(body),
        500 => model(error(status, SERVER_ERROR, "internal_error", body)),
        503 => model(ApiError {
            // The overload of a model passes in seconds; OpenAI's SDKs honour this wait.
            retry_after_ms: Some(body.retry_delay_ms.unwrap_or(2_000)),
            ..error(status, SERVER_ERROR, "overloaded", body)
        }),
        408 | 504 => model(error(status, SERVER_ERROR, "timeout", body)),
        403 | 405..=407 | 409..500 => {
            caller(ApiError::new(status, INVALID_REQUEST, None, message(status, body)))
        }
        _ => Verdict {
            fault: Fault::Network,
            try_another_key: true,
            answer: error(StatusCode::BAD_GATEWAY, SERVER_ERROR, "upstream_error", body),
        },
    }
}

/// Judges a call that never got an answer, or lost it on the way.
#[must_use]
pub fn network_fault(fault: &UpstreamError) -> Verdict {
    let (status, code) = match fault {
        UpstreamError::Timeout(_) => (StatusCode::GATEWAY_TIMEOUT, "timeout"),
        UpstreamError::Connect(_) | UpstreamError::Read(_) => {
            (StatusCode::BAD_GATEWAY, "upstream_unreachable")
        }
    };
    Verdict {
        fault: Fault::Network,
        try_another_key: true,
        answer: ApiError::new(status, SERVER_ERROR, Some(code), fault.to_string()),
    }
}

fn key_fault(status: StatusCode, body: &ErrorBody) -> Verdict {
    let answer = match status.as_u16() {
        402 => insufficient_quota(body),
        403 => error(status, INVALID_REQUEST, "permission_denied", body),
        // Gemini answers 400 for a bad key; a caller must never take that for a bad request.
        _ => error(StatusCode::UNAUTHORIZED, INVALID_REQUEST, "invalid_api_key", body),
    };
    Verdict { fault: Fault::Key, try_another_key: true, answer }
}

fn failed_precondition(body: &ErrorBody) -> Verdict {
    if body.message.to_ascii_lowercase().contains("billing") {
        let answer = error(StatusCode::FORBIDDEN, INVALID_REQUEST, "billing_not_active", body);
        return Verdict { fault: Fault::Key, try_another_key: true, answer };
    }
    let code = "unsupported_country_region_territory";
    let answer = error(StatusCode::FORBIDDEN, INVALID_REQUEST, code, body);
    Verdict { fault: Fault::Egress, try_another_key: false, answer }
}

fn model_not_found(body: &ErrorBody) -> Verdict {
    let answer = ApiError {
        param: Some("model".to_owned()),
        ..error(StatusCode::NOT_FOUND, INVALID_REQUEST, "model_not_found", body)
    };
    // "No longer available to new users" depends on the key's project; "is not found" does not.
    let try_another_key = body.message.contains("new users");
    let fault = if try_another_key { Fault::Quota } else { Fault::Caller };
    Verdict { fault, try_another_key, answer }
}

fn quota(body: &ErrorBody) -> Verdict {
    let message = body.message.to_ascii_lowercase();
    let spent = ["prepay", "credits are depleted", "spending cap"].iter().any(|text| message.contains(text));
    if spent {
        return Verdict { fault: Fault::Key, try_another_key: true, answer: insufficient_quota(body) };
    }
    let exceeded = |part: &str| body.violations.iter().any(|violation| violation.quota_id.contains(part));
    // A limit a day beats the short retryDelay that Gemini sends along with it.
    if exceeded("PerDay") || body.violations.iter().any(|violation| violation.quota_value == "0") {
        return Verdict { fault: Fault::Quota, try_another_key: true, answer: insufficient_quota(body) };
    }
    let kind = if exceeded("Token") { "tokens" } else { "requests" };
    let answer = ApiError {
        retry_after_ms: body.retry_delay_ms,
        ..error(StatusCode::TOO_MANY_REQUESTS, kind, "rate_limit_exceeded", body)
    };
    Verdict { fault: Fault::Quota, try_another_key: true, answer }
}

/// Only a person or the day's turn helps, so SDKs are told not to try again.
fn insufficient_quota(body: &ErrorBody) -> ApiError {
    ApiError {
        should_retry: Some(false),
        ..error(StatusCode::TOO_MANY_REQUESTS, "insufficient_quota", "insufficient_quota", body)
    }
}

fn caller(answer: ApiError) -> Verdict {
    Verdict { fault: Fault::Caller, try_another_key: false, answer }
}

fn model(answer: ApiError) -> Verdict {
    Verdict { fault: Fault::Model, try_another_key: true, answer }
}

fn bad_request(body: &ErrorBody) -> ApiError {
    let status = StatusCode::BAD_REQUEST;
    if is_context_overflow(body) {
        let error = error(status, INVALID_REQUEST, "context_length_exceeded", body);
        return ApiError { param: Some("messages".to_owned()), ..error };
    }
    ApiError::new(status, INVALID_REQUEST, None, message(status, body))
}

fn is_context_overflow(body: &ErrorBody) -> bool {
    body.message.contains("token count") && body.message.contains("exceeds the maximum")
}

fn error(status: StatusCode, kind: &'static str, code: &'static str, body: &ErrorBody) -> ApiError {
    ApiError::new(status, kind, Some(code), message(status, body))
}

fn message(status: StatusCode, body: &ErrorBody) -> String {
    if body.message.is_empty() {
        format!("Gemini answered with status {} and no message.", status.as_u16())
    } else {
        body.message.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(status: u16, body: &str) -> Verdict {
        classify(StatusCode::from_u16(status).unwrap(), &ErrorBody::parse(body.as_bytes()))
    }

    fn refusal(status: &str, message: &str, details: &str) -> String {
        format!(r#"{{"error":{{"code":1,"message":"{message}","status":"{status}","details":[{details}]}}}}"#)
    }

    fn reason(reason: &str) -> String {
        format!(r#"{{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"{reason}"}}"#)
    }

    fn quota_of(id: &str, value: &str) -> String {
        format!(
            r#"{{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{{"quotaId":"{id}","quotaValue":"{value}"}}]}},
               {{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"38.9s"}}"#
        )
    }

    #[test]
    fn a_bad_key_is_never_the_caller_s_fault() {
        let invalid = refusal("INVALID_ARGUMENT", "API key not valid.", &reason("API_KEY_INVALID"));
        let leaked = refusal("PERMISSION_DENIED", "Your API key was reported as leaked.", "");
        for (status, body) in [
            (400, invalid.as_str()),
            (400, &refusal("INVALID_ARGUMENT", "API key expired. Please renew the API key.", "")),
            (401, &refusal("UNAUTHENTICATED", "x", &reason("ACCESS_TOKEN_TYPE_UNSUPPORTED"))),
            (403, &leaked),
            (403, &refusal("PERMISSION_DENIED", "x", &reason("CONSUMER_SUSPENDED"))),
            (402, "{}"),
        ] {
            let verdict = judge(status, body);
            assert_eq!((verdict.fault, verdict.try_another_key), (Fault::Key, true), "{status} {body}");
            assert_ne!(verdict.answer.status, StatusCode::BAD_REQUEST);
        }
    }

    #[test]
    fn the_caller_s_own_mistakes_go_back_at_once() {
        for (status, message, code) in [
            (400, "Request contains an invalid argument.", None),
            (
                400,
                "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
                Some("context_length_exceeded"),
            ),
            (404, "models/x is not found for API version v1beta", Some("model_not_found")),
            (403, "You do not have permission to access the File x", None),
            (413, "too large", Some("request_too_large")),
        ] {
            let verdict = judge(status, &refusal("INVALID_ARGUMENT", message, ""));
            assert_eq!((verdict.fault, verdict.try_another_key), (Fault::Caller, false), "{message}");
            assert_eq!((verdict.answer.status.as_u16(), verdict.answer.code), (status, code), "{message}");
        }
    }

    #[test]
    fn a_daily_limit_beats_the_short_delay_that_comes_with_it() {
        let day = judge(
            429,
            &refusal("R", "quota", &quota_of("GenerateRequestsPerDayPerProjectPerModel-FreeTier", "50")),
        );
        assert_eq!((day.answer.code, day.answer.should_retry), (Some("insufficient_quota"), Some(false)));
        assert_eq!(day.answer.retry_after_ms, None);
        let minute = judge(
            429,
            &refusal("R", "quota", &quota_of("GenerateRequestsPerMinutePerProjectPerModel", "10")),
        );
        assert_eq!((minute.answer.kind, minute.answer.retry_after_ms), ("requests", Some(38_900)));
        let tokens =
            judge(429, &refusal("R", "quota", &quota_of("GenerateContentInputTokensPerModelPerMinute", "9")));
        assert_eq!((tokens.answer.kind, tokens.fault), ("tokens", Fault::Quota));
    }

    #[test]
    fn overload_and_network_blame_no_key() {
        for (status, fault) in
            [(500, Fault::Model), (503, Fault::Model), (504, Fault::Model), (502, Fault::Network)]
        {
            let verdict = judge(status, "<html><title>oops</title></html>");
            assert_eq!((verdict.fault, verdict.try_another_key), (fault, true), "{status}");
        }
        assert_eq!(network_fault(&UpstreamError::Connect("refused".to_owned())).fault, Fault::Network);
    }

    #[test]
    fn a_refused_place_is_told_without_trying_every_key() {
        let body = refusal("FAILED_PRECONDITION", "User location is not supported for the API use.", "");
        let verdict = judge(400, &body);
        assert_eq!((verdict.fault, verdict.try_another_key), (Fault::Egress, false));
        assert_eq!(verdict.answer.code, Some("unsupported_country_region_territory"));
    }
}
