//! Pool directory: pools from the cache, or else from the config store.
//!
//! # Invariants
//! - A snapshot within its TTLs is served without waiting for the store.
//! - A store that fails or hangs never invalidates a client key: cached pools are served for up to
//!   10 minutes.

use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::SignedDuration;
use jiff::Timestamp;
use pool_engine::{PoolStates, SameKeys, Suspicions};
use pool_shared::PoolId;

use super::{HashKeyError, Lookup, ModelCache, ModelPages, Snapshot, SnapshotCache};
use crate::crypto::{DecryptError, TokenHash, Vault};
use crate::platform::{Clock, MaybeSend, lock};
use crate::ports::Host;
use crate::setup::SetupError;
use crate::store::{PoolConfig, PoolReader, Refreshed, StoreError};

/// Timeout of the store's reads of a pool.
const STORE_TIMEOUT: Duration = Duration::from_secs(5);

/// The cached pools, and the secrets to decrypt them.
pub struct PoolDirectory {
    pub(crate) vault: Vault,
    pub(crate) snapshots: Mutex<SnapshotCache>,
    pub(crate) states: Mutex<PoolStates>,
    pub(crate) models: Mutex<ModelCache>,
    pub(crate) model_pages: Mutex<ModelPages>,
    pub(crate) same_keys: Mutex<SameKeys>,
    pub(crate) suspicions: Mutex<Suspicions>,
}

/// Why a pool could not be read. The text is for clients; the cause is for the log and for operators.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// The store failed.
    #[error("The pool's configuration cannot be read at the moment.")]
    Store(StoreError),
    /// Its data key cannot be decrypted.
    #[error("The service cannot decrypt the configuration of this pool: its operator has to set it right.")]
    Unreadable(DecryptError),
    /// The HMAC keys cannot be decrypted.
    #[error("The service cannot decrypt the configuration of this pool: its operator has to set it right.")]
    Setup(SetupError),
}

impl PoolError {
    /// Returns the cause, for the log.
    #[must_use]
    pub fn cause(&self) -> String {
        match self {
            Self::Store(error) => error.to_string(),
            Self::Unreadable(error) => error.to_string(),
            Self::Setup(error) => error.to_string(),
        }
    }
}

impl PoolDirectory {
    /// Creates an empty directory.
    #[must_use]
    pub fn new(vault: Vault) -> Self {
        Self {
            vault,
            snapshots: Mutex::default(),
            states: Mutex::default(),
            models: Mutex::default(),
            model_pages: Mutex::default(),
            same_keys: Mutex::default(),
            suspicions: Mutex::default(),
        }
    }

    /// Returns a pool by its id, from memory or from the store; `None` if there is no such pool.
    pub(crate) async fn get<H: Host>(
        &self,
        host: &H,
        pool: &PoolId,
    ) -> Result<Option<Arc<Snapshot>>, PoolError> {
        if let Some(snapshot) = lock(&self.snapshots).get(pool) {
            return Ok(Some(snapshot));
        }
        self.get_current(host, pool).await
    }

    /// Returns a pool as the store has it now; `None` if there is no such pool.
    pub(crate) async fn get_current<H: Host>(
        &self,
        host: &H,
        pool: &PoolId,
    ) -> Result<Option<Arc<Snapshot>>, PoolError> {
        self.refresh_from_store(host, pool).await?;
        Ok(lock(&self.snapshots).get(pool))
    }

    /// Revalidates a pool in the background of a request.
    pub(crate) async fn revalidate<H: Host>(&self, host: &H, pool: &PoolId) {
        // A failure is recorded for health; the snapshot stays until its hard TTL.
        let _ = self.refresh_from_store(host, pool).await;
    }

    /// Revalidates a pool that is past its hard TTL before it is used. Returns `None` if the client key
    /// is no longer one of the pool. While the store fails, the pool is served from memory.
    pub(crate) async fn recheck<H: Host>(
        &self,
        host: &H,
        hash: &TokenHash,
        pool: Arc<Snapshot>,
    ) -> Result<Option<Arc<Snapshot>>, PoolError> {
        if let Err(error) = self.refresh_from_store(host, &pool.id).await {
            let usable = lock(&self.snapshots).extend_during_outage(&pool.id, host.clock().now());
            return if usable { Ok(Some(pool)) } else { Err(error) };
        }
        Ok(match lock(&self.snapshots).get_by_client_key(hash, host.clock().now()).0 {
            Lookup::Fresh(pool) | Lookup::Soft(pool) | Lookup::Hard(pool) => Some(pool),
            Lookup::Unknown | Lookup::Missing => None,
        })
    }

    /// Loads the pool of a client key from the store.
    pub(crate) async fn load<H: Host>(
        &self,
        host: &H,
        hash: &TokenHash,
    ) -> Result<Option<Arc<Snapshot>>, PoolError> {
        let loaded = in_time(host, host.store().load_by_client_key(hash)).await;
        self.record_store_result(host, loaded.as_ref().err());
        match loaded {
            Ok(config) => config.map(|config| self.keep(host, config)).transpose(),
            Err(error) => Err(PoolError::Store(error)),
        }
    }

    /// Loads the HMAC keys. Returns `true` if they differ from those used until now.
    pub(crate) async fn load_hash_keys<H: Host>(&self, host: &H) -> Result<bool, PoolError> {
        self.ensure_hash_keys(host).await.map_err(|error| match error {
            HashKeyError::Store(error) => {
                self.record_store_result(host, Some(&error));
                PoolError::Store(error)
            }
            HashKeyError::Setup(error) => PoolError::Setup(error),
        })
    }

    /// Evicts a pool: its next use reads the store.
    pub(crate) fn forget(&self, pool: &PoolId) {
        lock(&self.snapshots).forget(pool);
    }

    /// Shifts all times after a change of the clock, so that ages stay the same.
    pub(crate) fn shift(&self, by: SignedDuration) {
        lock(&self.snapshots).shift(by);
    }

    /// Returns when the config store last failed and its error, unless it has succeeded since.
    pub(crate) fn last_store_error(&self) -> Option<(Timestamp, String)> {
        lock(&self.snapshots).last_error()
    }

    /// Returns `true` if a model is listed by Gemini, observed, or named by the pool's settings.
    /// Clients can make up any other name.
    pub(crate) fn knows_model(&self, pool: &PoolId, model: &str) -> bool {
        // One lock at a time.
        let was_observed = lock(&self.states).get_mut(pool).is_some_and(|runtime| runtime.knows_model(model));
        let is_listed = was_observed || lock(&self.models).lists(pool, model);
        let snapshot = if is_listed { None } else { lock(&self.snapshots).get(pool) };
        is_listed || snapshot.is_some_and(|pool| pool.names_model(model))
    }

    async fn refresh_from_store<H: Host>(&self, host: &H, pool: &PoolId) -> Result<(), PoolError> {
        let held = lock(&self.snapshots).version(pool).unwrap_or_default();
        let refreshed = in_time(host, host.store().refresh(pool, held)).await;
        self.record_store_result(host, refreshed.as_ref().err());
        match refreshed {
            Ok(Refreshed::Unchanged) => lock(&self.snapshots).confirm(pool, host.clock().now()),
            Ok(Refreshed::Changed(config)) => {
                self.keep(host, *config)?;
            }
            Ok(Refreshed::Gone) => self.forget(pool),
            Err(error) => return Err(PoolError::Store(error)),
        }
        Ok(())
    }

    fn keep<H: Host>(&self, host: &H, config: PoolConfig) -> Result<Arc<Snapshot>, PoolError> {
        let snapshot = Arc::new(Snapshot::new(config, &self.vault).map_err(PoolError::Unreadable)?);
        lock(&self.snapshots).insert(Arc::clone(&snapshot), host.clock().now());
        Ok(snapshot)
    }

    fn record_store_result<H: Host>(&self, host: &H, error: Option<&StoreError>) {
        let last_error = error.map(|error| (host.clock().now(), error.to_string()));
        lock(&self.snapshots).record_store_result(last_error);
    }
}

/// Waits for the store with a timeout: a hanging store counts as a failing one.
async fn in_time<H: Host, T>(
    host: &H,
    asking: impl Future<Output = Result<T, StoreError>> + MaybeSend,
) -> Result<T, StoreError> {
    let answer = host.clock().within(STORE_TIMEOUT, pin!(asking)).await;
    let late = || StoreError::Unavailable(format!("no answer within {} s", STORE_TIMEOUT.as_secs()));
    answer.unwrap_or_else(|| Err(late()))
}
