//! Configuration of the native server, and the errors of its start.

use std::io;
use std::path::{Path, PathBuf};

use pool_shared::Secret;
use pool_shared::outbound::ClientError;
use reqwest::Url;

use super::folder::FolderError;
use super::{SecretFilesError, TrustedProxies};
use crate::ledger::LedgerError;
use crate::pools::HashKeyError;
use crate::reporting::Log;
use crate::setup::SetupError;
use crate::sql::SqlError;
use crate::upstream::UpstreamTimeouts;

/// How a server is set up.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// The address to listen on, such as `127.0.0.1`.
    pub host: String,
    /// The port; 0 takes a free one.
    pub port: u16,
    /// The folder of the SQLite file and of the secrets' files. Made where it is missing.
    pub data_dir: PathBuf,
    /// Where Gemini is called.
    pub gemini_base_url: Url,
    /// The master key; taken from the data folder, or made there, when it is not given.
    pub master_key: Option<Secret>,
    /// The master key before that one, while not everything is sealed under the new one; taken from the
    /// data folder when it is not given and is there.
    pub previous_master_key: Option<Secret>,
    /// The admin password; taken or made like the master key.
    pub admin_password: Option<Secret>,
    /// Proxies that are believed when they tell where a request comes from.
    pub trusted_proxies: TrustedProxies,
    /// Where a line about each request goes.
    pub log: Log,
    /// How long Gemini may take.
    pub upstream_timeouts: UpstreamTimeouts,
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data folder cannot be made or used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// A secret that is in a file is no good.
    #[error("{path}: {error}", path = path.display())]
    SecretFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: SetupError,
    },
    /// The secrets cannot be had.
    #[error(transparent)]
    Secrets(#[from] SecretFilesError),
    /// The secrets are no good.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The SQLite file cannot be opened.
    #[error("{path} cannot be opened: {error}", path = path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: SqlError,
    },
    /// The master key is not the one of the store, or the store does not tell.
    #[error(transparent)]
    MasterKey(#[from] HashKeyError),
    /// The ledger's tables cannot be made.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// No HTTP client.
    #[error("no connection to Gemini can be set up: {0}")]
    Upstream(#[from] ClientError),
    /// The address is taken or not one of this machine.
    #[error("cannot listen on {address}: {cause}")]
    Listen {
        /// The address.
        address: String,
        /// What the system said.
        cause: io::Error,
    },
}

impl StartError {
    /// Returns what to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Listen { cause, .. } => match cause.kind() {
                io::ErrorKind::AddrInUse => {
                    Some("another program listens there; choose another port by PORT")
                }
                io::ErrorKind::PermissionDenied => {
                    Some("ports below 1024 need privileges; choose another by PORT")
                }
                _ => Some("HOST is an address of this machine, such as 127.0.0.1 or 0.0.0.0"),
            },
            Self::Folder(FolderError::InUse { .. }) => {
                Some("stop that one first, or give this one a folder of its own by DATA_DIR")
            }
            Self::Folder(FolderError::Unusable { .. }) => Some("DATA_DIR names a folder that can be written"),
            _ => None,
        }
    }
}

/// Adds the file of the secret at fault, unless the secret was configured directly.
pub(super) fn in_file(error: SetupError, given: [bool; 3], data_dir: &Path) -> StartError {
    let name = match &error {
        SetupError::MasterKey(name, _) => name,
        SetupError::WeakPassword | SetupError::RepeatedPassword => "ADMIN_PASSWORD",
        _ => return error.into(),
    };
    let names = ["MASTER_KEY", "MASTER_KEY_PREV", "ADMIN_PASSWORD"];
    if names.into_iter().zip(given).any(|(other, given)| other == name && given) {
        return error.into();
    }
    StartError::SecretFile { path: data_dir.join(name), error }
}
