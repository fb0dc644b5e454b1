//! A pool's name or id, as given on the command line.

use std::fmt;

/// A pool's name or id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolRef(String);

/// A text that is not valid as a path segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a pool's name or id")]
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

    /// Rejects `.` and `..`, which would change the route in a URL's path.
    fn from_str(text: &str) -> Result<Self, PoolRefError> {
        match text.trim() {
            "" | "." | ".." => Err(PoolRefError),
            text => Ok(Self(text.to_owned())),
        }
    }
}
