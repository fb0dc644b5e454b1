//! JSON Schema in the form that Gemini accepts.
//!
//! The meaning and the order of keys are preserved, because the model sees them. Schemas are untrusted:
//! the work is bounded, whatever their references are.

mod alternatives;
mod bounds;
mod dialect;
mod legacy;
mod members;
mod merge;
mod normaliser;
mod refs;
mod richness;
mod scopes;
mod settled;
mod shape;
mod types;

use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

pub(crate) use bounds::{keep_within_budget, loosen, unbind};
pub(crate) use legacy::{legacy, legacy_parameters};
use normaliser::pass;
pub(crate) use richness::Richness;
use settled::is_settled;
pub(crate) use shape::{Shape, answer_to_client};

use crate::json::escape;

/// A normalised schema.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Normalised {
    pub(crate) schema: Value,
    /// Whether something could not be kept, such as a reference to another document.
    pub(crate) lossy: bool,
}

/// The parameters of a function.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Parameters {
    /// None when the function takes no arguments: Gemini rejects an empty object.
    pub(crate) schema: Option<Value>,
    /// Whether the client's schema is no object and is under `value` now.
    pub(crate) wrapped: bool,
    pub(crate) lossy: bool,
}

/// What the client's schema is under where it is no object.
pub(crate) const WRAPPER: &str = "value";

/// How often a schema with references is gone through at most.
const MAX_PASSES: usize = 4;

/// Reads a schema.
///
/// # Errors
/// In words for the client: what is wrong with it.
pub(crate) fn read(raw: &RawValue) -> Result<Value, String> {
    let schema: Value = serde_json::from_str(&escape::well_formed_text(raw.get())).map_err(|error| {
        let words = error.to_string();
        let what = words.rsplit_once(" at line ").map_or(words.as_str(), |(what, _)| what);
        if what.contains("recursion limit") { "nested too deeply".to_owned() } else { what.to_owned() }
    })?;
    // Some clients send the schema as a text.
    let inside = schema.as_str().and_then(|text| serde_json::from_str(text).ok());
    Ok(inside.filter(Value::is_object).unwrap_or(schema))
}

/// Normalises the schema of a response.
pub(crate) fn normalise(mut schema: Value) -> Normalised {
    let mut lossy = dialect::read(&mut schema);
    if is_settled(&schema) {
        return Normalised { schema, lossy };
    }
    scopes::resolve(&mut schema);
    // References may lead to what is no schema by its place.
    for path in refs::targets(&schema) {
        lossy |= schema.pointer_mut(&path).is_some_and(dialect::read);
    }
    let mut result = pass(&schema);
    result.lossy |= lossy;
    // What referred to itself may do so no longer, once what cannot be said to Gemini is gone.
    for _ in 0..MAX_PASSES {
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
pub(crate) fn parameters(schema: Value) -> Parameters {
    let says_nothing = schema.is_null() || schema.is_boolean() || schema.as_str().is_some_and(str::is_empty);
    let is_nonsense = !schema.is_object() && !says_nothing;
    let Normalised { mut schema, mut lossy } = normalise(schema);
    lossy |= is_nonsense;
    let merged = schema.as_object_mut().is_some_and(|root| {
        let definitions = root.get("$defs").cloned();
        alternatives::merge_into_root(root, definitions.as_ref())
    });
    if merged {
        // What only a part that is gone referred to goes too.
        let again = normalise(schema);
        lossy |= again.lossy;
        schema = again.schema;
    }
    let Value::Object(mut root) = schema else {
        // `true` or `false`: anything, so nothing in particular.
        return Parameters { schema: None, wrapped: false, lossy };
    };
    // Back at the end when all else is said: the model sees the order.
    let definitions = root.shift_remove("$defs");
    let wrapped = !alternatives::may_be_object(&root);
    if wrapped {
        let value = std::mem::take(&mut root);
        root.insert("type".into(), "object".into());
        root.insert("properties".into(), json!({ (WRAPPER): value }));
        root.insert("required".into(), json!([WRAPPER]));
    }
    let none = |word: &str| root.get(word).and_then(Value::as_object).is_none_or(Map::is_empty);
    let takes_nothing = none("properties")
        && none("patternProperties")
        && root.get("additionalProperties").is_none_or(|more| more == &Value::Bool(false));
    if takes_nothing {
        return Parameters { schema: None, wrapped: false, lossy };
    }
    if let Some(kind) = root.get_mut("type") {
        let mut kinds = kind.as_array().into_iter().flatten();
        lossy |= kinds.any(|kind| kind != "object" && kind != "null");
        *kind = "object".into();
    } else {
        root.shift_insert(0, "type".into(), "object".into());
    }
    if let Some(definitions) = definitions {
        root.insert("$defs".into(), definitions);
    }
    Parameters { schema: Some(Value::Object(root)), wrapped, lossy }
}

/// Tells the order of properties in words, for models that do not keep it otherwise.
pub(crate) fn tell_order(schema: &mut Value) {
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
