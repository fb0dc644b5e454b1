//! A restore recreates the state of a backup from any state.

use pool_shared::{PoolUpdate, TranslationSettings};
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::commands::manifest::Step;

/// Values of each translation setting, including the default.
fn translation_values() -> Vec<(String, Vec<Value>)> {
    let others = json!({
        "safety_settings": [[{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"}]],
        "families": [{"gemini-2.5-pro": "gemini-3.8-flash"}, {"a": "gemini-x", "b": "gemini-y"}],
        "keep_alive": ["off"], "prompt_block": ["error"], "system_messages": ["hoist"], "image_output": ["markdown"],
        "thoughts": ["show", "hide"], "fetch_media": [true, ["example.com"]],
        "min_output_tokens": [1024],
        "pacing": [{"by": "characters"}, {"by": "batches", "min_delay_ms": 5, "max_delay_ms": 50}],
    });
    let defaults = serde_json::to_value(TranslationSettings::default()).unwrap();
    let values = |(name, default): (&String, &Value)| {
        let mut values = vec![default.clone()];
        match default {
            Value::Bool(default) if others.get(name).is_none() => values.push(json!(!default)),
            _ => values.extend(others[name].as_array().into_iter().flatten().cloned()),
        }
        assert!(values.len() > 1, "values of {name} are to be added here");
        (name.clone(), values)
    };
    defaults.as_object().unwrap().iter().map(values).collect()
}

fn settings() -> impl Strategy<Value = PoolSettings> {
    let translation = translation_values();
    let choices: Vec<_> = translation.iter().map(|(_, values)| 0..values.len()).collect();
    let texts = prop::sample::select(vec![json!({}), json!({"a": "gemini-x"}), json!({"b": "gemini-y"})]);
    let lists = prop::sample::select(vec![json!({}), json!({"*": ["gemini-x"]})]);
    let limits = prop::sample::select(vec![
        json!([]),
        json!([{"model": "*", "limits": {"requests_per_day": 9}}]),
        json!([{"model": "gemini-x", "project": "p", "limits": {"tokens_per_day": 9}}]),
    ]);
    (choices, texts, lists, limits, any::<bool>(), any::<bool>()).prop_map(
        move |(chosen, aliases, fallbacks, limits, sticky, pass_through)| {
            let fields = translation.iter().zip(chosen);
            let translation: serde_json::Map<_, _> =
                fields.map(|((name, values), at)| (name.clone(), values[at].clone())).collect();
            let settings = json!({"aliases": aliases, "fallbacks": fallbacks, "sticky": sticky,
                "pass_through": pass_through, "separate_billing": !pass_through, "model_limits": limits, "translation": translation});
            serde_json::from_value(settings).unwrap()
        },
    )
}

fn pool(settings: &PoolSettings, description: &str, models: &[&str], enabled: bool) -> Pool {
    let time = "2026-11-03T12:00:00Z";
    let mut pool = json!({"id": "pool-1", "name": "prod", "description": description, "enabled": enabled,
        "allowed_models": models, "keys": 0, "enabled_keys": 0, "version": 1, "created_at": time,
        "updated_at": time});
    let Value::Object(settings) = serde_json::to_value(settings).unwrap() else { panic!("an object") };
    pool.as_object_mut().unwrap().extend(settings);
    serde_json::from_value(pool).unwrap()
}

/// Applies an update as the service does (RFC 7396 for the translation, whole values otherwise).
fn updated(mut pool: Pool, update: &PoolUpdate) -> Pool {
    let PoolUpdate {
        name: _,
        description,
        enabled,
        allowed_models,
        aliases,
        fallbacks,
        sticky,
        pass_through,
        separate_billing,
        model_limits,
        translation,
    } = update.clone();
    pool.description = description.unwrap_or(pool.description);
    pool.enabled = enabled.unwrap_or(pool.enabled);
    pool.allowed_models = allowed_models.unwrap_or(pool.allowed_models);
    pool.settings.aliases = aliases.unwrap_or(pool.settings.aliases);
    pool.settings.fallbacks = fallbacks.unwrap_or(pool.settings.fallbacks);
    pool.settings.sticky = sticky.unwrap_or(pool.settings.sticky);
    pool.settings.pass_through = pass_through.unwrap_or(pool.settings.pass_through);
    pool.settings.separate_billing = separate_billing.unwrap_or(pool.settings.separate_billing);
    pool.settings.model_limits = model_limits.unwrap_or(pool.settings.model_limits);
    let mut fields = serde_json::to_value(&pool.settings.translation).unwrap();
    merge(&mut fields, serde_json::to_value(&translation).unwrap());
    pool.settings.translation = serde_json::from_value(fields).unwrap();
    pool
}

fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let fields = target.as_object_mut().unwrap();
    for (name, value) in patch {
        if value.is_null() {
            fields.remove(&name);
        } else {
            merge(fields.entry(name).or_insert(Value::Null), value);
        }
    }
}

proptest! {
    #[test]
    fn after_a_restore_all_settings_are_those_of_the_backup(
        saved in (settings(), "[ab]?", any::<bool>(), any::<bool>()),
        present in (settings(), "[ab]?", any::<bool>(), any::<bool>()),
    ) {
        let models = |some: bool| if some { vec!["gemini-x"] } else { Vec::new() };
        let wanted = pool(&saved.0, &saved.1, &models(saved.2), saved.3);
        let there = pool(&present.0, &present.1, &models(present.2), present.3);
        // Through the file format of a backup.
        let file = serde_json::to_string(&SavedPool {
            name: wanted.name.clone(), description: wanted.description.clone(), enabled: wanted.enabled,
            allowed_models: wanted.allowed_models.clone(), settings: wanted.settings.clone(),
            client_keys: SavedClientKeys::Rules(Vec::new()), keys: None,
        }).unwrap();
        let spec = spec(&serde_json::from_str(&file).unwrap());
        let plan = |pool: Pool| {
            let there = Present { pool, keys: Vec::new(), client_keys: Vec::new() };
            changes(&spec, &there, None, false, Absent::IsDefault).0
        };
        let restored = match plan(there.clone()).pop().map(|change| change.step) {
            None => there,
            Some(Step::UpdatePool(_, update)) => updated(there, &update),
            Some(step) => panic!("{step:?}"),
        };
        prop_assert_eq!(&restored, &wanted);
        prop_assert!(plan(restored).is_empty(), "a second restore changes nothing");
    }
}

#[test]
fn keys_get_back_what_a_backup_has_at_its_default() {
    let time = "2026-11-03T12:00:00Z";
    let key: Key = serde_json::from_value(json!({"id": "key-1", "masked": "AIza…0001", "fingerprint": "",
        "weight": 5, "name": "n", "tag": "t", "project": "p", "billing_account": "acme", "limits": {"requests_per_minute": 3},
        "enabled": true, "created_at": time, "updated_at": time}))
    .unwrap();
    let text = format!("AIzaSyA-{}0001", "a".repeat(27));
    let entries = pool_shared::parse_key_file(&text).entries;
    let there = Present {
        pool: pool(&PoolSettings::default(), "", &[], true),
        keys: vec![key],
        client_keys: Vec::new(),
    };
    let (found, _) = changes(&PoolSpec::default(), &there, Some(&entries), false, Absent::IsDefault);
    let [Change { step: Step::SetKeys(_, keys), .. }] = found.as_slice() else { panic!("{found:?}") };
    let expected = KeyChange {
        enabled: None,
        weight: Some(pool_shared::Weight::default()),
        name: Some(String::new()),
        tag: Some(String::new()),
        project: Some(String::new()),
        billing_account: Some(String::new()),
        limits: Some(pool_shared::Limits::default()),
    };
    assert_eq!(keys[0].1, expected);
    assert!(changes(&PoolSpec::default(), &there, Some(&entries), false, Absent::Stays).0.is_empty());
}
