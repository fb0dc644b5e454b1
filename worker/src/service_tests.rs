//! The service over fakes: when it reads the store, what it does when the store or the ledger fails,
//! and that counts are exact.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::{Method, StatusCode};
use pool_shared::{
    AttemptOutcome, EventList, Health, HealthStatus, LoginResponse, PoolCreated, PoolStats, Secret, Stats,
    StatsStep,
};

use crate::gateway::Reply;
use crate::ledger::Counted;
use crate::platform::Clock;
use crate::router::Service;
use crate::testing::{FakeHost, MASTER_KEY, Mode, PASSWORD};

mod bounds;
mod client_keys;
mod clock;
mod master_key;
mod multi_instance;
mod outages;

/// Another one than [`MASTER_KEY`].
const NEW_MASTER_KEY: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
const CHAT: &str = r#"{"model":"gemini-3.8-flash","messages":[{"role":"user","content":"hi"}]}"#;
const ANSWER: &str = r#"{"candidates":[{"content":{"role":"model","parts":[{"text":"Hello"}]},"finishReason":"STOP"}],
    "usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":2,"totalTokenCount":5},"modelVersion":"gemini-3.8-flash"}"#;
const USED_UP: &str = r#"{"error":{"code":429,"message":"You exceeded your current quota.","status":"RESOURCE_EXHAUSTED",
    "details":[{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[
        {"quotaId":"GenerateRequestsPerDayPerProjectPerModel-FreeTier","quotaValue":"50"}]}]}}"#;
const BAD_KEY: &str = r#"{"error":{"code":400,"message":"API key not valid.","status":"INVALID_ARGUMENT","details":[
    {"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID","domain":"googleapis.com"}]}}"#;

/// A host, a service on it, an admin token and a pool of two keys.
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

    /// How many round trips to the store the next chat takes.
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
async fn counts_survive_a_ledger_that_fails_before_and_after_its_write() {
    let world = World::new().await;
    for mode in [Mode::Fails, Mode::FailsAfterwards] {
        world.host.parts.ledger.switch.set(mode);
        world.chat().await;
        // The ledger does not answer; the wait before the next try never ends on this clock.
        let flush = world.service.flush(&world.host);
        assert!(futures_util::poll!(std::pin::pin!(flush)).is_pending());
    }
    world.host.parts.ledger.switch.set(Mode::Works);
    world.wait(1);
    world.service.flush(&world.host).await;
    assert!(world.service.is_flushed());
    assert_eq!(world.stats().await.total.attempts, 2);
}

#[tokio::test]
async fn a_ledger_that_never_answers_is_given_five_seconds_and_asked_again() {
    let world = World::new().await;
    world.service.flush(&world.host).await;
    world.chat().await;
    let ledger = &world.host.parts.ledger;
    ledger.switch.set(Mode::Silent);
    {
        let mut flush = std::pin::pin!(world.service.flush(&world.host));
        assert!(futures_util::poll!(&mut flush).is_pending());
        assert_eq!(world.chat().await, StatusCode::OK, "nobody waits for the ledger");
        world.wait(5);
        ledger.switch.set(Mode::Works);
        assert!(futures_util::poll!(&mut flush).is_pending(), "it rests after a failure");
        assert_eq!(world.service.state.reporter.waiting(), Counted { attempts: 2, requests: 2 });
        world.wait(1);
        assert!(futures_util::poll!(&mut flush).is_ready());
    }
    let stats = world.stats().await;
    assert_eq!(
        (world.service.state.reporter.waiting(), stats.total.attempts, stats.requests.total),
        (Counted::default(), 2, 2)
    );
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
    assert!(message.starts_with("takes no reports since ") && message.contains("1 requests"), "{message}");
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
async fn several_ledgers_share_the_pools_and_their_answers_add_up() {
    let world = World::new().await;
    world.service.flush(&world.host).await;
    let sharded = world.host.service_with_ledger_shards("3");
    let mut client_keys = vec![world.pool.client_key.clone()];
    for name in ["two", "three", "four", "five", "six"] {
        let create = format!(
            r#"{{"name":"{name}","import":{{"keys":[{{"key":"AIzaSyA-{name}aaaaaaaaaaaaaaaaaaaaaaaa"}}]}}}}"#
        );
        let (_, body) =
            world.host.send(&sharded, Method::POST, "/admin/v1/pools", &world.admin, &create).await;
        client_keys.push(serde_json::from_str::<PoolCreated>(&body).unwrap().client_key);
    }
    for key in &client_keys {
        world.host.send(&sharded, Method::POST, "/v1/chat/completions", key, CHAT).await;
    }
    world.host.parts.upstream.answer(400, BAD_KEY);
    for _ in 0..2 {
        world.host.send(&sharded, Method::POST, "/v1/chat/completions", &client_keys[0], CHAT).await;
    }
    let get = async |path: &str| world.host.send(&sharded, Method::GET, path, &world.admin, "").await.1;
    let stats: Stats = serde_json::from_str(&get("/admin/v1/stats").await).unwrap();
    assert_eq!((stats.pools.len(), stats.total.attempts >= 7), (6, true));
    assert_eq!(stats.activity.rates.rpm_now, stats.total.attempts);
    assert!(world.host.parts.ledger.shards_used() > 1);
    let events: EventList = serde_json::from_str(&get("/admin/v1/events").await).unwrap();
    assert!(!events.events.is_empty(), "a refused key is an event");
    assert_eq!(events.cursor.split('-').count(), 3);
    let next = get(&format!("/admin/v1/events?after={}", events.cursor)).await;
    assert_eq!(serde_json::from_str::<EventList>(&next).unwrap().events, []);
    world.host.send(&sharded, Method::POST, "/admin/v1/stats/reset", &world.admin, "").await;
    let stats: Stats = serde_json::from_str(&get("/admin/v1/stats").await).unwrap();
    assert_eq!(stats.total.attempts, 0);
}

#[tokio::test]
async fn a_pool_s_statistics_are_shown_by_outcome_and_step_and_can_be_reset() {
    let world = World::new().await;
    let upstream = &world.host.parts.upstream;
    upstream.answer(400, BAD_KEY);
    upstream.answer(200, ANSWER);
    for _ in 0..2 {
        world.chat().await;
    }
    let path = format!("/admin/v1/pools/{}/stats", world.pool.pool.id);
    let get = async |query: &str| {
        let (reply, body) =
            world.host.send(&world.service, Method::GET, &format!("{path}{query}"), &world.admin, "").await;
        assert_eq!(reply.status, StatusCode::OK, "{body}");
        serde_json::from_str::<PoolStats>(&body).unwrap()
    };
    let ever = get("").await;
    assert_eq!((ever.window, ever.series.len()), (None, 0));
    assert_eq!(ever.activity.outcomes, [(AttemptOutcome::Ok, 2), (AttemptOutcome::Key, 1)].into());
    assert_eq!(ever.outcomes[0].counters.prompt_tokens, 6);
    assert_eq!(ever.activity.latency.total.unwrap().count, 2);
    assert!(ever.keys.iter().all(|key| key.last_used == Some(world.host.parts.clock.now())));
    for (query, points, requests) in [
        ("?step=minute", 1, 3),
        ("?step=hour", 1, 3),
        ("?step=day", 1, 3),
        ("?since=2026-11-23T11:00:00Z", 1, 3),
        ("?since=2026-11-23T11:00:00Z&until=2026-11-23T12:00:00Z", 0, 0),
        ("?since=2026-01-01T00:00:00Z", 1, 3),
    ] {
        let stats = get(query).await;
        assert_eq!((stats.series.len(), stats.total.attempts), (points, requests), "{query}");
    }
    let window = get("?since=2026-11-01T12:00:00Z").await.window.unwrap();
    assert_eq!(window.step, StatsStep::Hour, "the finest step that goes back so far");
    for query in ["?step=week", "?since=yesterday", "?since=2026-11-23T11:00:00Z&until=2026-11-23T10:00:00Z"]
    {
        let path = format!("{path}{query}");
        let (reply, _) = world.host.send(&world.service, Method::GET, &path, &world.admin, "").await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{query}");
    }

    let (reply, _) =
        world.host.send(&world.service, Method::POST, &format!("{path}/reset"), &world.admin, "").await;
    assert_eq!((reply.status, get("").await.total.attempts), (StatusCode::NO_CONTENT, 0));
    assert_eq!(world.chat().await, StatusCode::OK, "nothing else was touched");
}

/// Sending is cut off at any await, the ledger fails in every way, time passes: whatever is counted or
/// lost at the end is what was attempted.
mod cut_off {
    use std::task::{Context, Waker};

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Chat,
        /// Somebody sends, and is ended after so many polls.
        Flush(usize),
        Ledger(Mode),
        Wait(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        let mode = prop_oneof![
            3 => Just(Mode::Works),
            1 => Just(Mode::Fails),
            1 => Just(Mode::FailsAfterwards),
            1 => Just(Mode::Silent),
        ];
        prop_oneof![
            4 => Just(Step::Chat),
            4 => (1_usize..8).prop_map(Step::Flush),
            2 => mode.prop_map(Step::Ledger),
            2 => (0_u64..7).prop_map(Step::Wait),
        ]
    }

    fn poll_so_often(future: impl Future, polls: usize) {
        let mut future = std::pin::pin!(future);
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..polls {
            if future.as_mut().poll(&mut context).is_ready() {
                return;
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn no_attempt_vanishes(steps in proptest::collection::vec(step(), 1..60)) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let world = runtime.block_on(World::new());
            world.host.parts.ledger.pauses.store(true, Ordering::SeqCst);
            let mut chats = 0;
            for step in steps {
                match step {
                    Step::Chat => {
                        runtime.block_on(world.chat());
                        chats += 1;
                    }
                    Step::Flush(polls) => poll_so_often(world.service.flush(&world.host), polls),
                    Step::Ledger(mode) => world.host.parts.ledger.switch.set(mode),
                    Step::Wait(seconds) => world.wait(seconds),
                }
            }
            world.host.parts.ledger.switch.set(Mode::Works);
            for _ in 0..10 {
                world.wait(5);
                poll_so_often(world.service.flush(&world.host), 1_000);
            }
            prop_assert!(world.service.is_flushed());
            world.host.parts.ledger.pauses.store(false, Ordering::SeqCst);
            let stats = runtime.block_on(world.stats());
            // What was given up may have been applied all the same, what it told of lost attempts included.
            let lost = world.service.state.reporter.lost();
            prop_assert!(stats.lost >= lost.attempts && stats.lost_requests >= lost.requests);
            prop_assert!(stats.total.attempts <= chats && chats <= stats.total.attempts + stats.lost);
            let requests = stats.requests.total;
            prop_assert!(requests <= chats && chats <= requests + stats.lost_requests);
        }
    }
}

#[tokio::test]
async fn what_cannot_be_reported_in_time_is_counted_as_lost() {
    let world = World::new().await;
    world.host.parts.ledger.switch.set(Mode::Fails);
    world.chat().await;
    assert!(futures_util::poll!(std::pin::pin!(world.service.flush(&world.host))).is_pending());
    world.wait(25);
    world.host.parts.ledger.switch.set(Mode::Works);
    let stats = world.stats().await;
    assert_eq!((stats.total.attempts, stats.lost), (0, 1));
    assert_eq!((stats.requests.total, stats.lost_requests), (0, 1));
    assert_eq!(world.service.state.reporter.lost(), Counted { attempts: 1, requests: 1 });
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
