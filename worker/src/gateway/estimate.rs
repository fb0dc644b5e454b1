//! A guess of what a request costs before Gemini has counted.
//!
//! In: a body. Out: tokens, roughly. What must never happen here: a second look at every byte of a large body.

/// Runs that are longer may be an image or a sound.
const LONGEST_WORD: usize = 2_048;
/// What an image or a sound is taken for, whatever its size.
const TOKENS_OF_MEDIA: usize = 300;
/// How far the head of a data URL is looked for.
const LONGEST_HEAD: usize = 256;

/// A rough count of a body's tokens: four bytes each. An image or a sound in it, which is a long run without a space that
/// stands where media do, costs some hundred tokens whatever its size.
pub(super) fn estimated_tokens(body: &[u8]) -> u64 {
    let mut bytes = body.len() + 1;
    // Begins where a word begins.
    let mut rest = body;
    while let Some(window) = rest.get(..=LONGEST_WORD) {
        // Whatever ends before the last space of the window is short.
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

/// Returns the least that a request costs that is given up before Gemini has counted: it may have been read to its end.
pub(super) const fn least_tokens(body: &[u8]) -> u64 {
    body.len() as u64 / 8
}

/// Whether a long word is a data URL, or base64 in a member `data`, as sounds and Gemini's own media are.
fn is_media(before: &[u8], word: &[u8]) -> bool {
    let head = word.get(..LONGEST_HEAD).unwrap_or(word);
    let is_url = word.starts_with(b"data:") && memchr::memmem::find(head, b";base64,").is_some();
    word.is_ascii() && (is_url || is_member_data(before))
}

/// Whether a text ends in `"data": "`.
fn is_member_data(before: &[u8]) -> bool {
    let before = before.strip_suffix(b"\"").map(<[u8]>::trim_ascii_end);
    let before = before.and_then(|before| before.strip_suffix(b":")).map(<[u8]>::trim_ascii_end);
    before.is_some_and(|before| before.ends_with(b"\"data\""))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same, word by word.
    fn slowly(body: &[u8]) -> u64 {
        let mut bytes = 0;
        let mut at = 0;
        for word in body.split(|byte| matches!(byte, b' ' | b'"' | b'\\')) {
            let media = word.len() > LONGEST_WORD && is_media(&body[..at], word);
            bytes += if media { TOKENS_OF_MEDIA * 4 } else { word.len() + 1 };
            at += word.len() + 1;
        }
        (bytes / 4) as u64
    }

    #[test]
    fn media_cost_the_same_whatever_their_size_and_texts_what_they_are_long() {
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
        for length in [0, 1, LONGEST_WORD - 1, LONGEST_WORD, LONGEST_WORD + 1, LONGEST_WORD + 2] {
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
