//! Retries: when, how often, and the error if all keys fail.

use pool_fake_gemini::{Behaviour, FakeGemini, Scenario, Tally};
use pool_shared::AttemptOutcome;
use serde_json::{Value, json};

use super::answer::Answer;
use super::events::{Event, text};
use super::harness::{Harness, eventually, gemini_key, prompt, send};

/// Returns the message of a successful chat.
fn said(answer: &Answer) -> String {
    let chat: Value = answer.json(200);
    chat["choices"][0]["message"]["content"].as_str().unwrap().to_owned()
}

fn refused_once(tally: &Tally, status: u16) {
    refused(tally, status, 1);
}

fn refused(tally: &Tally, status: u16, times: u64) {
    assert_eq!((tally.requests, tally.refused.get(&status)), (times, Some(&times)), "{tally:?}");
}

pub async fn a_failing_key_is_skipped(harness: &Harness) {
    for (number, (behaviour, status)) in [
        (Behaviour::Invalid, 400),
        (Behaviour::Expired, 400),
        (Behaviour::Unauthenticated, 401),
        (Behaviour::Suspended, 403),
        (Behaviour::Leaked, 403),
        (Behaviour::BillingDisabled, 403),
        (Behaviour::Permission, 403),
        (Behaviour::PaymentRequired, 402),
        (Behaviour::ExhaustedMinute, 429),
        (Behaviour::ExhaustedDay, 429),
        (Behaviour::Billing, 429),
    ]
    .into_iter()
    .enumerate()
    {
        harness.gemini.reset();
        // Separate keys, because the quota of a key applies in all its pools.
        let bad = format!("bad-{number}");
        let keys = [(bad.as_str(), behaviour, 1), ("good", Behaviour::Ok, 0)];
        let pool = harness.weighted_pool(&format!("prod {number}"), &keys).await;
        let answer = harness.chat(&pool, "hello").await;
        assert_eq!(said(&answer), "You said: hello");
        assert_eq!(answer.header("x-pool-attempts"), "2");
        assert!(answer.header("x-pool-key").starts_with("key-"), "{:?}", answer.header("x-pool-key"));
        // A classification by text or status alone is confirmed by a probe. A 403 may concern one
        // model, so two models are probed.
        let times = match behaviour {
            Behaviour::Leaked | Behaviour::Billing => 2,
            Behaviour::Permission => 3,
            _ => 1,
        };
        refused(&harness.tally(&bad), status, times);
        assert_eq!((harness.tally("good").requests, harness.tally("good").ok), (1, 1));
        let total = harness.pool_stats(&pool).await.total;
        assert_eq!((total.attempts, total.successes, total.failures), (1 + times, 1, times), "{behaviour:?}");
    }
}

pub async fn an_overloaded_model_is_retried(harness: &Harness) {
    let pool = harness.pool(&[("one", Behaviour::Ok), ("two", Behaviour::Ok)]).await;
    for behaviour in [Behaviour::Overloaded, Behaviour::Internal, Behaviour::BadGatewayHtml, Behaviour::Close]
    {
        harness.gemini.reset();
        harness.gemini.fail_next(1, behaviour);
        assert_eq!(said(&harness.chat(&pool, "hello").await), "You said: hello", "{behaviour:?}");
        assert_eq!((harness.tally("one").requests, harness.tally("two").requests), (1, 1), "{behaviour:?}");
        assert_eq!(harness.gemini.counts().total().ok, 1);
    }
}

pub async fn an_empty_response_is_retried_on_another_key(harness: &Harness) {
    let pool = harness.pool(&[("one", Behaviour::Ok), ("two", Behaviour::Ok)]).await;
    harness.gemini.fail_next(1, Behaviour::Empty);
    assert_eq!(said(&harness.chat(&pool, "hello").await), "You said: hello");
    assert_eq!((harness.tally("one").requests, harness.tally("two").requests), (1, 1));
    harness.gemini.fail_next(1, Behaviour::Empty);
    let events = harness.stream(&pool, "hello").await.rest().await;
    assert_eq!((text(&events).as_str(), events.last()), ("You said: hello", Some(&Event::Done)));
    assert_eq!((harness.tally("one").requests, harness.tally("two").requests), (2, 2));
    for stream in [false, true] {
        harness.gemini.fail_next(2, Behaviour::Empty);
        let mut body = prompt("hello");
        body["stream"] = json!(stream);
        let answer = send(harness.call(&pool, "/v1/chat/completions", &body)).await;
        answer.openai_error(502, Some("empty_response"));
    }
    let stats = harness.pool_stats(&pool).await;
    assert_eq!((stats.total.attempts, stats.activity.outcomes[&AttemptOutcome::SoftFailure]), (8, 6));
}

pub async fn an_invalid_request_is_not_retried(harness: &Harness) {
    let pool = harness.pool(&[("one", Behaviour::Ok), ("two", Behaviour::Ok)]).await;
    for (behaviour, status, code) in [
        (Behaviour::InvalidArgument, 400, None),
        (Behaviour::ContextTooLong, 400, Some("context_length_exceeded")),
        (Behaviour::FileForbidden, 403, None),
        (Behaviour::NotFound, 404, Some("model_not_found")),
        (Behaviour::TooLarge, 413, Some("request_too_large")),
    ] {
        harness.gemini.reset();
        harness.gemini.fail_next(1, behaviour);
        harness.chat(&pool, "hello").await.openai_error(status, code);
        assert_eq!(harness.gemini.counts().total().requests, 1, "{behaviour:?}");
    }
    let mut unknown = prompt("hello");
    unknown["model"] = json!("gemini-0");
    let answer = send(harness.call(&pool, "/v1/chat/completions", &unknown)).await;
    let message = answer.openai_error(404, Some("model_not_found"));
    assert!(message.contains("gemini-0"), "{message}");
}

pub async fn the_error_of_exhausted_keys_says_when_to_retry(harness: &Harness) {
    let pool =
        harness.pool(&[("one", Behaviour::ExhaustedMinute), ("two", Behaviour::ExhaustedMinute)]).await;
    // 20.5 s into a minute: the other 39.5 s are the best estimate.
    harness.gemini.clock().stop_at(1_800_000_020_500);
    let answer = harness.chat(&pool, "hello").await;
    answer.openai_error(429, Some("rate_limit_exceeded"));
    // Keys recover one after another, within a second.
    let milliseconds: u64 = answer.header("retry-after-ms").parse().unwrap();
    assert!((39_500..=40_500).contains(&milliseconds), "{milliseconds}");
    assert_eq!(answer.header("retry-after"), milliseconds.div_ceil(1_000).to_string());
    for key in ["one", "two"] {
        refused_once(&harness.tally(key), 429);
    }
    // A daily quota does not reset in a minute: SDKs must not wait for it, and the message names
    // the time.
    let day = harness.weighted_pool("day", &[("three", Behaviour::ExhaustedDay, 1)]).await;
    let answer = harness.chat(&day, "hello").await;
    answer.openai_error(429, Some("insufficient_quota"));
    assert_eq!(answer.header("x-should-retry"), "false");
    let seconds: u64 = answer.header("retry-after").parse().unwrap();
    assert!((1..=25 * 3_600 + 60).contains(&seconds), "{seconds}");
    assert!(answer.body.contains(" The quota is reset at 20"), "{}", answer.body);
}

pub async fn the_error_of_a_pool_without_working_keys_says_so(harness: &Harness) {
    let pool = harness.pool(&[("one", Behaviour::Invalid), ("two", Behaviour::Suspended)]).await;
    let mut streamed = prompt("hello");
    streamed["stream"] = json!(true);
    for (body, requests) in [(prompt("hello"), 1), (streamed, 0)] {
        harness.gemini.reset();
        let answer = send(harness.call(&pool, "/v1/chat/completions", &body)).await;
        let message = answer.openai_error(503, Some("no_usable_key"));
        assert!(message.contains("'prod'"), "{message}");
        assert_eq!(answer.header("x-should-retry"), "false");
        for key in ["one", "two"] {
            // Gemini's message about a suspended key contains the key.
            assert!(!answer.body.contains(&gemini_key(key)));
            // Permanently rejected keys are not tried again.
            assert_eq!(harness.tally(key).requests, requests);
        }
    }
}

pub async fn the_error_of_a_pool_without_keys_says_so(harness: &Harness) {
    let pool = harness.pool(&[]).await;
    let answer = harness.chat(&pool, "hello").await;
    let message = answer.openai_error(503, Some("no_usable_key"));
    assert!(message.contains("'prod'"), "{message}");
    assert_eq!(answer.header("x-should-retry"), "false");
}

pub async fn four_attempts_are_made_and_none_on_the_same_key(harness: &Harness) {
    let names: Vec<String> = (0..10).map(|number| format!("key-{number}")).collect();
    let keys: Vec<_> = names.iter().map(|name| (name.as_str(), Behaviour::ExhaustedDay)).collect();
    let pool = harness.pool(&keys).await;
    // Rejected keys are in cooldown: twice four are tried, then the two remaining ones.
    for attempts in [4, 4, 2, 0] {
        harness.gemini.reset();
        let answer = harness.chat(&pool, "hello").await;
        answer.openai_error(429, Some("insufficient_quota"));
        let tried: Vec<u64> = harness.gemini.counts().served.iter().map(|line| line.tally.requests).collect();
        assert_eq!(tried, vec![1; attempts]);
    }
    assert_eq!(harness.pool_stats(&pool).await.total.failures, 10);
}

pub async fn a_failing_model_opens_the_circuit_breaker_and_the_fallback_model_responds(harness: &Harness) {
    let pool =
        harness.pool(&[("one", Behaviour::Ok), ("two", Behaviour::Ok), ("three", Behaviour::Ok)]).await;
    harness.gemini.fail_next(3, Behaviour::Overloaded);
    let answer = harness.chat(&pool, "hello").await;
    answer.openai_error(503, Some("overloaded"));
    assert!(!answer.header("retry-after").is_empty());
    let fallbacks =
        json!({"fallbacks": {"*": ["gemini-3.5-flash-lite"]}, "aliases": {"gpt-4o": "gemini-3.8-flash"}});
    harness.patch(&format!("/pools/{}", pool.id), &fallbacks).await;
    harness.gemini.reset();
    harness.gemini.fail_next(3, Behaviour::Overloaded);
    let mut aliased = prompt("hello");
    aliased["model"] = json!("gpt-4o");
    let answer = send(harness.call(&pool, "/v1/chat/completions", &aliased)).await;
    assert_eq!(
        (said(&answer), answer.header("x-pool-model")),
        ("You said: hello".to_owned(), "gemini-3.5-flash-lite")
    );
}

pub async fn an_unreachable_upstream_changes_no_key_health(harness: &mut Harness) {
    let pool = harness.pool(&[("good", Behaviour::Ok)]).await;
    let mut streamed = prompt("hello");
    streamed["stream"] = json!(true);
    // The service keeps calling the address of the dropped server.
    let elsewhere = FakeGemini::start(Scenario::default()).await.unwrap();
    let address = std::mem::replace(&mut harness.gemini, elsewhere).url().to_owned();
    closed(&address).await;
    for body in [prompt("hello"), streamed] {
        let answer = send(harness.call(&pool, "/v1/chat/completions", &body)).await;
        let message = answer.openai_error(502, Some("upstream_unreachable"));
        assert!(!message.contains(&address), "{message}");
    }
    assert_eq!(harness.pool_stats(&pool).await.total.failures, 2);
}

/// Waits until nothing listens on an address.
async fn closed(url: &str) {
    let address = url.trim_start_matches("http://").to_owned();
    let refused = async || tokio::net::TcpStream::connect(&address).await.is_err().then_some(());
    eventually("the port's end", refused).await;
}
