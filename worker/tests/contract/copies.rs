//! Copies of pools, export of keys, models of a pool.

use std::collections::BTreeSet;

use pool_fake_gemini::Behaviour;
use pool_shared::{ErrorCode, ExportedKeys, Key, PoolCopied, PoolCreated, PoolModels};
use serde_json::{Value, json};

use super::harness::{Harness, MODEL, Pool, gemini_key};

/// Returns the copied attributes of a key.
fn facts(keys: &[Key]) -> Vec<(String, String, String, u16, bool)> {
    let fact = |key: &Key| {
        (key.fingerprint.clone(), key.name.clone(), key.tag.clone(), key.weight.get(), key.enabled)
    };
    keys.iter().map(fact).collect()
}

pub async fn a_copy_has_everything_except_client_keys(harness: &Harness) {
    let pool = harness.weighted_pool("prod", &[("one", Behaviour::Ok, 3), ("two", Behaviour::Ok, 0)]).await;
    let ids = json!([harness.keys(&pool).await[1].id]);
    let off = json!({"ids": ids, "set": {"enabled": false, "tag": "old"}});
    harness.patch(&format!("/pools/{}/keys", pool.id), &off).await;
    let settings = json!({"description": "what for", "allowed_models": [MODEL], "sticky": true,
        "aliases": {"gpt-4o": MODEL}});
    harness.patch(&format!("/pools/{}", pool.id), &settings).await;

    let path = format!("/pools/{}/copy", pool.id);
    let answer = harness.post(&path, &json!({"name": "twin", "keys": true})).await;
    let twin: PoolCopied = answer.json(201);
    assert_eq!((twin.copied, twin.cursor, twin.pool.keys, twin.pool.enabled_keys), (2, None, 2, 1));
    assert_eq!((twin.pool.description.as_str(), twin.pool.settings.sticky), ("what for", true));
    assert_eq!(twin.pool.allowed_models, [MODEL]);
    let copy =
        Pool { id: twin.pool.id.to_string(), client_key: twin.client_key.unwrap().expose().to_owned() };
    assert_ne!(copy.client_key, pool.client_key);
    let (keys, originals) = (harness.keys(&copy).await, harness.keys(&pool).await);
    assert_eq!(facts(&keys), facts(&originals));
    assert!(keys.iter().zip(&originals).all(|(copied, original)| copied.id != original.id));
    for client in [&pool, &copy] {
        assert_eq!(harness.chat(client, "hello").await.status, 200);
    }
    harness.delete(&format!("/pools/{}", pool.id)).await.no_content();
    assert_eq!(harness.chat(&copy, "hello").await.status, 200, "it stands by itself");

    let path = format!("/pools/{}/copy", copy.id);
    let bare: PoolCopied = harness.post(&path, &json!({"name": "bare"})).await.json(201);
    assert_eq!((bare.copied, bare.pool.keys), (0, 0));
    harness.post(&path, &json!({"name": "twin"})).await.admin_error(409, ErrorCode::Conflict);
    harness.post(&path, &json!({"name": ""})).await.admin_error(400, ErrorCode::InvalidRequest);
    harness.post(&path, &json!({"cursor": "x"})).await.admin_error(400, ErrorCode::InvalidRequest);
}

pub async fn a_copy_of_many_keys_is_paged(harness: &Harness) {
    let entry = |number: usize| json!({"key": gemini_key(&format!("many-{number}"))});
    let entries: Vec<Value> = (0..600).map(entry).collect();
    let body = json!({"name": "large", "import": {"keys": entries}});
    let pool: Pool = harness.post("/pools", &body).await.json::<PoolCreated>(201).into();
    let path = format!("/pools/{}/copy", pool.id);
    let mut step: PoolCopied = harness.post(&path, &json!({"name": "twin", "keys": true})).await.json(201);
    let mut copied = step.copied;
    while let Some(cursor) = &step.cursor {
        assert!(step.pool.keys < 600);
        // A repeated step changes nothing.
        harness.post(&path, &json!({"cursor": cursor})).await;
        let next: PoolCopied = harness.post(&path, &json!({"cursor": cursor})).await.json(200);
        assert_eq!(next.copied, 0);
        copied = next.pool.keys;
        step = next;
    }
    assert_eq!((copied, step.pool.keys), (600, 600));
}

pub async fn exported_keys_equal_the_imported_ones(harness: &Harness) {
    let names = ["one", "two", "three"];
    let entry = |name: &&str| json!({"key": gemini_key(name), "name": name, "weight": 7, "tag": "t"});
    let entries: Vec<Value> = names.iter().map(entry).collect();
    let body = json!({"name": "prod", "import": {"keys": entries}});
    let pool: Pool = harness.post("/pools", &body).await.json::<PoolCreated>(201).into();
    let path = format!("/pools/{}/keys/export", pool.id);
    let answer = harness.post(&path, &json!({"limit": 2})).await;
    assert!(answer.header("cache-control").contains("no-store"));
    let first: ExportedKeys = answer.json(200);
    let rest: ExportedKeys = harness.post(&path, &json!({"cursor": first.next_cursor})).await.json(200);
    assert_eq!((first.keys.len(), rest.keys.len(), rest.next_cursor), (2, 1, None));
    let keys: Vec<_> = first.keys.iter().chain(&rest.keys).collect();
    for (name, exported) in names.iter().zip(&keys) {
        assert_eq!(exported.entry.key.expose(), gemini_key(name));
        assert_eq!((exported.entry.name.as_str(), exported.entry.tag.as_str()), (*name, "t"));
        assert_eq!((exported.entry.weight.get(), exported.enabled), (7, true));
    }
    let some = json!({"ids": [keys[1].id, "key-none"]});
    let some: ExportedKeys = harness.post(&path, &some).await.json(200);
    assert_eq!(some.keys.iter().collect::<Vec<_>>(), [keys[1]]);
    for body in [json!({"limit": 0}), json!({"limit": 501}), json!({"cursor": "x"})] {
        harness.post(&path, &body).await.admin_error(400, ErrorCode::InvalidRequest);
    }
}

pub async fn the_models_of_a_pool_are_those_of_gemini(harness: &Harness) {
    let pool = harness.pool(&[("good", Behaviour::Ok)]).await;
    let settings = json!({"allowed_models": ["gemini-3.8-*"], "aliases": {"gpt-4o": MODEL, "best": MODEL}});
    harness.patch(&format!("/pools/{}", pool.id), &settings).await;
    let offered: PoolModels = harness.get(&format!("/pools/{}/models", pool.id)).await.json(200);
    let allowed: BTreeSet<_> =
        offered.models.iter().filter(|model| model.allowed).map(|model| model.id.as_str()).collect();
    assert_eq!(
        allowed,
        BTreeSet::from(["gemini-3.8-flash", "gemini-3.8-flash-tts", "gemini-3.8-flash-lite-tts"])
    );
    assert!(offered.models.len() > 2, "the others are shown too");
    let model = offered.models.iter().find(|model| model.id == MODEL).unwrap();
    assert_eq!(model.aliases, ["best", "gpt-4o"]);
    assert!(model.methods.contains(&"generateContent".to_owned()));
    let bare = harness.weighted_pool("bare", &[]).await;
    let answer = harness.get(&format!("/pools/{}/models", bare.id)).await;
    let error = answer.admin_error(409, ErrorCode::Conflict);
    assert!(error.message.contains("no enabled key"), "{}", error.message);
}
