//! The service over fakes: when it reads the store, and what it does when the store or the ledger
//! fails.

use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use pool_shared::{Health, HealthStatus, LoginResponse, PoolCreated, Secret, Stats};

use crate::gateway::Reply;
use crate::platform::Clock;
use crate::router::Service;
use crate::testing::{FakeHost, MASTER_KEY, Mode, PASSWORD};

mod bounds;
mod client_keys;
mod clock;
mod counting;
mod master_key;
mod multi_instance;
mod outages;

/// A second master key.
const NEW_MASTER_KEY: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
const CHAT: &str = r#"{"model":"gemini-3.8-flash","messages":[{"role":"user","content":"hi"}]}"#;
const ANSWER: &str = r#"{"candidates":[{"content":{"role":"model","parts":[{"text":"Hello"}]},"finishReason":"STOP"}],
    "usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":2,"totalTokenCount":5},"modelVersion":"gemini-3.8-flash"}"#;
const USED_UP: &str = r#"{"error":{"code":429,"message":"You exceeded your current quota.","status":"RESOURCE_EXHAUSTED",
    "details":[{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[
        {"quotaId":"GenerateRequestsPerDayPerProjectPerModel-FreeTier","quotaValue":"50"}]}]}}"#;
const BAD_KEY: &str = r#"{"error":{"code":400,"message":"API key not valid.","status":"INVALID_ARGUMENT","details":[
    {"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID","domain":"googleapis.com"}]}}"#;

/// A host, a service on it, an admin token, and a pool of two keys.
struct World {
    host: FakeHost,
    service: Arc<Service>,
    admin: Secret,
    pool: PoolCreated,
}

impl World {
    async fn new() -> Self {
        let host = FakeHost::new();
        let service = host.service();
        let nobody = Secret::new("nobody");
        let login = format!(r#"{{"password":"{PASSWORD}"}}"#);
        let (_, body) = host.send(&service, Method::POST, "/admin/v1/login", &nobody, &login).await;
        let login: LoginResponse = serde_json::from_str(&body).unwrap();
        let create = r#"{"name":"prod","import":{"keys":[
            {"key":"AIzaSyA-aaaaaaaaaaaaaaaaaaaaaaaa"},{"key":"AIzaSyA-bbbbbbbbbbbbbbbbbbbbbbbb"}]}}"#;
        let (_, body) = host.send(&service, Method::POST, "/admin/v1/pools", &login.token, create).await;
        let pool = serde_json::from_str(&body).unwrap();
        host.parts.upstream.answer(200, ANSWER);
        Self { host, service, admin: login.token, pool }
    }

    async fn chat_on(&self, service: &Arc<Service>) -> (Reply<FakeHost>, String) {
        self.host.send(service, Method::POST, "/v1/chat/completions", &self.pool.client_key, CHAT).await
    }

    async fn chat(&self) -> StatusCode {
        self.chat_on(&self.service).await.0.status
    }

    async fn stats(&self) -> Stats {
        let (_, body) = self.host.send(&self.service, Method::GET, "/admin/v1/stats", &self.admin, "").await;
        serde_json::from_str(&body).unwrap()
    }

    async fn health(&self) -> Health {
        let (_, body) = self.host.send(&self.service, Method::GET, "/admin/v1/health", &self.admin, "").await;
        serde_json::from_str(&body).unwrap()
    }

    /// Returns the number of round trips to the store during the next chat.
    async fn store_calls_of_a_chat(&self) -> u64 {
        let before = self.host.store_calls();
        assert_eq!(self.chat().await, StatusCode::OK);
        self.host.store_calls() - before
    }

    fn wait(&self, seconds: u64) {
        self.host.parts.clock.advance(Duration::from_secs(seconds));
    }

    fn store(&self, mode: Mode) {
        self.host.parts.database.switch.set(mode);
    }
}

#[tokio::test]
async fn a_cold_request_reads_the_store_once_and_a_warm_one_never() {
    let world = World::new().await;
    assert_eq!(world.store_calls_of_a_chat().await, 1);
    assert_eq!(world.store_calls_of_a_chat().await, 0);
    world.wait(9);
    assert_eq!(world.store_calls_of_a_chat().await, 0);
}

#[tokio::test]
async fn past_its_soft_age_a_pool_is_checked_behind_one_request() {
    let world = World::new().await;
    world.chat().await;
    world.wait(10);
    let (reply, _) = world.chat_on(&world.service).await;
    assert_eq!(reply.background.refresh.as_ref(), Some(&world.pool.pool.id));
    let (second, _) = world.chat_on(&world.service).await;
    assert_eq!(second.background.refresh, None, "one request is enough to check it");
    let before = world.host.store_calls();
    world.service.run_background(&world.host, reply.background).await;
    assert_eq!(world.host.store_calls() - before, 1);
    world.wait(9);
    assert_eq!(world.chat_on(&world.service).await.0.background.refresh, None, "it is fresh again");
}

#[tokio::test]
async fn a_client_key_revoked_elsewhere_stops_working_within_thirty_seconds() {
    let world = World::new().await;
    let elsewhere = world.host.service();
    assert_eq!(world.chat_on(&elsewhere).await.0.status, StatusCode::OK);
    let path = format!("/admin/v1/pools/{}", world.pool.pool.id);
    world.host.send(&world.service, Method::DELETE, &path, &world.admin, "").await;
    assert_eq!(world.chat().await, StatusCode::UNAUTHORIZED, "at once where it was revoked");
    world.wait(29);
    assert_eq!(world.chat_on(&elsewhere).await.0.status, StatusCode::OK, "from memory for a while");
    world.wait(1);
    assert_eq!(world.chat_on(&elsewhere).await.0.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_failing_store_stops_no_warm_pool_and_is_no_verdict_on_a_client_key() {
    let world = World::new().await;
    world.chat().await;
    world.store(Mode::Fails);
    world.wait(599);
    assert_eq!(world.chat().await, StatusCode::OK, "ten minutes from memory");
    world.wait(1);
    assert_eq!(world.chat().await, StatusCode::SERVICE_UNAVAILABLE);
    let cold = world.host.service();
    assert_eq!(world.chat_on(&cold).await.0.status, StatusCode::SERVICE_UNAVAILABLE, "503, never 401");
    world.store(Mode::Works);
    assert_eq!(world.chat().await, StatusCode::OK);
}

#[tokio::test]
async fn an_unknown_client_key_is_asked_for_once() {
    let world = World::new().await;
    let unknown = pool_shared::TokenKind::ClientKey.generate(&[7; pool_shared::TokenKind::RANDOM_BYTES]);
    let before = world.host.store_calls();
    for _ in 0..5 {
        let reply =
            world.host.send(&world.service, Method::POST, "/v1/chat/completions", &unknown, CHAT).await.0;
        assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
    }
    let mistyped = Secret::new(format!("{}x", unknown.expose()));
    world.host.send(&world.service, Method::POST, "/v1/chat/completions", &mistyped, CHAT).await;
    assert_eq!(world.host.store_calls() - before, 1);
}

#[tokio::test]
async fn a_bad_key_costs_an_attempt_and_nothing_else() {
    let world = World::new().await;
    let upstream = &world.host.parts.upstream;
    upstream.answer(400, BAD_KEY);
    upstream.answer(200, ANSWER);
    assert_eq!((world.chat().await, world.chat().await), (StatusCode::OK, StatusCode::OK));
    let requests = upstream.requests.lock().unwrap().clone();
    assert_eq!(requests.len(), 3);
    assert_ne!(requests[1].key, requests[2].key, "never one key twice for one request");
    assert_eq!(requests[1].body, requests[2].body, "translated once");
    let stats = world.stats().await;
    assert_eq!((stats.total.attempts, stats.total.successes, stats.total.failures), (3, 2, 1));
    assert_eq!((stats.total.prompt_tokens, stats.total.completion_tokens), (6, 4));
}

#[tokio::test]
async fn health_tells_of_a_failing_ledger_and_of_what_waits() {
    let world = World::new().await;
    world.chat().await;
    world.host.parts.ledger.switch.set(Mode::Fails);
    let health = world.health().await;
    assert_eq!((health.status, health.ledger.status), (HealthStatus::Failing, HealthStatus::Failing));
    assert!(health.ledger.message.unwrap().ends_with("1 requests and 1 attempts are pending in memory"));
    assert_eq!(health.ledger_load, None);
    world.host.parts.ledger.switch.set(Mode::Works);
    world.wait(1);
    let health = world.health().await;
    assert_eq!((health.status, health.ledger_load.unwrap().reports), (HealthStatus::Ok, 1));
}

#[tokio::test]
async fn health_tells_of_a_ledger_that_answers_and_takes_no_reports() {
    let world = World::new().await;
    world.service.flush(&world.host).await;
    world.chat().await;
    let ledger = &world.host.parts.ledger.switch;
    ledger.set(Mode::Fails);
    world.service.state.reporter.flush_once(&world.host).await;
    ledger.set(Mode::Works);
    let health = world.health().await;
    assert_eq!((health.status, health.ledger.status), (HealthStatus::Degraded, HealthStatus::Degraded));
    let message = health.ledger.message.unwrap();
    assert!(message.starts_with("accepts no reports since ") && message.contains("1 requests"), "{message}");
    world.wait(1);
    world.service.flush(&world.host).await;
    assert_eq!(world.health().await.status, HealthStatus::Ok);
}

#[tokio::test]
async fn what_one_isolate_learnt_another_one_heeds_after_its_next_report() {
    let world = World::new().await;
    let elsewhere = world.host.service();
    let upstream = &world.host.parts.upstream;
    assert_eq!(world.chat_on(&elsewhere).await.0.status, StatusCode::OK);
    upstream.answer(429, USED_UP);
    upstream.answer(200, ANSWER);
    assert_eq!(world.chat().await, StatusCode::OK, "the first answer of the script");
    assert_eq!(world.chat().await, StatusCode::OK, "one key is used up for the day, the other one answers");
    let refused = upstream.requests.lock().unwrap()[2].key.clone();
    world.service.flush(&world.host).await;
    elsewhere.flush(&world.host).await;
    upstream.requests.lock().unwrap().clear();
    for _ in 0..20 {
        assert_eq!(world.chat_on(&elsewhere).await.0.status, StatusCode::OK);
    }
    let asked = upstream.requests.lock().unwrap();
    assert!(asked.len() == 20 && asked.iter().all(|request| request.key != refused));
}

#[tokio::test]
async fn a_refused_key_is_tried_again_on_schedule_and_comes_back() {
    let world = World::new().await;
    let upstream = &world.host.parts.upstream;
    world.chat().await;
    upstream.answer(400, BAD_KEY);
    upstream.answer(200, ANSWER);
    world.chat().await;
    world.chat().await;
    let refused = upstream.requests.lock().unwrap()[2].key.clone();
    let asked_again = |world: &World| {
        let requests = world.host.parts.upstream.requests.lock().unwrap();
        requests.iter().skip(3).filter(|request| request.key == refused).count()
    };
    world.service.run_maintenance(&world.host).await;
    assert_eq!(asked_again(&world), 0, "not before its time");
    world.wait(600);
    world.service.run_maintenance(&world.host).await;
    assert_eq!(asked_again(&world), 1, "after ten minutes it is tried again, and Gemini takes it");
    for _ in 0..20 {
        assert_eq!(world.chat().await, StatusCode::OK);
    }
    assert!(asked_again(&world) > 1, "it serves again");
    assert_eq!(world.stats().await.total.attempts, 4 + 1 + 20, "the try is an attempt like any other");
}

#[tokio::test]
async fn a_pool_changed_elsewhere_is_checked_after_the_next_report() {
    let world = World::new().await;
    world.service.flush(&world.host).await;
    let elsewhere = world.host.service();
    world.chat_on(&elsewhere).await;
    elsewhere.flush(&world.host).await;
    assert_eq!(world.chat_on(&elsewhere).await.0.background.refresh, None);

    let path = format!("/admin/v1/pools/{}", world.pool.pool.id);
    world.host.send(&world.service, Method::PATCH, &path, &world.admin, r#"{"description":"new"}"#).await;
    world.service.flush(&world.host).await;
    elsewhere.flush(&world.host).await;
    let reply = world.chat_on(&elsewhere).await.0;
    assert_eq!(reply.background.refresh.as_ref(), Some(&world.pool.pool.id), "within seconds, not ten");
}

#[tokio::test]
async fn an_expired_admin_token_is_told_apart_from_a_wrong_one() {
    let world = World::new().await;
    let login = format!(r#"{{"password":"{PASSWORD}","expires_in_s":60}}"#);
    let (_, body) =
        world.host.send(&world.service, Method::POST, "/admin/v1/login", &world.admin, &login).await;
    let short: LoginResponse = serde_json::from_str(&body).unwrap();
    assert_eq!(short.expires_at, world.host.parts.clock.now() + Duration::from_mins(1));
    world.wait(60);
    let (reply, body) =
        world.host.send(&world.service, Method::GET, "/admin/v1/whoami", &short.token, "").await;
    assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
    assert!(body.contains("expired"), "{body}");
}
