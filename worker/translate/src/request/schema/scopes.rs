//! References that resolve only relative to an inner schema: generators embed a schema with its
//! definitions and leave its references unchanged. They are rewritten as paths from the root.

use std::collections::HashMap;

use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::dialect::visit_children;
use super::refs::{follow, is_target};

/// Rewrites what does not lead anywhere from the root, but does from where it is.
pub(super) fn resolve(schema: &mut Value) {
    let mut walk = Walk { root: schema, enclosing: Vec::new(), names: None, found: Vec::new() };
    walk.visit(schema);
    for (place, reference) in walk.found {
        if let Some(slot) = schema.pointer_mut(&place) {
            *slot = reference.into();
        }
    }
}

struct Walk<'s> {
    root: &'s Value,
    /// The schemas that the current one is in, outermost first, and where in there.
    enclosing: Vec<(&'s Value, String)>,
    /// The places of schemas that have an `$id` or an `$anchor`, once they are needed.
    names: Option<HashMap<String, String>>,
    /// The places of references, and what they are to read.
    found: Vec<(String, String)>,
}

impl<'s> Walk<'s> {
    fn visit(&mut self, schema: &'s Value) {
        let Value::Object(members) = schema else { return };
        if let Some(reference) = members.get("$ref").and_then(Value::as_str)
            && follow(self.root, reference).is_none()
            && let Some(target) = self.target(schema, reference)
        {
            let place = format!("{}/$ref", self.path(self.enclosing.len()));
            self.found.push((place, format!("#{}", encoded(&target))));
        }
        visit_children(members, &mut |path, child| {
            let segments: Vec<String> = path.iter().map(|segment| escaped(segment)).collect();
            self.enclosing.push((schema, segments.join("/")));
            self.visit(child);
            self.enclosing.pop();
        });
    }

    /// Returns the path of what is under the first `depth` segments.
    fn path(&self, depth: usize) -> String {
        self.enclosing.iter().take(depth).fold(String::new(), |path, (_, segment)| path + "/" + segment)
    }

    /// Returns the path from the root of what a reference means from where it is.
    fn target(&mut self, own: &'s Value, reference: &str) -> Option<String> {
        let fragment = reference.split_once('#').map_or(reference, |(_, fragment)| fragment);
        let pointer = percent_decode_str(fragment).decode_utf8().ok()?;
        let name = pointer.rsplit('/').next().unwrap_or_default();
        // From the inside out.
        let places = self.enclosing.iter().map(|(value, _)| *value).chain([own]).enumerate();
        for (depth, place) in places.collect::<Vec<_>>().into_iter().rev() {
            if pointer.starts_with('/')
                && reference.starts_with('#')
                && place.pointer(&pointer).is_some_and(is_target)
            {
                return Some(self.path(depth) + &pointer);
            }
            for definitions in ["$defs", "definitions"] {
                let pointer = format!("/{definitions}/{name}");
                if !name.is_empty() && place.pointer(&pointer).is_some_and(is_target) {
                    return Some(self.path(depth) + &pointer);
                }
            }
        }
        let root = self.root;
        let names = self.names.get_or_insert_with(|| {
            let mut names = HashMap::new();
            named(root, &mut String::new(), &mut names);
            names
        });
        // A name may be relative to another one.
        let last = || reference.trim_end_matches('#').rsplit('/').next().filter(|last| !last.is_empty());
        names.get(reference).or_else(|| names.get(last()?)).cloned()
    }
}

/// Collects what schemas are called by `$id` and `$anchor`.
fn named(value: &Value, path: &mut String, names: &mut HashMap<String, String>) {
    let mut inside = |segment: &str, value: &Value, names: &mut HashMap<String, String>| {
        let length = path.len();
        path.push('/');
        path.push_str(segment);
        named(value, path, names);
        path.truncate(length);
    };
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                inside(&escaped(key), value, names);
            }
            for (key, mark) in [("$id", ""), ("$anchor", "#"), ("$dynamicAnchor", "#")] {
                if let Some(name) = members.get(key).and_then(Value::as_str) {
                    names.entry(format!("{mark}{name}")).or_insert_with(|| path.clone());
                    let last = name.rsplit('/').next().filter(|last| mark.is_empty() && !last.is_empty());
                    if let Some(last) = last.filter(|last| *last != name) {
                        names.entry(last.to_owned()).or_insert_with(|| path.clone());
                    }
                }
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                inside(&index.to_string(), value, names);
            }
        }
        _ => {}
    }
}

/// Returns a name as a segment of a JSON pointer.
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// Returns a path as the fragment of a URL, as far as it has to be.
fn encoded(path: &str) -> String {
    path.replace('%', "%25")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_reference_is_followed_from_where_it_stands() {
        let mut schema = json!({
            "$defs": {"Far": {"type": "string"}},
            "properties": {"request/x%": {
                "$defs": {"MinMax": {"type": "integer"}, "Far": {"type": "null"}},
                "properties": {
                    "near": {"$ref": "#/$defs/MinMax"},
                    "other": {"$ref": "#/definitions/MinMax"},
                    "openapi": {"items": [{"$ref": "#/components/schemas/MinMax"}]},
                    "own": {"$ref": "#/properties/near"},
                    "root": {"$ref": "#/$defs/Far"},
                    "anchor": {"$ref": "#here"},
                    "gone": {"$ref": "#/$defs/Gone"},
                    "here": {"$anchor": "here", "type": "boolean"}}}}});
        resolve(&mut schema);
        let inside = &schema["properties"]["request/x%"]["properties"];
        let near = "#/properties/request~1x%25/$defs/MinMax";
        for (reference, expected) in [
            (&inside["near"]["$ref"], near),
            (&inside["other"]["$ref"], near),
            (&inside["openapi"]["items"][0]["$ref"], near),
            (&inside["own"]["$ref"], "#/properties/request~1x%25/properties/near"),
            (&inside["root"]["$ref"], "#/$defs/Far"),
            (&inside["anchor"]["$ref"], "#/properties/request~1x%25/properties/here"),
            (&inside["gone"]["$ref"], "#/$defs/Gone"),
        ] {
            assert_eq!(reference, expected);
        }
        let once = schema.clone();
        resolve(&mut schema);
        assert_eq!(schema, once);
        for reference in [near, "#/properties/request~1x%25/properties/near"] {
            assert!(follow(&schema, reference).is_some(), "{reference}");
        }
    }
}
