//! The request log's level and sink.

use std::fmt;
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use serde::Serialize;

use crate::setup::SetupError;

/// Which requests are logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// None.
    Off,
    /// Those that failed by no fault of the caller: 5xx, and streams that broke off.
    Error,
    /// All.
    #[default]
    Info,
    /// All, each with every attempt that it took.
    Debug,
}

impl LogLevel {
    /// Reads the setting `LOG_LEVEL`; an empty one is `info`.
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

/// Where the lines go. Cloning it is cheap.
#[derive(Clone)]
pub struct Log {
    pub(super) level: LogLevel,
    pub(super) write: Arc<dyn Fn(String) + Send + Sync>,
    /// When the service began to end what had no response yet.
    pub(super) stopped_at: Arc<OnceLock<Timestamp>>,
}

impl Log {
    /// Lines of this level go to `write`, which must not wait and adds the end of the line.
    pub fn new(level: LogLevel, write: impl Fn(String) + Send + Sync + 'static) -> Self {
        Self { level, write: Arc::new(write), stopped_at: Arc::default() }
    }

    /// No lines.
    #[must_use]
    pub fn off() -> Self {
        Self::new(LogLevel::Off, drop)
    }

    /// From here on a request without a response is ended by the service, not by its client.
    pub fn stop(&self, now: Timestamp) {
        self.stopped_at.get_or_init(|| now);
    }

    /// Writes a line about something that belongs to no request, unless nothing is to be written.
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
