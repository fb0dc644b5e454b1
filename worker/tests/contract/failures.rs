//! Failing stores.

use pool_fake_gemini::Behaviour;
use pool_shared::{ClientKeyList, ErrorCode, Pool as PoolShown};
use reqwest::Method;
use serde_json::json;

use super::harness::{Harness, in_the_store, send};
use crate::FAULTS;

pub async fn a_failing_store_is_never_reported_as_a_client_error(harness: &mut Harness) {
    let pool = harness.pool(&[("good", Behaviour::Ok)]).await;
    harness.stop_host().await;
    for fault in FAULTS {
        in_the_store(harness.data.path(), fault.table, fault.breaks);
    }
    harness.start_host().await;
    let answer = harness.chat(&pool, "hello").await;
    let message = answer.openai_error(503, Some("store_unavailable"));
    assert!(!message.contains("column"), "store internals are exposed: {message}");
    assert_eq!(answer.header("retry-after"), "1");
    harness.get("/pools").await.admin_error(503, ErrorCode::Unavailable);
    assert_eq!(harness.tally("good").requests, 0);
    // The browser page is still served.
    assert_eq!(send(harness.request(Method::GET, "/admin/")).await.status, 200);
    harness.stop_host().await;

    for fault in FAULTS {
        in_the_store(harness.data.path(), fault.table, fault.repairs);
    }
    harness.start_host().await;
    assert_eq!(harness.chat(&pool, "hello").await.status, 200);
    assert_eq!(harness.get("/pools").await.status, 200);
}

pub async fn a_change_that_cannot_be_audited_is_not_made(harness: &mut Harness) {
    let pool = harness.pool(&[("good", Behaviour::Ok)]).await;
    harness.stop_host().await;
    in_the_store(harness.data.path(), "admin_tokens", "ALTER TABLE audit RENAME COLUMN request_id TO broken");
    harness.start_host().await;
    let path = format!("/pools/{}", pool.id);
    harness.patch(&path, &json!({"enabled": false})).await.admin_error(503, ErrorCode::Unavailable);
    harness.post(&format!("{path}/client-keys"), &json!({})).await.admin_error(503, ErrorCode::Unavailable);
    assert_eq!(harness.chat(&pool, "hello").await.status, 200, "the pool is still on");
    harness.stop_host().await;
    in_the_store(harness.data.path(), "admin_tokens", "ALTER TABLE audit RENAME COLUMN broken TO request_id");
    harness.start_host().await;
    let list: ClientKeyList = harness.get(&format!("{path}/client-keys")).await.json(200);
    assert_eq!(list.client_keys.len(), 1);
    harness.patch(&path, &json!({"enabled": false})).await.json::<PoolShown>(200);
    harness.chat(&pool, "hello").await.openai_error(403, Some("pool_disabled"));
}
