//! Workers host with its config on KV: the built Worker in workerd.

#[path = "workerd.rs"]
#[allow(dead_code, reason = "its own way to start is not this one's")]
pub mod workerd;

use std::path::Path;

use serde_json::{Value, json};

use crate::support::MASTER_KEY;

/// Maximum body of a data plane request.
#[allow(dead_code, reason = "not every suite sends large bodies")]
pub const BODY_LIMIT: usize = 32 * 1024 * 1024;

/// A running Worker.
pub struct Host(workerd::Host);

impl Host {
    /// Starts it with its state in `data`, calling Gemini at `gemini_url`.
    pub async fn start(gemini_url: &str, data: &Path) -> Self {
        Self::start_with_master_key(gemini_url, data, MASTER_KEY, None).await
    }

    /// Starts it with other master keys.
    pub async fn start_with_master_key(
        gemini_url: &str,
        data: &Path,
        master_key: &str,
        previous: Option<&str>,
    ) -> Self {
        let mut deployment = Self::deployment(gemini_url, data);
        deployment["bindings"]["MASTER_KEY"] = json!(master_key);
        if let Some(previous) = previous {
            deployment["bindings"]["MASTER_KEY_PREV"] = json!(previous);
        }
        Self::start_with(deployment, data).await
    }

    /// Starts it with a master key that may differ from that of its data; a Worker always starts.
    #[allow(dead_code, reason = "not every suite that uses this host needs it")]
    pub async fn try_start_with_master_key(
        gemini_url: &str,
        data: &Path,
        master_key: &str,
    ) -> Result<Self, String> {
        Ok(Self::start_with_master_key(gemini_url, data, master_key, None).await)
    }

    /// Returns a complete deployment without D1.
    pub fn deployment(gemini_url: &str, data: &Path) -> Value {
        let mut deployment = workerd::Host::deployment(gemini_url, data);
        deployment["d1"] = json!(false);
        deployment["kv"] = json!(true);
        deployment
    }

    /// Starts a deployment; the runtime's log goes to a file in `data`.
    pub async fn start_with(deployment: Value, data: &Path) -> Self {
        Self(workerd::Host::start_with(deployment, data).await)
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        self.0.url()
    }

    /// Stops it; its state stays.
    pub async fn stop(self) {
        self.0.stop().await;
    }
}
