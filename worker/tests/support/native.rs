//! Native host inside the test's own process, on a free port.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use pool_shared::Secret;
use pool_worker::host::native::{Load, Server, ServerConfig, TrustedProxies};
use pool_worker::reporting::{Log, LogLevel};

use crate::support::{ADMIN_PASSWORD, MASTER_KEY};

/// Maximum body of a data plane request: 100 MiB in base64, and 2 MiB.
#[allow(dead_code, reason = "not every suite sends large bodies")]
pub const BODY_LIMIT: usize = 139_810_136 + 2 * 1024 * 1024;

/// A running server. Dropping it stops it without sending pending reports.
pub struct Host(Server);

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
        Self::launch(ServerConfig {
            previous_master_key: previous.map(Secret::new),
            ..Self::config(gemini_url, data, master_key)
        })
        .await
    }

    /// Starts it with a master key that may differ from that of its data; the error says why it does
    /// not start.
    #[allow(dead_code, reason = "not every suite that uses this host needs it")]
    pub async fn try_start_with_master_key(
        gemini_url: &str,
        data: &Path,
        master_key: &str,
    ) -> Result<Self, String> {
        let started = Server::start(Self::config(gemini_url, data, master_key)).await;
        started.map(Self).map_err(|error| error.to_string())
    }

    /// Starts it with trusted proxies.
    #[allow(dead_code, reason = "only this host's own tests use proxies")]
    pub async fn start_behind(gemini_url: &str, data: &Path, trusted_proxies: &str) -> Self {
        let trusted_proxies = trusted_proxies.parse().unwrap();
        Self::launch(ServerConfig { trusted_proxies, ..Self::config(gemini_url, data, MASTER_KEY) }).await
    }

    fn config(gemini_url: &str, data: &Path, master_key: &str) -> ServerConfig {
        ServerConfig {
            host: "127.0.0.1".to_owned(),
            port: 0,
            data_dir: data.to_owned(),
            gemini_base_url: gemini_url.parse().unwrap(),
            master_key: Some(Secret::new(master_key)),
            previous_master_key: None,
            admin_password: Some(Secret::new(ADMIN_PASSWORD)),
            trusted_proxies: TrustedProxies::default(),
            log: log_into(&data.join("pool-server.log")),
            upstream_timeouts: pool_worker::upstream::UpstreamTimeouts::default(),
        }
    }

    async fn launch(config: ServerConfig) -> Self {
        Self(Server::start(config).await.unwrap())
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        self.0.url()
    }

    /// Returns its open connections and buffered body bytes.
    #[allow(dead_code, reason = "only the tests of its limits need it")]
    pub fn load(&self) -> Load {
        self.0.load()
    }

    /// Stops it as Ctrl-C does.
    pub async fn stop(self) {
        self.0.shut_down().await;
    }
}

/// Returns a log of level `debug` that writes to a file.
fn log_into(path: &Path) -> Log {
    let file = File::options().create(true).append(true).open(path).unwrap();
    Log::new(LogLevel::Debug, move |line| (&file).write_all(format!("{line}\n").as_bytes()).unwrap())
}
