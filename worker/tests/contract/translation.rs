//! Translation options of a pool.

use pool_fake_gemini::Behaviour;
use pool_shared::{ErrorCode, Pool, PoolCreated, PromptBlock};
use serde_json::{Value, json};

use super::events::{Event, Events};
use super::harness::{Harness, prompt, send};

const CHAT: &str = "/v1/chat/completions";

pub async fn a_translation_update_changes_only_the_given_options(harness: &Harness) {
    let safety = json!([{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"}]);
    let body = json!({"name": "prod", "translation": {"safety_settings": safety, "prompt_block": "error"}});
    let created: PoolCreated = harness.post("/pools", &body).await.json(201);
    let path = format!("/pools/{}", created.pool.id);
    assert_eq!(created.pool.settings.translation.prompt_block, PromptBlock::Error);
    let change = json!({"translation": {"prompt_block": null, "prefix_names": true}});
    let changed: Pool = harness.patch(&path, &change).await.json(200);
    assert_eq!(harness.get(&path).await.json::<Pool>(200), changed);
    let translation = changed.settings.translation;
    assert_eq!((translation.prompt_block, translation.prefix_names), (PromptBlock::Answer, true));
    assert_eq!(json!(translation.safety_settings), safety);
    for wrong in [
        json!({"prompt_block": "maybe"}),
        json!({"of_tomorrow": 1}),
        json!({"of_tomorrow": null}),
        json!({"safety_settings": [{"category": "RUDENESS", "threshold": "OFF"}]}),
        json!(null),
    ] {
        let change = json!({ "translation": wrong });
        harness.patch(&path, &change).await.admin_error(400, ErrorCode::InvalidRequest);
        let body = json!({"name": "other", "translation": wrong});
        harness.post("/pools", &body).await.admin_error(400, ErrorCode::InvalidRequest);
    }
}

pub async fn changed_translation_options_apply_immediately(harness: &Harness) {
    let pool = harness.pool(&[("good", Behaviour::Ok)]).await;
    let mut body = prompt("hello");
    body["logit_bias"] = json!({"1": 5});
    let answer = send(harness.call(&pool, CHAT, &body)).await;
    assert_eq!((answer.status, answer.header("x-pool-ignored-params")), (200, "logit_bias"));
    let strict = json!({"translation": {"strict_params": true}});
    harness.patch(&format!("/pools/{}", pool.id), &strict).await.json::<Pool>(200);
    send(harness.call(&pool, CHAT, &body)).await.openai_error(400, Some("unsupported_parameter"));
    assert_eq!(harness.tally("good").requests, 1);
}

pub async fn a_blocked_prompt_is_an_error_only_if_the_pool_is_configured_so(harness: &Harness) {
    let pool = harness.pool(&[("good", Behaviour::PromptBlocked)]).await;
    let mut streamed = prompt("hello");
    streamed["stream"] = json!(true);
    let answer: Value = harness.chat(&pool, "hello").await.json(200);
    assert_eq!(answer["choices"][0]["finish_reason"], "content_filter");
    let error = json!({"translation": {"prompt_block": "error"}});
    harness.patch(&format!("/pools/{}", pool.id), &error).await.json::<Pool>(200);
    for body in [prompt("hello"), streamed] {
        send(harness.call(&pool, CHAT, &body)).await.openai_error(400, Some("content_policy_violation"));
    }
    let total = harness.pool_stats(&pool).await.total;
    assert_eq!((total.successes, total.failures), (3, 0), "Gemini did what it was asked");
}

pub async fn several_choices_use_several_upstream_requests(harness: &Harness) {
    let pool = harness.pool(&[("one", Behaviour::Ok), ("two", Behaviour::Ok)]).await;
    let mut body = prompt("hello");
    body["n"] = json!(3);
    let answer: Value = send(harness.call(&pool, CHAT, &body)).await.json(200);
    let said: Vec<_> =
        answer["choices"].as_array().unwrap().iter().map(|choice| &choice["message"]).collect();
    assert_eq!(said.len(), 3);
    assert!(said.iter().all(|message| message["content"] == "You said: hello"), "{answer}");
    body["stream"] = json!(true);
    let events = Events::new(harness.call(&pool, CHAT, &body).send().await.unwrap()).rest().await;
    assert_eq!(events.last(), Some(&Event::Done));
    let mut texts = vec![String::new(); 3];
    for event in &events {
        let Event::Chunk(chunk) = event else { continue };
        for choice in chunk["choices"].as_array().unwrap() {
            let index = usize::try_from(choice["index"].as_u64().unwrap()).unwrap();
            texts[index].push_str(choice["delta"]["content"].as_str().unwrap_or_default());
        }
    }
    assert_eq!(texts, ["You said: hello"; 3]);
    assert_eq!(harness.tally("one").requests + harness.tally("two").requests, 6);
    assert_eq!(harness.pool_stats(&pool).await.total.attempts, 6);
}
