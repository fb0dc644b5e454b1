//! Authentication: finds the pool of a client key. For a cached pool nothing waits for the store.

use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderMap, StatusCode};
use pool_shared::TokenKind;

use super::{Gateway, guesses};
use crate::crypto::TokenHash;
use crate::platform::lock;
use crate::platform::{Clock, IncomingRequest};
use crate::pools::{Lookup, PoolError, Snapshot};
use crate::ports::Host;
use crate::reply::BackgroundTask;
use crate::reporting::RequestLog;
use pool_translate::ApiError;

/// Finds the pool of a request's client key, and the key's hash. Unknown keys are counted per client
/// address.
pub(super) async fn authenticate<H: Host, B>(
    gateway: &Gateway,
    host: &H,
    request: &IncomingRequest<B>,
    log: &RequestLog,
) -> Result<(Arc<Snapshot>, TokenHash, BackgroundTask), ApiError> {
    // Without the body, which need not be `Sync`.
    let (headers, address) = (&request.headers, request.client_address);
    let found = find(gateway, host, headers, address).await;
    let is_guess =
        |error: &ApiError| matches!(error.status, StatusCode::UNAUTHORIZED | StatusCode::TOO_MANY_REQUESTS);
    if found.as_ref().is_err_and(is_guess) && !lock(&gateway.guesses).note(address, host.clock().now()) {
        log.leave_out();
    }
    found
}

async fn find<H: Host>(
    gateway: &Gateway,
    host: &H,
    headers: &HeaderMap,
    address: Option<IpAddr>,
) -> Result<(Arc<Snapshot>, TokenHash, BackgroundTask), ApiError> {
    let pools = &gateway.state.pools;
    let client_key = presented_key(headers).ok_or_else(ApiError::unauthorized)?;
    if !TokenKind::could_be_client_key(client_key) {
        return Err(ApiError::unauthorized());
    }
    let mut hash = pools.vault.token_hash(client_key);
    let (lookup, is_usage_reported) = lock(&pools.snapshots).get_by_client_key(&hash, host.clock().now());
    let mut background = BackgroundTask::default();
    let pool = match lookup {
        Lookup::Fresh(pool) => pool,
        Lookup::Soft(pool) => {
            background.refresh = Some(pool.id.clone());
            pool
        }
        Lookup::Hard(pool) => pools
            .recheck(host, &hash, pool)
            .await
            .map_err(|error| pool_error(&error))?
            .ok_or_else(ApiError::unauthorized)?,
        Lookup::Unknown => return Err(ApiError::unauthorized()),
        Lookup::Missing => {
            let is_own_form = TokenKind::ClientKey.verify(client_key).is_ok();
            let wait = lock(&gateway.guesses).wait(address, is_own_form, host.clock().now());
            if let Some(wait) = wait {
                return Err(guesses::refusal(wait));
            }
            let mut loaded = pools.load(host, &hash).await;
            // No client key has this hash: it may have been made with another HMAC key.
            if matches!(loaded, Ok(None)) {
                let other = if pools.load_hash_keys(host).await.map_err(|error| pool_error(&error))? {
                    Some(pools.vault.token_hash(client_key))
                } else {
                    pools.vault.previous_token_hash(client_key)
                };
                if let Some(other) = other {
                    hash = other;
                    loaded = pools.load(host, &hash).await;
                }
            }
            let unknown = || {
                lock(&pools.snapshots).remember_unknown(hash.clone(), host.clock().now());
                ApiError::unauthorized()
            };
            loaded.map_err(|error| pool_error(&error))?.ok_or_else(unknown)?
        }
    };
    if pool.has_expired(&hash, host.clock().now()) {
        return Err(ApiError::unauthorized());
    }
    if pool.enabled && !is_usage_reported {
        let now = host.clock().now();
        lock(&pools.states).of(&pool.id, now).rate_limiter().used(&hash, now);
        lock(&pools.snapshots).usage_reported(&hash, now);
    }
    Ok((pool, hash, background))
}

/// Rejects the requests of a disabled pool.
pub(super) fn check_enabled(pool: &Snapshot) -> Result<(), ApiError> {
    if pool.enabled {
        return Ok(());
    }
    let message = format!("The pool '{}' is switched off.", pool.name);
    Err(ApiError::new(StatusCode::FORBIDDEN, "permission_error", Some("pool_disabled"), message))
}

/// Returns the client key, from every header that clients use: `Authorization` with or without `Bearer`, `x-api-key`,
/// `x-goog-api-key`.
pub(crate) fn presented_key(headers: &HeaderMap) -> Option<&str> {
    ["authorization", "x-api-key", "x-goog-api-key"].into_iter().find_map(|name| {
        let value = headers.get(name)?.to_str().ok()?.trim();
        let value = match value.split_once(' ') {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("bearer") => rest.trim(),
            _ => value,
        };
        (!value.is_empty()).then_some(value)
    })
}

fn pool_error(error: &PoolError) -> ApiError {
    let (code, retry_after_ms) = match error {
        PoolError::Store(_) => ("store_unavailable", Some(1_000)),
        PoolError::Unreadable(_) | PoolError::Setup(_) => ("not_set_up", None),
    };
    // The cause may contain internals: it goes to the log and to `GET /admin/v1/health` only.
    let refused = ApiError::server(StatusCode::SERVICE_UNAVAILABLE, code, error.to_string());
    ApiError { retry_after_ms, ..refused.because(error.cause()) }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn the_client_key_is_found_wherever_clients_put_it() {
        for (name, value) in [
            ("authorization", "Bearer sk-pool-x"),
            ("authorization", "bearer  sk-pool-x "),
            ("authorization", "sk-pool-x"),
            ("x-api-key", "sk-pool-x"),
            ("x-goog-api-key", "sk-pool-x"),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_static(value));
            assert_eq!(presented_key(&headers), Some("sk-pool-x"), "{name}: {value}");
        }
        assert_eq!(presented_key(&HeaderMap::new()), None);
    }
}
