//! Contract suite on the native server, and tests of that host only.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "clippy.toml allows it in tests, but not in helpers"
)]

mod contract;
#[path = "support/native.rs"]
mod host;
mod support;

use contract::harness::{Fault, Harness, Pool, SQL_FAULT, files_below, in_the_store, prompt, send};
use pool_fake_gemini::Behaviour;
use pool_shared::{ErrorCode, Health, HealthStatus, KeyImportReport, MasterKeyRotation};
use serde_json::json;
use support::{MASTER_KEY, NEW_MASTER_KEY};

/// Names of host, store and ledger in `GET health`.
const KINDS: [&str; 3] = ["native", "sqlite", "sqlite"];
/// Parts of the paths of files that store a pool.
const STORED: &[&str] = &["pool.db"];
/// Fault of the store.
const FAULTS: &[Fault] = &[SQL_FAULT];

/// Statements that break and repair all queries of pools in the running service.
const BREAK: &str = "ALTER TABLE pools RENAME COLUMN data_key TO broken;
    ALTER TABLE pools RENAME COLUMN description TO broken_too;
    ALTER TABLE schema_version RENAME COLUMN version TO broken;";
const REPAIR: &str = "ALTER TABLE pools RENAME COLUMN broken TO data_key;
    ALTER TABLE pools RENAME COLUMN broken_too TO description;
    ALTER TABLE schema_version RENAME COLUMN broken TO version;";

#[tokio::test]
async fn a_cached_pool_serves_during_a_store_outage() {
    let harness = Harness::start().await;
    let warm = harness.weighted_pool("warm", &[("good", Behaviour::Ok, 1)]).await;
    let cold = harness.weighted_pool("cold", &[("other", Behaviour::Ok, 1)]).await;
    assert_eq!(harness.chat(&warm, "hello").await.status, 200);

    in_the_store(harness.data.path(), "pools", BREAK);
    for _ in 0..5 {
        assert_eq!(harness.chat(&warm, "hello").await.status, 200);
    }
    harness.chat(&cold, "hello").await.openai_error(503, Some("store_unavailable"));
    harness.get("/pools").await.admin_error(503, ErrorCode::Unavailable);
    let health: Health = harness.get("/health").await.json(200);
    assert_eq!((health.status, health.store.status), (HealthStatus::Failing, HealthStatus::Failing));
    assert!(health.store.message.is_some());
    assert_eq!(health.ledger.status, HealthStatus::Ok);

    in_the_store(harness.data.path(), "pools", REPAIR);
    assert_eq!(harness.chat(&cold, "hello").await.status, 200);
    assert_eq!(harness.get("/health").await.json::<Health>(200).status, HealthStatus::Ok);
    assert_eq!(harness.pool_stats(&warm).await.total.successes, 6);
}

#[tokio::test]
async fn inline_media_of_100_mib_reach_gemini() {
    let harness = Harness::start().await;
    let pool = harness.weighted_pool("prod", &[("good", Behaviour::Ok, 1)]).await;
    let open = harness.patch(&format!("/pools/{}", pool.id), &json!({"pass_through": true})).await;
    assert_eq!(open.status, 200, "{}", open.body);
    // The start of a picture, 100 MiB in total.
    let picture = ["iVBORw0KGgo", &"A".repeat(139_810_136 - 13), "=="].concat();
    let url = format!("data:image/png;base64,{picture}");
    let asked = json!({"model": contract::harness::MODEL, "messages": [{"role": "user", "content": [
        {"type": "text", "text": "what is it"}, {"type": "image_url", "image_url": {"url": url}}]}]});
    let native = json!({"contents": [{"role": "user", "parts": [
        {"text": "what is it"}, {"inlineData": {"mimeType": "image/png", "data": picture}}]}]});
    for (path, body) in [
        ("/v1/chat/completions".to_owned(), asked),
        (format!("/v1beta/models/{}:generateContent", contract::harness::MODEL), native),
    ] {
        harness.gemini.reset();
        let answer = send(harness.call(&pool, &path, &body)).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        let got = &harness.gemini.requests()[0].body;
        assert!(got.len() > picture.len() && got.contains("AAAA=="), "{path}: {}", got.len());
    }
}

#[tokio::test]
async fn the_readiness_probe_shows_a_failing_store() {
    let harness = Harness::start().await;
    let is = async |path: &str, status: u16| {
        let answer = send(harness.request(reqwest::Method::GET, path)).await;
        (answer.status == status).then_some(())
    };
    let rename = |from: &str, to: &str| {
        let statement = format!("ALTER TABLE secrets RENAME COLUMN {from} TO {to}");
        in_the_store(harness.data.path(), "pools", &statement);
    };
    is("/readyz", 200).await.unwrap();
    rename("sealed", "broken");
    contract::harness::eventually("it is not ready", async || is("/readyz", 503).await).await;
    is("/healthz", 200).await.unwrap();
    rename("broken", "sealed");
    contract::harness::eventually("it is ready again", async || is("/readyz", 200).await).await;
}

#[tokio::test]
async fn a_migration_without_a_second_store_is_rejected() {
    let harness = Harness::start().await;
    let error =
        harness.post("/migration", &json!({"to": "kv"})).await.admin_error(400, ErrorCode::InvalidRequest);
    assert_eq!(error.message, "sqlite is the active store, and no second store is bound");
}

/// Creates a client key that is valid from `198.51.100.0/24` only.
async fn from_one_network(harness: &Harness) -> Pool {
    let pool = harness.pool(&[("good", Behaviour::Ok)]).await;
    let body = json!({"allowed_networks": ["198.51.100.0/24"]});
    let created = harness.post(&format!("/pools/{}/client-keys", pool.id), &body).await;
    let created: pool_shared::ClientKeyCreated = created.json(201);
    Pool { id: pool.id, client_key: created.secret.expose().to_owned() }
}

#[tokio::test]
async fn forwarded_addresses_of_untrusted_peers_are_ignored() {
    let harness = Harness::start().await;
    let client = from_one_network(&harness).await;
    for name in ["cf-connecting-ip", "x-forwarded-for", "x-real-ip"] {
        let call =
            harness.call(&client, "/v1/chat/completions", &prompt("hello")).header(name, "198.51.100.7");
        send(call).await.openai_error(403, Some("address_not_allowed"));
    }
}

#[tokio::test]
async fn forwarded_addresses_of_trusted_proxies_are_used() {
    let mut harness = Harness::start().await;
    let client = from_one_network(&harness).await;
    harness.stop_host().await;
    let host = host::Host::start_behind(harness.gemini.url(), harness.data.path(), "127.0.0.0/8").await;
    harness.put_host(host);
    let call = async |name: &str, value: &str| {
        send(harness.call(&client, "/v1/chat/completions", &prompt("hello")).header(name, value)).await
    };
    assert_eq!(call("x-forwarded-for", "192.0.2.1, 198.51.100.7").await.status, 200);
    assert_eq!(call("forwarded", "for=198.51.100.7").await.status, 200);
    for (name, value) in [
        ("x-forwarded-for", "198.51.100.7, 192.0.2.1"),
        ("x-forwarded-for", "unknown"),
        ("x-real-ip", "198.51.100.7"),
    ] {
        call(name, value).await.openai_error(403, Some("address_not_allowed"));
    }
    // Login attempts are counted by client address.
    let guess = async |from: &str| {
        let login = harness.request(reqwest::Method::POST, "/admin/v1/login").header("x-forwarded-for", from);
        send(login.json(&json!({"password": "a wrong one"}))).await.status
    };
    let mut answers = Vec::new();
    for _ in 0..7 {
        answers.push(guess("203.0.113.1").await);
    }
    assert!(answers.contains(&429), "{answers:?}");
    assert_eq!(guess("203.0.113.2").await, 401);
}

/// Returns all ciphertexts in the store.
fn encrypted_texts(harness: &Harness) -> Vec<String> {
    let database = rusqlite::Connection::open(harness.data.path().join("pool.db")).unwrap();
    let all = "SELECT sealed FROM keys UNION SELECT data_key FROM pools UNION SELECT sealed FROM secrets";
    let mut all = database.prepare(all).unwrap();
    all.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
}

/// Rotates the master key to the end.
async fn rotate(harness: &Harness, mut request: serde_json::Value) {
    for _ in 0..1_000 {
        let step: MasterKeyRotation = harness.post("/master/rotate", &request).await.json(200);
        let Some(cursor) = step.cursor else { return };
        request["cursor"] = json!(cursor);
    }
    unreachable!("a rotation ends")
}

/// Returns how many of the texts are still in a file, at least in part.
fn remains(harness: &Harness, texts: &[String]) -> usize {
    const PIECE: usize = 20;
    let files: Vec<_> =
        files_below(harness.data.path()).iter().map(|path| std::fs::read(path).unwrap()).collect();
    let is_there = |piece: &[u8]| files.iter().any(|file| memchr::memmem::find(file, piece).is_some());
    // The first bytes name the encryption and are the same for many.
    let left = |text: &&String| text.as_bytes().rchunks_exact(PIECE).take(3).any(is_there);
    texts.iter().filter(left).count()
}

#[tokio::test]
async fn no_file_keeps_ciphertext_from_before_a_rotation() {
    let mut harness = Harness::start().await;
    let pool = harness.weighted_pool("prod", &[("good", Behaviour::Ok, 1)]).await;
    let second = harness.weighted_pool("second", &[("other", Behaviour::Ok, 1)]).await;
    for pool in [&pool, &second] {
        let keys: Vec<_> =
            (0..200).map(|number| json!({"key": format!("AIzaSyRotated-{number:026}")})).collect();
        let import = harness.post(&format!("/pools/{}/keys/import", pool.id), &json!({"keys": keys})).await;
        assert_eq!(import.json::<KeyImportReport>(200).added, 200);
    }
    // Deleted and replaced values must not remain either.
    let replaced = encrypted_texts(&harness);
    harness.delete(&format!("/pools/{}", second.id)).await.no_content();
    harness.restart_with_master_key(NEW_MASTER_KEY, Some(MASTER_KEY)).await;
    rotate(&harness, json!({})).await;
    let before = encrypted_texts(&harness);
    rotate(&harness, json!({"data_keys": true})).await;
    let now = encrypted_texts(&harness);
    let old: Vec<_> = replaced.into_iter().chain(before).filter(|text| !now.contains(text)).collect();
    assert!(old.len() > 400, "{}", old.len());
    assert!(remains(&harness, &now) > 200, "what is in use is found");
    assert_eq!(remains(&harness, &old), 0, "of {}", old.len());
    harness.stop_host().await;
    assert_eq!(remains(&harness, &old), 0);
}
