use serde_json::json;

use super::*;
use crate::PacingUnit;

fn update(patch: Value) -> Result<TranslationUpdate, String> {
    serde_json::from_value(patch).map_err(|error| error.to_string())
}

#[test]
fn what_is_named_changes_and_null_returns_to_the_default() {
    let safety = json!([{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"}]);
    let first = update(json!({"safety_settings": safety, "prompt_block": "error"})).unwrap();
    let settings = first.into_settings();
    assert_eq!(settings.prompt_block, PromptBlock::Error);
    assert_eq!(serde_json::to_value(&settings.safety_settings).unwrap(), safety);
    let second = update(json!({"prompt_block": null, "prefix_names": true})).unwrap();
    let settings = settings.patched(&second).unwrap();
    assert_eq!((settings.prompt_block, settings.prefix_names), (PromptBlock::Answer, true));
    assert_eq!(settings.safety_settings.len(), 1);
    let paced = settings.patched(&update(json!({"pacing": {"by": "characters"}})).unwrap()).unwrap();
    assert_eq!(paced.pacing, Some(Pacing { by: PacingUnit::Characters, ..Pacing::default() }));
    assert_eq!(paced.patched(&update(json!({"pacing": null})).unwrap()).unwrap().pacing, None);
}

#[test]
fn what_differs_from_the_defaults_is_an_update() {
    let patch = json!({"pacing": {"by": "characters"}, "strict_params": true});
    let settings = update(patch).unwrap().into_settings();
    let differing = settings.changes_from_defaults();
    assert_eq!(differing.0.keys().collect::<Vec<_>>(), ["strict_params", "pacing"]);
    assert_eq!(differing.clone().into_settings(), settings);
    assert!(TranslationSettings::default().changes_with(&differing) && !settings.changes_with(&differing));
    assert!(TranslationSettings::default().changes_from_defaults().is_empty());
}

#[test]
fn what_does_not_exist_is_refused() {
    for (patch, sign) in [
        (json!({"prompt_blok": "error"}), "unknown field `prompt_blok`"),
        (json!({"prompt_blok": null}), "unknown field `prompt_blok`"),
        (json!({"prompt_block": "maybe"}), "unknown variant `maybe`"),
        (json!({"strict_params": 1}), "expected a boolean"),
        (json!({"safety_settings": {}}), "expected a sequence"),
        (json!({"safety_settings": [{"category": "HARM_CATEGORY_HARASSMENT"}]}), "missing field `threshold`"),
        (
            json!({"safety_settings": [
                {"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"},
                {"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"},
            ]}),
            "twice",
        ),
        (json!({"pacing": {"max_delay_ms": 201}}), "from 1 to 200 ms"),
        (json!({"pacing": {"min_delay_ms": 0}}), "from 1 to 200 ms"),
        (json!({"pacing": {"speed": 1}}), "unknown field `speed`"),
        (json!({"min_output_tokens": 0}), "nonzero"),
        (json!({"fetch_media": ["https://example.com"]}), "a list of at most 100 hosts"),
        (json!({"families": {"gemini-2.5-pro": "gpt-4o"}}), "at most 200 model names"),
        (json!({"families": {"a b": "gemini-3.8-flash"}}), "at most 200 model names"),
        (json!({"families": {"": "gemini-3.8-flash"}}), "at most 200 model names"),
        (json!([]), "expected a map"),
    ] {
        let error = update(patch.clone()).unwrap_err();
        assert!(error.contains(sign), "{patch}: {error}");
    }
}

#[test]
fn stored_settings_of_a_newer_service_are_read() {
    let stored = json!({"strict_history": true, "of_tomorrow": 1});
    assert!(serde_json::from_value::<TranslationSettings>(stored).unwrap().strict_history);
}
