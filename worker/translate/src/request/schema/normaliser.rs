//! One normalising pass over a schema. References are inlined where that terminates, within bounds.

use serde_json::{Map, Value, json};

use super::members::{exclusive_limits, nullable, tidy};
use super::refs::{self, Reference, References};
use super::{Normalised, alternatives, dialect, merge, types};

/// From so many nodes on, references stay references.
const MAX_NODES: usize = 5_000;
/// From this depth on, and in chains of this length, references stay references. The reader has bounded the depth of what
/// is no reference.
const DEEPEST: usize = 32;

/// Normalises once.
pub(super) fn pass(schema: &Value) -> Normalised {
    let mut normaliser =
        Normaliser { references: References::new(schema), inlining: Vec::new(), nodes: 0, lossy: false };
    let mut root = normaliser.root(schema);
    normaliser.add_definitions(&mut root);
    Normalised { schema: root, lossy: normaliser.lossy }
}

struct Normaliser<'s> {
    references: References<'s>,
    /// What is being put in place of its reference, outermost first.
    inlining: Vec<&'s str>,
    nodes: usize,
    lossy: bool,
}

/// Returns what says nothing to Gemini, or what only the vendor who wrote it understands.
pub(super) fn is_noise(key: &str) -> bool {
    matches!(
        key,
        "$comment"
            | "strict"
            | "discriminator"
            | "nullable"
            | "additionalItems"
            | "definitions"
            | "$defs"
            | "components"
            | "$schema"
            | "$id"
            | "$anchor"
            | "$dynamicAnchor"
            | "$recursiveAnchor"
            | "$vocabulary"
    ) || key.starts_with("x-")
}

/// Conditions that Gemini does not know, whatever it is told of them.
pub(super) fn is_condition(key: &str) -> bool {
    matches!(
        key,
        "not"
            | "if"
            | "then"
            | "else"
            | "dependentSchemas"
            | "dependentRequired"
            | "dependencies"
            | "minContains"
            | "maxContains"
    )
}

/// Returns `true` if the value is a schema itself.
pub(super) fn holds_schema(key: &str) -> bool {
    matches!(
        key,
        "items"
            | "additionalProperties"
            | "contains"
            | "propertyNames"
            | "unevaluatedItems"
            | "unevaluatedProperties"
    )
}

impl<'s> Normaliser<'s> {
    fn root(&mut self, schema: &'s Value) -> Value {
        let mut root = self.schema(schema, 0);
        // A root that is nothing but a reference to a recursive definition: its first level must be here.
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str)
            && root.get("$ref").is_some()
        {
            root = self.one_level(reference, schema, 0);
        }
        root
    }

    fn schema(&mut self, schema: &'s Value, depth: usize) -> Value {
        self.nodes += 1;
        match schema {
            Value::Object(schema) => match schema.get("$ref").and_then(Value::as_str) {
                Some(reference) => self.reference(reference, schema, depth),
                None => Value::Object(self.object(schema, depth)),
            },
            Value::Bool(_) => schema.clone(),
            _ => json!({}),
        }
    }

    fn reference(&mut self, reference: &'s str, schema: &'s Map<String, Value>, depth: usize) -> Value {
        let target = match self.references.resolve(reference) {
            Reference::Unknown => {
                self.lossy = true;
                return Value::Object(described(schema));
            }
            Reference::Recursive => None,
            Reference::Plain(target) => Some(target),
        };
        let may_inline = depth < DEEPEST && self.may_inline(reference);
        match target.filter(|_| may_inline) {
            Some(target) => self.inline(reference, target, schema, depth),
            None => Value::Object(self.keep(reference, schema)),
        }
    }

    fn may_inline(&self, reference: &str) -> bool {
        self.nodes < MAX_NODES && self.inlining.len() < DEEPEST && !self.inlining.contains(&reference)
    }

    fn keep(&mut self, reference: &'s str, schema: &'s Map<String, Value>) -> Map<String, Value> {
        let mut bare = Map::new();
        bare.insert("$ref".into(), self.references.definition(reference).into());
        bare.extend(described(schema));
        bare
    }

    /// Returns the target in place of its reference; what is beside the reference wins.
    fn inline(
        &mut self,
        reference: &'s str,
        target: &'s Value,
        beside: &'s Map<String, Value>,
        depth: usize,
    ) -> Value {
        self.inlining.push(reference);
        let target = self.schema(target, depth);
        self.inlining.pop();
        let own = self.members(beside, depth);
        match target {
            Value::Object(mut target) => {
                target.extend(own);
                self.finish(beside, &mut target);
                Value::Object(target)
            }
            other if own.is_empty() => other,
            _ => Value::Object(own),
        }
    }

    /// Returns a recursive definition in place of its reference, once: further in it stays a reference.
    fn one_level(&mut self, reference: &'s str, schema: &'s Value, depth: usize) -> Value {
        let target = self.references.target(reference);
        match (target, schema.as_object()) {
            (Some(target), Some(beside)) if !std::ptr::eq(target, schema) => {
                self.inline(reference, target, beside, depth)
            }
            _ => json!({}),
        }
    }

    fn object(&mut self, schema: &'s Map<String, Value>, depth: usize) -> Map<String, Value> {
        let mut out = self.members(schema, depth);
        self.finish(schema, &mut out);
        out
    }

    /// What can only be judged when everything is in its place.
    fn finish(&mut self, schema: &Map<String, Value>, out: &mut Map<String, Value>) {
        if alternatives::are_only_conditions(out) {
            let written = schema.get("anyOf").or_else(|| schema.get("oneOf"));
            self.lossy |= alternatives::drop_conditions(out, written);
        }
        tidy(out);
        dialect::type_choices(out);
    }

    fn members(&mut self, schema: &'s Map<String, Value>, depth: usize) -> Map<String, Value> {
        let mut out = Map::new();
        for (key, value) in schema {
            match key.as_str() {
                "$ref" | "allOf" => {}
                key if is_noise(key) => {}
                // A property may itself be named so, but that is not where this looks.
                key if is_condition(key) => self.lossy = true,
                "oneOf" if schema.contains_key("anyOf") => {}
                "oneOf" | "anyOf" => match self.alternatives(value, depth) {
                    // Nothing at all would fit.
                    branches if branches.is_empty() => self.lossy = true,
                    branches => {
                        out.insert("anyOf".into(), branches.into());
                    }
                },
                "const" => {
                    out.insert("enum".into(), json!([value]));
                    if !schema.contains_key("type") {
                        out.insert("type".into(), types::of_value(value).into());
                    }
                }
                "enum" if schema.contains_key("const") => {}
                "items" if value.is_array() => {
                    out.insert("prefixItems".into(), self.list(value, depth));
                }
                "prefixItems" => {
                    out.insert(key.clone(), self.list(value, depth));
                }
                "properties" | "patternProperties" => {
                    out.insert(key.clone(), self.properties(value, depth));
                }
                key if holds_schema(key) => {
                    out.insert(key.into(), self.schema(value, depth + 1));
                }
                "exclusiveMinimum" | "exclusiveMaximum" => {}
                _ => {
                    out.insert(key.clone(), value.clone());
                }
            }
        }
        exclusive_limits(schema, &mut out);
        nullable(schema, &mut out);
        if let Some(all) = schema.get("allOf").and_then(Value::as_array) {
            for part in all {
                let part = self.all_of_part(part, depth);
                self.lossy |= merge::into(&mut out, part);
            }
        }
        if let Some(more) = schema.get("oneOf").filter(|_| schema.contains_key("anyOf")) {
            let more = self.alternatives(more, depth);
            if !more.is_empty() {
                self.lossy |= merge::into(&mut out, json!({ "anyOf": more }));
            }
        }
        self.conditional_properties(schema, &mut out, depth);
        out
    }

    /// What an object may have under conditions is known to the model all the same, required of it or not.
    fn conditional_properties(
        &mut self,
        schema: &'s Map<String, Value>,
        out: &mut Map<String, Value>,
        depth: usize,
    ) {
        if out.get("type").is_some_and(|kind| kind != "object" && !kind.is_array()) {
            return;
        }
        let own = ["then", "else"].into_iter().filter_map(|word| schema.get(word));
        let named = ["dependentSchemas", "dependencies"].into_iter();
        let named = named.filter_map(|word| schema.get(word)?.as_object()).flat_map(Map::values);
        for part in own.chain(named).filter(|part| part.is_object()) {
            let Value::Object(mut part) = self.schema(part, depth + 1) else { continue };
            let Some(Value::Object(properties)) = part.shift_remove("properties") else { continue };
            let known = out.entry("properties").or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(known) = known {
                for (name, property) in properties {
                    known.entry(name).or_insert(property);
                }
            }
        }
    }

    /// One element of `allOf`. It is to be merged, so that a reference cannot stay one.
    fn all_of_part(&mut self, part: &'s Value, depth: usize) -> Value {
        let normalised = match part {
            // What it requires may be a property of the schema that it is in.
            Value::Object(members) if !members.contains_key("$ref") => {
                self.nodes += 1;
                Value::Object(self.members(members, depth + 1))
            }
            part => self.schema(part, depth + 1),
        };
        let Some(reference) =
            part.get("$ref").and_then(Value::as_str).filter(|_| normalised.get("$ref").is_some())
        else {
            return normalised;
        };
        let part = if depth < DEEPEST && self.may_inline(reference) {
            self.one_level(reference, part, depth)
        } else {
            json!({})
        };
        if part.get("$ref").is_none() && part != json!({}) {
            return part;
        }
        self.lossy = true;
        json!({})
    }

    fn alternatives(&mut self, value: &'s Value, depth: usize) -> Vec<Value> {
        let mut branches = Vec::new();
        for branch in value.as_array().into_iter().flatten() {
            match self.schema(branch, depth + 1) {
                Value::Bool(false) => {}
                Value::Bool(true) => branches.push(json!({})),
                branch => branches.push(branch),
            }
        }
        branches
    }

    fn list(&mut self, value: &'s Value, depth: usize) -> Value {
        Value::Array(
            value.as_array().into_iter().flatten().map(|item| self.schema(item, depth + 1)).collect(),
        )
    }

    fn properties(&mut self, value: &'s Value, depth: usize) -> Value {
        let mut out = Map::new();
        for (name, schema) in value.as_object().into_iter().flatten() {
            // A reference may lead to `true` or `false` too.
            match self.schema(schema, depth + 1) {
                Value::Bool(false) => {}
                Value::Bool(true) => {
                    out.insert(name.clone(), json!({}));
                }
                schema => {
                    out.insert(name.clone(), schema);
                }
            }
        }
        Value::Object(out)
    }

    /// Puts what the references that are left mean at the end of the root. Each definition may bring more of them.
    fn add_definitions(&mut self, root: &mut Value) {
        let mut definitions = Map::new();
        let mut names = refs::definitions_in(root);
        while let Some(name) = names.pop_front() {
            let Some(reference) = self.references.by_name(&name) else { continue };
            let Some(target) = self.references.target(reference).filter(|_| !definitions.contains_key(&name))
            else {
                continue;
            };
            self.inlining.push(reference);
            let definition = self.schema(target, 1);
            self.inlining.pop();
            names.extend(refs::definitions_in(&definition));
            definitions.insert(name, definition);
        }
        if let (Value::Object(root), false) = (root, definitions.is_empty()) {
            root.insert("$defs".into(), Value::Object(definitions));
        }
    }
}

/// Returns what may be beside a reference.
fn described(schema: &Map<String, Value>) -> Map<String, Value> {
    let kept = schema.iter().filter(|(key, _)| matches!(key.as_str(), "description" | "default"));
    kept.map(|(key, value)| (key.clone(), value.clone())).collect()
}
