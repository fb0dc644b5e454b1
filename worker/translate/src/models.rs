//! Gemini's models as OpenAI's model objects, under bare ids (clients cannot handle `models/…`), with the
//! members that other gateways add.

use std::borrow::Cow;

use crate::gemini;
use crate::openai::{Model, ModelList};

/// Google says of tuned models only when they were made, and "now" would make all others new with each call: the day on
/// which the Gemini API opened, 2023-12-13.
const CREATED: u64 = 1_702_425_600;
/// Who owns an alias.
const PROXY: &str = "proxy";

/// Returns the body of `GET /v1/models`: the models as given, and after them the aliases `(alias, target)` with what is known
/// about their targets.
#[must_use]
pub fn models_list<'a>(
    models: impl IntoIterator<Item = &'a gemini::Model>,
    aliases: &[(String, String)],
) -> Vec<u8> {
    let models: Vec<&gemini::Model> = models.into_iter().collect();
    let mut data: Vec<Model> = models.iter().map(|model| describe(model, &model.id)).collect();
    for (alias, target) in aliases {
        let known = models.iter().find(|model| model.id == *target);
        data.push(known.map_or_else(
            || Model { owned_by: PROXY, ..unknown(alias) },
            |model| describe_alias(model, alias),
        ));
    }
    to_vec(&ModelList { object: "list", data })
}

/// Returns the body of `GET /v1/models/{id}`, under the alias that the client asked for, if it was one.
#[must_use]
pub fn model_get(model: &gemini::Model, alias: Option<&str>) -> Vec<u8> {
    to_vec(&alias.map_or_else(|| describe(model, &model.id), |alias| describe_alias(model, alias)))
}

fn to_vec<T: serde::Serialize>(value: &T) -> Vec<u8> {
    // Writing our own types into memory cannot fail.
    serde_json::to_vec(value).unwrap_or_default()
}

fn describe_alias<'a>(model: &'a gemini::Model, alias: &'a str) -> Model<'a> {
    Model { owned_by: PROXY, ..describe(model, alias) }
}

fn describe<'a>(model: &'a gemini::Model, id: &'a str) -> Model<'a> {
    Model {
        display_name: model.display_name.as_deref(),
        description: model.description.as_deref(),
        context_length: model.input_token_limit,
        max_output_tokens: model.output_token_limit,
        supported_generation_methods: &model.supported_generation_methods,
        thinking: model.thinking,
        created: model.create_time.as_deref().and_then(seconds).unwrap_or(CREATED),
        ..unknown(id)
    }
}

fn seconds(time: &str) -> Option<u64> {
    time.parse::<jiff::Timestamp>().ok()?.as_second().try_into().ok()
}

fn unknown(id: &str) -> Model<'_> {
    Model {
        id: Cow::Borrowed(id),
        object: "model",
        created: CREATED,
        owned_by: "google",
        display_name: None,
        description: None,
        context_length: None,
        max_output_tokens: None,
        supported_generation_methods: &[],
        thinking: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gemini::ModelPage;

    #[test]
    fn ids_are_bare_and_aliases_come_last() {
        let page = ModelPage::parse(
            br#"{"models":[{"name":"models/gemini-3.8-flash","displayName":"Flash","inputTokenLimit":1048576,
                "outputTokenLimit":65536,"supportedGenerationMethods":["generateContent"],"thinking":true,"new":{}},
                {"name":"models/aqa","supportedGenerationMethods":["generateAnswer"]}],"nextPageToken":""}"#,
        )
        .unwrap();
        assert_eq!(page.next_page_token, None);
        let usable = page.models.iter().filter(|model| model.is_usable());
        let aliases =
            [("gpt-4o".to_owned(), "gemini-3.8-flash".to_owned()), ("x".to_owned(), "gone".to_owned())];
        let list: serde_json::Value = serde_json::from_slice(&models_list(usable, &aliases)).unwrap();
        let expected = serde_json::json!({"object": "list", "data": [
            {"id": "gemini-3.8-flash", "object": "model", "created": CREATED, "owned_by": "google", "display_name": "Flash",
             "context_length": 1_048_576, "max_output_tokens": 65_536, "supported_generation_methods": ["generateContent"],
             "thinking": true},
            {"id": "gpt-4o", "object": "model", "created": CREATED, "owned_by": "proxy", "display_name": "Flash",
             "context_length": 1_048_576, "max_output_tokens": 65_536, "supported_generation_methods": ["generateContent"],
             "thinking": true},
            {"id": "x", "object": "model", "created": CREATED, "owned_by": "proxy"},
        ]});
        assert_eq!(list, expected);
    }

    #[test]
    fn a_tuned_model_tells_when_it_was_made() {
        for (time, created) in [("2024-05-01T10:00:00.123Z", 1_714_557_600), ("yesterday", CREATED)] {
            let body = format!(r#"{{"name":"tunedModels/mine","createTime":"{time}"}}"#);
            let model = gemini::Model::parse(body.as_bytes()).unwrap();
            let shown: serde_json::Value = serde_json::from_slice(&model_get(&model, None)).unwrap();
            assert_eq!((&shown["id"], &shown["created"]), (&"tunedModels/mine".into(), &created.into()));
            let shown: serde_json::Value = serde_json::from_slice(&model_get(&model, Some("mine"))).unwrap();
            assert_eq!((&shown["id"], &shown["owned_by"]), (&"mine".into(), &PROXY.into()));
        }
    }
}
