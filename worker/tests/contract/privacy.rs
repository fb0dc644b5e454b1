//! Privacy: no client data in upstream headers, no secret in files or logs.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pool_fake_gemini::{Behaviour, Credential};
use pool_shared::{
    ClientKeyCreated, ClientKeyImportReport, ClientKeyList, ErrorCode, EventList, ExportedKeys,
    MasterKeyRotation, Scope, TokenKind,
};
use pool_worker::admin;
use reqwest::Method;
use serde_json::json;

use super::answer::Answer;
use super::harness::{EMBEDDING_MODEL, Harness, MODEL, Pool, gemini_key, in_the_store, prompt, send};
use super::secret_scan::SecretScan;
use crate::STORED;
use crate::support::{ADMIN_PASSWORD, MASTER_KEY, NEW_MASTER_KEY};

/// Allowed headers of upstream requests: those of HTTP, the body's type, the credential, and the
/// zone name that Cloudflare adds to every fetch of a Worker.
const UPSTREAM_HEADERS: [&str; 7] =
    ["accept", "accept-encoding", "cf-worker", "content-length", "content-type", "host", "x-goog-api-key"];

pub async fn exactly_one_credential_and_no_client_header_is_sent_upstream(harness: &Harness) {
    let pool = harness.pool(&[("good", Behaviour::Ok)]).await;
    let dressed = |method: Method, path: &str| {
        let request =
            harness.request(method, &format!("{path}?key=query&trace=1")).bearer_auth(&pool.client_key);
        request
            .header("x-api-key", &pool.client_key)
            .header("x-goog-api-key", &pool.client_key)
            .header("cookie", "session=1")
            .header("user-agent", "OpenAI/Python")
            .header("x-forwarded-for", "192.0.2.1")
            .header("x-stainless-os", "Linux")
            .header("openai-organization", "org-1")
            .header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    };
    let mut streamed = prompt("hello");
    streamed["stream"] = json!(true);
    for (path, body) in [
        ("/v1/chat/completions", prompt("hello")),
        ("/v1/chat/completions", streamed),
        ("/v1/embeddings", json!({"model": EMBEDDING_MODEL, "input": "hello"})),
    ] {
        let answer = send(dressed(Method::POST, path).json(&body)).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    assert_eq!(send(dressed(Method::GET, "/v1/models")).await.status, 200);

    let requests = harness.gemini.requests();
    assert_eq!(requests.len(), 4);
    for request in requests {
        assert_eq!(request.credentials, [Credential::Header]);
        let names: Vec<_> = request.header_names.iter().map(String::as_str).collect();
        let foreign: Vec<_> = names.iter().filter(|name| !UPSTREAM_HEADERS.contains(*name)).collect();
        assert!(foreign.is_empty(), "{} has {foreign:?}", request.path);
        assert!(!request.query.contains("key=") && !request.query.contains("trace"), "{}", request.query);
        assert!(!request.body.contains(&pool.client_key));
    }
}

pub async fn nothing_stored_or_logged_holds_a_secret(harness: &mut Harness) {
    let keys = [("bad", Behaviour::Suspended, 1), ("good", Behaviour::Ok, 0), ("cut", Behaviour::Cut, 0)];
    let pool = harness.weighted_pool("prod", &keys).await;
    let mut secrets = vec![ADMIN_PASSWORD.to_owned(), harness.token.clone(), pool.client_key.clone()];
    secrets.extend(keys.map(|(name, ..)| gemini_key(name)));
    for key in [MASTER_KEY, NEW_MASTER_KEY] {
        secrets.extend([key.to_owned(), String::from_utf8(STANDARD.decode(key).unwrap()).unwrap()]);
    }
    trouble_with_secrets(harness, &pool, &mut secrets).await;
    let shown = secrets_of_admins(harness, &pool, &mut secrets).await;
    for answer in shown {
        assert_eq!(answer.status, 200, "{}", answer.body);
        let holds = |text: &str| secrets.iter().any(|secret| text.contains(secret.as_str()));
        assert!(!holds(&answer.body), "{}", answer.body);
        assert!(!answer.headers.values().any(|value| holds(value.to_str().unwrap())));
    }
    // This reports its counts to the ledger.
    assert!(harness.pool_stats(&pool).await.total.attempts >= 10);

    harness.restart_with_master_key(NEW_MASTER_KEY, Some(MASTER_KEY)).await;
    harness.post("/master/rotate", &json!({})).await.json::<MasterKeyRotation>(200);
    assert_eq!(harness.chat(&pool, "hello").await.status, 200);
    // While it runs, including write-ahead logs, and after its end.
    look_for(&secrets, harness.data.path(), &pool);
    harness.stop_host().await;
    look_for(&secrets, harness.data.path(), &pool);
}

/// Causes every kind of error that could log its input.
async fn trouble_with_secrets(harness: &Harness, pool: &Pool, secrets: &mut Vec<String>) {
    for _ in 0..5 {
        harness.chat(pool, "hello").await;
        harness.stream(pool, "hello").await.rest().await;
    }
    let wrong = Pool { id: pool.id.clone(), client_key: format!("{}x", pool.client_key) };
    harness.chat(&wrong, "hello").await.openai_error(401, Some("invalid_api_key"));
    let malformed = format!("{} {}", gemini_key("good"), ADMIN_PASSWORD);
    let login = json!({"password": ADMIN_PASSWORD, "expires_in_s": 0});
    harness.post("/login", &login).await.admin_error(400, ErrorCode::InvalidRequest);
    harness.post(&format!("/pools/{}/keys/import", pool.id), &json!({"keys": [{"key": malformed}]})).await;
    let wrong = format!("{ADMIN_PASSWORD} but wrong");
    harness.post("/login", &json!({"password": wrong})).await.admin_error(401, ErrorCode::Unauthorized);
    // A key in place of an unknown model, and one in a path.
    let mut misplaced = prompt("hello");
    misplaced["model"] = json!(gemini_key("good"));
    harness.call(pool, "/v1/chat/completions", &misplaced).send().await.unwrap();
    let model = format!("/v1/models/{}", gemini_key("good"));
    harness.request(Method::GET, &model).bearer_auth(&pool.client_key).send().await.unwrap();
    // URLs of pictures may grant access and must not be logged.
    let signature = "signature-of-a-picture-that-is-not-public";
    let settings = json!({"translation": {"fetch_media": true}});
    harness.patch(&format!("/pools/{}", pool.id), &settings).await;
    let url = format!("https://127.0.0.1/cat.png?signature={signature}");
    let image = json!({"type": "image_url", "image_url": {"url": url}});
    let body = json!({"model": MODEL, "messages": [{"role": "user", "content": [image]}]});
    send(harness.call(pool, "/v1/chat/completions", &body))
        .await
        .openai_error(400, Some("invalid_image_url"));
    secrets.extend([wrong, signature.to_owned()]);
}

/// Uses the admin API, and reads every route that shows something.
async fn secrets_of_admins(harness: &Harness, pool: &Pool, secrets: &mut Vec<String>) -> Vec<Answer> {
    let path = format!("/pools/{}", pool.id);
    let session = harness.open_session().await;
    let (_, cookie) = session.split_once('=').unwrap();
    let token = harness.scoped_token(&Scope::ALL, Some(pool)).await;
    let listed: ClientKeyList = harness.get(&format!("{path}/client-keys")).await.json(200);
    let rotate = format!("{path}/client-keys/{}/rotate", listed.client_keys[0].id);
    let rotated: ClientKeyCreated = harness.post(&rotate, &json!({})).await.json(201);
    let own = TokenKind::ClientKey.generate(&[7; TokenKind::RANDOM_BYTES]);
    let weak = "a-client-key-of-another-system";
    let imported = json!({"keys": [{"key": own.expose()}, {"key": weak}]});
    let imported = harness.post(&format!("{path}/client-keys/import"), &imported).await;
    assert_eq!(imported.json::<ClientKeyImportReport>(200).added, 2);
    let client = Pool { id: pool.id.clone(), client_key: weak.to_owned() };
    assert_eq!(harness.chat(&client, "hello").await.status, 200);
    harness.post(&format!("{path}/keys/check"), &json!({})).await;
    let exported: ExportedKeys = harness.post(&format!("{path}/keys/export"), &json!({})).await.json(200);
    assert!(exported.keys.iter().any(|key| key.entry.key.expose() == gemini_key("good")));
    secrets.extend([cookie, &token, rotated.secret.expose(), own.expose(), weak].map(str::to_owned));
    let mut shown = Vec::new();
    for route in admin::ROUTES.iter().filter(|route| route.method == Method::GET) {
        let path = route.path.replace("{pool}", &pool.id);
        shown.push(send(harness.request(Method::GET, &path).bearer_auth(&harness.token)).await);
    }
    shown
}

pub fn look_for(secrets: &[String], folder: &Path, pool: &Pool) {
    let scan = SecretScan::of(folder);
    // The scan covers config and ledger; otherwise it would prove nothing.
    for known in [&pool.id, "CREATE TABLE pools", "CREATE TABLE ledger_pages", "\"plane\":\"data\""] {
        assert!(!scan.places_of(known).is_empty(), "nothing holds {known}");
    }
    for part in STORED {
        assert!(scan.places_of(&pool.id).iter().any(|place| place.contains(part)), "nothing is in {part}");
    }
    scan.assert_free_of(secrets);
}

pub async fn ciphertext_moved_to_another_row_fails_to_decrypt(harness: &mut Harness) {
    let one =
        harness.weighted_pool("one", &[("first", Behaviour::Ok, 1), ("second", Behaviour::Ok, 1)]).await;
    let two = harness.weighted_pool("two", &[("third", Behaviour::Ok, 1)]).await;
    let asked = harness.gemini.requests().len();
    let [first, second, third] = ["first", "second", "third"].map(|name| format!("name = '{name}'"));
    let (in_one, in_two) = (format!("id = '{}'", one.id), format!("id = '{}'", two.id));
    let mut back = String::new();
    for (table, column, row, other, pools, code) in [
        ("keys", "sealed", &first, &second, vec![&one], "no_usable_key"),
        ("keys", "sealed", &first, &third, vec![&two], "no_usable_key"),
        ("pools", "data_key", &in_one, &in_two, vec![&one, &two], "not_set_up"),
    ] {
        let swapped = swap(table, column, row, other);
        change_store(harness, &format!("{back}{swapped}")).await;
        back = swapped;
        // On KV the data plane sees it once it is published, which an update does.
        let change = json!({"description": format!("{column} of {other}")});
        harness.patch(&format!("/pools/{}", one.id), &change).await;
        harness.patch(&format!("/pools/{}", two.id), &change).await;
        for pool in pools {
            harness.chat(pool, "hello").await.openai_error(503, Some(code));
            if column == "sealed" {
                let events: EventList = harness.get(&format!("/events?pool={}", pool.id)).await.json(200);
                assert!(events.events.last().unwrap().message.contains("does not decrypt"), "{events:?}");
            }
        }
        assert_eq!(harness.gemini.requests().len(), asked, "{table} {row}");
    }
    change_store(harness, &back).await;
    harness.patch(&format!("/pools/{}", one.id), &json!({"description": ""})).await;
    for pool in [&one, &two] {
        assert_eq!(harness.chat(pool, "hello").await.status, 200);
    }
}

async fn change_store(harness: &mut Harness, statements: &str) {
    harness.stop_host().await;
    in_the_store(harness.data.path(), "admin_tokens", statements);
    harness.start_host().await;
}

/// Swaps the values of a column between two rows.
fn swap(table: &str, column: &str, row: &str, other: &str) -> String {
    let value = |row: &str| format!("(SELECT {column} FROM before WHERE {row})");
    let (there, here) = (value(other), value(row));
    format!(
        "CREATE TEMP TABLE before AS SELECT * FROM {table};
        UPDATE {table} SET {column} = {there} WHERE {row};
        UPDATE {table} SET {column} = {here} WHERE {other};
        DROP TABLE before;"
    )
}

pub async fn each_request_is_one_log_line(harness: &mut Harness) {
    let pool = harness.pool_with_reserve(Behaviour::Invalid, Behaviour::Ok).await;
    let whole = harness.chat(&pool, "hello").await;
    let streamed = harness.call(&pool, "/v1/chat/completions", &{
        let mut body = prompt("hello");
        body["stream"] = json!(true);
        body
    });
    let streamed = send(streamed).await;
    let unknown = send(harness.request(Method::GET, "/v1/models").bearer_auth("sk-pool-unknown")).await;
    let admin = harness.get("/pools").await;
    harness.stop_host().await;
    for (answer, plane, status, class, attempts) in [
        (&whole, "data", 200, "ok", Some(2)),
        (&streamed, "data", 200, "ok", Some(1)),
        (&unknown, "data", 401, "invalid_api_key", None),
        (&admin, "admin", 200, "ok", None),
    ] {
        assert_eq!(answer.status, status);
        let lines = harness.logged(&format!("\"request_id\":\"{}\"", answer.header("x-request-id")));
        assert_eq!(lines.len(), 1, "{lines:?}");
        let line = &lines[0];
        assert_eq!((line["plane"].as_str(), line["class"].as_str()), (Some(plane), Some(class)), "{line}");
        assert_eq!((line["status"].as_u64(), line["attempts"].as_u64()), (Some(status.into()), attempts));
        if attempts.is_some() {
            assert_eq!(line["pool"], pool.id);
            assert_eq!(line["model"], MODEL);
            assert!(line["prompt_tokens"].as_u64().unwrap() > 0 && line["ms"].is_u64(), "{line}");
            assert!(line["key"].as_str().unwrap().starts_with("key-"), "{line}");
        }
    }
}
