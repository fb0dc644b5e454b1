//! Token estimate of a request, before Gemini has counted.
//!
//! Each byte of a large body is read once at most.

/// Words that are longer may be an image or audio.
const MAX_WORD: usize = 2_048;
/// Estimate for an image or audio of any size.
const TOKENS_OF_MEDIA: usize = 300;
/// Length in which the head of a `data:` URL ends.
const MAX_HEAD: usize = 256;

/// Estimates a body's tokens at four bytes each. An image or audio, which is a long word without spaces
/// at a place of media, counts as a few hundred tokens whatever its size.
pub(super) fn estimated_tokens(body: &[u8]) -> u64 {
    let mut bytes = body.len() + 1;
    // Begins at a word.
    let mut rest = body;
    while let Some(window) = rest.get(..=MAX_WORD) {
        // Words that end before the last space of the window are short.
        let end = memchr::memrchr3(b' ', b'"', b'\\', window).unwrap_or_else(|| {
            let word =
                memchr::memchr3(b' ', b'"', b'\\', rest).and_then(|end| rest.get(..end)).unwrap_or(rest);
            let before = body.get(..body.len() - rest.len()).unwrap_or_default();
            if is_media(before, word) {
                bytes -= word.len() + 1 - TOKENS_OF_MEDIA * 4;
            }
            word.len()
        });
        rest = rest.get(end + 1..).unwrap_or_default();
    }
    (bytes / 4) as u64
}

/// Returns the minimum of a request that is abandoned before Gemini has counted: it may have been read
/// completely.
pub(super) const fn least_tokens(body: &[u8]) -> u64 {
    body.len() as u64 / 8
}

/// Returns `true` if a long word is a `data:` URL, or base64 in a member `data`, as audio and Gemini's
/// own media are.
fn is_media(before: &[u8], word: &[u8]) -> bool {
    let head = word.get(..MAX_HEAD).unwrap_or(word);
    let is_url = word.starts_with(b"data:") && memchr::memmem::find(head, b";base64,").is_some();
    word.is_ascii() && (is_url || is_member_data(before))
}

/// Returns `true` if a text ends in `"data": "`.
fn is_member_data(before: &[u8]) -> bool {
    let before = before.strip_suffix(b"\"").map(<[u8]>::trim_ascii_end);
    let before = before.and_then(|before| before.strip_suffix(b":")).map(<[u8]>::trim_ascii_end);
    before.is_some_and(|before| before.ends_with(b"\"data\""))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Returns the same estimate, word by word.
    fn slowly(body: &[u8]) -> u64 {
        let mut bytes = 0;
        let mut at = 0;
        for word in body.split(|byte| matches!(byte, b' ' | b'"' | b'\\')) {
            let media = word.len() > MAX_WORD && is_media(&body[..at], word);
            bytes += if media { TOKENS_OF_MEDIA * 4 } else { word.len() + 1 };
            at += word.len() + 1;
        }
        (bytes / 4) as u64
    }

    #[test]
    fn media_cost_the_same_whatever_their_size_and_text_by_length() {
        let url =
            |length| format!(r#"{{"url":"data:image/png;base64,{}"}}"#, "A".repeat(length)).into_bytes();
        let sound = |length| format!(r#"{{"data" : "{}"}}"#, "A".repeat(length)).into_bytes();
        assert_eq!(estimated_tokens(&url(10_000)), estimated_tokens(&url(1 << 20)));
        assert_eq!(estimated_tokens(&sound(10_000)), estimated_tokens(&sound(1 << 20)));
        let long = "x".repeat(1_200_000);
        for text in [
            format!(r#"{{"content":"{long}"}}"#),
            format!(r#"{{"content":"data:{long}"}}"#),
            format!(r#"{{"content":"\"data\":\"{long}"}}"#),
            format!(r#"{{"content":"\"data\": {long}"}}"#),
        ] {
            assert!(estimated_tokens(text.as_bytes()) >= 300_000, "{}", &text[..30]);
        }
        for length in [0, 1, MAX_WORD - 1, MAX_WORD, MAX_WORD + 1, MAX_WORD + 2] {
            for body in [url(length), sound(length)] {
                assert_eq!(estimated_tokens(&body), slowly(&body), "{length}");
            }
        }
    }

    proptest! {
        #[test]
        fn it_is_the_sum_over_all_words(
            words in proptest::collection::vec(
                (0..5_000_usize, "(|data:;base64,|data:)", "([ \"\\\\é]{0,2}|\"data\": ?\")"), 0..6)
        ) {
            let word = |(length, begin, end): (usize, String, String)| begin + &"x".repeat(length) + &end;
            let body: String = words.into_iter().map(word).collect();
            prop_assert_eq!(estimated_tokens(body.as_bytes()), slowly(body.as_bytes()));
        }
    }
}
