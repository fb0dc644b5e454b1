//! The table from a cause of exhaustion to an error response: status, code, text and headers.

use std::time::Duration;

use http::StatusCode;
use jiff::Timestamp;
use pool_engine::{Exhausted, ExhaustionReason, OpenReason, RetryAdvice};
use pool_translate::ApiError;

/// SDKs wait no longer than this before a retry, so for longer waits they are advised against one.
const MAX_SDK_WAIT: Duration = Duration::from_mins(1);

/// Returns the error response of a request to a pool for which no further attempt is made.
pub(crate) fn exhausted(exhausted: Exhausted, pool: &str) -> ApiError {
    let Exhausted { reason, at: now } = exhausted;
    match reason {
        ExhaustionReason::Failed { error, reset, advice } => {
            let error = match reset {
                Some(reset) => until_reset(error, reset, now),
                None => error,
            };
            match advice {
                RetryAdvice::AsReported => error,
                RetryAdvice::Never => ApiError { should_retry: Some(false), ..error },
                RetryAdvice::At(at) => retry_at(error, at, now),
            }
        }
        ExhaustionReason::ModelUnavailable { reason, until } => model_unavailable(reason, until, now),
        ExhaustionReason::AllCooling { soonest, all_until_reset: true } => {
            let message =
                format!("Every key of the pool '{pool}' has used up its quota of the day for this model.");
            let error = rate_limited("insufficient_quota", "insufficient_quota", message);
            // The time is shown to people, and no SDK should wait for it.
            until_reset(ApiError { should_retry: Some(false), ..error }, soonest, now)
        }
        ExhaustionReason::AllCooling { soonest, all_until_reset: false } => {
            let message =
                format!("Every key of the pool '{pool}' has reached its rate limit for this model.");
            let error = rate_limited("requests", "rate_limit_exceeded", message);
            ApiError { retry_after_ms: milliseconds_until(soonest, now), ..error }
        }
        ExhaustionReason::NoUsableKey { has_keys, returns } => {
            let why = if has_keys { "has no key that Gemini accepts" } else { "has no enabled key" };
            let error = unavailable("no_usable_key", format!("The pool '{pool}' {why}."));
            match returns {
                Some(returns) => retry_at(error, returns, now),
                None => ApiError { should_retry: Some(false), ..error },
            }
        }
        ExhaustionReason::KeysRefused { retry_at: at } => {
            let message = format!(
                "Gemini refused the keys of the pool '{pool}' that were tried. They are out of use now: trying again \
                 may help."
            );
            retry_at(unavailable("no_usable_key", message), at, now)
        }
        ExhaustionReason::Timeout => ApiError::server(
            StatusCode::GATEWAY_TIMEOUT,
            "timeout",
            "The request took too long to be tried on a key.",
        ),
    }
}

fn model_unavailable(reason: OpenReason, until: Timestamp, now: Timestamp) -> ApiError {
    let error = match reason {
        OpenReason::Overload => unavailable("overloaded", "The model is overloaded. Please try again later."),
        OpenReason::Burst => {
            let message = "Gemini takes no more requests for this model at the moment.";
            rate_limited("requests", "rate_limit_exceeded", message)
        }
    };
    ApiError { retry_after_ms: milliseconds_until(until, now), ..error }
}

fn rate_limited(kind: &'static str, code: &'static str, message: impl Into<String>) -> ApiError {
    ApiError::new(StatusCode::TOO_MANY_REQUESTS, kind, Some(code), message)
}

fn unavailable(code: &'static str, message: impl Into<String>) -> ApiError {
    ApiError::server(StatusCode::SERVICE_UNAVAILABLE, code, message)
}

/// Adds when a daily quota is reset.
fn until_reset(error: ApiError, reset: Timestamp, now: Timestamp) -> ApiError {
    let at = Timestamp::from_second(reset.as_second()).unwrap_or(reset);
    let message = format!("{} The quota is reset at {at}.", error.message.trim_end());
    ApiError { retry_after_ms: milliseconds_until(reset, now), message, ..error }
}

/// Adds when a retry may succeed. Where SDKs do not wait as long, they are advised against it.
fn retry_at(error: ApiError, at: Timestamp, now: Timestamp) -> ApiError {
    let is_long = at.duration_since(now).unsigned_abs() > MAX_SDK_WAIT;
    ApiError { retry_after_ms: milliseconds_until(at, now), should_retry: is_long.then_some(false), ..error }
}

fn milliseconds_until(until: Timestamp, now: Timestamp) -> Option<u64> {
    let wait: Duration = until.duration_since(now).try_into().unwrap_or_default();
    wait.as_millis().try_into().ok()
}

#[cfg(test)]
mod tests;
