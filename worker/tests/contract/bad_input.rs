//! Invalid requests on both planes.

use pool_fake_gemini::Behaviour;
use pool_shared::{ErrorCode, KeyImportReport, TokenKind};
use reqwest::{Body, Method, RequestBuilder};
use serde_json::{Value, json};

use super::harness::{EMBEDDING_MODEL, Harness, MODEL, send};
use crate::host::BODY_LIMIT;

/// Maximum body of the admin API.
const ADMIN_BODY_LIMIT: usize = 32 * 1024 * 1024;

pub async fn an_invalid_json_body_is_rejected(harness: &Harness) {
    let pool = harness.pool(&[("good", Behaviour::Ok)]).await;
    for path in ["/v1/chat/completions", "/v1/embeddings"] {
        for body in ["", "not JSON", "{\"model\":", "[]", "null", "\u{fffd}"] {
            let request = harness.request(Method::POST, path).bearer_auth(&pool.client_key).body(body);
            let answer = send(request).await;
            assert_eq!(answer.status, 400, "{path} {body}: {}", answer.body);
            assert_eq!(answer.json::<Value>(400)["error"]["type"], "invalid_request_error");
        }
        let request = harness.request(Method::POST, path).bearer_auth(&pool.client_key);
        let message = send(request.body("{")).await.openai_error(400, None);
        assert!(message.contains("could not parse the JSON body"), "{message}");
    }
    let error = send(harness.admin(Method::POST, "/pools").body("{\"name\":")).await;
    let error = error.admin_error(400, ErrorCode::InvalidRequest);
    assert!(error.message.starts_with("the body is not JSON"), "{}", error.message);
    // An object is not accepted as an array of its values.
    let pool_path = format!("/pools/{}", pool.id);
    for (method, path, body) in [
        (Method::PATCH, pool_path.clone(), json!([null, null])),
        (Method::POST, "/pools".to_owned(), json!(["by position"])),
        (Method::POST, "/pools".to_owned(), json!({"name": "x", "import": [[{"key": "x"}]]})),
        (Method::POST, format!("{pool_path}/client-keys"), json!({"limits": [1, 2, 3, 4]})),
        (
            Method::POST,
            format!("{pool_path}/client-keys"),
            json!({"limits": {"requests_per_day": 1_u64 << 53}}),
        ),
        (Method::PATCH, pool_path, json!({"name": "x\n"})),
    ] {
        let answer = send(harness.admin(method, &path).json(&body)).await;
        answer.admin_error(400, ErrorCode::InvalidRequest);
    }
    assert_eq!(harness.tally("good").requests, 0);
}

pub async fn a_missing_field_is_named(harness: &Harness) {
    let pool = harness.pool(&[("good", Behaviour::Ok)]).await;
    let messages = json!([{"role": "user", "content": "hello"}]);
    for (path, body, missing) in [
        ("/v1/chat/completions", json!({"messages": messages}), "model"),
        ("/v1/chat/completions", json!({"messages": messages, "stream": true}), "model"),
        ("/v1/chat/completions", json!({"model": MODEL}), "messages"),
        ("/v1/embeddings", json!({"input": "hello"}), "model"),
        ("/v1/embeddings", json!({"model": EMBEDDING_MODEL}), "input"),
    ] {
        let answer = send(harness.call(&pool, path, &body)).await;
        let message = answer.openai_error(400, Some("missing_required_parameter"));
        assert!(message.contains(missing), "{message}");
        assert_eq!(answer.json::<Value>(400)["error"]["param"], missing);
    }
    assert_eq!(harness.tally("good").requests, 0);
}

pub async fn a_body_over_the_size_limit_is_rejected(harness: &Harness) {
    let pool = harness.pool(&[("good", Behaviour::Ok)]).await;
    // With a content length, and chunked.
    let whole = |limit: usize| Body::from(vec![b' '; limit + 1]);
    let pieces = |limit: usize| {
        let full = std::iter::repeat_n(1 << 20, limit >> 20);
        let lengths = full.chain([limit % (1 << 20) + 1]);
        let pieces = lengths.map(|length: usize| std::io::Result::Ok(vec![b' '; length]));
        Body::wrap_stream(futures_util::stream::iter(pieces))
    };
    for body in [whole(BODY_LIMIT), pieces(BODY_LIMIT)] {
        let request = harness.request(Method::POST, "/v1/chat/completions").bearer_auth(&pool.client_key);
        let message = send(request.body(body)).await.openai_error(413, Some("request_too_large"));
        assert!(message.contains(&BODY_LIMIT.to_string()), "{message}");
    }
    for body in [whole(ADMIN_BODY_LIMIT), pieces(ADMIN_BODY_LIMIT)] {
        let answer = send(harness.admin(Method::POST, "/pools").body(body)).await;
        answer.admin_error(413, ErrorCode::TooLarge);
    }
    // Within the limit the body is parsed.
    let mut longest = super::harness::prompt("hello").to_string().into_bytes();
    longest.resize(BODY_LIMIT, b' ');
    let request = harness.request(Method::POST, "/v1/chat/completions").bearer_auth(&pool.client_key);
    assert_eq!(send(request.body(longest)).await.status, 200);
    assert_eq!(harness.tally("good").requests, 1);
}

pub async fn a_large_body_of_an_unauthenticated_client_is_rejected(harness: &Harness) {
    let pool = harness.pool(&[("good", Behaviour::Ok)]).await;
    let unknown = TokenKind::AdminToken.generate(&[7; TokenKind::RANDOM_BYTES]);
    let import = json!({"keys": [{"key": "x".repeat(200 * 1024)}]}).to_string();
    let in_pieces = || {
        let pieces: Vec<_> = import.as_bytes().chunks(32 * 1024).map(<[u8]>::to_vec).collect();
        Body::wrap_stream(futures_util::stream::iter(pieces.into_iter().map(Ok::<_, std::io::Error>)))
    };
    let path = format!("/admin/v1/pools/{}/keys/import", pool.id);
    // The body of an authenticated client is read.
    for body in [Body::from(import.clone()), in_pieces()] {
        let request = harness.request(Method::POST, &path).bearer_auth(&harness.token).body(body);
        let report: KeyImportReport = send(request).await.json(200);
        assert_eq!((report.added, report.malformed.len()), (0, 1));
    }
    // The rest of any other body is not read, so the connection may close before the response.
    let is_refused = async |request: RequestBuilder| match request.header("connection", "close").send().await
    {
        Ok(response) => assert_eq!(response.status(), 401),
        Err(error) => assert!(error.is_request() && !error.is_timeout(), "{error:?}"),
    };
    for body in [Body::from(import.clone()), in_pieces()] {
        is_refused(harness.request(Method::POST, &path).bearer_auth(unknown.expose()).body(body)).await;
    }
    for body in [Body::from(import.clone()), in_pieces()] {
        is_refused(harness.request(Method::POST, &path).header("cookie", "unknown=1").body(body)).await;
    }
}

pub async fn every_other_size_limit_is_enforced(harness: &Harness) {
    let pool = harness.pool(&[("good", Behaviour::Ok)]).await;
    let nested = |depth: usize| format!("{{\"x\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    let ask = |path: &str| harness.request(Method::POST, path).bearer_auth(&pool.client_key);
    for path in ["/v1/chat/completions", "/v1/embeddings"] {
        for depth in [100, 100_000] {
            send(ask(path).body(nested(depth))).await.openai_error(400, Some("json_too_deep"));
        }
    }
    let error = send(harness.admin(Method::POST, "/pools").body(nested(100_000))).await;
    let error = error.admin_error(400, ErrorCode::InvalidRequest);
    assert!(error.message.contains("nested"), "{}", error.message);

    let many = |count: usize| vec![json!({"role": "user", "content": "x"}); count];
    let chat = json!({"model": MODEL, "messages": many(2_049)});
    let answer = send(ask("/v1/chat/completions").json(&chat)).await;
    answer.openai_error(400, Some("array_above_max_length"));
    // Compressed bodies are rejected.
    let encoded = |request: reqwest::RequestBuilder| request.header("content-encoding", "gzip").body("{}");
    send(encoded(ask("/v1/chat/completions"))).await.openai_error(415, Some("unsupported_encoding"));
    send(encoded(harness.admin(Method::POST, "/pools"))).await.admin_error(415, ErrorCode::InvalidRequest);
    let long = "x".repeat(9 * 1024);
    let answer = send(ask(&format!("/v1/chat/completions?{long}"))).await;
    answer.openai_error(414, Some("request_head_too_large"));
    harness.get(&format!("/pools?{long}")).await.admin_error(414, ErrorCode::TooLarge);
    // Bodies of unauthenticated clients are limited.
    let login = json!({"password": "x".repeat(17 * 1024)});
    harness.post("/login", &login).await.admin_error(413, ErrorCode::TooLarge);
    // Model names cannot leave their path segment.
    for model in ["../files", "x/../../v1beta/files", "x:predict", "x?key=1", "x%2f..", "x#"] {
        let chat = json!({"model": model, "messages": many(1)});
        let answer = send(ask("/v1/chat/completions").json(&chat)).await;
        answer.openai_error(404, Some("model_not_found"));
    }
    assert_eq!(harness.tally("good").requests, 0);
}
