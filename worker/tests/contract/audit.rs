//! The audit log.

use pool_fake_gemini::Behaviour;
use pool_shared::{
    AdminTokenCreated, AuditEntry, AuditList, ClientKeyCreated, ErrorCode, KeyBatchResult, PoolCopied, WhoAmI,
};
use serde_json::json;

use super::harness::{Harness, Pool, gemini_key};
use crate::support::ADMIN_PASSWORD;

async fn list(harness: &Harness, query: &str) -> AuditList {
    harness.get(&format!("/audit?{query}")).await.json(200)
}

fn actions(list: &AuditList) -> Vec<&str> {
    list.entries.iter().map(|entry| entry.action.as_str()).collect()
}

pub async fn every_change_is_audited_and_nothing_else(harness: &Harness) {
    let who: WhoAmI = harness.get("/whoami").await.json(200);
    let pool = harness.pool(&[("good", Behaviour::Ok)]).await;
    let path = format!("/pools/{}", pool.id);
    let id = harness.keys(&pool).await[0].id.to_string();
    let answer = harness.patch(&path, &json!({"description": "for tests", "enabled": true})).await;
    let request_id = answer.header("x-request-id").to_owned();
    harness.post(&format!("{path}/keys/import"), &json!({"keys": [{"key": gemini_key("b")}]})).await;
    harness.post(&format!("{path}/keys/import"), &json!({"keys": [{"key": gemini_key("b")}]})).await;
    harness.patch(&format!("{path}/keys"), &json!({"ids": [id], "set": {"weight": 5, "tag": ""}})).await;
    harness.patch(&format!("{path}/keys"), &json!({"ids": ["key-none"], "set": {"weight": 5}})).await;
    let created: ClientKeyCreated = harness.post(&format!("{path}/client-keys"), &json!({})).await.json(201);
    let client_key = created.client_key.id.to_string();
    harness.post(&format!("{path}/client-keys/{client_key}/rotate"), &json!({})).await;
    harness.delete(&format!("{path}/client-keys/{client_key}")).await.no_content();
    harness.post(&format!("{path}/keys/export"), &json!({})).await;
    harness.post(&format!("{path}/keys/delete"), &json!({"ids": [id]})).await;
    harness.post(&format!("{path}/stats/reset"), &json!({})).await.no_content();
    let copied: PoolCopied = harness.post(&format!("{path}/copy"), &json!({"name": "twin"})).await.json(201);
    let ci: AdminTokenCreated =
        harness.post("/tokens", &json!({"name": "ci", "scopes": ["pools"]})).await.json(201);
    harness.post(&format!("/tokens/{}/rotate", ci.token.id), &json!({})).await;
    let wrong = json!({"password": format!("{ADMIN_PASSWORD}, no")});
    harness.post("/login", &wrong).await.admin_error(401, ErrorCode::Unauthorized);
    harness.delete(&path).await.no_content();
    // Rejected changes are not audited.
    harness.patch(&path, &json!({"enabled": false})).await.admin_error(404, ErrorCode::NotFound);
    harness.post("/pools", &json!({"name": "twin"})).await.admin_error(409, ErrorCode::Conflict);

    let all = list(harness, "").await;
    let mut expected = [
        "token.login",
        "pool.create",
        "pool.update",
        "key.import",
        "key.update",
        "client_key.create",
        "client_key.rotate",
        "client_key.delete",
        "key.export",
        "key.delete",
        "stats.reset",
        "pool.copy",
        "token.create",
        "token.rotate",
        "login.failed",
        "pool.delete",
    ];
    expected.reverse();
    assert_eq!(actions(&all), expected);
    let by_whom = |entry: &AuditEntry| {
        if entry.action == "login.failed" { entry.actor.as_str() == "nobody" } else { entry.actor == who.id }
    };
    assert!(all.entries.iter().all(|entry| by_whom(entry) && entry.request_id.starts_with("req_")));
    assert!(all.entries.windows(2).all(|pair| pair[0].id > pair[1].id && pair[0].at >= pair[1].at));
    let of = |action: &str| all.entries.iter().find(|entry| entry.action == action).unwrap();
    let update = of("pool.update");
    assert_eq!((update.request_id.as_str(), update.target.as_deref()), (request_id.as_str(), Some("prod")));
    let detail = |entry: &AuditEntry| json!([entry.before, entry.after]);
    assert_eq!(detail(update), json!([{"description": ""}, {"description": "for tests"}]));
    let change = of("key.update");
    assert_eq!((change.target.as_deref(), change.count), (Some(id.as_str()), 1));
    assert_eq!(detail(change), json!([{"weight": 1}, {"weight": 5}]));
    assert_eq!((of("key.import").count, of("key.export").count), (1, 2));
    assert_eq!(of("pool.copy").pool.as_ref(), Some(&copied.pool.id));
    assert_eq!(of("client_key.rotate").target.as_ref(), Some(&client_key));
    let text = serde_json::to_string(&all).unwrap();
    for secret in
        [&gemini_key("good"), &gemini_key("b"), &pool.client_key, created.secret.expose(), &harness.token]
    {
        assert!(!text.contains(secret));
    }
}

pub async fn a_batch_update_is_audited_with_previous_values(harness: &Harness) {
    let pool = harness
        .weighted_pool("prod", &[("a", Behaviour::Ok, 3), ("b", Behaviour::Ok, 3), ("c", Behaviour::Ok, 5)])
        .await;
    let ids: Vec<_> = harness.keys(&pool).await.into_iter().map(|key| key.id).collect();
    let change = json!({"ids": ids, "set": {"weight": 5, "tag": "new", "enabled": true}});
    harness.patch(&format!("/pools/{}/keys", pool.id), &change).await;
    let entry = list(harness, "action=key.update").await.entries.pop().unwrap();
    assert_eq!(entry.count, 3);
    assert_eq!(json!(entry.before), json!({"tag": {"": 3}, "weight": {"3": 2}}));
    assert_eq!(json!(entry.after), json!({"weight": 5, "tag": "new", "enabled": true}));
}

pub async fn a_change_without_effect_is_reported_and_not_audited(harness: &Harness) {
    let pool = harness.weighted_pool("prod", &[("a", Behaviour::Ok, 1), ("b", Behaviour::Ok, 1)]).await;
    let path = format!("/pools/{}", pool.id);
    let ids: Vec<_> = harness.keys(&pool).await.into_iter().map(|key| key.id).collect();
    let created: ClientKeyCreated = harness.post(&format!("{path}/client-keys"), &json!({})).await.json(201);
    let client_key = format!("{path}/client-keys/{}", created.client_key.id);
    let keys = format!("{path}/keys");
    let set = |set: serde_json::Value| json!({"ids": ids, "set": set});
    let rules = json!({"limits": {"requests_per_minute": 3}, "allowed_models": ["a*"], "allowed_networks": ["192.0.2.1"]});
    let translation = json!({"translation": {"strict_params": true, "pacing": {"by": "characters"}}});
    for (path, body) in [
        (&keys, set(json!({"enabled": false}))),
        (&keys, set(json!({"enabled": true}))),
        (&keys, set(json!({"weight": 7}))),
        (&keys, set(json!({"tag": "x", "name": "y", "project": "p", "billing_account": "b"}))),
        (&keys, set(json!({"limits": {"requests_per_minute": 5}}))),
        (&keys, set(json!({"limits": {}}))),
        (&path, json!({"name": " live "})),
        (&path, json!({"description": "d", "enabled": false, "allowed_models": ["gemini-*"]})),
        (&path, json!({"aliases": {"gpt": "gemini-3.8-flash"}, "fallbacks": {"*": ["gemini-3.8-flash"]}})),
        (&path, json!({"sticky": true, "pass_through": true, "separate_billing": true})),
        (&path, translation),
        (&path, json!({"translation": {"strict_params": null}})),
        (&client_key, json!({"name": "laptop"})),
        (&client_key, rules),
        (&client_key, json!({"expires_in_s": 3_600})),
        (&client_key, json!({"expires_in_s": 0})),
    ] {
        let is_done = |answer: &serde_json::Value| match &answer["changed"] {
            serde_json::Value::Array(fields) => !fields.is_empty(),
            changed => changed.as_u64() > Some(0),
        };
        let answer = harness.patch(path, &body).await.json(200);
        assert!(is_done(&answer), "{body}: {answer}");
        let (noted, before) = (list(harness, "").await, harness.get(&path_of(&pool.id)).await.json(200));
        if body == json!({"expires_in_s": 3_600}) {
            continue;
        }
        let answer: serde_json::Value = harness.patch(path, &body).await.json(200);
        assert!(!is_done(&answer), "{body}: {answer}");
        assert!(path != &keys || answer["unchanged"] == 2 && answer["recovered"].is_null(), "{answer}");
        assert_eq!(list(harness, "").await, noted, "{body}");
        let after: pool_shared::Pool = harness.get(&path_of(&pool.id)).await.json(200);
        let before: pool_shared::Pool = before;
        assert_eq!((after.version, after.updated_at), (before.version, before.updated_at), "{body}");
    }
    // Only keys that differ afterwards are counted and audited.
    harness.patch(&keys, &json!({"ids": ids[..1], "set": {"weight": 9}})).await;
    let answer: KeyBatchResult = harness.patch(&keys, &set(json!({"weight": 9, "tag": "x"}))).await.json(200);
    assert_eq!((answer.changed, answer.unchanged), (1, 1));
    let entry = list(harness, "action=key.update&limit=1").await.entries.remove(0);
    assert_eq!((entry.count, entry.target.as_deref()), (1, Some(ids[1].as_str())));
    assert_eq!(json!([entry.before, entry.after]), json!([{"weight": 7}, {"weight": 9}]));
}

fn path_of(pool: &str) -> String {
    format!("/pools/{pool}")
}

pub async fn a_check_of_candidates_is_one_entry(harness: &Harness) {
    let pool = harness.pool(&[("good", Behaviour::Ok)]).await;
    let path = format!("/pools/{}/client-keys", pool.id);
    let before = list(harness, "").await.entries.len();
    let trial = json!({"trial": true, "name": "trial", "expires_in_s": 31_536_000});
    let created: ClientKeyCreated = harness.post(&path, &trial).await.json(201);
    let key = &created.client_key;
    let end = key.expires_at.unwrap().duration_since(key.created_at).as_secs();
    assert!((1..=600).contains(&end), "{end}");
    let trying = Pool { id: pool.id.clone(), client_key: created.secret.expose().to_owned() };
    assert_eq!(harness.chat(&trying, "hello").await.status, 200);
    let path = format!("{path}/{}", key.id);
    // The window has a fixed end.
    harness.patch(&path, &json!({"expires_in_s": 0})).await.admin_error(400, ErrorCode::InvalidRequest);
    let answer = harness.post(&format!("{path}/rotate"), &json!({})).await;
    answer.admin_error(400, ErrorCode::InvalidRequest);
    harness.delete(&path).await.no_content();
    assert_eq!(harness.chat(&trying, "hello").await.status, 401);
    let entries = list(harness, "").await.entries;
    assert_eq!(entries.len(), before + 1);
    assert_eq!(
        (entries[0].action.as_str(), entries[0].target.as_deref()),
        ("pool.try", Some(key.id.as_str()))
    );
}

pub async fn equal_actions_are_merged_into_one_entry(harness: &Harness) {
    let pool = harness.pool(&[("good", Behaviour::Ok)]).await;
    for _ in 0..3 {
        harness
            .post(&format!("/pools/{}/keys/export", pool.id), &json!({}))
            .await
            .json::<serde_json::Value>(200);
    }
    let exports = list(harness, "action=key.export").await.entries;
    // A minute may end between the requests.
    assert!(exports.len() <= 2, "{exports:?}");
    assert_eq!(exports.iter().map(|entry| entry.times).sum::<u64>(), 3);
    assert_eq!(exports.iter().map(|entry| entry.count).sum::<u64>(), 3);
    for query in ["after=x", "after=1&cursor=1"] {
        harness.get(&format!("/audit?{query}")).await.admin_error(400, ErrorCode::InvalidRequest);
    }
    assert_eq!(list(harness, "after=0").await.entries, [], "nothing is final yet");
}

pub async fn the_audit_is_filtered_and_paged(harness: &Harness) {
    let prod = harness.weighted_pool("prod", &[]).await;
    let other = harness.weighted_pool("other", &[]).await;
    for description in ["a", "b", "c"] {
        harness.patch(&format!("/pools/{}", prod.id), &json!({"description": description})).await;
    }
    harness.delete(&format!("/pools/{}", other.id)).await.no_content();
    assert_eq!(actions(&list(harness, "pool=prod&action=pool.update").await), ["pool.update"; 3]);
    assert_eq!(actions(&list(harness, "action=token").await), ["token.login"]);
    assert_eq!(actions(&list(harness, "action=tok").await), [""; 0]);
    let gone = list(harness, &format!("pool={}", other.id)).await;
    assert_eq!(actions(&gone), ["pool.delete", "pool.create"]);
    assert_eq!(actions(&list(harness, "actor=nobody").await), [""; 0]);
    let actor = gone.entries[0].actor.clone();
    assert_eq!(list(harness, &format!("actor={actor}")).await.entries.len(), 7);
    let since = gone.entries[0].at;
    assert!(list(harness, &format!("since={since}")).await.entries.iter().all(|entry| entry.at >= since));
    let first = list(harness, "limit=4").await;
    let next = first.next_cursor.clone().unwrap();
    let rest = list(harness, &format!("limit=4&cursor={next}")).await;
    assert_eq!((first.entries.len(), rest.entries.len()), (4, 3));
    assert!(rest.next_cursor.is_none() && rest.entries[0].id < first.entries[3].id);
    for query in ["limit=0", "since=yesterday", "cursor=x"] {
        harness.get(&format!("/audit?{query}")).await.admin_error(400, ErrorCode::InvalidRequest);
    }
}
