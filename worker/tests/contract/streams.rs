//! Streamed chat responses.

use pool_fake_gemini::{Behaviour, Scenario};
use pool_shared::Pool as PoolShown;
use serde_json::{Value, json};

use super::events::{Event, Events, text};
use super::harness::{EMBEDDING_MODEL, Harness, MODEL, Pool, eventually, gemini_key, prompt, send};

pub async fn a_stream_has_its_events_in_order(harness: &Harness) {
    let pool = harness.pool(&[("good", Behaviour::Ok)]).await;
    let events = harness.stream(&pool, "tell me: äöü, 你好 🙂").await.rest().await;
    assert_eq!(text(&events), "You said: tell me: äöü, 你好 🙂");
    let (Some(Event::Done), Some(chunks)) = (events.last(), events.get(..events.len() - 1)) else {
        panic!("no [DONE] at the end: {events:?}");
    };
    let chunks: Vec<&Value> = chunks
        .iter()
        .map(|event| match event {
            Event::Chunk(chunk) => chunk,
            other => panic!("{other:?}"),
        })
        .collect();
    for chunk in &chunks {
        assert_eq!(
            (chunk["object"].as_str(), chunk["model"].as_str()),
            (Some("chat.completion.chunk"), Some(MODEL))
        );
        assert_eq!((&chunk["id"], &chunk["created"]), (&chunks[0]["id"], &chunks[0]["created"]));
    }
    assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant");
    assert!(chunks[1..].iter().all(|chunk| chunk["choices"][0]["delta"].get("role").is_none()));
    let (usage, choices) = chunks.split_last().unwrap();
    assert_eq!((&usage["choices"], &usage["usage"]["total_tokens"]), (&json!([]), &json!(12)));
    let finish: Vec<_> = choices.iter().map(|chunk| chunk["choices"][0]["finish_reason"].as_str()).collect();
    assert_eq!(finish.iter().flatten().collect::<Vec<_>>(), [&"stop"]);
    assert_eq!(finish.last(), Some(&Some("stop")));
    let pieces = choices.iter().filter(|chunk| {
        chunk["choices"][0]["delta"]["content"].as_str().is_some_and(|piece| !piece.is_empty())
    });
    assert!(pieces.count() > 1, "the answer arrived in one piece");
}

pub async fn usage_is_sent_only_on_request(harness: &Harness) {
    let pool = harness.pool(&[("good", Behaviour::Ok)]).await;
    let mut body = prompt("hello");
    body["stream"] = json!(true);
    for include in [None, Some(false)] {
        if let Some(include) = include {
            body["stream_options"] = json!({"include_usage": include});
        }
        let request = harness.call(&pool, "/v1/chat/completions", &body);
        let events = Events::new(request.send().await.unwrap()).rest().await;
        assert_eq!(text(&events), "You said: hello");
        assert_eq!(events.last(), Some(&Event::Done));
        for event in &events {
            let Event::Chunk(chunk) = event else { continue };
            assert!(chunk["usage"].is_null() && chunk["choices"].as_array().unwrap().len() == 1, "{chunk}");
        }
    }
    // It is counted too.
    let sent = harness.tally("good").tokens;
    let counted = eventually("both streams", async || {
        let total = harness.pool_stats(&pool).await.total;
        (total.successes == 2).then_some(total)
    })
    .await;
    assert_eq!((counted.prompt_tokens, counted.completion_tokens), (sent.prompt, sent.completion));
}

pub async fn a_truncated_stream_ends_with_an_error(harness: &Harness) {
    let behaviours =
        [Behaviour::Cut, Behaviour::Truncated, Behaviour::ErrorMidStream, Behaviour::RawErrorTail];
    // An error together with the first event can be retried, because nothing was sent yet.
    let slow = Scenario { between_frames_ms: 100, ..Scenario::default() };
    harness.gemini.set_scenario(slow).unwrap();
    for (number, behaviour) in behaviours.into_iter().enumerate() {
        // The started response cannot be retried with the other key.
        let keys = [("broken", behaviour, 1), ("good", Behaviour::Ok, 0)];
        let pool = harness.weighted_pool(&format!("prod {number}"), &keys).await;
        let events = harness.stream(&pool, "hello there").await.rest().await;
        let text = text(&events);
        assert!(!text.is_empty() && "You said: hello there".starts_with(&text), "{behaviour:?}: {text}");
        assert!(matches!(events.last(), Some(Event::Error(_))), "{behaviour:?}: {events:?}");
        assert!(!events.contains(&Event::Done), "{behaviour:?}");
        let Some(Event::Error(error)) = events.last() else { continue };
        assert!(error["error"]["message"].is_string() && error["error"]["code"].is_string(), "{error}");
        assert_eq!(harness.tally("good").requests, 0, "{behaviour:?}");
        let counted = eventually("the failure", async || {
            Some(harness.pool_stats(&pool).await.total).filter(|total| total.attempts > 0)
        })
        .await;
        assert_eq!((counted.attempts, counted.failures), (1, 1), "{behaviour:?}");
    }
}

pub async fn an_upstream_error_before_the_first_event_is_an_http_error(harness: &Harness) {
    let pool = harness.pool_with_reserve(Behaviour::Suspended, Behaviour::Ok).await;
    let events = harness.stream(&pool, "hello").await.rest().await;
    assert_eq!((text(&events).as_str(), events.last()), ("You said: hello", Some(&Event::Done)));
    assert_eq!((harness.tally("first").refusals(), harness.tally("reserve").ok), (1, 1));
    let mut body = prompt("hello");
    body["stream"] = json!(true);
    harness.gemini.fail_next(1, Behaviour::InvalidArgument);
    let answer = send(harness.call(&pool, "/v1/chat/completions", &body)).await;
    answer.openai_error(400, None);
}

pub async fn a_client_disconnect_ends_the_upstream_request(harness: &Harness) {
    let pool = harness.pool(&[("good", Behaviour::Ok)]).await;
    leave(harness, &pool).await;
}

pub async fn an_unsupported_region_is_avoided(harness: &Harness) {
    let pool = harness.pool(&[("good", Behaviour::Ok), ("better", Behaviour::Ok)]).await;
    // On Workers all later requests use the egress object in another region.
    harness.gemini.fail_next(1, Behaviour::Location);
    let chat: Value = harness.chat(&pool, "hello").await.json(200);
    assert_eq!(chat["choices"][0]["message"]["content"], "You said: hello");
    assert_eq!((harness.gemini.counts().total().requests, harness.gemini.counts().total().ok), (2, 1));
    let input = json!({"model": EMBEDDING_MODEL, "input": "hello"});
    assert_eq!(harness.embed(&pool, &input).await.status, 200);
    harness.delete("/pools/prod").await.no_content();
    let pool = harness.pool(&[("good", Behaviour::Ok)]).await;
    leave(harness, &pool).await;
}

async fn leave(harness: &Harness, pool: &Pool) {
    harness.answer_without_end("good");
    let mut events = harness.stream(pool, "hello").await;
    for _ in 0..3 {
        assert!(matches!(events.next().await, Some(Event::Chunk(_))));
    }
    assert_eq!(harness.tally("good").in_flight, 1);
    drop(events);
    eventually("the end of the upstream call", async || (harness.tally("good").left == 1).then_some(()))
        .await;
    let counted = eventually("the attempt that was left", async || {
        Some(harness.pool_stats(pool).await.total).filter(|total| total.attempts > 0)
    })
    .await;
    assert_eq!((counted.attempts, counted.successes, counted.failures), (1, 0, 0));
    // The usage of the received frames is counted.
    assert!(counted.prompt_tokens > 0 && counted.completion_tokens > 0, "{counted:?}");
}

pub async fn a_paced_stream_has_the_same_content_in_more_chunks(harness: &Harness) {
    let pool = harness.pool(&[("good", Behaviour::Ok)]).await;
    let prompt = "tell me: äöü, 你好 👨‍👩‍👧 e\u{301} — and some more words";
    let plain = harness.stream(&pool, prompt).await.rest().await;
    for by in ["characters", "batches"] {
        pace(harness, &pool, &json!({"by": by, "min_delay_ms": 1, "max_delay_ms": 2})).await;
        let paced = harness.stream(&pool, prompt).await.rest().await;
        assert_eq!(text(&paced), text(&plain));
        assert!(paced.len() > plain.len() + 5, "{by}: {} and {}", paced.len(), plain.len());
        // All other events appear as often and in the same order as without pacing.
        let others = |events: &[Event]| -> Vec<Value> {
            let shown = events.iter().map(|event| match event {
                Event::Chunk(chunk) => json!([
                    chunk["choices"][0]["finish_reason"],
                    chunk["usage"],
                    chunk["choices"][0]["delta"]["role"]
                ]),
                other => json!(format!("{other:?}")),
            });
            shown.filter(|shown| *shown != json!([null, null, null])).collect()
        };
        assert_eq!(others(&paced), others(&plain));
        for event in &paced {
            let Event::Chunk(chunk) = event else { continue };
            let piece = chunk["choices"][0]["delta"]["content"].as_str().unwrap_or_default();
            assert!(!piece.starts_with(['\u{301}', '\u{200d}']), "a grapheme was cut: {piece}");
        }
    }
    harness.gemini.set_behaviour(&gemini_key("good"), Behaviour::Cut).unwrap();
    let cut = harness.stream(&pool, prompt).await.rest().await;
    assert!(text(&plain).starts_with(&text(&cut)) && matches!(cut.last(), Some(Event::Error(_))), "{cut:?}");
}

pub async fn a_client_disconnect_during_a_paced_stream_ends_the_upstream_request(harness: &Harness) {
    let pool = harness.pool(&[("good", Behaviour::Ok)]).await;
    pace(harness, &pool, &json!({"by": "characters"})).await;
    leave(harness, &pool).await;
}

async fn pace(harness: &Harness, pool: &Pool, pacing: &Value) {
    let settings = json!({"translation": {"pacing": pacing}});
    harness.patch(&format!("/pools/{}", pool.id), &settings).await.json::<PoolShown>(200);
}
