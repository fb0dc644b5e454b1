//! Why a deployment cannot serve: a missing or unusable setting, binding or secret.

use crate::crypto::{DecryptError, MasterKeyError};

/// Minimum length of `ADMIN_PASSWORD`, in characters.
pub const MIN_PASSWORD_LENGTH: usize = 15;

/// A fault of the deployment. Every request gets 503 with this text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SetupError {
    /// A secret is not set.
    #[error("the secret {0} is not set")]
    MissingSecret(&'static str),
    /// A binding is missing.
    #[error("no binding {0}")]
    MissingBinding(&'static str),
    /// A master key is malformed.
    #[error("{0} {1}")]
    MasterKey(&'static str, MasterKeyError),
    /// The master key does not decrypt what the store holds.
    #[error(
        "MASTER_KEY is not the key that this store was encrypted with: set that key as MASTER_KEY, or as \
         MASTER_KEY_PREV to rotate from it"
    )]
    OtherMasterKey(#[from] DecryptError),
    /// The password is too short.
    #[error("ADMIN_PASSWORD has fewer than {MIN_PASSWORD_LENGTH} characters")]
    WeakPassword,
    /// The password is one character, repeated.
    #[error("ADMIN_PASSWORD is one character, repeated")]
    RepeatedPassword,
    /// Another setting is invalid.
    #[error("{0}")]
    Setting(String),
}
