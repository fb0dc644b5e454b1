//! The types of a normalised schema.

use serde_json::{Map, Value};

use super::super::{alternatives, types};

/// Returns the types that a schema allows, as it says or as its other words imply.
pub(super) fn kinds(schema: &Map<String, Value>) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::Array(kinds)) => return kinds.iter().filter_map(Value::as_str).collect(),
        Some(Value::String(kind)) => return vec![kind],
        _ => {}
    }
    if alternatives::is_object(schema) {
        return vec!["object"];
    }
    if schema.contains_key("items") || schema.contains_key("prefixItems") {
        return vec!["array"];
    }
    let mut kinds = Vec::new();
    for choice in schema.get("enum").and_then(Value::as_array).into_iter().flatten() {
        let kind = types::of_value(choice);
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    if kinds.is_empty() { vec!["string"] } else { kinds }
}

/// Returns the types that both allow.
pub(super) fn common_kinds(one: &Value, two: &Value) -> Option<Value> {
    let list = |kind: &Value| match kind {
        Value::Array(kinds) => kinds.clone(),
        kind => vec![kind.clone()],
    };
    let (one, two) = (list(one), list(two));
    let among = |kind: &Value, kinds: &[Value]| {
        kinds.contains(kind) || (kind == "integer" && kinds.iter().any(|kind| kind == "number"))
    };
    let mut common: Vec<Value> = one.iter().filter(|kind| among(kind, &two)).cloned().collect();
    common.extend(two.iter().filter(|kind| !one.contains(kind) && among(kind, &one)).cloned());
    match common.as_slice() {
        [] => None,
        [kind] => Some(kind.clone()),
        _ => Some(common.into()),
    }
}
