//! Dialects of JSON Schema: Google's own, and those of generators that write type names of their language.
//!
//! Reports whether a keyword was replaced or removed, unless it is one of Google's.

use std::collections::HashSet;

use serde_json::{Map, Number, Value, json};

use super::bounds::{SIZES, describe};
use super::types;
use crate::request::words::is_word;

/// Words whose value is a schema.
const SCHEMAS: [&str; 11] = [
    "items",
    "additionalProperties",
    "additionalItems",
    "not",
    "if",
    "then",
    "else",
    "contains",
    "propertyNames",
    "unevaluatedItems",
    "unevaluatedProperties",
];
/// Words whose value is a list of schemas.
const LISTS: [&str; 5] = ["anyOf", "oneOf", "allOf", "prefixItems", "items"];
/// Words whose value holds schemas by name.
const MAPS: [&str; 5] = ["properties", "patternProperties", "dependentSchemas", "$defs", "definitions"];

/// Puts a schema into the words of JSON schema. Whether anything was lost.
pub(super) fn read(schema: &mut Value) -> bool {
    let Value::Object(members) = schema else { return false };
    rename(members);
    // Some clients write down every member that there could be.
    members.retain(|key, value| !value.is_null() || matches!(key.as_str(), "const" | "default" | "example"));
    let leads_nowhere = members.get("$ref").and_then(Value::as_str).is_some_and(|to| to.trim().is_empty());
    if leads_nowhere {
        members.shift_remove("$ref");
    }
    gather_required(members);
    let mut lossy = types::read(members) | leads_nowhere;
    lossy |= numbers(members);
    lossy |= choices(members);
    formats(members);
    for (key, value) in members.iter_mut() {
        let key = key.as_str();
        match value {
            Value::Object(named) if MAPS.contains(&key) => {
                for (_, member) in named {
                    lossy |= read(member);
                }
            }
            Value::Object(components) if key == "components" => {
                if let Some(Value::Object(schemas)) = components.get_mut("schemas") {
                    for (_, member) in schemas {
                        lossy |= read(member);
                    }
                }
            }
            Value::Array(list) if LISTS.contains(&key) => {
                for item in list {
                    lossy |= read(item);
                }
            }
            value @ Value::Object(_) if SCHEMAS.contains(&key) => lossy |= read(value),
            _ => {}
        }
    }
    lossy
}

/// Google's libraries for Python write some words in snake case, and some with a stroke at the end.
fn canonical(key: &str, value: &Value) -> Option<&'static str> {
    Some(match key {
        "type_" => "type",
        "format_" => "format",
        "any_of" => "anyOf",
        "one_of" => "oneOf",
        "all_of" => "allOf",
        "min_items" => "minItems",
        "max_items" => "maxItems",
        "min_length" => "minLength",
        "max_length" => "maxLength",
        "min_properties" => "minProperties",
        "max_properties" => "maxProperties",
        "property_ordering" => "propertyOrdering",
        "prefix_items" => "prefixItems",
        "additional_properties" => "additionalProperties",
        "defs" if value.is_object() => "$defs",
        "ref" if value.as_str().is_some_and(|text| text.starts_with('#')) => "$ref",
        // Where nothing extends a schema, they lead where a plain one leads.
        "$dynamicRef" | "$recursiveRef" if value.is_string() => "$ref",
        _ => return None,
    })
}

/// Visits the schemas that are in a schema, each with the path that leads there from it: names of members as they are,
/// places in lists as numbers.
pub(super) fn visit_children<'s>(schema: &'s Map<String, Value>, visit: &mut dyn FnMut(&[&str], &'s Value)) {
    for (key, value) in schema {
        let word = key.as_str();
        match value {
            Value::Object(members) if MAPS.contains(&word) => {
                members.iter().for_each(|(name, member)| visit(&[word, name], member));
            }
            Value::Object(members) if word == "components" => {
                for (name, member) in members.get("schemas").and_then(Value::as_object).into_iter().flatten()
                {
                    visit(&[word, "schemas", name], member);
                }
            }
            Value::Array(list) if LISTS.contains(&word) => {
                for (place, item) in list.iter().enumerate() {
                    visit(&[word, &place.to_string()], item);
                }
            }
            value @ Value::Object(_) if SCHEMAS.contains(&word) => visit(&[word], value),
            _ => {}
        }
    }
}

fn rename(members: &mut Map<String, Value>) {
    if !members.iter().any(|(key, value)| canonical(key, value).is_some()) {
        return;
    }
    for (key, value) in std::mem::take(members) {
        match canonical(&key, &value) {
            Some(name) if !value.is_null() => {
                members.entry(name).or_insert(value);
            }
            Some(_) => {}
            None => {
                members.insert(key, value);
            }
        }
    }
}

fn numbers(members: &mut Map<String, Value>) -> bool {
    let mut lossy = false;
    // Google's encoding of 64 bits writes numbers as texts.
    for key in SIZES {
        let Some(value) = members.get_mut(key) else { continue };
        if value.is_number() {
            continue;
        }
        let read = value.as_str().and_then(|text| text.trim().parse::<Number>().ok());
        if let Some(number) = read {
            *value = Value::Number(number);
        } else {
            members.shift_remove(key);
            lossy = true;
        }
    }
    lossy
}

/// Words that name a format. What is none of those, such as `YYYY-MM-DD HH:mm`, is for the model to read.
const FORMATS: [&str; 3] = ["format", "contentEncoding", "contentMediaType"];

fn formats(members: &mut Map<String, Value>) {
    for key in FORMATS {
        let text = members.get(key).and_then(Value::as_str).filter(|text| !is_word(text));
        let Some(text) = text.map(|text| text.trim().to_owned()) else { continue };
        members.shift_remove(key);
        if text.is_empty() {
            continue;
        }
        describe(members, &format!("{key}: {text}"));
    }
}

/// The third draft's way: each property tells whether it is required.
fn gather_required(members: &mut Map<String, Value>) {
    let Some(Value::Object(properties)) = members.get_mut("properties") else { return };
    let mut names: Vec<Value> = Vec::new();
    for (name, property) in properties {
        let Value::Object(property) = property else { continue };
        if let Some(Value::Bool(required)) = property.get("required") {
            names.extend(required.then(|| Value::from(name.as_str())));
            property.shift_remove("required");
        }
    }
    if names.is_empty() {
        return;
    }
    match members.get_mut("required") {
        Some(Value::Array(known)) => known.extend(names),
        _ => {
            members.insert("required".into(), names.into());
        }
    }
}

/// Choices as values of the type that they are said to have, as far as they are written as texts or should be: Google's
/// dialect knows no others than texts.
pub(super) fn type_choices(members: &mut Map<String, Value>) {
    let kind = members.get("type").filter(|_| members.contains_key("enum")).cloned();
    let Some(Value::Array(choices)) = members.get_mut("enum") else { return };
    let kind = match &kind {
        Some(Value::Array(kinds)) => match kinds.as_slice() {
            [kind, null] | [null, kind] if null == "null" => kind.as_str(),
            [kind] => kind.as_str(),
            _ => None,
        },
        kind => kind.as_ref().and_then(Value::as_str),
    };
    for choice in &mut *choices {
        let as_typed = match (kind, &*choice) {
            (Some("string"), Value::Number(_) | Value::Bool(_)) => Some(choice.to_string().into()),
            (Some("integer" | "number" | "boolean"), Value::String(text)) => {
                let read = serde_json::from_str::<Value>(text.trim()).ok();
                read.filter(|read| match types::of_value(read) {
                    "integer" => kind != Some("boolean"),
                    found => kind == Some(found),
                })
            }
            _ => None,
        };
        if let Some(as_typed) = as_typed {
            *choice = as_typed;
        }
    }
    drop_twins(choices);
}

/// Leaves out what is in a list twice: Gemini rejects it.
pub(super) fn drop_twins(list: &mut Vec<Value>) {
    if has_twins(list) {
        let mut seen = HashSet::new();
        list.retain(|value| seen.insert(value.clone()));
    }
}

/// Returns `true` if something is in a list twice.
pub(super) fn has_twins(list: &[Value]) -> bool {
    let mut seen = HashSet::new();
    !list.iter().all(|value| seen.insert(value))
}

/// `enum` and `const`: of `null`, which Gemini does not document as a member, the type says that it is allowed.
fn choices(members: &mut Map<String, Value>) -> bool {
    if members.get("const").is_some_and(Value::is_null) {
        members.shift_remove("const");
        let typed = members.get("type");
        if typed.is_none_or(types::allows_null) {
            members.insert("type".into(), "null".into());
        }
    }
    type_choices(members);
    let Some(choices) = members.get_mut("enum") else { return false };
    let Value::Array(choices) = choices else {
        members.shift_remove("enum");
        return true;
    };
    let before = choices.len();
    choices.retain(|choice| !choice.is_null());
    if choices.len() == before && before > 0 {
        return false;
    }
    let mut kinds: Vec<&str> = Vec::new();
    for kind in choices.iter().map(types::of_value) {
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    let empty = choices.is_empty();
    if before > 0 && !members.contains_key("type") {
        kinds.push("null");
        let kind = if let [kind] = kinds.as_slice() { json!(kind) } else { json!(kinds) };
        members.insert("type".into(), kind);
    }
    if empty {
        members.shift_remove("enum");
    }
    before == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_reads(mut schema: Value, expected: &Value, lossy: bool) {
        let before = schema.to_string();
        assert_eq!((read(&mut schema), schema.to_string()), (lossy, expected.to_string()), "{before}");
        assert_eq!((read(&mut schema), &schema), (false, expected), "twice: {before}");
    }

    #[test]
    fn googles_dialect_is_read_everywhere() {
        assert_reads(
            json!({"type_": "OBJECT", "title": null, "nullable": null,
                   "properties": {"type_": {"type": "STRING", "max_length": "9"}, "any_of": {"any_of": [{"type": "Type.INTEGER"}, {"type": 7}]}},
                   "property_ordering": ["type_"], "additional_properties": {"type": "Number"},
                   "defs": {"A": {"type": "ARRAY", "items": {"ref": "#/defs/A"}, "min_items": "1"}}}),
            &json!({"type": "object",
                    "properties": {"type_": {"type": "string", "maxLength": 9}, "any_of": {"anyOf": [{"type": "integer"}, {"type": "null"}]}},
                    "propertyOrdering": ["type_"], "additionalProperties": {"type": "number"},
                    "$defs": {"A": {"type": "array", "items": {"$ref": "#/defs/A"}, "minItems": 1}}}),
            false,
        );
        assert_reads(json!({"type": "TYPE_UNSPECIFIED"}), &json!({}), false);
    }

    #[test]
    fn a_format_in_words_is_described() {
        assert_reads(
            json!({"type": "string", "format": "YYYY-MM-DD HH:mm", "description": "When."}),
            &json!({"type": "string", "description": "When. (format: YYYY-MM-DD HH:mm)"}),
            false,
        );
        assert_reads(json!({"type": "string", "format": " "}), &json!({"type": "string"}), false);
        let known = json!({"type": "string", "format": "date-time", "contentMediaType": "text/x.a+b"});
        assert_reads(known.clone(), &known, false);
    }

    #[test]
    fn what_is_no_number_is_left_out() {
        assert_reads(
            json!({"type": "array", "maxItems": "many", "minItems": 1}),
            &json!({"type": "array", "minItems": 1}),
            true,
        );
    }

    #[test]
    fn null_is_a_type_and_no_choice() {
        for (schema, expected, lossy) in [
            (
                json!({"type": ["string", "null"], "enum": ["a", null]}),
                json!({"type": ["string", "null"], "enum": ["a"]}),
                false,
            ),
            (
                json!({"enum": ["a", 1, null]}),
                json!({"enum": ["a", 1], "type": ["string", "integer", "null"]}),
                false,
            ),
            (
                json!({"enum": [null, "a"], "type": "string", "nullable": true}),
                json!({"enum": ["a"], "type": "string", "nullable": true}),
                false,
            ),
            (json!({"enum": [null]}), json!({"type": "null"}), false),
            (json!({"const": null}), json!({"type": "null"}), false),
            (json!({"type": "string", "enum": []}), json!({"type": "string"}), true),
            (json!({"default": null, "type": "string"}), json!({"default": null, "type": "string"}), false),
        ] {
            assert_reads(schema, &expected, lossy);
        }
    }
}
