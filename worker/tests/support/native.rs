//! `pool-server` inside the test's own process, on a free port.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use pool_shared::Secret;
use pool_worker::host::native::{Server, ServerConfig};
use pool_worker::log::{Log, LogLevel};

use crate::support::{ADMIN_PASSWORD, MASTER_KEY};

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
        let config = ServerConfig {
            host: "127.0.0.1".to_owned(),
            port: 0,
            data_dir: data.to_owned(),
            gemini_base_url: gemini_url.parse().unwrap(),
            master_key: Some(Secret::new(master_key)),
            previous_master_key: previous.map(Secret::new),
            admin_password: Some(Secret::new(ADMIN_PASSWORD)),
            log: log_into(&data.join("pool-server.log")),
        };
        Self(Server::start(config).await.unwrap())
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        self.0.url()
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
