//! A restore recreates the client keys of a backup from any state.

use pool_shared::{Limits, Secret};
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

const NOW: i64 = 0;

fn rules() -> impl Strategy<Value = ClientKeyRules> {
    let limit = || proptest::option::of(0_u64..3);
    (limit(), limit(), limit(), limit(), 0_usize..3, 0_usize..3).prop_map(
        |(rpm, rpd, tpm, tpd, models, networks)| ClientKeyRules {
            limits: Limits {
                requests_per_minute: rpm,
                requests_per_day: rpd,
                tokens_per_minute: tpm,
                tokens_per_day: tpd,
            },
            allowed_models: ["gemini-x", "gemini-y"].map(str::to_owned)[..models].to_vec(),
            allowed_networks: ["192.0.2.0/24", "::1/128"].map(str::to_owned)[..networks].to_vec(),
        },
    )
}

/// Expiry times: expired, in the future, never.
fn client_key() -> impl Strategy<Value = (u64, &'static str, Option<i64>, ClientKeyRules)> {
    let name = prop::sample::select(vec!["", "a", "b"]);
    (0_u64..6, name, proptest::option::of(-2_i64..4), rules())
}

fn client_keys() -> impl Strategy<Value = Vec<ClientKey>> {
    proptest::collection::vec(client_key(), 0..5).prop_map(|keys| {
        let key = |(id, name, end, rules): (u64, &str, Option<i64>, _)| ClientKey {
            id: ClientKeyId::from_random(id),
            name: name.to_owned(),
            hint: "abcd".to_owned(),
            created_at: at(-9),
            expires_at: end.map(at),
            last_used_at: None,
            weak: false,
            rules,
        };
        let mut keys: Vec<_> = keys.into_iter().map(key).collect();
        let mut ids = std::collections::HashSet::new();
        keys.retain(|key| ids.insert(key.id.clone()));
        keys
    })
}

fn saved(key: &ClientKey, hashed: bool) -> SavedClientKey {
    let hash = hashed.then(|| Secret::new("0".repeat(64)));
    SavedClientKey { hash, ..SavedClientKey::from(key.clone()) }
}

/// Applies the changes as the service does.
fn restored(mut present: Vec<ClientKey>, compared: Compared, prune: bool) -> Vec<ClientKey> {
    for key in compared.hashed.into_iter().flat_map(|hashed| hashed.client_keys) {
        let SavedClientKey { id, name, hint, expires_at, weak, rules, hash: _ } = SavedClientKey::from(key);
        present.push(ClientKey {
            id,
            name,
            hint,
            created_at: at(NOW),
            expires_at,
            last_used_at: None,
            weak,
            rules,
        });
    }
    for (number, create) in (100..).zip(compared.new) {
        let ClientKeyCreate {
            name,
            expires_in_s,
            expires_at,
            limits,
            allowed_models,
            allowed_networks,
            trial: _,
        } = create;
        assert_eq!(expires_in_s, None);
        present.push(ClientKey {
            id: ClientKeyId::from_random(number),
            name,
            hint: String::new(),
            created_at: at(NOW),
            expires_at,
            last_used_at: None,
            weak: false,
            rules: ClientKeyRules { limits, allowed_models, allowed_networks },
        });
    }
    for (id, update, _) in compared.updated {
        let key = present.iter_mut().find(|key| key.id == id).unwrap();
        let ClientKeyUpdate { name, expires_in_s, expires_at, limits, allowed_models, allowed_networks } =
            update;
        key.name = name.unwrap_or(key.name.clone());
        key.expires_at = match (expires_in_s, expires_at) {
            (None, None) => key.expires_at,
            (Some(0), None) => None,
            (None, Some(end)) if end > at(NOW) => Some(end),
            other => panic!("the service refuses {other:?}"),
        };
        key.rules.limits = limits.unwrap_or(key.rules.limits);
        key.rules.allowed_models = allowed_models.unwrap_or(key.rules.allowed_models.clone());
        key.rules.allowed_networks = allowed_networks.unwrap_or(key.rules.allowed_networks.clone());
    }
    if prune {
        present.retain(|key| !compared.surplus.iter().any(|surplus| surplus.id == key.id));
    }
    present
}

fn alive(keys: &[ClientKey]) -> Vec<String> {
    let alive = keys.iter().filter(|key| is_alive(key.expires_at, at(NOW)));
    let mut alive: Vec<_> =
        alive.map(|key| json!([key.name, key.rules, key.expires_at]).to_string()).collect();
    alive.sort();
    alive
}

proptest! {
    #[test]
    fn after_a_restore_the_client_keys_have_the_rules_of_the_backup(
        backup in client_keys(), present in client_keys(), hashed in any::<bool>(), same_key in any::<bool>(),
        prune in any::<bool>(),
    ) {
        let file: Vec<_> = backup.iter().map(|key| saved(key, hashed)).collect();
        let file: Vec<SavedClientKey> = serde_json::from_value(json!(file)).unwrap();
        let hashes = (hashed && same_key).then_some("key");
        let there = restored(present.clone(), compare(&file, &present, hashes, at(NOW)), prune);
        if prune {
            prop_assert_eq!(alive(&there), alive(&backup));
        } else {
            let mut left = alive(&there);
            for wanted in alive(&backup) {
                let found = left.iter().position(|key| *key == wanted);
                prop_assert!(found.is_some(), "{} is missing", wanted);
                left.remove(found.unwrap());
            }
        }
        if hashes.is_some() {
            let ids = |keys: &[ClientKey]| -> Vec<_> { keys.iter().map(|key| key.id.clone()).collect() };
            let wanted = backup.iter().filter(|key| is_alive(key.expires_at, at(NOW)));
            prop_assert!(wanted.clone().all(|key| ids(&there).contains(&key.id)), "secrets come back");
        }
        let again = compare(&file, &there, hashes, at(NOW));
        prop_assert!(again.hashed.is_none() && again.new.is_empty() && again.updated.is_empty(), "{again:?}");
        prop_assert!(!prune || again.surplus.is_empty(), "{again:?}");
    }
}

#[test]
fn a_backup_of_the_first_format_leaves_client_keys_alone() {
    use crate::commands::backup::{Backup, SavedClientKeys};
    let source = crate::input::KeySource::Stdin;
    for names in [json!([]), json!(["first", "ci"])] {
        let text = json!({"format": 1, "at": at(NOW), "service": "http://127.0.0.1", "pools": [{"name": "prod",
            "description": "", "enabled": true, "allowed_models": [], "sticky": true, "client_keys": names}]});
        let backup = Backup::read(text.to_string().as_bytes(), &source).unwrap();
        assert!(matches!(backup.pools[0].client_keys, SavedClientKeys::Names(_)));
        assert!(backup.pools[0].settings.sticky);
    }
    let text = json!({"format": 3, "at": at(NOW), "service": "", "pools": []}).to_string();
    assert!(Backup::read(text.as_bytes(), &source).is_err());
}
