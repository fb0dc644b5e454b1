//! Billing accounts of several projects: spend limits and missing credits.

use std::collections::BTreeMap;

use pool_fake_gemini::{Account, Behaviour, KeySpec, Scenario};
use pool_shared::{Key, KeyState};
use serde_json::{Value, json};

use super::harness::{Harness, Pool, eventually, gemini_key, prompt, send};

/// Returns two projects of one account with a spend limit, and one of another account.
fn accounts(most: u64) -> Scenario {
    let key = |name: &str, project: &str| KeySpec::new(gemini_key(name), Behaviour::Ok).project(project);
    let account =
        Account { projects: vec!["101".to_owned(), "102".to_owned()], input_tokens_per_ten_minutes: most };
    let keys = [key("one", "101"), key("two", "102"), key("other", "103")];
    Scenario { keys: keys.to_vec(), ..Scenario::default() }.account(account)
}

async fn pool(harness: &Harness, most: u64) -> Pool {
    let ok = Behaviour::Ok;
    let pool = harness.weighted_pool("prod", &[("one", ok, 1), ("two", ok, 1), ("other", ok, 0)]).await;
    harness.gemini.set_scenario(accounts(most)).unwrap();
    pool
}

async fn states(harness: &Harness, pool: &Pool) -> BTreeMap<String, (KeyState, Option<String>)> {
    let state = |key: Key| (key.name, (key.condition.state, key.condition.reason));
    harness.keys(pool).await.into_iter().map(state).collect()
}

/// Sends chats until the probes have set this state for both keys of the account.
async fn both_are(harness: &Harness, pool: &Pool, state: KeyState, reason: Option<&str>) {
    eventually("the state of both keys", async || {
        for _ in 0..2 {
            let answer = harness.chat(pool, "hello there").await;
            assert_eq!(answer.status, 200, "{}", answer.body);
        }
        let shown = states(harness, pool).await;
        assert_eq!(shown["other"].0, KeyState::Healthy);
        let expected = (state, reason.map(str::to_owned));
        ["one", "two"].iter().all(|name| shown[*name] == expected).then_some(())
    })
    .await;
}

async fn check(harness: &Harness, pool: &Pool, name: &str) {
    let keys = harness.keys(pool).await;
    let ids: Vec<_> = keys.iter().filter(|key| key.name == name).map(|key| &key.id).collect();
    harness.post(&format!("/pools/{}/keys/check", pool.id), &json!({"ids": ids})).await.json::<Value>(200);
}

fn asked(harness: &Harness) -> u64 {
    harness.tally("one").requests + harness.tally("two").requests
}

async fn set_account(harness: &Harness, pool: &Pool, names: &[&str], account: &str) {
    let keys = harness.keys(pool).await;
    let ids: Vec<_> =
        keys.iter().filter(|key| names.contains(&key.name.as_str())).map(|key| &key.id).collect();
    let change = json!({"ids": ids, "set": {"billing_account": account}});
    harness.patch(&format!("/pools/{}/keys", pool.id), &change).await.json::<Value>(200);
}

pub async fn an_account_over_its_spend_limit_is_in_cooldown_for_every_model_and_project(harness: &Harness) {
    let pool = pool(harness, 3).await;
    set_account(harness, &pool, &["one", "two"], "acme").await;
    both_are(harness, &pool, KeyState::Limited, Some("spend")).await;
    let before = asked(harness);
    // A spend limit applies to all models.
    for model in ["gemini-3.8-flash", "gemini-3.6-flash", "gemini-4-neon"] {
        let mut other = prompt("hello there");
        other["model"] = json!(model);
        assert_eq!(send(harness.call(&pool, "/v1/chat/completions", &other)).await.status, 200, "{model}");
    }
    assert_eq!(asked(harness), before);
}

pub async fn projects_that_fail_together_are_observed_to_share_an_account(harness: &Harness) {
    let pool = pool(harness, 3).await;
    both_are(harness, &pool, KeyState::Limited, Some("spend")).await;
    // Ten minutes later one key recovers, and so does the other.
    harness.gemini.set_scenario(accounts(1_000)).unwrap();
    check(harness, &pool, "one").await;
    let recovered = states(harness, &pool).await;
    assert!(recovered.values().all(|(state, _)| *state == KeyState::Healthy), "{recovered:?}");
}

pub async fn a_project_without_an_account_is_in_cooldown_alone(harness: &Harness) {
    let pool = pool(harness, 3).await;
    let separate = json!({"separate_billing": true});
    harness.patch(&format!("/pools/{}", pool.id), &separate).await.json::<Value>(200);
    both_are(harness, &pool, KeyState::Limited, Some("spend")).await;
    harness.gemini.set_scenario(accounts(1_000)).unwrap();
    check(harness, &pool, "one").await;
    let shown = states(harness, &pool).await;
    assert_eq!((shown["one"].0, shown["two"].0), (KeyState::Healthy, KeyState::Limited));
}

pub async fn missing_credits_apply_to_the_whole_account(harness: &Harness) {
    for behaviour in [Behaviour::Billing, Behaviour::PaymentRequired] {
        let pool = pool(harness, 1_000_000).await;
        set_account(harness, &pool, &["one", "two"], "acme").await;
        for name in ["one", "two"] {
            harness.gemini.set_behaviour(&gemini_key(name), behaviour).unwrap();
        }
        both_are(harness, &pool, KeyState::Billing, None).await;
        // After payment, one working key recovers the whole account.
        for name in ["one", "two"] {
            harness.gemini.set_behaviour(&gemini_key(name), Behaviour::Ok).unwrap();
        }
        check(harness, &pool, "two").await;
        let shown = states(harness, &pool).await;
        assert!(shown.values().all(|(state, _)| *state == KeyState::Healthy), "{shown:?}");
        harness.delete(&format!("/pools/{}", pool.id)).await.no_content();
    }
}
