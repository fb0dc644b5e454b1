//! The two secrets of a native deployment: from the environment, or from files made on the first start.

use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use pool_shared::Secret;

use super::SystemRandom;
use super::folder::open_private;
use crate::crypto::MasterKey;
use crate::platform::Random;

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
    /// The files that did not exist before, or that were empty.
    pub created: Vec<PathBuf>,
    /// What is wrong with a file that is used all the same.
    pub warnings: Vec<String>,
}

/// Why the secrets could not be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretFilesError {
    /// A file cannot be read or written.
    #[error("{path}: {cause}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// Everybody on this machine can read a secret, so that it is none.
    #[error("{path} can be read by every user of this machine: chmod 600 {path}", path = path.display())]
    WorldReadable {
        /// The file.
        path: PathBuf,
    },
    /// There is data, and the key that opens it is missing: a new one would lock it up for good.
    #[error(
        "{database} holds data, but its master key is gone (no file, or an empty one): give MASTER_KEY in the environment or put back {file}",
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
        let mut files = Files::default();
        let previous_master_key = match previous_master_key {
            Some(key) => Some(key),
            None => files.read(&data_dir.join(MASTER_KEY_PREV))?,
        };
        let master_key = if let Some(key) = master_key {
            key
        } else {
            let file = data_dir.join(MASTER_KEY);
            if holds_data(database) && previous_master_key.is_none() && files.read(&file)?.is_none() {
                return Err(SecretFilesError::KeyLost { database: database.to_owned(), file });
            }
            files.read_or_make(file, || MasterKey::generate(&SystemRandom).to_string())?
        };
        let admin_password = match admin_password {
            Some(password) => password,
            None => files.read_or_make(data_dir.join(ADMIN_PASSWORD), new_password)?,
        };
        let Files { created, mut warnings } = files;
        warnings.dedup();
        Ok(Self { master_key, previous_master_key, admin_password, created, warnings })
    }
}

fn holds_data(database: &Path) -> bool {
    fs::metadata(database).is_ok_and(|file| file.len() > 0)
}

#[derive(Default)]
struct Files {
    created: Vec<PathBuf>,
    warnings: Vec<String>,
}

impl Files {
    /// Reads a secret. An empty file is what is left of a start that broke off: it holds none.
    fn read(&mut self, path: &Path) -> Result<Option<Secret>, SecretFilesError> {
        let failed = |cause| SecretFilesError::File { path: path.to_owned(), cause };
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(failed(cause)),
        };
        let secret = Secret::new(text.trim());
        if secret.expose().is_empty() {
            return Ok(None);
        }
        match exposure(path).map_err(failed)? {
            Exposure::Private => {}
            Exposure::Group => {
                let path = path.display();
                self.warnings.push(format!("{path} is open to other users of its group: chmod 600 {path}"));
            }
            Exposure::World => return Err(SecretFilesError::WorldReadable { path: path.to_owned() }),
        }
        Ok(Some(secret))
    }

    fn read_or_make(
        &mut self,
        path: PathBuf,
        make: impl FnOnce() -> String,
    ) -> Result<Secret, SecretFilesError> {
        if let Some(secret) = self.read(&path)? {
            return Ok(secret);
        }
        let secret = Secret::new(make());
        write_whole(&path, secret.expose().as_bytes())
            .map_err(|cause| SecretFilesError::File { path: path.clone(), cause })?;
        self.created.push(path);
        Ok(secret)
    }
}

/// Writes a private file so that there is all of it or nothing, whenever the machine stops.
fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("new");
    // What an earlier start has left of it.
    let _ = fs::remove_file(&temporary);
    let mut file = open_private(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    drop(file);
    fs::rename(&temporary, path)?;
    if let Some(folder) = path.parent() {
        sync_folder(folder)?;
    }
    Ok(())
}

/// Makes a name in a folder outlive a power cut. Other systems than Unix open no folders.
#[cfg_attr(not(unix), allow(clippy::unnecessary_wraps, unused_variables))]
fn sync_folder(folder: &Path) -> io::Result<()> {
    #[cfg(unix)]
    fs::File::open(folder)?.sync_all()?;
    Ok(())
}

/// To whom a file is open besides its owner.
enum Exposure {
    Private,
    Group,
    World,
}

#[cfg_attr(not(unix), allow(clippy::unnecessary_wraps, unused_variables))]
fn exposure(path: &Path) -> io::Result<Exposure> {
    #[cfg(unix)]
    {
        let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(path)?.permissions());
        if mode & 0o007 != 0 {
            return Ok(Exposure::World);
        }
        if mode & 0o070 != 0 {
            return Ok(Exposure::Group);
        }
    }
    Ok(Exposure::Private)
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

    #[test]
    fn an_empty_file_is_made_anew_unless_data_depends_on_it() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("pool.db");
        let names = ["MASTER_KEY", "ADMIN_PASSWORD"].map(|name| folder.path().join(name));
        for path in &names {
            std::fs::write(path, "\n").unwrap();
        }
        std::fs::write(&database, "").unwrap();
        let first = SecretFiles::read_or_create(folder.path(), &database, None, None, None).unwrap();
        assert_eq!(first.created, names);
        let kept = std::fs::read_to_string(&names[0]).unwrap();
        assert_eq!(kept, first.master_key.expose());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 3, "no temporary file stays");

        std::fs::write(&database, "data").unwrap();
        std::fs::write(&names[0], "").unwrap();
        let error = SecretFiles::read_or_create(folder.path(), &database, None, None, None).unwrap_err();
        assert!(error.to_string().contains(&names[0].display().to_string()), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn a_secret_that_others_can_read_is_warned_of_or_refused() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("pool.db");
        let read = || SecretFiles::read_or_create(folder.path(), &database, None, None, None);
        assert!(read().unwrap().warnings.is_empty());
        let key = folder.path().join("MASTER_KEY");
        let set = |mode| std::fs::set_permissions(&key, std::fs::Permissions::from_mode(mode)).unwrap();
        for mode in [0o640, 0o660, 0o620] {
            set(mode);
            let warnings = read().unwrap().warnings;
            assert!(warnings[0].contains("chmod 600") && warnings.len() == 1, "{mode:o}: {warnings:?}");
        }
        for mode in [0o644, 0o604, 0o666, 0o602] {
            set(mode);
            let error = read().unwrap_err();
            assert!(
                error.to_string().contains("MASTER_KEY") && error.to_string().contains("chmod 600"),
                "{error}"
            );
        }
    }
}
