//! Transport errors of upstream requests.

use std::time::Duration;

/// Why an upstream request got no complete response. It never changes a key's state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamError {
    /// No connection, or no answer on it.
    #[error("Gemini could not be reached: {0}")]
    Connect(String),
    /// This process may have no more files or sockets open. What the system said is for the log.
    #[error("Gemini could not be reached: the service has no connection to spare")]
    NoSocket(String),
    /// The connection broke in the middle of a response.
    #[error("the connection to Gemini broke: {0}")]
    Read(String),
    /// The time allowed for it ran out.
    #[error("Gemini sent {awaited} within {} s", limit.as_secs())]
    Timeout {
        /// The time that was allowed.
        limit: Duration,
        /// What did not come.
        awaited: Awaited,
    },
}

/// The part of a response that a timeout waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// The headers of the response.
    Headers,
    /// All of the response.
    Response,
    /// More of a response that has begun.
    More,
}

impl std::fmt::Display for Awaited {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Headers => "no response headers",
            Self::Response => "no complete response",
            Self::More => "nothing more of its response",
        })
    }
}

impl UpstreamError {
    /// Returns what only the log shows, beside the text of the error.
    #[must_use]
    pub fn cause(&self) -> Option<&str> {
        match self {
            Self::NoSocket(cause) => Some(cause),
            Self::Connect(_) | Self::Read(_) | Self::Timeout { .. } => None,
        }
    }

    /// The response is larger than `limit` bytes.
    #[must_use]
    pub fn longer_than(limit: usize) -> Self {
        Self::Read(format!("more than {limit} bytes"))
    }
}
