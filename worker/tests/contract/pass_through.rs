//! Pass-through: native Gemini requests forwarded unchanged.

use pool_fake_gemini::{Behaviour, Credential, Scenario, Script};
use pool_shared::{Counters, KeyState, PoolCreated, PoolStats};
use reqwest::Method;
use serde_json::{Value, json};

use super::answer::Answer;
use super::client_keys::client_key;
use super::harness::{EMBEDDING_MODEL, Harness, MODEL, Pool, eventually, gemini_key, send};

const GENERATE: &str = "/v1beta/models/gemini-3.8-flash:generateContent";
const STREAM: &str = "/v1beta/models/gemini-3.8-flash:streamGenerateContent?alt=sse";
const CHAT: &str = "/v1beta/openai/chat/completions";

/// Creates a pool with pass-through.
pub(super) async fn open_pool(harness: &Harness, keys: &[(&str, Behaviour, u32)]) -> Pool {
    let pool = harness.weighted_pool("prod", keys).await;
    switch(harness, &pool, true).await;
    pool
}

pub(super) async fn switch(harness: &Harness, pool: &Pool, on: bool) {
    let changed: Value =
        harness.patch(&format!("/pools/{}", pool.id), &json!({"pass_through": on})).await.json(200);
    assert_eq!(changed["pass_through"], on);
}

/// Returns a native Gemini request.
pub(super) fn contents(text: &str) -> Value {
    json!({"contents": [{"role": "user", "parts": [{"text": text}]}]})
}

/// Returns a request to Google's OpenAI-compatible endpoint.
fn messages(text: &str) -> Value {
    json!({"model": MODEL, "messages": [{"role": "user", "content": text}]})
}

pub(super) async fn post(harness: &Harness, pool: &Pool, path: &str, body: &Value) -> Answer {
    send(harness.call(pool, path, body)).await
}

pub(super) async fn get(harness: &Harness, pool: &Pool, path: &str) -> Answer {
    send(harness.request(Method::GET, path).header("x-goog-api-key", &pool.client_key)).await
}

/// Returns the text of a response in either dialect.
#[track_caller]
fn said(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.body);
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    let text =
        body.pointer("/candidates/0/content/parts/0/text").or(body.pointer("/choices/0/message/content"));
    text.and_then(Value::as_str).unwrap_or_else(|| panic!("no text: {}", answer.body)).to_owned()
}

pub async fn request_and_response_bodies_are_forwarded_unchanged(harness: &Harness) {
    let pool = open_pool(harness, &[("good", Behaviour::Ok, 1)]).await;
    // Parsing and writing JSON would change all of these.
    let bodies = [
        (
            GENERATE,
            "\t{ \"contents\" :[ {\"parts\":[{\"text\":\"\\u0068\\/i \u{1F642} plain\"}]} ] ,\r\n\"generation_config\":{\"topP\":9.0e-1, \"temperature\":1.00} } \n",
        ),
        (
            STREAM,
            "{\"contents\":[{\"parts\":[{\"text\":\"streamed\"}]}],\"labels\":{\"b\":\"1\",\"a\":\"2\"}}",
        ),
        (
            CHAT,
            " {\"unknown\" : [1.0, {\"model\": 1}],\"\\u006dodel\": \"models\\/gemini-3.8-flash\", \"messages\":[{\"role\":\"user\",\"content\":\"plain\"}]}\n\n",
        ),
        (
            CHAT,
            "{\"stream\":true ,\"messages\":[{\"role\":\"user\",\"content\":\"streamed\"}],\"model\":\"gemini-3.8-flash\"}",
        ),
    ];
    let plain = ["{ \"odd\" : 1.0,\n\n \"odd\":[] , \"text\": \"\\u00e4 \u{1F642}\"}\n\t"];
    let streamed = [
        ": a comment\n\ndata: {\"half",
        "\": 1}\r\n\r\ndata: not JSON\n\n",
        "event: odd\rdata: {}\r\r",
        "the end",
    ];
    let script = |marker: &str, wire: &[&str]| Script {
        marker: Some(marker.to_owned()),
        wire: wire.iter().map(|text| (*text).to_owned()).collect(),
        ..Script::default()
    };
    let scenario = Scenario::with_keys([gemini_key("good")]);
    let scenario = scenario.script(script("plain", &plain)).script(script("streamed", &streamed));
    harness.gemini.set_scenario(scenario).unwrap();
    for (path, body) in bodies {
        let request = harness.request(Method::POST, path).header("x-goog-api-key", &pool.client_key);
        let answer = send(request.header("content-type", "application/json; charset=utf-8").body(body)).await;
        let (wire, kind) = if body.contains("plain") {
            (plain.concat(), "application/json; charset=UTF-8")
        } else {
            (streamed.concat(), "text/event-stream")
        };
        assert_eq!((answer.status, answer.body.as_str(), answer.header("content-type")), (200, &*wire, kind));
        assert!(answer.header("x-pool-key").starts_with("key-"));
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        let sent = harness.gemini.requests().pop().unwrap();
        assert_eq!(sent.body, body);
        let (asked, query) = path.split_once('?').unwrap_or((path, ""));
        assert_eq!((sent.path.as_str(), sent.query.as_str()), (asked, query));
        let credential = if path == CHAT { Credential::Authorization } else { Credential::Header };
        assert_eq!(sent.credentials, [credential]);
        assert!(
            !sent
                .header_names
                .iter()
                .any(|name| ["user-agent", "cookie", "x-goog-api-client"].contains(&&**name))
        );
    }
}

pub async fn pass_through_is_disabled_by_default(harness: &Harness) {
    let pool = harness.pool(&[("good", Behaviour::Ok)]).await;
    for on in [false, true, false] {
        switch(harness, &pool, on).await;
        let native = post(harness, &pool, GENERATE, &contents("hello")).await;
        let openai = post(harness, &pool, CHAT, &messages("hello")).await;
        if on {
            assert_eq!(
                (said(&native), said(&openai)),
                ("You said: hello".to_owned(), "You said: hello".to_owned())
            );
        } else {
            let message = native.gemini_error(403, "PERMISSION_DENIED", "PASS_THROUGH_OFF");
            assert!(message.contains("--pass-through on"), "{message}");
            openai.openai_error(403, Some("pass_through_off"));
        }
        assert_eq!(harness.chat(&pool, "hello").await.status, 200);
    }
    assert_eq!(harness.tally("good").requests, 5);
}

pub async fn keys_fail_over_in_both_dialects(harness: &Harness) {
    for (number, behaviour) in [
        Behaviour::Invalid,
        Behaviour::Suspended,
        Behaviour::ExhaustedDay,
        Behaviour::Close,
        Behaviour::BadGatewayHtml,
    ]
    .into_iter()
    .enumerate()
    {
        for (language, path, body) in
            [("native", GENERATE, contents("hello")), ("openai", CHAT, messages("hello"))]
        {
            harness.gemini.reset();
            let bad = format!("bad-{language}-{number}");
            let keys = [(bad.as_str(), behaviour, 1), ("good", Behaviour::Ok, 0)];
            let pool = harness.weighted_pool(&format!("{language} {number}"), &keys).await;
            switch(harness, &pool, true).await;
            let answer = post(harness, &pool, path, &body).await;
            assert_eq!((said(&answer).as_str(), answer.header("x-pool-attempts")), ("You said: hello", "2"));
            assert_eq!((harness.tally(&bad).requests, harness.tally("good").ok), (1, 1), "{behaviour:?}");
        }
    }
}

pub async fn an_invalid_request_gets_the_error_of_gemini_unchanged(harness: &Harness) {
    let pool = open_pool(harness, &[("one", Behaviour::Ok, 1), ("two", Behaviour::Ok, 1)]).await;
    let direct = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut unknown = messages("hello");
    unknown["model"] = json!("gpt-4o");
    for (path, body, status) in [
        (GENERATE, json!({"messages": []}), 400),
        ("/v1beta/models/gemini-0:generateContent", contents("hello"), 404),
        (GENERATE, json!([]), 400),
        (CHAT, json!({"model": MODEL, "messages": 1}), 400),
        (CHAT, unknown, 404),
        ("/v1beta/models/gemini-0:countTokens", contents("hello"), 404),
    ] {
        harness.gemini.reset();
        let answer = post(harness, &pool, path, &body).await;
        let unmodified = direct.post(format!("{}{path}", harness.gemini.url())).json(&body);
        let unmodified = if path == CHAT {
            unmodified.bearer_auth(gemini_key("one"))
        } else {
            unmodified.header("x-goog-api-key", gemini_key("one"))
        };
        let unmodified = send(unmodified).await;
        assert_eq!((answer.status, &answer.body), (status, &unmodified.body), "{path}");
        assert_eq!(answer.header("content-type"), unmodified.header("content-type"));
        assert!(!answer.header("x-request-id").is_empty());
        let counts = harness.gemini.counts();
        let asked = counts.served.iter().chain(&counts.probes).map(|line| line.tally.requests).sum::<u64>();
        assert_eq!(asked, 2, "once by the service, once here: {path}");
    }
    harness.gemini.fail_next(1, Behaviour::TooLarge);
    let answer = post(harness, &pool, GENERATE, &contents("hello")).await;
    assert_eq!((answer.status, answer.header("content-type")), (413, "text/html; charset=UTF-8"));
    assert!(answer.body.contains("413"), "{}", answer.body);
}

pub async fn an_auth_key_rejected_as_bearer_token_is_sent_in_the_other_header(harness: &Harness) {
    let auth_key = "AQ.Ab8RN6I-contract-1234567890";
    let body = json!({"name": "prod", "import": {"keys": [{"key": auth_key}]}});
    let pool = Pool::from(harness.post("/pools", &body).await.json::<PoolCreated>(201));
    switch(harness, &pool, true).await;
    let play = |auth_keys_as_bearer| {
        let scenario = Scenario { auth_keys_as_bearer, ..Scenario::with_keys([auth_key]) };
        harness.gemini.set_scenario(scenario).unwrap();
    };
    let credentials = || -> Vec<Credential> {
        harness.gemini.requests().into_iter().flat_map(|request| request.credentials).collect()
    };
    let (bearer, header) = (Credential::Authorization, Credential::Header);
    play(false);
    for _ in 0..2 {
        let answer = post(harness, &pool, CHAT, &messages("hello")).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    assert_eq!(get(harness, &pool, "/v1beta/openai/models").await.status, 200);
    assert_eq!(credentials(), [bearer, header, header, header], "the second request knows it");
    // A change of the endpoint back to bearer tokens is detected too.
    play(true);
    harness.gemini.reset();
    for _ in 0..2 {
        let answer = post(harness, &pool, CHAT, &messages("hello")).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    assert_eq!(credentials(), [header, bearer, bearer]);
    let keys = harness.keys(&pool).await;
    assert_eq!(keys[0].condition.state, KeyState::Healthy);
    // The native API accepts them in its own header in both cases.
    assert_eq!(post(harness, &pool, GENERATE, &contents("hello")).await.status, 200);
}

pub async fn errors_of_the_service_use_the_format_of_the_dialect(harness: &Harness) {
    let pool =
        open_pool(harness, &[("one", Behaviour::ExhaustedMinute, 1), ("two", Behaviour::ExhaustedMinute, 1)])
            .await;
    harness.gemini.clock().stop_at(1_800_000_020_500);
    let native = post(harness, &pool, GENERATE, &contents("hello")).await;
    native.gemini_error(429, "RESOURCE_EXHAUSTED", "RATE_LIMIT_EXCEEDED");
    let retry: Value = serde_json::from_str(&native.body).unwrap();
    assert!(retry["error"]["details"][1]["retryDelay"].as_str().unwrap().ends_with('s'), "{retry}");
    post(harness, &pool, CHAT, &messages("hello")).await.openai_error(429, Some("rate_limit_exceeded"));

    let unauthenticated = harness.request(Method::POST, GENERATE).header("x-goog-api-key", "sk-pool-wrong");
    send(unauthenticated).await.gemini_error(401, "UNAUTHENTICATED", "INVALID_API_KEY");
    let in_query = harness.request(Method::GET, &format!("/v1beta/models?key={}", pool.client_key));
    let message = send(in_query).await.gemini_error(401, "UNAUTHENTICATED", "INVALID_API_KEY");
    assert!(message.contains("x-goog-api-key") && !message.contains(&pool.client_key), "{message}");
    get(harness, &pool, "/v1beta/cachedContents").await.gemini_error(404, "NOT_FOUND", "UNKNOWN_URL");
    post(harness, &pool, CHAT, &json!({"model": 1})).await.openai_error(400, Some("invalid_value"));
    post(harness, &pool, CHAT, &json!({"messages": []}))
        .await
        .openai_error(400, Some("missing_required_parameter"));

    let limited = json!({"limits": {"tokens_per_day": 1_000_000}});
    let (limited, _) = client_key(harness, &pool, limited).await;
    let answer = post(harness, &limited, GENERATE, &contents("hello")).await;
    answer.gemini_error(403, "PERMISSION_DENIED", "TOKENS_NOT_COUNTED");
    post(harness, &limited, CHAT, &messages("hello")).await.openai_error(403, Some("tokens_not_counted"));
    let once = json!({"limits": {"requests_per_minute": 1}, "allowed_models": [MODEL]});
    let (once, _) = client_key(harness, &pool, once).await;
    harness.gemini.reset();
    let path = "/v1beta/models/gemini-2.5-flash:countTokens";
    let answer = post(harness, &once, path, &contents("hello")).await;
    answer.gemini_error(403, "PERMISSION_DENIED", "MODEL_NOT_ALLOWED");
    assert_eq!(answer.header("x-ratelimit-remaining-requests"), "0");
    let answer = post(harness, &once, GENERATE, &contents("hello")).await;
    answer.gemini_error(429, "RESOURCE_EXHAUSTED", "RATE_LIMIT_EXCEEDED");
    assert_eq!(harness.gemini.requests().len(), 0);
}

pub async fn attempts_are_counted_but_tokens_are_not(harness: &Harness) {
    let pool = open_pool(harness, &[("bad", Behaviour::Invalid, 1), ("good", Behaviour::Ok, 0)]).await;
    for (path, body) in [
        (GENERATE.to_owned(), contents("hello")),
        (STREAM.to_owned(), contents("hello")),
        (CHAT.to_owned(), messages("hello")),
        (
            format!("/v1beta/models/{EMBEDDING_MODEL}:embedContent"),
            json!({"content": {"parts": [{"text": "hello"}]}}),
        ),
        (
            format!("/v1beta/models/{EMBEDDING_MODEL}:batchEmbedContents"),
            json!({"requests": [{"model": format!("models/{EMBEDDING_MODEL}"), "content": {"parts": [{"text": "x"}]}}]}),
        ),
        ("/v1beta/openai/embeddings".to_owned(), json!({"model": EMBEDDING_MODEL, "input": "hello"})),
    ] {
        assert_eq!(post(harness, &pool, &path, &body).await.status, 200, "{path}");
    }
    assert_eq!(post(harness, &pool, GENERATE, &json!({})).await.status, 400);
    let stats: PoolStats = eventually("eight attempts", async || {
        Some(harness.pool_stats(&pool).await).filter(|stats| stats.total.attempts >= 8)
    })
    .await;
    let counted = Counters { attempts: 8, successes: 6, failures: 2, ..Counters::default() };
    assert_eq!(stats.total, counted);
    let mut models: Vec<_> =
        stats.models.iter().map(|row| (row.model.as_str(), row.counters.attempts)).collect();
    models.sort_unstable();
    assert_eq!(models, [(MODEL, 5), (EMBEDDING_MODEL, 3)]);
    let gemini = harness.gemini.counts().total();
    assert_eq!((gemini.requests, gemini.ok), (8, 6));
}

pub async fn a_truncated_response_stays_truncated(harness: &Harness) {
    let pool = open_pool(harness, &[("broken", Behaviour::Cut, 1), ("good", Behaviour::Ok, 0)]).await;
    for path in [STREAM, GENERATE] {
        // A broken connection is not reused.
        let request = harness.call(&pool, path, &contents("hello there")).header("connection", "close");
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 200);
        // Natively the connection breaks. The Workers runtime may end it cleanly; then the
        // response lacks its end.
        if let Ok(body) = answer.text().await {
            assert!(!body.contains("finishReason"), "{path}: {body}");
            assert!(!body.is_empty() && serde_json::from_str::<Value>(&body).is_err(), "{path}: {body}");
        }
    }
    // A response that has started cannot be retried.
    assert_eq!((harness.tally("broken").requests, harness.tally("good").requests), (2, 0));
}

pub async fn a_client_disconnect_ends_the_upstream_request(harness: &Harness) {
    let pool = open_pool(harness, &[("good", Behaviour::Ok, 1)]).await;
    harness.answer_without_end("good");
    let mut answer = harness.call(&pool, STREAM, &contents("hello")).send().await.unwrap();
    for _ in 0..3 {
        assert!(!answer.chunk().await.unwrap().unwrap().is_empty());
    }
    assert_eq!(harness.tally("good").in_flight, 1);
    drop(answer);
    eventually("the end of the upstream call", async || (harness.tally("good").left == 1).then_some(()))
        .await;
    // It is counted when its headers arrive.
    let total = eventually("the attempt", async || {
        Some(harness.pool_stats(&pool).await.total).filter(|total| total.attempts > 0)
    })
    .await;
    assert_eq!((total.attempts, total.successes, total.failures), (1, 1, 0));
}
