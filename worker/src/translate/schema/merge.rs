//! Several schemas into one.

use serde_json::{Map, Value};

/// Adds a schema of `allOf` to the schema that it stands in. What is there already wins; properties and requirements of
/// both count.
pub(super) fn into(base: &mut Map<String, Value>, part: Value) {
    let Value::Object(part) = part else { return };
    // Nothing can stand beside a reference.
    if base.contains_key("$ref") || (part.contains_key("$ref") && !base.is_empty()) {
        return;
    }
    for (key, value) in part {
        match (base.get_mut(&key), value) {
            (None, value) => {
                base.insert(key, value);
            }
            (Some(Value::Object(known)), Value::Object(more)) if key == "properties" => {
                for (name, schema) in more {
                    match (known.get_mut(&name), schema) {
                        (None, schema) => {
                            known.insert(name, schema);
                        }
                        (Some(Value::Object(known)), schema) => into(known, schema),
                        _ => {}
                    }
                }
            }
            (Some(Value::Array(known)), Value::Array(more)) if key == "required" => {
                for name in more {
                    if !known.contains(&name) {
                        known.push(name);
                    }
                }
            }
            _ => {}
        }
    }
}

/// A function's parameters must be one object: alternatives between objects become one object with all of their
/// properties, of which those are required that every alternative requires. Whether there was anything to do.
pub(super) fn root_alternatives(root: &mut Map<String, Value>) -> bool {
    let Some(Value::Array(branches)) = root.get("anyOf") else { return false };
    let object = |branch: &Value| {
        branch.get("$ref").is_none()
            && branch.get("anyOf").is_none()
            && branch.get("type").map_or_else(|| branch.get("properties").is_some(), |kind| kind == "object")
    };
    let null = |branch: &Value| branch.get("type").is_some_and(|kind| kind == "null");
    let objects: Vec<&Value> = branches.iter().filter(|branch| !null(branch)).collect();
    if objects.is_empty() || !objects.iter().all(|branch| object(branch)) {
        return false;
    }
    let required_by_all = |name: &Value| {
        objects.iter().all(|branch| {
            branch.get("required").and_then(Value::as_array).is_some_and(|required| required.contains(name))
        })
    };
    let first = objects.first().and_then(|branch| branch.get("required")).and_then(Value::as_array);
    let required: Vec<Value> =
        first.into_iter().flatten().filter(|name| required_by_all(name)).cloned().collect();
    let mut properties = Map::new();
    for branch in &objects {
        for (name, schema) in branch.get("properties").and_then(Value::as_object).into_iter().flatten() {
            properties.entry(name.clone()).or_insert_with(|| schema.clone());
        }
    }
    root.shift_remove("anyOf");
    let mut merged = Map::new();
    merged.insert("type".into(), "object".into());
    merged.insert("properties".into(), Value::Object(properties));
    if !required.is_empty() {
        merged.insert("required".into(), Value::Array(required));
    }
    into(root, Value::Object(merged));
    true
}
