//! The two secrets of a native deployment: from the environment, or from files made on the first start.

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use pool_shared::Secret;

use super::SystemRandom;
use crate::crypto::MasterKey;
use crate::host::Random;

const MASTER_KEY: &str = "MASTER_KEY";
const MASTER_KEY_PREV: &str = "MASTER_KEY_PREV";
const ADMIN_PASSWORD: &str = "ADMIN_PASSWORD";
/// 24 letters and digits that cannot be mistaken for one another: 24 x log2(55) = 138 bits.
const PASSWORD_LENGTH: usize = 24;
const PASSWORD_ALPHABET: &[u8] = b"ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz23456789";

/// The secrets, and the files that were made for them just now.
#[derive(Debug)]
pub struct SecretFiles {
    /// The master key.
    pub master_key: Secret,
    /// The master key before it, if there is one.
    pub previous_master_key: Option<Secret>,
    /// The admin password.
    pub admin_password: Secret,
    /// The files that did not exist before.
    pub created: Vec<PathBuf>,
}

/// Why the secrets could not be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretFilesError {
    /// A file cannot be read or written.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// There is data, and the key that opens it is missing: a new one would lock it up for good.
    #[error(
        "{database} holds data, but its master key is gone: give MASTER_KEY in the environment or put back {file}",
        database = database.display(), file = file.display()
    )]
    KeyLost {
        /// The database.
        database: PathBuf,
        /// Where the key was.
        file: PathBuf,
    },
}

impl SecretFiles {
    /// Takes each secret from the environment's value if there is one, else from its file in
    /// `data_dir`, else makes it and writes the file with mode 0600; the previous master key is never made,
    /// and while there is one, a new master key is.
    pub fn read_or_create(
        data_dir: &Path,
        database: &Path,
        master_key: Option<Secret>,
        previous_master_key: Option<Secret>,
        admin_password: Option<Secret>,
    ) -> Result<Self, SecretFilesError> {
        let mut created = Vec::new();
        let previous_master_key = match previous_master_key {
            Some(key) => Some(key),
            None => read(&data_dir.join(MASTER_KEY_PREV))?,
        };
        let master_key = if let Some(key) = master_key {
            key
        } else {
            let file = data_dir.join(MASTER_KEY);
            if database.exists() && !file.exists() && previous_master_key.is_none() {
                return Err(SecretFilesError::KeyLost { database: database.to_owned(), file });
            }
            read_or_make(file, &mut created, || MasterKey::generate(&SystemRandom).to_string())?
        };
        let admin_password = match admin_password {
            Some(password) => password,
            None => read_or_make(data_dir.join(ADMIN_PASSWORD), &mut created, new_password)?,
        };
        Ok(Self { master_key, previous_master_key, admin_password, created })
    }
}

fn read(path: &Path) -> Result<Option<Secret>, SecretFilesError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(Secret::new(text.trim()))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(SecretFilesError::File { path: path.to_owned(), source }),
    }
}

fn read_or_make(
    path: PathBuf,
    created: &mut Vec<PathBuf>,
    make: impl FnOnce() -> String,
) -> Result<Secret, SecretFilesError> {
    if let Some(secret) = read(&path)? {
        return Ok(secret);
    }
    let failed = |source| SecretFilesError::File { path: path.clone(), source };
    let secret = Secret::new(make());
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&path).map_err(failed)?;
    file.write_all(secret.expose().as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
    created.push(path);
    Ok(secret)
}

fn new_password() -> String {
    let digit = |value: u64| {
        let index = usize::try_from(value % PASSWORD_ALPHABET.len() as u64).unwrap_or_default();
        PASSWORD_ALPHABET.get(index).map_or('x', |byte| char::from(*byte))
    };
    (0..PASSWORD_LENGTH).map(|_| digit(SystemRandom.next_u64())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_made_once_and_kept_private() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("pool.db");
        let first = SecretFiles::read_or_create(folder.path(), &database, None, None, None).unwrap();
        assert_eq!(first.created.len(), 2);
        let second = SecretFiles::read_or_create(folder.path(), &database, None, None, None).unwrap();
        assert_eq!((second.master_key, second.created.len()), (first.master_key, 0));
        assert_eq!(second.admin_password, first.admin_password);
        #[cfg(unix)]
        for path in first.created {
            let mode =
                std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(path).unwrap().permissions());
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn the_environment_wins_and_makes_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let given = Some(Secret::new("given"));
        let secrets = SecretFiles::read_or_create(
            folder.path(),
            &folder.path().join("pool.db"),
            given.clone(),
            None,
            given,
        )
        .unwrap();
        assert_eq!((secrets.master_key.expose(), secrets.created.len()), ("given", 0));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_master_key_that_was_put_aside_gets_a_successor() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("pool.db");
        let first = SecretFiles::read_or_create(folder.path(), &database, None, None, None).unwrap();
        std::fs::write(&database, "data").unwrap();
        std::fs::rename(folder.path().join("MASTER_KEY"), folder.path().join("MASTER_KEY_PREV")).unwrap();
        let second = SecretFiles::read_or_create(folder.path(), &database, None, None, None).unwrap();
        assert_eq!(second.previous_master_key, Some(first.master_key.clone()));
        assert_ne!(second.master_key, first.master_key);
    }

    #[test]
    fn a_lost_master_key_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("pool.db");
        std::fs::write(&database, "data").unwrap();
        let error = SecretFiles::read_or_create(folder.path(), &database, None, None, None).unwrap_err();
        assert!(matches!(error, SecretFilesError::KeyLost { .. }));
        assert!(!folder.path().join("MASTER_KEY").exists());
    }
}
