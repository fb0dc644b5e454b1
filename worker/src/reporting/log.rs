//! The request log's level and sink.

use std::fmt;
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use serde::Serialize;

use crate::setup::SetupError;

/// The level of the request log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Logs nothing.
    Off,
    /// Logs failures that are not the client's: 5xx, and truncated streams.
    Error,
    /// Logs all requests.
    #[default]
    Info,
    /// Logs all requests with their attempts.
    Debug,
}

impl LogLevel {
    /// Parses the setting `LOG_LEVEL`; empty means `info`.
    pub fn parse(text: &str) -> Result<Self, SetupError> {
        match text.trim().to_ascii_lowercase().as_str() {
            "off" => Ok(Self::Off),
            "error" => Ok(Self::Error),
            "info" | "" => Ok(Self::Info),
            "debug" => Ok(Self::Debug),
            _ => Err(SetupError::Setting("LOG_LEVEL is none of off, error, info and debug".to_owned())),
        }
    }
}

/// The level and the sink. Cheap to clone.
#[derive(Clone)]
pub struct Log {
    pub(super) level: LogLevel,
    pub(super) write: Arc<dyn Fn(String) + Send + Sync>,
    /// When the service began to end requests without a response.
    pub(super) stopped_at: Arc<OnceLock<Timestamp>>,
}

impl Log {
    /// Builds a log. `write` receives each line without its line break, and must not block.
    pub fn new(level: LogLevel, write: impl Fn(String) + Send + Sync + 'static) -> Self {
        Self { level, write: Arc::new(write), stopped_at: Arc::default() }
    }

    /// Builds a log that writes nothing.
    #[must_use]
    pub fn off() -> Self {
        Self::new(LogLevel::Off, drop)
    }

    /// Marks the shutdown: from now on requests without a response are ended by the service, not by
    /// their clients.
    pub fn stop(&self, now: Timestamp) {
        self.stopped_at.get_or_init(|| now);
    }

    /// Logs a line that belongs to no request, unless the log is off.
    #[cfg_attr(target_arch = "wasm32", allow(dead_code, reason = "only the native host warns of proxies"))]
    pub(crate) fn warn(&self, message: &str, now: Timestamp) {
        if self.level != LogLevel::Off {
            (self.write)(serde_json::json!({"ts": now, "level": "warn", "message": message}).to_string());
        }
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").field("level", &self.level).finish_non_exhaustive()
    }
}
