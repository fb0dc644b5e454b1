//! Gemini keys of a pool: import, list, update, delete, selection.

use pool_fake_gemini::Behaviour;
use pool_shared::{
    ErrorCode, Key, KeyBatchResult, KeyId, KeyImportReport, KeyList, Pool as PoolShown, PoolCreated,
};
use serde_json::{Value, json};

use super::harness::{Harness, Pool, gemini_key};

fn entry(name: &str) -> Value {
    json!({"key": gemini_key(name), "name": name})
}

async fn import(harness: &Harness, pool: &Pool, entries: &[Value]) -> KeyImportReport {
    harness.post(&format!("/pools/{}/keys/import", pool.id), &json!({"keys": entries})).await.json(200)
}

async fn list(harness: &Harness, pool: &Pool, query: &str) -> KeyList {
    harness.get(&format!("/pools/{}/keys?{query}", pool.id)).await.json(200)
}

fn names(keys: &[Key]) -> Vec<&str> {
    keys.iter().map(|key| key.name.as_str()).collect()
}

/// Returns the ids of the keys with these names.
async fn ids(harness: &Harness, pool: &Pool, wanted: &[&str]) -> Vec<String> {
    let keys = harness.keys(pool).await;
    let chosen = keys.iter().filter(|key| wanted.contains(&key.name.as_str()));
    chosen.map(|key| key.id.to_string()).collect()
}

async fn set(harness: &Harness, pool: &Pool, ids: &[String], set: Value) -> KeyBatchResult {
    harness.patch(&format!("/pools/{}/keys", pool.id), &json!({"ids": ids, "set": set})).await.json(200)
}

pub async fn an_import_reports_every_line(harness: &Harness) {
    let entries = json!([
        {"key": gemini_key("a"), "line": 3, "weight": 7, "tag": "project-1", "name": "first"},
        {"key": "AIza-short", "line": 4},
        {"key": gemini_key("a"), "line": 5},
        {"key": "AIzaSy with a blank inside", "line": 9},
        {"key": gemini_key("b"), "line": 10, "name": "x".repeat(101)},
        {"key": format!("  {}\n", gemini_key("c")), "line": 12},
    ]);
    let body = json!({"name": "prod", "import": {"keys": entries}});
    let answer = harness.post("/pools", &body).await;
    for secret in ["AIza-short", "with a blank", &gemini_key("a")] {
        assert!(!answer.body.contains(secret), "the answer repeats a key");
    }
    let created: PoolCreated = answer.json(201);
    assert_eq!((created.import.added, created.import.duplicate), (2, 1));
    let lines: Vec<_> = created.import.malformed.iter().map(|entry| entry.line).collect();
    assert_eq!(lines, [4, 9, 10]);
    assert!(created.import.malformed.iter().all(|entry| !entry.reason.is_empty()));
    assert_eq!((created.pool.keys, created.pool.enabled_keys), (2, 2));

    let pool = created.into();
    let keys = harness.keys(&pool).await;
    let first = &keys[0];
    assert_eq!((first.name.as_str(), first.tag.as_str(), first.weight.get()), ("first", "project-1", 7));
    assert_eq!((first.masked.as_str(), first.enabled), ("AIza…____", true));
    assert_eq!(first.fingerprint.len(), 8);
    assert_eq!((keys[1].name.as_str(), keys[1].weight.get(), keys.len()), ("", 1, 2));
    assert_ne!(first.fingerprint, keys[1].fingerprint);
}

pub async fn a_repeated_import_adds_nothing(harness: &Harness) {
    let pool = harness.pool(&[("a", Behaviour::Ok)]).await;
    let more = [entry("a"), entry("b"), entry("c")];
    let report = import(harness, &pool, &more).await;
    assert_eq!((report.added, report.duplicate, report.malformed.len()), (2, 1, 0));
    let before = harness.keys(&pool).await;
    let report = import(harness, &pool, &more).await;
    assert_eq!((report.added, report.duplicate, report.malformed.len()), (0, 3, 0));
    assert_eq!(harness.keys(&pool).await, before);
    // The same Gemini key in another pool is a separate key.
    let other = harness.weighted_pool("other", &[("a", Behaviour::Ok, 1)]).await;
    assert_ne!(harness.keys(&other).await[0].id, before[0].id);
    // Without line numbers, positions in the request are used.
    let report = import(harness, &pool, &[entry("d"), json!({"key": "short"})]).await;
    assert_eq!((report.added, report.malformed[0].line), (1, 2));
}

pub async fn keys_are_listed_in_order_by_pages(harness: &Harness) {
    let pool = harness.pool(&[]).await;
    let expected: Vec<String> = (0..250).map(|number| format!("k{}", 999 - number)).collect();
    let (first, second) = expected.split_at(180);
    for part in [first, second] {
        let entries: Vec<Value> = part.iter().map(|name| entry(name)).collect();
        assert_eq!(import(harness, &pool, &entries).await.added, part.len() as u64);
    }
    let (mut seen, mut sizes, mut cursor) = (Vec::new(), Vec::new(), String::new());
    loop {
        let page = list(harness, &pool, &format!("limit=100{cursor}")).await;
        assert_eq!(page.total, 250);
        sizes.push(page.keys.len());
        seen.extend(page.keys.into_iter().map(|key| key.name));
        let Some(next) = page.next_cursor else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!((sizes, seen), (vec![100, 100, 50], expected));
    // A page that ends with the last key is the last page.
    assert_eq!(list(harness, &pool, "limit=250").await.next_cursor, None);
    for query in ["limit=0", "limit=1001", "limit=x", "cursor=x", "enabled=maybe"] {
        let answer = harness.get(&format!("/pools/{}/keys?{query}", pool.id)).await;
        answer.admin_error(400, ErrorCode::InvalidRequest);
    }
}

pub async fn keys_are_searched_and_filtered(harness: &Harness) {
    let pool = harness.pool(&[]).await;
    let tagged = |name: &str, tag: &str| json!({"key": gemini_key(name), "name": name, "tag": tag});
    let percent = json!({"key": gemini_key("50"), "name": "50%"});
    let entries = [tagged("Laptop-1", "one"), tagged("laptop-2", "two"), tagged("desk", "ONE"), percent];
    import(harness, &pool, &entries).await;
    for (search, expected) in [
        ("LAPTOP", vec!["Laptop-1", "laptop-2"]),
        ("one", vec!["Laptop-1", "desk"]),
        ("%25", vec!["50%"]),
        ("_", vec!["Laptop-1", "laptop-2", "desk", "50%"]),
        ("nothing", vec![]),
    ] {
        let page = list(harness, &pool, &format!("search={search}")).await;
        assert_eq!((names(&page.keys), page.total), (expected.clone(), expected.len() as u64), "{search}");
    }
    let keys = harness.keys(&pool).await;
    for what in [keys[2].id.as_str(), &keys[2].fingerprint] {
        assert_eq!(names(&list(harness, &pool, &format!("search={what}")).await.keys), ["desk"]);
    }
    set(harness, &pool, &ids(harness, &pool, &["Laptop-1", "desk"]).await, json!({"enabled": false})).await;
    assert_eq!(names(&list(harness, &pool, "enabled=false").await.keys), ["Laptop-1", "desk"]);
    assert_eq!(names(&list(harness, &pool, "enabled=true&search=laptop").await.keys), ["laptop-2"]);
}

pub async fn a_batch_update_reports_missing_keys(harness: &Harness) {
    let pool = harness.pool(&[("a", Behaviour::Ok), ("b", Behaviour::Ok), ("c", Behaviour::Ok)]).await;
    let elsewhere = harness.weighted_pool("other", &[("d", Behaviour::Ok, 1)]).await;
    let foreign = harness.keys(&elsewhere).await[0].id.to_string();
    let mut chosen = ids(harness, &pool, &["a", "c"]).await;
    chosen.extend(["key-0000000000000000".to_owned(), foreign.clone()]);

    let result = set(harness, &pool, &chosen, json!({"enabled": false, "weight": 5, "tag": "old"})).await;
    assert_eq!((result.pool.as_str(), result.changed), (pool.id.as_str(), 2));
    let missing: Vec<_> = result.missing.iter().map(KeyId::as_str).collect();
    assert_eq!(missing, ["key-0000000000000000", &foreign]);
    let shown = |key: &Key| (key.name.clone(), key.enabled, key.weight.get(), key.tag.clone());
    let keys: Vec<_> = harness.keys(&pool).await.iter().map(shown).collect();
    let row = |name: &str, enabled, weight, tag: &str| (name.to_owned(), enabled, weight, tag.to_owned());
    assert_eq!(keys, [row("a", false, 5, "old"), row("b", true, 1, ""), row("c", false, 5, "old")]);
    assert!(harness.keys(&elsewhere).await[0].enabled, "another pool's key was changed");

    let result = set(harness, &pool, &chosen, json!({"enabled": true})).await;
    assert_eq!(result.changed, 2);
    let keys: Vec<_> = harness.keys(&pool).await.iter().map(shown).collect();
    assert_eq!(keys, [row("a", true, 5, "old"), row("b", true, 1, ""), row("c", true, 5, "old")]);

    let path = format!("/pools/{}/keys", pool.id);
    for body in [
        json!({"ids": [], "set": {"enabled": false}}),
        json!({"ids": chosen, "set": {"weight": 1001}}),
        json!({"ids": chosen, "set": {"enabld": false}}),
        json!({"set": {"enabled": false}}),
    ] {
        harness.patch(&path, &body).await.admin_error(400, ErrorCode::InvalidRequest);
    }
}

pub async fn a_removed_key_is_gone(harness: &Harness) {
    let pool = harness.pool(&[("stays", Behaviour::Ok), ("goes", Behaviour::Ok)]).await;
    let mut gone = ids(harness, &pool, &["goes"]).await;
    gone.push("key-0000000000000000".to_owned());
    let path = format!("/pools/{}/keys/delete", pool.id);
    let result: KeyBatchResult = harness.post(&path, &json!({"ids": gone})).await.json(200);
    assert_eq!((result.changed, result.missing.len()), (1, 1));
    assert_eq!(names(&harness.keys(&pool).await), ["stays"]);
    for _ in 0..10 {
        assert_eq!(harness.chat(&pool, "hello").await.status, 200);
    }
    assert_eq!((harness.tally("stays").ok, harness.tally("goes").requests), (10, 0));
    harness.post(&path, &json!({"ids": []})).await.admin_error(400, ErrorCode::InvalidRequest);
}

pub async fn a_disabled_key_is_not_used(harness: &Harness) {
    let pool = harness.pool(&[("on", Behaviour::Ok), ("off", Behaviour::Ok)]).await;
    // The pool is cached first, so that the change must reach the cache.
    assert_eq!(harness.chat(&pool, "hello").await.status, 200);
    let warm = harness.tally("off").requests;
    let off = ids(harness, &pool, &["off"]).await;
    set(harness, &pool, &off, json!({"enabled": false})).await;
    for _ in 0..20 {
        assert_eq!(harness.chat(&pool, "hello").await.status, 200);
    }
    assert_eq!(harness.tally("off").requests, warm);
    let shown: PoolShown = harness.get(&format!("/pools/{}", pool.id)).await.json(200);
    assert_eq!((shown.keys, shown.enabled_keys), (2, 1));

    set(harness, &pool, &off, json!({"enabled": true})).await;
    set(harness, &pool, &ids(harness, &pool, &["on"]).await, json!({"enabled": false})).await;
    assert_eq!(harness.chat(&pool, "hello").await.status, 200);
    assert_eq!(harness.tally("off").requests, warm + 1);
}

pub async fn a_reserve_key_is_used_only_when_no_other_is_available(harness: &Harness) {
    let pool = harness.pool_with_reserve(Behaviour::Ok, Behaviour::Ok).await;
    for _ in 0..20 {
        assert_eq!(harness.chat(&pool, "hello").await.status, 200);
    }
    assert_eq!((harness.tally("first").ok, harness.tally("reserve").requests), (20, 0));
    set(harness, &pool, &ids(harness, &pool, &["first"]).await, json!({"enabled": false})).await;
    assert_eq!(harness.chat(&pool, "hello").await.status, 200);
    assert_eq!(harness.tally("reserve").ok, 1);
    // A restored weight applies immediately.
    set(harness, &pool, &ids(harness, &pool, &["first"]).await, json!({"enabled": true, "weight": 0})).await;
    set(harness, &pool, &ids(harness, &pool, &["reserve"]).await, json!({"weight": 1})).await;
    for _ in 0..10 {
        assert_eq!(harness.chat(&pool, "hello").await.status, 200);
    }
    assert_eq!((harness.tally("first").ok, harness.tally("reserve").ok), (20, 11));
}

pub async fn an_import_reports_keys_that_other_pools_have(harness: &Harness) {
    let first = harness.weighted_pool("first", &[("a", Behaviour::Ok, 1), ("b", Behaviour::Ok, 1)]).await;
    let second = harness.weighted_pool("second", &[("c", Behaviour::Ok, 1)]).await;
    let entries = ["a", "b", "c", "d"].map(|name| json!({"key": gemini_key(name)}));
    let report = import(harness, &second, &entries).await;
    assert_eq!((report.added, report.duplicate), (3, 1));
    assert_eq!(report.also_in, [("first".to_owned(), 2)].into());
    assert_eq!(import(harness, &first, &entries[..1]).await.also_in, [("second".to_owned(), 1)].into());
    // A pool-scoped token sees nothing of other pools.
    let token = harness.scoped_token(&[pool_shared::Scope::KeysImport], Some(&second)).await;
    let path = format!("/admin/v1/pools/{}/keys/import", second.id);
    let body = json!({"keys": entries});
    let request = harness.request(reqwest::Method::POST, &path).bearer_auth(token).json(&body);
    let report: KeyImportReport = super::harness::send(request).await.json(200);
    assert_eq!((report.added, report.also_in.len()), (0, 0));
}
