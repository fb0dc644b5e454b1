//! Model lists and allowed models.

use pool_fake_gemini::{Behaviour, KeySpec, Scenario};
use pool_shared::Pool as PoolShown;
use reqwest::Method;
use serde_json::{Value, json};

use super::answer::Answer;
use super::harness::{EMBEDDING_MODEL, Harness, MODEL, Pool, gemini_key, prompt, send};

async fn get(harness: &Harness, pool: &Pool, path: &str) -> Answer {
    send(harness.request(Method::GET, path).bearer_auth(&pool.client_key)).await
}

fn ids(list: &Value) -> Vec<&str> {
    list["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect()
}

pub async fn a_pool_s_models_are_listed_and_shown(harness: &Harness) {
    let pool = harness.pool_with_reserve(Behaviour::Invalid, Behaviour::Ok).await;
    let list: Value = get(harness, &pool, "/v1/models").await.json(200);
    assert_eq!(list["object"], "list");
    let models = ids(&list);
    assert!(models.contains(&MODEL) && models.contains(&EMBEDDING_MODEL), "{models:?}");
    for model in list["data"].as_array().unwrap() {
        assert_eq!(model["object"], "model");
        assert!(model["created"].is_u64() && model["owned_by"].is_string(), "{model}");
    }
    let one: Value = get(harness, &pool, &format!("/v1/models/{MODEL}")).await.json(200);
    assert_eq!((one["id"].as_str(), one["object"].as_str()), (Some(MODEL), Some("model")));
    let prefixed: Value = get(harness, &pool, &format!("/v1/models/models%2F{MODEL}")).await.json(200);
    assert_eq!(prefixed["id"], MODEL);
    let unknown = get(harness, &pool, "/v1/models/gemini-0").await;
    unknown.openai_error(404, Some("model_not_found"));
    // Model lists use no quota and are not counted.
    assert_eq!(harness.pool_stats(&pool).await.total.attempts, 0);
}

pub async fn an_unknown_model_is_requested_once_a_minute(harness: &Harness) {
    let pool = harness.pool(&[("good", Behaviour::Ok)]).await;
    harness.patch(&format!("/pools/{}", pool.id), &json!({"pass_through": true})).await;
    let asked =
        || harness.gemini.requests().iter().filter(|request| request.path.contains("gemini-0")).count();
    for _ in 0..3 {
        get(harness, &pool, "/v1/models/gemini-0").await.openai_error(404, Some("model_not_found"));
    }
    assert_eq!(asked(), 1);
    for _ in 0..3 {
        assert_eq!(get(harness, &pool, "/v1beta/models/gemini-0").await.status, 404);
    }
    assert_eq!(asked(), 1, "however it is asked for");
}

pub async fn a_pool_allows_only_its_allowed_models(harness: &Harness) {
    let pool = harness.pool(&[("good", Behaviour::Ok)]).await;
    let path = format!("/pools/{}", pool.id);
    let everything: Value = get(harness, &pool, "/v1/models").await.json(200);
    assert!(ids(&everything).len() > 3);
    harness
        .patch(&path, &json!({"allowed_models": ["gemini-3.8-*", "gemini-embedding-001"]}))
        .await
        .json::<PoolShown>(200);

    let list: Value = get(harness, &pool, "/v1/models").await.json(200);
    assert_eq!(
        ids(&list),
        [MODEL, "gemini-3.8-flash-tts", "gemini-3.8-flash-lite-tts", "gemini-embedding-001"]
    );
    assert_eq!(harness.chat(&pool, "hello").await.status, 200);
    let mut refused = prompt("hello");
    refused["model"] = json!("gemini-2.5-pro");
    let chat = send(harness.call(&pool, "/v1/chat/completions", &refused)).await;
    let embedding = harness.embed(&pool, &json!({"model": "gemini-embedding-2", "input": "x"})).await;
    let shown = get(harness, &pool, "/v1/models/gemini-2.5-pro").await;
    for answer in [chat, embedding, shown] {
        let message = answer.openai_error(403, Some("model_not_allowed"));
        assert!(message.contains("'prod'"), "{message}");
        assert_eq!(answer.json::<Value>(403)["error"]["param"], "model");
    }
    assert_eq!(harness.tally("good").requests, 1);

    harness.patch(&path, &json!({"allowed_models": []})).await.json::<PoolShown>(200);
    let chat = send(harness.call(&pool, "/v1/chat/completions", &refused)).await;
    assert_eq!(chat.status, 200);
}

pub async fn aliases_are_listed_as_models(harness: &Harness) {
    let pool = harness.pool(&[("good", Behaviour::Ok)]).await;
    let settings = json!({"aliases": {"gpt-4o": MODEL, "vendor/old": "gemini-2.5-pro"}, "allowed_models": ["gemini-3.8-*"]});
    harness.patch(&format!("/pools/{}", pool.id), &settings).await.json::<PoolShown>(200);
    let list: Value = get(harness, &pool, "/v1/models").await.json(200);
    assert_eq!(ids(&list), [MODEL, "gemini-3.8-flash-tts", "gemini-3.8-flash-lite-tts", "gpt-4o"]);
    let alias: Value = get(harness, &pool, "/v1/models/gpt-4o").await.json(200);
    assert_eq!((alias["id"].as_str(), alias["owned_by"].as_str()), (Some("gpt-4o"), Some("proxy")));
    assert_eq!(list["data"][3], alias);
    get(harness, &pool, "/v1/models/vendor%2Fold").await.openai_error(403, Some("model_not_allowed"));
    get(harness, &pool, "/v1/models/gpt-4").await.openai_error(403, Some("model_not_allowed"));
    get(harness, &pool, "/v1/models/models%2Fgemini-3.8-nonesuch")
        .await
        .openai_error(404, Some("model_not_found"));
}

pub async fn all_pages_of_a_model_list_are_read(harness: &Harness) {
    let pool = harness.pool(&[("good", Behaviour::Ok)]).await;
    let models: Vec<String> = (0..2_500).map(|number| format!("gemini-{number}")).collect();
    let scenario = Scenario { models: models.clone(), ..Scenario::default() };
    harness.gemini.set_scenario(scenario.key(KeySpec::new(gemini_key("good"), Behaviour::Ok))).unwrap();
    let list: Value = get(harness, &pool, "/v1/models").await.json(200);
    assert_eq!(ids(&list), models);
    let again: Value = get(harness, &pool, "/v1/models").await.json(200);
    assert_eq!(again, list);
    assert_eq!(harness.gemini.requests().len(), 3, "each page once");
}
