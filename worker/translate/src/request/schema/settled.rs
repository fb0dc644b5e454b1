//! Detection of schemas that are normalised already, which need no copy: most are. Returns `true` only if
//! [`super::normaliser::pass`] would return the same schema.

use serde_json::{Map, Value};

use super::alternatives;
use super::dialect::has_twins;
use super::normaliser::{holds_schema, is_condition, is_noise};

/// See the module. When in doubt it is false.
pub(super) fn is_settled(schema: &Value) -> bool {
    match schema {
        Value::Object(members) => {
            !alternatives::are_only_conditions(members)
                && members.iter().all(|(key, value)| is_settled_member(members, key, value))
        }
        Value::Bool(_) => true,
        _ => false,
    }
}

fn is_settled_member(schema: &Map<String, Value>, key: &str, value: &Value) -> bool {
    // `true` and `false` do not stay among alternatives and properties.
    let object = |schema: &Value| schema.is_object() && is_settled(schema);
    match key {
        "$ref" | "allOf" | "oneOf" | "const" | "exclusiveMinimum" | "exclusiveMaximum" => false,
        "anyOf" => {
            value.as_array().is_some_and(|branches| !branches.is_empty() && branches.iter().all(object))
        }
        "prefixItems" => value.as_array().is_some_and(|items| items.iter().all(is_settled)),
        "properties" | "patternProperties" => {
            value.as_object().is_some_and(|members| members.values().all(object))
        }
        "required" => {
            let properties = schema.get("properties").and_then(Value::as_object);
            let is_there = |name: &Value| Some(properties?.contains_key(name.as_str()?));
            value.as_array().is_some_and(|names| {
                names.iter().all(|name| is_there(name) == Some(true)) && !has_twins(names)
            })
        }
        key if holds_schema(key) => is_settled(value),
        key => !is_noise(key) && !is_condition(key) && !mentions_reference(value),
    }
}

/// Even where it is none, a pass looks at what reads like a reference.
fn mentions_reference(value: &Value) -> bool {
    match value {
        Value::Object(members) => members.contains_key("$ref") || members.values().any(mentions_reference),
        Value::Array(items) => items.iter().any(mentions_reference),
        _ => false,
    }
}
