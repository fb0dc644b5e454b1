//! Repairs, several choices, continued answers, signatures and blocked prompts, over a scripted Gemini.
//! Every test ends by comparing the ledger's count of attempts with Gemini's.

mod families;

mod schemas;

use http::{Method, StatusCode};
use pool_shared::{ClientKeyCreated, Stats};
use serde_json::{Value, json};

use crate::gateway::Reply;
use crate::gateway::tests::{ANSWER, MINUTE, World};
use crate::platform::lock;
use crate::testing::FakeHost;

const NO_PENALTY: &str = r#"{"error":{"code":400,"message":"Penalty is not enabled for models/gemini-2.0-flash","status":"INVALID_ARGUMENT"}}"#;
const BAD_SCHEMA: &str = r#"{"error":{"code":400,"message":"Invalid value at 'generation_config.response_json_schema': unknown schema keyword","status":"INVALID_ARGUMENT"}}"#;
const MISTAKE: &str =
    r#"{"error":{"code":400,"message":"Request contains an invalid argument.","status":"INVALID_ARGUMENT"}}"#;
const UNSIGNED: &str =
    r#"{"candidates":[{"content":{"role":"model"},"finishReason":"MISSING_THOUGHT_SIGNATURE"}]}"#;
const MALFORMED: &str =
    r#"{"candidates":[{"content":{"role":"model"},"finishReason":"MALFORMED_FUNCTION_CALL"}]}"#;
const BLOCKED: &str = r#"{"promptFeedback":{"blockReason":"PROHIBITED_CONTENT"},"usageMetadata":{"promptTokenCount":3,"totalTokenCount":3}}"#;
const PENALTY: &str = r#","presence_penalty":1"#;
/// A model that knows penalties and several candidates.
const OLD: &str = "gemini-2.0-flash";
const NEW: &str = "gemini-3.8-flash";
/// A model whose answers may take several calls.
const LONG: &str = "gemini-4-argon";
const LONG_ANSWER: &str = r#","max_tokens":100000"#;

fn event(body: &'static str) -> &'static str {
    Box::leak(format!("data: {}\n\n", json_of(body)).into_boxed_str())
}

impl World {
    /// Returns the body of each call to Gemini.
    fn sent(&self) -> Vec<Value> {
        let requests = self.host.parts.upstream.requests.lock().unwrap();
        requests
            .iter()
            .map(|request| serde_json::from_slice(request.body.as_ref().unwrap()).unwrap())
            .collect()
    }

    /// Returns the key of each call to Gemini.
    fn keys(&self) -> Vec<String> {
        let requests = self.host.parts.upstream.requests.lock().unwrap();
        requests.iter().map(|request| request.key.expose().to_owned()).collect()
    }

    async fn stats(&self) -> Stats {
        let (_, body) = self.host.send(&self.service, Method::GET, "/admin/v1/stats", &self.admin, "").await;
        serde_json::from_str(&body).unwrap()
    }

    /// The ledger knows of every call and of no other, and nobody is blamed for any.
    async fn counts(&self, calls: u64, successes: u64) {
        assert_eq!(self.sent().len() as u64, calls);
        let total = self.stats().await.total;
        assert_eq!((total.attempts, total.successes, total.failures), (calls, successes, calls - successes));
        let now = crate::platform::Clock::now(&*self.host.parts.clock);
        let learnt =
            lock(&self.service.state.pools.states).of(&self.pool.pool.id, now).drain_observations(now);
        assert!(
            learnt.iter().all(|learnt| matches!(learnt.fact, pool_engine::ObservationKind::Spent { .. })),
            "{learnt:?}"
        );
    }

    async fn tool_chat(&self, key: &pool_shared::Secret, call: &Value) -> (Reply<FakeHost>, String) {
        let body = json!({"model": NEW, "messages": [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": call["id"], "content": "1"},
        ]});
        self.host.send(&self.service, Method::POST, "/v1/chat/completions", key, &body.to_string()).await
    }
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Returns the texts of a stream's choices, by index.
fn streamed(text: &str, choices: usize) -> Vec<String> {
    let mut texts = vec![String::new(); choices];
    assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
    for event in text.split("\n\n").filter_map(|event| event.strip_prefix("data: ")) {
        let Ok(event) = serde_json::from_str::<Value>(event) else { continue };
        for choice in event["choices"].as_array().unwrap() {
            let index = usize::try_from(choice["index"].as_u64().unwrap()).unwrap();
            texts[index].push_str(choice["delta"]["content"].as_str().unwrap_or_default());
        }
    }
    texts
}

#[tokio::test]
async fn what_a_model_does_not_know_is_left_out_once_and_then_from_the_start() {
    let world = World::new(1, "").await;
    world.script(&[(400, NO_PENALTY), (200, ANSWER), (200, ANSWER), (400, NO_PENALTY), (200, ANSWER)]);
    let before = world.host.store_calls();
    let (reply, body) = world.chat(OLD, PENALTY).await;
    assert_eq!(reply.status, StatusCode::OK, "{body}");
    assert_eq!(reply.headers["x-pool-ignored-params"], "presence_penalty");
    assert_eq!(world.host.store_calls() - before, 1);
    world.chat(OLD, PENALTY).await;
    let penalties = |world: &World| -> Vec<bool> {
        world.sent().iter().map(|body| body["generationConfig"].get("presencePenalty").is_some()).collect()
    };
    assert_eq!(penalties(&world), [true, false, false]);
    world.counts(3, 2).await;
    world.host.parts.clock.advance(std::time::Duration::from_hours(24));
    world.chat(OLD, PENALTY).await;
    assert_eq!(penalties(&world)[3..], [true, false]);
    world.counts(5, 3).await;
}

#[tokio::test]
async fn a_stream_is_repaired_before_its_first_event() {
    let world = World::new(1, "").await;
    world.script(&[(400, NO_PENALTY), (200, event(ANSWER))]);
    let (_, body) = world.chat(OLD, r#","presence_penalty":1,"stream":true"#).await;
    assert_eq!(streamed(&body, 1), ["Hello"]);
    let inside = World::new(1, "").await;
    inside.script(&[(200, event(NO_PENALTY)), (200, event(ANSWER))]);
    let (_, body) = inside.chat(OLD, r#","presence_penalty":1,"stream":true"#).await;
    assert_eq!(streamed(&body, 1), ["Hello"]);
    world.counts(2, 1).await;
    inside.counts(2, 1).await;
}

#[tokio::test]
async fn a_repair_that_does_not_help_is_the_only_one_and_is_forgotten() {
    let world = World::new(3, "").await;
    world.script(&[(400, NO_PENALTY), (400, MISTAKE), (200, ANSWER)]);
    let (reply, body) = world.chat(OLD, PENALTY).await;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST);
    assert!(body.contains("Request contains an invalid argument."), "{body}");
    world.chat(OLD, PENALTY).await;
    assert!(world.sent()[2]["generationConfig"].get("presencePenalty").is_some());
    world.counts(3, 1).await;
}

#[tokio::test]
async fn a_change_that_changes_nothing_is_not_sent() {
    let world = World::new(3, "").await;
    world.script(&[(400, NO_PENALTY)]);
    assert_eq!(world.chat(OLD, "").await.0.status, StatusCode::BAD_REQUEST);
    world.counts(1, 0).await;
}

#[tokio::test]
async fn a_schema_is_told_in_two_other_ways_and_no_third() {
    let world = World::new(1, "").await;
    world.script(&[(400, BAD_SCHEMA)]);
    let schema = r#","response_format":{"type":"json_schema","json_schema":{"name":"x","schema":{
        "type":"object","properties":{"a":{"type":"string","pattern":"^a"}}}}}"#;
    let (reply, _) = world.chat(NEW, schema).await;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST);
    let sent = world.sent();
    assert!(sent[0]["generationConfig"].get("responseJsonSchema").is_some());
    assert!(sent[1]["generationConfig"].get("responseSchema").is_some());
    assert!(sent[2].get("systemInstruction").is_some());
    world.counts(3, 0).await;
    world.chat(NEW, schema).await;
    assert_eq!(world.sent()[3], sent[0], "it says nothing about the model");
}

#[tokio::test]
async fn a_repair_is_one_more_than_four_attempts_and_takes_the_same_key_if_there_is_no_other() {
    let world = World::new(4, "").await;
    world.script(&[(429, MINUTE), (429, MINUTE), (429, MINUTE), (400, NO_PENALTY), (200, ANSWER)]);
    let before = world.host.store_calls();
    assert_eq!(world.chat(OLD, PENALTY).await.0.status, StatusCode::OK);
    assert_eq!((world.host.store_calls() - before, world.sent().len()), (1, 5), "six subrequests at most");
    assert_eq!(world.keys()[3], world.keys()[4]);
}

#[tokio::test]
async fn a_lost_signature_is_stood_in_for_once() {
    for (second, status) in [((200, ANSWER), 200), ((200, UNSIGNED), 502)] {
        let world = World::new(1, "").await;
        world.script(&[(200, UNSIGNED), second]);
        let call = json!({
            "id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"},
            "extra_content": {"google": {"thought_signature": "c2lnbmF0dXJlIG9mIGEgY2FsbA=="}},
        });
        let (reply, body) = world.tool_chat(&world.pool.client_key, &call).await;
        assert_eq!(reply.status.as_u16(), status, "{body}");
        let signatures: Vec<Value> = world
            .sent()
            .iter()
            .map(|body| body["contents"][1]["parts"][0]["thoughtSignature"].clone())
            .collect();
        assert_eq!(signatures, ["c2lnbmF0dXJlIG9mIGEgY2FsbA==", "skip_thought_signature_validator"]);
        world.counts(2, u64::from(status == 200)).await;
    }
}

#[tokio::test]
async fn an_unusable_answer_is_asked_for_once_more_even_of_the_only_key() {
    for (first, stream) in [(MALFORMED, ""), (event(MALFORMED), r#","stream":true"#)] {
        let world = World::new(1, "").await;
        world.script(&[(200, first)]);
        assert_eq!(world.chat(NEW, stream).await.0.status, StatusCode::BAD_GATEWAY);
        world.counts(2, 0).await;
    }
}

/// What Gemini may answer with that has nothing in it for a client.
const NOTHINGS: [&str; 10] = [
    r#"{"candidates":[{"content":{"role":"model"},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":0}}"#,
    r#"{"candidates":[{"content":{"parts":[]},"finishReason":"STOP"}]}"#,
    r#"{"candidates":[{"finishReason":"STOP"}]}"#,
    r#"{"candidates":[{"content":{"parts":[{"text":""},{"text":""}]},"finishReason":"STOP"}]}"#,
    r#"{"candidates":[{"content":{"parts":[{"text":" \n"},{"text":"\u200b"}]},"finishReason":"STOP"}]}"#,
    r#"{"candidates":[{"content":{"parts":[{"text":"","thoughtSignature":"QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo="}]},"finishReason":"STOP"}]}"#,
    r#"{"candidates":[{"content":{"parts":[{"inlineData":{"mimeType":"image/png","data":""}}]},"finishReason":"STOP"}]}"#,
    r#"{"candidates":[],"usageMetadata":{"promptTokenCount":3}}"#,
    r#"{"candidates":[{"content":{"role":"model"}}]}"#,
    r#"{"candidates":[{"content":{"role":"model"},"finishReason":"INTERRUPTED"}]}"#,
];
const THOUGHT: &str =
    r#"{"candidates":[{"content":{"parts":[{"text":"hm","thought":true}]},"finishReason":"STOP"}]}"#;

#[tokio::test]
async fn an_empty_response_is_retried_once_on_another_key_and_then_an_error() {
    for nothing in NOTHINGS {
        for (first, answer, stream) in
            [(nothing, ANSWER, ""), (event(nothing), event(ANSWER), r#","stream":true"#)]
        {
            let world = World::new(3, "").await;
            world.script(&[(200, first), (200, answer)]);
            let (reply, body) = world.chat(NEW, stream).await;
            assert!(reply.status == StatusCode::OK && body.contains("Hello"), "{nothing}: {body}");
            assert_ne!(world.keys()[0], world.keys()[1]);
            world.counts(2, 1).await;

            let world = World::new(3, "").await;
            world.script(&[(200, first)]);
            let (reply, body) = world.chat(NEW, stream).await;
            assert_eq!(reply.status, StatusCode::BAD_GATEWAY, "{nothing}: {body}");
            assert_eq!(json_of(&body)["error"]["code"], "empty_response", "{body}");
            world.counts(2, 0).await;
            assert_eq!(world.stats().await.activity.outcomes[&pool_shared::AttemptOutcome::SoftFailure], 2);
        }
    }
}

#[tokio::test]
async fn thoughts_alone_are_no_response_and_a_client_that_saw_them_is_told() {
    let world = World::new(3, "").await;
    world.script(&[(200, THOUGHT), (200, ANSWER)]);
    assert!(world.chat(NEW, "").await.1.contains("Hello"));
    world.counts(2, 1).await;
    let world = World::new(3, "").await;
    world.script(&[(200, event(THOUGHT))]);
    let (reply, body) = world.chat(NEW, r#","stream":true"#).await;
    assert_eq!(reply.status, StatusCode::OK);
    assert!(body.contains(r#""code":"empty_response""#) && !body.contains("[DONE]"), "{body}");
    world.counts(1, 0).await;
}

#[tokio::test]
async fn what_a_stop_sequence_cuts_at_its_first_token_is_an_answer_the_second_time() {
    for stops in [r#","stop":"END""#, r#","stop":["a","END"]"#] {
        for (stream, answer) in [("", NOTHINGS[0]), (r#","stream":true"#, event(NOTHINGS[0]))] {
            let extra = format!("{stops}{stream}");
            let world = World::new(3, "").await;
            world.script(&[(200, answer)]);
            let (reply, body) = world.chat(NEW, &extra).await;
            assert_eq!(reply.status, StatusCode::OK, "{body}");
            assert!(body.contains(r#""finish_reason":"stop""#) && !body.contains("error"), "{body}");
            world.counts(2, 1).await;

            // Gemini's own failures stay failures.
            for nothing in [NOTHINGS[7], NOTHINGS[8], NOTHINGS[9]] {
                let nothing = if stream.is_empty() { nothing } else { event(nothing) };
                let world = World::new(3, "").await;
                world.script(&[(200, nothing)]);
                let (_, body) = world.chat(NEW, &extra).await;
                assert_eq!(json_of(&body)["error"]["code"], "empty_response", "{body}");
                world.counts(2, 0).await;
            }
        }
        let stream = format!(r#"{stops},"stream":true"#);
        let world = World::new(3, "").await;
        world.script(&[(200, event(THOUGHT))]);
        let (_, body) = world.chat(NEW, &stream).await;
        assert!(body.contains(r#""finish_reason":"stop""#) && body.contains("[DONE]"), "{body}");
        world.counts(1, 1).await;
        for stream in ["", r#","stream":true"#] {
            let world = World::new(5, "").await;
            world.script(&[(200, NOTHINGS[0])]);
            let (reply, body) = world.chat(NEW, &format!(r#"{stops},"n":2{stream}"#)).await;
            assert_eq!(reply.status, StatusCode::OK, "{body}");
            assert_eq!(body.matches(r#""finish_reason":"stop""#).count(), 2, "{body}");
            world.counts(4, 2).await;
        }
    }
    // Blank sequences are none.
    let world = World::new(3, "").await;
    world.script(&[(200, NOTHINGS[0])]);
    assert_eq!(world.chat(NEW, r#","stop":[""]"#).await.0.status, StatusCode::BAD_GATEWAY);
}

#[tokio::test]
async fn a_turn_may_end_in_nothing_after_results_of_tools() {
    let call = json!({"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let world = World::new(3, "").await;
    world.script(&[(200, NOTHINGS[0])]);
    let (reply, body) = world.tool_chat(&world.pool.client_key, &call).await;
    assert_eq!(reply.status, StatusCode::OK, "{body}");
    let choice = &json_of(&body)["choices"][0];
    assert_eq!((&choice["message"]["content"], &choice["finish_reason"]), (&json!(""), &json!("stop")));
    world.counts(1, 1).await;
}

#[tokio::test]
async fn an_answer_cut_by_its_limit_without_text_is_no_failure() {
    const SPENT: &str = r#"{"candidates":[{"content":{"role":"model"},"finishReason":"MAX_TOKENS"}],
        "usageMetadata":{"promptTokenCount":3,"thoughtsTokenCount":16,"totalTokenCount":19}}"#;
    for (body, stream) in
        [(SPENT, ""), (event(SPENT), r#","stream":true,"stream_options":{"include_usage":true}"#)]
    {
        let world = World::new(3, "").await;
        world.script(&[(200, body)]);
        let (reply, text) = world.chat(NEW, stream).await;
        assert_eq!(reply.status, StatusCode::OK, "{text}");
        for sign in [r#""finish_reason":"length""#, r#""completion_tokens":16"#, r#""reasoning_tokens":16"#] {
            assert!(text.contains(sign), "{sign}: {text}");
        }
        world.counts(1, 1).await;
        // Operators are told, and not with every response.
        for (calls, events) in [(2, 1), (3, 2)] {
            if events == 2 {
                world.host.parts.clock.advance(std::time::Duration::from_hours(1));
            }
            world.chat(NEW, stream).await;
            world.counts(calls, calls).await;
            let path = "/admin/v1/events";
            let (_, body) = world.host.send(&world.service, Method::GET, path, &world.admin, "").await;
            assert_eq!(body.matches("all 16 were spent on thoughts").count(), events, "{body}");
        }
    }
}

#[tokio::test]
async fn a_pool_may_raise_what_clients_allow_and_tells_them() {
    for (name, given, sent, dropped) in [
        ("max_tokens", 16, 2_000, Some("max_tokens")),
        ("max_completion_tokens", 1_999, 2_000, Some("max_completion_tokens")),
        ("max_tokens", 2_000, 2_000, None),
        ("max_tokens", 5_000, 5_000, None),
    ] {
        let world = World::new(1, r#","translation":{"min_output_tokens":2000,"strict_params":true}"#).await;
        world.script(&[(200, ANSWER)]);
        let (reply, body) = world.chat(NEW, &format!(r#","{name}":{given}"#)).await;
        assert_eq!(reply.status, StatusCode::OK, "{body}");
        assert_eq!(world.sent()[0]["generationConfig"]["maxOutputTokens"], sent);
        assert_eq!(reply.headers.get("x-pool-ignored-params").map(|value| value.to_str().unwrap()), dropped);
    }
    let world = World::new(1, "").await;
    world.script(&[(200, ANSWER)]);
    world.chat(NEW, r#","max_tokens":16"#).await;
    assert_eq!(world.sent()[0]["generationConfig"]["maxOutputTokens"], 16, "off unless set");
}

#[tokio::test]
async fn a_call_in_several_parts_is_one_and_a_part_of_none_is_no_call() {
    let answer = |parts: &str| -> &'static str {
        let text = format!(r#"{{"candidates":[{{"content":{{"parts":[{parts}]}},"finishReason":"STOP"}}]}}"#);
        Box::leak(text.into_boxed_str())
    };
    let tools = r#","tools":[{"type":"function","function":{"name":"f"}},{"type":"function","function":{"name":"g"}}]"#;
    let first = r#"{"functionCall":{"name":"f","args":{}}}"#;
    let more = r#"{"functionCall":{"args":{"a":"x"}}}"#;
    let big = r#"{"functionCall":{"name":"f","args":{"n":123456789012345678901,"a":"y"}}}"#;
    let other = r#"{"functionCall":{"name":"g","args":{"b":1}}}"#;
    for (parts, calls) in [
        (vec![first, more], vec![("f", r#"{"a":"x"}"#)]),
        (vec![big, more], vec![("f", r#"{"n":123456789012345678901,"a":"x"}"#)]),
        (
            vec![first, r#"{"text":"hm","thought":true}"#, more, other],
            vec![("f", r#"{"a":"x"}"#), ("g", r#"{"b":1}"#)],
        ),
        (
            vec![other, first, r#"{"functionCall":{"name":" ","args":{"a":1}}}"#],
            vec![("g", r#"{"b":1}"#), ("f", r#"{"a":1}"#)],
        ),
        // What belongs to no call is left out, and the finish tells.
        (vec![first, r#"{"functionCall":{}}"#], vec![("f", "{}")]),
        (vec![more, other], vec![("g", r#"{"b":1}"#)]),
        (vec![other, r#"{"functionCall":{"name":"","args":null}}"#], vec![("g", r#"{"b":1}"#)]),
    ] {
        let is_whole =
            parts.iter().all(|part| !part.contains("{}}") || part.contains("name")) && parts[0] != more;
        let is_whole = is_whole && !parts.iter().any(|part| part.contains("null"));
        let whole = World::new(1, "").await;
        whole.script(&[(200, answer(&parts.join(",")))]);
        let (_, body) = whole.chat(NEW, tools).await;
        let choice = &json_of(&body)["choices"][0];
        let told = |calls: &Value| -> Vec<(String, String)> {
            let text = |call: &Value, name: &str| call["function"][name].as_str().unwrap().to_owned();
            calls
                .as_array()
                .unwrap()
                .iter()
                .map(|call| (text(call, "name"), text(call, "arguments")))
                .collect()
        };
        let calls: Vec<_> = calls.iter().map(|(name, args)| (name.to_string(), args.to_string())).collect();
        assert_eq!(told(&choice["message"]["tool_calls"]), calls, "{body}");
        assert_eq!(choice["finish_reason"], "tool_calls");
        assert_eq!(
            choice["native_finish_reason"] == "MALFORMED_FUNCTION_CALL",
            !is_whole,
            "{parts:?}: {body}"
        );

        let streamed = World::new(1, "").await;
        let frames: Vec<_> = parts.iter().map(|part| format!("data: {}\n\n", answer(part))).collect();
        let frames = frames.concat();
        streamed.script(&[(200, Box::leak(frames.into_boxed_str()))]);
        let (_, body) = streamed.chat(NEW, &format!(r#"{tools},"stream":true"#)).await;
        let deltas = body.split("\n\n").filter_map(|event| event.strip_prefix("data: {"));
        let deltas = deltas.map(|event| json_of(&format!("{{{event}")));
        let streamed: Vec<_> = deltas
            .filter_map(|delta| delta["choices"][0]["delta"].get("tool_calls").map(&told))
            .flatten()
            .collect();
        assert_eq!(streamed, calls, "{body}");
        assert!(body.ends_with("data: [DONE]\n\n"), "{body}");
        assert_eq!(body.contains("MALFORMED_FUNCTION_CALL"), !is_whole, "{body}");
    }
    // Nothing else is there: that is no response.
    for (body, stream) in [(answer(more), ""), (event(answer(more)), r#","stream":true"#)] {
        let world = World::new(2, "").await;
        world.script(&[(200, body)]);
        let (reply, text) = world.chat(NEW, &format!("{tools}{stream}")).await;
        assert_eq!(reply.status, StatusCode::BAD_GATEWAY, "{text}");
        assert_eq!(json_of(&text)["error"]["code"], "malformed_function_call");
        world.counts(2, 0).await;
    }
}

#[tokio::test]
async fn an_empty_choice_does_not_spoil_the_others() {
    const TWO: &str = r#"{"candidates":[{"index":0,"content":{"parts":[{"text":"Hello"}]},"finishReason":"STOP"},{"index":1,"finishReason":"STOP"}]}"#;
    for (body, stream) in [(TWO, ""), (event(TWO), r#","stream":true"#)] {
        let world = World::new(1, "").await;
        world.script(&[(200, body)]);
        let (reply, text) = world.chat(OLD, &format!(r#","n":2{stream}"#)).await;
        assert_eq!(reply.status, StatusCode::OK, "{text}");
        assert_eq!(text.matches(r#""finish_reason":"stop""#).count(), 2, "{text}");
        world.counts(1, 1).await;
    }
    for stream in ["", r#","stream":true"#] {
        let world = World::new(5, "").await;
        world.script(&[(200, ANSWER), (200, NOTHINGS[0]), (200, NOTHINGS[0])]);
        let (reply, text) = world.chat(NEW, &format!(r#","n":2{stream}"#)).await;
        assert_eq!(reply.status, StatusCode::OK, "{text}");
        assert_eq!(text.matches(r#""finish_reason":"stop""#).count(), 2, "{text}");
        world.counts(3, 1).await;
    }
}

#[tokio::test]
async fn a_call_that_goes_on_with_an_answer_may_add_nothing() {
    for (first, second, stream) in
        [(FIRST_PART, NOTHINGS[0], ""), (event(FIRST_PART), event(NOTHINGS[0]), r#","stream":true"#)]
    {
        let world = World::new(3, "").await;
        world.script(&[(200, first), (200, second)]);
        let (reply, body) = world.chat(LONG, &format!("{LONG_ANSWER}{stream}")).await;
        assert_eq!(reply.status, StatusCode::OK, "{body}");
        assert!(body.contains("one ") && body.contains(r#""finish_reason":"stop""#), "{body}");
        world.counts(2, 2).await;
    }
}

#[tokio::test]
async fn several_choices_are_several_calls_each_with_its_own_retries() {
    let world = World::new(5, "").await;
    world.script(&[(200, ANSWER), (429, MINUTE), (200, MALFORMED), (200, ANSWER)]);
    let (reply, body) = world.chat(NEW, r#","n":3"#).await;
    assert_eq!(reply.status, StatusCode::OK, "{body}");
    let body = json_of(&body);
    let choices = body["choices"].as_array().unwrap();
    let said: Vec<_> =
        choices.iter().map(|choice| (&choice["index"], &choice["message"]["content"])).collect();
    assert_eq!(
        said,
        [(&json!(0), &json!("Hello")), (&json!(1), &json!("Hello")), (&json!(2), &json!("Hello"))]
    );
    assert_eq!(
        (&body["usage"]["prompt_tokens"], &body["usage"]["completion_tokens"]),
        (&json!(9), &json!(6))
    );
    let total = world.stats().await.total;
    assert_eq!((total.attempts, total.successes, world.sent().len()), (5, 3, 5));
    assert_eq!((total.prompt_tokens, total.completion_tokens), (9, 6));
}

#[tokio::test]
async fn several_choices_are_streamed_as_one() {
    let world = World::new(3, "").await;
    world.script(&[(200, ANSWER)]);
    let options = r#","n":2,"stream":true,"stream_options":{"include_usage":true}"#;
    let (_, body) = world.chat(NEW, options).await;
    assert_eq!(streamed(&body, 2), ["Hello", "Hello"]);
    assert!(body.contains(r#""prompt_tokens":6"#), "{body}");
    world.counts(2, 2).await;
}

#[tokio::test]
async fn a_choice_that_cannot_be_had_is_an_error_and_all_calls_count() {
    for more in [r#","n":3"#, r#","n":3,"stream":true"#] {
        let world = World::new(3, "").await;
        world.script(&[(200, ANSWER), (400, MISTAKE), (200, ANSWER)]);
        let (reply, body) = world.chat(NEW, more).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{body}");
        world.counts(3, 2).await;
    }
}

#[tokio::test]
async fn a_model_that_turns_out_to_give_one_choice_is_asked_once_for_each() {
    const ONE_ONLY: &str = r#"{"error":{"code":400,"message":"Multiple candidates is not enabled for this model","status":"INVALID_ARGUMENT"}}"#;
    let world = World::new(2, "").await;
    world.script(&[(400, ONE_ONLY), (200, ANSWER)]);
    for calls in [3, 5] {
        let (_, body) = world.chat(OLD, r#","n":2"#).await;
        assert_eq!(json_of(&body)["choices"].as_array().unwrap().len(), 2, "{body}");
        assert_eq!(world.sent().len(), calls);
    }
    world.counts(5, 4).await;
}

const FIRST_PART: &str = r#"{"candidates":[{"content":{"parts":[{"text":"one "}]},"finishReason":"CONTINUATION","continuationToken":"t1"}],
    "usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":10,"totalTokenCount":13}}"#;
const SECOND_PART: &str = r#"{"candidates":[{"content":{"parts":[{"text":"two"}]},"finishReason":"STOP"}],
    "usageMetadata":{"promptTokenCount":13,"candidatesTokenCount":5,"totalTokenCount":18}}"#;

#[tokio::test]
async fn an_answer_of_several_calls_is_put_together_on_one_key() {
    let world = World::new(5, "").await;
    world.script(&[(200, FIRST_PART), (200, SECOND_PART)]);
    let (_, body) = world.chat(LONG, LONG_ANSWER).await;
    let answer = json_of(&body);
    assert_eq!(answer["choices"][0]["message"]["content"], "one two");
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");
    assert_eq!(
        (world.keys()[0] == world.keys()[1], &world.sent()[1]["continuationToken"]),
        (true, &json!("t1"))
    );
    world.counts(2, 2).await;
    let total = world.stats().await.total;
    assert_eq!((total.prompt_tokens, total.completion_tokens), (16, 15), "each call as Gemini counts it");

    let world = World::new(5, "").await;
    world.script(&[(200, event(FIRST_PART)), (200, event(SECOND_PART))]);
    let (_, body) = world.chat(LONG, r#","max_tokens":100000,"stream":true"#).await;
    assert_eq!(streamed(&body, 1), ["one two"]);
    assert_eq!(
        (world.keys()[0] == world.keys()[1], &world.sent()[1]["continuationToken"]),
        (true, &json!("t1"))
    );
    world.counts(2, 2).await;
    let total = world.stats().await.total;
    assert_eq!((total.prompt_tokens, total.completion_tokens), (16, 15));
}

#[tokio::test]
async fn an_answer_that_cannot_be_gone_on_with_tells_that_it_was_cut() {
    for (first, stream) in [(FIRST_PART, ""), (event(FIRST_PART), r#","stream":true"#)] {
        let world = World::new(5, "").await;
        world.script(&[(200, first), (400, MISTAKE)]);
        let (reply, body) = world.chat(LONG, &format!("{LONG_ANSWER}{stream}")).await;
        assert_eq!(reply.status, StatusCode::OK);
        for sign in ["one ", r#""finish_reason":"length""#, r#""continuation_token":"t1""#] {
            assert!(body.contains(sign), "{body}");
        }
        world.counts(2, 1).await;
    }
}

#[tokio::test]
async fn forty_calls_go_on_with_an_answer_and_no_more() {
    for (first, stream) in [(FIRST_PART, ""), (event(FIRST_PART), r#","stream":true"#)] {
        let world = World::new(1, "").await;
        world.script(&[(200, first)]);
        let (_, body) = world.chat(LONG, &format!("{LONG_ANSWER}{stream}")).await;
        assert!(body.contains(r#""finish_reason":"length""#), "{body}");
        world.counts(41, 41).await;
        let total = world.stats().await.total;
        assert_eq!((total.prompt_tokens, total.completion_tokens), (41 * 3, 41 * 10));
    }
}

#[tokio::test]
async fn a_signature_comes_back_to_the_client_key_that_got_the_call_and_to_no_other() {
    const SIGNATURE: &str = "c2lnbmF0dXJlIG9mIGEgY2FsbA==";
    const CALLED: &str = r#"{"candidates":[{"content":{"parts":[{"functionCall":{"id":"call-1","name":"f","args":{}},"thoughtSignature":"c2lnbmF0dXJlIG9mIGEgY2FsbA=="}]},"finishReason":"STOP"}]}"#;
    let tools = r#","tools":[{"type":"function","function":{"name":"f"}}]"#;
    let call = json!({"id": "call-1", "type": "function", "function": {"name": "f", "arguments": "{}"}});
    for (first, more) in [(CALLED, tools.to_owned()), (event(CALLED), format!(r#"{tools},"stream":true"#))] {
        let world = World::new(1, "").await;
        world.script(&[(200, first), (200, ANSWER)]);
        world.chat(NEW, &more).await;
        let path = format!("/admin/v1/pools/{}/client-keys", world.pool.pool.id);
        let (_, other) =
            world.host.send(&world.service, Method::POST, &path, &world.admin, r#"{"name":"b"}"#).await;
        let other: ClientKeyCreated = serde_json::from_str(&other).unwrap();
        world.tool_chat(&world.pool.client_key, &call).await;
        world.tool_chat(&other.secret, &call).await;
        world.host.parts.clock.advance(std::time::Duration::from_hours(24));
        world.tool_chat(&world.pool.client_key, &call).await;
        let sent = world.sent();
        let signature = |at: usize| &sent[at]["contents"][1]["parts"][0]["thoughtSignature"];
        assert_eq!(signature(1), SIGNATURE);
        assert_eq!(signature(2), "skip_thought_signature_validator");
        assert_eq!(signature(3), "skip_thought_signature_validator", "too old");
    }
}

#[tokio::test]
async fn a_blocked_prompt_is_an_answer_or_an_error() {
    for (settings, status) in [("", 200), (r#","translation":{"prompt_block":"error"}"#, 400)] {
        for (body, more, calls) in
            [(BLOCKED, "", 1), (event(BLOCKED), r#","stream":true"#, 1), (BLOCKED, r#","n":2"#, 2)]
        {
            let world = World::new(3, settings).await;
            world.script(&[(200, body)]);
            let (reply, text) = world.chat(NEW, more).await;
            assert_eq!(reply.status.as_u16(), status, "{text}");
            let sign = if status == 200 { "content_filter" } else { "content_policy_violation" };
            assert!(text.contains(sign) && text.contains("PROHIBITED_CONTENT"), "{text}");
            world.counts(calls, calls).await;
        }
    }
}

#[tokio::test]
async fn an_alias_is_the_name_that_is_shown() {
    const VERSIONED: &str = r#"{"candidates":[{"content":{"parts":[{"text":"x"}]},"finishReason":"STOP"}],"modelVersion":"gemini-3.8-flash-001"}"#;
    let world = World::new(1, r#","aliases":{"gpt-4o":"gemini-3.8-flash"}"#).await;
    world.script(&[(200, VERSIONED)]);
    for (name, shown) in [("gpt-4o", "gpt-4o"), (NEW, "gemini-3.8-flash-001")] {
        let (_, body) = world.chat(name, "").await;
        assert_eq!(json_of(&body)["model"], shown);
    }
}

#[tokio::test]
async fn a_model_s_name_may_ask_for_more_where_the_pool_heeds_it() {
    let world = World::new(1, "").await;
    world.script(&[(200, ANSWER)]);
    assert_eq!(world.chat("gemini-3.8-flash:online", "").await.0.status, StatusCode::NOT_FOUND);
    let settings = r#","translation":{"model_suffixes":true},"allowed_models":["gemini-3.8-flash"],
        "aliases":{"quick":"gemini-3.8-flash-nothinking"}"#;
    let world = World::new(1, settings).await;
    world.script(&[(200, ANSWER)]);
    let (reply, body) = world.chat("gemini-3.8-flash-thinking-low:online", "").await;
    assert_eq!(reply.status, StatusCode::OK, "{body}");
    assert_eq!(world.sent()[0]["tools"], json!([{"googleSearch": {}}]));
    assert_eq!(world.sent()[0]["generationConfig"]["thinkingConfig"]["thinkingLevel"], "low");
    assert_eq!(world.chat("quick", "").await.0.status, StatusCode::OK);
    assert_eq!(world.chat("gemini-2.5-flash:online", "").await.0.status, StatusCode::FORBIDDEN);
    world.counts(2, 2).await;
}
