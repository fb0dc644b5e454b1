//! The data plane over a scripted Gemini: what a request costs, and what errors leave behind.

mod echoes;

use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use pool_shared::{LoginResponse, PoolCreated, Secret};

use crate::gateway::Reply;
use crate::platform::Egress;
use crate::platform::Platform;
use crate::platform::lock;
use crate::router::Service;
use crate::testing::{FakeHost, PASSWORD};
use pool_engine::ObservationKind;

pub(super) const ANSWER: &str = r#"{"candidates":[{"content":{"role":"model","parts":[{"text":"Hello"}]},"finishReason":"STOP"}],
    "usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":2,"totalTokenCount":5}}"#;
const MALFORMED: &str =
    r#"{"candidates":[{"content":{"role":"model"},"finishReason":"MALFORMED_FUNCTION_CALL"}]}"#;
pub(super) const MINUTE: &str = r#"{"error":{"code":429,"message":"You exceeded your current quota.","status":"RESOURCE_EXHAUSTED","details":[
    {"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[
        {"quotaId":"GenerateRequestsPerMinutePerProjectPerModel-FreeTier","quotaValue":"10"}]},
    {"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"20s"}]}}"#;
const INVALID_KEY: &str = r#"{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT","details":[
    {"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID","domain":"googleapis.com"}]}}"#;
const LOCATION: &str = r#"{"error":{"code":400,"message":"User location is not supported for the API use.","status":"FAILED_PRECONDITION"}}"#;

/// A service over fakes, with a pool.
pub(super) struct World {
    pub(super) host: FakeHost,
    pub(super) service: Arc<Service>,
    pub(super) admin: Secret,
    pub(super) pool: PoolCreated,
}

impl World {
    /// Returns a pool of `keys` keys with the given settings.
    pub(super) async fn new(keys: usize, settings: &str) -> Self {
        let host = FakeHost::new();
        let service = host.service();
        let login = format!(r#"{{"password":"{PASSWORD}"}}"#);
        let (_, body) =
            host.send(&service, Method::POST, "/admin/v1/login", &Secret::new("nobody"), &login).await;
        let login: LoginResponse = serde_json::from_str(&body).unwrap();
        let keys: Vec<String> = (0..keys).map(|key| format!(r#"{{"key":"AIzaSyA-{key:a>24}"}}"#)).collect();
        let create = format!(r#"{{"name":"prod","import":{{"keys":[{}]}}{settings}}}"#, keys.join(","));
        let (_, body) = host.send(&service, Method::POST, "/admin/v1/pools", &login.token, &create).await;
        let pool = serde_json::from_str(&body).unwrap();
        Self { host, service, admin: login.token, pool }
    }

    pub(super) fn script(&self, answers: &[(u16, &'static str)]) {
        for (status, body) in answers {
            self.host.parts.upstream.answer(*status, body);
        }
    }

    /// Returns a chat with one model, and what more there is to the request: `,"n":2`.
    pub(super) async fn chat(&self, model: &str, more: &str) -> (Reply<FakeHost>, String) {
        let body = format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"hi"}}]{more}}}"#);
        self.host
            .send(&self.service, Method::POST, "/v1/chat/completions", &self.pool.client_key, &body)
            .await
    }

    /// (key, path) of each call to Gemini.
    pub(super) fn calls(&self) -> Vec<(String, String)> {
        let requests = self.host.parts.upstream.requests.lock().unwrap();
        requests.iter().map(|request| (request.key.expose().to_owned(), request.path.clone())).collect()
    }
}

fn distinct_keys(calls: &[(String, String)]) -> usize {
    let mut keys: Vec<&String> = calls.iter().map(|(key, _)| key).collect();
    keys.sort_unstable();
    keys.dedup();
    keys.len()
}

#[tokio::test]
async fn four_attempts_cost_five_subrequests_cold_and_four_warm() {
    let world = World::new(10, "").await;
    world.script(&[(429, MINUTE), (429, MINUTE), (429, MINUTE), (200, ANSWER), (429, MINUTE)]);
    let before = world.host.store_calls();
    assert_eq!(world.chat("gemini-3.8-flash", "").await.0.status, StatusCode::OK);
    assert_eq!((world.host.store_calls() - before, world.calls().len()), (1, 4));
    assert_eq!(distinct_keys(&world.calls()), 4);
    assert_eq!(world.chat("gemini-3.8-flash", "").await.0.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!((world.host.store_calls() - before, world.calls().len()), (1, 8));
}

#[tokio::test]
async fn a_resting_pool_answers_without_asking_gemini_until_the_first_key_returns() {
    let world = World::new(2, "").await;
    world.script(&[(429, MINUTE), (429, MINUTE), (200, ANSWER)]);
    let (reply, body) = world.chat("gemini-3.8-flash", "").await;
    assert!(body.contains("rate_limit_exceeded"), "{body}");
    assert!(matches!(reply.headers["retry-after"].to_str(), Ok("20" | "21")));
    assert_eq!(world.chat("gemini-3.8-flash", "").await.0.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(world.calls().len(), 2);
    world.host.parts.clock.advance(Duration::from_secs(21));
    assert_eq!(world.chat("gemini-3.8-flash", "").await.0.status, StatusCode::OK);
}

#[tokio::test]
async fn what_is_learnt_outlives_the_snapshot() {
    let world = World::new(1, "").await;
    world.script(&[(429, MINUTE), (200, ANSWER)]);
    world.chat("gemini-3.8-flash", "").await;
    let path = format!("/admin/v1/pools/{}", world.pool.pool.id);
    let change = r#"{"description":"changed"}"#;
    world.host.send(&world.service, Method::PATCH, &path, &world.admin, change).await;
    assert_eq!(world.chat("gemini-3.8-flash", "").await.0.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(world.calls().len(), 1);
}

#[tokio::test]
async fn a_used_up_model_is_stood_in_for_and_the_caller_is_told() {
    let settings = r#","aliases":{"gpt-4o":"gemini-3.8-flash"},"fallbacks":{"gemini-3.8-flash":["gemini-3.5-flash-lite"]}"#;
    let world = World::new(1, settings).await;
    world.script(&[(429, MINUTE), (200, ANSWER)]);
    let (reply, body) = world.chat("gpt-4o", "").await;
    assert_eq!(
        (reply.status, &reply.headers["x-pool-model"]),
        (StatusCode::OK, &"gemini-3.5-flash-lite".parse().unwrap())
    );
    assert!(body.contains(r#""model":"gpt-4o""#), "{body}");
    let paths: Vec<String> = world.calls().into_iter().map(|(_, path)| path).collect();
    assert_eq!(
        paths,
        [
            "/v1beta/models/gemini-3.8-flash:generateContent",
            "/v1beta/models/gemini-3.5-flash-lite:generateContent"
        ]
    );
    let (reply, _) = world.chat("gemini-3.5-flash-lite", "").await;
    assert!(!reply.headers.contains_key("x-pool-model"), "it is what was asked for");
}

#[tokio::test]
async fn sticky_pools_send_a_conversation_to_one_key() {
    let world = World::new(20, r#","sticky":true"#).await;
    world.script(&[(200, ANSWER)]);
    for _ in 0..10 {
        world.chat("gemini-3.8-flash", r#","prompt_cache_key":"conversation""#).await;
    }
    assert_eq!(distinct_keys(&world.calls()), 1);
}

#[tokio::test]
async fn soft_failures_and_refused_places_are_tried_once_more_and_blame_nobody() {
    for (status, body, told) in [(200, MALFORMED, 502), (400, LOCATION, 403)] {
        let world = World::new(5, "").await;
        world.script(&[(status, body)]);
        let (reply, text) = world.chat("gemini-3.8-flash", "").await;
        assert_eq!((reply.status.as_u16(), world.calls().len()), (told, 2), "{text}");
        let learnt = lock(&world.service.state.pools.states)
            .drain_observations(crate::platform::Clock::now(&*world.host.parts.clock));
        let mut of_keys =
            learnt.iter().flat_map(|(_, facts)| facts).filter(|learnt| learnt.fact != ObservationKind::Used);
        assert_eq!(of_keys.next(), None);
    }
}

#[tokio::test]
async fn a_refused_place_is_gone_around_for_ten_minutes() {
    let world = World::new(3, "").await;
    world.host.parts.upstream.elsewhere.store(true, std::sync::atomic::Ordering::SeqCst);
    world.script(&[(400, LOCATION), (200, ANSWER)]);
    assert_eq!(world.chat("gemini-3.8-flash", "").await.0.status, StatusCode::OK);
    world.chat("gemini-3.8-flash", "").await;
    world.host.parts.clock.advance(Duration::from_mins(10));
    world.chat("gemini-3.8-flash", "").await;
    let requests = world.host.parts.upstream.requests.lock().unwrap();
    let places: Vec<Egress> = requests.iter().map(|request| request.egress).collect();
    assert_eq!(places, [Egress::Here, Egress::Elsewhere, Egress::Elsewhere, Egress::Here]);
}

#[tokio::test]
async fn the_refusal_of_one_stream_cools_the_key_for_the_next() {
    let world = World::new(2, "").await;
    world.script(&[(429, MINUTE), (200, "data: {}\n\n")]);
    world.chat("gemini-3.8-flash", r#","stream":true"#).await;
    world.chat("gemini-3.8-flash", r#","stream":true"#).await;
    let calls = world.calls();
    assert!(calls.iter().skip(1).all(|(key, _)| *key != calls[0].0), "{calls:?}");
}

#[tokio::test]
async fn the_host_says_how_many_keys_are_rechecked_at_a_time() {
    let world = World::new(12, "").await;
    world.script(&[(400, INVALID_KEY)]);
    for _ in 0..3 {
        world.chat("gemini-3.5-flash", "").await;
    }
    assert_eq!(distinct_keys(&world.calls()), 12);
    world.host.parts.clock.advance(Duration::from_mins(11));
    for checked in [FakeHost::CHECKS_AT_A_TIME, 12 - FakeHost::CHECKS_AT_A_TIME, 0] {
        world.host.parts.upstream.requests.lock().unwrap().clear();
        crate::health::recheck(&world.service.state, &world.host).await;
        assert_eq!(world.calls().len(), checked);
    }
}
