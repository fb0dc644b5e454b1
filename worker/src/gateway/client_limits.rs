//! Rate limits and address allowlists of client keys.
//!
//! Admits or rejects an authenticated request, and makes the rate limit headers of its response.
//! Nothing here waits for I/O.

use std::net::IpAddr;
use std::sync::atomic::Ordering;

use http::StatusCode;
use jiff::Timestamp;

use super::token_estimate::{estimated_tokens, least_tokens};
use super::{Caller, Context};
use crate::platform::Clock;
use crate::platform::lock;
use crate::ports::Host;
use pool_engine::{Cost, Left, OverLimit, Quota};
use pool_translate::ApiError;

/// For longer waits the response carries `x-should-retry: false`.
const MAX_RETRY_WAIT: std::time::Duration = std::time::Duration::from_mins(1);

/// Rejects a client whose address the client key's allowlist does not contain.
pub(super) fn check_address(caller: &Caller, address: Option<IpAddr>) -> Result<(), ApiError> {
    if caller.rules.admits(address) {
        return Ok(());
    }
    let message = "This client key may not be used from your address.";
    Err(ApiError::new(StatusCode::FORBIDDEN, "permission_error", Some("address_not_allowed"), message))
}

/// Rate limit headers.
pub(super) type LimitHeaders = Vec<(&'static str, String)>;

/// Admits or rejects a request with this body under its client key's rate limits.
pub(super) fn admit<H: Host>(context: &Context<'_, H>, body: &[u8]) -> (Result<(), ApiError>, LimitHeaders) {
    let Some(caller) = &context.caller else { return (Ok(()), LimitHeaders::new()) };
    if caller.rules.limits.is_empty() {
        return (Ok(()), LimitHeaders::new());
    }
    let now = context.host.clock().now();
    let cost = Cost { requests: 1, tokens: estimated_tokens(body) };
    let (admitted, left) = {
        let mut runtimes = lock(&context.state.pools.states);
        runtimes.of(&context.pool.id, now).rate_limiter().admit(&caller.rules, cost, now)
    };
    if admitted.is_ok() {
        caller.estimated.store(cost.tokens, Ordering::Relaxed);
        caller.least.store(least_tokens(body), Ordering::Relaxed);
    } else {
        context.log.over_limit();
    }
    (admitted.map_err(|over| refusal(over, cost, now)), headers(&left, now))
}

fn refusal(over: OverLimit, cost: Cost, now: Timestamp) -> ApiError {
    let (limit, name, kind) = match over.quota {
        Quota::RequestsPerMinute => (over.limit, "requests per minute", "requests"),
        Quota::RequestsPerDay => (over.limit, "requests per day", "requests"),
        Quota::TokensPerMinute => (over.limit, "tokens per minute", "tokens"),
        Quota::TokensPerDay => (over.limit, "tokens per day", "tokens"),
    };
    let wait = over.until.map(|until| until.duration_since(now).unsigned_abs());
    let advice = match wait {
        Some(wait) => format!("Please try again in {}.", duration(wait.as_millis().div_ceil(1_000))),
        None if kind == "tokens" => format!("The request alone takes some {} tokens.", cost.tokens),
        None => "It lets no request in.".to_owned(),
    };
    let message = format!("Rate limit of this client key reached: {limit} {name}. {advice}");
    let milliseconds = wait.and_then(|wait| u64::try_from(wait.as_millis()).ok());
    ApiError {
        retry_after_ms: milliseconds,
        should_retry: wait.is_none_or(|wait| wait > MAX_RETRY_WAIT).then_some(false),
        ..ApiError::new(StatusCode::TOO_MANY_REQUESTS, kind, Some("rate_limit_exceeded"), message)
    }
}

/// Returns OpenAI's rate limit headers, for the limit of each kind with the least remaining.
fn headers(left: &[Left], now: Timestamp) -> LimitHeaders {
    let kinds = [
        ([Quota::RequestsPerMinute, Quota::RequestsPerDay], REQUESTS),
        ([Quota::TokensPerMinute, Quota::TokensPerDay], TOKENS),
    ];
    let told = kinds.into_iter().filter_map(|(quotas, names)| {
        let of_kind = left.iter().filter(|left| quotas.contains(&left.quota));
        let least = of_kind.min_by_key(|left| left.remaining)?;
        let reset = least.resets_at.duration_since(now).unsigned_abs().as_millis().div_ceil(1_000);
        let [limit, remaining, resets] = names;
        let values = [least.limit.to_string(), least.remaining.to_string(), duration(reset)];
        Some([limit, remaining, resets].into_iter().zip(values))
    });
    told.flatten().collect()
}

const REQUESTS: [&str; 3] =
    ["x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"];
const TOKENS: [&str; 3] =
    ["x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"];

/// Formats a duration as OpenAI does: `59s`, `6m0s`, `7h59m3s`.
fn duration(seconds: u128) -> String {
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{seconds}s"),
        _ => format!("{hours}h{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_openai_does() {
        let written = [0, 59, 60, 360, 3_600, 28_743].map(duration);
        assert_eq!(written, ["0s", "59s", "1m0s", "6m0s", "1h0m0s", "7h59m3s"]);
    }

    #[test]
    fn headers_show_the_limit_with_the_least_remaining() {
        let now = Timestamp::UNIX_EPOCH;
        let left = |quota, limit, remaining, seconds| Left {
            quota,
            limit,
            remaining,
            resets_at: Timestamp::from_second(seconds).unwrap(),
        };
        let told = headers(
            &[
                left(Quota::RequestsPerMinute, 10, 9, 65),
                left(Quota::RequestsPerDay, 100, 3, 7_200),
                left(Quota::TokensPerDay, 1_000, 900, 60),
            ],
            now,
        );
        let values: Vec<_> = told.iter().map(|(_, value)| value.as_str()).collect();
        assert_eq!(values, ["100", "3", "2h0m0s", "1000", "900", "1m0s"]);
    }
}
