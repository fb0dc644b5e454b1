//! The older schema channel: the `OpenAPI` subset of `parameters` and `responseSchema`, which returns 400
//! for every unknown keyword.
//!
//! Converts a normalised schema to the nearest form of the subset, with the shape by which values are
//! converted back to the client's declaration.

mod kinds;

use serde_json::{Map, Value, json};

use super::bounds::{SIZES, describe};
use super::shape::{Shape, WHOLE};
use super::{alternatives, merge, types};
use kinds::{common_kinds, kinds};

/// How often a recursive definition is put in place of itself.
const DEEPEST_RECURSION: usize = 3;
/// How many nodes there may be; what is beyond becomes text.
const MAX_NODES: usize = 5_000;
/// How many values an `enum` may have, and how long they may be, that a description tells.
const MAX_LISTED_VALUES: usize = 50;
const MAX_LISTED_CHARS: usize = 1_000;

/// Words of the subset that stay as they are.
const TEXTS: [&str; 3] = ["title", "description", "pattern"];

/// A schema in the older way.
#[derive(Debug)]
pub(crate) struct Older {
    pub(crate) schema: Value,
    /// How what is written by it differs from what the client declared.
    pub(crate) shape: Shape,
    /// Whether something could be told in words only, or not at all.
    pub(crate) lossy: bool,
}

/// Converts a normalised schema.
pub(crate) fn legacy(schema: &Value) -> Older {
    let mut converter = Converter { root: schema, inside: Vec::new(), nodes: 0, lossy: false };
    let (older, shape) = converter.schema(schema);
    Older { schema: Value::Object(older), shape, lossy: converter.lossy }
}

/// Converts the normalised schema of a function's parameters, which stay an object: one without properties has one, a
/// text that holds all of it.
pub(crate) fn legacy_parameters(schema: &Value) -> Older {
    let named = schema.get("properties").and_then(Value::as_object).is_some_and(|names| !names.is_empty());
    if named {
        return legacy(schema);
    }
    let mut root = object(json!({"type": "object", "properties": {
        WHOLE: {"type": "string", "description": "All arguments as one JSON-encoded object"}}}));
    root.extend(schema.get("description").map(|told| ("description".to_owned(), told.clone())));
    Older { schema: Value::Object(root), shape: Shape::Whole, lossy: true }
}

struct Converter<'s> {
    root: &'s Value,
    /// The references that are being put in place, outermost first.
    inside: Vec<String>,
    nodes: usize,
    lossy: bool,
}

/// A converted schema, and how what is written by it differs.
type Converted = (Map<String, Value>, Shape);

fn any() -> Converted {
    (object(json!({"type": "string"})), Shape::Same)
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

impl Converter<'_> {
    fn schema(&mut self, schema: &Value) -> Converted {
        self.nodes += 1;
        let Value::Object(schema) = schema else { return any() };
        if self.nodes > MAX_NODES {
            return self.free_object(schema.get("description"));
        }
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            return self.reference(reference, schema, &Map::new());
        }
        if let Some(branches) = schema.get("anyOf").and_then(Value::as_array) {
            return self.alternatives(schema, branches);
        }
        let kinds = kinds(schema);
        // Anything at all has to be written as a text there.
        self.lossy |= !schema.contains_key("type") && !schema.contains_key("enum") && kinds == ["string"];
        let nullable = kinds.contains(&"null") && kinds.len() > 1;
        let kinds: Vec<&str> = kinds.into_iter().filter(|kind| !nullable || *kind != "null").collect();
        let (mut out, shape) = match kinds.as_slice() {
            [] => any(),
            [kind] => self.of_kind(schema, kind),
            kinds => self.several_kinds(schema, kinds),
        };
        if nullable {
            out.insert("nullable".into(), true.into());
        }
        (out, shape)
    }

    /// Objects without properties are rejected, so that a free one travels as text.
    fn free_object(&mut self, description: Option<&Value>) -> Converted {
        self.lossy = true;
        let words = match description.and_then(Value::as_str) {
            Some(description) => format!("{description} (JSON-encoded object)"),
            None => "JSON-encoded object".to_owned(),
        };
        (object(json!({"type": "string", "description": words})), Shape::Text)
    }

    fn reference(
        &mut self,
        reference: &str,
        beside: &Map<String, Value>,
        own: &Map<String, Value>,
    ) -> Converted {
        let target = reference.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer));
        let again = self.inside.iter().filter(|inside| *inside == reference).count();
        let Some(target) = target.filter(|_| again < DEEPEST_RECURSION && self.has_room_for(own)) else {
            return self.free_object(beside.get("description"));
        };
        self.inside.push(reference.to_owned());
        let (mut converted, shape) = match target {
            Value::Object(target) if !own.is_empty() && self.has_room_for(target) => {
                self.with_own(target, own).unwrap_or_else(any)
            }
            target => self.schema(target),
        };
        self.inside.pop();
        if let Some(description) = beside.get("description") {
            converted.insert("description".into(), description.clone());
        }
        (converted, shape)
    }

    /// `anyOf`, beside which nothing else may be: `null` becomes a flag, and the rest goes into the branches.
    fn alternatives(&mut self, schema: &Map<String, Value>, branches: &[Value]) -> Converted {
        let is_null = |branch: &&Value| branch.get("type").is_some_and(|kind| kind == "null");
        let beside = |key: &str| matches!(key, "anyOf" | "description" | "default" | "$defs");
        let own: Map<String, Value> = schema
            .iter()
            .filter(|(key, _)| !beside(key))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        let mut converted: Vec<Converted> = Vec::new();
        for branch in branches.iter().filter(|branch| !is_null(branch)) {
            let branch = match branch {
                branch if own.is_empty() => Some(self.schema(branch)),
                Value::Object(branch) => match branch.get("$ref").and_then(Value::as_str) {
                    Some(reference) => Some(self.reference(reference, branch, &own)),
                    None => self.with_own(branch, &own),
                },
                _ => Some(self.schema(&Value::Object(own.clone()))),
            };
            if let Some(branch) = branch.filter(|branch| !converted.contains(branch)) {
                converted.push(branch);
            }
        }
        if converted.is_empty() && !own.is_empty() {
            converted.push(self.schema(&Value::Object(own)));
        }
        let nullable = branches.iter().any(|branch| is_null(&branch));
        let (mut out, shape) = match converted.len() {
            0 => any(),
            1 => converted.pop().unwrap_or_default(),
            _ => {
                let (branches, shapes): (Vec<_>, Vec<_>) = converted.into_iter().unzip();
                let branches = branches.into_iter().map(Value::Object).collect();
                (Map::from_iter([("anyOf".to_owned(), branches)]), Shape::any_of(shapes))
            }
        };
        if let Some(description) = schema.get("description").filter(|told| told.is_string()) {
            // What a text means must not be lost.
            let told = out.get("description").and_then(Value::as_str).unwrap_or_default();
            let as_text = shape == Shape::Text && told.ends_with("JSON-encoded object");
            if as_text && told == "JSON-encoded object" {
                out.insert("description".into(), description.clone());
                describe(&mut out, "JSON-encoded object");
            } else if !as_text {
                out.shift_insert(0, "description".into(), description.clone());
            }
        }
        if nullable {
            out.insert("nullable".into(), true.into());
        }
        (out, shape)
    }

    /// Returns a branch together with what is beside the alternatives; none if the two contradict each other.
    fn with_own(&mut self, branch: &Map<String, Value>, own: &Map<String, Value>) -> Option<Converted> {
        if !self.has_room_for(own) {
            return Some(self.free_object(branch.get("description")));
        }
        let mut merged = branch.clone();
        if let (Some(one), Some(two)) = (branch.get("type"), own.get("type")) {
            merged.insert("type".into(), common_kinds(one, two)?);
        } else if !branch.contains_key("type") && !own.contains_key("type") && alternatives::is_object(own) {
            merged.insert("type".into(), "object".into());
        }
        self.lossy |= merge::into(&mut merged, Value::Object(own.clone()));
        Some(self.schema(&Value::Object(merged)))
    }

    /// Counts what is about to be copied.
    fn has_room_for(&mut self, schema: &Map<String, Value>) -> bool {
        for value in schema.values() {
            count(value, &mut self.nodes);
        }
        self.nodes <= MAX_NODES
    }

    fn several_kinds(&mut self, schema: &Map<String, Value>, kinds: &[&str]) -> Converted {
        let mut converted: Vec<Converted> = Vec::new();
        for kind in kinds {
            let (mut branch, shape) = self.of_kind(schema, kind);
            if shape != Shape::Text {
                only_own_words(&mut branch, schema);
            }
            if !converted.contains(&(branch.clone(), shape.clone())) {
                converted.push((branch, shape));
            }
        }
        let (branches, shapes): (Vec<_>, Vec<_>) = converted.into_iter().unzip();
        let mut out = Map::new();
        out.extend(schema.get("description").map(|text| ("description".to_owned(), text.clone())));
        out.insert("anyOf".into(), branches.into_iter().map(Value::Object).collect());
        (out, Shape::any_of(shapes))
    }

    fn of_kind(&mut self, schema: &Map<String, Value>, kind: &str) -> Converted {
        let mut out = Map::new();
        out.insert("type".into(), kind.into());
        for (key, value) in schema {
            let kept = (TEXTS.contains(&key.as_str()) && value.is_string())
                || (SIZES.contains(&key.as_str()) && value.is_number());
            if kept {
                out.insert(key.clone(), value.clone());
            }
        }
        self.choices(schema, kind, &mut out);
        let formats: &[&str] = match kind {
            "string" if !out.contains_key("enum") => &["enum", "date-time"],
            "integer" | "number" => &["int32", "int64", "float", "double"],
            _ => &[],
        };
        if let Some(format) =
            schema.get("format").filter(|format| formats.iter().any(|known| *format == known))
        {
            out.insert("format".into(), format.clone());
        }
        match kind {
            "array" => self.elements(schema, out),
            "object" => self.members(schema, out),
            "integer" => (out, Shape::Scalar("integer")),
            "number" => (out, Shape::Scalar("number")),
            "boolean" => (out, Shape::Scalar("boolean")),
            "null" => {
                out.insert("type".into(), "string".into());
                out.insert("nullable".into(), true.into());
                (out, Shape::Scalar("null"))
            }
            _ => (out, Shape::Same),
        }
    }

    /// `enum`, whose members are texts there and no empty ones. Of other types, the type matters more than the choice,
    /// which goes into the description.
    fn choices(&mut self, schema: &Map<String, Value>, kind: &str, out: &mut Map<String, Value>) {
        let Some(choices) = schema.get("enum").and_then(Value::as_array) else { return };
        let of_kind = |choice: &&Value| {
            let found = types::of_value(choice);
            found == kind || (found == "integer" && kind == "number")
        };
        let choices = choices.iter().filter(of_kind);
        if kind == "string" {
            let choices: Vec<Value> = choices.filter(|choice| *choice != "").cloned().collect();
            if !choices.is_empty() {
                out.insert("enum".into(), choices.into());
            }
            return;
        }
        let mut told: Vec<String> = choices.take(MAX_LISTED_VALUES + 1).map(ToString::to_string).collect();
        if let Some(one_more) = told.get_mut(MAX_LISTED_VALUES) {
            "…".clone_into(one_more);
        }
        let told = told.join(", ");
        self.lossy = true;
        if !told.is_empty() && told.len() <= MAX_LISTED_CHARS {
            describe(out, &format!("one of: {told}"));
        }
    }

    /// Returns a list. That of a tuple may hold at every place what the tuple holds at any.
    fn elements(&mut self, schema: &Map<String, Value>, mut out: Map<String, Value>) -> Converted {
        let tuple =
            schema.get("prefixItems").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let rest = schema.get("items").filter(|items| items.is_object());
        let mut converted: Vec<Converted> = Vec::new();
        for items in tuple.iter().chain(rest) {
            let items = self.schema(items);
            if !converted.contains(&items) {
                converted.push(items);
            }
        }
        self.lossy |= converted.len() != 1;
        let (items, shape) = match converted.len() {
            0 => any(),
            1 => converted.pop().unwrap_or_default(),
            _ => {
                let (branches, shapes): (Vec<_>, Vec<_>) = converted.into_iter().unzip();
                let branches = branches.into_iter().map(Value::Object).collect();
                (Map::from_iter([("anyOf".to_owned(), branches)]), Shape::any_of(shapes))
            }
        };
        out.insert("items".into(), Value::Object(items));
        (out, Shape::list(shape))
    }

    fn members(&mut self, schema: &Map<String, Value>, mut out: Map<String, Value>) -> Converted {
        let mut properties = Map::new();
        let mut shapes = Vec::new();
        for (name, member) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let (member, shape) = self.schema(member);
            properties.insert(name.clone(), Value::Object(member));
            shapes.push((name.clone(), shape));
        }
        if properties.is_empty() {
            return self.free_object(out.get("description"));
        }
        for (word, key) in [("required", "required"), ("propertyOrdering", "propertyOrdering")] {
            let names = schema.get(word).and_then(Value::as_array).into_iter().flatten();
            let names: Vec<Value> = names
                .filter(|name| name.as_str().is_some_and(|name| properties.contains_key(name)))
                .cloned()
                .collect();
            if !names.is_empty() {
                out.insert(key.into(), names.into());
            }
        }
        out.insert("properties".into(), Value::Object(properties));
        (out, Shape::object(shapes))
    }
}

fn count(value: &Value, nodes: &mut usize) {
    *nodes += 1;
    if *nodes > MAX_NODES {
        return;
    }
    match value {
        Value::Object(members) => members.values().for_each(|member| count(member, nodes)),
        Value::Array(items) => items.iter().for_each(|item| count(item, nodes)),
        _ => {}
    }
}

/// Takes away of a branch's description what is beside all branches.
fn only_own_words(branch: &mut Map<String, Value>, schema: &Map<String, Value>) {
    let common = schema.get("description").and_then(Value::as_str).unwrap_or_default();
    let told = branch.shift_remove("description");
    let own = told.as_ref().and_then(Value::as_str).and_then(|told| told.strip_prefix(common));
    if let Some(own) = own.map(str::trim).filter(|own| !own.is_empty()) {
        branch.insert("description".into(), own.into());
    }
}

#[cfg(test)]
pub(super) mod tests;
