//! `anyOf` beside the properties of an object.
//!
//! Gemini has no way to express alternatives that only say which properties belong together. They are
//! removed without changing the object's properties.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value, json};

use super::{merge, types};

/// How deep alternatives of alternatives are looked at.
const DEEPEST: usize = 8;
/// How many alternatives are looked at.
const MAX_BRANCHES: usize = 1_000;
/// How many different schemas of one property are kept.
const MAX_VARIANTS: usize = 64;
/// How many required names are looked at.
const MAX_NAMES: usize = 100_000;

/// Returns `true` if the schema says that it is an object's, or can only be one's.
pub(super) fn is_object(schema: &Map<String, Value>) -> bool {
    match schema.get("type") {
        None => ["properties", "patternProperties", "additionalProperties"]
            .iter()
            .any(|word| schema.get(*word).is_some_and(|value| value != &Value::Bool(false))),
        Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == "object"),
        Some(kind) => kind == "object",
    }
}

/// Returns `true` if a schema says nothing about what an object looks like, but only when it is a good one.
fn is_condition(schema: &Value) -> bool {
    const SHAPES: [&str; 7] =
        ["properties", "patternProperties", "$ref", "anyOf", "enum", "items", "prefixItems"];
    let typed = schema.get("type").is_none_or(|kind| kind == "object");
    typed && SHAPES.iter().all(|word| schema.get(*word).is_none())
}

/// Returns `true` if an object has alternatives, all of which are conditions.
pub(super) fn are_only_conditions(schema: &Map<String, Value>) -> bool {
    let Some(Value::Array(branches)) = schema.get("anyOf") else { return false };
    !branches.is_empty() && branches.iter().all(is_condition) && is_object(schema)
}

/// Takes such alternatives away; what all of them require is required. `written` are the alternatives as the client wrote
/// them, where that is known. Whether anything was lost.
pub(super) fn drop_conditions(schema: &mut Map<String, Value>, written: Option<&Value>) -> bool {
    schema.shift_remove("anyOf");
    let Some(written) = written.and_then(Value::as_array) else { return true };
    let objects: Vec<&Map<String, Value>> = written.iter().filter_map(Value::as_object).collect();
    if objects.len() == written.len() {
        let required = required_by_all(objects.iter().map(|branch| Vec::from_iter(branch.get("required"))));
        if !required.is_empty() {
            merge::into(schema, json!({ "required": required }));
        }
    }
    let says_nothing = |key: &String| matches!(key.as_str(), "type" | "description" | "title");
    objects.iter().any(|branch| !branch.keys().all(says_nothing))
}

/// Returns the names that are in one of the lists of each alternative, in the order of the first one.
fn required_by_all<'s>(branches: impl Iterator<Item = Vec<&'s Value>>) -> Vec<&'s str> {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    let mut first = Vec::new();
    let (mut number, mut steps) = (0, 0);
    for lists in branches {
        let names: HashSet<&str> =
            lists.iter().filter_map(|list| list.as_array()).flatten().filter_map(Value::as_str).collect();
        if number == 0 {
            first =
                lists.iter().filter_map(|list| list.as_array()).flatten().filter_map(Value::as_str).collect();
        }
        number += 1;
        steps += names.len();
        if steps > MAX_NAMES {
            return Vec::new();
        }
        for name in names {
            *counts.entry(name).or_default() += 1;
        }
    }
    first.retain(|name| counts.remove(name) == Some(number));
    first
}

/// One alternative of a root.
struct Branch<'s> {
    schema: &'s Map<String, Value>,
    /// Lists of names that it requires; none where it is only beside the alternatives that count.
    required: Option<Vec<&'s Value>>,
}

/// Returns a function's parameters must be one object: alternatives between objects become one object with all of their
/// properties, of which those are required that every alternative requires. Whether there was anything to do.
pub(super) fn merge_into_root(root: &mut Map<String, Value>, definitions: Option<&Value>) -> bool {
    let Some(Value::Array(branches)) = root.get("anyOf") else { return false };
    let mut objects = Vec::new();
    let mut all_objects = true;
    for branch in branches {
        all_objects &= gather(branch, &[], definitions, DEEPEST, &mut objects);
    }
    // Beside properties, what is no object can never be.
    if objects.is_empty() || !(all_objects || is_object(root)) {
        return false;
    }
    let mut merged = Map::new();
    merged.insert("type".into(), "object".into());
    for word in ["properties", "patternProperties"] {
        let mut members = Map::new();
        for Branch { schema, .. } in &objects {
            for (name, schema) in schema.get(word).and_then(Value::as_object).into_iter().flatten() {
                match members.get_mut(name) {
                    None => {
                        members.insert(name.clone(), schema.clone());
                    }
                    Some(known) => either(known, schema),
                }
            }
        }
        if !members.is_empty() {
            merged.insert(word.into(), Value::Object(members));
        }
    }
    let free = objects.iter().find_map(|branch| {
        branch.schema.get("additionalProperties").filter(|more| **more != Value::Bool(false))
    });
    merged.extend(free.map(|more| ("additionalProperties".to_owned(), more.clone())));
    let required = required_by_all(objects.iter().filter_map(|branch| branch.required.clone()));
    if !required.is_empty() {
        merged.insert("required".into(), json!(required));
    }
    root.shift_remove("anyOf");
    if let Some(kind) = root.get_mut("type") {
        *kind = "object".into();
    }
    merge::into(root, Value::Object(merged));
    true
}

/// Collects the objects among alternatives, and those of alternatives among them. Whether there is nothing else but
/// `null`.
fn gather<'s>(
    branch: &'s Value,
    beside: &[&'s Value],
    definitions: Option<&'s Value>,
    depth: usize,
    objects: &mut Vec<Branch<'s>>,
) -> bool {
    let Value::Object(schema) = branch else { return false };
    if depth == 0 || objects.len() >= MAX_BRANCHES {
        return false;
    }
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        let name = reference.strip_prefix("#/$defs/");
        let target = name.and_then(|name| definitions?.get(name));
        return target.is_some_and(|target| gather(target, beside, definitions, depth - 1, objects));
    }
    if schema.get("type").is_some_and(|kind| kind == "null") {
        return true;
    }
    let required: Vec<&Value> = beside.iter().copied().chain(schema.get("required")).collect();
    if let Some(branches) = schema.get("anyOf").and_then(Value::as_array) {
        objects.push(Branch { schema, required: None });
        return branches.iter().all(|branch| gather(branch, &required, definitions, depth - 1, objects));
    }
    let fits = is_object(schema) || is_condition(branch);
    if fits {
        objects.push(Branch { schema, required: Some(required) });
    }
    fits
}

/// Makes a schema of one alternative hold for that of another one too.
fn either(known: &mut Value, other: &Value) {
    // What says nothing leaves the word to what says something.
    if known == other || says_nothing(other) {
        return;
    }
    if says_nothing(known) {
        *known = other.clone();
        return;
    }
    if let (Value::Object(one), Value::Object(two)) = (&mut *known, other)
        && same_but_for_choices(one, two)
        && let (Some(Value::Array(choices)), Some(Value::Array(more))) =
            (one.get_mut("enum"), two.get("enum"))
    {
        for choice in more {
            if !choices.contains(choice) {
                choices.push(choice.clone());
            }
        }
        return;
    }
    let lone = known.as_object().is_some_and(|known| known.len() == 1);
    if let Some(Value::Array(branches)) = known.get_mut("anyOf").filter(|_| lone) {
        if branches.len() < MAX_VARIANTS && !branches.contains(other) {
            branches.push(other.clone());
        }
        return;
    }
    *known = json!({ "anyOf": [known, other] });
}

fn says_nothing(schema: &Value) -> bool {
    let words = |schema: &Map<String, Value>| {
        schema.keys().all(|key| matches!(key.as_str(), "description" | "title" | "default"))
    };
    schema.as_object().is_none_or(words)
}

/// Returns the same kind of choice, of other values: descriptions may differ.
fn same_but_for_choices(one: &Map<String, Value>, two: &Map<String, Value>) -> bool {
    let said = |schema: &Map<String, Value>| {
        schema
            .iter()
            .filter(|(key, _)| !matches!(key.as_str(), "enum" | "description" | "title" | "default"))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect::<Map<_, _>>()
    };
    said(one) == said(two)
}

/// Returns `true` if a root whose type is not told can be an object at all.
pub(super) fn may_be_object(root: &Map<String, Value>) -> bool {
    if root.contains_key("$ref") || root.contains_key("anyOf") {
        return false;
    }
    if root.contains_key("type") || is_object(root) {
        return is_object(root);
    }
    let choices = root.get("enum").and_then(Value::as_array);
    choices.is_none_or(|choices| choices.iter().any(|choice| types::of_value(choice) == "object"))
        && !root.contains_key("items")
        && !root.contains_key("prefixItems")
}
