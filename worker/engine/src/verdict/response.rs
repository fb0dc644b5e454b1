//! The table from the cause of an upstream error to the error response that a client gets.

use http::StatusCode;
use pool_translate::ApiError;
use pool_translate::gemini::ErrorBody;

use super::cooldown::retry_delay;
use super::{Cause, Refusal, milliseconds};

pub(super) const INVALID_REQUEST: &str = "invalid_request_error";
pub(super) const SERVER_ERROR: &str = "server_error";

/// Returns the error response for a client of OpenAI's API when no other attempt is made.
pub(super) fn response(cause: Cause, refusal: &Refusal) -> ApiError {
    let error = |status: StatusCode, kind, code| {
        ApiError::new(status, kind, Some(code), message(refusal.status, refusal.body))
    };
    let told_ms = retry_delay(refusal).map(milliseconds);
    match cause {
        // OpenAI's error for such a key. A client never gets it for a key that is not its own:
        // the retry policy returns in its place that the pool has no usable key.
        Cause::InvalidKey => error(StatusCode::UNAUTHORIZED, INVALID_REQUEST, "invalid_api_key"),
        Cause::LeakedKey | Cause::Suspended | Cause::Blocked(_) => {
            error(StatusCode::FORBIDDEN, INVALID_REQUEST, "permission_denied")
        }
        Cause::Billing if refusal.body.status == "FAILED_PRECONDITION" => {
            error(StatusCode::FORBIDDEN, INVALID_REQUEST, "billing_not_active")
        }
        Cause::RequestQuota | Cause::TokenQuota | Cause::Burst | Cause::SpendWindow => ApiError {
            retry_after_ms: told_ms,
            ..error(
                StatusCode::TOO_MANY_REQUESTS,
                if cause == Cause::TokenQuota { "tokens" } else { "requests" },
                "rate_limit_exceeded",
            )
        },
        // Only the quota reset or the operator helps, so SDKs are advised against a retry.
        Cause::DayQuota | Cause::NoQuota | Cause::Billing => ApiError {
            should_retry: Some(false),
            ..error(StatusCode::TOO_MANY_REQUESTS, "insufficient_quota", "insufficient_quota")
        },
        Cause::NewUsers | Cause::NoAccess | Cause::UnknownModel => ApiError {
            param: Some("model".to_owned()),
            ..error(StatusCode::NOT_FOUND, INVALID_REQUEST, "model_not_found")
        },
        Cause::Overloaded => ApiError {
            // The overload of a model passes in seconds; OpenAI's SDKs honour this wait.
            retry_after_ms: told_ms.or(Some(2_000)),
            ..error(StatusCode::SERVICE_UNAVAILABLE, SERVER_ERROR, "overloaded")
        },
        Cause::Internal | Cause::SoftFailure => {
            error(StatusCode::INTERNAL_SERVER_ERROR, SERVER_ERROR, "internal_error")
        }
        Cause::Deadline => error(StatusCode::GATEWAY_TIMEOUT, SERVER_ERROR, "timeout"),
        Cause::Location => {
            error(StatusCode::FORBIDDEN, INVALID_REQUEST, "unsupported_country_region_territory")
        }
        Cause::Network if refusal.status.is_client_error() => {
            let message = format!(
                "Something on the way to Gemini, such as a proxy or filter, answered with status {}: {}",
                refusal.status.as_u16(),
                message(refusal.status, refusal.body)
            );
            ApiError::new(StatusCode::BAD_GATEWAY, SERVER_ERROR, Some("upstream_error"), message)
        }
        Cause::Network | Cause::Ours => error(StatusCode::BAD_GATEWAY, SERVER_ERROR, "upstream_error"),
        Cause::Caller => invalid_request(refusal),
    }
}

fn invalid_request(refusal: &Refusal) -> ApiError {
    let Refusal { status, body, .. } = *refusal;
    let text = message(status, body);
    if body.message.contains("token count") && body.message.contains("exceeds the maximum") {
        let error = ApiError::new(status, INVALID_REQUEST, Some("context_length_exceeded"), text);
        return ApiError { param: Some("messages".to_owned()), ..error };
    }
    let code = if status == StatusCode::PAYLOAD_TOO_LARGE {
        Some("request_too_large")
    } else if body.message.contains("only supported in the Interactions API") {
        // What has a code is not sent again, changed.
        Some("interactions_api_only")
    } else {
        None
    };
    ApiError::new(status, INVALID_REQUEST, code, text)
}

fn message(status: StatusCode, body: &ErrorBody) -> String {
    if body.message.is_empty() {
        format!("Gemini answered with status {} and no message.", status.as_u16())
    } else {
        body.message.clone()
    }
}
