//! Request counts: each client request once, apart from its attempts.

use std::collections::BTreeMap;

use pool_fake_gemini::{Behaviour, KeySpec, Scenario};
use pool_shared::{ClientKeyCreated, ClientKeyStats, PoolStats, RequestOutcome, RequestStats, Stats};
use reqwest::Method;
use serde_json::{Value, json};

use super::harness::{EMBEDDING_MODEL, Harness, MODEL, Pool, eventually, gemini_key, prompt, send};

/// Creates a client key with its own rules.
async fn client_key(harness: &Harness, pool: &Pool, name: &str, mut body: Value) -> (Pool, ClientKeyCreated) {
    body["name"] = name.into();
    let path = format!("/pools/{}/client-keys", pool.id);
    let created: ClientKeyCreated = harness.post(&path, &body).await.json(201);
    (Pool { id: pool.id.clone(), client_key: created.secret.expose().to_owned() }, created)
}

/// Returns a pool's statistics once this many requests are counted.
async fn counted(harness: &Harness, pool: &Pool, requests: u64) -> PoolStats {
    let stats = eventually("the requests are counted", async || {
        Some(harness.pool_stats(pool).await).filter(|stats| stats.requests.total >= requests)
    })
    .await;
    assert_eq!(stats.requests.total, requests, "each once: {:?}", stats.requests);
    stats
}

fn outcomes<const N: usize>(counts: [(RequestOutcome, u64); N]) -> BTreeMap<RequestOutcome, u64> {
    BTreeMap::from(counts)
}

fn streamed(text: &str) -> Value {
    let mut body = prompt(text);
    body["stream"] = json!(true);
    body
}

pub async fn every_failed_request_of_an_outage_is_counted(harness: &mut Harness) {
    let pool = harness.pool(&[("one", Behaviour::Overloaded), ("two", Behaviour::Overloaded)]).await;
    let mut ids = Vec::new();
    for _ in 0..10 {
        let answer = harness.chat(&pool, "hello").await;
        answer.openai_error(503, Some("overloaded"));
        ids.push(answer.header("x-request-id").to_owned());
    }
    let stats = counted(harness, &pool, 10).await;
    assert_eq!((stats.requests.succeeded, stats.requests.failed), (0, 10));
    assert_eq!(stats.requests.outcomes, outcomes([(RequestOutcome::ServerError, 10)]));
    let attempts: u64 =
        stats.requests.attempts.iter().map(|(attempts, count)| u64::from(*attempts) * count).sum();
    assert_eq!(
        (attempts, stats.total.attempts),
        (stats.total.attempts, harness.gemini.counts().total().requests)
    );
    let refused_at_once = stats.requests.attempts[&0];
    assert!(refused_at_once >= 3, "the circuit breaker is open: {:?}", stats.requests.attempts);
    let model = &stats.models[0];
    assert_eq!((model.model.as_str(), model.requests.total), (MODEL, 10), "also those without an attempt");
    let all: Stats = harness.get("/stats").await.json(200);
    assert_eq!((all.requests.total, all.requests.failed, all.lost_requests), (10, 10, 0));
    assert_eq!((all.pools[0].requests.total, all.pools[0].requests.failed), (10, 10));

    harness.stop_host().await;
    let lines: Vec<Value> =
        ids.iter().flat_map(|id| harness.logged(&format!("\"request_id\":\"{id}\""))).collect();
    assert_eq!(lines.len(), 10);
    for line in &lines {
        assert_eq!((&line["status"], &line["class"]), (&json!(503), &json!("model")), "{line}");
        assert_eq!((&line["level"], &line["model"]), (&json!("error"), &json!(MODEL)), "{line}");
    }
    let without: Vec<_> = lines.iter().filter(|line| line["attempts"].is_null()).collect();
    assert_eq!(without.len() as u64, refused_at_once);
    // Counts survive a restart.
    harness.start_host().await;
    assert_eq!(
        harness.pool_stats(&pool).await.requests.outcomes,
        outcomes([(RequestOutcome::ServerError, 10)])
    );
}

pub async fn every_request_is_counted_once_with_its_outcome(harness: &Harness) {
    let pool = harness.pool(&[("good", Behaviour::Ok)]).await;
    let first = "default";
    let rules = json!({"limits": {"requests_per_minute": 1}});
    let (limited, limited_key) = client_key(harness, &pool, "limited", rules).await;
    let (narrow, narrow_key) =
        client_key(harness, &pool, "narrow", json!({"allowed_models": [EMBEDDING_MODEL]})).await;

    // Successes: a chat, a stream, embeddings, a model list, a pass-through request.
    assert_eq!(harness.chat(&pool, "hello").await.status, 200);
    assert_eq!(send(harness.call(&pool, "/v1/chat/completions", &streamed("hello"))).await.status, 200);
    let vectors = json!({"model": EMBEDDING_MODEL, "input": "hello"});
    assert_eq!(harness.embed(&narrow, &vectors).await.status, 200);
    let models = harness.request(Method::GET, "/v1/models").bearer_auth(&pool.client_key);
    assert_eq!(send(models).await.status, 200);
    harness.patch("/pools/prod", &json!({"pass_through": true})).await.json::<pool_shared::Pool>(200);
    let native = json!({"contents": [{"parts": [{"text": "hi"}]}]});
    let path = format!("/v1beta/models/{MODEL}:generateContent");
    assert_eq!(send(harness.call(&pool, &path, &native)).await.status, 200);
    // Open WebUI's notice and unauthenticated requests are not counted.
    assert_eq!(send(harness.call(&pool, "/api/chat/completed", &json!({}))).await.status, 200);
    let unknown = Pool { id: pool.id.clone(), client_key: "sk-pool-unknown".to_owned() };
    assert_eq!(harness.chat(&unknown, "hello").await.status, 401);
    // Rejected before any attempt.
    assert_eq!(harness.chat(&limited, "hello").await.status, 200);
    assert_eq!(harness.chat(&limited, "hello").await.status, 429);
    assert_eq!(harness.chat(&narrow, "hello").await.status, 403);
    assert_eq!(send(harness.call(&pool, "/v1/chat/completions", &json!({"model": MODEL}))).await.status, 400);
    // Rejected by Gemini.
    harness.gemini.fail_next(1, Behaviour::InvalidArgument);
    assert_eq!(harness.chat(&pool, "hello").await.status, 400);
    harness.patch("/pools/prod", &json!({"enabled": false})).await.json::<pool_shared::Pool>(200);
    assert_eq!(harness.chat(&pool, "hello").await.status, 403);

    let stats = counted(harness, &pool, 11).await;
    let expected = outcomes([
        (RequestOutcome::Ok, 6),
        (RequestOutcome::InvalidRequest, 4),
        (RequestOutcome::RateLimited, 1),
    ]);
    assert_eq!(stats.requests.outcomes, expected);
    assert_eq!((stats.requests.succeeded, stats.requests.failed), (6, 0));
    assert_eq!(stats.requests.latency.unwrap().count, 6);
    assert_eq!(stats.requests.attempts, BTreeMap::from([(0, 5), (1, 6)]), "a list of models takes none");
    assert_eq!((stats.requests.rates.rpd, stats.total.attempts), (11, 6));
    let of = |client_key: &pool_shared::ClientKeyId| {
        let is_it = |row: &&ClientKeyStats| row.client_key == *client_key;
        stats.client_keys.iter().find(is_it).map(|row| (row.name.as_deref(), row.requests.outcomes.clone()))
    };
    let (ok, invalid) = (RequestOutcome::Ok, RequestOutcome::InvalidRequest);
    let limited_outcomes = outcomes([(ok, 1), (RequestOutcome::RateLimited, 1)]);
    assert_eq!(of(&limited_key.client_key.id), Some((Some("limited"), limited_outcomes)));
    assert_eq!(of(&narrow_key.client_key.id), Some((Some("narrow"), outcomes([(ok, 1), (invalid, 1)]))));
    let rest = &stats.client_keys[0];
    assert_eq!((rest.name.as_deref().is_some_and(|name| name != first), rest.requests.total), (true, 7));
    let models: BTreeMap<_, _> =
        stats.models.iter().map(|row| (row.model.as_str(), row.requests.total)).collect();
    // The model list, a body without messages and the disabled pool have no model; one model is
    // not allowed.
    assert_eq!(models[EMBEDDING_MODEL], 1);
    assert_eq!(models["(unknown)"], 1);
    assert_eq!(models[MODEL], 5);
}

pub async fn streams_are_counted_with_their_outcome(harness: &Harness) {
    let slow = Scenario { between_frames_ms: 100, ..Scenario::default() };
    harness.gemini.set_scenario(slow).unwrap();
    let pool = harness.pool(&[("cut", Behaviour::Cut)]).await;
    let answer = send(harness.call(&pool, "/v1/chat/completions", &streamed("hello there"))).await;
    assert!(answer.status == 200 && answer.body.contains("\"error\""), "{}", answer.body);
    let stats = counted(harness, &pool, 1).await;
    assert_eq!(stats.requests.outcomes, outcomes([(RequestOutcome::Truncated, 1)]));
    assert_eq!((stats.requests.failed, stats.requests.latency), (1, None));

    let pool = harness.weighted_pool("other", &[("good", Behaviour::Ok, 1)]).await;
    harness.answer_without_end("good");
    let mut events = harness.stream(&pool, "hello").await;
    assert!(events.next().await.is_some());
    drop(events);
    let stats = counted(harness, &pool, 1).await;
    assert_eq!(stats.requests.outcomes, outcomes([(RequestOutcome::ClientDisconnected, 1)]));
    assert_eq!((stats.requests.succeeded, stats.requests.failed), (0, 0), "not counted");
}

pub async fn a_pool_that_cannot_serve_fails_its_requests(harness: &Harness) {
    for (name, behaviour, status, outcome) in [
        ("refused", Behaviour::Invalid, 503, RequestOutcome::ServerError),
        ("exhausted", Behaviour::ExhaustedDay, 429, RequestOutcome::QuotaExhausted),
    ] {
        let pool = harness.weighted_pool(name, &[(name, behaviour, 1)]).await;
        for _ in 0..4 {
            assert_eq!(harness.chat(&pool, "hello").await.status, status);
        }
        let RequestStats { outcomes: seen, failed, attempts, .. } = counted(harness, &pool, 4).await.requests;
        assert_eq!((seen, failed), (outcomes([(outcome, 4)]), 4), "{name}");
        assert_eq!(attempts[&1], 1, "{name}: three were refused without an attempt: {attempts:?}");
    }
}

pub async fn requests_for_unknown_models_are_counted_as_one_model(harness: &Harness) {
    let pool = harness.pool(&[("good", Behaviour::Ok)]).await;
    let ask = async |model: &str| {
        let mut body = prompt("hello");
        body["model"] = json!(model);
        send(harness.call(&pool, "/v1/chat/completions", &body)).await.status
    };
    for number in 0..3 {
        assert_eq!(ask(&format!("gemini-{number}-made-up")).await, 404);
    }
    assert_eq!(ask(MODEL).await, 200);
    // The same without a model list.
    let scenario = Scenario::default().key(KeySpec::new(gemini_key("good"), Behaviour::Invalid));
    harness.gemini.set_scenario(scenario).unwrap();
    assert_eq!(ask(MODEL).await, 503);
    for number in 0..3 {
        assert_eq!(ask(&format!("gemini-{number}-made-up-later")).await, 503);
    }
    assert_eq!(ask(MODEL).await, 503);
    let stats = counted(harness, &pool, 9).await;
    let models: Vec<_> = stats.models.iter().map(|row| (row.model.as_str(), row.requests.total)).collect();
    assert_eq!(models, [("(unknown)", 6), (MODEL, 3)]);
}
