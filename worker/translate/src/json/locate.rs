//! Path of the value at a position of a JSON text (`messages[0].content`), for error messages.

use std::fmt::Write as _;

use memchr::memchr2;

/// One container on the way to the place.
enum Step<'a> {
    /// In an object, behind this key as it was written, if one was read.
    Member(Option<&'a [u8]>),
    /// In an array, at this element.
    Element(usize),
}

/// Returns where serde's line and column (both from 1, the column in bytes) are in a text.
pub(super) fn offset_of(text: &[u8], line: usize, column: usize) -> usize {
    let before: usize =
        text.split_inclusive(|byte| *byte == b'\n').take(line.saturating_sub(1)).map(<[u8]>::len).sum();
    before + column
}

/// Returns the path of the value whose reading ended at `offset`; empty for the whole text.
pub(super) fn path_at(text: &[u8], offset: usize) -> String {
    let text = text.get(..offset).unwrap_or(text);
    let mut steps: Vec<Step> = Vec::new();
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        at += 1;
        match byte {
            b'{' => steps.push(Step::Member(None)),
            b'[' => steps.push(Step::Element(0)),
            b'}' | b']' => drop(steps.pop()),
            b',' => match steps.last_mut() {
                Some(Step::Member(key)) => *key = None,
                Some(Step::Element(index)) => *index += 1,
                None => {}
            },
            b'"' => {
                let length = string_length(text.get(at..).unwrap_or_default());
                if let Some(Step::Member(key @ None)) = steps.last_mut() {
                    *key = text.get(at..at + length);
                }
                at += length + 1;
            }
            _ => {}
        }
    }
    written(&steps)
}

/// Returns how long a string is whose first quote has been read, up to its last one.
fn string_length(text: &[u8]) -> usize {
    let mut at = 0;
    while let Some(found) = memchr2(b'"', b'\\', text.get(at..).unwrap_or_default()) {
        at += found;
        if text.get(at) == Some(&b'"') {
            return at;
        }
        at += 2;
    }
    text.len()
}

fn written(steps: &[Step]) -> String {
    let mut path = String::new();
    for step in steps {
        // Writing to a `String` does not fail.
        let _ = match step {
            Step::Member(Some(key)) => {
                let dot = if path.is_empty() { "" } else { "." };
                write!(path, "{dot}{}", String::from_utf8_lossy(key))
            }
            Step::Element(index) => write!(path, "[{index}]"),
            Step::Member(None) => Ok(()),
        };
    }
    path
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn a_path_names_members_and_elements() {
        let text = br#"{"a":[{"b, ]\"":1},{"c":[true,"x"]}],"d":{}}"#;
        let path = |needle: &str| {
            let at = text.windows(needle.len()).position(|part| part == needle.as_bytes()).unwrap();
            path_at(text, at + needle.len())
        };
        assert_eq!(path("1"), r#"a[0].b, ]\""#);
        assert_eq!(path("true"), "a[1].c[0]");
        assert_eq!(path("\"x\""), "a[1].c[1]");
        assert_eq!(path("["), "a[0]");
        assert_eq!(path(r#""x"]}"#), "a[1]", "an object that has ended");
        assert_eq!(path("{}"), "d");
        assert_eq!(path_at(text, 0), "");
        assert_eq!(path_at(text, 1_000), "");
    }

    #[test]
    fn lines_and_columns_are_bytes_from_one() {
        let text = "{\"ä\":1,\n \"b\": x}".as_bytes();
        let error = serde_json::from_slice::<Value>(text).unwrap_err();
        assert_eq!(text.get(offset_of(text, error.line(), error.column()) - 1), Some(&b'x'));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_have_a_path(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200), offset in 0_usize..300) {
            let _ = path_at(&bytes, offset);
        }
    }
}
