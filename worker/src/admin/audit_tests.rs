//! The audit log in simulated time: limits per token, and following the log.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use super::tests::World;
use crate::platform::Clock;
use crate::testing::PASSWORD;

impl World {
    fn wait_ms(&self, milliseconds: u64) {
        self.host.parts.clock.advance(Duration::from_millis(milliseconds));
    }

    /// Returns the response's status, its `retry-after`, and its body.
    async fn ask(&self, token: &str, method: Method, path: &str, body: &Value) -> (u16, Option<u64>, Value) {
        let token = format!("Bearer {token}");
        let headers: &[_] = if path == "/login" { &[] } else { &[("authorization", token.as_str())] };
        let body = if method == Method::GET { String::new() } else { body.to_string() };
        let path = format!("/admin/v1{path}");
        let (reply, text) = self.host.ask(&self.service, method, &path, headers, &body).await;
        let wait = reply.headers.get("retry-after").map(|value| value.to_str().unwrap().parse().unwrap());
        (reply.status.as_u16(), wait, serde_json::from_str(&text).unwrap_or_default())
    }

    async fn owner(&self) -> String {
        let (_, _, login) = self.ask("", Method::POST, "/login", &json!({"password": PASSWORD})).await;
        login["token"].as_str().unwrap().to_owned()
    }

    async fn token(&self, maker: &str, body: Value) -> String {
        let (status, _, created) = self.ask(maker, Method::POST, "/tokens", &body).await;
        assert_eq!(status, 201, "{created}");
        created["secret"].as_str().unwrap().to_owned()
    }

    async fn pool(&self, owner: &str, name: &str) -> String {
        let (_, _, created) = self.ask(owner, Method::POST, "/pools", &json!({"name": name})).await;
        created["pool"]["id"].as_str().unwrap().to_owned()
    }

    async fn describe(&self, token: &str, pool: &str, text: &str) -> (u16, Option<u64>) {
        let body = json!({"description": text});
        let (status, wait, _) = self.ask(token, Method::PATCH, &format!("/pools/{pool}"), &body).await;
        (status, wait)
    }

    async fn audit(&self, token: &str, query: &str) -> Vec<Value> {
        let (status, _, list) = self.ask(token, Method::GET, &format!("/audit?{query}"), &Value::Null).await;
        assert_eq!(status, 200, "{list}");
        list["entries"].as_array().unwrap().clone()
    }
}

#[tokio::test]
async fn a_token_and_those_that_it_made_change_600_things_a_minute() {
    let world = World::new();
    let owner = world.owner().await;
    let pool = world.pool(&owner, "prod").await;
    let own = json!({"name": "team", "scopes": ["pools", "tokens"]});
    let (team, other) = (world.token(&owner, own).await, world.token(&owner, json!({"pool": pool})).await);
    let child = world.token(&team, json!({"name": "child"})).await;
    world.wait_ms(60_000);
    for number in 0..300 {
        assert_eq!(world.describe(&team, &pool, &number.to_string()).await, (200, None));
        assert_eq!(world.describe(&child, &pool, &format!("{number} too")).await, (200, None));
    }
    world.wait_ms(20_500);
    for token in [&team, &child] {
        assert_eq!(world.describe(token, &pool, "more").await, (429, Some(40)));
    }
    let (status, ..) = world.ask(&team, Method::POST, "/tokens", &json!({"name": "another"})).await;
    assert_eq!(status, 429);
    // It may still read, and revoke itself; other tokens are not affected.
    assert_eq!(world.audit(&team, "limit=1").await.len(), 1);
    assert_eq!(world.describe(&other, &pool, "by another one").await.0, 200);
    assert_eq!(world.describe(&owner, &pool, "by the owner").await.0, 200);
    let (status, ..) = world.ask(&child, Method::POST, "/logout", &Value::Null).await;
    assert_eq!(status, 204);
    world.wait_ms(39_500);
    assert_eq!(world.describe(&team, &pool, "again").await, (200, None));
}

#[tokio::test]
async fn a_rotated_token_gets_no_new_budget() {
    let world = World::new();
    let owner = world.owner().await;
    let pool = world.pool(&owner, "prod").await;
    let team = json!({"name": "team", "scopes": ["pools", "tokens"]});
    let team = world.token(&owner, team).await;
    for number in 0..599 {
        assert_eq!(world.describe(&team, &pool, &number.to_string()).await.0, 200);
    }
    let (_, _, who) = world.ask(&team, Method::GET, "/whoami", &Value::Null).await;
    let path = format!("/tokens/{}/rotate", who["id"].as_str().unwrap());
    let (_, _, rotated) = world.ask(&team, Method::POST, &path, &json!({})).await;
    let rotated = rotated["secret"].as_str().unwrap();
    assert_eq!(world.describe(rotated, &pool, "more").await, (429, Some(60)));
}

#[tokio::test]
async fn the_service_itself_limits_changes_that_several_instances_make() {
    let world = World::new();
    let owner = world.owner().await;
    let pool = world.pool(&owner, "prod").await;
    world.wait_ms(60_000);
    let elsewhere = World { service: world.host.service(), host: world.host.clone() };
    for number in 0..300 {
        assert_eq!(world.describe(&owner, &pool, &number.to_string()).await.0, 200);
        assert_eq!(elsewhere.describe(&owner, &pool, &format!("{number} elsewhere")).await.0, 200);
    }
    assert_eq!(world.describe(&owner, &pool, "more").await, (429, Some(30)));
    let (_, _, shown) = world.ask(&owner, Method::GET, &format!("/pools/{pool}"), &Value::Null).await;
    assert_eq!(shown["description"], "299 elsewhere", "what is refused is not made");
}

/// Follows the audit log while it grows, with changes that are merged at the last moment.
#[tokio::test]
async fn whoever_follows_the_audit_sees_each_entry_once_and_as_it_stays() {
    let world = World::new();
    let owner = world.owner().await;
    let pool = world.pool(&owner, "prod").await;
    let mut random = fastrand::Rng::with_seed(7);
    let (mut seen, mut after): (Vec<Value>, u64) = (Vec::new(), 0);
    for step in 0..400 {
        let end = step >= 390;
        let text = ["a", "b", "c"][random.usize(..3)];
        if !end && random.u8(..) < 200 {
            assert_eq!(world.describe(&owner, &pool, text).await.0, 200);
        }
        world.wait_ms(if end { 20_000 } else { random.u64(..4_000) });
        if random.u8(..) < 100 || end {
            let page = world.audit(&owner, &format!("after={after}&limit={}", random.u32(1..5))).await;
            after = page.last().map_or(after, |last| last["id"].as_u64().unwrap());
            seen.extend(page);
        }
    }
    loop {
        let page = world.audit(&owner, &format!("after={after}")).await;
        let Some(last) = page.last() else { break };
        after = last["id"].as_u64().unwrap();
        seen.extend(page);
    }
    let mut all = world.audit(&owner, "limit=1000").await;
    all.reverse();
    assert_eq!(seen, all);
    assert!(all.iter().any(|entry| entry["times"].as_u64() > Some(1)), "some of them joined");
    let (status, ..) = world.ask(&owner, Method::GET, "/audit?after=1&cursor=1", &Value::Null).await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn an_entry_is_followed_once_it_is_final() {
    let world = World::new();
    let owner = world.owner().await;
    let pool = world.pool(&owner, "prod").await;
    world.wait_ms(50_000);
    world.describe(&owner, &pool, "later").await;
    world.wait_ms(39_000);
    assert_eq!(world.audit(&owner, "after=0").await.len(), 0);
    world.wait_ms(2_000);
    let actions = async || -> Vec<Value> {
        world.audit(&owner, "after=0").await.iter().map(|entry| entry["action"].clone()).collect()
    };
    assert_eq!(actions().await, ["token.login", "pool.create"]);
    world.wait_ms(60_000);
    assert_eq!(actions().await, ["token.login", "pool.create", "pool.update"]);
    let since = world.host.parts.clock.now() - jiff::SignedDuration::from_secs(110);
    assert_eq!(world.audit(&owner, &format!("after=0&since={since}")).await.len(), 1);
}
