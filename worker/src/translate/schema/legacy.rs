//! The older way to tell Gemini a schema: the `OpenAPI` subset of `parameters` and `responseSchema`, which answers 400 to every
//! word that it does not know.
//!
//! In: a normalised schema. Out: the nearest that the subset can say.

use serde_json::{Map, Value, json};

/// How often a recursive definition is put in place of itself.
const DEEPEST_RECURSION: usize = 3;
/// How many nodes there may be; what is beyond becomes text.
const MOST_NODES: usize = 5_000;

/// Words of the subset that stay as they are.
const KEPT: [&str; 13] = [
    "title",
    "description",
    "nullable",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "pattern",
    "propertyOrdering",
];

/// Converts a normalised schema.
pub(in crate::translate) fn legacy(schema: &Value) -> Value {
    let mut converter = Converter { root: schema, inside: Vec::new(), nodes: 0 };
    Value::Object(converter.schema(schema))
}

struct Converter<'s> {
    root: &'s Value,
    /// The references that are being put in place, outermost first.
    inside: Vec<&'s str>,
    nodes: usize,
}

fn any() -> Map<String, Value> {
    object(json!({"type": "string"}))
}

/// Objects without properties are refused, so that a free one travels as text.
fn free_object(description: Option<&Value>) -> Map<String, Value> {
    let words = match description.and_then(Value::as_str) {
        Some(description) => format!("{description} (JSON-encoded object)"),
        None => "JSON-encoded object".to_owned(),
    };
    object(json!({"type": "string", "description": words}))
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

impl<'s> Converter<'s> {
    fn schema(&mut self, schema: &'s Value) -> Map<String, Value> {
        self.nodes += 1;
        let Value::Object(schema) = schema else { return any() };
        if self.nodes > MOST_NODES {
            return free_object(schema.get("description"));
        }
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            return self.reference(reference, schema);
        }
        if let Some(branches) = schema.get("anyOf").and_then(Value::as_array) {
            return self.alternatives(schema, branches);
        }
        match schema.get("type") {
            Some(Value::Array(kinds)) => self.several_kinds(schema, kinds),
            Some(Value::String(kind)) => self.of_kind(schema, kind),
            _ => self.of_kind(schema, implied_kind(schema)),
        }
    }

    fn reference(&mut self, reference: &'s str, beside: &'s Map<String, Value>) -> Map<String, Value> {
        let target = reference.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer));
        let again = self.inside.iter().filter(|inside| **inside == reference).count();
        let Some(target) = target.filter(|_| again < DEEPEST_RECURSION) else {
            return free_object(beside.get("description"));
        };
        self.inside.push(reference);
        let mut converted = self.schema(target);
        self.inside.pop();
        if let Some(description) = beside.get("description") {
            converted.insert("description".into(), description.clone());
        }
        converted
    }

    /// `anyOf`, beside which nothing else may stand: `null` becomes a flag, and the rest goes into the branches.
    fn alternatives(&mut self, schema: &'s Map<String, Value>, branches: &'s [Value]) -> Map<String, Value> {
        let is_null = |branch: &&Value| branch.get("type").is_some_and(|kind| kind == "null");
        let nullable = branches.iter().any(|branch| is_null(&branch));
        let mut converted: Vec<Map<String, Value>> =
            branches.iter().filter(|branch| !is_null(branch)).map(|branch| self.schema(branch)).collect();
        for branch in &mut converted {
            for (key, value) in
                schema.iter().filter(|(key, _)| KEPT.contains(&key.as_str()) && *key != "description")
            {
                branch.entry(key.clone()).or_insert_with(|| value.clone());
            }
        }
        let mut out = if converted.len() == 1 { converted.pop().unwrap_or_default() } else { Map::new() };
        if let Some(description) = schema.get("description") {
            out.insert("description".into(), description.clone());
        }
        if !converted.is_empty() {
            out.insert("anyOf".into(), converted.into_iter().map(Value::Object).collect());
        }
        if out.get("anyOf").is_none() && out.get("type").is_none() {
            out.insert("type".into(), "string".into());
        }
        if nullable {
            out.insert("nullable".into(), true.into());
        }
        out
    }

    fn several_kinds(&mut self, schema: &'s Map<String, Value>, kinds: &'s [Value]) -> Map<String, Value> {
        let nullable = kinds.iter().any(|kind| kind == "null");
        let kinds: Vec<&str> =
            kinds.iter().filter_map(Value::as_str).filter(|kind| *kind != "null").collect();
        let mut out = match kinds.as_slice() {
            [] => any(),
            [kind] => self.of_kind(schema, kind),
            kinds => {
                let mut branches: Vec<Value> = Vec::new();
                for kind in kinds {
                    let mut branch = self.of_kind(schema, kind);
                    branch.shift_remove("description");
                    branches.push(Value::Object(branch));
                }
                let mut out = Map::new();
                out.extend(schema.get("description").map(|text| ("description".to_owned(), text.clone())));
                out.insert("anyOf".into(), branches.into());
                out
            }
        };
        if nullable {
            out.insert("nullable".into(), true.into());
        }
        out
    }

    fn of_kind(&mut self, schema: &'s Map<String, Value>, kind: &str) -> Map<String, Value> {
        let mut out = Map::new();
        out.insert("type".into(), kind.into());
        for (key, value) in schema {
            if KEPT.contains(&key.as_str()) {
                out.insert(key.clone(), value.clone());
            }
        }
        if let Some(choices) = schema.get("enum").and_then(Value::as_array) {
            let choices: Vec<Value> = choices.iter().filter_map(choice).collect();
            if !choices.is_empty() {
                out.insert("type".into(), "string".into());
                out.insert("enum".into(), choices.into());
                return out;
            }
        }
        let formats: &[&str] = match kind {
            "string" => &["enum", "date-time"],
            "integer" | "number" => &["int32", "int64", "float", "double"],
            _ => &[],
        };
        if let Some(format) =
            schema.get("format").filter(|format| formats.iter().any(|known| *format == known))
        {
            out.insert("format".into(), format.clone());
        }
        match kind {
            "array" => {
                let tuple =
                    schema.get("prefixItems").and_then(Value::as_array).and_then(|items| items.first());
                let items = schema.get("items").filter(|items| items.is_object()).or(tuple);
                let items = items.map_or_else(any, |items| self.schema(items));
                out.insert("items".into(), Value::Object(items));
            }
            "object" => return self.members(schema, out),
            "null" => {
                out.insert("type".into(), "string".into());
                out.insert("nullable".into(), true.into());
            }
            _ => {}
        }
        out
    }

    fn members(&mut self, schema: &'s Map<String, Value>, mut out: Map<String, Value>) -> Map<String, Value> {
        let mut properties = Map::new();
        for (name, member) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            properties.insert(name.clone(), Value::Object(self.schema(member)));
        }
        if properties.is_empty() {
            return free_object(schema.get("description"));
        }
        let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
        let required: Vec<Value> = required
            .filter(|name| name.as_str().is_some_and(|name| properties.contains_key(name)))
            .cloned()
            .collect();
        out.insert("properties".into(), Value::Object(properties));
        if !required.is_empty() {
            out.insert("required".into(), required.into());
        }
        out
    }
}

fn implied_kind(schema: &Map<String, Value>) -> &'static str {
    if schema.contains_key("properties") {
        "object"
    } else if schema.contains_key("items") || schema.contains_key("prefixItems") {
        "array"
    } else {
        "string"
    }
}

/// Members of an `enum` are texts there, and no empty ones.
fn choice(value: &Value) -> Option<Value> {
    match value {
        Value::String(text) if text.is_empty() => None,
        Value::String(_) => Some(value.clone()),
        Value::Null => None,
        other => Some(other.to_string().into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::translate::schema::normalise;

    fn assert_legacy(schema: &Value, expected: &Value) {
        assert_eq!(legacy(&normalise(schema.clone()).schema), *expected, "{schema}");
    }

    #[test]
    fn only_words_of_the_subset_are_left() {
        for (schema, expected) in [
            (
                json!({"type": ["string", "null"], "default": "x", "format": "email"}),
                json!({"type": "string", "nullable": true}),
            ),
            (
                json!({"type": "string", "format": "date-time"}),
                json!({"type": "string", "format": "date-time"}),
            ),
            (json!({"const": 3}), json!({"type": "string", "enum": ["3"]})),
            (json!({"enum": ["a", "", null]}), json!({"type": "string", "enum": ["a"]})),
            (
                json!({"type": ["integer", "string"], "description": "d"}),
                json!({"description": "d", "anyOf": [{"type": "integer"}, {"type": "string"}]}),
            ),
            (
                json!({"anyOf": [{"type": "integer"}, {"type": "null"}], "title": "T", "description": "d"}),
                json!({"type": "integer", "title": "T", "description": "d", "nullable": true}),
            ),
            (
                json!({"anyOf": [{"type": "integer"}, {"type": "string"}], "title": "T"}),
                json!({"anyOf": [{"type": "integer", "title": "T"}, {"type": "string", "title": "T"}]}),
            ),
            (json!({"type": "array"}), json!({"type": "array", "items": {"type": "string"}})),
            (
                json!({"items": [{"type": "number"}], "type": "array"}),
                json!({"type": "array", "items": {"type": "number"}}),
            ),
            (
                json!({"type": "object", "properties": {"a": {"type": "object", "description": "free"}}, "required": ["a"], "additionalProperties": false}),
                json!({"type": "object", "properties": {"a": {"type": "string", "description": "free (JSON-encoded object)"}}, "required": ["a"]}),
            ),
        ] {
            assert_legacy(&schema, &expected);
        }
    }

    #[test]
    fn recursion_ends() {
        let schema = json!({"type": "object", "properties": {"child": {"$ref": "#/$defs/N"}},
                            "$defs": {"N": {"type": "object", "properties": {"name": {"type": "string"}, "child": {"$ref": "#/$defs/N"}}}}});
        let text = legacy(&normalise(schema).schema).to_string();
        assert!(!text.contains("$ref") && text.contains("JSON-encoded object"), "{text}");
        assert_eq!(text.matches("\"name\"").count(), DEEPEST_RECURSION);
        // Two ways into itself at every level.
        let twice = json!({"$ref": "#/$defs/N"});
        let members: Map<String, Value> =
            (0..20).map(|number| (format!("p{number}"), twice.clone())).collect();
        let schema = json!({"type": "object", "properties": members, "$defs": {"N": {"type": "object", "properties": members}}});
        assert!(legacy(&normalise(schema).schema).to_string().len() < 1_000_000);
    }
}
