//! Schemas that no attribute can say: bounded maps, and patches of the translation.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use crate::bounds::{self, patterns};
use crate::{HarmCategory, Pacing, TranslationSettings, TranslationUpdate};

/// Bounds a list of safety settings: one for each category.
pub(crate) fn safety_settings(schema: &mut Schema) {
    let once = |category: &Value| {
        let named = json!({"required": ["category"], "properties": {"category": {"const": category}}});
        json!({"contains": named, "minContains": 0, "maxContains": 1})
    };
    let categories = HarmCategory::ALL.map(|category| json!(category));
    schema.insert("maxItems".to_owned(), categories.len().into());
    schema.insert("allOf".to_owned(), categories.iter().map(once).collect::<Vec<_>>().into());
}

/// Bounds a map from aliases to models.
pub(crate) fn aliases(schema: &mut Schema) {
    let names = json!({"minLength": 1, "maxLength": bounds::MODEL, "pattern": patterns::PRINTABLE});
    bound(schema, names, json!({"type": "string", "pattern": patterns::MODEL}));
}

/// Bounds a map from names to the models that answer under them.
pub(crate) fn families(schema: &mut Schema) {
    bound(
        schema,
        json!({"pattern": patterns::MODEL}),
        json!({"type": "string", "pattern": patterns::FAMILY}),
    );
}

/// Bounds a map from models to what answers instead.
pub(crate) fn fallbacks(schema: &mut Schema) {
    let models = json!({"type": "string", "pattern": patterns::MODEL});
    let lists = json!({"type": "array", "maxItems": bounds::FALLBACKS, "items": models});
    bound(schema, json!({"pattern": patterns::FALLBACK}), lists);
}

fn bound(schema: &mut Schema, names: Value, values: Value) {
    schema.insert("maxProperties".to_owned(), bounds::MODELS.into());
    schema.insert("propertyNames".to_owned(), names);
    schema.insert("additionalProperties".to_owned(), values);
}

impl JsonSchema for TranslationUpdate {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "TranslationUpdate".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut fields = patched(TranslationSettings::json_schema(generator));
        fields.insert("pacing".to_owned(), nullable(patch(patched(Pacing::json_schema(generator)))));
        let mut removable = json_schema!({"type": "object"});
        let family = json!({"anyOf": [{"type": "string", "pattern": patterns::FAMILY}, {"type": "null"}]});
        bound(&mut removable, json!({"pattern": patterns::MODEL}), family);
        fields.insert("families".to_owned(), nullable(removable));
        let mut schema = patch(fields);
        schema.insert(
            "description".to_owned(),
            "A JSON merge patch (RFC 7396): a field left out stays as it is, `null` returns one to its default."
                .into(),
        );
        schema
    }
}

/// Returns the fields of an object, each of which may be `null`.
fn patched(mut schema: Schema) -> Map<String, Value> {
    let Some(Value::Object(mut fields)) = schema.remove("properties") else { return Map::new() };
    for field in fields.values_mut() {
        if let Value::Object(field) = field {
            // It says what is taken where nothing was stored.
            field.shift_remove("default");
        }
        *field = nullable(Schema::try_from(field.take()).unwrap_or_default());
    }
    fields
}

fn nullable(mut schema: Schema) -> Value {
    let description = schema.remove("description");
    let mut nullable = json_schema!({"anyOf": [schema, {"type": "null"}]});
    if let Some(description) = description {
        nullable.insert("description".to_owned(), description);
    }
    nullable.to_value()
}

fn patch(fields: Map<String, Value>) -> Schema {
    let mut schema = json_schema!({"type": "object", "additionalProperties": false});
    schema.insert("properties".to_owned(), fields.into());
    schema
}
