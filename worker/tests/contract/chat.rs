//! Buffered chat responses.

use pool_fake_gemini::Behaviour;
use serde_json::{Value, json};

use super::harness::{Harness, MODEL, send};

pub async fn a_chat_returns_a_completion(harness: &Harness) {
    let pool = harness.pool(&[("good", Behaviour::Ok)]).await;
    let answer = harness.chat(&pool, "good morning: äöü, 你好 🙂").await;
    assert!(answer.header("x-request-id").starts_with("req_"));
    let chat: Value = answer.json(200);
    assert_eq!((chat["object"].as_str(), chat["model"].as_str()), (Some("chat.completion"), Some(MODEL)));
    assert!(chat["id"].as_str().unwrap().starts_with("chatcmpl-"), "{chat}");
    assert!(chat["created"].as_u64().unwrap() > 1_700_000_000);
    assert_eq!(chat["choices"].as_array().unwrap().len(), 1);
    let choice = &chat["choices"][0];
    assert_eq!((choice["index"].as_u64(), choice["finish_reason"].as_str()), (Some(0), Some("stop")));
    assert_eq!(choice["message"]["role"], "assistant");
    assert_eq!(choice["message"]["content"], "You said: good morning: äöü, 你好 🙂");
    // The mock server counts words as tokens.
    let usage = &chat["usage"];
    let tokens = ["prompt_tokens", "completion_tokens", "total_tokens"].map(|name| usage[name].as_u64());
    assert_eq!(tokens, [Some(5), Some(7), Some(12)]);
    assert_eq!(harness.tally("good").tokens, pool_fake_gemini::Tokens { prompt: 5, completion: 7 });
}

pub async fn a_system_message_becomes_a_system_instruction(harness: &Harness) {
    let pool = harness.pool(&[("good", Behaviour::Ok)]).await;
    let body = json!({
        "model": "gemini-2.5-flash",
        "messages": [
            {"role": "system", "content": "Answer in one line."},
            {"role": "user", "content": "first"},
            {"role": "assistant", "content": "You said: first"},
            {"role": "user", "content": [{"type": "text", "text": "second"}]},
        ],
        // A model that supports sampling parameters.
        "temperature": 0.5,
        "max_completion_tokens": 2,
        "stop": "END",
    });
    let chat: Value = send(harness.call(&pool, "/v1/chat/completions", &body)).await.json(200);
    // Truncated by the limit, so the limit was sent.
    assert_eq!(chat["choices"][0]["message"]["content"], "You said:");
    assert_eq!(chat["choices"][0]["finish_reason"], "length");
    let sent: Value = serde_json::from_str(&harness.gemini.requests()[0].body).unwrap();
    assert_eq!(sent["systemInstruction"]["parts"][0]["text"], "Answer in one line.");
    let roles: Vec<_> =
        sent["contents"].as_array().unwrap().iter().map(|turn| turn["role"].clone()).collect();
    assert_eq!(roles, ["user", "model", "user"]);
    let config = &sent["generationConfig"];
    assert_eq!((&config["temperature"], &config["stopSequences"]), (&json!(0.5), &json!(["END"])));
}

pub async fn the_completion_notice_of_open_webui_is_accepted(harness: &Harness) {
    let pool = harness.pool(&[]).await;
    let body = json!({"model": MODEL, "messages": [], "chat_id": "1"});
    let answer: Value = send(harness.call(&pool, "/api/chat/completed", &body)).await.json(200);
    assert_eq!(answer, json!({"success": true}));
}
