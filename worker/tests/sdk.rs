//! OpenAI's own clients for Python and Node, unmodified, against both hosts.
//!
//! The suites themselves are `sdk/python` and `sdk/node`; here they get a service to talk to. They need
//! Python, Node and the built Worker: `make bundle`, then `--features sdk`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "clippy.toml allows them in tests, but not in a test's own helper functions"
)]

#[path = "support/native.rs"]
mod native;
mod support;
#[path = "support/workerd.rs"]
mod workerd;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use pool_fake_gemini::{FakeGemini, Scenario};
use pool_shared::{LoginResponse, PoolCreated};
use serde_json::json;

const GEMINI_KEY: &str = "AIzaSySdk-0123456789-0123456789";

/// The interpreter that has OpenAI's client: looked for, and installed where it is missing, by one test
/// while the others wait.
static PYTHON: LazyLock<PathBuf> = LazyLock::new(|| {
    let found = Command::new(root().join(".ci/python.sh")).output().unwrap();
    assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stderr));
    String::from_utf8(found.stdout).unwrap().trim().into()
});

/// One of the suites.
#[derive(Clone, Copy)]
enum Sdk {
    Python,
    Node,
}

impl Sdk {
    /// The command that runs it.
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
                command.arg("--test").arg(suites.join("node/openai.test.mjs"));
                command
            }
        }
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Creates a pool of one key in a fresh service, and gives its client key.
async fn client_key(url: &str) -> String {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let post = async |path: &str, token: &str, body: serde_json::Value| {
        let request = client.post(format!("{url}/admin/v1{path}")).bearer_auth(token).json(&body);
        request.send().await.unwrap().error_for_status().unwrap()
    };
    let login = post("/login", "", json!({"password": support::ADMIN_PASSWORD})).await;
    let login: LoginResponse = login.json().await.unwrap();
    let pool = json!({"name": "prod", "import": {"keys": [{"key": GEMINI_KEY}]}});
    let created: PoolCreated = post("/pools", login.token.expose(), pool).await.json().await.unwrap();
    created.client_key.expose().to_owned()
}

async fn passes(sdk: Sdk, url: &str) {
    let (base_url, client_key) = (format!("{url}/v1"), client_key(url).await);
    // The service and the stand-in go on answering on this thread while the suite runs on another.
    let run = move || {
        let mut command = sdk.command();
        command.env("POOL_BASE_URL", base_url).env("POOL_CLIENT_KEY", client_key);
        command.output().expect("the SDK's suite cannot be started")
    };
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(output.status.success(), "{}", text.concat());
}

/// Makes the tests of one host.
macro_rules! on {
    ($host:ident: $($test:ident = $sdk:expr;)+) => {
        $(#[tokio::test]
        async fn $test() {
            let gemini = FakeGemini::start(Scenario::with_keys([GEMINI_KEY])).await.unwrap();
            let data = tempfile::tempdir().unwrap();
            let host = $host::Host::start(gemini.url(), data.path()).await;
            passes($sdk, &host.url()).await;
            host.stop().await;
        })+
    };
}

on! { native:
    python_s_client_works_with_pool_server = Sdk::Python;
    node_s_client_works_with_pool_server = Sdk::Node;
}
on! { workerd:
    python_s_client_works_with_the_worker = Sdk::Python;
    node_s_client_works_with_the_worker = Sdk::Node;
}
