//! Limits of client keys, corrected by Gemini's counts and shared between instances; and the cost
//! of a client key's lookup.

use http::Method;
use pool_shared::{ClientKeyCreated, Secret};

use super::*;

impl World {
    async fn admin_on(&self, service: &Arc<Service>, path: &str, body: &str) -> serde_json::Value {
        let path = format!("/admin/v1{path}");
        let (_, body) = self.host.send(service, Method::POST, &path, &self.admin, body).await;
        serde_json::from_str(&body).unwrap()
    }

    async fn client_key(&self, rules: &str) -> Secret {
        let path = format!("/pools/{}/client-keys", self.pool.pool.id);
        let created = self.admin_on(&self.service, &path, rules).await;
        serde_json::from_value::<ClientKeyCreated>(created).unwrap().secret
    }

    async fn chat_with(&self, service: &Arc<Service>, key: &Secret) -> Reply<FakeHost> {
        self.host.send(service, Method::POST, "/v1/chat/completions", key, CHAT).await.0
    }
}

fn left(reply: &Reply<FakeHost>, what: &str) -> u64 {
    reply.headers[&format!("x-ratelimit-remaining-{what}")].to_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn tokens_count_as_gemini_counted_them() {
    let world = World::new().await;
    let key = world.client_key(r#"{"limits":{"tokens_per_day":1000}}"#).await;
    let first = left(&world.chat_with(&world.service, &key).await, "tokens");
    let second = left(&world.chat_with(&world.service, &key).await, "tokens");
    // Each is estimated while it runs; the first one leaves 5 tokens when it ends.
    assert_eq!(first - second, 5);
    assert!(first < 995);
}

#[tokio::test]
async fn what_one_isolate_lets_in_counts_in_the_others() {
    let world = World::new().await;
    let key = world.client_key(r#"{"limits":{"requests_per_minute":3,"tokens_per_day":1000}}"#).await;
    let elsewhere = world.host.service();
    for _ in 0..2 {
        assert_eq!(world.chat_with(&world.service, &key).await.status, StatusCode::OK);
    }
    let before = world.chat_with(&elsewhere, &key).await;
    assert_eq!(left(&before, "requests"), 2, "nobody has told it yet");
    world.wait(1);
    world.service.state.reporter.flush_once(&world.host).await;
    elsewhere.state.reporter.flush_once(&world.host).await;
    let refused = world.chat_with(&elsewhere, &key).await;
    assert_eq!((refused.status, left(&refused, "requests")), (StatusCode::TOO_MANY_REQUESTS, 0));
    assert_eq!(left(&refused, "tokens"), 985);
    world.wait(65);
    assert_eq!(world.chat_with(&elsewhere, &key).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_rotation_may_be_left_off_anywhere_and_callers_notice_nothing() {
    let world = World::new().await;
    for number in 0..44 {
        world.admin_on(&world.service, "/pools", &format!(r#"{{"name":"team {number}"}}"#)).await;
    }
    let both = world.host.service_with_master_key(NEW_MASTER_KEY, Some(MASTER_KEY));
    let step = world.admin_on(&both, "/master/rotate", "{}").await;
    // The HMAC keys and the first pools.
    assert_eq!((step["rewrapped"].as_u64(), &step["rows"]), (Some(21), &serde_json::Value::Null));
    for service in [world.host.service_with_master_key(NEW_MASTER_KEY, Some(MASTER_KEY)), both.clone()] {
        assert_eq!(world.chat_on(&service).await.0.status, StatusCode::OK);
    }
    // Restarted, and run to its end.
    let (mut cursor, mut rewrapped, mut steps) = (serde_json::Value::Null, 0, 0);
    let rows = loop {
        let body = serde_json::json!({ "cursor": cursor }).to_string();
        let step = world.admin_on(&both, "/master/rotate", &body).await;
        rewrapped += step["rewrapped"].as_u64().unwrap();
        steps += 1;
        cursor = step["cursor"].clone();
        if cursor.is_null() {
            break step["rows"].clone();
        }
    };
    assert_eq!((rewrapped, steps), (25, 3));
    assert_eq!(rows, serde_json::json!({"current": 46, "previous": 0, "unreadable": 0}));
    let new = world.host.service_with_master_key(NEW_MASTER_KEY, None);
    assert_eq!(world.chat_on(&new).await.0.status, StatusCode::OK);
}

#[tokio::test]
async fn a_look_up_reads_no_more_than_it_must() {
    let world = World::new().await;
    let reads = async |service: &Arc<Service>, key: &str| {
        let before = world.host.store_calls();
        let status = world.chat_with(service, &Secret::new(key)).await.status;
        (status, world.host.store_calls() - before)
    };
    let known = world.pool.client_key.expose();
    let cold = world.host.service();
    for garbage in ["sk-pool-garbage", "padm_garbage", world.admin.expose()] {
        assert_eq!(reads(&cold, garbage).await, (StatusCode::UNAUTHORIZED, 0), "{garbage}");
    }
    // Other HMAC keys are looked up once, and only for an unknown client key.
    assert_eq!(reads(&cold, "unknown-1").await, (StatusCode::UNAUTHORIZED, 2));
    assert_eq!(reads(&cold, "unknown-1").await, (StatusCode::UNAUTHORIZED, 0));
    assert_eq!(reads(&cold, "unknown-2").await, (StatusCode::UNAUTHORIZED, 1));
    assert_eq!(reads(&cold, known).await, (StatusCode::OK, 1));

    let both = world.host.service_with_master_key(NEW_MASTER_KEY, Some(MASTER_KEY));
    world.admin_on(&both, "/master/rotate", "{}").await;
    let rotated = world.host.service_with_master_key(NEW_MASTER_KEY, None);
    assert_eq!(reads(&rotated, known).await, (StatusCode::OK, 3));
    assert_eq!(reads(&rotated, known).await, (StatusCode::OK, 0));
}
