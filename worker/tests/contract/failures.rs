//! A store that does not work.

use pool_fake_gemini::Behaviour;
use pool_shared::{ClientKeyList, ErrorCode, Pool as PoolShown};
use reqwest::Method;
use serde_json::json;

use super::world::{World, in_the_store, send};
use crate::FAULTS;

pub async fn a_store_that_fails_is_never_a_verdict_on_the_caller(world: &mut World) {
    let pool = world.pool(&[("good", Behaviour::Ok)]).await;
    world.stop_host().await;
    for fault in FAULTS {
        in_the_store(world.data.path(), fault.table, fault.breaks);
    }
    world.start_host().await;
    let answer = world.chat(&pool, "hello").await;
    let message = answer.openai_error(503, Some("store_unavailable"));
    assert!(!message.contains("column"), "the store's insides are told: {message}");
    assert_eq!(answer.header("retry-after"), "1");
    world.get("/pools").await.admin_error(503, ErrorCode::Unavailable);
    assert_eq!(world.tally("good").requests, 0);
    // The page is there to say so.
    assert_eq!(send(world.request(Method::GET, "/admin/")).await.status, 200);
    world.stop_host().await;

    for fault in FAULTS {
        in_the_store(world.data.path(), fault.table, fault.repairs);
    }
    world.start_host().await;
    assert_eq!(world.chat(&pool, "hello").await.status, 200);
    assert_eq!(world.get("/pools").await.status, 200);
}

pub async fn a_change_that_cannot_be_noted_is_not_made(world: &mut World) {
    let pool = world.pool(&[("good", Behaviour::Ok)]).await;
    world.stop_host().await;
    in_the_store(world.data.path(), "admin_tokens", "ALTER TABLE audit RENAME COLUMN request_id TO broken");
    world.start_host().await;
    let path = format!("/pools/{}", pool.id);
    world.patch(&path, &json!({"enabled": false})).await.admin_error(503, ErrorCode::Unavailable);
    world.post(&format!("{path}/client-keys"), &json!({})).await.admin_error(503, ErrorCode::Unavailable);
    assert_eq!(world.chat(&pool, "hello").await.status, 200, "the pool is still on");
    world.stop_host().await;
    in_the_store(world.data.path(), "admin_tokens", "ALTER TABLE audit RENAME COLUMN broken TO request_id");
    world.start_host().await;
    let list: ClientKeyList = world.get(&format!("{path}/client-keys")).await.json(200);
    assert_eq!(list.client_keys.len(), 1);
    world.patch(&path, &json!({"enabled": false})).await.json::<PoolShown>(200);
    world.chat(&pool, "hello").await.openai_error(403, Some("pool_disabled"));
}
