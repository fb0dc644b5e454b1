//! The service: what all requests of an isolate or a process share, and the door they come in by.
//!
//! A host builds one [`Service`] and hands it every request together with itself. Shared state is
//! locked in synchronous sections only: on Workers a lock held across an `await` by one request is
//! fatal to another.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use pool_shared::{Counters, PoolId, Secret};

use crate::admin::AdminError;
use crate::crypto::{MasterKey, MasterKeyError, Vault};
use crate::gateway::{ModelCache, SnapshotCache};
use crate::host::{AdminHost, Clock, Host, IncomingBody, IncomingRequest, Random};
use crate::ledger::{Account, Ledger, LedgerReply, LedgerRequest, ReportBuffer, WriterId};
use crate::reply::Reply;
use crate::{admin, gateway};

/// The shortest `ADMIN_PASSWORD` that is accepted.
pub const MIN_PASSWORD_LENGTH: usize = 15;

/// The longest request body that is read: 32 MiB, room for some inline images.
pub const BODY_LIMIT: usize = 32 * 1024 * 1024;

/// How often a report is sent before its sender gives up and leaves it to the next one.
const SENDS: u32 = 4;

/// The deployment lacks something. Every request is answered 503 with this text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SetupError {
    /// A secret is not set.
    #[error("the secret {0} is not set")]
    MissingSecret(&'static str),
    /// A binding is missing.
    #[error("no binding {0}")]
    MissingBinding(&'static str),
    /// The master key is not one.
    #[error(transparent)]
    MasterKey(#[from] MasterKeyError),
    /// The password could be guessed.
    #[error("ADMIN_PASSWORD has fewer than {MIN_PASSWORD_LENGTH} characters")]
    WeakPassword,
    /// Another setting cannot be used.
    #[error("{0}")]
    Setting(String),
}

/// What the operator set.
#[derive(Debug)]
pub struct Settings {
    master_key: MasterKey,
    admin_password: Secret,
}

impl Settings {
    /// Checks the two secrets of a deployment.
    pub fn new(master_key: Option<&str>, admin_password: Option<&str>) -> Result<Self, SetupError> {
        let master_key = master_key.ok_or(SetupError::MissingSecret("MASTER_KEY"))?;
        let admin_password = admin_password.ok_or(SetupError::MissingSecret("ADMIN_PASSWORD"))?;
        if admin_password.chars().count() < MIN_PASSWORD_LENGTH {
            return Err(SetupError::WeakPassword);
        }
        Ok(Self { master_key: MasterKey::parse(master_key)?, admin_password: Secret::new(admin_password) })
    }
}

/// What all requests share.
pub struct Service {
    pub(crate) vault: Vault,
    pub(crate) admin_password: Secret,
    pub(crate) snapshots: Mutex<SnapshotCache>,
    pub(crate) models: Mutex<ModelCache>,
    reports: Mutex<ReportBuffer>,
}

/// What is left to do after an answer has been given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FollowUp {
    /// A pool whose snapshot is past its soft age.
    pub refresh: Option<PoolId>,
}

impl Service {
    /// A service with nothing cached.
    #[must_use]
    pub fn new(settings: Settings, random: &impl Random) -> Self {
        let writer = WriterId::from_random(random.next_u64());
        Self {
            vault: Vault::new(&settings.master_key),
            admin_password: settings.admin_password,
            snapshots: Mutex::default(),
            models: Mutex::default(),
            reports: Mutex::new(ReportBuffer::new(writer)),
        }
    }

    /// Answers a request of either plane.
    pub async fn handle<H, B>(self: &Arc<Self>, host: &H, request: IncomingRequest<B>) -> Reply<H>
    where
        H: AdminHost + Clone,
        B: IncomingBody,
    {
        if admin::is_admin_path(&request.path) {
            self.administer(host, request).await
        } else {
            self.proxy(host, request).await
        }
    }

    /// Answers a request of the admin API.
    pub async fn administer<H, B>(self: &Arc<Self>, host: &H, request: IncomingRequest<B>) -> Reply<H>
    where
        H: AdminHost,
        B: IncomingBody,
    {
        let request_id = new_request_id(host.random());
        admin::handle(self, host, request, &request_id).await.header("x-request-id", &request_id)
    }

    /// Answers a request of the data plane.
    pub async fn proxy<H, B>(self: &Arc<Self>, host: &H, request: IncomingRequest<B>) -> Reply<H>
    where
        H: Host + Clone,
        B: IncomingBody,
    {
        let request_id = new_request_id(host.random());
        gateway::handle(self, host, request).await.header("x-request-id", &request_id)
    }

    /// A request of the admin API was done on another machine: what it changed is forgotten here too.
    pub fn administered_elsewhere(&self, path: &str) {
        let mut snapshots = lock(&self.snapshots);
        snapshots.forget_unknown();
        if let Some(pool) = admin::pool_in(path) {
            snapshots.forget_called(&pool);
        }
    }

    /// Does what an answer left to do, and reports what was counted. On Workers this runs in the
    /// request's `waitUntil`; natively the reports go out by a task of their own.
    pub async fn follow_up<H: Host>(&self, host: &H, follow_up: FollowUp) {
        if let Some(pool) = follow_up.refresh {
            gateway::refresh(self, host, &pool).await;
        }
    }

    /// Sends what was counted to the ledger, until nothing is left or the ledger does not answer.
    /// Whoever comes first sends for all.
    pub async fn flush<H: Host>(&self, host: &H) {
        let mut wait = Duration::from_millis(500);
        let mut sends_left = SENDS;
        while let Some(report) = { lock(&self.reports).take(host.clock().now()) } {
            let sequence = report.sequence;
            if let Ok(LedgerReply::Counted) = host.ledger().ask(LedgerRequest::Report(report)).await {
                lock(&self.reports).confirm(sequence);
                continue;
            }
            lock(&self.reports).failed(sequence);
            sends_left -= 1;
            if sends_left == 0 {
                return;
            }
            host.clock().sleep(wait).await;
            wait *= 2;
        }
    }

    /// Whether everything counted was confirmed by the ledger.
    pub fn is_flushed(&self) -> bool {
        lock(&self.reports).is_empty()
    }

    /// Attempts that this isolate or process gave up reporting.
    pub fn lost_attempts(&self) -> u64 {
        lock(&self.reports).given_up()
    }

    /// Notes an attempt.
    pub(crate) fn count(&self, account: Account, counters: &Counters) {
        lock(&self.reports).add(account, counters);
    }

    /// Makes this isolate or process read a pool anew before its next use.
    pub(crate) fn forget_pool(&self, pool: &PoolId) {
        lock(&self.snapshots).forget(pool);
    }

    /// When the config store was last found not to answer, and what it said.
    pub(crate) fn store_trouble(&self) -> Option<(Timestamp, String)> {
        lock(&self.snapshots).trouble()
    }
}

/// The answer to every request of a deployment that lacks a binding or a secret.
#[must_use]
pub fn not_set_up<H: Host>(path: &str, error: SetupError, random: &impl Random) -> Reply<H> {
    let request_id = new_request_id(random);
    let reply = if admin::is_admin_path(path) {
        admin::not_set_up(error, &request_id)
    } else {
        gateway::not_set_up(&error)
    };
    reply.header("x-request-id", &request_id)
}

fn new_request_id(random: &impl Random) -> String {
    format!("req_{:016x}", random.next_u64())
}

/// The answer to a request of the admin API that a host could not even begin with.
#[must_use]
pub fn refused<H: Host>(error: AdminError, random: &impl Random) -> Reply<H> {
    let request_id = new_request_id(random);
    error.reply(&request_id).header("x-request-id", &request_id)
}

/// Locks isolate-wide state. A panic while it was held cannot have left it half changed in a way that
/// matters: everything in it is a cache or a count.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_deployment_lacks_is_named() {
        let key = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
        let password = "correct horse battery";
        for (master_key, admin_password, expected) in [
            (None, Some(password), "the secret MASTER_KEY is not set"),
            (Some(key), None, "the secret ADMIN_PASSWORD is not set"),
            (Some(key), Some("short"), "ADMIN_PASSWORD has fewer than 15 characters"),
            (
                Some("short"),
                Some(password),
                "MASTER_KEY is not base64: make one with `openssl rand -base64 32`",
            ),
        ] {
            assert_eq!(Settings::new(master_key, admin_password).unwrap_err().to_string(), expected);
        }
        assert!(Settings::new(Some(key), Some(password)).is_ok());
    }
}
