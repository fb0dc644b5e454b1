//! What goes where: nothing of the client's to Gemini but what it said, no secret into a file.

use std::fs;
use std::path::{Path, PathBuf};

use pool_fake_gemini::{Behaviour, Credential};
use pool_shared::{ClientKeyCreated, ClientKeyList, ErrorCode, Scope};
use pool_worker::admin;
use reqwest::Method;
use serde_json::json;

use super::world::{EMBEDDING_MODEL, Pool, World, files_below, gemini_key, prompt, send};
use crate::support::{ADMIN_PASSWORD, MASTER_KEY};

/// The headers that an upstream call may have: what HTTP needs, the body's type, the one credential,
/// and the name of the deployment's zone, which Cloudflare adds to whatever a Worker fetches.
const UPSTREAM_HEADERS: [&str; 7] =
    ["accept", "accept-encoding", "cf-worker", "content-length", "content-type", "host", "x-goog-api-key"];

pub async fn one_credential_and_nothing_of_the_client_s_goes_upstream(world: &World) {
    let pool = world.pool(&[("good", Behaviour::Ok)]).await;
    let dressed = |method: Method, path: &str| {
        let request =
            world.request(method, &format!("{path}?key=query&trace=1")).bearer_auth(&pool.client_key);
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

    let requests = world.gemini.requests();
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

pub async fn nothing_stored_or_logged_holds_a_secret(world: &mut World) {
    let keys = [("bad", Behaviour::Suspended, 1), ("good", Behaviour::Ok, 0), ("cut", Behaviour::Cut, 0)];
    let pool = world.weighted_pool("prod", &keys).await;
    // Every kind of trouble that could make somebody write down what it was about.
    for _ in 0..5 {
        world.chat(&pool, "hello").await;
        world.stream(&pool, "hello").await.rest().await;
    }
    let wrong = Pool { id: pool.id.clone(), client_key: format!("{}x", pool.client_key) };
    world.chat(&wrong, "hello").await.openai_error(401, Some("invalid_api_key"));
    let malformed = format!("{} {}", gemini_key("good"), ADMIN_PASSWORD);
    let login = json!({"password": ADMIN_PASSWORD, "expires_in_s": 0});
    world.post("/login", &login).await.admin_error(400, ErrorCode::InvalidRequest);
    world.post(&format!("/pools/{}/keys/import", pool.id), &json!({"keys": [{"key": malformed}]})).await;

    // What admins do, with the answers of every route that shows something.
    let session = world.open_session().await;
    let token = world.scoped_token(&Scope::ALL, Some(&pool)).await;
    let path = format!("/pools/{}", pool.id);
    let rotated: ClientKeyList = world.get(&format!("{path}/client-keys")).await.json(200);
    let rotate = format!("{path}/client-keys/{}/rotate", rotated.client_keys[0].id);
    let rotated: ClientKeyCreated = world.post(&rotate, &json!({})).await.json(201);
    world.post(&format!("{path}/keys/check"), &json!({})).await;
    let wrong = format!("{ADMIN_PASSWORD} but wrong");
    world.post("/login", &json!({"password": wrong})).await.admin_error(401, ErrorCode::Unauthorized);
    let mut shown = Vec::new();
    for route in admin::ROUTES.iter().filter(|route| route.method == Method::GET) {
        let path = route.path.replace("{pool}", &pool.id);
        shown.push(send(world.request(Method::GET, &path).bearer_auth(&world.token)).await);
    }
    // A key in a model's place, of which Gemini knows nothing, and one in a path.
    let mut misplaced = prompt("hello");
    misplaced["model"] = json!(gemini_key("good"));
    world.call(&pool, "/v1/chat/completions", &misplaced).send().await.unwrap();
    let model = format!("/v1/models/{}", gemini_key("good"));
    world.request(Method::GET, &model).bearer_auth(&pool.client_key).send().await.unwrap();

    let cookie = session.split_once('=').unwrap().1;
    let mut secrets = vec![cookie.to_owned(), token, rotated.secret.expose().to_owned(), wrong];
    secrets.extend([
        pool.client_key.clone(),
        world.token.clone(),
        ADMIN_PASSWORD.to_owned(),
        MASTER_KEY.to_owned(),
    ]);
    secrets.extend(keys.map(|(name, ..)| gemini_key(name)));
    for answer in shown {
        assert_eq!(answer.status, 200, "{}", answer.body);
        let holds = |text: &str| secrets.iter().any(|secret| text.contains(secret.as_str()));
        assert!(!holds(&answer.body), "{}", answer.body);
        assert!(!answer.headers.values().any(|value| holds(value.to_str().unwrap())));
    }
    // Its reports have reached the ledger with this.
    assert!(world.pool_stats(&pool).await.total.requests >= 10);
    // While it runs, with what is still in write-ahead logs, and after it has ended.
    look_for(&secrets, world.data.path(), &pool);
    world.stop_host().await;
    look_for(&secrets, world.data.path(), &pool);
}

pub fn look_for(secrets: &[String], folder: &Path, pool: &Pool) {
    let files = files_below(folder);
    let holds = |file: &PathBuf, text: &str| {
        let bytes = fs::read(file).unwrap();
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    };
    // The config and the ledger are among these files, else this test would prove nothing.
    for known in [&pool.id, "CREATE TABLE pools", "CREATE TABLE ledger_pages", "\"plane\":\"data\""] {
        assert!(files.iter().any(|file| holds(file, known)), "no file holds {known}");
    }
    for file in &files {
        for secret in secrets {
            assert!(!holds(file, secret), "{} holds a secret", file.display());
        }
    }
}

pub async fn each_request_is_one_line_in_the_log(world: &mut World) {
    let pool = world.pool_with_reserve(Behaviour::Invalid, Behaviour::Ok).await;
    let whole = world.chat(&pool, "hello").await;
    let streamed = world.call(&pool, "/v1/chat/completions", &{
        let mut body = prompt("hello");
        body["stream"] = json!(true);
        body
    });
    let streamed = send(streamed).await;
    let unknown = send(world.request(Method::GET, "/v1/models").bearer_auth("sk-pool-unknown")).await;
    let admin = world.get("/pools").await;
    world.stop_host().await;
    for (answer, plane, status, class, attempts) in [
        (&whole, "data", 200, "ok", Some(2)),
        (&streamed, "data", 200, "ok", Some(1)),
        (&unknown, "data", 401, "invalid_api_key", None),
        (&admin, "admin", 200, "ok", None),
    ] {
        assert_eq!(answer.status, status);
        let lines = world.logged(&format!("\"request_id\":\"{}\"", answer.header("x-request-id")));
        assert_eq!(lines.len(), 1, "{lines:?}");
        let line = &lines[0];
        assert_eq!((line["plane"].as_str(), line["class"].as_str()), (Some(plane), Some(class)), "{line}");
        assert_eq!((line["status"].as_u64(), line["attempts"].as_u64()), (Some(status.into()), attempts));
        if attempts.is_some() {
            assert_eq!(line["pool"], pool.id);
            assert_eq!(line["model"], super::world::MODEL);
            assert!(line["prompt_tokens"].as_u64().unwrap() > 0 && line["ms"].is_u64(), "{line}");
            assert!(line["key"].as_str().unwrap().starts_with("key-"), "{line}");
        }
    }
}
