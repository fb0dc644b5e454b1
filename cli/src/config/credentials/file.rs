//! Credential store in `credentials.toml`, mode 0600, for machines without a keyring.

use std::{collections::BTreeMap, path::PathBuf};

use pool_shared::Secret;
use serde::{Deserialize, Serialize};

use super::{
    super::{ProfileName, ServiceUrl, file},
    CredentialError, CredentialId, CredentialStore, StoreKind,
};

/// Tokens in a file that only its owner can read.
pub struct FileStore {
    path: PathBuf,
}

#[derive(Default, Serialize, Deserialize)]
struct Contents {
    #[serde(default)]
    profiles: BTreeMap<ProfileName, Entry>,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    url: ServiceUrl,
    token: Secret,
}

impl FileStore {
    /// Creates the store of this file, which may not exist.
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    fn load(&self) -> Result<Contents, CredentialError> {
        let text = file::read(&self.path).map_err(|error| self.broken(&error.to_string()))?;
        // The parser's message quotes the line, which may contain a token.
        toml_edit::de::from_str(&text).map_err(|_| self.broken("not a credentials file"))
    }

    fn save(&self, contents: &Contents) -> Result<(), CredentialError> {
        let text = toml_edit::ser::to_string_pretty(contents)
            .map_err(|_| self.broken("cannot be written as TOML"))?;
        file::write(&self.path, &text, 0o600).map_err(|error| self.broken(&error.to_string()))
    }

    fn broken(&self, why: &str) -> CredentialError {
        CredentialError(format!("{}: {why}", self.path.display()))
    }
}

impl CredentialStore for FileStore {
    fn kind(&self) -> StoreKind {
        StoreKind::File
    }

    fn get(&self, id: &CredentialId) -> Result<Option<Secret>, CredentialError> {
        let entry = self.load()?.profiles.remove(&id.profile);
        Ok(entry.filter(|entry| entry.url == id.url).map(|entry| entry.token))
    }

    fn set(&self, id: &CredentialId, token: &Secret) -> Result<(), CredentialError> {
        let mut contents = self.load()?;
        contents.profiles.insert(id.profile.clone(), Entry { url: id.url.clone(), token: token.clone() });
        self.save(&contents)
    }

    fn delete(&self, id: &CredentialId) -> Result<(), CredentialError> {
        let mut contents = self.load()?;
        match contents.profiles.remove(&id.profile) {
            Some(_) => self.save(&contents),
            None => Ok(()),
        }
    }
}
