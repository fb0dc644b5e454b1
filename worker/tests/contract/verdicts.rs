//! Error classification: only the structure of an error marks a key.

use pool_fake_gemini::{Behaviour, KeySpec, Scenario, Script};
use pool_shared::{AttemptOutcome, ClientKeyList, Event, EventList, KeyState};
use serde_json::{Value, json};

use super::harness::{EMBEDDING_MODEL, Harness, MODEL, Pool, eventually, gemini_key, prompt, send};

const GENERATE: &str = "/v1beta/models/gemini-3.8-flash:generateContent";

async fn states(harness: &Harness, pool: &Pool) -> Vec<KeyState> {
    harness.keys(pool).await.into_iter().map(|key| key.condition.state).collect()
}

async fn events(harness: &Harness, pool: &Pool) -> Vec<Event> {
    let list: EventList = harness.get(&format!("/events?pool={}&limit=1000", pool.id)).await.json(200);
    list.events
}

fn error(code: u16, status: &str, message: &str, details: &Value) -> String {
    json!({"error": {"code": code, "message": message, "status": status, "details": details}}).to_string()
}

/// Makes Gemini respond like this to requests that contain a text.
fn answer(harness: &Harness, keys: &[&str], marker: &str, status: u16, body: String) {
    let scenario = Scenario::with_keys(keys.iter().map(|key| gemini_key(key)));
    let script = Script { marker: Some(marker.to_owned()), status, wire: vec![body], ..Script::default() };
    harness.gemini.set_scenario(scenario.script(script)).unwrap();
}

pub async fn client_text_in_an_error_changes_no_key_health(harness: &Harness) {
    let pool = harness.pool(&[("one", Behaviour::Ok), ("two", Behaviour::Ok)]).await;
    harness.patch(&format!("/pools/{}", pool.id), &json!({"pass_through": true})).await;
    for words in [
        "api key expired",
        "API key not valid. Please pass a valid API key.",
        "Your API key was reported as leaked. Please use another API key.",
        "Permission denied: Consumer 'api_key:x' has been suspended.",
        "Your prepayment credits are depleted.",
        "Gemini API free tier is not available in your country. Please enable billing on your project.",
        "You exceeded your current quota.\n* Quota exceeded for metric: a/b, limit: 0, model: PerDay\nPlease retry in 90000s.",
    ] {
        let violations = json!([{"@type": "type.googleapis.com/google.rpc.BadRequest",
            "fieldViolations": [{"field": "generation_config.response_modalities[0]", "description": words}]}]);
        let quoted = format!("Invalid value at 'generation_config.response_modalities[0]', {words:?}");
        for (status, name) in [(400, "INVALID_ARGUMENT"), (400, "FAILED_PRECONDITION"), (404, "NOT_FOUND")] {
            for body in [
                error(status, name, &quoted, &violations),
                error(status, name, &quoted, &json!([])),
                error(status, name, words, &violations),
                error(status, name, words, &json!([])),
                words.to_owned(),
            ] {
                answer(harness, &["one", "two"], "responseModalities", status, body);
                let asked = json!({"contents": [{"parts": [{"text": "hi"}]}],
                    "generationConfig": {"responseModalities": [words]}});
                let refused = send(harness.call(&pool, GENERATE, &asked)).await;
                let expected = if refused.status == 502 { 502 } else { status };
                assert_eq!(refused.status, expected, "{words}: {}", refused.body);
                assert_eq!(states(harness, &pool).await, [KeyState::Healthy; 2], "{words} at {status}");
            }
        }
    }
    answer(harness, &["one", "two"], "nothing", 200, String::new());
    assert_eq!(harness.chat(&pool, "hello").await.status, 200);
}

pub async fn error_texts_that_probes_disprove_trigger_few_probes_a_minute(harness: &Harness) {
    // Text that is not the client's, although its request caused it.
    disproved(harness, "leaked", "Your API key was reported as leaked.").await;
    // Gemini's response to a request with a private video.
    disproved(harness, "permission", "The caller does not have permission").await;
}

/// Causes 403 errors with a text that probes of the keys disprove.
async fn disproved(harness: &Harness, name: &str, text: &str) {
    let names = ["a", "b", "c", "d", "e", "f"];
    let pool = harness.weighted_pool(name, &names.map(|name| (name, Behaviour::Ok, 1))).await;
    answer(harness, &names, "cause it", 403, error(403, "PERMISSION_DENIED", text, &json!([])));
    let refused = harness.chat(&pool, "cause it").await;
    assert_eq!(refused.status, 503, "{}", refused.body);
    assert_eq!(states(harness, &pool).await, [KeyState::Healthy; 6], "the probes disproved it");
    harness.gemini.reset();
    let message = harness.chat(&pool, "cause it").await.openai_error(403, None);
    assert!(message.contains(text), "{message}");
    assert_eq!(harness.gemini.counts().total().requests, 1, "it is the client's");
    assert_eq!(harness.chat(&pool, "hello").await.status, 200);
    assert_eq!(states(harness, &pool).await, [KeyState::Healthy; 6]);
    let keys: ClientKeyList = harness.get(&format!("/pools/{}/client-keys", pool.id)).await.json(200);
    let reported: Vec<Event> =
        events(harness, &pool).await.into_iter().filter(|event| event.client_key.is_some()).collect();
    assert_eq!(reported.len(), 1, "{reported:?}");
    assert_eq!(
        (reported[0].client_key.as_ref(), reported[0].verdict),
        (Some(&keys.client_keys[0].id), AttemptOutcome::Caller)
    );
}

pub async fn a_pool_with_leaked_keys_serves_and_marks_them(harness: &Harness) {
    let names: Vec<String> = (0..24).map(|number| format!("leaked-{number}")).collect();
    let mut keys: Vec<_> = names.iter().map(|name| (name.as_str(), Behaviour::Leaked)).collect();
    keys.push(("good", Behaviour::Ok));
    let pool = harness.pool(&keys).await;
    let mut refused = 0;
    for _ in 0..20 {
        let answer = harness.chat(&pool, "hello").await;
        match answer.status {
            200 => {}
            503 => refused += 1,
            other => panic!("{other}: {}", answer.body),
        }
    }
    assert!(refused <= 6, "each request that fails finds out about four keys: {refused}");
    let known = states(harness, &pool).await.into_iter().filter(|state| *state == KeyState::Leaked).count();
    assert!(known >= 20 || refused < 6, "{known} of 24");
    assert_eq!(harness.chat(&pool, "hello").await.status, 200);
}

pub async fn a_403_of_google_marks_the_key_and_an_html_page_does_not(harness: &Harness) {
    let keys = [
        ("bad", Behaviour::Permission, 1),
        ("one", Behaviour::Ok, 1),
        ("two", Behaviour::Ok, 1),
        ("three", Behaviour::Ok, 1),
    ];
    let pool = harness.weighted_pool("prod", &keys).await;
    for _ in 0..40 {
        assert_eq!(harness.chat(&pool, "hello").await.status, 200);
    }
    let seen = eventually("the blocked key", async || {
        let keys = harness.keys(&pool).await;
        keys.into_iter().find(|key| key.condition.state != KeyState::Healthy)
    })
    .await;
    assert_eq!((seen.name.as_str(), seen.condition.state), ("bad", KeyState::Blocked));
    assert_eq!(seen.condition.reason.as_deref(), Some("permission"));
    assert!(seen.condition.until.is_some());
    assert!(
        events(harness, &pool)
            .await
            .iter()
            .any(|event| event.key == seen.id && event.verdict == AttemptOutcome::Key)
    );
    let checked: Value =
        harness.post(&format!("/pools/{}/keys/check", pool.id), &json!({"ids": [seen.id]})).await.json(200);
    assert_eq!(checked["results"][0]["verdict"], "blocked");

    let filtered = harness
        .weighted_pool("filtered", &[("x", Behaviour::ForbiddenPage, 1), ("y", Behaviour::Ok, 0)])
        .await;
    assert_eq!(harness.chat(&filtered, "hello").await.status, 200, "the next key is tried");
    harness.gemini.set_behaviour(&gemini_key("y"), Behaviour::ForbiddenPage).unwrap();
    let message = harness.chat(&filtered, "hello").await.openai_error(502, Some("upstream_error"));
    assert!(message.contains("status 403"), "{message}");
    assert_eq!(states(harness, &filtered).await, [KeyState::Healthy; 2]);
    assert!(events(harness, &filtered).await.iter().all(|event| event.verdict == AttemptOutcome::Network));

    // Errors that name a file concern the request.
    let files =
        harness.weighted_pool("files", &[("f", Behaviour::FileForbidden, 1), ("g", Behaviour::Ok, 0)]).await;
    harness.gemini.reset();
    harness.chat(&files, "hello").await.openai_error(403, None);
    assert_eq!(harness.gemini.counts().total().requests, 1);
    assert_eq!(states(harness, &files).await, [KeyState::Healthy; 2]);
}

pub async fn a_403_for_one_model_excludes_the_key_for_that_model_only(harness: &Harness) {
    let scenario = Scenario::default()
        .key(KeySpec::new(gemini_key("denied"), Behaviour::Ok).model(MODEL, Behaviour::Permission))
        .key(KeySpec::new(gemini_key("with"), Behaviour::Ok));
    let pool =
        harness.weighted_pool("prod", &[("denied", Behaviour::Ok, 1), ("with", Behaviour::Ok, 0)]).await;
    harness.gemini.set_scenario(scenario).unwrap();
    assert_eq!(harness.chat(&pool, "hello").await.status, 200, "the next key is tried");
    harness.gemini.reset();
    assert_eq!(harness.chat(&pool, "hello").await.status, 200);
    assert_eq!(harness.gemini.counts().total().requests, 1, "the key is passed over for the model");
    let seen = eventually("the model's exclusion", async || {
        harness.keys(&pool).await.into_iter().find(|key| key.condition.state != KeyState::Healthy)
    })
    .await;
    assert_eq!((seen.name.as_str(), seen.condition.reason.as_deref()), ("denied", Some("no_access")));
    assert_eq!(seen.condition.models.len(), 1);
    let mut other = prompt("hello");
    other["model"] = json!("gemini-3.5-flash-lite");
    let answer = send(harness.call(&pool, "/v1/chat/completions", &other)).await;
    assert_eq!(
        (answer.status, answer.header("x-pool-key")),
        (200, seen.id.as_str()),
        "others are answered by it"
    );
}

pub async fn a_model_that_one_key_lacks_is_retried_with_another(harness: &Harness) {
    let scenario = Scenario::default()
        .key(KeySpec::new(gemini_key("without"), Behaviour::Ok).model(MODEL, Behaviour::NotFound))
        .key(KeySpec::new(gemini_key("with"), Behaviour::Ok));
    let pool =
        harness.weighted_pool("prod", &[("without", Behaviour::Ok, 1), ("with", Behaviour::Ok, 0)]).await;
    harness.gemini.set_scenario(scenario).unwrap();
    // No key has served the model yet: a mistyped name must not cost four attempts.
    harness.chat(&pool, "hello").await.openai_error(404, Some("model_not_found"));
    assert_eq!(harness.gemini.counts().total().requests, 1);
    // A model list is evidence.
    let listed: Value =
        send(harness.request(reqwest::Method::GET, "/v1/models").bearer_auth(&pool.client_key))
            .await
            .json(200);
    assert!(listed["data"].as_array().unwrap().iter().any(|model| model["id"] == MODEL));
    for requests in [2, 1, 1] {
        harness.gemini.reset();
        assert_eq!(harness.chat(&pool, "hello").await.status, 200);
        assert_eq!(
            harness.gemini.counts().total().requests,
            requests,
            "the key is passed over for the model"
        );
    }
    let seen = eventually("the model's exclusion", async || {
        harness.keys(&pool).await.into_iter().find(|key| key.condition.state != KeyState::Healthy)
    })
    .await;
    assert_eq!((seen.name.as_str(), seen.condition.reason.as_deref()), ("without", Some("no_access")));
    let mut other = prompt("hello");
    other["model"] = json!("gemini-3.5-flash-lite");
    assert_eq!(send(harness.call(&pool, "/v1/chat/completions", &other)).await.status, 200);
    harness.gemini.reset();
    other["model"] = json!("gemini-3.8-flahs");
    send(harness.call(&pool, "/v1/chat/completions", &other))
        .await
        .openai_error(404, Some("model_not_found"));
    assert_eq!(harness.gemini.counts().total().requests, 1);
}

pub async fn an_unsupported_method_of_a_model_changes_no_key_health(harness: &Harness) {
    let keys = [("one", Behaviour::Ok, 1), ("two", Behaviour::Ok, 1)];
    let pool = harness.weighted_pool("prod", &keys).await;
    harness.patch(&format!("/pools/{}", pool.id), &json!({"pass_through": true})).await;
    let get = harness.request(reqwest::Method::GET, "/v1/models").bearer_auth(&pool.client_key);
    assert_eq!(send(get).await.status, 200, "the list of models is at hand");
    // Both models have succeeded before, each with its method.
    let embedding = json!({"model": EMBEDDING_MODEL, "input": "x"});
    for _ in 0..8 {
        assert_eq!(harness.chat(&pool, "hello").await.status, 200);
        assert_eq!(harness.embed(&pool, &embedding).await.status, 200);
    }
    let mut chat = prompt("hello");
    chat["model"] = json!(EMBEDDING_MODEL);
    for _ in 0..4 {
        let answer = send(harness.call(&pool, "/v1/chat/completions", &chat)).await;
        answer.openai_error(404, Some("model_not_found"));
        for path in [format!("{EMBEDDING_MODEL}:generateContent"), format!("{MODEL}:embedContent")] {
            let body =
                json!({"contents": [{"parts": [{"text": "x"}]}], "content": {"parts": [{"text": "x"}]}});
            let answer = send(harness.call(&pool, &format!("/v1beta/models/{path}"), &body)).await;
            assert_eq!(answer.status, 404, "{path}: {}", answer.body);
        }
    }
    assert_eq!(harness.chat(&pool, "hello").await.status, 200);
    assert_eq!(harness.embed(&pool, &embedding).await.status, 200);
    assert!(harness.keys(&pool).await.iter().all(|key| key.condition.state == KeyState::Healthy));
}

pub async fn an_error_with_status_200_is_classified_as_an_error(harness: &Harness) {
    let pool = harness.pool_with_reserve(Behaviour::ErrorInSuccess, Behaviour::Ok).await;
    let answer = harness.chat(&pool, "hello").await;
    assert_eq!((answer.status, answer.header("x-pool-attempts")), (200, "2"), "{}", answer.body);
    let seen = eventually("the cooldown", async || {
        harness.keys(&pool).await.into_iter().find(|key| key.condition.state != KeyState::Healthy)
    })
    .await;
    assert_eq!((seen.name.as_str(), seen.condition.state), ("first", KeyState::Cooling));
}

pub async fn events_have_the_quota_and_each_unknown_text_once(harness: &Harness) {
    let pool = harness
        .weighted_pool("prod", &[("day", Behaviour::ExhaustedDay, 1), ("good", Behaviour::Ok, 0)])
        .await;
    assert_eq!(harness.chat(&pool, "hello").await.status, 200);
    let event = events(harness, &pool).await.remove(0);
    let quota = event.quota.unwrap();
    assert_eq!(quota.limit.as_deref(), Some("GenerateRequestsPerDayPerProjectPerModel-FreeTier"));
    assert_eq!((quota.value.as_deref(), quota.model.as_deref()), (Some("250"), Some(MODEL)));
    assert!(quota.retry_after_ms.is_some() && quota.metric.is_some());
    assert!(event.message.contains("generate_content_free_tier_requests, limit: 250"), "{}", event.message);

    let keys = ["u", "v"].map(|name| (name, Behaviour::ExhaustedUnknown, 1));
    let pool = harness.weighted_pool("unknown", &[keys[0], keys[1], ("last", Behaviour::Ok, 0)]).await;
    harness.chat(&pool, "hello").await;
    // Reported separately.
    let first = events(harness, &pool).await;
    eventually("both keys again", async || {
        harness.chat(&pool, "hello").await;
        (events(harness, &pool).await.iter().map(|event| event.count).sum::<u64>() > 2).then_some(())
    })
    .await;
    let all = events(harness, &pool).await;
    assert_eq!((first.len(), all.len()), (1, 1), "{all:?}");
    assert!(all[0].unknown_text && all[0].count > first[0].count);
    assert_eq!(all[0].message, "Requests of this tier are paused while capacity is rebalanced.");
}
