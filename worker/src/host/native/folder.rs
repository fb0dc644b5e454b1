//! The data folder: private, and used by one process at a time.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

const LOCK: &str = "pool-server.lock";

/// Files of earlier starts that were readable by others.
const PRIVATE: [&str; 4] = ["pool.db", "pool.db-wal", "pool.db-shm", "unreported"];

/// Why a data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// It cannot be made or written.
    #[error("{path}: {cause}", path = path.display())]
    Unusable {
        /// The folder or the file in it.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// Another process uses it.
    #[error("{path} is in use by {holder}", path = path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
        /// The other process.
        holder: String,
    },
}

/// A data folder that this process has for itself, until this is dropped.
#[derive(Debug)]
pub(super) struct DataFolder {
    _lock: File,
}

impl DataFolder {
    /// Makes the folder where it is missing, locks it, and takes the rights of others away from it and the database.
    pub(super) fn open(path: &Path) -> Result<Self, FolderError> {
        let unusable = |at: &Path, cause| FolderError::Unusable { path: at.to_owned(), cause };
        fs::create_dir_all(path).map_err(|cause| unusable(path, cause))?;
        // A folder of somebody else's, such as a mounted volume, is used with the rights that it has.
        let _ = restrict(path, 0o700);
        let file = path.join(LOCK);
        let mut lock = open_private(&file).map_err(|cause| unusable(&file, cause))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => {
                return Err(FolderError::InUse { path: path.to_owned(), holder: holder(&mut lock) });
            }
            Err(fs::TryLockError::Error(cause)) => return Err(unusable(&file, cause)),
        }
        write_holder(&mut lock).map_err(|cause| unusable(&file, cause))?;
        for name in PRIVATE.map(|name| path.join(name)) {
            if name.exists() {
                restrict(&name, 0o600).map_err(|cause| unusable(&name, cause))?;
            }
        }
        Ok(Self { _lock: lock })
    }
}

fn write_holder(lock: &mut File) -> io::Result<()> {
    lock.set_len(0)?;
    lock.rewind()?;
    writeln!(lock, "{}", std::process::id())
}

/// Who holds the lock. Windows lets nobody else read a locked file.
fn holder(lock: &mut File) -> String {
    let mut text = String::new();
    let read = lock.read_to_string(&mut text);
    match text.trim() {
        pid if read.is_ok() && !pid.is_empty() => format!("another pool-server (process {pid})"),
        _ => "another pool-server".to_owned(),
    }
}

/// Opens a file that only its owner may read, making it where it is missing.
pub(super) fn open_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Takes away all rights but `mode`.
#[cfg_attr(not(unix), allow(clippy::unnecessary_wraps, unused_variables))]
fn restrict(path: &Path, mode: u32) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;

        let permissions = fs::metadata(path)?.permissions();
        if permissions.mode() & 0o777 & !mode != 0 {
            fs::set_permissions(path, fs::Permissions::from_mode(permissions.mode() & mode))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_process_is_refused_and_told_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        let first = DataFolder::open(&path).unwrap();
        let error = DataFolder::open(&path).unwrap_err().to_string();
        let pid = std::process::id();
        assert_eq!(error, format!("{} is in use by another pool-server (process {pid})", path.display()));
        drop(first);
        DataFolder::open(&path).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn what_others_could_read_is_made_private() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        let loose = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        loose(folder.path(), 0o755);
        let files = PRIVATE.map(|name| folder.path().join(name));
        for file in &files {
            fs::write(file, "").unwrap();
            loose(file, 0o644);
        }
        let _open = DataFolder::open(folder.path()).unwrap();
        assert_eq!(mode(folder.path()), 0o700);
        for file in files.iter().chain([&folder.path().join(LOCK)]) {
            assert_eq!(mode(file), 0o600, "{}", file.display());
        }
    }
}
