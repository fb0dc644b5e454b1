//! Merging of several schemas into one.

use serde_json::{Map, Value};

use super::{alternatives, dialect};

/// Adds a schema of `allOf` to the schema that it is in. What is there already wins; properties and requirements of
/// both count. Whether something of the part was left out.
pub(super) fn into(base: &mut Map<String, Value>, part: Value) -> bool {
    let Value::Object(part) = part else { return false };
    // Nothing can be beside a reference.
    if base.contains_key("$ref") || (part.contains_key("$ref") && !base.is_empty()) {
        return !part.is_empty();
    }
    let (mut lossy, mut more_properties) = (false, Vec::new());
    for (key, value) in part {
        match (base.get_mut(&key), value) {
            (None, value) => {
                base.insert(key, value);
            }
            (Some(Value::Object(known)), Value::Object(more)) if key == "properties" => {
                for (name, schema) in more {
                    match (known.get_mut(&name), schema) {
                        (None, schema) => {
                            known.insert(name, schema);
                        }
                        (Some(Value::Object(known)), schema) => {
                            lossy |= into(known, schema);
                            if alternatives::are_only_conditions(known) {
                                lossy |= alternatives::drop_conditions(known, None);
                            }
                            // Choices of the one may be under a type of the other.
                            dialect::type_choices(known);
                        }
                        _ => {}
                    }
                }
            }
            (Some(Value::Array(known)), Value::Array(more)) if key == "required" => {
                for name in more {
                    if !known.contains(&name) {
                        known.push(name);
                    }
                }
            }
            // Both cannot be said at once; what the second alternatives speak of is at least known.
            (Some(Value::Array(_)), Value::Array(branches)) if key == "anyOf" => {
                lossy = true;
                more_properties.extend(branches.into_iter().filter_map(properties_of));
            }
            _ => {}
        }
    }
    for properties in more_properties {
        let known = base.entry("properties").or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(known) = known {
            for (name, schema) in properties {
                known.entry(name).or_insert(schema);
            }
        }
    }
    lossy
}

fn properties_of(schema: Value) -> Option<Map<String, Value>> {
    match schema {
        Value::Object(mut schema) => match schema.shift_remove("properties") {
            Some(Value::Object(properties)) => Some(properties),
            _ => None,
        },
        _ => None,
    }
}
