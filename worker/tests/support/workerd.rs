//! The built Worker in workerd, with a local D1 database and Durable Object, through
//! `tests/workerd/serve.mjs`.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use serde_json::{Value, json};

use crate::support::{ADMIN_PASSWORD, MASTER_KEY};

/// A running Worker. Dropped, it is told to end and waited for: killing it would leave workerd behind.
pub struct Host {
    url: String,
    runner: Child,
    stdin: Option<ChildStdin>,
    log: PathBuf,
}

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

    /// A deployment that lacks nothing, as `serve.mjs` takes it.
    pub fn deployment(gemini_url: &str, data: &Path) -> Value {
        json!({
            "bindings": {
                "MASTER_KEY": MASTER_KEY,
                "ADMIN_PASSWORD": ADMIN_PASSWORD,
                "GEMINI_BASE_URL": gemini_url,
                "LOG_LEVEL": "debug",
            },
            "d1": true,
            "ledger": true,
            "persist": data,
        })
    }

    /// Starts a deployment; what the runtime logs goes to a file in `data`.
    pub async fn start_with(deployment: Value, data: &Path) -> Self {
        let log = data.join("workerd.log");
        tokio::task::spawn_blocking(move || Self::launch(&deployment, log)).await.unwrap()
    }

    fn launch(deployment: &Value, log: PathBuf) -> Self {
        let crate_root = Path::new(env!("CARGO_MANIFEST_DIR"));
        assert!(
            crate_root.join("build/index.js").exists() && crate_root.join("node_modules").exists(),
            "the Worker is not built: run `make bundle` first"
        );
        let mut runner = Command::new("node")
            .arg(crate_root.join("tests/workerd/serve.mjs"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::options().create(true).append(true).open(&log).unwrap())
            .spawn()
            .expect("node cannot be started: install Node 20.11 or newer");
        let mut stdin = runner.stdin.take().unwrap();
        writeln!(stdin, "{deployment}").unwrap();
        let mut line = String::new();
        BufReader::new(runner.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let mut host = Self { url: String::new(), runner, stdin: Some(stdin), log };
        let started: Value = serde_json::from_str(&line).expect("workerd did not start");
        host.url.push_str(started["url"].as_str().unwrap());
        host
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// The most memory that the runtime has had so far, in bytes; none where the system does not tell.
    #[allow(dead_code, reason = "only one of the suites on workerd measures it")]
    pub fn peak_memory(&self) -> Option<u64> {
        let processes = std::fs::read_dir("/proc").ok()?.filter_map(Result::ok);
        let statuses =
            processes.filter_map(|entry| std::fs::read_to_string(entry.path().join("status")).ok());
        let field = |status: &str, name: &str| -> Option<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse().ok()
        };
        let parent = u64::from(self.runner.id());
        let mut own = statuses.filter(|status| field(status, "PPid:") == Some(parent));
        own.find_map(|status| field(&status, "VmHWM:")).map(|kilobytes| kilobytes * 1024)
    }

    /// Ends it; its state stays.
    pub async fn stop(self) {
        tokio::task::spawn_blocking(move || drop(self)).await.unwrap();
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        drop(self.stdin.take());
        // It ends by itself now; a failure to wait for it leaves nothing to be done.
        let _ = self.runner.wait();
        if std::thread::panicking() {
            let log = std::fs::read_to_string(&self.log).unwrap_or_default();
            eprintln!("what workerd logged:\n{log}");
        }
    }
}
