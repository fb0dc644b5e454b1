//! A pool as a person names it.

use std::fmt;

/// A pool's name or id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolRef(String);

/// A text that cannot stand in a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("give the pool's name or id")]
pub struct PoolRefError;

impl PoolRef {
    /// The name or id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PoolRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for PoolRef {
    type Err = PoolRefError;

    /// `.` and `..` would vanish from a URL's path and name another route.
    fn from_str(text: &str) -> Result<Self, PoolRefError> {
        match text.trim() {
            "" | "." | ".." => Err(PoolRefError),
            text => Ok(Self(text.to_owned())),
        }
    }
}
