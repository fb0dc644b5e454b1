//! Unmodified client SDKs against both hosts: OpenAI's for Python and Node, Google's for Python,
//! `LangChain`, and Vercel's AI SDK.
//!
//! The suites are in `sdk/python` and `sdk/node`. They use a service whose mock Gemini server plays the
//! golden documents. They need Python, Node and the built Worker: `make bundle`, then
//! `--features sdk`. The versions of the clients are pinned in `sdk/python/requirements.txt` and in
//! `worker/package.json`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "clippy.toml allows them in tests, but not in a test's own helper functions"
)]

#[path = "support/native.rs"]
mod native;
#[path = "support/playback.rs"]
mod playback;
mod support;
#[path = "support/workerd.rs"]
mod workerd;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use pool_fake_gemini::{Behaviour, FakeGemini, KeySpec, Scenario, Treatment};
use pool_shared::{LoginResponse, PoolCreated};
use serde_json::json;

const GEMINI_KEY: &str = "AIzaSySdk-0123456789-0123456789";
/// The key of a pool in which each model fails in its own way, see [`scenario`].
const FAILING_KEY: &str = "AIzaSySdk-9876543210-9876543210";

/// The interpreter with the clients; one test finds or installs it while the others wait.
static PYTHON: LazyLock<PathBuf> = LazyLock::new(|| {
    let found = Command::new(root().join(".ci/python.sh")).output().unwrap();
    assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stderr));
    String::from_utf8(found.stdout).unwrap().trim().into()
});

/// A suite.
#[derive(Clone, Copy)]
enum Sdk {
    Python,
    Node,
}

impl Sdk {
    /// Returns the command that runs it.
    fn command(self) -> Command {
        let suites = root().join("worker/tests/sdk");
        match self {
            Self::Python => {
                let mut command = Command::new(&*PYTHON);
                command.args(["-m", "pytest", "-q", "-p", "no:cacheprovider"]).arg(suites.join("python"));
                command.env("PYTHONDONTWRITEBYTECODE", "1");
                command
            }
            Self::Node => {
                let mut command = Command::new("node");
                let files =
                    std::fs::read_dir(suites.join("node")).unwrap().map(|entry| entry.unwrap().path());
                command
                    .arg("--test")
                    .args(files.filter(|file| file.to_string_lossy().ends_with(".test.mjs")));
                command
            }
        }
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Returns a working key, and one whose models fail as the suites expect.
///
/// The frames after a stream's first event are delayed, so that the service has already sent that
/// event. Otherwise it could still retry.
fn scenario() -> Scenario {
    let late = |kind: Behaviour| Treatment { between_frames_ms: Some(200), ..kind.into() };
    let failing = KeySpec::new(FAILING_KEY, Behaviour::Ok)
        .model("gemini-3.5-flash-lite", Behaviour::ExhaustedMinute)
        .model("gemini-3.1-pro-preview", Behaviour::Overloaded)
        .model("gemini-2.5-pro", Behaviour::ContextTooLong)
        .model("gemini-3.6-flash", late(Behaviour::ErrorMidStream))
        .model("gemini-2.5-flash", late(Behaviour::Cut));
    Scenario::with_keys([GEMINI_KEY]).key(failing)
}

/// Creates a pool for each key in a new service. Returns the client keys.
async fn client_keys(url: &str) -> [String; 2] {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let post = async |path: &str, token: &str, body: serde_json::Value| {
        let request = client.post(format!("{url}/admin/v1{path}")).bearer_auth(token).json(&body);
        request.send().await.unwrap().error_for_status().unwrap()
    };
    let login = post("/login", "", json!({"password": support::ADMIN_PASSWORD})).await;
    let login: LoginResponse = login.json().await.unwrap();
    let create = async |name: &str, key: &str| {
        let pool = json!({"name": name, "pass_through": true, "import": {"keys": [{"key": key}]}});
        let created: PoolCreated = post("/pools", login.token.expose(), pool).await.json().await.unwrap();
        created.client_key.expose().to_owned()
    };
    [create("prod", GEMINI_KEY).await, create("failing", FAILING_KEY).await]
}

async fn passes(sdk: Sdk, url: &str, cases: PathBuf) {
    let (base_url, [client_key, failing_key]) = (format!("{url}/v1"), client_keys(url).await);
    // Service and mock Gemini server run on this thread while the suite runs on another.
    let run = move || {
        let mut command = sdk.command();
        command.env("POOL_BASE_URL", base_url).env("POOL_CASES", cases);
        command.env("POOL_CLIENT_KEY", client_key).env("POOL_FAILING_CLIENT_KEY", failing_key);
        support::output_within(support::SUITE_TIMEOUT, &mut command)
    };
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(output.status.success(), "{}", text.concat());
}

/// Defines the tests of one host.
macro_rules! on {
    ($host:ident: $($test:ident = $sdk:expr;)+) => {
        $(#[tokio::test]
        async fn $test() {
            let (scenario, cases) = playback::play(scenario());
            let gemini = FakeGemini::start(scenario).await.unwrap();
            let data = tempfile::tempdir().unwrap();
            let file = data.path().join("cases.json");
            std::fs::write(&file, cases.to_string()).unwrap();
            let host = $host::Host::start(gemini.url(), data.path()).await;
            passes($sdk, &host.url(), file).await;
            host.stop().await;
        })+
    };
}

on! { native:
    python_s_clients_work_with_pool_server = Sdk::Python;
    node_s_clients_work_with_pool_server = Sdk::Node;
}
on! { workerd:
    python_s_clients_work_with_the_worker = Sdk::Python;
    node_s_clients_work_with_the_worker = Sdk::Node;
}
