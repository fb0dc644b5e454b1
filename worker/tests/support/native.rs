//! `pool-server` inside the test's own process, on a free port.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use pool_shared::Secret;
use pool_worker::host::native::{Load, Server, ServerConfig, TrustedProxies};
use pool_worker::log::{Log, LogLevel};

use crate::support::{ADMIN_PASSWORD, MASTER_KEY};

/// The longest body of a request of the data plane: 100 MiB in base64, and 2 MiB.
#[allow(dead_code, reason = "not every suite sends so much")]
pub const BODY_LIMIT: usize = 139_810_136 + 2 * 1024 * 1024;

/// A running server. Dropped, it stops without sending what it had still to report.
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

    /// Starts it with another master key than that of its data; or why it does not start.
    #[allow(dead_code, reason = "not every suite that uses this host needs it")]
    pub async fn try_start_with_master_key(
        gemini_url: &str,
        data: &Path,
        master_key: &str,
    ) -> Result<Self, String> {
        let started = Server::start(Self::config(gemini_url, data, master_key)).await;
        started.map(Self).map_err(|error| error.to_string())
    }

    /// Starts it behind proxies that it is to trust.
    #[allow(dead_code, reason = "only the tests of this host put something before it")]
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
            upstream_timeouts: pool_worker::gateway::UpstreamTimeouts::default(),
        }
    }

    async fn launch(config: ServerConfig) -> Self {
        Self(Server::start(config).await.unwrap())
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        self.0.url()
    }

    /// What it has taken on.
    #[allow(dead_code, reason = "only the tests of its bounds ask")]
    pub fn load(&self) -> Load {
        self.0.load()
    }

    /// Ends it as Ctrl-C does.
    pub async fn stop(self) {
        self.0.shut_down().await;
    }
}

/// A log that says everything, in a file.
fn log_into(path: &Path) -> Log {
    let file = File::options().create(true).append(true).open(path).unwrap();
    Log::new(LogLevel::Debug, move |line| (&file).write_all(format!("{line}\n").as_bytes()).unwrap())
}
