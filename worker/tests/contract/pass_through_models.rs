//! Model lists through pass-through, and their cache.

use pool_fake_gemini::Behaviour;
use pool_shared::Counters;
use serde_json::{Value, json};

use super::answer::Answer;
use super::client_keys::client_key;
use super::harness::{Harness, MODEL};
use super::pass_through::{contents, get, open_pool, post, switch};

pub async fn model_lists_are_those_of_gemini(harness: &Harness) {
    let pool = open_pool(harness, &[("good", Behaviour::Ok, 1)]).await;
    let body = |answer: Answer| -> Value {
        assert_eq!(answer.status, 200, "{}", answer.body);
        serde_json::from_str(&answer.body).unwrap()
    };
    let page = body(get(harness, &pool, "/v1beta/models?pageSize=2").await);
    assert_eq!((page["models"].as_array().unwrap().len(), page["nextPageToken"].is_string()), (2, true));
    let model = body(get(harness, &pool, &format!("/v1beta/models/{MODEL}")).await);
    assert_eq!(model["name"], format!("models/{MODEL}"));
    let list = body(get(harness, &pool, "/v1beta/openai/models").await);
    assert_eq!((&list["object"], &list["data"][0]["owned_by"]), (&json!("list"), &json!("google")));
    let model = body(get(harness, &pool, &format!("/v1beta/openai/models/{MODEL}")).await);
    assert_eq!(model["id"], format!("models/{MODEL}"));
    let path = format!("/v1beta/models/{MODEL}:countTokens");
    assert_eq!(body(post(harness, &pool, &path, &contents("two words")).await)["totalTokens"], 2);
    // None of these requests uses quota.
    assert_eq!(harness.pool_stats(&pool).await.total, Counters::default());
}

pub async fn a_model_list_is_cached_for_an_hour(harness: &Harness) {
    let pool = open_pool(harness, &[("good", Behaviour::Ok, 1)]).await;
    let calls = || harness.gemini.requests().len();
    for (path, expected) in [
        ("/v1beta/models", 1),
        ("/v1beta/models?pageSize=2", 2),
        ("/v1beta/models?pageSize=2&pageToken=from-2", 3),
        ("/v1beta/openai/models", 4),
        (&format!("/v1beta/models/{MODEL}"), 5),
        ("/v1/models", 6),
        // The service's own list is Gemini's page of 1,000.
        ("/v1beta/models?pageSize=1000", 6),
    ] {
        let first = get(harness, &pool, path).await;
        assert_eq!((first.status, calls()), (200, expected), "{path}: {}", first.body);
        let again = get(harness, &pool, path).await;
        assert_eq!((again.status, calls()), (200, expected), "{path}");
        assert_eq!(
            (&first.body, first.header("cache-control")),
            (&again.body, again.header("cache-control"))
        );
        let is_json = |answer: &Answer| answer.header("content-type").starts_with("application/json");
        assert!(is_json(&first) && is_json(&again), "{path}");
    }
    // Errors are not cached, and an updated pool reloads the list.
    for _ in 0..2 {
        assert_eq!(get(harness, &pool, "/v1beta/models?pageSize=many").await.status, 400);
    }
    assert_eq!(calls(), 8);
    switch(harness, &pool, false).await;
    get(harness, &pool, "/v1beta/models").await.gemini_error(403, "PERMISSION_DENIED", "PASS_THROUGH_OFF");
    switch(harness, &pool, true).await;
    assert_eq!((get(harness, &pool, "/v1beta/models").await.status, calls()), (200, 9));
    // A client key cannot read models that it does not allow.
    let few = json!({"allowed_models": ["gemini-2.5-*"]});
    let (few, _) = client_key(harness, &pool, few).await;
    let refused = get(harness, &few, &format!("/v1beta/models/{MODEL}")).await;
    refused.gemini_error(403, "PERMISSION_DENIED", "MODEL_NOT_ALLOWED");
}
