//! Text that is copied from one document into another, decoded only where it is inspected.

use std::borrow::Cow;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::{RawText, Text, escape};

/// A piece of text: JSON as it came, or ours.
#[derive(Debug, Clone)]
pub enum Fragment<'a> {
    /// A JSON string, quotes and escapes included, passed on byte for byte.
    Raw(&'a RawValue),
    /// Plain text.
    Text(Cow<'a, str>),
}

impl<'a> Fragment<'a> {
    /// Returns the plain text.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Raw(raw) => decoded(raw),
            Self::Text(text) => Cow::Borrowed(text),
        }
    }

    /// Returns the plain text.
    #[must_use]
    pub fn into_text(self) -> Cow<'a, str> {
        match self {
            Self::Raw(raw) => decoded(raw),
            Self::Text(text) => text,
        }
    }
}

impl Fragment<'_> {
    /// Returns `true` if it is no text at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Raw(raw) => raw.get() == "\"\"",
            Self::Text(text) => text.is_empty(),
        }
    }

    /// Appends it as a JSON string, as the whole of a text: half a surrogate pair, whose other half no further fragment
    /// brings, becomes U+FFFD.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Raw(raw) if !may_hold_surrogate(raw.get().as_bytes()) => {
                out.extend_from_slice(raw.get().as_bytes());
            }
            _ => escape::write(out, &self.text()),
        }
    }
}

impl Default for Fragment<'_> {
    fn default() -> Self {
        Self::Text(Cow::Borrowed(""))
    }
}

impl<'a> From<RawText<'a>> for Fragment<'a> {
    fn from(text: RawText<'a>) -> Self {
        Self::Raw(text.raw())
    }
}

impl<'a> From<Cow<'a, str>> for Fragment<'a> {
    fn from(text: Cow<'a, str>) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a str> for Fragment<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Fragment<'_> {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

fn decoded(raw: &RawValue) -> Cow<'_, str> {
    serde_json::from_str::<Text>(raw.get()).unwrap_or_default().0
}

/// As [`Fragment::write`] does.
impl Serialize for Fragment<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Raw(raw) if !may_hold_surrogate(raw.get().as_bytes()) => raw.serialize(serializer),
            _ => serializer.serialize_str(&self.text()),
        }
    }
}

/// Returns `true` if something like `\ud83d` is in it.
fn may_hold_surrogate(json: &[u8]) -> bool {
    memchr::memmem::find_iter(json, b"\\u").any(|at| matches!(json.get(at + 2), Some(b'd' | b'D')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_text_holds_no_half_of_a_pair() {
        for (raw, expected) in [
            (r#""it\u0027s \"so\"\n""#, r#""it\u0027s \"so\"\n""#),
            (r#""a\ud83d""#, "\"a\u{fffd}\""),
            (r#""\uD83D\uDE00""#, "\"😀\""),
            (r#""C:\\ud""#, r#""C:\\ud""#),
        ] {
            let fragment = Fragment::Raw(serde_json::from_str(raw).unwrap());
            assert_eq!(serde_json::to_string(&fragment).unwrap(), expected, "{raw}");
            let mut written = Vec::new();
            fragment.write(&mut written);
            assert_eq!(String::from_utf8(written).unwrap(), expected, "{raw}");
            assert_eq!(serde_json::from_str::<Text>(expected).unwrap().0, fragment.text(), "{raw}");
            assert_eq!(fragment.text().into_owned(), fragment.into_text(), "{raw}");
        }
    }
}
