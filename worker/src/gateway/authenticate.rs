//! From a client key to its pool. Warm, nothing here waits for the store.

use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use pool_shared::{PoolId, TokenKind};

use super::guesses;
use super::snapshots::Lookup;
use crate::crypto::TokenHash;
use crate::host::{Clock, Host, IncomingRequest, MaybeSend};
use crate::log::RequestLog;
use crate::openai::ApiError;
use crate::pool::Snapshot;
use crate::service::{FollowUp, Service, SettleError, lock};
use crate::store::{PoolConfig, PoolReader, Refreshed, StoreError};

/// How long the store may take to say what it knows of a pool.
const STORE_PATIENCE: Duration = Duration::from_secs(5);

/// Finds the pool of the client key that a request presents, and the key's hash. Unknown keys are counted by the address
/// that they come from.
pub(super) async fn authenticate<H: Host, B>(
    service: &Service,
    host: &H,
    request: &IncomingRequest<B>,
    log: &RequestLog,
) -> Result<(Arc<Snapshot>, TokenHash, FollowUp), ApiError> {
    // Apart from the body, which need not be shareable between threads.
    let (headers, address) = (&request.headers, request.client_address);
    let found = find(service, host, headers, address).await;
    let is_guess =
        |error: &ApiError| matches!(error.status, StatusCode::UNAUTHORIZED | StatusCode::TOO_MANY_REQUESTS);
    if found.as_ref().is_err_and(is_guess) && !lock(&service.guesses).note(address, host.clock().now()) {
        log.leave_out();
    }
    found
}

async fn find<H: Host>(
    service: &Service,
    host: &H,
    headers: &HeaderMap,
    address: Option<IpAddr>,
) -> Result<(Arc<Snapshot>, TokenHash, FollowUp), ApiError> {
    let client_key = presented_key(headers).ok_or_else(ApiError::unauthorized)?;
    if !TokenKind::could_be_client_key(client_key) {
        return Err(ApiError::unauthorized());
    }
    let mut hash = service.vault.token_hash(client_key);
    let (lookup, is_use_told) = lock(&service.snapshots).look_up(&hash, host.clock().now());
    let mut follow_up = FollowUp::default();
    let pool = match lookup {
        Lookup::Fresh(pool) => pool,
        Lookup::Soft(pool) => {
            follow_up.refresh = Some(pool.id.clone());
            pool
        }
        Lookup::Hard(pool) => recheck(service, host, &hash, pool).await?,
        Lookup::Unknown => return Err(ApiError::unauthorized()),
        Lookup::Missing => {
            let is_own_form = TokenKind::ClientKey.verify(client_key).is_ok();
            let wait = lock(&service.guesses).wait(address, is_own_form, host.clock().now());
            if let Some(wait) = wait {
                return Err(guesses::refusal(wait));
            }
            let mut loaded = load(service, host, &hash).await;
            // Nobody knows the client key by this hash: its key may have been another one.
            if matches!(loaded, Ok(None)) {
                let other = if settle(service, host).await? {
                    Some(service.vault.token_hash(client_key))
                } else {
                    service.vault.previous_token_hash(client_key)
                };
                if let Some(other) = other {
                    hash = other;
                    loaded = load(service, host, &hash).await;
                }
            }
            let unknown = || {
                lock(&service.snapshots).remember_unknown(hash.clone(), host.clock().now());
                ApiError::unauthorized()
            };
            loaded?.ok_or_else(unknown)?
        }
    };
    if pool.has_expired(&hash, host.clock().now()) {
        return Err(ApiError::unauthorized());
    }
    if pool.enabled && !is_use_told {
        let now = host.clock().now();
        lock(&service.runtimes).of(&pool.id, now).callers().used(&hash, now);
        lock(&service.snapshots).use_told(&hash, now);
    }
    Ok((pool, hash, follow_up))
}

/// Refuses the requests of a disabled pool.
pub(super) fn check_enabled(pool: &Snapshot) -> Result<(), ApiError> {
    if pool.enabled {
        return Ok(());
    }
    let message = format!("The pool '{}' is switched off.", pool.name);
    Err(ApiError::new(StatusCode::FORBIDDEN, "permission_error", Some("pool_disabled"), message))
}

/// The client key, wherever clients put it: `Authorization` with or without `Bearer`, `x-api-key`,
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

/// Reads a pool that is not in memory.
async fn load<H: Host>(
    service: &Service,
    host: &H,
    hash: &TokenHash,
) -> Result<Option<Arc<Snapshot>>, ApiError> {
    let loaded = in_time(host, host.store().load_by_client_key(hash)).await;
    note_store(service, host, loaded.as_ref().err());
    match loaded {
        Ok(config) => config.map(|config| keep(service, host, config)).transpose(),
        Err(error) => Err(store_unavailable(&error)),
    }
}

/// Gives the store some seconds: one that never answers is one that fails.
async fn in_time<H: Host, T>(
    host: &H,
    asking: impl Future<Output = Result<T, StoreError>> + MaybeSend,
) -> Result<T, StoreError> {
    let answer = host.clock().within(STORE_PATIENCE, pin!(asking)).await;
    let late = || StoreError::Unavailable(format!("no answer within {} s", STORE_PATIENCE.as_secs()));
    answer.unwrap_or_else(|| Err(late()))
}

/// Learns the keys of the hashes. True: they are others than was thought.
async fn settle<H: Host>(service: &Service, host: &H) -> Result<bool, ApiError> {
    let settled = service.settle(host).await;
    settled.map_err(|error| match error {
        SettleError::Store(error) => {
            note_store(service, host, Some(&error));
            store_unavailable(&error)
        }
        SettleError::Setup(error) => unreadable().because(error),
    })
}

/// The service's own fault, of which callers need not know more: an operator finds it in the log and in `GET /admin/v1/health`.
fn unreadable() -> ApiError {
    let message =
        "The service cannot decrypt the configuration of this pool: its operator has to set it right.";
    ApiError::server(StatusCode::SERVICE_UNAVAILABLE, "not_set_up", message)
}

/// Checks a pool that is past its hard age, before it is used. A store that does not answer is no
/// verdict on the client key: the pool goes on from memory for some minutes.
async fn recheck<H: Host>(
    service: &Service,
    host: &H,
    hash: &TokenHash,
    pool: Arc<Snapshot>,
) -> Result<Arc<Snapshot>, ApiError> {
    if let Err(error) = refresh_from_store(service, host, &pool.id).await {
        let usable = lock(&service.snapshots).go_on_in_outage(&pool.id, host.clock().now());
        return if usable { Ok(pool) } else { Err(error) };
    }
    match lock(&service.snapshots).look_up(hash, host.clock().now()).0 {
        Lookup::Fresh(pool) | Lookup::Soft(pool) | Lookup::Hard(pool) => Ok(pool),
        Lookup::Unknown | Lookup::Missing => Err(ApiError::unauthorized()),
    }
}

/// Checks a pool behind a request.
pub(crate) async fn refresh<H: Host>(service: &Service, host: &H, pool: &PoolId) {
    // What went wrong is noted for health; the snapshot stays until its hard age.
    let _ = refresh_from_store(service, host, pool).await;
}

/// A pool by its id, from memory or from the store; none when there is no such pool.
pub(super) async fn snapshot_of<H: Host>(
    service: &Service,
    host: &H,
    pool: &PoolId,
) -> Result<Option<Arc<Snapshot>>, ApiError> {
    if let Some(snapshot) = lock(&service.snapshots).get(pool) {
        return Ok(Some(snapshot));
    }
    refresh_from_store(service, host, pool).await?;
    Ok(lock(&service.snapshots).get(pool))
}

/// A pool as it stands in the store now; none when there is no such pool.
pub(crate) async fn current_snapshot<H: Host>(
    service: &Service,
    host: &H,
    pool: &PoolId,
) -> Result<Option<Arc<Snapshot>>, ApiError> {
    refresh_from_store(service, host, pool).await?;
    Ok(lock(&service.snapshots).get(pool))
}

async fn refresh_from_store<H: Host>(service: &Service, host: &H, pool: &PoolId) -> Result<(), ApiError> {
    let held = lock(&service.snapshots).version(pool).unwrap_or_default();
    let refreshed = in_time(host, host.store().refresh(pool, held)).await;
    note_store(service, host, refreshed.as_ref().err());
    match refreshed {
        Ok(Refreshed::Unchanged) => lock(&service.snapshots).confirm(pool, host.clock().now()),
        Ok(Refreshed::Changed(config)) => {
            keep(service, host, *config)?;
        }
        Ok(Refreshed::Gone) => lock(&service.snapshots).forget(pool),
        Err(error) => return Err(store_unavailable(&error)),
    }
    Ok(())
}

fn keep<H: Host>(service: &Service, host: &H, config: PoolConfig) -> Result<Arc<Snapshot>, ApiError> {
    let snapshot = Snapshot::new(config, &service.vault).map_err(|error| unreadable().because(error))?;
    let snapshot = Arc::new(snapshot);
    lock(&service.snapshots).insert(Arc::clone(&snapshot), host.clock().now());
    Ok(snapshot)
}

fn note_store<H: Host>(service: &Service, host: &H, error: Option<&StoreError>) {
    let trouble = error.map(|error| (host.clock().now(), error.to_string()));
    lock(&service.snapshots).note_store(trouble);
}

fn store_unavailable(error: &StoreError) -> ApiError {
    // What the store said may name its insides; an operator finds it in the log and in `GET /admin/v1/health`.
    let message = "The pool's configuration cannot be read at the moment.";
    ApiError {
        retry_after_ms: Some(1_000),
        ..ApiError::server(StatusCode::SERVICE_UNAVAILABLE, "store_unavailable", message).because(error)
    }
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
