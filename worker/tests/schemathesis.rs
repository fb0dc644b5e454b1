//! Conformance test: schemathesis sends valid and invalid requests generated from
//! `docs/openapi.json` and validates the responses.
//!
//! Settings and exclusions are in `openapi/schemathesis.toml`. Every run sends the same requests.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "clippy.toml allows them in tests, but not in a test's own helper functions"
)]

#[path = "support/native.rs"]
mod native;
mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use pool_fake_gemini::{FakeGemini, Scenario};
use pool_shared::{AdminTokenCreated, ClientKeyCreated, LoginResponse, PoolCreated};
use serde_json::{Value, json};

const GEMINI_KEY: &str = "AIzaSySchema-0123456789-0123456789";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn python() -> PathBuf {
    let found = Command::new(root().join(".ci/python.sh")).arg("openapi").output().unwrap();
    assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stderr));
    String::from_utf8(found.stdout).unwrap().trim().into()
}

/// Credentials and existing objects.
struct Setting {
    admin_token: String,
    /// Revoked by its own request.
    leaving_token: String,
    client_key: String,
    client_key_id: String,
}

async fn set_up(url: &str) -> Setting {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let post = async |path: &str, token: &str, body: Value| {
        let request = client.post(format!("{url}/admin/v1{path}")).bearer_auth(token).json(&body);
        request.send().await.unwrap().error_for_status().unwrap()
    };
    let login = post("/login", "", json!({"password": support::ADMIN_PASSWORD})).await;
    let login: LoginResponse = login.json().await.unwrap();
    let admin_token = login.token.expose().to_owned();
    let leaving: AdminTokenCreated = post("/tokens", &admin_token, json!({})).await.json().await.unwrap();
    // The data plane uses another pool, which no admin request changes.
    let pool = json!({"name": "served", "pass_through": true, "import": {"keys": [{"key": GEMINI_KEY}]}});
    let served: PoolCreated = post("/pools", &admin_token, pool).await.json().await.unwrap();
    let pool = json!({"name": "tried", "import": {"keys": [{"key": GEMINI_KEY}]}});
    let _: PoolCreated = post("/pools", &admin_token, pool).await.json().await.unwrap();
    let key: ClientKeyCreated =
        post("/pools/tried/client-keys", &admin_token, json!({})).await.json().await.unwrap();
    Setting {
        admin_token,
        leaving_token: leaving.secret.expose().to_owned(),
        client_key: served.client_key.expose().to_owned(),
        client_key_id: key.client_key.id.to_string(),
    }
}

#[tokio::test]
async fn the_service_conforms_to_its_openapi_document() {
    let gemini = FakeGemini::start(Scenario::with_keys([GEMINI_KEY])).await.unwrap();
    let data = tempfile::tempdir().unwrap();
    let host = native::Host::start(gemini.url(), data.path()).await;
    let url = host.url();
    let setting = set_up(&url).await;
    let folder = data.path().to_owned();
    // Service and mock Gemini server run on this thread while schemathesis runs on another.
    let run = move || {
        let suite = root().join("worker/tests/openapi");
        let mut command = Command::new(python());
        command.args(["-B", "-m", "schemathesis.cli", "--config-file"]).arg(suite.join("schemathesis.toml"));
        command.arg("run").arg(root().join("docs/openapi.json")).args(["--url", &url]);
        command.env("SCHEMATHESIS_HOOKS", suite.join("hooks.py")).current_dir(folder);
        command.env("ADMIN_TOKEN", setting.admin_token).env("LEAVING_TOKEN", setting.leaving_token);
        command.env("CLIENT_KEY", setting.client_key).env("CLIENT_KEY_ID", setting.client_key_id);
        support::output_within(support::SUITE_TIMEOUT, &mut command)
    };
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(output.status.success(), "{}", text.concat());
    host.stop().await;
}
