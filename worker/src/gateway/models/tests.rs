use std::time::Duration;

use http::Method;
use serde_json::Value;

use super::*;
use crate::gateway::tests::World;
use crate::testing::FakeHost;

/// The lists' soft TTL.
const HOUR: Duration = Duration::from_hours(1);
/// Their hard TTL.
const DAY: Duration = Duration::from_hours(24);

const TWO: &str = r#"{"models":[{"name":"models/gemini-a","supportedGenerationMethods":["generateContent"]},
    {"name":"models/gemini-b","supportedGenerationMethods":["generateContent"]}]}"#;
const ONE: &str =
    r#"{"models":[{"name":"models/gemini-a","supportedGenerationMethods":["generateContent"]}]}"#;
const SINGLE: &str = r#"{"name":"models/gemini-x","displayName":"X"}"#;

impl World {
    async fn models(&self) -> (Reply<FakeHost>, Vec<String>) {
        let key = &self.pool.client_key;
        let (reply, body) = self.host.send(&self.service, Method::GET, "/v1/models", key, "").await;
        let list: Value = serde_json::from_str(&body).unwrap();
        let models = list["data"].as_array().map(Vec::as_slice).unwrap_or_default();
        (reply, models.iter().map(|model| model["id"].as_str().unwrap().to_owned()).collect())
    }

    async fn model(&self, id: &str) -> Value {
        let (path, key) = (format!("/v1/models/{id}"), &self.pool.client_key);
        let (reply, body) = self.host.send(&self.service, Method::GET, &path, key, "").await;
        assert_eq!(reply.status, StatusCode::OK, "{body}");
        serde_json::from_str(&body).unwrap()
    }

    async fn patch(&self, change: &str) {
        let path = format!("/admin/v1/pools/{}", self.pool.pool.id);
        let (reply, body) = self.host.send(&self.service, Method::PATCH, &path, &self.admin, change).await;
        assert_eq!(reply.status, StatusCode::OK, "{body}");
    }

    fn pass(&self, time: Duration) {
        self.host.parts.clock.advance(time);
    }

    async fn run_background(&self, reply: Reply<FakeHost>) {
        self.service.run_background(&self.host, reply.background).await;
    }
}

#[tokio::test]
async fn a_list_is_kept_for_an_hour_and_then_read_behind_a_request() {
    let world = World::new(1, "").await;
    world.script(&[(200, TWO), (200, ONE)]);
    assert_eq!(world.models().await.1, ["gemini-a", "gemini-b"]);
    world.pass(HOUR.checked_sub(Duration::from_secs(1)).unwrap());
    assert_eq!(world.models().await.1.len(), 2);
    assert_eq!(world.calls().len(), 1);

    world.pass(Duration::from_secs(1));
    let (reply, stale) = world.models().await;
    assert_eq!((stale.len(), world.calls().len()), (2, 1), "nobody waits for it");
    assert_eq!(reply.background.refresh_models.as_ref(), Some(&world.pool.pool.id));
    assert_eq!(world.models().await.0.background.refresh_models, None, "one request is enough to read it");
    world.run_background(reply).await;
    assert_eq!((world.models().await.1, world.calls().len()), (vec!["gemini-a".to_owned()], 2));
}

#[tokio::test]
async fn a_list_stays_for_a_day_when_gemini_does_not_answer() {
    let world = World::new(1, "").await;
    world.script(&[(200, TWO), (400, r#"{"error":{"code":400,"message":"no"}}"#)]);
    world.models().await;
    for _ in 0..3 {
        world.pass(HOUR);
        let (reply, stale) = world.models().await;
        assert_eq!((reply.status, stale.len()), (StatusCode::OK, 2));
        world.run_background(reply).await;
    }
    assert_eq!(world.calls().len(), 4);
    world.pass(DAY);
    assert_eq!(world.models().await.0.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_change_of_the_pool_counts_at_once() {
    let world = World::new(1, r#","aliases":{"gpt":"gemini-a","old":"gemini-b"}"#).await;
    world.script(&[(200, TWO)]);
    assert_eq!(world.models().await.1, ["gemini-a", "gemini-b", "gpt", "old"]);
    world.patch(r#"{"allowed_models":["gemini-a"]}"#).await;
    let (reply, models) = world.models().await;
    assert_eq!(models, ["gemini-a", "gpt"], "an alias of what is not allowed is none");
    assert!(reply.background.refresh_models.is_some(), "its keys may have changed as well");
    world.run_background(reply).await;
    // An alias that bears a model's name hides it.
    world.patch(r#"{"allowed_models":[],"aliases":{"gemini-b":"gemini-a"}}"#).await;
    let (_, models) = world.models().await;
    assert_eq!(models, ["gemini-a", "gemini-b"]);
    assert_eq!(world.model("gemini-b").await["owned_by"], "proxy");
}

#[tokio::test]
async fn one_model_comes_from_the_list_if_it_is_there() {
    let world = World::new(1, r#","aliases":{"vendor/gpt":"gemini-a"}"#).await;
    world.script(&[(200, TWO), (200, SINGLE)]);
    world.models().await;
    for (id, shown, owner) in [
        ("gemini-a", "gemini-a", "google"),
        ("models/gemini-a", "gemini-a", "google"),
        ("models%2Fgemini-a", "gemini-a", "google"),
        ("vendor%2Fgpt", "vendor/gpt", "proxy"),
        ("vendor/gpt", "vendor/gpt", "proxy"),
    ] {
        let model = world.model(id).await;
        assert_eq!((model["id"].as_str(), model["owned_by"].as_str()), (Some(shown), Some(owner)), "{id}");
    }
    assert_eq!(world.calls().len(), 1);
    assert_eq!(world.model("gemini-x").await["display_name"], "X");
    assert_eq!(world.calls()[1].1, "/v1beta/models/gemini-x");
}
