//! Schemas as generators and people write them.

use serde_json::{Value, json};

use super::{assert_normal, params};
use crate::request::schema::{normalise, parameters, read};

fn object(extra: &Value) -> Value {
    let mut schema =
        json!({"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}}});
    schema.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    schema
}

#[test]
fn conditions_are_left_out_and_what_they_speak_of_stays_known() {
    let plain = object(&json!({}));
    let mut with_c = plain.clone();
    with_c["properties"]["c"] = json!({"type": "integer"});
    let c = json!({"properties": {"c": {"type": "integer"}}, "required": ["c"]});
    for (condition, expected) in [
        (json!({"not": {"required": ["a", "b"]}}), &plain),
        (json!({"dependentRequired": {"a": ["b"]}}), &plain),
        (json!({"dependencies": {"a": ["b"]}}), &plain),
        (json!({"if": {"properties": {"a": {"const": "x"}}}, "then": {"required": ["b"]}}), &plain),
        (json!({"if": {"required": ["a"]}, "then": {"required": ["b"]}, "else": c}), &with_c),
        (
            json!({"allOf": [{"if": {"required": ["a"]}, "then": c}, {"if": {}, "then": {"required": ["b"]}}]}),
            &with_c,
        ),
        (json!({"dependentSchemas": {"a": c}}), &with_c),
        (json!({"dependencies": {"a": c, "b": ["a"]}}), &with_c),
        (json!({"then": {"$ref": "#/$defs/C"}, "if": {}, "$defs": {"C": c}}), &with_c),
    ] {
        let schema = object(&condition);
        let normal = normalise(schema.clone());
        assert_eq!((&normal.schema, normal.lossy), (expected, true), "{schema}");
        assert_eq!(params(&schema), (expected.clone(), false), "{schema}");
    }
    let text = normalise(json!({"type": "string", "then": c, "not": {"const": "x"}}));
    assert_eq!((text.schema, text.lossy), (json!({"type": "string"}), true));
    // Properties may have these names.
    let named = json!({"type": "object", "properties": {"not": {"type": "string"}, "if": {"type": "string"}, "$id": {"type": "string"}}});
    assert_eq!(normalise(named.clone()).schema, named);
}

#[test]
fn alternatives_of_which_none_can_be_are_none() {
    for empty in [json!([]), json!([false]), json!([false, false])] {
        for word in ["anyOf", "oneOf"] {
            let schema = object(&json!({ word: empty }));
            let parameters = parameters(schema.clone());
            assert_eq!(parameters.schema, Some(object(&json!({}))), "{schema}");
            assert!(parameters.lossy && !parameters.wrapped, "{schema}");
        }
    }
}

#[test]
fn what_is_required_is_a_list_without_twins() {
    assert_normal(
        &json!({"type": "object", "properties": {"a": {"type": "string", "required": true},
                "b": {"type": "object", "required": false, "properties": {"c": {"type": "string", "required": true}}}}}),
        &json!({"type": "object", "properties": {"a": {"type": "string"},
                "b": {"type": "object", "properties": {"c": {"type": "string"}}, "required": ["c"]}}, "required": ["a"]}),
    );
    assert_normal(&object(&json!({"required": ["a", "b", "a"]})), &object(&json!({"required": ["a", "b"]})));
}

#[test]
fn choices_are_of_the_type_that_they_are_said_to_have() {
    for (schema, expected) in [
        (
            json!({"type": "INTEGER", "format": "enum", "enum": ["1", "2"]}),
            json!({"type": "integer", "format": "enum", "enum": [1, 2]}),
        ),
        (json!({"type": "number", "enum": ["0.5", "1"]}), json!({"type": "number", "enum": [0.5, 1]})),
        (json!({"type": "boolean", "enum": ["true"]}), json!({"type": "boolean", "enum": [true]})),
        (
            json!({"type": "string", "enum": [1, 2.5, true]}),
            json!({"type": "string", "enum": ["1", "2.5", "true"]}),
        ),
        (
            json!({"type": ["integer", "null"], "enum": ["1", null]}),
            json!({"type": ["integer", "null"], "enum": [1]}),
        ),
        (json!({"type": "string", "enum": ["a", "a", "b"]}), json!({"type": "string", "enum": ["a", "b"]})),
        (json!({"type": "integer", "enum": ["one"]}), json!({"type": "integer", "enum": ["one"]})),
        (
            json!({"type": ["string", "integer"], "enum": ["1", 1]}),
            json!({"type": ["string", "integer"], "enum": ["1", 1]}),
        ),
    ] {
        assert_normal(&schema, &expected);
    }
}

#[test]
fn references_by_name_lead_where_they_should() {
    let integer = json!({"type": "integer"});
    for (reference, definitions) in [
        (
            json!({"$ref": "https://example.com/s/item.json"}),
            json!({"X": {"$id": "item.json", "type": "integer"}}),
        ),
        (
            json!({"$ref": "item.json"}),
            json!({"X": {"$id": "https://example.com/s/item.json", "type": "integer"}}),
        ),
        (
            json!({"$ref": "/s/item.json#"}),
            json!({"X": {"$id": "https://example.com/s/item.json", "type": "integer"}}),
        ),
        (json!({"$dynamicRef": "#n"}), json!({"X": {"$dynamicAnchor": "n", "type": "integer"}})),
        (json!({"$ref": "#n"}), json!({"X": {"$anchor": "n", "type": "integer"}})),
    ] {
        let schema = json!({"type": "object", "properties": {"a": reference}, "$defs": definitions});
        assert_normal(&schema, &json!({"type": "object", "properties": {"a": integer}}));
    }
    assert_normal(
        &json!({"type": "object", "properties": {"a": {"$recursiveRef": "#"}}}),
        &json!({"type": "object", "properties": {"a": {"$ref": "#"}}}),
    );
}

#[test]
fn a_schema_may_come_as_a_text() {
    let schema = object(&json!({}));
    let text = serde_json::value::to_raw_value(&schema.to_string()).unwrap();
    assert_eq!(read(&text), Ok(schema));
    for (schema, lossy) in [
        (json!(null), false),
        (json!(true), false),
        (json!(""), false),
        (json!("x"), true),
        (json!([]), true),
    ] {
        let parameters = parameters(schema.clone());
        assert_eq!((parameters.schema, parameters.lossy), (None, lossy), "{schema}");
    }
}
