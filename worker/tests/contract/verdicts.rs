//! What errors say of keys: only their structure convicts one.

use pool_fake_gemini::{Behaviour, KeySpec, Scenario, Script};
use pool_shared::{AttemptOutcome, ClientKeyList, Event, EventList, KeyState};
use serde_json::{Value, json};

use super::world::{EMBEDDING_MODEL, MODEL, Pool, World, eventually, gemini_key, prompt, send};

const GENERATE: &str = "/v1beta/models/gemini-3.8-flash:generateContent";

async fn states(world: &World, pool: &Pool) -> Vec<KeyState> {
    world.keys(pool).await.into_iter().map(|key| key.condition.state).collect()
}

async fn events(world: &World, pool: &Pool) -> Vec<Event> {
    let list: EventList = world.get(&format!("/events?pool={}&limit=1000", pool.id)).await.json(200);
    list.events
}

fn error(code: u16, status: &str, message: &str, details: &Value) -> String {
    json!({"error": {"code": code, "message": message, "status": status, "details": details}}).to_string()
}

/// Answers requests in which a text stands with this.
fn answer(world: &World, keys: &[&str], marker: &str, status: u16, body: String) {
    let scenario = Scenario::with_keys(keys.iter().map(|key| gemini_key(key)));
    let script = Script { marker: Some(marker.to_owned()), status, wire: vec![body], ..Script::default() };
    world.gemini.set_scenario(scenario.script(script)).unwrap();
}

pub async fn a_client_s_words_in_an_error_change_no_key(world: &World) {
    let pool = world.pool(&[("one", Behaviour::Ok), ("two", Behaviour::Ok)]).await;
    world.patch(&format!("/pools/{}", pool.id), &json!({"pass_through": true})).await;
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
                answer(world, &["one", "two"], "responseModalities", status, body);
                let asked = json!({"contents": [{"parts": [{"text": "hi"}]}],
                    "generationConfig": {"responseModalities": [words]}});
                let refused = send(world.call(&pool, GENERATE, &asked)).await;
                let expected = if refused.status == 502 { 502 } else { status };
                assert_eq!(refused.status, expected, "{words}: {}", refused.body);
                assert_eq!(states(world, &pool).await, [KeyState::Healthy; 2], "{words} at {status}");
            }
        }
    }
    answer(world, &["one", "two"], "nothing", 200, String::new());
    assert_eq!(world.chat(&pool, "hello").await.status, 200);
}

pub async fn words_that_probes_disprove_are_believed_a_few_times_a_minute(world: &World) {
    // Words that are not the client's, though its request has caused them.
    disproved(world, "leaked", "Your API key was reported as leaked.").await;
    // As Gemini answers a request with a film that is private.
    disproved(world, "permission", "The caller does not have permission").await;
}

/// Requests cause a 403 of a text which probes of the keys disprove.
async fn disproved(world: &World, name: &str, text: &str) {
    let names = ["a", "b", "c", "d", "e", "f"];
    let pool = world.weighted_pool(name, &names.map(|name| (name, Behaviour::Ok, 1))).await;
    answer(world, &names, "cause it", 403, error(403, "PERMISSION_DENIED", text, &json!([])));
    let refused = world.chat(&pool, "cause it").await;
    assert_eq!(refused.status, 503, "{}", refused.body);
    assert_eq!(states(world, &pool).await, [KeyState::Healthy; 6], "the probes disproved it");
    world.gemini.reset();
    let message = world.chat(&pool, "cause it").await.openai_error(403, None);
    assert!(message.contains(text), "{message}");
    assert_eq!(world.gemini.counts().total().requests, 1, "it is the client's");
    assert_eq!(world.chat(&pool, "hello").await.status, 200);
    assert_eq!(states(world, &pool).await, [KeyState::Healthy; 6]);
    let keys: ClientKeyList = world.get(&format!("/pools/{}/client-keys", pool.id)).await.json(200);
    let told: Vec<Event> =
        events(world, &pool).await.into_iter().filter(|event| event.client_key.is_some()).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(
        (told[0].client_key.as_ref(), told[0].verdict),
        (Some(&keys.client_keys[0].id), AttemptOutcome::Caller)
    );
}

pub async fn a_pool_of_leaked_keys_serves_and_learns(world: &World) {
    let names: Vec<String> = (0..24).map(|number| format!("leaked-{number}")).collect();
    let mut keys: Vec<_> = names.iter().map(|name| (name.as_str(), Behaviour::Leaked)).collect();
    keys.push(("good", Behaviour::Ok));
    let pool = world.pool(&keys).await;
    let mut refused = 0;
    for _ in 0..20 {
        let answer = world.chat(&pool, "hello").await;
        match answer.status {
            200 => {}
            503 => refused += 1,
            other => panic!("{other}: {}", answer.body),
        }
    }
    assert!(refused <= 6, "each request that fails finds out about four keys: {refused}");
    let known = states(world, &pool).await.into_iter().filter(|state| *state == KeyState::Leaked).count();
    assert!(known >= 20 || refused < 6, "{known} of 24");
    assert_eq!(world.chat(&pool, "hello").await.status, 200);
}

pub async fn a_403_of_google_s_is_the_key_s_and_a_page_is_nobody_s(world: &World) {
    let keys = [
        ("bad", Behaviour::Permission, 1),
        ("one", Behaviour::Ok, 1),
        ("two", Behaviour::Ok, 1),
        ("three", Behaviour::Ok, 1),
    ];
    let pool = world.weighted_pool("prod", &keys).await;
    for _ in 0..40 {
        assert_eq!(world.chat(&pool, "hello").await.status, 200);
    }
    let seen = eventually("the blocked key", async || {
        let keys = world.keys(&pool).await;
        keys.into_iter().find(|key| key.condition.state != KeyState::Healthy)
    })
    .await;
    assert_eq!((seen.name.as_str(), seen.condition.state), ("bad", KeyState::Blocked));
    assert_eq!(seen.condition.reason.as_deref(), Some("permission"));
    assert!(seen.condition.until.is_some());
    assert!(
        events(world, &pool)
            .await
            .iter()
            .any(|event| event.key == seen.id && event.verdict == AttemptOutcome::Key)
    );
    let checked: Value =
        world.post(&format!("/pools/{}/keys/check", pool.id), &json!({"ids": [seen.id]})).await.json(200);
    assert_eq!(checked["results"][0]["verdict"], "blocked");

    let filtered =
        world.weighted_pool("filtered", &[("x", Behaviour::ForbiddenPage, 1), ("y", Behaviour::Ok, 0)]).await;
    assert_eq!(world.chat(&filtered, "hello").await.status, 200, "the next key is tried");
    world.gemini.set_behaviour(&gemini_key("y"), Behaviour::ForbiddenPage).unwrap();
    let message = world.chat(&filtered, "hello").await.openai_error(502, Some("upstream_error"));
    assert!(message.contains("status 403"), "{message}");
    assert_eq!(states(world, &filtered).await, [KeyState::Healthy; 2]);
    assert!(events(world, &filtered).await.iter().all(|event| event.verdict == AttemptOutcome::Network));

    // What names a file is the request's.
    let files =
        world.weighted_pool("files", &[("f", Behaviour::FileForbidden, 1), ("g", Behaviour::Ok, 0)]).await;
    world.gemini.reset();
    world.chat(&files, "hello").await.openai_error(403, None);
    assert_eq!(world.gemini.counts().total().requests, 1);
    assert_eq!(states(world, &files).await, [KeyState::Healthy; 2]);
}

pub async fn a_403_for_one_model_excludes_the_key_for_that_model_only(world: &World) {
    let scenario = Scenario::default()
        .key(KeySpec::new(gemini_key("denied"), Behaviour::Ok).model(MODEL, Behaviour::Permission))
        .key(KeySpec::new(gemini_key("with"), Behaviour::Ok));
    let pool = world.weighted_pool("prod", &[("denied", Behaviour::Ok, 1), ("with", Behaviour::Ok, 0)]).await;
    world.gemini.set_scenario(scenario).unwrap();
    assert_eq!(world.chat(&pool, "hello").await.status, 200, "the next key is tried");
    world.gemini.reset();
    assert_eq!(world.chat(&pool, "hello").await.status, 200);
    assert_eq!(world.gemini.counts().total().requests, 1, "the key is passed over for the model");
    let seen = eventually("the model's exclusion", async || {
        world.keys(&pool).await.into_iter().find(|key| key.condition.state != KeyState::Healthy)
    })
    .await;
    assert_eq!((seen.name.as_str(), seen.condition.reason.as_deref()), ("denied", Some("no_access")));
    assert_eq!(seen.condition.models.len(), 1);
    let mut other = prompt("hello");
    other["model"] = json!("gemini-3.5-flash-lite");
    let answer = send(world.call(&pool, "/v1/chat/completions", &other)).await;
    assert_eq!(
        (answer.status, answer.header("x-pool-key")),
        (200, seen.id.as_str()),
        "others are answered by it"
    );
}

pub async fn a_model_that_one_key_lacks_is_asked_for_with_another(world: &World) {
    let scenario = Scenario::default()
        .key(KeySpec::new(gemini_key("without"), Behaviour::Ok).model(MODEL, Behaviour::NotFound))
        .key(KeySpec::new(gemini_key("with"), Behaviour::Ok));
    let pool =
        world.weighted_pool("prod", &[("without", Behaviour::Ok, 1), ("with", Behaviour::Ok, 0)]).await;
    world.gemini.set_scenario(scenario).unwrap();
    // Nobody knows of the model yet: a name that is mistyped must not cost four calls.
    world.chat(&pool, "hello").await.openai_error(404, Some("model_not_found"));
    assert_eq!(world.gemini.counts().total().requests, 1);
    // A list of models is evidence.
    let listed: Value =
        send(world.request(reqwest::Method::GET, "/v1/models").bearer_auth(&pool.client_key)).await.json(200);
    assert!(listed["data"].as_array().unwrap().iter().any(|model| model["id"] == MODEL));
    for requests in [2, 1, 1] {
        world.gemini.reset();
        assert_eq!(world.chat(&pool, "hello").await.status, 200);
        assert_eq!(world.gemini.counts().total().requests, requests, "the key is passed over for the model");
    }
    let seen = eventually("the model's exclusion", async || {
        world.keys(&pool).await.into_iter().find(|key| key.condition.state != KeyState::Healthy)
    })
    .await;
    assert_eq!((seen.name.as_str(), seen.condition.reason.as_deref()), ("without", Some("no_access")));
    let mut other = prompt("hello");
    other["model"] = json!("gemini-3.5-flash-lite");
    assert_eq!(send(world.call(&pool, "/v1/chat/completions", &other)).await.status, 200);
    world.gemini.reset();
    other["model"] = json!("gemini-3.8-flahs");
    send(world.call(&pool, "/v1/chat/completions", &other)).await.openai_error(404, Some("model_not_found"));
    assert_eq!(world.gemini.counts().total().requests, 1);
}

pub async fn a_method_that_a_model_lacks_is_no_fault_of_a_key(world: &World) {
    let keys = [("one", Behaviour::Ok, 1), ("two", Behaviour::Ok, 1)];
    let pool = world.weighted_pool("prod", &keys).await;
    world.patch(&format!("/pools/{}", pool.id), &json!({"pass_through": true})).await;
    let get = world.request(reqwest::Method::GET, "/v1/models").bearer_auth(&pool.client_key);
    assert_eq!(send(get).await.status, 200, "the list of models is at hand");
    // Both models have answered before, each in its own way.
    let embedding = json!({"model": EMBEDDING_MODEL, "input": "x"});
    for _ in 0..8 {
        assert_eq!(world.chat(&pool, "hello").await.status, 200);
        assert_eq!(world.embed(&pool, &embedding).await.status, 200);
    }
    let mut chat = prompt("hello");
    chat["model"] = json!(EMBEDDING_MODEL);
    for _ in 0..4 {
        let answer = send(world.call(&pool, "/v1/chat/completions", &chat)).await;
        answer.openai_error(404, Some("model_not_found"));
        for path in [format!("{EMBEDDING_MODEL}:generateContent"), format!("{MODEL}:embedContent")] {
            let body =
                json!({"contents": [{"parts": [{"text": "x"}]}], "content": {"parts": [{"text": "x"}]}});
            let answer = send(world.call(&pool, &format!("/v1beta/models/{path}"), &body)).await;
            assert_eq!(answer.status, 404, "{path}: {}", answer.body);
        }
    }
    assert_eq!(world.chat(&pool, "hello").await.status, 200);
    assert_eq!(world.embed(&pool, &embedding).await.status, 200);
    assert!(world.keys(&pool).await.iter().all(|key| key.condition.state == KeyState::Healthy));
}

pub async fn an_error_in_a_success_is_judged_as_an_error(world: &World) {
    let pool = world.pool_with_reserve(Behaviour::ErrorInSuccess, Behaviour::Ok).await;
    let answer = world.chat(&pool, "hello").await;
    assert_eq!((answer.status, answer.header("x-pool-attempts")), (200, "2"), "{}", answer.body);
    let seen = eventually("the cooldown", async || {
        world.keys(&pool).await.into_iter().find(|key| key.condition.state != KeyState::Healthy)
    })
    .await;
    assert_eq!((seen.name.as_str(), seen.condition.state), ("first", KeyState::Cooling));
}

pub async fn events_tell_the_quota_and_unknown_texts_once(world: &World) {
    let pool =
        world.weighted_pool("prod", &[("day", Behaviour::ExhaustedDay, 1), ("good", Behaviour::Ok, 0)]).await;
    assert_eq!(world.chat(&pool, "hello").await.status, 200);
    let event = events(world, &pool).await.remove(0);
    let quota = event.quota.unwrap();
    assert_eq!(quota.limit.as_deref(), Some("GenerateRequestsPerDayPerProjectPerModel-FreeTier"));
    assert_eq!((quota.value.as_deref(), quota.model.as_deref()), (Some("250"), Some(MODEL)));
    assert!(quota.retry_after_ms.is_some() && quota.metric.is_some());
    assert!(event.message.contains("generate_content_free_tier_requests, limit: 250"), "{}", event.message);

    let keys = ["u", "v"].map(|name| (name, Behaviour::ExhaustedUnknown, 1));
    let pool = world.weighted_pool("unknown", &[keys[0], keys[1], ("last", Behaviour::Ok, 0)]).await;
    world.chat(&pool, "hello").await;
    // In a report of its own.
    let first = events(world, &pool).await;
    eventually("both keys again", async || {
        world.chat(&pool, "hello").await;
        (events(world, &pool).await.iter().map(|event| event.count).sum::<u64>() > 2).then_some(())
    })
    .await;
    let all = events(world, &pool).await;
    assert_eq!((first.len(), all.len()), (1, 1), "{all:?}");
    assert!(all[0].unknown_text && all[0].count > first[0].count);
    assert_eq!(all[0].message, "Requests of this tier are paused while capacity is rebalanced.");
}
