//! JSON without insignificant white space.

use std::borrow::Cow;

/// Removes the white space between tokens.
pub(crate) fn compact(json: &str) -> Cow<'_, str> {
    let mut in_string = false;
    let mut escaped = false;
    let mut keep = |byte: u8| {
        if in_string {
            in_string = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
            return true;
        }
        in_string = byte == b'"';
        !matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
    };
    let Some(first) = json.bytes().position(|byte| !keep(byte)) else { return Cow::Borrowed(json) };
    let (start, rest) = json.split_at(first);
    let mut compact = String::with_capacity(json.len());
    compact.push_str(start);
    // White space outside of strings is ASCII, so that what is kept stays whole characters.
    compact.extend(rest.char_indices().skip(1).filter_map(|(_, c)| {
        let kept = u8::try_from(c).map_or(true, &mut keep);
        kept.then_some(c)
    }));
    Cow::Owned(compact)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_keep_their_white_space() {
        for (json, expected) in [
            (r#"{"a":1}"#, r#"{"a":1}"#),
            (
                "{\n  \"a b\": \"x  \\\" : y\\\\\",\n \"é\" :[ 1.0 , 2e5 ]\r\n}",
                r#"{"a b":"x  \" : y\\","é":[1.0,2e5]}"#,
            ),
            (r#"{"é":"ÿ Ā 🌍 " , "b":1}"#, r#"{"é":"ÿ Ā 🌍 ","b":1}"#),
        ] {
            assert_eq!(compact(json), expected);
        }
    }
}
