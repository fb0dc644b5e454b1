//! Writer of JSON strings, byte for byte as `serde_json` writes them, eight bytes at a time.

use std::borrow::Cow;

use serde::{Serialize, Serializer};

const ONES: u64 = u64::MAX / 255;
const HIGHS: u64 = ONES << 7;

/// Returns the highest bit of each byte that is below `limit` (128 at most). Above the first such byte there may be others by
/// mistake; without one there are none.
const fn below(word: u64, limit: u8) -> u64 {
    word.wrapping_sub(ONES * limit as u64) & !word & HIGHS
}

/// Returns the same for bytes that are `byte`.
const fn equal(word: u64, byte: u8) -> u64 {
    below(word ^ (ONES * byte as u64), 1)
}

/// Returns where the first quote or backslash is. Mostly it is near, where asking for the fastest way would take longer than to go.
pub(crate) fn find_quote_or_backslash(bytes: &[u8]) -> Option<usize> {
    const NEAR: usize = 4;
    let (words, _) = bytes.as_chunks::<8>();
    for (place, word) in words.iter().take(NEAR).enumerate() {
        let word = u64::from_le_bytes(*word);
        let found = equal(word, b'"') | equal(word, b'\\');
        if found != 0 {
            return Some(place * 8 + found.trailing_zeros() as usize / 8);
        }
    }
    let seen = words.len().min(NEAR) * 8;
    memchr::memchr2(b'"', b'\\', bytes.get(seen..)?).map(|at| seen + at)
}

/// Returns where the first byte is that JSON wants escaped.
fn find_escape(bytes: &[u8]) -> Option<usize> {
    let (words, rest) = bytes.as_chunks::<8>();
    for (place, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let found = below(word, b' ') | equal(word, b'"') | equal(word, b'\\');
        if found != 0 {
            return Some(place * 8 + found.trailing_zeros() as usize / 8);
        }
    }
    let at = rest.iter().position(|byte| matches!(byte, 0..b' ' | b'"' | b'\\'))?;
    Some(words.len() * 8 + at)
}

/// JSON without half surrogate pairs (`\ud83d` alone), which RFC 8259 leaves undefined and most parsers reject: each becomes
/// `\ufffd`. That is as long, so all other bytes stay where they are.
pub(crate) fn well_formed(json: &[u8]) -> Cow<'_, [u8]> {
    let mut out: Option<Vec<u8>> = None;
    for at in memchr::memmem::find_iter(json, b"\\u") {
        if unit(json, at).is_none_or(|unit| unit & 0xf800 != 0xd800) || is_paired(json, at) {
            continue;
        }
        let out = out.get_or_insert_with(|| json.to_vec());
        if let Some(digits) = out.get_mut(at + 2..at + 6) {
            digits.copy_from_slice(b"fffd");
        }
    }
    out.map_or(Cow::Borrowed(json), Cow::Owned)
}

/// Returns the same for a text.
pub(crate) fn well_formed_text(json: &str) -> Cow<'_, str> {
    match well_formed(json.as_bytes()) {
        Cow::Borrowed(_) => Cow::Borrowed(json),
        // Only digits were replaced by digits.
        Cow::Owned(bytes) => String::from_utf8(bytes)
            .map_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned().into(), Cow::Owned),
    }
}

/// Returns the UTF-16 code unit of the escape `\uXXXX` at a place, if that is one: its backslash may be escaped itself.
fn unit(json: &[u8], at: usize) -> Option<u16> {
    let before = json.get(..at)?;
    let escaping = before.iter().rev().take_while(|byte| **byte == b'\\').count();
    let digits = json.get(at..at + 6)?.strip_prefix(b"\\u")?;
    if escaping % 2 == 1 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// Returns `true` if the surrogate at a place has its other half beside it. A high one takes the low one that follows.
fn is_paired(json: &[u8], at: usize) -> bool {
    let kind = |at: usize| unit(json, at).map(|unit| unit & 0xfc00);
    match kind(at) {
        Some(0xd800) => kind(at + 6) == Some(0xdc00),
        Some(0xdc00) => at.checked_sub(6).and_then(kind) == Some(0xd800),
        _ => true,
    }
}

/// Appends a text as a JSON string.
pub(crate) fn write(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some((plain, [byte, after @ ..])) = find_escape(rest).and_then(|at| rest.split_at_checked(at)) {
        out.extend_from_slice(plain);
        write_escape(out, *byte);
        rest = after;
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

fn write_escape(out: &mut Vec<u8>, byte: u8) {
    let letter = match byte {
        b'"' | b'\\' => byte,
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0c => b'f',
        _ => {
            let digit = |digit| if digit < 10 { b'0' + digit } else { b'a' + digit - 10 };
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte & 15)]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', letter]);
}

/// Bytes in base64, of which it is known whether they need a second look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base64<'a> {
    text: Cow<'a, str>,
    /// There is nothing in it that JSON or the standard dialect would write in another way.
    plain: bool,
}

impl<'a> Base64<'a> {
    /// Looks at the text once, for all that is asked of it later.
    #[must_use]
    pub fn new(text: impl Into<Cow<'a, str>>) -> Self {
        let text = text.into();
        let plain = is_plain(text.as_bytes());
        Self { text, plain }
    }

    /// Returns `true` if it is free of white space, of `-` and `_`, of percent signs, and of what JSON escapes.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.plain
    }

    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the same, borrowing nothing.
    #[must_use]
    pub fn into_owned(self) -> Base64<'static> {
        Base64 { text: Cow::Owned(self.text.into_owned()), plain: self.plain }
    }

    /// Appends it as a JSON string.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        if !self.plain {
            return write(out, &self.text);
        }
        out.push(b'"');
        out.extend_from_slice(self.text.as_bytes());
        out.push(b'"');
    }
}

impl Serialize for Base64<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

/// False for some texts that are plain as well: no base64 has `!`, `]` or `^`, and without them few questions do.
fn is_plain(text: &[u8]) -> bool {
    // `%` and `-` differ in one bit, `\`, `_` and the two between them in two.
    let other = |word| below(word, b'#') | equal(word | (ONES * 8), b'-') | equal(word | (ONES * 3), b'_');
    let (words, rest) = text.as_chunks::<8>();
    let (blocks, words) = words.as_chunks::<4>();
    // Without a way out in its midst a block takes half the time.
    let blocks_are = blocks
        .iter()
        .all(|block| block.iter().fold(0, |found, word| found | other(u64::from_le_bytes(*word))) == 0);
    let rest_is = |byte: &u8| !matches!(byte, 0..b'#' | b'%' | b'-' | b'\\'..=b'_');
    blocks_are && words.iter().all(|word| other(u64::from_le_bytes(*word)) == 0) && rest.iter().all(rest_is)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(text: &str) -> String {
        let mut out = Vec::new();
        write(&mut out, text);
        String::from_utf8(out).unwrap()
    }

    /// Slow, and plainly right.
    fn is_standard(text: &str) -> bool {
        text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='))
    }

    #[test]
    fn every_byte_at_every_place() {
        for character in (0..=255).map(char::from) {
            for before in 0..40 {
                let text = format!("{}{character}{}", "A".repeat(before), "/".repeat(39 - before));
                assert_eq!(written(&text), serde_json::to_string(&text).unwrap());
                let plain = Base64::new(text.as_str()).is_plain();
                let escaped = serde_json::to_string(&text).unwrap().len() > text.len() + 2;
                let changed = "%-_ \t\n\x0c\r".contains(character);
                assert!(!(plain && (escaped || changed)), "{text:?}");
                assert!(plain || !is_standard(&text), "{text:?}");
            }
        }
    }

    #[test]
    fn half_surrogate_pairs_become_replacement_characters_and_nothing_else_changes() {
        for (json, expected) in [
            (r#""cut \ud83d""#, r#""cut \ufffd""#),
            (r#""\uD83D\uDE00 \ude00""#, r#""\uD83D\uDE00 \ufffd""#),
            (r#""\ud83d\ud83d\ude00""#, r#""\ufffd\ud83d\ude00""#),
            (r#"{"\udc00":"\\ud83d \\\ud83d"}"#, r#"{"\ufffd":"\\ud83d \\\ufffd"}"#),
            (r#""\ud83d\n\ude00 \u00e9""#, r#""\ufffd\n\ufffd \u00e9""#),
        ] {
            assert_eq!(well_formed_text(json), expected, "{json}");
            assert!(serde_json::from_str::<serde_json::Value>(expected).is_ok(), "{expected}");
        }
        assert!(matches!(well_formed(br#"{"a":"\ud83d\ude00","b":"\u"#), Cow::Borrowed(_)));
    }

    #[test]
    fn quotes_and_backslashes_are_found_near_and_far() {
        for length in 0..80 {
            let plain = "é".repeat(length);
            assert_eq!(find_quote_or_backslash(plain.as_bytes()), None);
            for end in ['"', '\\'] {
                let text = format!("{plain}{end}a\"b");
                assert_eq!(find_quote_or_backslash(text.as_bytes()), text.find(end));
            }
        }
    }

    proptest! {
        /// Any text of escapes, well-formed or not, is JSON afterwards and stays as it is the second time.
        #[test]
        fn any_escapes_become_well_formed(escapes in prop::collection::vec(prop::sample::select(vec![
            "\\ud83d", "\\uDE00", "\\u0041", "\\\\", "u", "d83d", "\\n", "é", "x",
        ]), 0..12)) {
            let json = format!("\"{}\"", escapes.concat());
            let mended = well_formed_text(&json);
            prop_assert!(serde_json::from_str::<String>(&mended).is_ok(), "{mended}");
            prop_assert_eq!(mended.len(), json.len());
            prop_assert_eq!(well_formed_text(&mended), &*mended);
            if serde_json::from_str::<String>(&json).is_ok() {
                prop_assert_eq!(&*mended, &*json);
            }
        }

        #[test]
        fn strings_are_written_as_serde_writes_them(text in r#"([ -~]|[\x00-\x1f"\\]|é|😀|\PC){0,100}"#) {
            prop_assert_eq!(written(&text), serde_json::to_string(&text).unwrap());
        }

        #[test]
        fn base64_is_written_as_serde_writes_it(text in r"[A-Za-z0-9+/]{0,70}[\x00-\x7f]?[A-Za-z0-9+/=]{0,70}") {
            let base64 = Base64::new(text.as_str());
            let mut out = Vec::new();
            base64.write(&mut out);
            prop_assert_eq!(&out, &serde_json::to_vec(&text).unwrap());
            prop_assert_eq!(&out, &serde_json::to_vec(&base64).unwrap());
            prop_assert!(base64.is_plain() || !is_standard(&text));
        }
    }
}
