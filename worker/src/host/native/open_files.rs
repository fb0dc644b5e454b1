//! The limit of open files: every connection is one.

/// Raises this process's soft limit to its hard one, as far as the system allows.
pub fn raise_open_files_limit() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

        let limits = getrlimit(Resource::Nofile);
        // macOS takes no more than this, whatever it names as the hard limit.
        let candidates = [limits.maximum, Some(10_240)];
        for current in candidates.into_iter().filter(|limit| at_least(*limit, limits.current)) {
            if setrlimit(Resource::Nofile, Rlimit { current, ..limits }).is_ok() {
                return;
            }
        }
    }
}

/// Returns `true` if a limit allows as much as another one; `None` is unlimited.
#[cfg(unix)]
fn at_least(limit: Option<u64>, other: Option<u64>) -> bool {
    limit.unwrap_or(u64::MAX) >= other.unwrap_or(u64::MAX)
}

/// Returns how many files this process may have open.
pub(super) fn open_files_limit() -> u64 {
    #[cfg(unix)]
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
    #[cfg(not(unix))]
    let limit = u64::MAX;
    limit
}
