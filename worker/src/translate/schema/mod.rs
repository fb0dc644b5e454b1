//! JSON schemas, as Gemini understands them.
//!
//! In: whatever generators of schemas write. Out: the same meaning in the words that Gemini knows, keys in their order,
//! since the model sees it. Schemas come from strangers: the work is bounded, however their references are knotted.

mod legacy;
mod merge;
mod normaliser;
mod refs;
mod settled;

use serde_json::{Map, Value, json};

pub(super) use legacy::legacy;
use normaliser::pass;
use settled::is_settled;

/// A normalised schema.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Normalised {
    pub(super) schema: Value,
    /// Whether something could not be kept, such as a reference to another document.
    pub(super) lossy: bool,
}

/// The parameters of a function.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Parameters {
    /// None when the function takes no arguments: Gemini refuses an empty object.
    pub(super) schema: Option<Value>,
    /// Whether the caller's schema is no object and stands under `value` now.
    pub(super) wrapped: bool,
    pub(super) lossy: bool,
}

/// How often a schema with references is gone through at most.
const MOST_PASSES: usize = 4;

/// Normalises the schema of an answer.
pub(super) fn normalise(schema: Value) -> Normalised {
    if is_settled(&schema) {
        return Normalised { schema, lossy: false };
    }
    let mut result = pass(&schema);
    // What referred to itself may do so no longer, once what cannot be said to Gemini is gone.
    for _ in 0..MOST_PASSES {
        if result.schema.get("$defs").is_none() {
            break;
        }
        let again = pass(&result.schema);
        let settled = again.schema == result.schema;
        result = Normalised { lossy: result.lossy | again.lossy, ..again };
        if settled {
            break;
        }
    }
    result
}

/// Normalises the schema of a function's parameters, which must be an object.
pub(super) fn parameters(schema: Value) -> Parameters {
    let Normalised { mut schema, lossy } = normalise(schema);
    if schema.as_object_mut().is_some_and(merge::root_alternatives) {
        // What only a part that is gone referred to goes too.
        schema = normalise(schema).schema;
    }
    let Value::Object(mut root) = schema else {
        // `true` or `false`: anything, so nothing in particular.
        return Parameters { schema: None, wrapped: false, lossy };
    };
    // Back at the end when all else is said: the model sees the order.
    let definitions = root.shift_remove("$defs");
    let is_object = match root.get("type") {
        None => true,
        Some(Value::Array(types)) => types.iter().any(|kind| kind == "object"),
        Some(kind) => kind == "object",
    };
    let wrapped = !is_object || root.contains_key("$ref") || root.contains_key("anyOf");
    if wrapped {
        let value = std::mem::take(&mut root);
        root.insert("type".into(), "object".into());
        root.insert("properties".into(), json!({ "value": value }));
        root.insert("required".into(), json!(["value"]));
    }
    let takes_nothing = root.get("properties").and_then(Value::as_object).is_none_or(Map::is_empty)
        && root.get("additionalProperties").is_none_or(|more| more == &Value::Bool(false));
    if takes_nothing {
        return Parameters { schema: None, wrapped: false, lossy };
    }
    if let Some(kind) = root.get_mut("type") {
        *kind = "object".into();
    } else {
        root.shift_insert(0, "type".into(), "object".into());
    }
    if let Some(definitions) = definitions {
        root.insert("$defs".into(), definitions);
    }
    Parameters { schema: Some(Value::Object(root)), wrapped, lossy }
}

/// Takes away the rules that make a schema too large for Gemini to enforce.
pub(super) fn loosen(schema: &mut Value) {
    for_each(schema, &mut |schema| {
        for rule in ["enum", "minItems", "maxItems", "pattern"] {
            schema.shift_remove(rule);
        }
    });
}

/// Tells the order of properties in words, for models that do not keep it otherwise.
pub(super) fn tell_order(schema: &mut Value) {
    for_each(schema, &mut |schema| {
        let names =
            schema.get("properties").and_then(Value::as_object).map(|names| names.keys().cloned().collect());
        if let Some(names) = names.filter(|names: &Vec<String>| names.len() > 1)
            && !schema.contains_key("propertyOrdering")
        {
            schema.insert("propertyOrdering".into(), names.into());
        }
    });
}

/// Every schema within a normalised schema, itself included.
fn for_each(schema: &mut Value, change: &mut impl FnMut(&mut Map<String, Value>)) {
    let Value::Object(schema) = schema else { return };
    change(schema);
    for (key, value) in schema {
        match (key.as_str(), value) {
            ("properties" | "$defs" | "patternProperties", Value::Object(members)) => {
                for (_, member) in members {
                    for_each(member, change);
                }
            }
            ("anyOf" | "prefixItems", Value::Array(items)) => {
                for item in items {
                    for_each(item, change);
                }
            }
            ("items" | "additionalProperties", value) => for_each(value, change),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
