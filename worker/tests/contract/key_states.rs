//! Key health across instances, and key checks.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use pool_fake_gemini::Behaviour;
use pool_shared::{
    AttemptOutcome, CheckedKey, ErrorCode, Key, KeyCheckReport, KeyList, KeyState, KeyVerdict,
    Pool as PoolShown, PoolList,
};
use serde_json::{Value, json};

use super::harness::{Harness, MODEL, Pool, eventually, gemini_key, prompt, send};

/// One key for each classification.
const KEYS: [(&str, Behaviour, KeyVerdict); 7] = [
    ("good", Behaviour::Ok, KeyVerdict::Valid),
    ("minute", Behaviour::ExhaustedMinute, KeyVerdict::Limited),
    ("day", Behaviour::ExhaustedDay, KeyVerdict::Limited),
    ("invalid", Behaviour::Invalid, KeyVerdict::Invalid),
    ("suspended", Behaviour::Suspended, KeyVerdict::Suspended),
    ("leaked", Behaviour::Leaked, KeyVerdict::Leaked),
    ("disabled-service", Behaviour::ServiceDisabled, KeyVerdict::Blocked),
];

async fn pool(harness: &Harness) -> Pool {
    let keys: Vec<_> = KEYS.iter().map(|(name, behaviour, _)| (*name, *behaviour)).collect();
    harness.pool(&keys).await
}

async fn list(harness: &Harness, pool: &Pool, query: &str) -> KeyList {
    harness.get(&format!("/pools/{}/keys?{query}", pool.id)).await.json(200)
}

fn names(list: &KeyList) -> Vec<&str> {
    list.keys.iter().map(|key| key.name.as_str()).collect()
}

fn named<'a>(keys: &'a [Key], name: &str) -> &'a Key {
    keys.iter().find(|key| key.name == name).unwrap()
}

async fn check(harness: &Harness, pool: &Pool, body: &Value) -> KeyCheckReport {
    harness.post(&format!("/pools/{}/keys/check", pool.id), body).await.json(200)
}

/// Checks every key of a pool.
async fn check_all(harness: &Harness, pool: &Pool) -> Vec<CheckedKey> {
    let ids: Vec<_> = harness.keys(pool).await.into_iter().map(|key| key.id).collect();
    let report = check(harness, pool, &json!({"ids": ids})).await;
    assert_eq!(report.missing, []);
    report.results
}

pub async fn key_states_after_upstream_errors_are_shown(harness: &Harness) {
    let pool = pool(harness).await;
    let new = list(harness, &pool, "").await;
    assert!(new.keys.iter().all(|key| key.condition.state == KeyState::Healthy));
    assert_eq!(new.states, BTreeMap::from([(KeyState::Healthy, 7)]));
    let ids = json!([named(&new.keys, "good").id]);
    harness.patch(&format!("/pools/{}/keys", pool.id), &json!({"ids": ids, "set": {"enabled": false}})).await;

    // Every key is tried, because all fail; again if the minute ends meanwhile.
    let (seen, shown, all, stats) = eventually("every key's state", async || {
        while harness.chat(&pool, "hello").await.header("retry-after").is_empty() {}
        let keys = list(harness, &pool, "").await;
        let shown: PoolShown = harness.get(&format!("/pools/{}", pool.id)).await.json(200);
        let all: PoolList = harness.get("/pools").await.json(200);
        let stats = harness.pool_stats(&pool).await;
        let none_is_back = [&keys.states, &shown.states, &all.pools[0].states]
            .iter()
            .all(|states| !states.contains_key(&KeyState::Healthy))
            && stats.keys.iter().all(|row| row.condition.state != KeyState::Healthy);
        none_is_back.then_some((keys, shown, all, stats))
    })
    .await;
    let expected = [
        ("good", KeyState::Disabled, None),
        ("minute", KeyState::Cooling, Some("requests")),
        ("day", KeyState::Limited, Some("day")),
        ("invalid", KeyState::Suspect, None),
        ("suspended", KeyState::Suspended, None),
        ("leaked", KeyState::Leaked, None),
        ("disabled-service", KeyState::Blocked, Some("service_disabled")),
    ];
    for (name, state, reason) in expected {
        let condition = &named(&seen.keys, name).condition;
        assert_eq!((condition.state, condition.reason.as_deref()), (state, reason), "{name}");
        let rests = matches!(state, KeyState::Cooling | KeyState::Limited);
        assert_eq!(condition.models.iter().any(|rest| rest.model == MODEL), rests, "{name}");
        assert_eq!(condition.until.is_none(), state == KeyState::Disabled, "{name}");
        let message = condition.message.as_deref().unwrap_or_default();
        assert_eq!(message.is_empty(), rests || state == KeyState::Disabled, "{name}");
        assert!(!message.contains(&gemini_key(name)), "{message}");
    }
    let counts: BTreeMap<_, _> = expected.iter().map(|(_, state, _)| (*state, 1)).collect();
    assert_eq!(seen.states, counts);
    assert_eq!((&shown.states, &all.pools[0].states), (&counts, &counts));
    for row in stats.keys {
        let key = seen.keys.iter().find(|key| key.id == row.key).unwrap();
        assert_eq!(row.condition.state, key.condition.state);
    }
}

pub async fn keys_are_filtered_by_state_and_tag(harness: &Harness) {
    let pool = pool(harness).await;
    check_all(harness, &pool).await;
    let keys = harness.keys(&pool).await;
    let change = json!({"ids": [named(&keys, "leaked").id, named(&keys, "day").id], "set": {"tag": "old"}});
    harness.patch(&format!("/pools/{}/keys", pool.id), &change).await;
    let off = json!({"ids": [named(&keys, "suspended").id], "set": {"enabled": false}});
    harness.patch(&format!("/pools/{}/keys", pool.id), &off).await;
    for (query, expected) in [
        ("state=healthy", &["good"][..]),
        ("state=cooling,limited", &["minute", "day"]),
        ("state=suspended", &[]),
        ("state=disabled", &["suspended"]),
        ("state=healthy,disabled,leaked", &["good", "suspended", "leaked"]),
        ("tag=old", &["day", "leaked"]),
        ("tag=ol", &[]),
        ("tag=old&state=leaked&search=leak&enabled=true", &["leaked"]),
    ] {
        let list = list(harness, &pool, query).await;
        assert_eq!((names(&list), list.total), (expected.to_vec(), expected.len() as u64), "{query}");
    }
    let query = "state=cooling,limited,suspect,blocked&limit=3";
    let first = list(harness, &pool, query).await;
    assert_eq!((names(&first), first.total), (vec!["minute", "day", "invalid"], 4));
    let rest = list(harness, &pool, &format!("{query}&cursor={}", first.next_cursor.unwrap())).await;
    assert_eq!((names(&rest), rest.total), (vec!["disabled-service"], 4));
    assert_eq!(rest.next_cursor, None);
    let error = harness.get(&format!("/pools/{}/keys?state=ill", pool.id)).await;
    error.admin_error(400, ErrorCode::InvalidRequest);
}

pub async fn a_key_check_updates_the_key_states(harness: &Harness) {
    let pool = pool(harness).await;
    let results = check_all(harness, &pool).await;
    for ((name, _, verdict), checked) in KEYS.iter().zip(&results) {
        assert_eq!(checked.verdict, *verdict, "{name}: {}", checked.message);
        assert_eq!(checked.message.is_empty(), *verdict == KeyVerdict::Valid, "{name}");
        assert!(!checked.message.contains(&gemini_key(name)), "{}", checked.message);
        assert_eq!(checked.until.is_some(), *verdict == KeyVerdict::Limited, "{name}");
        assert!(checked.model.is_some() && checked.id.is_some());
    }
    // The results apply here and to other instances, and each attempt is counted.
    let states = list(harness, &pool, "").await.states;
    assert_eq!(states[&KeyState::Healthy], 1);
    assert_eq!(harness.pool_stats(&pool).await.total.attempts, 7);
    assert_eq!(harness.gemini.counts().total().requests, 7);
    // Quotas apply to the checked model only.
    let mut asked = prompt("hello");
    asked["model"] = json!(results[0].model);
    assert_eq!(send(harness.call(&pool, "/v1/chat/completions", &asked)).await.status, 200);
    assert_eq!(harness.gemini.counts().total().requests, 8, "only the good one is asked");

    // Recovery shows immediately, also for unused keys.
    harness.gemini.set_behaviour(&gemini_key("suspended"), Behaviour::Ok).unwrap();
    let keys = harness.keys(&pool).await;
    let suspended = &named(&keys, "suspended").id;
    let report = check(harness, &pool, &json!({"ids": [suspended, "key-unknown"]})).await;
    assert_eq!((report.results.len(), report.results[0].verdict), (1, KeyVerdict::Valid));
    assert_eq!(report.missing.len(), 1);
    let keys = harness.keys(&pool).await;
    assert_eq!(named(&keys, "suspended").condition.state, KeyState::Healthy);
    // A second rejection confirms it.
    let invalid = &named(&keys, "invalid").id;
    check(harness, &pool, &json!({"ids": [invalid]})).await;
    assert_eq!(named(&harness.keys(&pool).await, "invalid").condition.state, KeyState::Invalid);
    // Disabled keys are checked too.
    let off = json!({"ids": [suspended], "set": {"enabled": false}});
    harness.patch(&format!("/pools/{}/keys", pool.id), &off).await;
    let report = check(harness, &pool, &json!({"ids": [suspended]})).await;
    assert_eq!(report.results[0].verdict, KeyVerdict::Valid);
    assert_eq!(named(&harness.keys(&pool).await, "suspended").condition.state, KeyState::Disabled);
}

/// An action that clears observed state.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Check,
    Enable,
    Reset,
}

pub async fn a_reset_clears_every_observed_state(harness: &Harness) {
    let kinds = [
        Behaviour::ExhaustedMinute,
        Behaviour::ExhaustedDay,
        Behaviour::Leaked,
        Behaviour::Suspended,
        Behaviour::Invalid,
        Behaviour::ServiceDisabled,
    ];
    for way in [Way::Check, Way::Enable, Way::Reset] {
        let name = |number: usize| format!("{way:?}-{number}");
        let names: Vec<String> = (0..kinds.len()).map(name).collect();
        let keys: Vec<_> = names.iter().map(String::as_str).zip(kinds).collect();
        let pool = harness.pool(&keys).await;
        // For several models and twice, so that every state is confirmed.
        let ids: Vec<_> = harness.keys(&pool).await.into_iter().map(|key| key.id).collect();
        for _ in 0..2 {
            check(harness, &pool, &json!({"ids": ids})).await;
            harness.chat(&pool, "hello").await;
        }
        assert_eq!(list(harness, &pool, "state=healthy").await.total, 0, "{way:?}");
        for name in &names {
            harness.gemini.set_behaviour(&gemini_key(name), Behaviour::Ok).unwrap();
        }
        assert_ne!(harness.chat(&pool, "hello").await.status, 200, "{way:?}");
        let path = format!("/pools/{}/keys", pool.id);
        match way {
            Way::Check => drop(check(harness, &pool, &json!({"ids": ids})).await),
            Way::Enable => {
                let set = json!({"ids": ids, "set": {"enabled": true}});
                let unwell = ids.len() as u64 - list(harness, &pool, "state=healthy").await.total;
                let result: pool_shared::KeyBatchResult = harness.patch(&path, &set).await.json(200);
                assert_eq!((result.changed, result.unchanged, result.recovered), (0, 6, unwell));
                let audit = format!("/audit?action=key&pool={}", pool.id);
                let noted: pool_shared::AuditList = harness.get(&audit).await.json(200);
                assert_eq!(noted.entries.len(), 1);
                assert_eq!((noted.entries[0].action.as_str(), noted.entries[0].count), ("key.reset", unwell));
                // A second reset has nothing to clear and is not audited.
                let result: pool_shared::KeyBatchResult = harness.patch(&path, &set).await.json(200);
                assert_eq!((result.unchanged, result.recovered), (6, 0));
                assert_eq!(harness.get(&audit).await.json::<pool_shared::AuditList>(200), noted);
            }
            Way::Reset => {
                let mut asked = ids.clone();
                asked.push(pool_shared::KeyId::new("key-unknown"));
                let result: pool_shared::KeyBatchResult =
                    harness.post(&format!("{path}/reset"), &json!({"ids": asked})).await.json(200);
                assert_eq!((result.changed, result.missing.len()), (6, 1));
                let audit: pool_shared::AuditList =
                    harness.get(&format!("/audit?action=key.reset&pool={}", pool.id)).await.json(200);
                assert_eq!((audit.entries.len(), audit.entries[0].count), (1, 6));
            }
        }
        let shown = list(harness, &pool, "").await;
        assert_eq!(shown.states, BTreeMap::from([(KeyState::Healthy, 6)]), "{way:?}");
        for _ in 0..4 {
            let answer = harness.chat(&pool, "hello").await;
            assert_eq!(answer.status, 200, "{way:?}: {}", answer.body);
        }
        harness.delete(&format!("/pools/{}", pool.id)).await;
    }
}

pub async fn a_check_distinguishes_upstream_errors_from_network_errors(harness: &Harness) {
    let pool = harness.pool(&[("broken", Behaviour::Internal), ("away", Behaviour::Close)]).await;
    let results = check_all(harness, &pool).await;
    assert_eq!(results[0].verdict, KeyVerdict::Error);
    assert!(results[0].message.starts_with("500: An internal error"), "{}", results[0].message);
    assert_eq!(results[1].verdict, KeyVerdict::Unreachable, "{}", results[1].message);
    assert_eq!(list(harness, &pool, "state=healthy").await.total, 2, "neither says anything of the key");
}

pub async fn a_spend_limit_holds_for_the_whole_billing_account(harness: &Harness) {
    let ok = Behaviour::Ok;
    let pool = harness.pool(&[("a", Behaviour::SpendWindow), ("b", ok), ("c", ok)]).await;
    let keys = harness.keys(&pool).await;
    let path = format!("/pools/{}/keys", pool.id);
    for (name, project, account) in [("a", "p", "acme"), ("b", "q", "acme"), ("c", "r", "other")] {
        let set = json!({"project": project, "billing_account": account});
        let change = json!({"ids": [named(&keys, name).id], "set": set});
        harness.patch(&path, &change).await.json::<Value>(200);
    }
    let report = check(harness, &pool, &json!({"ids": [named(&keys, "a").id]})).await;
    assert_eq!(report.results[0].verdict, KeyVerdict::Limited, "{}", report.results[0].message);
    let shown = list(harness, &pool, "").await;
    assert_eq!(shown.states, BTreeMap::from([(KeyState::Healthy, 1), (KeyState::Limited, 2)]));
    for name in ["a", "b"] {
        let key = named(&shown.keys, name);
        assert_eq!(
            (key.condition.reason.as_deref(), key.billing_account.as_str()),
            (Some("spend"), "acme"),
            "{name}"
        );
        assert!(key.condition.until.is_some());
    }
    assert_eq!(list(harness, &pool, "search=acme").await.total, 2);
    for _ in 0..6 {
        assert_eq!(harness.chat(&pool, "hello").await.status, 200);
    }
    assert_eq!(
        (harness.tally("b").requests, harness.tally("c").requests),
        (0, 6),
        "b's account has spent its share too"
    );
    let set = json!({"separate_billing": true});
    let shown: PoolShown = harness.patch(&format!("/pools/{}", pool.id), &set).await.json(200);
    assert!(shown.settings.separate_billing);
    // One working key recovers the whole account.
    harness.gemini.set_behaviour(&gemini_key("a"), ok).unwrap();
    check(harness, &pool, &json!({"ids": [named(&keys, "b").id]})).await;
    assert_eq!(list(harness, &pool, "").await.states, BTreeMap::from([(KeyState::Healthy, 3)]));
}

pub async fn a_healthy_key_shows_that_all_its_attempts_fail(harness: &Harness) {
    let pool = harness.weighted_pool("failing", &[("broken", Behaviour::Internal, 1)]).await;
    let answers = join_all((0..6).map(|_| harness.chat(&pool, "hello"))).await;
    assert!(answers.iter().all(|answer| answer.status == 500));
    let key = eventually("the note", async || {
        harness.keys(&pool).await.into_iter().find(|key| key.condition.failing.is_some())
    })
    .await;
    let failing = key.condition.failing.unwrap();
    assert_eq!((key.condition.state, failing.outcome), (KeyState::Healthy, AttemptOutcome::Internal));
    assert!(failing.failed >= 5 && failing.failed == failing.attempts, "{failing}");
    let stats = harness.pool_stats(&pool).await;
    assert!(stats.keys[0].condition.failing.is_some());
    let checked = check(harness, &pool, &json!({"ids": [key.id]})).await.results.remove(0);
    assert_eq!(checked.verdict, KeyVerdict::Error);
    assert!(checked.message.starts_with("500: "), "{}", checked.message);
    // One success clears it.
    harness.gemini.set_behaviour(&gemini_key("broken"), Behaviour::Ok).unwrap();
    assert_eq!(harness.chat(&pool, "hello").await.status, 200);
    eventually("the end of the note", async || {
        harness.keys(&pool).await[0].condition.failing.is_none().then_some(())
    })
    .await;
}

pub async fn a_quota_of_a_key_holds_for_the_same_key_in_another_pool(harness: &Harness) {
    let keys = [("shared", Behaviour::ExhaustedDay, 1)];
    let first = harness.weighted_pool("first", &keys).await;
    let second = harness.weighted_pool("second", &keys).await;
    let other = harness
        .weighted_pool("other", &[("shared", Behaviour::ExhaustedDay, 1), ("own", Behaviour::Ok, 0)])
        .await;
    assert_eq!(harness.chat(&first, "hello").await.status, 429);
    harness.gemini.reset();
    let refused = harness.chat(&second, "hello").await;
    assert_eq!(refused.status, 429, "{}", refused.body);
    assert!(refused.body.contains("quota of the day"), "{}", refused.body);
    assert_eq!(harness.gemini.counts().total().requests, 0, "the first pool has learnt it");
    assert_eq!(harness.chat(&other, "hello").await.status, 200, "other keys of a pool are its own");
    assert_eq!(harness.gemini.counts().total().requests, 1);
    for pool in [&second, &other] {
        eventually("the state in each pool", async || {
            let keys = harness.keys(pool).await;
            (named(&keys, "shared").condition.state == KeyState::Limited).then_some(())
        })
        .await;
    }
    // Quotas of other models are separate, and a reset of a pool stays effective.
    let mut flash_lite = prompt("hello");
    flash_lite["model"] = json!("gemini-3.5-flash-lite");
    harness.gemini.set_behaviour(&gemini_key("shared"), Behaviour::Ok).unwrap();
    assert_eq!(send(harness.call(&second, "/v1/chat/completions", &flash_lite)).await.status, 200);
    let ids: Vec<_> = harness.keys(&second).await.into_iter().map(|key| key.id).collect();
    let _: Value =
        harness.post(&format!("/pools/{}/keys/reset", second.id), &json!({"ids": ids})).await.json(200);
    eventually("the end of the cooldown", async || {
        (harness.chat(&second, "hello").await.status == 200).then_some(())
    })
    .await;
    assert_eq!(harness.chat(&first, "hello").await.status, 429);
}

pub async fn checked_candidates_are_not_stored(harness: &Harness) {
    let models = json!({"name": "lone", "allowed_models": ["gone-model", MODEL]});
    let pool: Pool = harness.post("/pools", &models).await.json::<pool_shared::PoolCreated>(201).into();
    harness.gemini.set_behaviour(&gemini_key("bad"), Behaviour::Suspended).unwrap();
    harness.gemini.set_behaviour(&gemini_key("fine"), Behaviour::Ok).unwrap();
    let keys = json!({"keys": [gemini_key("fine"), gemini_key("bad"), "short"]});
    let answer = harness.post(&format!("/pools/{}/keys/check", pool.id), &keys).await;
    assert!(!answer.body.contains(&gemini_key("fine")) && !answer.body.contains(&gemini_key("bad")));
    let report: KeyCheckReport = answer.json(200);
    let verdicts: Vec<_> = report.results.iter().map(|checked| checked.verdict).collect();
    assert_eq!(verdicts, [KeyVerdict::Valid, KeyVerdict::Suspended, KeyVerdict::Malformed]);
    assert_eq!(report.results[0].model.as_deref(), Some(MODEL), "only what the pool may use");
    assert_eq!(list(harness, &pool, "").await.total, 0);
    assert_eq!(harness.pool_stats(&pool).await.total.attempts, 0);
}

pub async fn an_invalid_check_is_rejected(harness: &Harness) {
    let pool = harness.pool(&[("good", Behaviour::Ok)]).await;
    let ids: Vec<String> = (0..21).map(|number| format!("key-{number}")).collect();
    for body in [json!({}), json!({"ids": ids}), json!({"ids": [], "kyes": []})] {
        let answer = harness.post(&format!("/pools/{}/keys/check", pool.id), &body).await;
        answer.admin_error(400, ErrorCode::InvalidRequest);
    }
    harness
        .post("/pools/none/keys/check", &json!({"ids": ["key-1"]}))
        .await
        .admin_error(404, ErrorCode::NotFound);
    assert_eq!(harness.gemini.counts().total().requests, 0);
}
