//! Members of one schema after reading: limits within Gemini's range, `null` among the types, and no
//! missing property among the required ones.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::dialect;

/// Gemini knows no exclusive limits: among whole numbers the next one is meant, among others the difference is none.
pub(super) fn exclusive_limits(schema: &Map<String, Value>, out: &mut Map<String, Value>) {
    let whole = schema.get("type").is_some_and(|kind| kind == "integer");
    for (exclusive, inclusive, step) in
        [("exclusiveMinimum", "minimum", 1), ("exclusiveMaximum", "maximum", -1)]
    {
        let limit = match schema.get(exclusive) {
            // The fourth draft's way: a flag beside the limit.
            Some(Value::Bool(true)) => schema.get(inclusive),
            Some(limit @ Value::Number(_)) => Some(limit),
            _ => None,
        };
        let Some(limit) = limit else { continue };
        let limit = match limit.as_i64().filter(|_| whole) {
            Some(number) => json!(number.saturating_add(step)),
            None => limit.clone(),
        };
        let (old, new) = (out.get(inclusive).and_then(Value::as_f64), limit.as_f64());
        let narrower = match (old, new) {
            (Some(old), Some(new)) => {
                if step > 0 {
                    new > old
                } else {
                    new < old
                }
            }
            _ => true,
        };
        if narrower {
            out.insert(inclusive.into(), limit);
        }
    }
}

/// `OpenAPI`'s `nullable`, in the words of JSON schema.
pub(super) fn nullable(schema: &Map<String, Value>, out: &mut Map<String, Value>) {
    if schema.get("nullable") != Some(&Value::Bool(true)) {
        return;
    }
    if let Some(kind) = out.get_mut("type") {
        match kind {
            Value::String(name) if name != "null" => *kind = json!([name, "null"]),
            Value::Array(kinds) if !kinds.iter().any(|kind| kind == "null") => kinds.push("null".into()),
            _ => {}
        }
    } else if let Some(Value::Array(branches)) = out.get_mut("anyOf") {
        let null = json!({"type": "null"});
        if !branches.contains(&null) {
            branches.push(null);
        }
    }
}

/// Nothing can be required that is not there.
pub(super) fn tidy(schema: &mut Map<String, Value>) {
    let names: HashSet<String> = schema
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flat_map(|names| names.keys().cloned())
        .collect();
    let emptied = match schema.get_mut("required") {
        None => false,
        Some(Value::Array(required)) => {
            let before = required.len();
            required.retain(|name| name.as_str().is_some_and(|name| names.contains(name)));
            dialect::drop_twins(required);
            required.is_empty() && before > 0
        }
        Some(_) => true,
    };
    if emptied {
        schema.shift_remove("required");
    }
}
