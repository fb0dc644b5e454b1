//! Liveness and readiness probes: `GET /healthz` and `GET /readyz`, without authentication.
//!
//! Their responses reveal nothing about pools, keys or causes; `GET /admin/v1/health` does, to
//! operators.

use std::pin::pin;
use std::sync::Mutex;
use std::time::Duration;

use http::{Method, StatusCode};
use jiff::Timestamp;

use crate::crypto::Vault;
use crate::platform::Clock;
use crate::platform::lock;
use crate::ports::Host;
use crate::reply::Reply;
use crate::store::PoolReader;

/// A probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// The process or isolate responds.
    Alive,
    /// The store responds, and the secrets decrypt its data.
    Ready,
}

/// The probes, by their paths.
pub const PROBES: [(&str, Probe); 2] = [("/healthz", Probe::Alive), ("/readyz", Probe::Ready)];

/// Timeout of the store.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How long a result is cached, so that unauthenticated requests put no load on the store.
const TTL: Duration = Duration::from_secs(2);

impl Probe {
    /// Returns the probe at a path.
    #[must_use]
    pub fn at(path: &str) -> Option<Self> {
        PROBES.into_iter().find(|(of, _)| *of == path).map(|(_, probe)| probe)
    }

    /// Returns the response: 200 or 503.
    #[must_use]
    pub fn reply<S>(method: &Method, is_good: bool) -> Reply<S> {
        if !matches!(*method, Method::GET | Method::HEAD) {
            return Reply::empty(StatusCode::METHOD_NOT_ALLOWED).header("allow", "GET, HEAD");
        }
        let (status, text) = if is_good {
            (StatusCode::OK, "ok\n")
        } else {
            (StatusCode::SERVICE_UNAVAILABLE, "unavailable\n")
        };
        let text = if *method == Method::HEAD { "" } else { text };
        Reply::json(status, text).header("content-type", "text/plain; charset=utf-8")
    }
}

/// The last result of the readiness probe.
#[derive(Debug, Default)]
pub(crate) struct Readiness(Mutex<Option<(Timestamp, bool)>>);

impl Readiness {
    /// Returns `true` if the store responds and the secrets decrypt what it holds.
    pub(crate) async fn is_ready<H: Host>(&self, vault: &Vault, host: &H) -> bool {
        let now = host.clock().now();
        let last = *lock(&self.0);
        if let Some((at, is_ready)) = last
            && now.duration_since(at).unsigned_abs() < TTL
        {
            return is_ready;
        }
        let stored = host.clock().within(TIMEOUT, pin!(host.store().hash_keys())).await;
        let is_ready = match stored {
            Some(Ok(Some(stored))) => vault.use_hash_keys(&stored).is_ok(),
            Some(Ok(None)) => true,
            Some(Err(_)) | None => false,
        };
        *lock(&self.0) = Some((host.clock().now(), is_ready));
        is_ready
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use pool_shared::Secret;

    use super::*;
    use crate::testing::{FakeHost, Mode};

    #[tokio::test]
    async fn readiness_follows_the_store_and_asks_it_seldom() {
        let host = FakeHost::new();
        let service = host.service();
        let nobody = Secret::new("");
        let status = async |method: Method, path: &str| host.send(&service, method, path, &nobody, "").await;
        assert_eq!(status(Method::GET, "/readyz").await.0.status, StatusCode::OK);
        host.parts.database.switch.set(Mode::Fails);
        assert_eq!(status(Method::GET, "/readyz").await.0.status, StatusCode::OK, "the last result");
        host.parts.clock.advance(Duration::from_secs(2));
        let (reply, body) = status(Method::GET, "/readyz").await;
        assert_eq!((reply.status, body.as_str()), (StatusCode::SERVICE_UNAVAILABLE, "unavailable\n"));
        let calls = host.store_calls();
        for _ in 0..10 {
            assert_eq!(status(Method::GET, "/readyz").await.0.status, StatusCode::SERVICE_UNAVAILABLE);
        }
        assert_eq!(host.store_calls(), calls);
        let (alive, body) = status(Method::GET, "/healthz").await;
        assert_eq!((alive.status, body.as_str()), (StatusCode::OK, "ok\n"), "it is alive all the same");
        assert_eq!(status(Method::POST, "/healthz").await.0.status, StatusCode::METHOD_NOT_ALLOWED);
        host.parts.database.switch.set(Mode::Works);
        host.parts.clock.advance(Duration::from_secs(2));
        assert_eq!(status(Method::GET, "/readyz").await.0.status, StatusCode::OK);
    }
}
