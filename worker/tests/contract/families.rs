//! Model families and routed model names.

use pool_fake_gemini::{Behaviour, KeySpec, Scenario};
use pool_shared::{EventList, Pool as PoolShown};
use serde_json::{Value, json};

use super::answer::Answer;
use super::events::{Event, Events};
use super::harness::{Harness, Pool, eventually, gemini_key, prompt, send};

const CHAT: &str = "/v1/chat/completions";
/// A model name whose routing Google does not document, so that the service has to detect it.
const ROUTED: &str = "gemini-2.5-pro";

/// Creates a pool with one key and sets the scenario.
async fn pool(harness: &Harness, scenario: Scenario) -> Pool {
    let pool = harness.pool(&[("good", Behaviour::Ok)]).await;
    play(harness, scenario);
    pool
}

fn play(harness: &Harness, scenario: Scenario) {
    harness.gemini.set_scenario(scenario.key(KeySpec::new(gemini_key("good"), Behaviour::Ok))).unwrap();
}

async fn ask(harness: &Harness, pool: &Pool, model: &str, more: Value) -> Answer {
    let mut body = prompt("hello");
    body["model"] = json!(model);
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    if more["stream"] == json!(true) {
        let response = harness.call(pool, CHAT, &body).send().await.unwrap();
        let events = Events::new(response).rest().await;
        assert_eq!(events.last(), Some(&Event::Done));
    }
    send(harness.call(pool, CHAT, &body)).await
}

/// Returns the thinking level or budget of each upstream request: `low`, `1024`, or empty.
fn thinking(harness: &Harness) -> Vec<String> {
    let requests = harness.gemini.requests().into_iter().filter(|request| request.method == "POST");
    let config = |body: &str| -> Value {
        let body: Value = serde_json::from_str(body).unwrap();
        body["generationConfig"]["thinkingConfig"].clone()
    };
    let shown = requests.map(|request| {
        let config = config(&request.body);
        match (&config["thinkingLevel"], &config["thinkingBudget"]) {
            (Value::String(level), Value::Null) => level.clone(),
            (Value::Null, Value::Number(budget)) => budget.to_string(),
            (Value::Null, Value::Null) => String::new(),
            both => panic!("{both:?}"),
        }
    });
    shown.collect()
}

pub async fn a_reasoning_effort_is_converted_for_each_model_family(harness: &Harness) {
    let pool = pool(harness, Scenario::default()).await;
    for (model, expected) in [
        ("gemini-4-hydrogen", ["low", "low", "low", "medium", "high", "xhigh", "xhigh"]),
        ("models/gemini-4-neon", ["low", "low", "low", "medium", "high", "xhigh", "xhigh"]),
        ("gemini-4-argon", ["low", "low", "low", "medium", "high", "high", "high"]),
        ("gemini-4-carbon", ["low", "low", "low", "medium", "high", "high", "high"]),
        ("gemini-3.8-flash", ["low", "low", "low", "medium", "high", "high", "high"]),
        ("gemini-3.6-flash", ["minimal", "minimal", "low", "medium", "high", "high", "high"]),
        ("gemini-3.5-flash-lite", ["minimal", "minimal", "low", "medium", "high", "high", "high"]),
        ("gemini-2.5-flash-lite", ["0", "1024", "1024", "8192", "24576", "24576", "24576"]),
    ] {
        harness.gemini.reset();
        for effort in ["none", "minimal", "low", "medium", "high", "xhigh", "max"] {
            let answer = ask(harness, &pool, model, json!({"reasoning_effort": effort})).await;
            assert_eq!(answer.status, 200, "{model} {effort}: {}", answer.body);
        }
        assert_eq!(thinking(harness), expected, "{model}: each in one call");
    }
}

pub async fn an_unsupported_thinking_level_is_replaced_by_the_next(harness: &Harness) {
    // The pool configures the family of another model.
    let pool = pool(harness, Scenario::default()).await;
    let families = json!({"translation": {"families": {"gemini-4-argon": "gemini-4-neon"}}});
    harness.patch(&format!("/pools/{}", pool.id), &families).await.json::<PoolShown>(200);
    for _ in 0..2 {
        let answer = ask(harness, &pool, "gemini-4-argon", json!({"reasoning_effort": "xhigh"})).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    assert_eq!(thinking(harness), ["xhigh", "high", "high"], "and is remembered");
}

pub async fn a_routed_model_name_is_treated_as_its_target(harness: &Harness) {
    let low = || json!({"reasoning_effort": "low", "temperature": 0.5});
    for stream in [false, true] {
        let pool = pool(harness, Scenario::default().route(ROUTED, "gemini-3.8-flash")).await;
        harness.gemini.reset();
        // If nothing is rejected, the response reveals the model.
        let plain = ask(harness, &pool, ROUTED, json!({"stream": stream})).await;
        assert_eq!((plain.status, plain.header("x-pool-ignored-params")), (200, ""), "{}", plain.body);
        let asked = thinking(harness).len();
        let answer = ask(harness, &pool, ROUTED, low()).await;
        assert_eq!(
            (answer.status, answer.header("x-pool-ignored-params")),
            (200, "temperature"),
            "{}",
            answer.body
        );
        assert_eq!(thinking(harness)[asked..], ["low"]);
        // The detection works in the other direction too.
        play(harness, Scenario::default());
        let answer = ask(harness, &pool, ROUTED, low()).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let answer = ask(harness, &pool, ROUTED, low()).await;
        assert_eq!((answer.status, answer.header("x-pool-ignored-params")), (200, ""), "{}", answer.body);
        assert_eq!(thinking(harness)[asked..], ["low", "low", "1024", "1024"]);
        harness.delete(&format!("/pools/{}", pool.id)).await.no_content();
    }
}

pub async fn errors_of_a_changed_model_family_are_retried_in_both_directions(harness: &Harness) {
    let pool = pool(harness, Scenario::default().route(ROUTED, "gemini-3.8-flash")).await;
    let low = || json!({"reasoning_effort": "low"});
    for _ in 0..2 {
        let answer = ask(harness, &pool, ROUTED, low()).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    assert_eq!(thinking(harness), ["1024", "low", "low"]);
    play(harness, Scenario::default());
    harness.gemini.reset();
    for _ in 0..2 {
        let answer = ask(harness, &pool, ROUTED, low()).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    assert_eq!(thinking(harness), ["low", "1024", "1024"]);
    // The last turn is the model's, and calls have ids and signatures.
    harness.gemini.reset();
    play(harness, Scenario::default().route("gemini-2.5-flash", "gemini-3.5-flash-lite"));
    let call = json!({"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let tool = json!({"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}});
    for messages in [
        json!([{"role": "user", "content": "go"}, {"role": "assistant", "content": "I go"}]),
        json!([{"role": "user", "content": "go"}, {"role": "assistant", "tool_calls": [call]},
               {"role": "tool", "tool_call_id": "c1", "content": "done"}]),
    ] {
        let more = json!({"messages": messages, "tools": [tool]});
        let answer = ask(harness, &pool, "gemini-2.5-flash", more).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    let stats = harness.pool_stats(&pool).await;
    let gemini = harness.gemini.counts().total();
    assert!(gemini.requests <= 3, "only the first one was sent twice: {gemini:?}");
    assert_eq!(stats.total.successes, 6);
}

pub async fn explicit_caches_are_rejected_for_models_without_them(harness: &Harness) {
    let pool = pool(harness, Scenario::default()).await;
    let cached = || json!({"extra_body": {"google": {"cached_content": "cachedContents/x"}}});
    for model in ["gemini-4-argon", "gemini-4-carbon", "gemini-4-hydrogen", "gemini-4-neon"] {
        let message = ask(harness, &pool, model, cached()).await.openai_error(400, Some("unsupported_value"));
        assert!(message.contains("no explicit caching"), "{message}");
    }
    assert!(harness.gemini.requests().is_empty(), "no upstream request");
    assert_eq!(ask(harness, &pool, "gemini-3.8-flash", cached()).await.status, 200);
}

pub async fn responses_of_only_thoughts_are_reported_and_not_retried(harness: &Harness) {
    let pool = pool(harness, Scenario::default()).await;
    let few = || json!({"max_tokens": 16});
    let spent = ask(harness, &pool, "gemini-4-argon", few()).await.json::<Value>(200);
    assert_eq!(spent["choices"][0]["finish_reason"], "length");
    assert_eq!(spent["usage"]["completion_tokens"], 16);
    assert_eq!(spent["usage"]["completion_tokens_details"]["reasoning_tokens"], 16);
    let mut body = prompt("hello");
    body["model"] = json!("gemini-4-neon");
    body["max_tokens"] = json!(16);
    body["stream"] = json!(true);
    let events = Events::new(harness.call(&pool, CHAT, &body).send().await.unwrap()).rest().await;
    let finished = |event: &Event| matches!(event, Event::Chunk(chunk) if chunk["choices"][0]["finish_reason"] == "length");
    assert!(events.iter().any(finished), "{events:?}");
    assert_eq!(harness.tally("good").requests, 2, "none of it is asked for again");
    let reported = eventually("the event", async || {
        let path = format!("/events?pool={}&limit=100", pool.id);
        let list: EventList = harness.get(&path).await.json(200);
        let reported: Vec<_> =
            list.events.into_iter().filter(|event| event.message.contains("thoughts")).collect();
        (!reported.is_empty()).then_some(reported)
    })
    .await;
    assert_eq!(reported.len(), 1, "once an hour: {reported:?}");
    // A pool can raise the limit.
    let least = json!({"translation": {"min_output_tokens": 1000}});
    harness.patch(&format!("/pools/{}", pool.id), &least).await.json::<PoolShown>(200);
    let answer = ask(harness, &pool, "gemini-4-argon", few()).await;
    assert_eq!(answer.header("x-pool-ignored-params"), "max_tokens");
    let answer = answer.json::<Value>(200);
    assert_eq!(answer["choices"][0]["message"]["content"], "You said: hello");
}
