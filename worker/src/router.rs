//! The router: state of an isolate or process, and the plane that serves a path. It is the only thing
//! that hosts call.

use std::sync::Arc;

use http::Method;

use crate::admin::{self, Admin, AdminError};
use crate::crypto::Vault;
use crate::gateway::{self, Gateway, Reply};
use crate::health;
use crate::limits::BodyBudget;
use crate::liveness::{Probe, Readiness};
use crate::model_lists;
use crate::platform::{Clock, IncomingBody, IncomingRequest, Random, lock};
use crate::pools::{HashKeyError, PoolDirectory};
use crate::ports::{AdminHost, Host};
use crate::reply::{self, BackgroundTask};
use crate::reporting::Reporter;
use crate::settings::Settings;
use crate::setup::SetupError;
use crate::state::ServiceState;
use crate::store::ConfigStore;
use crate::ui;
use crate::upstream::EgressMemory;

/// The service.
pub struct Service {
    pub(crate) state: Arc<ServiceState>,
    pub(crate) gateway: Arc<Gateway>,
    admin: Admin,
    readiness: Readiness,
}

impl Service {
    /// Returns a service with nothing cached.
    #[must_use]
    pub fn new(settings: Settings, random: &impl Random) -> Self {
        let Settings { master_key, previous_master_key, admin_password, .. } = settings;
        let pools = Arc::new(PoolDirectory::new(Vault::new(&master_key, previous_master_key.as_ref())));
        let Settings { ledger_shards, in_flight, log, timeouts, .. } = settings;
        let reporter = Reporter::new(Arc::clone(&pools), log, in_flight, ledger_shards, random);
        let state = Arc::new(ServiceState {
            pools,
            reporter: Arc::new(reporter),
            egress: EgressMemory::default(),
            timeouts,
            bodies: BodyBudget::default(),
        });
        Self {
            gateway: Arc::new(Gateway::new(Arc::clone(&state))),
            admin: Admin::new(Arc::clone(&state), admin_password),
            readiness: Readiness::default(),
            state,
        }
    }

    /// Serves a request of any plane.
    pub async fn handle<H, B>(&self, host: &H, request: IncomingRequest<B>) -> Reply<H>
    where
        H: AdminHost + Clone,
        B: IncomingBody,
    {
        if is_page(&request.method, &request.path) {
            let held = request.headers.get("if-none-match").and_then(|held| held.to_str().ok());
            self.page(host, &request.method, &request.path, held)
        } else if let Some(probe) = Probe::at(&request.path) {
            self.probe(host, probe, &request.method).await
        } else if is_admin_path(&request.path) {
            // On the heap, so that the future of every other request is not as large as this one.
            Box::pin(self.administer(host, request)).await
        } else {
            self.proxy(host, request).await
        }
    }

    /// Serves a request for the web UI, of which the browser may hold a copy with the tag `held`. The
    /// store is not used.
    pub fn page<H: Host, S>(
        &self,
        host: &H,
        method: &Method,
        path: &str,
        held: Option<&str>,
    ) -> reply::Reply<S> {
        let request_id = new_request_id(host.random());
        let log = self.state.reporter.log.begin("page", &request_id, host.clock().now());
        log.route(method.as_str(), "/admin/{file}");
        let reply = ui::answer(method, path, held).unwrap_or_else(|not_served| {
            let shown = || path.chars().take(200).collect();
            let error = match not_served {
                ui::NotServed::Unknown => AdminError::UnknownRoute(shown()),
                ui::NotServed::Method => AdminError::MethodNotAllowed {
                    method: method.to_string(),
                    path: shown(),
                    allowed: "GET, HEAD".to_owned(),
                },
            };
            admin::refused(error, &request_id)
        });
        log.answered(reply.status.as_u16(), host.clock().now());
        reply.header("x-request-id", &request_id)
    }

    /// Serves a liveness or readiness probe.
    pub async fn probe<H: Host, S>(&self, host: &H, probe: Probe, method: &Method) -> reply::Reply<S> {
        let is_good = match probe {
            Probe::Alive => true,
            Probe::Ready => self.readiness.is_ready(&self.state.pools.vault, host).await,
        };
        probe_reply(is_good, method, host.random())
    }

    /// Serves a request of the admin API.
    pub async fn administer<H, B, S>(&self, host: &H, request: IncomingRequest<B>) -> reply::Reply<S>
    where
        H: AdminHost,
        B: IncomingBody,
    {
        let request_id = new_request_id(host.random());
        admin::handle(&self.admin, host, request, &request_id).await.header("x-request-id", &request_id)
    }

    /// Serves a request of the data plane.
    pub async fn proxy<H, B>(&self, host: &H, request: IncomingRequest<B>) -> Reply<H>
    where
        H: Host + Clone,
        B: IncomingBody,
    {
        let request_id = new_request_id(host.random());
        gateway::handle(&self.gateway, host, request, &request_id).await.header("x-request-id", &request_id)
    }

    /// Evicts what a request of the admin API changed that another machine served.
    pub fn administered_elsewhere(&self, path: &str) {
        let mut snapshots = lock(&self.state.pools.snapshots);
        snapshots.forget_unknown();
        if let Some(pool) = admin::pool_in(path) {
            snapshots.evict_by_name(&pool);
        }
    }

    /// Checks that the master key is the one that the store was encrypted with.
    pub async fn verify<H: AdminHost>(&self, host: &H) -> Result<(), HashKeyError> {
        self.state.pools.verify(host).await
    }

    /// Runs the work that a response left. On Workers this runs in the request's `waitUntil`; natively
    /// reports are sent by a task of their own.
    pub async fn run_background<H: Host>(&self, host: &H, task: BackgroundTask) {
        if let Some(pool) = task.refresh {
            self.state.pools.revalidate(host, &pool).await;
        }
        if let Some(pool) = task.refresh_models {
            model_lists::refresh(&self.state, host, &pool).await;
        }
    }

    /// Sends buffered reports to the ledger until none is left.
    pub async fn flush<H: Host>(&self, host: &H) {
        self.state.reporter.flush(host).await;
    }

    /// Returns `true` if the ledger has acknowledged everything counted.
    #[must_use]
    pub fn is_flushed(&self) -> bool {
        self.state.reporter.is_flushed()
    }

    /// Periodic maintenance: fetches the observations of other instances and rechecks unhealthy keys. On
    /// Workers a cron trigger calls it, natively a task.
    pub async fn run_maintenance<H: Host>(&self, host: &H) {
        self.state.reporter.exchange(host).await;
        health::recheck(&self.state, host).await;
        self.state.reporter.flush_once(host).await;
    }

    /// Follows the machine's clock after it was set: durations that are running keep their remaining
    /// length.
    pub async fn keep_time<H: AdminHost>(&self, host: &H) {
        let moved = {
            // The time and the state of keys change together.
            let mut states = lock(&self.state.pools.states);
            let Some(by) = host.clock().correct() else { return };
            states.shift(by, host.clock().now());
            by
        };
        self.state.pools.shift(moved);
        self.gateway.shift(moved);
        self.state.reporter.shift(moved);
        // Delays of logins are in the store; if it fails now, they end early or late by that much.
        let _ = host.store().shift_logins(moved).await;
    }
}

/// Returns `true` if a path belongs to the admin API.
pub(crate) fn is_admin_path(path: &str) -> bool {
    path == admin::METRICS || is_below(path, "/admin")
}

/// Returns `true` if a request is for the web UI: everything below `/admin` except the API, and `/` for
/// reads.
#[must_use]
pub fn is_page(method: &Method, path: &str) -> bool {
    (path == "/" && matches!(*method, Method::GET | Method::HEAD))
        || (is_below(path, "/admin") && !is_below(path, pool_shared::ADMIN_PREFIX))
}

fn is_below(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn probe_reply<S>(is_good: bool, method: &Method, random: &impl Random) -> reply::Reply<S> {
    Probe::reply(method, is_good).header("x-request-id", &new_request_id(random))
}

/// Returns the response to every request of a deployment that lacks a binding or a secret.
#[must_use]
pub fn not_set_up<S>(path: &str, error: SetupError, random: &impl Random) -> reply::Reply<S> {
    let request_id = new_request_id(random);
    let reply = if is_admin_path(path) {
        admin::refused(error.into(), &request_id)
    } else {
        gateway::not_set_up(path, &error)
    };
    reply.header("x-request-id", &request_id)
}

/// Returns the response to a request of the admin API that a host could not start.
#[must_use]
pub fn refused<S>(error: AdminError, random: &impl Random) -> reply::Reply<S> {
    let request_id = new_request_id(random);
    admin::refused(error, &request_id).header("x-request-id", &request_id)
}

fn new_request_id(random: &impl Random) -> String {
    format!("req_{:016x}", random.next_u64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_and_the_data_plane_are_not_the_page() {
        for (method, path, is) in [
            (Method::GET, "/", true),
            (Method::HEAD, "/", true),
            (Method::POST, "/", false),
            (Method::OPTIONS, "/", false),
            (Method::GET, "/admin", true),
            (Method::POST, "/admin/", true),
            (Method::GET, "/admin/v1.js", true),
            (Method::GET, "/admin/v1", false),
            (Method::GET, "/admin/v1/pools", false),
            (Method::GET, "/administration", false),
            (Method::GET, "/v1/models", false),
        ] {
            assert_eq!(is_page(&method, path), is, "{method} {path}");
        }
    }
}
