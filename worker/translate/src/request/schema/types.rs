//! Type names of schema generators, as the nearest of the seven JSON Schema types.

use serde_json::{Map, Value, json};

/// Those of JSON schema, which are Gemini's too, in the order of Google's numbers for them.
const KINDS: [&str; 7] = ["string", "number", "integer", "boolean", "array", "object", "null"];

/// Names of other languages.
const NEAREST: &[(&str, &[&str])] = &[
    ("number", &["float", "double", "decimal", "real", "numeric", "float32", "float64", "num"]),
    (
        "integer",
        &[
            "int", "int8", "int16", "int32", "int64", "uint", "uint32", "uint64", "long", "short", "byte",
            "bigint",
        ],
    ),
    (
        "string",
        &[
            "str",
            "text",
            "enum",
            "char",
            "varchar",
            "date",
            "datetime",
            "date-time",
            "time",
            "timestamp",
            "uuid",
            "url",
            "uri",
            "email",
            "bytes",
            "binary",
            "file",
            "bigdecimal",
        ],
    ),
    ("boolean", &["bool", "bit"]),
    ("array", &["list", "tuple", "set", "frozenset", "sequence", "vector", "slice", "iterable"]),
    ("object", &["dict", "dictionary", "map", "mapping", "record", "struct", "hash", "hashmap", "json"]),
    ("null", &["none", "nonetype", "nil", "undefined", "void"]),
];

/// Returns `true` if a `type` allows `null`.
pub(super) fn allows_null(kind: &Value) -> bool {
    match kind {
        Value::Array(kinds) => kinds.iter().any(|kind| kind == "null"),
        kind => kind == "null",
    }
}

/// Returns the type of a value.
pub(super) fn of_value(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Returns `true` if a `type` is one as Gemini knows them.
pub(super) fn is_known(kind: &Value) -> bool {
    let known = |kind: &Value| kind.as_str().is_some_and(|kind| KINDS.contains(&kind));
    match kind {
        Value::Array(kinds) => {
            let once =
                |(place, kind): (usize, &Value)| !kinds.iter().take(place).any(|before| before == kind);
            !kinds.is_empty() && kinds.iter().all(known) && kinds.iter().enumerate().all(once)
        }
        kind => known(kind),
    }
}

/// Puts a schema's `type` into known names. Whether a name was replaced that is neither known nor Google's.
pub(super) fn read(members: &mut Map<String, Value>) -> bool {
    let Some(kind) = members.get_mut("type") else { return false };
    if is_known(kind) {
        return false;
    }
    let (mut kinds, mut lossy) = (Vec::new(), false);
    let mut add = |word: &Value| {
        let found = of_word(word);
        lossy |= found.lossy;
        for kind in found.kinds {
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
    };
    match &*kind {
        Value::Array(words) => words.iter().for_each(&mut add),
        word => add(word),
    }
    match kinds.as_slice() {
        [] => {
            members.shift_remove("type");
        }
        [only] => *kind = json!(only),
        several => *kind = json!(several),
    }
    lossy
}

#[derive(Default)]
struct Found {
    kinds: Vec<&'static str>,
    lossy: bool,
}

impl Found {
    fn known(kind: Option<&&'static str>) -> Self {
        Self { kinds: kind.into_iter().copied().collect(), lossy: false }
    }

    fn nearest(kinds: Vec<&'static str>) -> Self {
        Self { kinds, lossy: true }
    }
}

/// Returns what a word means.
fn of_word(word: &Value) -> Found {
    if let Some(number) = word.as_u64() {
        // Google's numbers, of which 0 says nothing.
        let place = usize::try_from(number).unwrap_or(usize::MAX);
        return if place == 0 {
            Found::default()
        } else {
            let kind = KINDS.get(place - 1);
            Found { lossy: kind.is_none(), ..Found::known(kind) }
        };
    }
    let Some(word) = word.as_str() else { return Found::nearest(Vec::new()) };
    let word = word.trim().to_ascii_lowercase();
    let word = word.strip_prefix("type.").unwrap_or(&word);
    if word == "type_unspecified" {
        return Found::default();
    }
    if let Some(kind) = KINDS.iter().find(|kind| **kind == word) {
        return Found::known(Some(kind));
    }
    Found::nearest(nearest(word))
}

fn nearest(word: &str) -> Vec<&'static str> {
    let mut kinds = Vec::new();
    let optional = ["optional[", "optional<", "nullable<", "union["]
        .iter()
        .find_map(|start| word.strip_prefix(start))
        .and_then(|inside| inside.strip_suffix([']', '>']));
    let listed = optional.unwrap_or(word).replace(" or ", "|");
    // What is in brackets speaks of elements.
    let in_list = optional.is_some() || !listed.contains(['[', '<', '(']);
    let parts = listed.split(|c| c == '|' || (matches!(c, ',' | '/') && in_list));
    for part in parts.map(|part| part.trim().trim_end_matches('!')) {
        let (part, nullable) = part.strip_suffix('?').map_or((part, false), |part| (part, true));
        let base = part.split(['[', '<', '(', ' ']).next().unwrap_or_default();
        let kind = if part.ends_with("[]") {
            Some("array")
        } else {
            let own = KINDS.iter().copied().find(|kind| *kind == base);
            own.or_else(|| NEAREST.iter().find(|(_, words)| words.contains(&base)).map(|(kind, _)| *kind))
        };
        kinds.extend(kind);
        if nullable {
            kinds.push("null");
        }
    }
    if optional.is_some() && !word.starts_with("union") && !kinds.is_empty() {
        kinds.push("null");
    }
    kinds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_becomes_the_nearest_type_or_none() {
        for (word, expected, lossy) in [
            (json!("string"), json!("string"), false),
            (json!(["string"]), json!(["string"]), false),
            (json!("STRING"), json!("string"), false),
            (json!(["STRING", "NULL"]), json!(["string", "null"]), false),
            (json!("Type.OBJECT"), json!("object"), false),
            (json!(6), json!("object"), false),
            (json!(["string", "string"]), json!("string"), false),
            (json!("float"), json!("number"), true),
            (json!("double"), json!("number"), true),
            (json!("int"), json!("integer"), true),
            (json!("dict"), json!("object"), true),
            (json!("list"), json!("array"), true),
            (json!("str"), json!("string"), true),
            (json!("enum"), json!("string"), true),
            (json!("bool"), json!("boolean"), true),
            (json!("None"), json!("null"), true),
            (json!("list[str]"), json!("array"), true),
            (json!("string[]"), json!("array"), true),
            (json!("Optional[int]"), json!(["integer", "null"]), true),
            (json!("string | null"), json!(["string", "null"]), true),
            (json!("int?"), json!(["integer", "null"]), true),
            (json!("string, null"), json!(["string", "null"]), true),
            (json!("number or string"), json!(["number", "string"]), true),
            (json!("string/null"), json!(["string", "null"]), true),
            (json!("String!"), json!("string"), true),
            (json!("array of strings"), json!("array"), true),
            (json!("Record<string, any>"), json!("object"), true),
            (json!("Union[str, int]"), json!(["string", "integer"]), true),
            (json!(["float", "any"]), json!("number"), true),
            (json!(""), Value::Null, true),
            (json!("any"), Value::Null, true),
            (json!([]), Value::Null, false),
            (json!(99), Value::Null, true),
            (json!({"type": "string"}), Value::Null, true),
        ] {
            let mut members = Map::from_iter([("type".to_owned(), word.clone())]);
            assert_eq!(read(&mut members), lossy, "{word}");
            assert_eq!(members.get("type").cloned().unwrap_or_default(), expected, "{word}");
            assert!(members.get("type").is_none_or(is_known), "{word}");
        }
    }
}
