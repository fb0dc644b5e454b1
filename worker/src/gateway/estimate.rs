//! A guess of what a request costs before Gemini has counted.
//!
//! In: a body. Out: tokens, roughly. What must never happen here: a second look at every byte of a large body.

/// Runs that are longer are no words: an image or a sound.
const LONGEST_WORD: usize = 2_048;
/// What an image or a sound is taken for, whatever its size.
const TOKENS_OF_MEDIA: usize = 300;

/// A rough count of a body's tokens: four bytes each. An image or a sound in it, a long run without a
/// space, costs some hundred tokens whatever its size.
pub(super) fn estimated_tokens(body: &[u8]) -> u64 {
    let mut bytes = body.len() + 1;
    // Begins where a word begins.
    let mut rest = body;
    while let Some(window) = rest.get(..=LONGEST_WORD) {
        // Whatever ends before the last space of the window is short.
        let end = memchr::memrchr3(b' ', b'"', b'\\', window).unwrap_or_else(|| {
            let word =
                memchr::memchr3(b' ', b'"', b'\\', rest).and_then(|end| rest.get(..end)).unwrap_or(rest);
            if word.is_ascii() {
                bytes -= word.len() + 1 - TOKENS_OF_MEDIA * 4;
            }
            word.len()
        });
        rest = rest.get(end + 1..).unwrap_or_default();
    }
    (bytes / 4) as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same, word by word.
    fn slowly(body: &[u8]) -> u64 {
        let words = body.split(|byte| matches!(byte, b' ' | b'"' | b'\\'));
        let bytes = |word: &[u8]| match word.len() {
            length if length > LONGEST_WORD && word.is_ascii() => TOKENS_OF_MEDIA * 4,
            length => length + 1,
        };
        (words.map(bytes).sum::<usize>() / 4) as u64
    }

    #[test]
    fn a_picture_costs_the_same_whatever_its_size() {
        let body = |length| format!("a \"{}\" b", "A".repeat(length)).into_bytes();
        assert_eq!(estimated_tokens(&body(10_000)), estimated_tokens(&body(1 << 20)));
        for length in [0, 1, LONGEST_WORD - 1, LONGEST_WORD, LONGEST_WORD + 1, LONGEST_WORD + 2] {
            assert_eq!(estimated_tokens(&body(length)), slowly(&body(length)), "{length}");
        }
    }

    proptest! {
        #[test]
        fn it_is_the_sum_over_all_words(words in proptest::collection::vec((0..5_000_usize, "[ \"\\\\é]{0,2}"), 0..6)) {
            let body: String = words.into_iter().map(|(length, end)| "x".repeat(length) + &end).collect();
            prop_assert_eq!(estimated_tokens(body.as_bytes()), slowly(body.as_bytes()));
        }
    }
}
