use proptest::prelude::*;
use serde_json::value::RawValue;

use super::*;
use crate::request::schema::{normalise, parameters};

fn assert_legacy(schema: &Value, expected: &Value) {
    assert_eq!(legacy(&normalise(schema.clone()).schema).schema, *expected, "{schema}");
}

#[test]
fn only_words_of_the_subset_are_left() {
    for (schema, expected) in [
        (
            json!({"type": ["string", "null"], "default": "x", "format": "email"}),
            json!({"type": "string", "nullable": true}),
        ),
        (json!({"type": "string", "format": "date-time"}), json!({"type": "string", "format": "date-time"})),
        (json!({"const": "a"}), json!({"type": "string", "enum": ["a"]})),
        (json!({"enum": ["a", "", null]}), json!({"type": "string", "enum": ["a"], "nullable": true})),
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
            json!({"items": [{"type": "number"}, {"type": "string"}], "type": "array"}),
            json!({"type": "array", "items": {"anyOf": [{"type": "number"}, {"type": "string"}]}}),
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
fn a_type_matters_more_than_its_choices() {
    for (schema, expected) in [
        (json!({"const": 3}), json!({"type": "integer", "description": "(one of: 3)"})),
        (
            json!({"type": "number", "enum": [1, 2.5], "description": "Half."}),
            json!({"type": "number", "description": "Half. (one of: 1, 2.5)"}),
        ),
        (
            json!({"type": "boolean", "enum": [true]}),
            json!({"type": "boolean", "description": "(one of: true)"}),
        ),
        (
            json!({"enum": ["a", 1]}),
            json!({"anyOf": [{"type": "string", "enum": ["a"]},
                             {"type": "integer", "description": "(one of: 1)"}]}),
        ),
        (
            json!({"type": ["integer", "string"], "enum": [1, "a"], "description": "Half."}),
            json!({"description": "Half.",
                   "anyOf": [{"type": "integer", "description": "(one of: 1)"}, {"type": "string", "enum": ["a"]}]}),
        ),
        (
            json!({"type": "INTEGER", "format": "enum", "enum": ["1", "2"]}),
            json!({"type": "integer", "description": "(one of: 1, 2)"}),
        ),
    ] {
        assert_legacy(&schema, &expected);
    }
}

#[test]
fn what_stands_beside_alternatives_is_not_lost() {
    let name = json!({"type": "string"});
    for (schema, expected) in [
        // Conditions only.
        (
            json!({"type": "object", "description": "d", "properties": {"name": name, "kind": name},
                   "anyOf": [{"required": ["name"]}, {"required": ["kind"]}]}),
            json!({"type": "object", "description": "d", "properties": {"name": name, "kind": name}}),
        ),
        // Branches with properties of their own.
        (
            json!({"type": "object", "description": "d", "properties": {"name": name}, "required": ["name"],
                   "anyOf": [{"properties": {"a": {"type": "integer"}}, "required": ["a"]}, {"properties": {"b": name}}, {"type": "null"}]}),
            json!({"description": "d", "anyOf": [
                {"type": "object", "required": ["a", "name"], "properties": {"a": {"type": "integer"}, "name": name}},
                {"type": "object", "required": ["name"], "properties": {"b": name, "name": name}}], "nullable": true}),
        ),
        // Types.
        (
            json!({"type": "integer", "anyOf": [{"minimum": 1}, {"maximum": -1}]}),
            json!({"anyOf": [{"minimum": 1, "type": "integer"}, {"maximum": -1, "type": "integer"}]}),
        ),
        (
            json!({"type": ["object", "string"], "properties": {"a": name}, "anyOf": [{"type": "string"}, {"type": "integer"}, {"type": "object"}]}),
            json!({"anyOf": [{"type": "string"}, {"type": "object", "properties": {"a": name}}]}),
        ),
    ] {
        assert_legacy(&schema, &expected);
    }
}

#[test]
fn recursion_ends() {
    let schema = json!({"type": "object", "properties": {"child": {"$ref": "#/$defs/N"}},
                        "$defs": {"N": {"type": "object", "properties": {"name": {"type": "string"}, "child": {"$ref": "#/$defs/N"}}}}});
    let text = legacy(&normalise(schema).schema).schema.to_string();
    assert!(!text.contains("$ref") && text.contains("JSON-encoded object"), "{text}");
    assert_eq!(text.matches("\"name\"").count(), DEEPEST_RECURSION);
    // Two ways into itself at every level.
    let twice = json!({"$ref": "#/$defs/N"});
    let members: Map<String, Value> = (0..20).map(|number| (format!("p{number}"), twice.clone())).collect();
    let schema = json!({"type": "object", "properties": members, "$defs": {"N": {"type": "object", "properties": members}}});
    assert!(legacy(&normalise(schema).schema).schema.to_string().len() < 1_000_000);
    // Everything beside alternatives goes into each of them, within bounds.
    let branches: Vec<Value> =
        (0..1_000).map(|number| json!({"properties": {format!("b{number}"): {}}})).collect();
    let members: Map<String, Value> = (0..1_000).map(|number| (format!("p{number}"), json!({}))).collect();
    let schema =
        json!({"type": "array", "items": {"type": "object", "properties": members, "anyOf": branches}});
    assert!(legacy(&normalise(schema).schema).schema.to_string().len() < 1_000_000);
}

#[test]
fn parameters_stay_an_object() {
    let schema = json!({"type": "object", "description": "d", "additionalProperties": {"type": "string"}});
    let older = legacy_parameters(&parameters(schema).schema.unwrap());
    let told = json!({"type": "string", "description": "All arguments as one JSON-encoded object"});
    assert_eq!(older.schema, json!({"type": "object", "properties": {"json": told}, "description": "d"}));
    let turned = |json: &str| older.shape.to_client(&raw(json)).map(|value| value.get().to_owned());
    assert_eq!(turned(r#"{"json":"{\"k\":\"v\", \"n\":1.50}"}"#).as_deref(), Some(r#"{"k":"v", "n":1.50}"#));
    assert_eq!(turned(r#"{"json":"no object"}"#), None);
    assert_eq!(turned(r#"{"json":"{}","more":1}"#), None);
}

fn raw(json: &str) -> Box<RawValue> {
    RawValue::from_string(json.to_owned()).unwrap()
}

#[test]
fn what_a_text_stands_for_is_turned_back() {
    let schema = json!({"type": "object", "properties": {
        "n": {"type": "integer", "enum": [1, 2]}, "meta": {"type": "object", "additionalProperties": {"type": "string"}},
        "free": {"type": ["object", "null"]}, "or": {"anyOf": [{"type": "object"}, {"type": "string"}]},
        "list": {"type": "array", "items": {"type": "object"}}, "text": {"type": "string"}, "flag": {"type": "boolean"},
        "kinds": {"anyOf": [{"type": "object", "properties": {"a": {"type": "object"}}}, {"type": "object", "properties": {"b": {"type": "object"}}}]}}});
    let Older { shape, .. } = legacy_parameters(&parameters(schema).schema.unwrap());
    for (written, expected) in [
        (r#"{"n":"2","meta":"{\"k\":\"v\"}"}"#, r#"{"n":2,"meta":{"k":"v"}}"#),
        (r#"{"meta":" {\"big\":12345678901234567890} "}"#, r#"{"meta":{"big":12345678901234567890}}"#),
        (r#"{"or":"plain","free":"{}","flag":"true"}"#, r#"{"or":"plain","free":{},"flag":true}"#),
        (r#"{"or":"{\"a\":[]}","list":["{}","no",3]}"#, r#"{"or":{"a":[]},"list":[{},"no",3]}"#),
        (r#"{"kinds":{"b":"{\"a\":\"{}\"}"}}"#, r#"{"kinds":{"b":{"a":"{}"}}}"#),
        // What is as it should be, or cannot be understood, stays.
        (r#"{"text":"{\"a\":1}","n":2,"free":null,"meta":"{cut"}"#, ""),
        (r#"{"n":"two","flag":"1","list":"[]"}"#, ""),
        ("[]", ""),
    ] {
        let turned = shape.to_client(&raw(written));
        assert_eq!(turned.as_deref().map_or("", RawValue::get), expected, "{written}");
        if let Some(turned) = turned {
            let there = shape.to_gemini(&turned).unwrap_or_else(|| turned.clone());
            let back = shape.to_client(&there).unwrap_or(there);
            assert_eq!(back.get(), turned.get(), "{written}");
        }
    }
}

/// Schemas as strangers write them: any words, in any place.
pub(crate) fn odd_schemas() -> impl Strategy<Value = Value> {
    let kind = prop_oneof![
        prop::sample::select(vec![
            "string",
            "integer",
            "number",
            "boolean",
            "object",
            "array",
            "null",
            "STRING",
            "OBJECT",
            "ARRAY",
            "float",
            "any",
            "",
            "dict",
            "list[str]",
            "type_unspecified",
        ])
        .prop_map(Value::from),
        prop::collection::vec(prop::sample::select(vec!["string", "null", "object", "INTEGER", "int"]), 0..4)
            .prop_map(|kinds| json!(kinds)),
        prop::sample::select(vec![json!(3), json!(null), json!({}), json!(true)]),
    ];
    let leaf = prop_oneof![
        kind.clone().prop_map(|kind| json!({"type": kind})),
        (
            kind.clone(),
            prop::collection::vec(
                prop::sample::select(vec![
                    json!("a"),
                    json!(""),
                    json!(1),
                    json!(2.5),
                    json!(true),
                    json!(null),
                    json!({}),
                    json!([])
                ]),
                0..4
            )
        )
            .prop_map(|(kind, choices)| json!({"type": kind, "enum": choices})),
        prop::sample::select(vec![
            json!({}),
            json!(true),
            json!(false),
            json!({"required": ["a"]}),
            json!({"required": ["a", "b"]}),
            json!({"const": 1}),
            json!({"const": null}),
            json!({"enum": ["x", 1, null]}),
            json!({"$ref": "#/$defs/A"}),
            json!({"$ref": "#/definitions/A"}),
            json!({"$ref": "#"}),
            json!({"not": {}}),
            json!({"type": "array", "maxItems": "7", "minItems": null}),
            json!({"type_": "STRING", "any_of": [{"type": "INTEGER"}]}),
            json!({"type": "object", "additionalProperties": true}),
        ]),
    ];
    let name = || prop::sample::select(vec!["a", "b", "c", "value", "json", "type"]);
    leaf.prop_recursive(4, 48, 4, move |inner| {
        let list = prop::collection::vec(inner.clone(), 0..4);
        let members = prop::collection::vec((name(), inner.clone()), 0..4);
        let object = (members, prop::collection::vec(name(), 0..3), kind.clone(), 0..=255_u8).prop_map(
            |(members, required, kind, choice)| {
                let members: Map<_, _> =
                    members.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect();
                let kind = if choice < 200 { json!("object") } else { kind };
                json!({"type": kind, "properties": members, "required": required})
            },
        );
        let with = move |word: &'static str| {
            (object.clone(), list.clone()).prop_map(move |(mut object, list)| {
                object[word] = json!(list);
                object
            })
        };
        prop_oneof![
            with("anyOf"),
            with("oneOf"),
            with("allOf"),
            with("example"),
            prop::collection::vec(inner.clone(), 0..4).prop_map(|list| json!({"anyOf": list})),
            prop::collection::vec(inner.clone(), 0..4)
                .prop_map(|list| json!({"type": "array", "items": list})),
            (inner.clone(), kind.clone()).prop_map(|(items, kind)| json!({"type": kind, "items": items})),
            (inner.clone(), inner.clone()).prop_map(
                |(one, two)| json!({"type": "object", "properties": {"x": one}, "$defs": {"A": two}})
            ),
            inner.prop_map(|more| json!({"type": "object", "additionalProperties": more})),
        ]
    })
}

/// Panics unless the older channel takes a schema.
pub(crate) fn assert_in_subset(schema: &Value) {
    const WORDS: [&str; 22] = [
        "type",
        "format",
        "title",
        "description",
        "nullable",
        "enum",
        "items",
        "properties",
        "required",
        "anyOf",
        "pattern",
        "minItems",
        "maxItems",
        "minProperties",
        "maxProperties",
        "minimum",
        "maximum",
        "minLength",
        "maxLength",
        "propertyOrdering",
        "example",
        "default",
    ];
    let members = schema.as_object().unwrap_or_else(|| panic!("{schema}"));
    assert!(members.keys().all(|key| WORDS.contains(&key.as_str())), "{schema}");
    if let Some(branches) = members.get("anyOf") {
        assert!(
            members.keys().all(|key| matches!(key.as_str(), "anyOf" | "description" | "nullable")),
            "{schema}"
        );
        branches.as_array().unwrap().iter().for_each(assert_in_subset);
        return;
    }
    let kind = members.get("type").and_then(Value::as_str).unwrap_or_default();
    assert!(["string", "integer", "number", "boolean", "array", "object"].contains(&kind), "{schema}");
    if let Some(choices) = members.get("enum").map(|choices| choices.as_array().unwrap()) {
        assert!(kind == "string" && !choices.is_empty(), "{schema}");
        assert!(
            choices.iter().all(|choice| choice.as_str().is_some_and(|choice| !choice.is_empty())),
            "{schema}"
        );
    }
    assert_eq!(members.contains_key("items"), kind == "array", "{schema}");
    assert_eq!(members.contains_key("properties"), kind == "object", "{schema}");
    members.get("items").into_iter().for_each(assert_in_subset);
    if let Some(properties) = members.get("properties").map(|members| members.as_object().unwrap()) {
        assert!(!properties.is_empty(), "{schema}");
        properties.values().for_each(assert_in_subset);
        for name in members.get("required").into_iter().flat_map(|names| names.as_array().unwrap()) {
            assert!(properties.contains_key(name.as_str().unwrap()), "{schema}");
        }
    }
}

/// Every property of an object, and what became of it: unless the object travels as text, it is there.
fn assert_keeps_properties(normal: &Value, older: &Value) {
    let Some(properties) = normal.get("properties").and_then(Value::as_object) else { return };
    let contradicts = normal.as_object().is_some_and(|normal| !alternatives::is_object(normal));
    let may_be_object = |branch: &Value| {
        let told = branch.get("type").map(ToString::to_string);
        told.is_none_or(|kind| kind.contains("object"))
    };
    let contradicts = contradicts
        || normal
            .get("anyOf")
            .and_then(Value::as_array)
            .is_some_and(|branches| !branches.iter().any(may_be_object));
    if contradicts || older.get("type").is_some_and(|kind| kind != "object") {
        return;
    }
    let mut places: Vec<&Value> = vec![older];
    while let Some(at) = places.iter().position(|place| place.get("anyOf").is_some()) {
        let branches = places.remove(at)["anyOf"].as_array().unwrap();
        places.extend(branches);
    }
    // What is beside it in another alternative can contradict it.
    if !places.iter().any(|place| place["type"] == "object") {
        return;
    }
    for (name, schema) in properties {
        let kept: Vec<&Value> =
            places.iter().filter_map(|place| place.get("properties")?.get(name)).collect();
        let as_text = places.iter().any(|place| {
            place.get("description").is_some_and(|told| told.to_string().contains("JSON-encoded"))
        });
        assert!(!kept.is_empty() || as_text, "{name} of {normal} in {older}");
        // Two schemas of one property are not put together where one is a reference.
        let plain = places.len() == 1 && !normal.to_string().contains("$ref");
        for older in kept.iter().take(1).filter(|_| plain) {
            assert_keeps_properties(schema, older);
        }
    }
}

/// What a declared type may be told as.
fn assert_keeps_types(normal: &Value, older: &Value, shape: &Shape) {
    let Some(kind) = normal.get("type").and_then(Value::as_str) else { return };
    if normal.get("anyOf").is_some() || normal.get("$ref").is_some() {
        return;
    }
    let told = older.get("type").and_then(Value::as_str).unwrap_or_default();
    assert!(
        told == kind || matches!(shape, Shape::Text | Shape::Whole | Shape::Scalar(_)),
        "{normal} as {older}"
    );
    for (name, member) in normal.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let Some(older) = older.get("properties").and_then(|members| members.get(name)) else { continue };
        let shape = match shape {
            Shape::Object(members) => members.iter().find(|(known, _)| known == name).map(|(_, shape)| shape),
            _ => None,
        };
        assert_keeps_types(member, older, shape.unwrap_or(&Shape::Same));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_schema_becomes_one_of_the_subset(schema in odd_schemas()) {
        let normal = normalise(schema.clone()).schema;
        let older = legacy(&normal);
        assert_in_subset(&older.schema);
        if !normal.to_string().contains("$ref") {
            assert_keeps_properties(&normal, &older.schema);
        }
        assert_keeps_types(&normal, &older.schema, &older.shape);
        if let Some(normal) = parameters(schema).schema {
            let older = legacy_parameters(&normal);
            assert_in_subset(&older.schema);
            prop_assert_eq!(&older.schema["type"], "object");
            assert_keeps_properties(&normal, &older.schema);
        }
    }

    /// Whatever an object of the client's holds, it comes back from the older channel as it was.
    #[test]
    fn what_goes_there_comes_back(schema in odd_schemas(), value in values()) {
        let Some(normal) = parameters(schema).schema else { return Ok(()) };
        let shape = legacy_parameters(&normal).shape;
        let value = raw(&json!({"a": value, "b": {"c": value}, "json": [value]}).to_string());
        let there = shape.to_gemini(&value).unwrap_or_else(|| value.clone());
        let back = shape.to_client(&there).unwrap_or(there);
        prop_assert_eq!(back.get(), value.get());
    }
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop::sample::select(vec![
        json!("text"),
        json!(1),
        json!(2.5),
        json!(true),
        json!(null),
        json!({"k": "v"}),
        json!([]),
    ]);
    leaf.prop_recursive(3, 16, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::vec((prop::sample::select(vec!["a", "b", "c", "json"]), inner), 0..3).prop_map(
                |members| {
                    members
                        .into_iter()
                        .map(|(name, value)| (name.to_owned(), value))
                        .collect::<Map<_, _>>()
                        .into()
                }
            ),
        ]
    })
}
