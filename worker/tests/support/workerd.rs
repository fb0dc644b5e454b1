//! Workers host: the built Worker in workerd with local D1 and Durable Objects, run by
//! `tests/workerd/serve.mjs`.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{ADMIN_PASSWORD, MASTER_KEY};

/// Deadline of a runtime's start and of its end.
const LAUNCH_TIMEOUT: Duration = Duration::from_mins(2);

/// Starts the runtimes of all tests of a file: Node and Miniflare take longer to load than a runtime
/// takes to start. Never dropped; it ends when this process ends and closes its standard input.
static LAUNCHER: LazyLock<Arc<Launcher>> = LazyLock::new(|| Arc::new(Launcher::start()));

/// Maximum body of a data plane request.
#[allow(dead_code, reason = "not every suite sends large bodies")]
pub const BODY_LIMIT: usize = 32 * 1024 * 1024;

/// A running Worker in a runtime of its own. Dropping it ends the runtime and waits for that.
pub struct Host {
    url: String,
    id: u64,
    launcher: Arc<Launcher>,
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

    /// Starts it with a master key that may differ from that of its data; a Worker always starts.
    #[allow(dead_code, reason = "not every suite that uses this host needs it")]
    pub async fn try_start_with_master_key(
        gemini_url: &str,
        data: &Path,
        master_key: &str,
    ) -> Result<Self, String> {
        Ok(Self::start_with_master_key(gemini_url, data, master_key, None).await)
    }

    /// Returns a complete deployment, as `serve.mjs` takes it.
    pub fn deployment(gemini_url: &str, data: &Path) -> Value {
        json!({
            "bindings": {
                "MASTER_KEY": MASTER_KEY,
                "ADMIN_PASSWORD": ADMIN_PASSWORD,
                "GEMINI_BASE_URL": gemini_url,
                "LOG_LEVEL": "debug",
            },
            "d1": true,
            "objects": ["Ledger", "Config", "Egress"],
            "persist": data,
        })
    }

    /// Starts a deployment; the runtime's log goes to a file in `data`.
    pub async fn start_with(deployment: Value, data: &Path) -> Self {
        let log = data.join("workerd.log");
        tokio::task::spawn_blocking(move || Self::launch(&LAUNCHER, deployment, log)).await.unwrap()
    }

    /// Starts it with a launcher of its own, by which [`Host::peak_memory`] finds its runtime.
    #[allow(dead_code, reason = "only one of the suites on workerd measures memory")]
    pub async fn start_alone(gemini_url: &str, data: &Path) -> Self {
        let (deployment, log) = (Self::deployment(gemini_url, data), data.join("workerd.log"));
        let launch = move || Self::launch(&Arc::new(Launcher::start()), deployment, log);
        tokio::task::spawn_blocking(launch).await.unwrap()
    }

    fn launch(launcher: &Arc<Launcher>, mut deployment: Value, log: PathBuf) -> Self {
        let id = launcher.next_id.fetch_add(1, Ordering::Relaxed);
        deployment["id"] = json!(id);
        deployment["log"] = json!(log);
        let mut host = Self { url: String::new(), id, launcher: Arc::clone(launcher), log };
        let started = launcher.ask(id, &deployment);
        let url = started["url"].as_str().unwrap_or_default();
        assert!(!url.is_empty(), "workerd did not start: {started}");
        host.url.push_str(url);
        host
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// Returns the peak memory of the runtime in bytes, on systems with `/proc`.
    #[allow(dead_code, reason = "only one of the suites on workerd measures it")]
    pub fn peak_memory(&self) -> Option<u64> {
        let processes = std::fs::read_dir("/proc").ok()?.filter_map(Result::ok);
        let statuses =
            processes.filter_map(|entry| std::fs::read_to_string(entry.path().join("status")).ok());
        let field = |status: &str, name: &str| -> Option<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse().ok()
        };
        let parent = u64::from(self.launcher.process.id());
        let mut own = statuses.filter(|status| field(status, "PPid:") == Some(parent));
        own.find_map(|status| field(&status, "VmHWM:")).map(|kilobytes| kilobytes * 1024)
    }

    /// Stops it; its state stays.
    pub async fn stop(self) {
        tokio::task::spawn_blocking(move || drop(self)).await.unwrap();
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.launcher.ask(self.id, &json!({"stop": self.id}));
        if std::thread::panicking() {
            let log = std::fs::read_to_string(&self.log).unwrap_or_default();
            eprintln!("what workerd logged:\n{log}");
        }
    }
}

/// A process of `serve.mjs`: one line of JSON per command, one per result, matched by deployment id.
struct Launcher {
    process: Child,
    stdin: Mutex<Option<ChildStdin>>,
    waiting: Arc<Mutex<HashMap<u64, mpsc::Sender<Value>>>>,
    next_id: AtomicU64,
}

impl Launcher {
    fn start() -> Self {
        let crate_root = Path::new(env!("CARGO_MANIFEST_DIR"));
        assert!(
            crate_root.join("build/index.js").exists() && crate_root.join("node_modules").exists(),
            "the Worker is not built: run `make bundle` first"
        );
        let mut process = Command::new("node")
            .arg(crate_root.join("tests/workerd/serve.mjs"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node cannot be started: install Node 20.11 or newer");
        let (stdin, stdout) = (process.stdin.take(), process.stdout.take().unwrap());
        let waiting = Arc::new(Mutex::new(HashMap::<u64, mpsc::Sender<Value>>::new()));
        let askers = Arc::clone(&waiting);
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let answer: Value = serde_json::from_str(&line).expect("the launcher answers in JSON");
                let id = answer["id"].as_u64().or(answer["stopped"].as_u64()).unwrap();
                let asker = askers.lock().unwrap().remove(&id);
                // An asker that is gone needs no answer.
                let _ = asker.unwrap().send(answer);
            }
            // Ends every wait that is left.
            askers.lock().unwrap().clear();
        });
        Self { process, stdin: Mutex::new(stdin), waiting, next_id: AtomicU64::new(0) }
    }

    /// Sends a command about a deployment and waits for its result.
    fn ask(&self, id: u64, request: &Value) -> Value {
        let (asker, answer) = mpsc::channel();
        self.waiting.lock().unwrap().insert(id, asker);
        let mut stdin = self.stdin.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = stdin.as_mut().map(|stdin| writeln!(stdin, "{request}"));
        drop(stdin);
        let answer = sent.and_then(Result::ok).and_then(|()| answer.recv_timeout(LAUNCH_TIMEOUT).ok());
        answer.unwrap_or_else(|| json!({"error": "the launcher of workerd has ended or does not respond"}))
    }
}

impl Drop for Launcher {
    fn drop(&mut self) {
        drop(self.stdin.lock().unwrap_or_else(PoisonError::into_inner).take());
        // It ends by itself when its input does. A launcher that hangs is killed instead.
        let deadline = Instant::now() + LAUNCH_TIMEOUT;
        while matches!(self.process.try_wait(), Ok(None)) {
            if Instant::now() > deadline {
                let _ = self.process.kill();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
