//! Structural limits of a JSON body: nesting depth and number of values, counted in one pass before
//! anything is parsed.
//!
//! A parsed part, tool or schema property takes hundreds of bytes for three bytes of JSON. The
//! length of a body alone therefore does not bound the memory of parsing it.

use super::escape::find_quote_or_backslash;

/// Maximum nesting depth of a JSON body.
pub const JSON_DEPTH: usize = 64;

/// Maximum number of array elements and schema `properties` in a body, counted together: parts,
/// tools, properties, `required`, enum members and all other lists.
pub const MAX_ELEMENTS: usize = 10_000;
/// Maximum number of object members in a body. A long conversation with tools has about ten per
/// message.
pub const MAX_MEMBERS: usize = 30_000;

/// The key whose object counts as a list.
const PROPERTIES: &[u8] = b"properties";

/// Returns `true` if a JSON text, well formed or not, is nested more than [`JSON_DEPTH`] levels deep.
#[must_use]
pub fn is_too_deep(json: &[u8]) -> bool {
    // Most bodies have fewer brackets than that in total.
    if memchr::memchr2_iter(b'[', b'{', json).nth(JSON_DEPTH).is_none() {
        return false;
    }
    let mut depth = 0_usize;
    let mut rest = json;
    // Brackets are the only bytes of interest, and between quotes there are none.
    while let Some(at) = rest.iter().position(|byte| matches!(byte, b'[' | b'{' | b']' | b'}' | b'"')) {
        let (found, after) = (rest.get(at).copied(), rest.get(at + 1..).unwrap_or_default());
        rest = after;
        match found {
            Some(b'"') => rest = after_string(rest),
            Some(b'[' | b'{') => depth += 1,
            _ => depth = depth.saturating_sub(1),
        }
        if depth > JSON_DEPTH {
            return true;
        }
    }
    false
}

/// Returns the bytes after the string whose opening quote was before `rest`.
fn after_string(mut rest: &[u8]) -> &[u8] {
    while let Some(at) = find_quote_or_backslash(rest) {
        let escaped = usize::from(rest.get(at) == Some(&b'\\'));
        rest = rest.get(at + 1 + escaped..).unwrap_or_default();
        if escaped == 0 {
            return rest;
        }
    }
    &[]
}

/// Returns `true` if a JSON text, well formed or not, has more than [`MAX_ELEMENTS`] or [`MAX_MEMBERS`].
#[must_use]
pub fn has_too_many(json: &[u8]) -> bool {
    // Each element but the first follows a comma, and each first one a bracket: most bodies have not even so many.
    if memchr::memchr3_iter(b',', b'[', b'{', json).nth(MAX_ELEMENTS).is_none() {
        return false;
    }
    let mut count = Count::default();
    let mut rest = json;
    let is_structural = |byte: &u8| matches!(byte, b'"' | b',' | b':' | b'[' | b'{' | b']' | b'}');
    while let Some(at) = rest.iter().position(is_structural) {
        let (found, after) = (rest.get(at).copied(), rest.get(at + 1..).unwrap_or_default());
        rest = after;
        if found == Some(b'"') {
            rest = after_string(after);
            let text = after.get(..(after.len() - rest.len()).saturating_sub(1)).unwrap_or_default();
            count.last_is_properties = text == PROPERTIES;
        } else {
            let is_empty = || matches!(after.trim_ascii_start().first(), Some(b']') | None);
            count.note(found.unwrap_or_default(), is_empty);
        }
        if count.elements > MAX_ELEMENTS || count.members > MAX_MEMBERS {
            return true;
        }
    }
    false
}

/// What a value is inside of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    Array,
    Object,
    /// The object of a key `properties`.
    Properties,
}

#[derive(Default)]
struct Count {
    elements: usize,
    members: usize,
    /// Deeper levels than a body may have are rejected anyway.
    levels: Vec<Inside>,
    /// The last string was `properties`.
    last_is_properties: bool,
    /// The value that begins is that of a key `properties`.
    is_properties: bool,
}

impl Count {
    fn note(&mut self, byte: u8, is_empty: impl Fn() -> bool) {
        match byte {
            b':' => {
                self.members += 1;
                self.elements += usize::from(self.levels.last() == Some(&Inside::Properties));
                self.is_properties = self.last_is_properties;
            }
            b',' => {
                self.elements += usize::from(self.levels.last() == Some(&Inside::Array));
                self.is_properties = false;
            }
            b'[' => {
                self.elements += usize::from(!is_empty());
                self.open(Inside::Array);
            }
            b'{' => self.open(if self.is_properties { Inside::Properties } else { Inside::Object }),
            _ => {
                self.levels.pop();
            }
        }
    }

    fn open(&mut self, inside: Inside) {
        self.is_properties = false;
        if self.levels.len() <= JSON_DEPTH {
            self.levels.push(inside);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    /// Returns the same, of what a parser has made of it.
    fn counted(value: &Value, is_properties: bool) -> (usize, usize) {
        let add = |(a, b): (usize, usize), (c, d): (usize, usize)| (a + c, b + d);
        match value {
            Value::Array(items) => items.iter().map(|item| counted(item, false)).fold((items.len(), 0), add),
            Value::Object(members) => {
                let own = (if is_properties { members.len() } else { 0 }, members.len());
                members.iter().map(|(key, value)| counted(value, key == "properties")).fold(own, add)
            }
            _ => (0, 0),
        }
    }

    fn nested(depth: usize) -> String {
        [&"[{\"a\":".repeat(depth / 2), r#""[[[\"[[""#, &"}]".repeat(depth / 2)].concat()
    }

    #[test]
    fn depth_is_counted_outside_of_strings() {
        assert!(!is_too_deep(nested(JSON_DEPTH).as_bytes()));
        assert!(is_too_deep(nested(JSON_DEPTH + 2).as_bytes()));
        assert!(!is_too_deep("[".repeat(JSON_DEPTH).as_bytes()));
        assert!(is_too_deep("[".repeat(JSON_DEPTH + 1).as_bytes()));
        assert!(!is_too_deep("[]".repeat(1_000).as_bytes()), "side by side");
        assert!(!is_too_deep(format!("\"{}", "[".repeat(1_000)).as_bytes()), "never closed");
    }

    fn depth(value: &Value) -> usize {
        match value {
            Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or_default(),
            Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or_default(),
            _ => 0,
        }
    }

    proptest! {
        #[test]
        fn the_depth_is_the_one_a_parser_finds(text in r#"(\[|\{"a\[":|"\\"|,|1){0,120}(\]|\}|,|1|"\\\\"){0,120}"#) {
            if let Ok(value) = serde_json::from_str::<Value>(&text) {
                prop_assert_eq!(is_too_deep(text.as_bytes()), depth(&value) > JSON_DEPTH);
            }
        }

        #[test]
        fn the_depth_of_any_bytes_is_judged(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = is_too_deep(&bytes);
        }
    }

    fn of_text(text: &str) -> (usize, usize) {
        let mut count = Count::default();
        let mut rest = text.as_bytes();
        // As `has_too_many` does, without its bounds.
        while let Some((first, after)) = rest.split_first() {
            rest = after;
            if *first == b'"' {
                rest = after_string(after);
                count.last_is_properties = after[..after.len() - rest.len() - 1] == *PROPERTIES;
            } else if matches!(first, b',' | b':' | b'[' | b'{' | b']' | b'}') {
                count.note(*first, || matches!(after.trim_ascii_start().first(), Some(b']') | None));
            }
        }
        (count.elements, count.members)
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(json!(null)),
            any::<i32>().prop_map(Value::from),
            "[a-z\\[\\]{},:\"\\\\]{0,8}".prop_map(Value::from),
            Just(json!("properties")),
        ];
        leaf.prop_recursive(5, 60, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                proptest::collection::vec(("(properties|[a-c\"]{0,3})", inner), 0..6)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn it_is_what_a_parser_finds(value in json()) {
            prop_assert_eq!(of_text(&value.to_string()), counted(&value, false));
            prop_assert_eq!(of_text(&serde_json::to_string_pretty(&value).unwrap()), counted(&value, false));
        }

        #[test]
        fn any_bytes_are_judged(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let many = bytes.repeat(2 * MAX_ELEMENTS / (bytes.len() + 1));
            let _ = has_too_many(&many);
        }
    }

    #[test]
    fn every_list_counts_and_texts_do_not() {
        let parts = |number: usize| {
            let parts: Vec<_> = (1..number).map(|_| json!({"type": "text", "text": "a, [b], {c}"})).collect();
            json!({"model": "m", "messages": [{"role": "user", "content": parts}]}).to_string()
        };
        assert!(!has_too_many(parts(MAX_ELEMENTS).as_bytes()));
        assert!(has_too_many(parts(MAX_ELEMENTS + 1).as_bytes()));
        let names: Vec<String> = (0..=MAX_ELEMENTS).map(|number| format!("p{number}")).collect();
        let properties: Value = names.iter().map(|name| (name.clone(), json!({}))).collect();
        for schema in [
            json!({"required": names}),
            json!({"enum": names}),
            json!({"properties": properties}),
            json!({"properties": {"a": {"items": {"properties": properties}}}}),
        ] {
            assert!(has_too_many(
                json!({"tools": [{"function": {"parameters": schema}}]}).to_string().as_bytes()
            ));
        }
        let members: Value = (0..=MAX_MEMBERS).map(|number| (number.to_string(), json!(0))).collect();
        assert!(has_too_many(json!({"metadata": members}).to_string().as_bytes()));
        let prose =
            json!({"content": "one, two, [three], {four: \"five\"}, ".repeat(10 * MAX_ELEMENTS)}).to_string();
        assert!(!has_too_many(prose.as_bytes()));
    }
}
