//! Credential store in the system keyring.

use keyring::{Entry, Error};
use pool_shared::Secret;

use super::{CredentialError, CredentialId, CredentialStore, StoreKind};

const SERVICE: &str = "poolctl";

/// Keychain on macOS, Credential Manager on Windows, Secret Service elsewhere. On a machine without
/// a keyring every call fails immediately.
pub struct KeyringStore;

fn entry(id: &CredentialId) -> Result<Entry, CredentialError> {
    Entry::new(SERVICE, &format!("{} {}", id.profile, id.url)).map_err(explain)
}

/// Converts an error without the stored bytes that some variants contain.
fn explain(error: Error) -> CredentialError {
    CredentialError(match error {
        Error::BadEncoding(_) | Error::BadDataFormat(..) => "the entry is damaged".to_owned(),
        error => error.to_string(),
    })
}

impl CredentialStore for KeyringStore {
    fn kind(&self) -> StoreKind {
        StoreKind::Keyring
    }

    fn get(&self, id: &CredentialId) -> Result<Option<Secret>, CredentialError> {
        match entry(id)?.get_password() {
            Ok(token) => Ok(Some(Secret::new(token))),
            Err(Error::NoEntry) => Ok(None),
            Err(error) => Err(explain(error)),
        }
    }

    fn set(&self, id: &CredentialId, token: &Secret) -> Result<(), CredentialError> {
        entry(id)?.set_password(token.expose()).map_err(explain)
    }

    fn delete(&self, id: &CredentialId) -> Result<(), CredentialError> {
        match entry(id)?.delete_credential() {
            Ok(()) | Err(Error::NoEntry) => Ok(()),
            Err(error) => Err(explain(error)),
        }
    }
}
