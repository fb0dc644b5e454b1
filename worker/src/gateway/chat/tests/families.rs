//! Names that other models answer, forms of thinking that a model does not take, and signatures that another key made.

use super::*;

const NO_BUDGET: &str = r#"{"error":{"code":400,"message":"Thinking budget is not supported for this model.","status":"INVALID_ARGUMENT"}}"#;
const NO_LEVEL: &str = r#"{"error":{"code":400,"message":"Thinking level is not supported for this model.","status":"INVALID_ARGUMENT"}}"#;
const NO_MEDIUM: &str = r#"{"error":{"code":400,"message":"Thinking level MEDIUM is not supported for this model. Please retry with other thinking level.","status":"INVALID_ARGUMENT"}}"#;
const BY_3_8: &str = r#"{"candidates":[{"content":{"role":"model","parts":[{"text":"Hello"}]},"finishReason":"STOP"}],"modelVersion":"gemini-3.8-flash"}"#;
const BY_2_5: &str = r#"{"candidates":[{"content":{"role":"model","parts":[{"text":"Hello"}]},"finishReason":"STOP"}],"modelVersion":"gemini-2.5-pro"}"#;
/// A name that another model answers since October 2026, as Google documents.
const DOCUMENTED: &str = "gemini-3.5-flash";
const PRO: &str = "gemini-2.5-pro";
const ROBOTICS: &str = "gemini-robotics-er-1.5-preview";
const LOW: &str = r#","reasoning_effort":"low","temperature":0.5"#;

/// Returns how thinking is steered in each call to Gemini: `low`, `1024`, or nothing.
fn thinking(world: &World) -> Vec<String> {
    let sent = world.sent();
    let configs = sent.iter().map(|body| &body["generationConfig"]["thinkingConfig"]);
    let shown = configs.map(|config| match (&config["thinkingLevel"], &config["thinkingBudget"]) {
        (Value::String(level), _) => level.clone(),
        (_, Value::Number(budget)) => budget.to_string(),
        _ => String::new(),
    });
    shown.collect()
}

#[tokio::test]
async fn a_refusal_of_another_generation_changes_the_whole_request_once_and_for_a_day() {
    let world = World::new(1, "").await;
    world.script(&[(400, NO_BUDGET), (200, ANSWER), (200, ANSWER), (400, NO_BUDGET), (200, ANSWER)]);
    let (reply, body) = world.chat(PRO, LOW).await;
    assert_eq!(reply.status, StatusCode::OK, "{body}");
    assert_eq!(reply.headers["x-pool-ignored-params"], "temperature");
    assert!(world.sent()[1]["generationConfig"].get("temperature").is_none());
    world.chat(PRO, LOW).await;
    assert_eq!(thinking(&world), ["1024", "low", "low"]);
    world.host.parts.clock.advance(std::time::Duration::from_hours(24));
    world.chat(PRO, LOW).await;
    assert_eq!(thinking(&world)[3..], ["1024", "low"]);
    world.counts(5, 3).await;
}

#[tokio::test]
async fn the_version_that_an_answer_names_decides_how_the_next_request_is_translated() {
    for (first, more) in [(BY_3_8, LOW.to_owned()), (event(BY_3_8), format!(r#"{LOW},"stream":true"#))] {
        let world = World::new(1, "").await;
        world.script(&[(200, first), (200, BY_2_5), (200, BY_2_5)]);
        world.chat(PRO, &more).await;
        world.chat(PRO, LOW).await;
        // Once it is the old model again, it is asked as such.
        world.chat(PRO, LOW).await;
        assert_eq!(thinking(&world), ["1024", "low", "1024"]);
    }
}

#[tokio::test]
async fn a_documented_route_holds_from_its_day_and_what_answers_wins_over_it() {
    let early = r#"{"candidates":[{"content":{"role":"model","parts":[{"text":"Hello"}]},"finishReason":"STOP"}],"modelVersion":"gemini-3.5-flash"}"#;
    let world = World::new(1, "").await;
    world.script(&[(200, early), (200, ANSWER)]);
    let warm = r#","temperature":0.5"#;
    let (reply, _) = world.chat(DOCUMENTED, warm).await;
    assert_eq!(reply.headers["x-pool-ignored-params"], "temperature", "3.6 ignores it");
    let (reply, _) = world.chat(DOCUMENTED, warm).await;
    assert!(!reply.headers.contains_key("x-pool-ignored-params"), "3.5 does not");
    assert_eq!(world.sent()[1]["generationConfig"]["temperature"], 0.5);
}

#[tokio::test]
async fn a_pool_says_itself_what_answers_and_a_refusal_corrects_it() {
    let settings = r#","translation":{"families":{"gemini-2.5-pro":"gemini-3.8-flash"}}"#;
    let world = World::new(1, settings).await;
    world.script(&[(200, ANSWER), (400, NO_LEVEL), (200, ANSWER)]);
    for _ in 0..3 {
        assert_eq!(world.chat(PRO, LOW).await.0.status, StatusCode::OK);
    }
    assert_eq!(thinking(&world), ["low", "low", "1024", "1024"]);
}

#[tokio::test]
async fn thinking_is_refused_form_by_form_until_one_is_taken() {
    let medium = r#","reasoning_effort":"medium""#;
    for (refusals, expected) in [
        (&[NO_LEVEL][..], &["medium", "8192"][..]),
        (&[NO_MEDIUM], &["medium", "high"]),
        (&[NO_MEDIUM, NO_LEVEL], &["medium", "high", "8192"]),
        (&[NO_MEDIUM, NO_LEVEL, NO_BUDGET], &["medium", "high", "8192", ""]),
    ] {
        let world = World::new(1, "").await;
        for refusal in refusals {
            world.script(&[(400, *refusal)]);
        }
        world.script(&[(200, ANSWER)]);
        let (reply, body) = world.chat(ROBOTICS, medium).await;
        assert_eq!(reply.status, StatusCode::OK, "{body}");
        assert_eq!(thinking(&world), expected);
        world.chat(ROBOTICS, medium).await;
        assert_eq!(thinking(&world).last().map(String::as_str), expected.last().copied(), "remembered");
    }
}

#[tokio::test]
async fn explicit_caching_is_refused_before_any_call_where_there_is_none() {
    let cached = r#","extra_body":{"google":{"cached_content":"cachedContents/x"}}"#;
    let world = World::new(1, "").await;
    world.script(&[(200, ANSWER)]);
    for model in ["gemini-4-argon", "gemini-4-hydrogen", "gemini-4-xenon"] {
        let (reply, body) = world.chat(model, cached).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{body}");
        assert!(body.contains("no explicit caching"), "{body}");
    }
    assert!(world.sent().is_empty());
    assert_eq!(world.chat("gemini-3.8-flash", cached).await.0.status, StatusCode::OK);
    assert_eq!(world.sent()[0]["cachedContent"], "cachedContents/x");
}

#[tokio::test]
async fn a_signature_that_is_refused_goes_to_the_key_that_made_it_and_then_gives_way() {
    const WRONG: &str =
        r#"{"error":{"code":400,"message":"Corrupted thought signature.","status":"INVALID_ARGUMENT"}}"#;
    const MISSING: &str = r#"{"error":{"code":400,"message":"Function call is missing a thought_signature in functionCall parts.","status":"INVALID_ARGUMENT"}}"#;
    const CALLED: &str = r#"{"candidates":[{"content":{"parts":[{"functionCall":{"id":"call-1","name":"f","args":{}},"thoughtSignature":"c2lnbmF0dXJlIG9mIGEgY2FsbA=="}]},"finishReason":"STOP"}]}"#;
    const REAL: &str = "c2lnbmF0dXJlIG9mIGEgY2FsbA==";
    const DUMMY: &str = "skip_thought_signature_validator";
    let call = json!({"id": "call-1", "type": "function", "function": {"name": "f", "arguments": "{}"}});
    for (refusals, expected, maker_is_asked) in [
        (&[WRONG][..], &[REAL, REAL][..], true),
        (&[WRONG, WRONG], &[REAL, REAL, DUMMY], true),
        (&[MISSING], &[REAL, DUMMY], false),
    ] {
        for first in [CALLED, event(CALLED)] {
            let world = World::new(20, "").await;
            world.script(&[(200, first)]);
            for refusal in refusals {
                world.script(&[(400, *refusal)]);
            }
            world.script(&[(200, ANSWER)]);
            let stream = if first == CALLED { "" } else { r#","stream":true"# };
            world
                .chat(NEW, &format!(r#","tools":[{{"type":"function","function":{{"name":"f"}}}}]{stream}"#))
                .await;
            let (reply, body) = world.tool_chat(&world.pool.client_key, &call).await;
            assert_eq!(reply.status, StatusCode::OK, "{body}");
            let sent = world.sent();
            let signatures: Vec<&Value> = sent
                .iter()
                .skip(1)
                .map(|body| &body["contents"][1]["parts"][0]["thoughtSignature"])
                .collect();
            assert_eq!(signatures, expected);
            let keys = world.keys();
            assert_ne!(keys[0], keys[1], "the test needs another key than the maker");
            assert_eq!(keys[2] == keys[0], maker_is_asked);
        }
    }
}
