//! The JSON schemas of the types that cross the wire.
//!
//! Two generators, since what a request may leave out an answer always has: where a type differs in the two, the
//! requests' one is called `…Input`. schemars writes JSON Schema 2020-12, which is `OpenAPI` 3.1's own dialect; the
//! document types of the crates that have some (utoipa, oas3) know a part of it only, so the frame around the
//! schemas is plain JSON.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value};

const PREFIX: &str = "#/components/schemas/";

/// The schemas that the document refers to.
pub struct Schemas {
    requests: SchemaGenerator,
    answers: SchemaGenerator,
}

/// A reference to a schema, made when the document is.
pub type Refer = fn(&mut SchemaGenerator) -> Schema;

/// A reference to the schema of a type.
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

    /// All of them, by name; and the names of those that requests have in another form.
    pub fn finish(mut self) -> (Map<String, Value>, Vec<String>) {
        let mut all = self.answers.take_definitions(true);
        let mut requests = self.requests.take_definitions(true);
        requests.values_mut().for_each(bound_numbers);
        let mut renamed: Vec<String> = Vec::new();
        // What refers to a renamed one is another one itself.
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

/// Puts the requests' names into references.
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

/// Numbers that are read into 32 or 64 bits are refused beyond them.
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
