//! Client keys.

use jiff::{SignedDuration, Timestamp};
use pool_fake_gemini::Behaviour;
use pool_shared::{
    ClientKey, ClientKeyCreated, ClientKeyImportReport, ClientKeyList, ErrorCode, HashedClientKeys,
    MasterKeyState,
};
use reqwest::Method;
use serde_json::{Value, json};

use super::answer::Answer;
use super::harness::{Harness, MODEL, Pool, eventually, prompt, send};

/// Creates another client key of a pool.
pub async fn client_key(harness: &Harness, pool: &Pool, rules: Value) -> (Pool, ClientKey) {
    let path = format!("/pools/{}/client-keys", pool.id);
    let ClientKeyCreated { secret, client_key } = harness.post(&path, &rules).await.json(201);
    (Pool { id: pool.id.clone(), client_key: secret.expose().to_owned() }, client_key)
}

fn rate_limit_headers(answer: &Answer, what: &str) -> Vec<String> {
    ["limit", "remaining", "reset"]
        .iter()
        .map(|name| answer.header(&format!("x-ratelimit-{name}-{what}")).to_owned())
        .collect()
}

pub async fn a_client_key_works_until_it_is_revoked(harness: &Harness) {
    let pool = harness.pool(&[("good", Behaviour::Ok)]).await;
    let path = format!("/pools/{}/client-keys", pool.id);
    let created: ClientKeyCreated = harness.post(&path, &json!({"name": "ci"})).await.json(201);
    let secret = created.secret.expose().to_owned();
    assert_eq!((created.client_key.name.as_str(), secret.ends_with(&created.client_key.hint)), ("ci", true));
    let client = Pool { id: pool.id.clone(), client_key: secret.clone() };
    assert_eq!(harness.chat(&client, "hello").await.status, 200);

    let answer = harness.get(&path).await;
    assert!(!answer.body.contains(&secret) && !answer.body.contains(&pool.client_key));
    let list: ClientKeyList = answer.json(200);
    assert_eq!(list.client_keys.len(), 2);
    let mut listed = list.client_keys.iter().find(|key| key.id == created.client_key.id).unwrap().clone();
    listed.last_used_at = None;
    assert_eq!(listed, created.client_key);

    let one = format!("{path}/{}", created.client_key.id);
    harness.delete(&one).await.no_content();
    harness.chat(&client, "hello").await.openai_error(401, Some("invalid_api_key"));
    assert_eq!(harness.chat(&pool, "hello").await.status, 200, "the other one still works");
    assert_eq!(harness.get(&path).await.json::<ClientKeyList>(200).client_keys.len(), 1);

    harness.delete(&one).await.admin_error(404, ErrorCode::NotFound);
    let other = harness.weighted_pool("other", &[]).await;
    let first = &list.client_keys.iter().find(|key| key.id != created.client_key.id).unwrap().id;
    let answer = harness.delete(&format!("/pools/{}/client-keys/{first}", other.id)).await;
    answer.admin_error(404, ErrorCode::NotFound);
    let name = json!({"name": "x".repeat(101)});
    harness.post(&path, &name).await.admin_error(400, ErrorCode::InvalidRequest);
}

pub async fn the_last_use_of_a_client_key_is_shown(harness: &Harness) {
    let pool = harness.pool(&[("good", Behaviour::Ok)]).await;
    let (client, created) = client_key(harness, &pool, json!({"name": "ci"})).await;
    let last_used = async || {
        let list: ClientKeyList = harness.get(&format!("/pools/{}/client-keys", pool.id)).await.json(200);
        list.client_keys.into_iter().find(|key| key.id == created.id).unwrap().last_used_at
    };
    let before = Timestamp::now();
    assert_eq!(harness.chat(&pool, "hello").await.status, 200);
    assert_eq!(last_used().await, None, "another one was used");
    assert_eq!(harness.chat(&client, "hello").await.status, 200);
    let last_use = eventually("the client key was used", last_used).await;
    assert!((before - SignedDuration::from_secs(1)..=Timestamp::now()).contains(&last_use), "{last_use}");
}

pub async fn a_client_key_is_limited_to_its_rates(harness: &Harness) {
    let pool = harness.pool(&[("good", Behaviour::Ok)]).await;
    let limits = json!({"limits": {"requests_per_minute": 2, "requests_per_day": 100}});
    let (client, created) = client_key(harness, &pool, limits).await;
    assert_eq!(created.rules.limits.requests_per_minute, Some(2));
    let first = harness.chat(&client, "hello").await;
    assert_eq!(
        (first.status, &rate_limit_headers(&first, "requests")[..2]),
        (200, &["2".into(), "1".into()][..])
    );
    // Invalid requests, streams and embeddings count too.
    assert_eq!(harness.embed(&client, &json!({})).await.status, 400);
    let refused = harness.chat(&client, "hello").await;
    let message = refused.openai_error(429, Some("rate_limit_exceeded"));
    assert!(message.contains("2 requests per minute"), "{message}");
    assert_eq!(&rate_limit_headers(&refused, "requests")[..2], ["2", "0"]);
    let (reset, retry) = (rate_limit_headers(&refused, "requests").remove(2), refused.header("retry-after"));
    assert!(reset.ends_with('s') && retry.parse::<u64>().unwrap() <= 65, "{reset} {retry}");
    assert!(refused.header("access-control-expose-headers").contains("x-ratelimit-reset-tokens"));
    assert_eq!(harness.tally("good").requests, 1, "Gemini does not hear of what is refused here");
    for path in ["/v1/models", "/v1/models/gemini-0"] {
        let looked_up =
            send(harness.request(reqwest::Method::GET, path).bearer_auth(&client.client_key)).await;
        looked_up.openai_error(429, Some("rate_limit_exceeded"));
    }
    assert_eq!(harness.chat(&pool, "hello").await.status, 200, "other client keys are not limited");

    let limits = json!({"limits": {"tokens_per_minute": 20}});
    let (client, _) = client_key(harness, &pool, limits).await;
    let refused = harness.chat(&client, &"many words ".repeat(100)).await;
    let message = refused.openai_error(429, Some("rate_limit_exceeded"));
    assert!(message.contains("20 tokens per minute") && message.contains("alone"), "{message}");
    assert_eq!(
        (refused.header("x-should-retry"), &rate_limit_headers(&refused, "tokens")[..2]),
        ("false", &["20".into(), "20".into()][..])
    );
}

pub async fn a_client_key_is_limited_to_its_models(harness: &Harness) {
    let pool = harness.pool(&[("good", Behaviour::Ok)]).await;
    let (client, _) = client_key(harness, &pool, json!({"allowed_models": ["gemini-2.5-*"]})).await;
    let message = harness.chat(&client, "hello").await.openai_error(403, Some("model_not_allowed"));
    assert!(message.contains("this client key"), "{message}");
    let models: Value =
        send(harness.request(reqwest::Method::GET, "/v1/models").bearer_auth(&client.client_key))
            .await
            .json(200);
    let models = models["data"].as_array().unwrap();
    assert!(
        !models.is_empty()
            && models.iter().all(|model| model["id"].as_str().unwrap().starts_with("gemini-2.5-"))
    );
    let mut other = prompt("hello");
    other["model"] = models[0]["id"].clone();
    assert_eq!(send(harness.call(&client, "/v1/chat/completions", &other)).await.status, 200);
    // A client key cannot allow more than its pool.
    harness
        .patch(&format!("/pools/{}", pool.id), &json!({"allowed_models": [MODEL]}))
        .await
        .json::<Value>(200);
    send(harness.call(&client, "/v1/chat/completions", &other))
        .await
        .openai_error(403, Some("model_not_allowed"));
}

pub async fn a_client_key_is_limited_to_its_networks(harness: &Harness) {
    let pool = harness.pool(&[("good", Behaviour::Ok)]).await;
    let networks = json!({"allowed_networks": ["198.51.100.7", "2001:db8::1/32"]});
    let (client, created) = client_key(harness, &pool, networks).await;
    assert_eq!(created.rules.allowed_networks, ["198.51.100.7/32", "2001:db8::/32"]);
    for path in ["/v1/chat/completions", "/v1/embeddings"] {
        send(harness.call(&client, path, &prompt("hello")))
            .await
            .openai_error(403, Some("address_not_allowed"));
    }
    assert_eq!(harness.gemini.counts().total().requests, 0);
    // On Workers the address comes from Cloudflare's header, natively from the socket.
    let path = format!("/pools/{}/client-keys/{}", pool.id, created.id);
    let networks = json!({"allowed_networks": ["198.51.100.0/24", "127.0.0.0/8", "::1"]});
    harness.patch(&path, &networks).await.json::<ClientKey>(200);
    let call = harness.call(&client, "/v1/chat/completions", &prompt("hello"));
    assert_eq!(send(call.header("cf-connecting-ip", "198.51.100.7")).await.status, 200);
}

pub async fn a_client_key_update_changes_only_the_given_fields(harness: &Harness) {
    let pool = harness.pool(&[("good", Behaviour::Ok)]).await;
    let rules = json!({"name": "ci", "limits": {"requests_per_day": 5}, "expires_in_s": 3600});
    let (client, created) = client_key(harness, &pool, rules).await;
    let path = format!("/pools/{}/client-keys/{}", pool.id, created.id);
    let change = async |update: Value| harness.patch(&path, &update).await.json::<ClientKey>(200);

    let mut expected = created.clone();
    assert_eq!(change(json!({})).await, expected);
    expected.rules.allowed_models = vec![MODEL.to_owned()];
    assert_eq!(change(json!({"allowed_models": [MODEL]})).await, expected);
    "build".clone_into(&mut expected.name);
    assert_eq!(change(json!({"name": "build"})).await, expected);
    expected.expires_at = None;
    assert_eq!(change(json!({"expires_in_s": 0})).await, expected);
    expected.rules.limits = pool_shared::Limits { requests_per_minute: Some(1), ..Default::default() };
    assert_eq!(change(json!({"limits": {"requests_per_minute": 1}})).await, expected);
    let list: ClientKeyList = harness.get(&format!("/pools/{}/client-keys", pool.id)).await.json(200);
    assert!(list.client_keys.contains(&expected));

    // Applies immediately, also to the rotated key.
    assert_eq!(harness.chat(&client, "hello").await.status, 200);
    harness.chat(&client, "hello").await.openai_error(429, Some("rate_limit_exceeded"));
    let rotated: ClientKeyCreated = harness.post(&format!("{path}/rotate"), &json!({})).await.json(201);
    assert_eq!(rotated.client_key.rules, expected.rules);
    let successor = Pool { id: pool.id.clone(), client_key: rotated.secret.expose().to_owned() };
    assert_eq!(harness.chat(&successor, "hello").await.status, 200);
    harness.chat(&successor, "hello").await.openai_error(429, Some("rate_limit_exceeded"));
    change(json!({"limits": {}})).await;
    assert_eq!(harness.chat(&client, "hello").await.status, 200);
}

pub async fn imported_client_keys_keep_working(harness: &mut Harness) {
    let pool = harness.pool(&[("good", Behaviour::Ok)]).await;
    let other = harness.weighted_pool("other", &[]).await;
    let path = |pool: &Pool| format!("/pools/{}/client-keys/import", pool.id);
    let keys =
        json!({"keys": [{"key": "sk-123456", "name": "old"}, {"key": "team~secret!"}, {"key": "sk-123456"}]});
    let report: ClientKeyImportReport = harness.post(&path(&pool), &keys).await.json(200);
    assert_eq!(report, ClientKeyImportReport { added: 2, duplicate: 1 });
    // A client key belongs to one pool.
    let report: ClientKeyImportReport = harness.post(&path(&other), &keys).await.json(200);
    assert_eq!(report, ClientKeyImportReport { added: 0, duplicate: 3 });

    for key in ["sk-123456", "team~secret!"] {
        let client = Pool { id: pool.id.clone(), client_key: key.to_owned() };
        assert_eq!(harness.chat(&client, "hello").await.status, 200, "{key}");
    }
    let wrong = Pool { id: pool.id.clone(), client_key: "sk-123457".to_owned() };
    harness.chat(&wrong, "hello").await.openai_error(401, Some("invalid_api_key"));
    let answer = harness.get(&format!("/pools/{}/client-keys", pool.id)).await;
    assert!(!answer.body.contains("sk-123456"));
    let list: ClientKeyList = answer.json(200);
    let shown: Vec<_> =
        list.client_keys.iter().map(|key| (key.name.as_str(), key.hint.as_str(), key.weak)).collect();
    assert!(shown.contains(&("old", "3456", true)) && shown.contains(&("", "ret!", true)), "{shown:?}");
    assert_eq!(shown.iter().filter(|(.., weak)| *weak).count(), 2);
}

pub async fn unknown_client_keys_are_throttled_without_affecting_known_ones(harness: &Harness) {
    let pool = harness.pool(&[("good", Behaviour::Ok)]).await;
    let guess = |number: u32| Pool { id: pool.id.clone(), client_key: format!("sk-guess-{number:08}") };
    let mut refused = 0;
    for number in 0..40 {
        let answer = harness.chat(&guess(number), "hello").await;
        if answer.status == 429 {
            assert!(!answer.header("retry-after").is_empty());
            answer.openai_error(429, Some("too_many_unknown_keys"));
            refused += 1;
        } else {
            answer.openai_error(401, Some("invalid_api_key"));
        }
    }
    // The count is per isolate; here there is one.
    assert_eq!(refused, 10);
    assert_eq!(harness.chat(&pool, "hello").await.status, 200);
}

pub async fn requests_without_a_body_count_towards_the_limits(harness: &Harness) {
    let pool = harness.pool(&[("good", Behaviour::Ok)]).await;
    harness.patch(&format!("/pools/{}", pool.id), &json!({"pass_through": true})).await;
    for path in ["/v1/models", "/v1beta/models?pageToken=a", "/v1/models/gemini-2.5-flash-lite"] {
        let (client, _) = client_key(harness, &pool, json!({"limits": {"requests_per_minute": 1}})).await;
        let asked = async || send(harness.request(Method::GET, path).bearer_auth(&client.client_key)).await;
        assert!(asked().await.status < 500);
        assert_eq!(asked().await.status, 429, "{path}");
    }
}

pub async fn invalid_client_keys_are_rejected(harness: &Harness) {
    let pool = harness.pool(&[("good", Behaviour::Ok)]).await;
    let path = format!("/pools/{}/client-keys", pool.id);
    let one = format!("{path}/{}", client_key(harness, &pool, json!({})).await.1.id);
    for network in ["", "192.0.2.0/33", "example.com", "1.2.3"] {
        let networks = json!({"allowed_networks": [network]});
        let error = harness.post(&path, &networks).await.admin_error(400, ErrorCode::InvalidRequest);
        assert!(error.message.contains("not a network"), "{}", error.message);
        harness.patch(&one, &networks).await.admin_error(400, ErrorCode::InvalidRequest);
    }
    for change in [json!({"limits": {"requests_per_hour": 1}}), json!({"limits": {"requests_per_day": -1}})] {
        harness.patch(&one, &change).await.admin_error(400, ErrorCode::InvalidRequest);
    }
    let unknown = harness.patch(&format!("{path}/ck-none"), &json!({})).await;
    unknown.admin_error(404, ErrorCode::NotFound);
    for key in ["1234567", "with space", "sk-pool-short", "padm_12345", &"x".repeat(513), "ümläut-key"] {
        let keys = json!({"keys": [{"key": "a-good-key-of-before"}, {"key": key}]});
        let error =
            harness.post(&format!("{path}/import"), &keys).await.admin_error(400, ErrorCode::InvalidRequest);
        assert!(
            error.message.starts_with("client key 2") && !error.message.contains(key),
            "{}",
            error.message
        );
    }
    let list: ClientKeyList = harness.get(&path).await.json(200);
    assert_eq!(list.client_keys.len(), 2, "nothing was imported");
}

pub async fn client_key_rotation_has_a_grace_period(harness: &Harness) {
    let pool = harness.pool(&[("good", Behaviour::Ok)]).await;
    let path = format!("/pools/{}/client-keys", pool.id);
    let first = harness.get(&path).await.json::<ClientKeyList>(200).client_keys.remove(0);
    let rotated: ClientKeyCreated =
        harness.post(&format!("{path}/{}/rotate", first.id), &json!({})).await.json(201);
    assert_eq!((&rotated.client_key.name, rotated.client_key.expires_at), (&first.name, None));
    let new = Pool { id: pool.id.clone(), client_key: rotated.secret.expose().to_owned() };
    for client in [&pool, &new] {
        assert_eq!(harness.chat(client, "hello").await.status, 200);
    }
    let list: ClientKeyList = harness.get(&path).await.json(200);
    let old = list.client_keys.iter().find(|key| key.id == first.id).unwrap();
    let hours = old.expires_at.unwrap().duration_since(rotated.client_key.created_at).as_hours();
    assert_eq!((list.client_keys.len(), hours), (2, 24));
    // Without a grace period the old key stops immediately.
    let rotate = format!("{path}/{}/rotate", rotated.client_key.id);
    let third: ClientKeyCreated = harness.post(&rotate, &json!({"grace_s": 0})).await.json(201);
    harness.chat(&new, "hello").await.openai_error(401, Some("invalid_api_key"));
    let third = Pool { id: pool.id.clone(), client_key: third.secret.expose().to_owned() };
    assert_eq!(harness.chat(&third, "hello").await.status, 200);
    harness.post(&format!("{path}/ck-none/rotate"), &json!({})).await.admin_error(404, ErrorCode::NotFound);
    let long = json!({"grace_s": 31 * 24 * 3600});
    harness
        .post(&format!("{path}/{}/rotate", first.id), &long)
        .await
        .admin_error(400, ErrorCode::InvalidRequest);
}

pub async fn a_client_key_expires(harness: &Harness) {
    let pool = harness.pool(&[("good", Behaviour::Ok)]).await;
    let path = format!("/pools/{}/client-keys", pool.id);
    let short = json!({"name": "short", "expires_in_s": 2});
    let created: ClientKeyCreated = harness.post(&path, &short).await.json(201);
    assert!(created.client_key.expires_at.unwrap() > created.client_key.created_at);
    let client = Pool { id: pool.id.clone(), client_key: created.secret.expose().to_owned() };
    let refused = eventually("the client key's end", async || {
        Some(harness.chat(&client, "hello").await).filter(|answer| answer.status != 200)
    })
    .await;
    refused.openai_error(401, Some("invalid_api_key"));
    assert_eq!(harness.chat(&pool, "hello").await.status, 200);
    // The next new client key replaces the expired one.
    harness.post(&path, &json!({"name": "next"})).await;
    let list: ClientKeyList = harness.get(&path).await.json(200);
    let names: Vec<_> = list.client_keys.iter().map(|key| key.name.as_str()).collect();
    assert_eq!(names, ["first", "next"]);
    for seconds in [0, 100_000 * 24 * 3600_u64] {
        let body = json!({"expires_in_s": seconds});
        harness.post(&path, &body).await.admin_error(400, ErrorCode::InvalidRequest);
    }
}

pub async fn client_keys_are_restored_from_their_hashes(harness: &Harness) {
    let pool = harness.pool(&[("good", Behaviour::Ok)]).await;
    let until = Timestamp::now() + SignedDuration::from_hours(24);
    let rules = json!({"name": "ci", "limits": {"requests_per_day": 9}, "allowed_models": [MODEL],
        "allowed_networks": ["198.51.100.0/24", "127.0.0.0/8", "::1"], "expires_at": until});
    let (client, created) = client_key(harness, &pool, rules).await;
    assert_eq!(created.expires_at.map(Timestamp::as_millisecond), Some(until.as_millisecond()));
    let path = format!("/pools/{}/client-keys", pool.id);
    let exported: HashedClientKeys = harness.post(&format!("{path}/export"), &json!({})).await.json(200);
    let state: MasterKeyState = harness.get("/master").await.json(200);
    assert_eq!((exported.client_keys.len(), &exported.token_hash_key), (2, &state.token_hash_key));

    harness.delete(&format!("{path}/{}", created.id)).await.no_content();
    harness.chat(&client, "hello").await.openai_error(401, Some("invalid_api_key"));
    let restore = format!("{path}/restore");
    let report: ClientKeyImportReport = harness.post(&restore, &json!(exported)).await.json(200);
    assert_eq!((report.added, report.duplicate), (1, 1));
    let call = harness.call(&client, "/v1/chat/completions", &prompt("hello"));
    assert_eq!(send(call.header("cf-connecting-ip", "198.51.100.7")).await.status, 200);
    let list: ClientKeyList = harness.get(&path).await.json(200);
    let found = list.client_keys.iter().find(|key| key.id == created.id).unwrap();
    assert_eq!((&found.rules, found.expires_at), (&created.rules, created.expires_at));
    assert_eq!((&found.name, &found.hint), (&created.name, &created.hint));

    let mut foreign = exported.clone();
    "0123456789abcdef".clone_into(&mut foreign.token_hash_key);
    let error = harness.post(&restore, &json!(foreign)).await.admin_error(400, ErrorCode::InvalidRequest);
    assert!(error.message.contains("another MASTER_KEY"), "{}", error.message);
    for (field, value) in [("hash", "x"), ("id", "ck-1"), ("hint", "ab cd"), ("name", "a\nb")] {
        let mut wrong = json!(exported);
        wrong["client_keys"][0][field] = value.into();
        harness.post(&restore, &wrong).await.admin_error(400, ErrorCode::InvalidRequest);
    }
    let one = format!("{path}/{}", created.id);
    for ends in [json!("2020-01-01T00:00:00Z"), json!("2099-01-01T00:00:00Z")] {
        let ends = json!({"expires_at": ends});
        harness.patch(&one, &ends).await.admin_error(400, ErrorCode::InvalidRequest);
    }
    let both = json!({"expires_at": until, "expires_in_s": 5});
    harness.patch(&one, &both).await.admin_error(400, ErrorCode::InvalidRequest);
}
