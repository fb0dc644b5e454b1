//! The config folder, and atomic writes of its files.

use std::{
    fs, io,
    io::Write,
    path::{Path, PathBuf},
};

use etcetera::BaseStrategy;

use crate::{
    env::{self, Env},
    error::{CliError, Code},
};

/// The folder of `config.toml` and `credentials.toml`: `$POOLCTL_CONFIG_DIR`, else `poolctl` in the
/// platform's configuration folder (`~/.config` on Linux and macOS).
#[derive(Clone, Debug)]
pub struct ConfigDir(PathBuf);

impl ConfigDir {
    /// Returns the folder, which may not exist.
    pub fn find(env: &Env) -> Result<Self, CliError> {
        if let Some(dir) = env.get(env::CONFIG_DIR) {
            return Ok(Self(dir.into()));
        }
        let strategy = etcetera::choose_base_strategy().map_err(|error| {
            CliError::new(Code::Local, "cannot find the configuration folder")
                .cause(error.to_string())
                .hint(format!("set HOME or {}", env::CONFIG_DIR))
        })?;
        Ok(Self(strategy.config_dir().join("poolctl")))
    }

    /// Returns the path of `config.toml`.
    pub fn config(&self) -> PathBuf {
        self.0.join("config.toml")
    }

    /// Returns the path of `credentials.toml`, which is used without a keyring.
    pub fn credentials(&self) -> PathBuf {
        self.0.join("credentials.toml")
    }
}

/// Reads a file; a missing one is empty.
pub fn read(path: &Path) -> io::Result<String> {
    match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        read => read,
    }
}

/// Replaces a file atomically: creates a new file with the final mode beside it, then renames it. A
/// reader sees the old or the new content, and the mode is never wider.
pub fn write(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    create_private_folder(folder)?;
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(mode));
    }
    #[cfg(not(unix))]
    let _ = mode;
    let mut file = builder.prefix(".poolctl-").tempfile_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path).map(drop).map_err(|error| error.error)
}

fn create_private_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        builder.mode(0o700);
    }
    builder.create(folder)
}

/// Returns the file's permission bits if other users may read or write it.
#[cfg(unix)]
pub fn loose_mode(path: &Path) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(path).ok()?.permissions().mode() & 0o777;
    (mode & 0o077 != 0).then_some(mode)
}

/// Returns `None`: other platforms protect the folder by access control lists.
#[cfg(not(unix))]
pub fn loose_mode(_: &Path) -> Option<u32> {
    None
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_is_replaced_whole_with_its_mode_and_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/credentials.toml");
        write(&path, "one", 0o600).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(loose_mode(&path), Some(0o644));
        write(&path, "two", 0o600).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(loose_mode(&path), None);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        let folder = fs::metadata(path.parent().unwrap()).unwrap().permissions().mode();
        assert_eq!(folder & 0o777, 0o700);
    }

    #[test]
    fn a_missing_file_is_empty() {
        assert_eq!(read(Path::new("/nonexistent/poolctl.toml")).unwrap(), "");
    }
}
