//! Tests of the mock Gemini server over real connections.

#![allow(
    clippy::unwrap_used,
    reason = "clippy.toml allows it in tests, but not in a test's own helper functions"
)]

use std::time::Duration;

use pool_fake_gemini::{
    Behaviour, Counts, Credential, Failure, FakeGemini, KeySpec, Limits, Scenario, Script, Tally, Tokens,
    Treatment,
};
use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const GOOD: &str = "AIza-good";
const MODEL: &str = "gemini-3.8-flash";

fn prompt(text: &str) -> Value {
    json!({"contents": [{"role": "user", "parts": [{"text": text}]}]})
}

async fn post(gemini: &FakeGemini, key: &str, call: &str, body: &Value) -> reqwest::Result<Response> {
    let url = format!("{}/v1beta/models/{call}", gemini.url());
    Client::new().post(url).header("x-goog-api-key", key).json(body).send().await
}

async fn generate(gemini: &FakeGemini, key: &str) -> (StatusCode, Value) {
    let response = post(gemini, key, "gemini-3.8-flash:generateContent", &prompt("hi there")).await.unwrap();
    (response.status(), response.json().await.unwrap())
}

async fn stream(gemini: &FakeGemini, key: &str) -> Response {
    post(gemini, key, "gemini-3.8-flash:streamGenerateContent?alt=sse", &prompt("hi there")).await.unwrap()
}

/// Returns the counts once no request is in flight. The server notices a disconnect a moment
/// later.
async fn settled(gemini: &FakeGemini) -> Counts {
    let idle = async {
        while gemini.counts().total().in_flight > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), idle).await.unwrap();
    gemini.counts()
}

#[tokio::test]
async fn a_chat_is_answered_and_counted() {
    let gemini = FakeGemini::start(Scenario::with_keys([GOOD])).await.unwrap();
    let (status, body) = generate(&gemini, GOOD).await;
    assert_eq!(status, 200);
    assert_eq!(body["candidates"][0]["content"]["parts"][0]["text"], "You said: hi there");
    let response = stream(&gemini, GOOD).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let text = response.text().await.unwrap();
    assert_eq!(text.matches("\r\n\r\n").count(), 4);
    let (status, body) = generate(&gemini, "AIza-unknown").await;
    assert_eq!((status.as_u16(), &body["error"]["details"][0]["reason"]), (400, &json!("API_KEY_INVALID")));
    let counts = gemini.counts();
    let tally = counts.key_model(GOOD, MODEL);
    assert_eq!((tally.requests, tally.ok, tally.tokens), (2, 2, Tokens { prompt: 4, completion: 8 }));
    assert_eq!(counts.key("AIza-unknown").refused[&400], 1);
}

#[tokio::test]
async fn exactly_one_credential_is_accepted() {
    let gemini = FakeGemini::start(Scenario::with_keys([GOOD])).await.unwrap();
    let url = format!("{}/v1beta/models", gemini.url());
    let get = |query: &str| Client::new().get(format!("{url}{query}"));
    assert_eq!(get("").send().await.unwrap().status(), 403);
    assert_eq!(get("").bearer_auth(GOOD).send().await.unwrap().status(), 401);
    assert_eq!(get("?key=AIza-good").send().await.unwrap().status(), 200);
    let both = get("?key=AIza-good").header("x-goog-api-key", GOOD).send().await.unwrap();
    assert_eq!(both.status(), 400);
    assert!(both.text().await.unwrap().contains("Multiple authentication credentials received."));
    let counts = gemini.counts();
    assert_eq!((counts.unauthenticated, counts.probes[0].tally.ok, counts.total()), (3, 1, Tally::default()));
    let recorded = gemini.requests();
    assert_eq!(recorded[3].credentials, [Credential::Header, Credential::Query]);
    assert_eq!((recorded[3].path.as_str(), recorded[3].query.as_str()), ("/v1beta/models", "key=AIza-good"));
}

#[tokio::test]
async fn models_are_listed_for_keys_without_quota() {
    let scenario = Scenario::default()
        .key(KeySpec::new("used-up", Behaviour::ExhaustedDay))
        .key(KeySpec::new("gone", Behaviour::Suspended));
    let gemini = FakeGemini::start(scenario).await.unwrap();
    let get = async |path: &str, key: &str| {
        let request = Client::new().get(format!("{}/v1beta/models{path}", gemini.url()));
        request.header("x-goog-api-key", key).send().await.unwrap()
    };
    let page: Value = get("?pageSize=5", "used-up").await.json().await.unwrap();
    assert_eq!(page["models"].as_array().unwrap().len(), 5);
    assert_eq!(get("/gemini-3.8-flash", "used-up").await.status(), 200);
    assert_eq!(get("/gemini-9", "used-up").await.status(), 404);
    assert_eq!(get("", "gone").await.status(), 403);
    assert_eq!(generate(&gemini, "used-up").await.0, 429);
}

#[tokio::test]
async fn invalid_requests_are_rejected() {
    let gemini = FakeGemini::start(Scenario::with_keys([GOOD])).await.unwrap();
    let message = async |call: &str, body: &'static str| {
        let url = format!("{}/v1beta/models/{call}", gemini.url());
        let response =
            Client::new().post(url).header("x-goog-api-key", GOOD).body(body).send().await.unwrap();
        let status = response.status().as_u16();
        let body: Value = response.json().await.unwrap();
        let body = if body.is_array() { body[0].clone() } else { body };
        (status, body["error"]["message"].as_str().unwrap().to_owned())
    };
    let (status, text) = message("gemini-3.8-flash:generateContent", "{oops").await;
    assert!(status == 400 && text.starts_with("Invalid JSON payload received. "), "{text}");
    let (status, text) = message("gemini-3.8-flash:streamGenerateContent", "{}").await;
    assert!(status == 400 && text.contains("contents is not specified"), "{text}");
    let (status, text) = message("gemini-9:generateContent", "{}").await;
    assert!(
        status == 404 && text.starts_with("models/gemini-9 is not found for API version v1beta"),
        "{text}"
    );
    let (status, text) = message("gemini-3.8-flash:embedContent", "{}").await;
    assert!(status == 404 && text.contains("not supported for embedContent"), "{text}");
    let nowhere = Client::new().get(format!("{}/v1/nothing", gemini.url())).send().await.unwrap();
    assert_eq!(nowhere.status(), 404);
}

#[tokio::test]
async fn quotas_hold_for_a_project_until_the_clock_moves() {
    let limits = Limits { requests_per_minute: Some(2), ..Limits::default() };
    let scenario = Scenario::default()
        .key(KeySpec::new("a", Behaviour::Ok).project("1"))
        .key(KeySpec::new("b", Behaviour::Ok).project("1"))
        .key(KeySpec::new("c", Behaviour::Ok))
        .limit(limits);
    let gemini = FakeGemini::start(scenario).await.unwrap();
    gemini.clock().stop_at(1_795_420_710_250);
    assert_eq!(generate(&gemini, "a").await.0, 200);
    assert_eq!(generate(&gemini, "b").await.0, 200);
    let (status, body) = generate(&gemini, "a").await;
    assert_eq!(status, 429);
    let details = &body["error"]["details"];
    assert_eq!(details[1]["violations"][0]["quotaValue"], "2");
    assert_eq!(details[2]["retryDelay"], "29s");
    assert!(body["error"]["message"].as_str().unwrap().ends_with("Please retry in 29.750s."));
    assert_eq!(generate(&gemini, "c").await.0, 200);
    gemini.clock().advance(Duration::from_millis(29_750));
    assert_eq!(generate(&gemini, "a").await.0, 200);
}

#[tokio::test]
async fn a_batch_of_embeddings_costs_one_request_for_each_item() {
    let limits = Limits { requests_per_minute: Some(2), ..Limits::default() };
    let gemini = FakeGemini::start(Scenario::with_keys([GOOD]).limit(limits)).await.unwrap();
    gemini.clock().stop_at(0);
    let item = json!({"model": "models/gemini-embedding-001", "content": {"parts": [{"text": "one two"}]},
                      "outputDimensionality": 4});
    let embed = async |items: usize| {
        let body = json!({"requests": vec![item.clone(); items]});
        post(&gemini, GOOD, "gemini-embedding-001:batchEmbedContents", &body).await.unwrap()
    };
    assert_eq!(embed(3).await.status(), 429);
    let body: Value = embed(2).await.json().await.unwrap();
    assert_eq!(body["embeddings"][0], body["embeddings"][1]);
    assert_eq!(body["embeddings"][0]["values"].as_array().unwrap().len(), 4);
    assert_eq!(body["usageMetadata"]["promptTokenCount"], 4);
    let tally = gemini.counts().key(GOOD);
    assert_eq!((tally.ok, tally.refused[&429], tally.tokens.prompt), (1, 1, 4));
}

#[tokio::test]
async fn connections_close_where_the_scenario_says() {
    let cut = Treatment { after_frames: 2, ..Behaviour::Cut.into() };
    let scenario =
        Scenario::default().key(KeySpec::new("cut", cut)).key(KeySpec::new("close", Behaviour::Close));
    let gemini = FakeGemini::start(scenario).await.unwrap();
    let mut response = stream(&gemini, "cut").await;
    let mut read = Vec::new();
    let error = loop {
        match response.chunk().await {
            Ok(Some(chunk)) => read.extend_from_slice(&chunk),
            Ok(None) => panic!("the stream ended cleanly"),
            Err(error) => break error,
        }
    };
    assert!(error.is_body() || error.is_decode(), "{error:?}");
    assert_eq!(String::from_utf8(read).unwrap().matches("\r\n\r\n").count(), 2);
    let half = post(&gemini, "cut", "gemini-3.8-flash:generateContent", &prompt("hi")).await.unwrap();
    assert_eq!(half.status(), 200);
    assert!(half.bytes().await.is_err());
    let closed = post(&gemini, "close", "gemini-3.8-flash:generateContent", &prompt("hi")).await;
    assert!(closed.unwrap_err().is_request());
    assert_eq!((gemini.counts().key("cut").cut, gemini.counts().key("close").cut), (2, 1));
}

#[tokio::test]
async fn every_event_is_an_http_chunk_of_its_own() {
    let gemini = FakeGemini::start(Scenario::with_keys([GOOD])).await.unwrap();
    let body = prompt("hi there").to_string();
    let mut socket = TcpStream::connect(gemini.url().trim_start_matches("http://")).await.unwrap();
    let request = format!(
        "POST /v1beta/models/{MODEL}:streamGenerateContent?alt=sse HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
         x-goog-api-key: {GOOD}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    let (_, chunks) = answer.split_once("\r\n\r\n").unwrap();
    assert_eq!(chunks.matches("\r\ndata: {").count(), 4, "one HTTP chunk for each event: {chunks}");
}

#[tokio::test]
async fn a_client_disconnect_is_counted() {
    let slow = Treatment { between_frames_ms: Some(3_600_000), ..Behaviour::Ok.into() };
    let scenario =
        Scenario::default().key(KeySpec::new("slow", slow)).key(KeySpec::new("mute", Behaviour::Silent));
    let gemini = FakeGemini::start(scenario).await.unwrap();
    let mut response = stream(&gemini, "slow").await;
    assert!(response.chunk().await.unwrap().is_some());
    assert_eq!(gemini.counts().key("slow").in_flight, 1);
    drop(response);
    let unanswered = generate(&gemini, "mute");
    let arrived = async {
        while gemini.counts().key("mute").in_flight == 0 {
            tokio::task::yield_now().await;
        }
    };
    let arrived = tokio::time::timeout(Duration::from_mins(1), arrived);
    tokio::select! {
        _ = unanswered => panic!("a silent key answered"),
        arrived = arrived => arrived.unwrap(),
    }
    let counts = settled(&gemini).await;
    assert_eq!((counts.key("slow").left, counts.key("mute").left), (1, 1));
}

#[tokio::test]
async fn scripts_are_played_byte_for_byte() {
    let events = ["data: {\"a\": 1}\r\n\r\n", "data: {\"b\": \"é\"}\r\n\r\n"].map(str::to_owned).to_vec();
    let script = Script { marker: Some("golden".into()), wire: events.clone(), ..Script::default() };
    let array = Script {
        header: Some("limited".into()),
        status: 429,
        wire: vec!["[{\"error\": {\"code\": 429}}]".into()],
        ..Script::default()
    };
    let gemini = FakeGemini::start(Scenario::with_keys([GOOD]).script(array).script(script)).await.unwrap();
    let call = "gemini-3.8-flash:streamGenerateContent?alt=sse";
    let played = post(&gemini, GOOD, call, &prompt("the golden one")).await.unwrap();
    assert_eq!(played.headers()["content-type"], "text/event-stream");
    assert_eq!(played.text().await.unwrap(), events.concat());
    let url = format!("{}/v1beta/models/{call}", gemini.url());
    let request = Client::new().post(url).header("x-goog-api-key", GOOD).header("x-fake-script", "limited");
    let limited = request.json(&prompt("hi")).send().await.unwrap();
    assert_eq!((limited.status().as_u16(), limited.text().await.unwrap().starts_with("[{")), (429, true));
    let tally = gemini.counts().key(GOOD);
    assert_eq!((tally.ok, tally.refused[&429], tally.left), (1, 1, 0));
}

#[tokio::test]
async fn failures_can_be_planned_and_keys_changed() {
    let gemini = FakeGemini::start(Scenario::with_keys(["a", "b"])).await.unwrap();
    gemini.fail_next(1, Behaviour::Overloaded);
    let behaviour = Behaviour::Internal.into();
    gemini.plan(Failure { count: 1, behaviour, key: Some("b".into()), model: None });
    assert_eq!(generate(&gemini, "a").await.0, 503);
    assert_eq!(generate(&gemini, "a").await.0, 200);
    assert_eq!(generate(&gemini, "b").await.0, 500);
    gemini.set_behaviour("a", Behaviour::Leaked).unwrap();
    assert_eq!(generate(&gemini, "a").await.0, 403);
    gemini.reset();
    assert_eq!(gemini.counts(), Counts::default());
    assert!(gemini.requests().is_empty());
}

#[tokio::test]
async fn other_processes_control_it_over_http() {
    let gemini = FakeGemini::start(Scenario::default()).await.unwrap();
    let client = Client::new();
    let fake = |path: &str| format!("{}/_fake/{path}", gemini.url());
    let send = async |path: &str, body: String| {
        let request = client.post(fake(path)).header("content-type", "application/json");
        request.body(body).send().await.unwrap().status().as_u16()
    };
    let file = include_str!("../../examples/scenario.toml");
    assert_eq!(send("scenario", file.to_owned()).await, 204);
    let json: Value = client.get(fake("scenario")).send().await.unwrap().json().await.unwrap();
    assert_eq!(send("scenario", json.to_string()).await, 204);
    assert_eq!(send("scenario", "keys = 3".into()).await, 400);
    let good = "AIzaSyFake-good-one-000000000000000000001";
    assert_eq!(send("fail", json!({"count": 1, "behaviour": "deadline"}).to_string()).await, 204);
    assert_eq!(generate(&gemini, good).await.0, 504);
    assert_eq!(send("behaviour", json!({"key": good, "behaviour": "expired"}).to_string()).await, 204);
    assert_eq!(generate(&gemini, good).await.0, 400);
    assert_eq!(send("clock", json!({"stop_at_unix_ms": 5}).to_string()).await, 200);
    assert_eq!(gemini.clock().unix_ms(), 5);
    let reading: Value = client.get(fake("clock")).send().await.unwrap().json().await.unwrap();
    assert_eq!(reading, json!({"unix_ms": 5}));
    let counts: Counts = client.get(fake("counts")).send().await.unwrap().json().await.unwrap();
    assert_eq!((counts.key(good).requests, counts.key(good).refusals()), (2, 2));
    assert_eq!(send("reset", String::new()).await, 204);
    assert_eq!(gemini.counts(), Counts::default());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_is_counted_exactly() {
    let scenario = Scenario::with_keys(["a", "b"]).key(KeySpec::new("c", Behaviour::Overloaded));
    let gemini = FakeGemini::start(scenario).await.unwrap();
    let client = Client::new();
    let tasks: Vec<_> = (0..300)
        .map(|number: usize| {
            let key = ["a", "b", "c"][number % 3];
            let call =
                if number.is_multiple_of(2) { "generateContent" } else { "streamGenerateContent?alt=sse" };
            let url = format!("{}/v1beta/models/{MODEL}:{call}", gemini.url());
            let request = client.post(url).header("x-goog-api-key", key).json(&prompt("x"));
            tokio::spawn(async move { request.send().await.unwrap().bytes().await.unwrap() })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let counts = gemini.counts();
    for key in ["a", "b"] {
        let tokens = Tokens { prompt: 100, completion: 300 };
        assert_eq!(
            (counts.key(key).requests, counts.key(key).ok, counts.key(key).tokens),
            (100, 100, tokens)
        );
    }
    assert_eq!((counts.key("c").requests, counts.key("c").refused[&503]), (100, 100));
}

#[tokio::test]
async fn dropping_it_closes_the_port() {
    let gemini = FakeGemini::start(Scenario::with_keys([GOOD])).await.unwrap();
    let address = gemini.url().trim_start_matches("http://").to_owned();
    let mut idle = TcpStream::connect(&address).await.unwrap();
    assert_eq!(generate(&gemini, GOOD).await.0, 200);
    drop(gemini);
    assert_eq!(idle.read(&mut [0; 1]).await.unwrap_or(0), 0);
    assert!(TcpStream::connect(&address).await.is_err());
}
