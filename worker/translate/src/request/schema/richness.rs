//! How much of JSON Schema a schema uses. Gemini cannot reject what a schema does not use.

use serde_json::{Map, Value};

/// From what Gemini always understands to what it most often does not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Richness {
    /// Nothing but types, properties, lists and choices among texts, the same in both channels.
    #[default]
    Plain,
    /// Other words.
    Rich,
    /// References.
    Referring,
}

impl Richness {
    /// Of a normalised schema.
    pub(crate) fn of(schema: &Value) -> Self {
        let Value::Object(members) = schema else { return Self::Plain };
        members.iter().map(|(key, value)| of_member(members, key, value)).max().unwrap_or_default()
    }
}

fn of_member(schema: &Map<String, Value>, key: &str, value: &Value) -> Richness {
    let plain = |plain: bool| if plain { Richness::Plain } else { Richness::Rich };
    match (key, value) {
        ("$ref" | "$defs", _) => Richness::Referring,
        ("properties", Value::Object(members)) if !members.is_empty() => {
            members.values().map(Richness::of).max().unwrap_or_default()
        }
        ("items", items @ Value::Object(_)) => Richness::of(items),
        ("type", Value::String(kind)) => match kind.as_str() {
            "object" => plain(schema.contains_key("properties")),
            "array" => plain(schema.get("items").is_some_and(Value::is_object)),
            kind => plain(kind != "null"),
        },
        ("title" | "description", Value::String(_))
        | ("required", _)
        | ("additionalProperties", Value::Bool(_)) => Richness::Plain,
        ("enum", Value::Array(choices)) => {
            let text = |choice: &Value| choice.as_str().is_some_and(|choice| !choice.is_empty());
            plain(
                !choices.is_empty()
                    && choices.iter().all(text)
                    && schema.get("type").is_some_and(|kind| kind == "string"),
            )
        }
        // References may be in any of them.
        (_, value) => Richness::Rich.max(within(value)),
    }
}

fn within(value: &Value) -> Richness {
    match value {
        Value::Object(members) if members.get("$ref").is_some_and(Value::is_string) => Richness::Referring,
        Value::Object(members) => members.values().map(within).max().unwrap_or_default(),
        Value::Array(items) => items.iter().map(within).max().unwrap_or_default(),
        _ => Richness::Plain,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_schema_uses() {
        for (schema, expected) in [
            (
                json!({"type": "object", "description": "d", "properties": {"a": {"type": "string", "enum": ["x"]},
                       "b": {"type": "array", "items": {"type": "integer"}}}, "required": ["a"], "additionalProperties": false}),
                Richness::Plain,
            ),
            (json!({"type": "object"}), Richness::Rich),
            (json!({"type": "array"}), Richness::Rich),
            (json!({"type": "integer", "enum": [1]}), Richness::Rich),
            (json!({"type": ["string", "null"]}), Richness::Rich),
            (json!({"type": "string", "pattern": "a"}), Richness::Rich),
            (json!({"type": "object", "properties": {"a": {"$ref": "#"}}}), Richness::Referring),
            (json!({"anyOf": [{"type": "string"}, {"items": {"$ref": "#"}}]}), Richness::Referring),
        ] {
            assert_eq!(Richness::of(&schema), expected, "{schema}");
        }
    }
}
