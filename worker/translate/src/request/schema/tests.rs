use proptest::prelude::*;
use serde_json::{Value, json};

use super::legacy::tests::odd_schemas;
use super::*;

mod written;

fn normal(schema: &Value) -> Value {
    normalise(schema.clone()).schema
}

/// As text, since the order of keys counts.
fn assert_normal(schema: &Value, expected: &Value) {
    assert_eq!(normal(schema).to_string(), expected.to_string(), "{schema}");
}

#[test]
fn words_that_gemini_does_not_know() {
    for (schema, expected) in [
        (
            json!({"$schema": "s", "$id": "i", "$comment": "c", "x-order": 1, "type": "string"}),
            json!({"type": "string"}),
        ),
        (json!({"const": "a"}), json!({"enum": ["a"], "type": "string"})),
        (json!({"type": "integer", "const": 1, "enum": [1, 2]}), json!({"type": "integer", "enum": [1]})),
        (json!({"const": 1.5}), json!({"enum": [1.5], "type": "number"})),
        (json!({"oneOf": [{"type": "string"}, false, true]}), json!({"anyOf": [{"type": "string"}, {}]})),
        (json!({"type": "string", "nullable": true}), json!({"type": ["string", "null"]})),
        (json!({"type": "string", "nullable": false}), json!({"type": "string"})),
        (
            json!({"anyOf": [{"type": "string"}], "nullable": true}),
            json!({"anyOf": [{"type": "string"}, {"type": "null"}]}),
        ),
        (
            json!({"type": "integer", "exclusiveMinimum": 3, "exclusiveMaximum": 9}),
            json!({"type": "integer", "minimum": 4, "maximum": 8}),
        ),
        (json!({"type": "number", "exclusiveMinimum": 0.5}), json!({"type": "number", "minimum": 0.5})),
        (
            json!({"type": "integer", "minimum": 3, "exclusiveMinimum": true}),
            json!({"type": "integer", "minimum": 4}),
        ),
        (
            json!({"type": "integer", "minimum": 7, "exclusiveMinimum": 3}),
            json!({"type": "integer", "minimum": 7}),
        ),
        (
            json!({"type": "array", "items": [{"type": "string"}, {}]}),
            json!({"type": "array", "prefixItems": [{"type": "string"}, {}]}),
        ),
        (
            json!({"type": "object", "properties": {"a": true, "b": false, "strict": {"type": "string", "strict": true}}, "required": ["a", "b", "c"]}),
            json!({"type": "object", "properties": {"a": {}, "strict": {"type": "string"}}, "required": ["a"]}),
        ),
        (json!({"type": "object", "required": ["gone"]}), json!({"type": "object"})),
        (
            json!({"properties": {"a": {"$ref": "#/$defs/F"}, "b": {"$ref": "#/$defs/T"}}, "required": ["a", "b"],
                   "anyOf": [{"$ref": "#/$defs/F"}, {"$ref": "#/$defs/T"}], "$defs": {"F": false, "T": true}}),
            json!({"properties": {"b": {}}, "required": ["b"]}),
        ),
        (
            json!({"type": "object", "additionalProperties": false, "title": "T", "format": "f", "default": {"x-a": 1}}),
            json!({"type": "object", "additionalProperties": false, "title": "T", "format": "f", "default": {"x-a": 1}}),
        ),
        (json!({"enum": [{"const": 1}]}), json!({"enum": [{"const": 1}]})),
    ] {
        assert_normal(&schema, &expected);
    }
}

#[test]
fn all_of_becomes_one() {
    assert_normal(
        &json!({"description": "mine", "allOf": [
            {"type": "object", "description": "theirs", "properties": {"a": {"type": "string"}}, "required": ["a"]},
            {"properties": {"b": {"$ref": "#/$defs/B"}, "a": {"minLength": 1}}, "required": ["b", "a"]}
        ], "$defs": {"B": {"type": "integer"}}}),
        &json!({"description": "mine", "type": "object",
                "properties": {"a": {"type": "string", "minLength": 1}, "b": {"type": "integer"}}, "required": ["a", "b"]}),
    );
}

#[test]
fn references_that_end_are_put_in_place() {
    assert_normal(
        &json!({"type": "object", "properties": {
            "home": {"$ref": "#/definitions/Addr", "description": "home"},
            "deep": {"$ref": "#/properties/home"},
            "odd": {"$ref": "#/$defs/List%5BInt%5D"}},
          "definitions": {"Addr": {"type": "object", "description": "any", "properties": {"city": {"$ref": "#/definitions/City"}}},
                          "City": {"type": "string"}},
          "$defs": {"List[Int]": {"type": "array", "items": {"type": "integer"}}}}),
        &json!({"type": "object", "properties": {
            "home": {"type": "object", "description": "home", "properties": {"city": {"type": "string"}}},
            "deep": {"type": "object", "description": "home", "properties": {"city": {"type": "string"}}},
            "odd": {"type": "array", "items": {"type": "integer"}}}}),
    );
}

#[test]
fn references_to_themselves_stay() {
    assert_normal(
        &json!({"type": "object", "properties": {"root": {"$ref": "#/definitions/Node", "description": "d", "title": "gone"}},
          "definitions": {"Node": {"type": "object", "properties": {
              "next": {"anyOf": [{"$ref": "#/definitions/Node"}, {"type": "null"}]}, "leaf": {"$ref": "#/definitions/Leaf"}}},
              "Leaf": {"type": "string"}, "Unused": {}}}),
        &json!({"type": "object", "properties": {"root": {"$ref": "#/$defs/Node", "description": "d"}},
          "$defs": {"Node": {"type": "object", "properties": {
              "next": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]}, "leaf": {"type": "string"}}}}}),
    );
    // The root itself.
    let tree = json!({"type": "object", "properties": {"child": {"$ref": "#"}}});
    assert_normal(&tree, &tree);
    // A root that is only a reference: Gemini must see an object there.
    assert_normal(
        &json!({"$ref": "#/$defs/N", "$defs": {"N": {"type": "object", "properties": {"n": {"$ref": "#/$defs/N"}}}}}),
        &json!({"type": "object", "properties": {"n": {"$ref": "#/$defs/N"}},
                "$defs": {"N": {"type": "object", "properties": {"n": {"$ref": "#/$defs/N"}}}}}),
    );
}

#[test]
fn references_to_nowhere_are_anything() {
    for reference in ["https://example.com/x", "#/$defs/Missing", "#anchor", ""] {
        let Normalised { schema, lossy } =
            normalise(json!({"properties": {"a": {"$ref": reference, "description": "d"}}}));
        assert_eq!(
            (schema, lossy),
            (json!({"properties": {"a": {"description": "d"}}}), true),
            "{reference}"
        );
    }
}

#[test]
fn knots_cost_no_more_than_their_size() {
    // Each definition refers twice to the next one: 2^60 nodes if all were put in place.
    let mut definitions = serde_json::Map::new();
    for level in 0..60 {
        let next = json!({"$ref": format!("#/$defs/D{}", level + 1)});
        definitions
            .insert(format!("D{level}"), json!({"type": "object", "properties": {"l": next, "r": next}}));
    }
    definitions.insert("D60".into(), json!({"type": "string"}));
    let schema =
        json!({"type": "object", "properties": {"top": {"$ref": "#/$defs/D0"}}, "$defs": definitions});
    let text = normal(&schema).to_string();
    assert!(text.len() < 1_000_000, "{}", text.len());
    // A chain that would nest a thousand deep.
    let mut definitions = serde_json::Map::new();
    for level in 0..1000 {
        let next = json!({"$ref": format!("#/$defs/D{}", level + 1)});
        definitions.insert(format!("D{level}"), json!({"type": "object", "properties": {"n": next}}));
    }
    definitions.insert("D1000".into(), json!({"type": "string"}));
    let schema = json!({"properties": {"top": {"$ref": "#/$defs/D0"}}, "$defs": definitions});
    let normalised = normal(&schema);
    assert!(serde_json::from_str::<Value>(&normalised.to_string()).is_ok(), "nested too deeply");
    assert!(normalised["$defs"].is_object());
    // Everything refers to everything.
    let mut definitions = serde_json::Map::new();
    for from in 0..150 {
        let all: Vec<Value> = (0..150).map(|to| json!({"$ref": format!("#/$defs/D{to}")})).collect();
        definitions.insert(format!("D{from}"), json!({"anyOf": all, "allOf": all}));
    }
    let schema = json!({"properties": {"top": {"$ref": "#/$defs/D0"}}, "$defs": definitions});
    assert!(normal(&schema).to_string().len() < 4_000_000);
    for reference in ["#", "#/$defs/A", "#/allOf/0"] {
        let knot =
            json!({"$ref": reference, "allOf": [{"$ref": reference}], "$defs": {"A": {"$ref": "#/$defs/A"}}});
        normal(&knot);
    }
}

fn params(schema: &Value) -> (Value, bool) {
    let parameters = parameters(schema.clone());
    (parameters.schema.unwrap_or_default(), parameters.wrapped)
}

#[test]
fn parameters_are_always_an_object() {
    let a = json!({"a": {"type": "string"}});
    for (schema, expected) in [
        (json!({"properties": a}), (json!({"type": "object", "properties": a}), false)),
        (
            json!({"type": ["object", "null"], "properties": a}),
            (json!({"type": "object", "properties": a}), false),
        ),
        (
            json!({"anyOf": [{"type": "object", "properties": a, "required": ["a"]},
                             {"type": "object", "properties": {"b": {}, "a": {}}, "required": ["b", "a"]}, {"type": "null"}]}),
            (
                json!({"type": "object", "properties": {"a": {"type": "string"}, "b": {}}, "required": ["a"]}),
                false,
            ),
        ),
        (
            json!({"type": "array", "items": {"type": "string"}}),
            (
                json!({"type": "object", "properties": {"value": {"type": "array", "items": {"type": "string"}}}, "required": ["value"]}),
                true,
            ),
        ),
        (
            json!({"anyOf": [{"type": "string"}, {"type": "object", "properties": a}]}),
            (
                json!({"type": "object", "properties": {"value": {"anyOf": [{"type": "string"}, {"type": "object", "properties": a}]}}, "required": ["value"]}),
                true,
            ),
        ),
        (json!(true), (json!(null), false)),
        (
            json!({"type": "object", "additionalProperties": {"type": "string"}}),
            (json!({"type": "object", "additionalProperties": {"type": "string"}}), false),
        ),
    ] {
        assert_eq!(params(&schema), expected, "{schema}");
    }
}

#[test]
fn what_cannot_be_said_of_a_root_does_not_change_its_shape() {
    let (a, b) = (json!({"type": "string"}), json!({"type": "integer"}));
    let both = json!({"type": "object", "properties": {"a": a, "b": b}});
    let with = |word: &str, branches: Value| {
        let mut schema = both.clone();
        schema[word] = branches;
        schema
    };
    let required = |names: Value| {
        let mut schema = both.clone();
        schema["required"] = names;
        schema
    };
    let conditions = json!([{"required": ["a"]}, {"required": ["b"]}]);
    for (schema, expected, lossy) in [
        (with("anyOf", conditions.clone()), both.clone(), true),
        (with("oneOf", conditions.clone()), both.clone(), true),
        (with("allOf", json!([{"anyOf": conditions}])), both.clone(), true),
        (
            with("allOf", json!([{"required": ["a"]}, {"required": ["b"]}])),
            required(json!(["a", "b"])),
            false,
        ),
        (with("anyOf", json!([{"required": ["a"]}, {"required": ["b", "a"]}])), required(json!(["a"])), true),
        (with("anyOf", json!([{"not": {"required": ["a"]}}, {"type": "object"}])), both.clone(), true),
        (with("anyOf", json!([{"type": "object"}, true])), both.clone(), false),
        (
            with("anyOf", json!([{"properties": {"c": a}}, {"required": ["a"]}])),
            json!({"type": "object", "properties": {"a": a, "b": b, "c": a}}),
            false,
        ),
        (
            with(
                "anyOf",
                json!([{"type": "string"}, {"type": "object", "properties": {"c": a}, "required": ["c"]}]),
            ),
            json!({"type": "object", "properties": {"a": a, "b": b, "c": a}, "required": ["c"]}),
            false,
        ),
        (
            json!({"type": "object", "anyOf": [{"properties": {"a": a}}], "oneOf": [{"properties": {"b": b}}]}),
            json!({"type": "object", "properties": {"b": b, "a": a}}),
            true,
        ),
    ] {
        let parameters = parameters(schema.clone());
        assert_eq!((parameters.schema, parameters.lossy), (Some(expected), lossy), "{schema}");
        assert!(!parameters.wrapped);
    }
    // The same below the root.
    let nested = json!({"type": "object", "properties": {"f": with("anyOf", conditions)}});
    assert_eq!(normal(&nested), json!({"type": "object", "properties": {"f": both}}));
}

#[test]
fn alternatives_keep_every_variant_of_a_property() {
    let node = json!({"type": "object", "properties": {"next": {"$ref": "#/$defs/N"}}});
    let schema = json!({"anyOf": [
        {"type": "object", "properties": {"kind": {"const": "a"}, "x": {"type": "string"}}, "required": ["kind", "x"]},
        {"type": "object", "properties": {"kind": {"const": "b"}, "x": {"type": "integer"}}, "required": ["kind"]},
        {"anyOf": [{"type": "object", "properties": {"kind": {"const": "c"}, "x": {}}}, {"$ref": "#/$defs/N"}], "required": ["kind"]},
    ], "$defs": {"N": node}});
    let Parameters { schema, wrapped, .. } = parameters(schema);
    let schema = schema.unwrap();
    assert!(!wrapped);
    assert_eq!(
        schema["properties"],
        json!({"kind": {"enum": ["a", "b", "c"], "type": "string"}, "x": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
               "next": {"$ref": "#/$defs/N"}})
    );
}

#[test]
fn only_what_is_no_object_is_wrapped() {
    for (schema, wrapped) in [
        (json!({"type": "OBJECT", "properties": {"x": {"type": "STRING"}}, "required": ["x"]}), false),
        (json!({"type": "dict", "additionalProperties": {"type": "str"}}), false),
        (json!({"type": "object", "patternProperties": {"^a": {"type": "string"}}}), false),
        (json!({"additionalProperties": {"type": "string"}}), false),
        (json!({"properties": {"value": {"type": "string"}}}), false),
        (json!({"type": "string"}), true),
        (json!({"enum": ["a", "b"]}), true),
        (json!({"items": {"type": "string"}}), true),
        (json!({"anyOf": [{"type": "string"}, {"type": "object", "properties": {"a": {}}}]}), true),
    ] {
        let parameters = parameters(schema.clone());
        assert_eq!(
            parameters.schema.as_ref().map(|schema| &schema["type"]),
            Some(&json!("object")),
            "{schema}"
        );
        assert_eq!(parameters.wrapped, wrapped, "{schema}");
    }
}

#[test]
fn what_is_wrong_with_a_schema_is_told() {
    let told = |json: &str| read(serde_json::from_str(json).unwrap()).unwrap_err();
    assert_eq!(told(r#"{"maximum": 1e999}"#), "number out of range");
    let deep = "[".repeat(200) + &"]".repeat(200);
    assert_eq!(told(&deep), "nested too deeply");
    let raw = serde_json::from_str(r#"{"description":"cut \ud83d"}"#).unwrap();
    assert_eq!(read(raw).unwrap()["description"], "cut \u{fffd}");
}

#[test]
fn definitions_stand_at_the_end() {
    let node = json!({"type": "object", "properties": {"n": {"$ref": "#/$defs/N"}}});
    let schema = json!({"anyOf": [node, {"type": "null"}], "$defs": {"N": node}});
    let (schema, wrapped) = params(&schema);
    let names: Vec<&str> = schema.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!((names, wrapped), (vec!["type", "properties", "$defs"], false));
}

/// Schemas such as generators and hostile clients write.
fn schemas() -> impl Strategy<Value = Value> {
    let name = || prop::sample::select(vec!["a", "b", "strict", "const", "$ref", "items"]);
    let reference = prop::sample::select(vec![
        "#",
        "#/$defs/A",
        "#/$defs/B",
        "#/definitions/C",
        "#/properties/a",
        "#/nope",
        "http://x",
    ]);
    let leaf = prop_oneof![
        prop::sample::select(vec!["string", "integer", "object", "array", "null"])
            .prop_map(|kind| json!({"type": kind})),
        reference.prop_map(|reference| json!({"$ref": reference, "description": "d"})),
        Just(json!({"const": 3})),
        Just(json!(true)),
        Just(json!(false)),
        Just(json!({"type": "integer", "exclusiveMinimum": 1, "nullable": true})),
    ];
    let nested = leaf.prop_recursive(4, 40, 4, move |inner| {
        let list = prop::collection::vec(inner.clone(), 0..4);
        let members = prop::collection::vec((name(), inner.clone()), 0..4);
        prop_oneof![
            (members, prop::collection::vec(name(), 0..3)).prop_map(|(members, required)| {
                let members: serde_json::Map<_, _> =
                    members.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect();
                json!({"type": "object", "properties": members, "required": required})
            }),
            list.clone().prop_map(|list| json!({"allOf": list})),
            list.clone().prop_map(|list| json!({"oneOf": list, "discriminator": {}})),
            list.prop_map(|list| json!({"type": "array", "items": list})),
            inner.prop_map(|items| json!({"type": "array", "items": items, "x-y": 1})),
        ]
    });
    let definitions = (nested.clone(), nested.clone(), nested.clone());
    (nested, definitions).prop_map(|(mut root, (a, b, c))| {
        if let Some(root) = root.as_object_mut() {
            root.insert("$defs".into(), json!({"A": a, "B": b}));
            root.insert("definitions".into(), json!({"C": c}));
        }
        root
    })
}

/// Returns a reference, or what is put together of one, may lead to `false`, which no property is.
fn leads_to_false(schema: &Value) -> bool {
    schema.to_string().contains("$ref") || schema.to_string().contains("\"ref\"")
}

fn assert_known_types(schema: &Value) {
    let Value::Object(members) = schema else { return };
    assert!(members.get("type").is_none_or(types::is_known), "{schema}");
    dialect::visit_children(members, &mut |_, child| assert_known_types(child));
}

#[test]
fn choices_merged_from_a_part_have_the_type_that_wins() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "object",
        "properties": {"b": {"type": "string", "anyOf": [{"type": "integer"}]}},
        "allOf": [{"type": "object", "properties": {"b": {"type": "integer", "enum": [1]}}}]}}});
    let once = normal(&schema);
    assert_eq!(once["properties"]["a"]["properties"]["b"]["enum"], json!(["1"]));
    assert_eq!(normal(&once), once);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_counts_as_settled_a_pass_leaves_alone(schema in schemas()) {
        // The root has definitions, with which nothing is settled; what they define has none.
        let parts = ["/$defs/A", "/$defs/B", "/definitions/C"].iter().filter_map(|part| schema.pointer(part));
        let once = normal(&schema);
        for schema in parts.chain([&schema, &once]).filter(|schema| is_settled(schema)) {
            let again = pass(schema);
            prop_assert_eq!((again.schema.to_string(), again.lossy), (schema.to_string(), false));
        }
    }

    #[test]
    fn any_schema_is_normalised_once_and_for_all(schema in odd_schemas()) {
        let once = normal(&schema);
        prop_assert_eq!(&normal(&once), &once, "{}", schema);
        assert_known_types(&once);
        let parameters = parameters(schema.clone());
        if let Some(once) = parameters.schema {
            prop_assert_eq!(&once["type"], "object");
            prop_assert!(!["anyOf", "oneOf", "allOf", "$ref"].iter().any(|word| once.get(*word).is_some()), "{once}");
            assert_known_types(&once);
            let again = super::parameters(once.clone());
            prop_assert_eq!(again.schema.as_ref(), Some(&once), "{}", schema);
            prop_assert!(!again.wrapped);
            // What the root says of properties is there.
            if !parameters.wrapped {
                for name in schema.get("properties").and_then(Value::as_object).into_iter().flatten().map(|(name, _)| name) {
                    let gone = matches!(schema["properties"][name], Value::Bool(false));
                    prop_assert!(gone || leads_to_false(&schema["properties"][name]) || once["properties"].get(name).is_some(), "{name} of {schema} in {once}");
                }
            }
        }
    }

    #[test]
    fn normalising_twice_changes_nothing(schema in schemas()) {
        let once = normal(&schema);
        prop_assert_eq!(&normal(&once), &once);
        let parameters = parameters(schema.clone());
        if let Some(once) = parameters.schema {
            let again = super::parameters(once.clone());
            prop_assert_eq!(again.schema, Some(once));
            prop_assert!(!again.wrapped);
        }
    }
}
