//! JSON schemas of the API's types.
//!
//! Requests and responses use two generators, because fields that a request may omit are always in
//! a response. Where a type differs, the request schema is named `…Input`. schemars writes JSON
//! Schema 2020-12, the dialect of `OpenAPI` 3.1. The document types of utoipa and oas3 support only
//! a part of it, so the frame is plain JSON.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value};

const PREFIX: &str = "#/components/schemas/";

/// Collector of the schemas that the document refers to.
pub struct Schemas {
    requests: SchemaGenerator,
    answers: SchemaGenerator,
}

/// A function that returns a reference to a schema.
pub type Refer = fn(&mut SchemaGenerator) -> Schema;

/// Returns a reference to the schema of a type.
pub fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

impl Schemas {
    pub fn new() -> Self {
        let settings = || {
            SchemaSettings::draft2020_12()
                .with(|settings| settings.definitions_path = "/components/schemas".into())
        };
        Self {
            requests: settings().for_deserialize().into_generator(),
            answers: settings().for_serialize().into_generator(),
        }
    }

    pub fn request(&mut self, refer: Refer) -> Value {
        refer(&mut self.requests).to_value()
    }

    pub fn answer(&mut self, refer: Refer) -> Value {
        refer(&mut self.answers).to_value()
    }

    /// Returns all schemas by name, and the names that differ for requests.
    pub fn finish(mut self) -> (Map<String, Value>, Vec<String>) {
        let mut all = self.answers.take_definitions(true);
        let mut requests = self.requests.take_definitions(true);
        requests.values_mut().for_each(bound_numbers);
        let mut renamed: Vec<String> = Vec::new();
        // A schema that refers to a renamed one is renamed too.
        loop {
            let differs = |name: &String, schema: &Value| {
                all.get(name).is_some_and(|answer| answer != schema || refers_to(schema, &renamed))
            };
            let more: Vec<_> = requests
                .iter()
                .filter(|(name, schema)| !renamed.contains(name) && differs(name, schema))
                .map(|(name, _)| name.clone())
                .collect();
            if more.is_empty() {
                break;
            }
            renamed.extend(more);
        }
        for (name, mut schema) in requests {
            rename(&mut schema, &renamed);
            let name = if renamed.contains(&name) { format!("{name}Input") } else { name };
            all.insert(name, schema);
        }
        all.sort_keys();
        (all, renamed)
    }
}

/// Replaces references by those of requests.
pub fn rename(value: &mut Value, renamed: &[String]) {
    each_reference(value, &mut |reference| {
        if renamed.iter().any(|name| *reference == format!("{PREFIX}{name}")) {
            reference.push_str("Input");
        }
    });
}

fn refers_to(schema: &Value, names: &[String]) -> bool {
    let mut found = false;
    each_reference(&mut schema.clone(), &mut |reference| {
        found |= names.iter().any(|name| *reference == format!("{PREFIX}{name}"));
    });
    found
}

fn each_reference(value: &mut Value, change: &mut dyn FnMut(&mut String)) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get_mut("$ref") {
                change(reference);
            }
            members.values_mut().for_each(|member| each_reference(member, change));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| each_reference(item, change)),
        _ => {}
    }
}

/// Adds the bounds of 32-bit and 64-bit integers.
fn bound_numbers(value: &mut Value) {
    match value {
        Value::Object(members) => {
            let largest = match members.get("format").and_then(Value::as_str) {
                Some("uint64") => Some(u64::MAX),
                Some("uint32") => Some(u32::MAX.into()),
                _ => None,
            };
            if let Some(largest) = largest {
                members.entry("maximum").or_insert(largest.into());
            }
            members.values_mut().for_each(bound_numbers);
        }
        Value::Array(items) => items.iter_mut().for_each(bound_numbers),
        _ => {}
    }
}
