//! Where admin tokens are kept: the system's keyring, or a file that only its owner reads.
//!
//! In: a profile and the URL that its token was issued for. Out: the token. A token is found under
//! both, so that a profile whose URL was changed by hand yields nothing instead of a token that
//! belongs elsewhere.

mod file;
mod keyring;

use std::{fmt, sync::Arc, time::Duration};

use pool_shared::Secret;
use serde::{Deserialize, Serialize};

pub use self::{file::FileStore, keyring::KeyringStore};
use super::{ConfigDir, ProfileName, ServiceUrl};
use crate::error::{CliError, Code};

/// A keyring may wait for a person to unlock it, or for a service that never answers.
const TIMEOUT: Duration = Duration::from_secs(3);

/// The kinds of stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StoreKind {
    /// Keychain, Windows Credential Manager or Secret Service.
    Keyring,
    /// `credentials.toml`.
    File,
}

impl StoreKind {
    /// As it stands in `config.toml` and in `POOLCTL_CREDENTIALS`.
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

/// What a token is kept under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialId {
    /// The profile that logged in.
    pub profile: ProfileName,
    /// The only service that the token may be sent to.
    pub url: ServiceUrl,
}

/// Why a store did not do it. Never holds a token.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct CredentialError(String);

/// A place for tokens. Calls may block.
pub trait CredentialStore: Send + Sync {
    /// Which one it is.
    fn kind(&self) -> StoreKind;
    /// The token kept under an id.
    fn get(&self, id: &CredentialId) -> Result<Option<Secret>, CredentialError>;
    /// Keeps a token, in the place of the one before.
    fn set(&self, id: &CredentialId, token: &Secret) -> Result<(), CredentialError>;
    /// Forgets a token; one that is not there is fine.
    fn delete(&self, id: &CredentialId) -> Result<(), CredentialError>;
}

/// The stores of this machine, called off the async thread and never for longer than 3 seconds.
#[derive(Clone)]
pub struct Credentials {
    keyring: Arc<dyn CredentialStore>,
    file: Arc<dyn CredentialStore>,
    /// `POOLCTL_CREDENTIALS`: use this one and no other.
    only: Option<StoreKind>,
}

impl Credentials {
    /// The keyring of the system and the file in this program's folder.
    pub fn new(dir: &ConfigDir, only: Option<StoreKind>) -> Self {
        Self { keyring: Arc::new(KeyringStore), file: Arc::new(FileStore::new(dir.credentials())), only }
    }

    fn store(&self, kind: StoreKind) -> Arc<dyn CredentialStore> {
        match self.only.unwrap_or(kind) {
            StoreKind::Keyring => Arc::clone(&self.keyring),
            StoreKind::File => Arc::clone(&self.file),
        }
    }

    /// The token kept under an id.
    pub async fn get(&self, kind: StoreKind, id: &CredentialId) -> Result<Option<Secret>, CliError> {
        let id = id.clone();
        bounded(self.store(kind), move |store| store.get(&id))
            .await
            .map_err(|error| unusable("read the token from", self.only.unwrap_or(kind), &error))
    }

    /// Keeps a token in the keyring, or in the file where there is no usable keyring, and says
    /// which of them it was.
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
                .map_err(|error| unusable("keep the token in", StoreKind::File, &error)),
            kept => kept.map_err(|error| unusable("keep the token in", first, &error)),
        }
    }

    /// Forgets a token.
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
        .hint("POOLCTL_CREDENTIALS=file uses a file instead of the keyring")
}

/// Runs a blocking call with a limit. A call that goes on behind it ends with the process.
async fn bounded<T: Send + 'static>(
    store: Arc<dyn CredentialStore>,
    call: impl FnOnce(&dyn CredentialStore) -> Result<T, CredentialError> + Send + 'static,
) -> Result<T, CredentialError> {
    let task = tokio::task::spawn_blocking(move || call(store.as_ref()));
    match tokio::time::timeout(TIMEOUT, task).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err(CredentialError("it stopped unexpectedly".to_owned())),
        Err(_) => Err(CredentialError(format!("no answer within {} s", TIMEOUT.as_secs()))),
    }
}

#[cfg(test)]
mod tests;
