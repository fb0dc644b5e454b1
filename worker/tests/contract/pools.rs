//! Pools: create, update, delete, and their effect on clients.

use futures_util::future::join_all;
use pool_fake_gemini::Behaviour;
use pool_shared::{ClientKeyList, ErrorCode, Pool, PoolCreated, PoolList};
use reqwest::Method;
use serde_json::{Value, json};

use super::harness::{Harness, gemini_key, send};

async fn create(harness: &Harness, body: &Value) -> PoolCreated {
    harness.post("/pools", body).await.json(201)
}

pub async fn a_pool_is_found_by_id_and_by_name(harness: &Harness) {
    let body = json!({"name": " 生产 prod ", "description": "main", "allowed_models": ["gemini-*"]});
    let created = create(harness, &body).await;
    assert!(created.client_key.expose().starts_with("sk-pool-"));
    let pool = created.pool;
    assert_eq!((pool.name.as_str(), pool.description.as_str()), ("生产 prod", "main"));
    assert_eq!((pool.enabled, pool.keys, pool.enabled_keys), (true, 0, 0));
    create(harness, &json!({"name": "another"})).await;

    let by_id: Pool = harness.get(&format!("/pools/{}", pool.id)).await.json(200);
    let by_name: Pool = harness.get("/pools/生产 prod").await.json(200);
    assert_eq!((&by_id, &by_name), (&pool, &pool));
    let list: PoolList = harness.get("/pools").await.json(200);
    let names: Vec<_> = list.pools.iter().map(|pool| pool.name.as_str()).collect();
    assert_eq!(names, ["another", "生产 prod"]);
    assert_eq!(list.pools[1], pool);
}

pub async fn an_update_changes_only_the_given_fields(harness: &Harness) {
    let body = json!({"name": "prod", "description": "main", "allowed_models": ["gemini-*"]});
    let before = create(harness, &body).await.pool;
    let path = format!("/pools/{}", before.id);

    let renamed: Pool = harness.patch(&path, &json!({"name": "live"})).await.json(200);
    assert_eq!((renamed.name.as_str(), renamed.description.as_str()), ("live", "main"));
    assert_eq!((&renamed.allowed_models, renamed.enabled), (&before.allowed_models, true));
    assert!(renamed.version > before.version);

    let emptied = json!({"description": "", "allowed_models": [], "enabled": false});
    let emptied: Pool = harness.patch("/pools/live", &emptied).await.json(200);
    assert_eq!((emptied.name.as_str(), emptied.description.as_str()), ("live", ""));
    assert_eq!((emptied.allowed_models.len(), emptied.enabled), (0, false));
    assert_eq!(harness.get(&path).await.json::<Pool>(200), emptied);

    harness.patch(&path, &json!({"nmae": "x"})).await.admin_error(400, ErrorCode::InvalidRequest);
    assert_eq!(harness.get(&path).await.json::<Pool>(200), emptied);
}

/// Sends ten concurrent requests, each of which changes another field of the same pool.
pub async fn concurrent_updates_are_all_kept(harness: &Harness) {
    let pool =
        harness.pool(&[("first", Behaviour::Ok), ("second", Behaviour::Ok), ("third", Behaviour::Ok)]).await;
    let ids: Vec<_> = harness.keys(&pool).await.into_iter().map(|key| key.id).collect();
    let (path, keys) = (format!("/pools/{}", pool.id), format!("/pools/{}/keys", pool.id));
    let edits = [
        (Method::PATCH, path.clone(), json!({"name": "live"})),
        (Method::PATCH, path.clone(), json!({"description": "main"})),
        (Method::PATCH, path.clone(), json!({"enabled": false})),
        (Method::PATCH, path.clone(), json!({"allowed_models": ["gemini-*"]})),
        (Method::PATCH, keys.clone(), json!({"ids": [&ids[0]], "set": {"weight": 7}})),
        (Method::PATCH, keys.clone(), json!({"ids": [&ids[0]], "set": {"tag": "team-a"}})),
        (Method::PATCH, keys.clone(), json!({"ids": [&ids[1]], "set": {"enabled": false}})),
        (Method::POST, format!("{keys}/delete"), json!({"ids": [&ids[2]]})),
        (
            Method::POST,
            format!("{keys}/import"),
            json!({"keys": [{"key": gemini_key("fourth"), "name": "fourth"}]}),
        ),
        (Method::POST, format!("{path}/client-keys"), json!({"name": "laptop"})),
    ];
    let edits = edits.iter().map(|(method, path, body)| send(harness.admin(method.clone(), path).json(body)));
    for answer in futures_util::future::join_all(edits).await {
        assert!(matches!(answer.status, 200 | 201), "{}", answer.body);
    }

    let after: Pool = harness.get(&path).await.json(200);
    assert_eq!((after.name.as_str(), after.description.as_str(), after.enabled), ("live", "main", false));
    assert_eq!(after.allowed_models, ["gemini-*"]);
    let keys = harness.keys(&pool).await;
    let shown: Vec<_> =
        keys.iter().map(|key| (key.name.as_str(), key.weight.get(), key.tag.as_str(), key.enabled)).collect();
    let expected = [("first", 7, "team-a", true), ("second", 1, "", false), ("fourth", 1, "", true)];
    assert_eq!(shown, expected);
    let clients: ClientKeyList = harness.get(&format!("{path}/client-keys")).await.json(200);
    assert_eq!(clients.client_keys.len(), 2);
    // The data plane uses the last update.
    harness.chat(&pool, "hello").await.openai_error(403, Some("pool_disabled"));
    harness.patch(&path, &json!({"enabled": true})).await.json::<Pool>(200);
    assert_eq!(harness.chat(&pool, "hello").await.status, 200);
    assert_eq!(harness.tally("second").requests + harness.tally("third").requests, 0);
}

pub async fn a_duplicate_name_is_rejected(harness: &Harness) {
    create(harness, &json!({"name": "prod"})).await;
    let staging = create(harness, &json!({"name": "staging"})).await.pool;
    let answer = harness.post("/pools", &json!({"name": " prod"})).await;
    assert!(answer.admin_error(409, ErrorCode::Conflict).hint.is_some());
    let answer = harness.patch(&format!("/pools/{}", staging.id), &json!({"name": "prod"})).await;
    answer.admin_error(409, ErrorCode::Conflict);
    // A pool's own name is no conflict.
    let path = format!("/pools/{}", staging.id);
    assert_eq!(harness.patch(&path, &json!({"name": "staging"})).await.json::<Pool>(200).name, "staging");
    assert_eq!(harness.get("/pools").await.json::<PoolList>(200).pools.len(), 2);
}

pub async fn an_unknown_pool_error_suggests_the_nearest_name(harness: &Harness) {
    for name in ["production", "staging"] {
        create(harness, &json!({"name": name})).await;
    }
    for path in [
        "/pools/prodction",
        "/pools/prodction/keys",
        "/pools/prodction/client-keys",
        "/pools/prodction/stats",
    ] {
        let error = harness.get(path).await.admin_error(404, ErrorCode::NotFound);
        assert!(error.message.contains("prodction"), "{}", error.message);
        assert_eq!(error.hint.as_deref(), Some("did you mean 'production'?"), "{path}");
    }
    let error = harness.get("/pools/unlike-any").await.admin_error(404, ErrorCode::NotFound);
    assert_eq!(error.hint.as_deref(), Some("list them: poolctl pool list"));
    let import = json!({"keys": []});
    harness.post("/pools/stagin/keys/import", &import).await.admin_error(404, ErrorCode::NotFound);
    harness.patch("/pools/stagin", &json!({})).await.admin_error(404, ErrorCode::NotFound);
    harness.delete("/pools/stagin").await.admin_error(404, ErrorCode::NotFound);
}

pub async fn a_deleted_pool_rejects_requests_immediately(harness: &Harness) {
    let pool = harness.pool(&[("good", Behaviour::Ok)]).await;
    assert_eq!(harness.chat(&pool, "hello").await.status, 200);
    harness.delete(&format!("/pools/{}", pool.id)).await.no_content();
    harness.chat(&pool, "hello").await.openai_error(401, Some("invalid_api_key"));
    assert_eq!(harness.tally("good").requests, 1);
    harness.get(&format!("/pools/{}", pool.id)).await.admin_error(404, ErrorCode::NotFound);
    // The name is available again, and the new pool has nothing of the old one.
    let again = create(harness, &json!({"name": "prod"})).await.pool;
    assert_eq!(again.keys, 0);
    assert_ne!(again.id.as_str(), pool.id);
}

pub async fn a_disabled_pool_rejects_its_clients(harness: &Harness) {
    let pool = harness.pool(&[("good", Behaviour::Ok)]).await;
    let path = format!("/pools/{}", pool.id);
    assert_eq!(harness.chat(&pool, "hello").await.status, 200);
    harness.patch(&path, &json!({"enabled": false})).await.json::<Pool>(200);
    let message = harness.chat(&pool, "hello").await.openai_error(403, Some("pool_disabled"));
    assert!(message.contains("'prod'"), "{message}");
    assert_eq!(harness.tally("good").requests, 1);
    harness.patch(&path, &json!({"enabled": true})).await.json::<Pool>(200);
    assert_eq!(harness.chat(&pool, "hello").await.status, 200);
}

pub async fn an_invalid_pool_is_rejected(harness: &Harness) {
    for body in [
        json!({}),
        json!({"name": ""}),
        json!({"name": "a/b"}),
        json!({"name": "pool-1"}),
        json!({"name": ".."}),
        json!({"name": "x".repeat(65)}),
        json!({"name": "x", "description": "x".repeat(1001)}),
        json!({"name": "x", "allowed_models": ["gemini 3"]}),
        json!({"name": "x", "allowed_models": "gemini-3"}),
        json!({"name": "x", "alowed_models": []}),
        json!({"name": "x", "import": {"keys": vec![json!({"key": "k"}); 1001]}}),
        json!({"name": "x", "import": {"keys": [{"key": "k", "weight": 1001}]}}),
    ] {
        harness.post("/pools", &body).await.admin_error(400, ErrorCode::InvalidRequest);
    }
    assert_eq!(harness.get("/pools").await.json::<PoolList>(200).pools, []);
}

pub async fn concurrent_updates_of_different_fields_are_all_kept(harness: &Harness) {
    let pool = harness.pool(&[("one", Behaviour::Ok)]).await;
    let key = harness.keys(&pool).await.remove(0);
    let set = |change: Value| json!({"ids": [key.id], "set": change});
    let (of_pool, of_keys) = (format!("/pools/{}", pool.id), format!("/pools/{}/keys", pool.id));
    let edits = [
        (&of_pool, json!({"name": "renamed"})),
        (&of_pool, json!({"description": "what for"})),
        (&of_pool, json!({"allowed_models": ["gemini-*"]})),
        (&of_pool, json!({"aliases": {"gpt": "gemini-3.8-flash"}})),
        (&of_pool, json!({"fallbacks": {"*": ["gemini-2.5-flash"]}})),
        (&of_pool, json!({"sticky": true})),
        (&of_pool, json!({"pass_through": true})),
        (&of_pool, json!({"translation": {"strict_params": true}})),
        (&of_pool, json!({"translation": {"strict_history": true}})),
        (&of_keys, set(json!({"name": "laptop"}))),
        (&of_keys, set(json!({"tag": "team-b"}))),
        (&of_keys, set(json!({"weight": 7}))),
        (&of_keys, set(json!({"enabled": false}))),
    ];
    let answers = join_all(edits.iter().map(|(path, edit)| harness.patch(path, edit))).await;
    for answer in answers {
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    let after: Pool = harness.get(&of_pool).await.json(200);
    assert_eq!((after.name.as_str(), after.description.as_str()), ("renamed", "what for"));
    assert_eq!(after.allowed_models, ["gemini-*"]);
    assert_eq!(after.settings.aliases["gpt"], "gemini-3.8-flash");
    assert_eq!(after.settings.fallbacks["*"], ["gemini-2.5-flash"]);
    assert!(after.settings.sticky && after.settings.pass_through);
    let translation = after.settings.translation;
    assert!(translation.strict_params && translation.strict_history);
    let key = harness.keys(&pool).await.remove(0);
    assert_eq!((key.name.as_str(), key.tag.as_str(), key.weight.get()), ("laptop", "team-b", 7));
    assert!(!key.enabled);
}

pub async fn names_are_compared_after_unicode_normalisation(harness: &Harness) {
    let straße = create(harness, &json!({"name": "Straße 1"})).await.pool;
    let other = create(harness, &json!({"name": "other"})).await.pool;
    let path = format!("/pools/{}", other.id);
    for name in ["Straße 1", "STRASSE 1", "straße\u{a0}１", " strasse  1 ", "Ｓtraße 1"] {
        for answer in [
            harness.post("/pools", &json!({"name": name})).await,
            harness.patch(&path, &json!({"name": name})).await,
            harness.post(&format!("{path}/copy"), &json!({"name": name})).await,
        ] {
            answer.admin_error(409, ErrorCode::Conflict);
        }
    }
    for name in [
        "q\u{200b}",
        "q\u{ad}",
        "\u{feff}q",
        "q\u{202e}",
        "q\u{2066}",
        "q\u{3164}",
        "q\u{fe0f}",
        "q\u{2028}r",
    ] {
        for answer in [
            harness.post("/pools", &json!({"name": name})).await,
            harness.patch(&path, &json!({"name": name})).await,
            harness.post("/tokens", &json!({"name": name})).await,
            harness.post(&format!("{path}/client-keys"), &json!({"name": name})).await,
        ] {
            answer.admin_error(400, ErrorCode::InvalidRequest);
        }
        for field in ["name", "tag", "project", "billing_account"] {
            let change = json!({"ids": ["key-1"], "set": {field: name}});
            harness.patch(&format!("{path}/keys"), &change).await.admin_error(400, ErrorCode::InvalidRequest);
            let keys = json!({"keys": [{"key": gemini_key("a"), field: name}]});
            let report = harness.post(&format!("{path}/keys/import"), &keys).await;
            assert_eq!(report.json::<pool_shared::KeyImportReport>(200).malformed.len(), 1, "{field}");
        }
    }
    // A pool can change the spelling of its name, and give it up.
    let path = format!("/pools/{}", straße.id);
    for name in ["STRASSE 1", "avenue"] {
        assert_eq!(harness.patch(&path, &json!({"name": name})).await.json::<Pool>(200).name, name);
    }
    create(harness, &json!({"name": "straße 1"})).await;
}

pub async fn a_pool_scoped_token_sees_no_name_of_another_pool(harness: &Harness) {
    let own = create(harness, &json!({"name": "own"})).await.pool;
    create(harness, &json!({"name": "secret project"})).await;
    let body = json!({"name": "ci", "scopes": ["pools"], "pool": own.id});
    let token: pool_shared::AdminTokenCreated = harness.post("/tokens", &body).await.json(201);
    let path = format!("/admin/v1/pools/{}", own.id);
    let mut answers = Vec::new();
    for name in ["secret project", "Secret Project", "free"] {
        let request = harness.request(Method::PATCH, &path).bearer_auth(token.secret.expose());
        let answer = send(request.json(&json!({"name": name}))).await;
        assert!(!answer.body.contains("exists"), "{}", answer.body);
        answers.push(answer.admin_error(403, ErrorCode::Forbidden).message);
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:?}");
    // A pool-scoped token can change everything else of its pool, and send its unchanged name in a
    // whole document.
    let request = harness.request(Method::PATCH, &path).bearer_auth(token.secret.expose());
    let update = json!({"name": "own", "description": "mine"});
    assert_eq!(send(request.json(&update)).await.json::<Pool>(200).description, "mine");
}
