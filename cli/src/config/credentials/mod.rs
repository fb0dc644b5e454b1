//! Credential stores of admin tokens: the system keyring, or a file with mode 0600.
//!
//! A token is stored under its profile and the URL that it was issued for, so that a profile with a
//! manually changed URL does not send its token to another service.

mod file;
mod keyring;

use std::{fmt, sync::Arc, time::Duration};

use pool_shared::Secret;
use serde::{Deserialize, Serialize};

pub use self::{file::FileStore, keyring::KeyringStore};
use super::{ConfigDir, ProfileName, ServiceUrl};
use crate::error::{CliError, Code};

/// Timeout of a store: a keyring may wait to be unlocked, or for a service that does not respond.
const STORE_TIMEOUT: Duration = Duration::from_secs(3);

/// Kind of a credential store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StoreKind {
    /// Keychain, Windows Credential Manager or Secret Service.
    Keyring,
    /// `credentials.toml`.
    File,
}

impl StoreKind {
    /// Returns the name in `config.toml` and `POOLCTL_CREDENTIALS`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Keyring => "keyring",
            Self::File => "file",
        }
    }
}

impl fmt::Display for StoreKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Key of a stored token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialId {
    /// The profile that logged in.
    pub profile: ProfileName,
    /// The service that the token was issued for.
    pub url: ServiceUrl,
}

/// Error of a store; never contains a token.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct CredentialError(String);

/// A credential store. Calls may block.
pub trait CredentialStore: Send + Sync {
    /// Returns the kind.
    fn kind(&self) -> StoreKind;
    /// Returns the token of an id.
    fn get(&self, id: &CredentialId) -> Result<Option<Secret>, CredentialError>;
    /// Stores a token, replacing a previous one.
    fn set(&self, id: &CredentialId, token: &Secret) -> Result<(), CredentialError>;
    /// Deletes a token, if it exists.
    fn delete(&self, id: &CredentialId) -> Result<(), CredentialError>;
}

/// The stores of this machine. Calls run on a blocking thread, with a timeout of 3 seconds.
#[derive(Clone)]
pub struct Credentials {
    keyring: Arc<dyn CredentialStore>,
    file: Arc<dyn CredentialStore>,
    /// `POOLCTL_CREDENTIALS`: use only this store.
    only: Option<StoreKind>,
}

impl Credentials {
    /// Creates the system keyring and the file in the config folder.
    pub fn new(dir: &ConfigDir, only: Option<StoreKind>) -> Self {
        Self { keyring: Arc::new(KeyringStore), file: Arc::new(FileStore::new(dir.credentials())), only }
    }

    fn store(&self, kind: StoreKind) -> Arc<dyn CredentialStore> {
        match self.only.unwrap_or(kind) {
            StoreKind::Keyring => Arc::clone(&self.keyring),
            StoreKind::File => Arc::clone(&self.file),
        }
    }

    /// Returns the token of an id.
    pub async fn get(&self, kind: StoreKind, id: &CredentialId) -> Result<Option<Secret>, CliError> {
        let id = id.clone();
        bounded(self.store(kind), move |store| store.get(&id))
            .await
            .map_err(|error| unusable("read the token from", self.only.unwrap_or(kind), &error))
    }

    /// Stores a token in the keyring, or in the file if there is no usable keyring, and returns
    /// which.
    pub async fn set(&self, id: &CredentialId, token: &Secret) -> Result<StoreKind, CliError> {
        let keep = |store: Arc<dyn CredentialStore>| {
            let (id, token) = (id.clone(), token.clone());
            async move {
                let kind = store.kind();
                bounded(store, move |store| store.set(&id, &token)).await.map(|()| kind)
            }
        };
        let first = self.only.unwrap_or(StoreKind::Keyring);
        match keep(self.store(first)).await {
            Err(_) if self.only.is_none() => keep(self.store(StoreKind::File))
                .await
                .map_err(|error| unusable("store the token in", StoreKind::File, &error)),
            kept => kept.map_err(|error| unusable("store the token in", first, &error)),
        }
    }

    /// Deletes a token.
    pub async fn delete(&self, kind: StoreKind, id: &CredentialId) -> Result<(), CliError> {
        let id = id.clone();
        bounded(self.store(kind), move |store| store.delete(&id))
            .await
            .map_err(|error| unusable("remove the token from", self.only.unwrap_or(kind), &error))
    }
}

fn unusable(verb: &str, kind: StoreKind, error: &CredentialError) -> CliError {
    CliError::new(Code::Local, format!("cannot {verb} the {kind}"))
        .cause(error.to_string())
        .hint("set POOLCTL_CREDENTIALS=file to use a file instead of the keyring")
}

/// Runs a blocking call with a timeout. A call that exceeds it ends with the process.
async fn bounded<T: Send + 'static>(
    store: Arc<dyn CredentialStore>,
    call: impl FnOnce(&dyn CredentialStore) -> Result<T, CredentialError> + Send + 'static,
) -> Result<T, CredentialError> {
    let task = tokio::task::spawn_blocking(move || call(store.as_ref()));
    match tokio::time::timeout(STORE_TIMEOUT, task).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err(CredentialError("it stopped unexpectedly".to_owned())),
        Err(_) => Err(CredentialError(format!("no response within {} s", STORE_TIMEOUT.as_secs()))),
    }
}

#[cfg(test)]
mod tests;
