//! Inline data: `data:` URLs, and bare base64.
//!
//! The result is standard base64 and its media type. Text that is not base64 is rejected.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use percent_encoding::percent_decode_str;

use crate::gemini::{Base64, Blob};
use crate::request::mime;

/// As many letters as hold every first byte that tells a kind.
const HEAD: usize = 64;

/// What is in the request.
#[derive(Debug)]
pub(crate) struct Inline<'a> {
    /// The kind as the client tells it, in lower case; may be anything.
    told: Cow<'a, str>,
    data: Base64<'a>,
}

/// The text is neither base64 nor a `data:` URL of any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoBase64;

impl<'a> Inline<'a> {
    /// Reads a `data:` URL; `None` if it is none.
    pub(crate) fn of_url(url: &'a str) -> Option<Result<Self, NoBase64>> {
        let (told, payload, is_base64) = split(url)?;
        if !is_base64 {
            let bytes: Vec<u8> = percent_decode_str(payload).collect();
            return Some(Ok(Self { told, data: Base64::new(STANDARD.encode(bytes)) }));
        }
        // Some clients put the prefix before what has it already.
        Some(Self::of_text(payload).map(|inner| {
            let told = if mime::is_known(&inner.told) { inner.told } else { told };
            Self { told, ..inner }
        }))
    }

    /// Reads base64 with or without the prefix of a `data:` URL.
    pub(crate) fn of_text(text: &'a str) -> Result<Self, NoBase64> {
        if let Some(inline) = Self::of_url(text) {
            return inline;
        }
        let data = standard_base64(text);
        let letters = data.as_str().trim_end_matches('=');
        if !is_base64(letters) {
            return Err(NoBase64);
        }
        let missing = letters.len().wrapping_neg() % 4;
        let padding = data.as_str().len() - letters.len();
        // Google does without padding, but not with a wrong one.
        let data = if padding == 0 || padding == missing {
            data
        } else {
            Base64::new(format!("{letters}{}", "=".repeat(missing)))
        };
        Ok(Self { told: Cow::Borrowed(""), data })
    }

    /// Returns the kind as the client tells it with the bytes; empty if it does not.
    pub(crate) fn told(&self) -> &str {
        &self.told
    }

    /// Returns the same, of a kind that is told beside it, if that is one.
    pub(crate) fn with_kind(self, told: Option<Cow<'a, str>>) -> Self {
        match told.filter(|told| mime::is_known(told)) {
            Some(told) => Self { told, ..self },
            None => self,
        }
    }

    /// With the kind that all there is tells of: its name, its first bytes, the name of its file.
    pub(crate) fn blob(self, filename: Option<&str>) -> Option<Blob<'a>> {
        let head = self.head();
        let mime_type = mime::kind(self.told, &head, filename)?;
        Some(Blob { mime_type, data: self.data })
    }

    /// As a document, which may be text.
    pub(crate) fn document(self, filename: Option<&str>) -> Option<Blob<'a>> {
        let head = self.head();
        let mime_type =
            mime::kind(self.told, &head, filename).or_else(|| mime::of_text(&head).map(Cow::Borrowed))?;
        Some(Blob { mime_type, data: self.data })
    }

    fn head(&self) -> Vec<u8> {
        let letters = self.data.as_str().trim_end_matches('=');
        let head = letters.get(..HEAD).unwrap_or(letters);
        STANDARD_NO_PAD.decode(head).unwrap_or_default()
    }
}

/// Returns the image, video or audio of a `data:` URL.
pub(crate) fn picture(url: &str) -> Option<Blob<'_>> {
    Inline::of_url(url)?.ok()?.blob(None)
}

/// Returns the kind, the payload, and whether that is base64.
fn split(url: &str) -> Option<(Cow<'_, str>, &str, bool)> {
    let rest = url.get(..5).filter(|scheme| scheme.eq_ignore_ascii_case("data:")).and(url.get(5..))?;
    let (head, payload) = rest.split_once(',')?;
    let is_mark = |attribute: &str| attribute.trim().eq_ignore_ascii_case("base64");
    let kind = head.split(';').next().filter(|kind| !is_mark(kind)).unwrap_or_default();
    // Some write a comma where a semicolon belongs.
    let marked_late = || payload.split_once(',').filter(|(attributes, _)| attributes.split(';').any(is_mark));
    let is_base64 = head.split(';').any(is_mark);
    let late = if is_base64 { None } else { marked_late() };
    let (payload, is_base64) = late.map_or((payload, is_base64), |(_, payload)| (payload, true));
    Some((mime::canonical(kind), payload, is_base64))
}

/// Base64 of any dialect, in the standard one.
fn standard_base64(data: &str) -> Base64<'_> {
    let as_it_is = Base64::new(data);
    if as_it_is.is_plain() {
        return as_it_is;
    }
    let data = percent_decode_str(data).decode_utf8_lossy();
    let kept = data.chars().filter(|c| !c.is_ascii_whitespace());
    let standard = kept.map(|c| match c {
        '-' => '+',
        '_' => '/',
        c => c,
    });
    Base64::new(standard.collect::<String>())
}

/// Returns `true` if it is base64 without its padding.
fn is_base64(letters: &str) -> bool {
    let letters = letters.as_bytes();
    // Without branches in it, the compiler looks at many letters at a time.
    let is_letter = |byte: u8| {
        ((byte | 0x20).wrapping_sub(b'a') < 26) | (byte.wrapping_sub(b'0') < 10)
            || (byte == b'+')
            || (byte == b'/')
    };
    let (blocks, rest) = letters.as_chunks::<64>();
    let all = |block: &[u8]| block.iter().fold(true, |all, byte| all & is_letter(*byte));
    !letters.is_empty() && letters.len() % 4 != 1 && all(rest) && blocks.iter().all(|block| all(block))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_base64_is_base64() {
        for text in ["AAAA", "AA", "AAA=", "AA==", "ab+/", "AA AA", "_-8=", "AA%2BA"] {
            assert!(Inline::of_text(text).is_ok(), "{text}");
        }
        for (text, padded) in [("AA", "AA"), ("AAA==", "AAA="), ("AAAA==", "AAAA"), ("AA=====", "AA==")] {
            assert_eq!(Inline::of_text(text).unwrap().data.as_str(), padded);
        }
        let late = Inline::of_url("data:image/jpeg,base64,AAAA").unwrap().unwrap();
        assert_eq!((late.told(), late.data.as_str()), ("image/jpeg", "AAAA"));
        for text in
            ["", "=", "A", "AAAAA", "https://a.example/b", "AA=A", "AAA.", "é", "data:,", "hello world!"]
        {
            assert!(Inline::of_text(text).is_err() || text == "data:,", "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_taken_can_be_decoded(text in "[A-Za-z0-9+/=_ %.-]{0,90}") {
            if let Ok(inline) = Inline::of_text(&text) {
                let letters = inline.data.as_str().trim_end_matches('=');
                let decoded = base64::engine::GeneralPurpose::new(
                    &base64::alphabet::STANDARD,
                    base64::engine::general_purpose::NO_PAD.with_decode_allow_trailing_bits(true),
                );
                prop_assert!(decoded.decode(letters).is_ok(), "{text}");
            }
        }

        #[test]
        fn bytes_come_through_under_any_prefix(bytes in prop::collection::vec(any::<u8>(), 1..200), prefixes in 0_usize..4) {
            let text = format!("{}{}", "data:;base64,".repeat(prefixes), STANDARD.encode(&bytes));
            let inline = Inline::of_text(&text).unwrap();
            prop_assert_eq!(STANDARD.decode(inline.data.as_str()).unwrap(), bytes);
        }
    }
}
