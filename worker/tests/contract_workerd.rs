//! Contract suite on workerd, and tests of that host only.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "clippy.toml allows them in tests, but not in a test's own helper functions"
)]

mod contract;
#[path = "support/workerd.rs"]
mod host;
mod support;

use contract::answer::Answer;
use contract::harness::{Fault, Harness, SQL_FAULT, gemini_key, prompt};
use host::Host;
use pool_fake_gemini::{Behaviour, FakeGemini, KeySpec, Scenario};
use pool_shared::{ErrorCode, LoginResponse, PoolCreated, Stats};
use serde_json::{Value, json};

/// Names of host, store and ledger in `GET health`.
const KINDS: [&str; 3] = ["cloudflare", "d1", "durable object"];
/// Parts of the paths of files that store a pool.
const STORED: &[&str] = &["/d1/"];
/// Fault of the store.
const FAULTS: &[Fault] = &[SQL_FAULT];

/// Removes something from a deployment.
type Take = fn(&mut Value);

/// Removable parts of a deployment, by the name in the error.
fn lacking() -> [(&'static str, Take); 13] {
    [
        ("DB", |deployment| deployment["d1"] = json!(false)),
        ("API_TOKENS", |deployment| deployment["d1"] = json!(false)),
        ("CONFIG_STORE", |deployment| deployment["bindings"]["CONFIG_STORE"] = json!("kv")),
        ("LEDGER", |deployment| deployment["objects"] = json!(["Config", "Egress"])),
        ("EGRESS", |deployment| deployment["objects"] = json!(["Ledger", "Config"])),
        ("MASTER_KEY", |deployment| drop(bindings(deployment).remove("MASTER_KEY"))),
        ("MASTER_KEY", |deployment| deployment["bindings"]["MASTER_KEY"] = json!("c2hvcnQ=")),
        ("MASTER_KEY_PREV", |deployment| deployment["bindings"]["MASTER_KEY_PREV"] = json!("c2hvcnQ=")),
        ("ADMIN_PASSWORD", |deployment| drop(bindings(deployment).remove("ADMIN_PASSWORD"))),
        ("ADMIN_PASSWORD", |deployment| deployment["bindings"]["ADMIN_PASSWORD"] = json!("too short")),
        ("GEMINI_ALLOWED_HOSTS", |deployment| {
            deployment["bindings"]["GEMINI_BASE_URL"] = json!("https://gemini.example");
        }),
        ("LOG_LEVEL", |deployment| deployment["bindings"]["LOG_LEVEL"] = json!("loud")),
        ("LEDGER_SHARDS", |deployment| deployment["bindings"]["LEDGER_SHARDS"] = json!("0")),
    ]
}

fn bindings(deployment: &mut Value) -> &mut serde_json::Map<String, Value> {
    deployment["bindings"].as_object_mut().unwrap()
}

#[tokio::test]
async fn an_incomplete_deployment_names_the_missing_binding() {
    for (name, take) in lacking() {
        let data = tempfile::tempdir().unwrap();
        let mut deployment = Host::deployment("http://127.0.0.1:9", data.path());
        take(&mut deployment);
        let host = Host::start_with(deployment, data.path()).await;
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let get = async |path: &str| {
            Answer::read(client.get(format!("{}{path}", host.url())).send().await.unwrap()).await
        };
        let error = get("/admin/v1/health").await.admin_error(503, ErrorCode::Misconfigured);
        assert!(error.message.contains(name), "{name}: {}", error.message);
        assert!(error.hint.is_some());
        let answer = get("/v1/models").await;
        let message = answer.openai_error(503, Some("not_set_up"));
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        assert!(message.contains(name), "{name}: {message}");
    }
}

#[tokio::test]
async fn several_objects_share_the_ledger() {
    const POOLS: u64 = 8;
    let keys: Vec<_> = (0..POOLS).map(|number| gemini_key(&format!("key-{number}"))).collect();
    let known = keys.iter().map(|key| KeySpec::new(key, Behaviour::Ok)).collect();
    let gemini = FakeGemini::start(Scenario { keys: known, ..Scenario::default() }).await.unwrap();
    let data = tempfile::tempdir().unwrap();
    let mut deployment = Host::deployment(gemini.url(), data.path());
    deployment["bindings"]["LEDGER_SHARDS"] = json!("3");
    let host = Host::start_with(deployment, data.path()).await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let send = async |request: reqwest::RequestBuilder| Answer::read(request.send().await.unwrap()).await;
    let url = |path: &str| format!("{}{path}", host.url());
    let login = client.post(url("/admin/v1/login")).json(&json!({"password": support::ADMIN_PASSWORD}));
    let token = send(login).await.json::<LoginResponse>(200).token;

    for (number, key) in keys.iter().enumerate() {
        let pool = json!({"name": format!("team-{number}"), "import": {"keys": [{"key": key}]}});
        let create = client.post(url("/admin/v1/pools")).bearer_auth(token.expose()).json(&pool);
        let pool: PoolCreated = send(create).await.json(201);
        let chat = client.post(url("/v1/chat/completions")).bearer_auth(pool.client_key.expose());
        assert_eq!(send(chat.json(&prompt("hello"))).await.status, 200);
    }
    let stats: Stats = send(client.get(url("/admin/v1/stats")).bearer_auth(token.expose())).await.json(200);
    assert_eq!((stats.total.attempts, stats.pools.len() as u64), (POOLS, POOLS));
    // Each object has its own database.
    let databases = contract::harness::files_below(&data.path().join("durable-objects"));
    let objects = databases.iter().filter(|path| path.extension().is_some_and(|kind| kind == "sqlite"));
    assert!(objects.count() >= 3, "{databases:?}");
}

/// Returns a chat request with a picture of this many megabytes.
fn picture(megabytes: usize) -> Value {
    let data = format!("data:image/png;base64,{}", "iVBORw0KGgo".repeat(megabytes * 1024 * 1024 / 11));
    let mut body = prompt("what is this?");
    body["messages"][0]["content"] = json!([
        {"type": "text", "text": "what is this?"}, {"type": "image_url", "image_url": {"url": data}},
    ]);
    body
}

#[tokio::test]
async fn concurrent_large_bodies_succeed_or_get_backpressure() {
    let mut harness = Harness::start().await;
    let pool = harness.pool(&[("good", Behaviour::Ok)]).await;
    harness.stop_host().await;
    let host = Host::start_alone(harness.gemini.url(), harness.data.path()).await;
    let before = host.peak_memory();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("{}/v1/chat/completions", host.url());
    let ask = async |body: &str| {
        let request =
            client.post(&url).bearer_auth(&pool.client_key).header("content-type", "application/json");
        Answer::read(request.body(body.to_owned()).send().await.unwrap()).await
    };
    let large = picture(30).to_string();
    for _ in 0..3 {
        let answers = futures_util::future::join_all((0..4).map(|_| ask(&large))).await;
        let statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
        assert!(
            statuses.contains(&200) && statuses.iter().all(|status| [200, 503].contains(status)),
            "{statuses:?}"
        );
        for refused in answers.iter().filter(|answer| answer.status == 503) {
            refused.openai_error(503, Some("too_many_large_requests"));
            assert_eq!(refused.header("retry-after"), "1");
        }
        assert_eq!(ask(&prompt("hello").to_string()).await.status, 200, "a small one always has room");
    }
    // All four concurrently would need more than 800 MB: 32 MB as received, again as translated,
    // and again in JavaScript on both ways. The rest is the runtime's own buffer of the others.
    if let Some((now, before)) = host.peak_memory().zip(before) {
        let grown = (now - before) >> 20;
        assert!(grown < 512, "the runtime has grown by {grown} MB");
    }
    harness.put_host(host);
}
