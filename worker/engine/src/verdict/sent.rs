//! The request that an error responds to, as evidence against quoted text.
//!
//! Gemini's errors repeat values of the request. Words of an error that also are in the request may be the client's,
//! so they say nothing about a key.

use bytes::Bytes;

/// The parts of a request that an error can repeat.
#[derive(Clone, Debug, Default)]
pub struct Sent {
    path: String,
    body: Bytes,
}

impl Sent {
    /// Returns a request: its path with the query, and its body.
    #[must_use]
    pub fn new(path: impl Into<String>, body: Bytes) -> Self {
        Self { path: path.into(), body }
    }

    /// Returns `true` if the path contains this text.
    pub(super) fn is_for(&self, text: &str) -> bool {
        self.path.contains(text)
    }

    /// Returns `true` if the request contains these words. Case, punctuation and the usual escapes (JSON, URL) are
    /// ignored, since an error may quote with other ones.
    #[must_use]
    pub fn contains(&self, words: &str) -> bool {
        let words = Words::new(words);
        [self.path.as_bytes(), &self.body]
            .into_iter()
            .any(|text| words.are_in(Letters::new(text, true)) || words.are_in(Letters::new(text, false)))
    }
}

/// The letters and digits of a text, for a search that allocates nothing: bodies have up to 20 MB.
struct Words {
    letters: Vec<char>,
    /// How much of the text is still matched after a mismatch (Knuth, Morris, Pratt).
    fallback: Vec<usize>,
}

impl Words {
    fn new(words: &str) -> Self {
        let letters: Vec<char> = Letters::new(words.as_bytes(), false).collect();
        let mut fallback = vec![0];
        let mut matched = 0;
        for letter in letters.iter().skip(1) {
            matched = step(&letters, &fallback, matched, *letter);
            fallback.push(matched);
        }
        Self { letters, fallback }
    }

    fn are_in(&self, text: impl Iterator<Item = char>) -> bool {
        let mut matched = 0;
        for letter in text {
            matched = step(&self.letters, &self.fallback, matched, letter);
            if matched == self.letters.len() {
                return matched > 0;
            }
        }
        false
    }
}

fn step(letters: &[char], fallback: &[usize], mut matched: usize, letter: char) -> usize {
    loop {
        if letters.get(matched) == Some(&letter) {
            return matched + 1;
        }
        match matched.checked_sub(1).and_then(|last| fallback.get(last)) {
            Some(shorter) => matched = *shorter,
            None => return 0,
        }
    }
}

/// The letters and digits of a text in lower case, escapes resolved.
struct Letters<'a> {
    rest: &'a [u8],
    /// Whether the letter of an escape such as `\n` is left out.
    escapes: bool,
}

impl<'a> Letters<'a> {
    const fn new(text: &'a [u8], escapes: bool) -> Self {
        Self { rest: text, escapes }
    }

    fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at(count.min(self.rest.len()));
        self.rest = rest;
        taken
    }

    fn hex(&mut self, digits: usize) -> Option<char> {
        let text = std::str::from_utf8(self.rest.get(..digits)?).ok()?;
        let code = u32::from_str_radix(text, 16).ok()?;
        self.take(digits);
        char::from_u32(code)
    }

    /// Returns the next character, a blank for each byte that is none.
    fn next_char(&mut self) -> Option<char> {
        let first = *self.rest.first()?;
        if first < 0x80 {
            self.take(1);
            return Some(char::from(first));
        }
        let width = if first >= 0xf0 {
            4
        } else if first >= 0xe0 {
            3
        } else {
            2
        };
        if let Some(text) = self.rest.get(..width).and_then(|bytes| std::str::from_utf8(bytes).ok()) {
            self.take(width);
            text.chars().next()
        } else {
            self.take(1);
            Some(' ')
        }
    }
}

impl Iterator for Letters<'_> {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        loop {
            let mut c = self.next_char()?;
            if c == '\\' {
                while self.rest.first() == Some(&b'\\') {
                    self.take(1);
                }
                match self.rest.first() {
                    Some(b'u')
                        if self.rest.get(1..5).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit)) =>
                    {
                        self.take(1);
                        c = self.hex(4).unwrap_or(' ');
                    }
                    Some(b'n' | b't' | b'r' | b'b' | b'f') if self.escapes => {
                        self.take(1);
                    }
                    _ => {}
                }
            } else if c == '%' {
                c = self.hex(2).unwrap_or(' ');
            }
            if c.is_alphanumeric() {
                return c.to_lowercase().next();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sent(body: &str) -> Sent {
        Sent::new("/v1beta/models/m:generateContent", Bytes::copy_from_slice(body.as_bytes()))
    }

    #[test]
    fn words_are_found_however_they_are_escaped() {
        for body in [
            r#"{"text":"API key expired"}"#,
            r#"{"text":"please: api  KEY-expired!"}"#,
            r#"{"text":"\u0061pi\nkey expired"}"#,
            r#"{"arguments":"{\"a\":\"\\u0061pi key\\texpired\"}"}"#,
            r#"["api key","expired"]"#,
            "api%20key%20%65xpired",
            "api api key expired",
        ] {
            assert!(sent(body).contains("API key expired"), "{body}");
        }
        for body in [r#"{"text":"api key"}"#, "", "\u{130}\\", "%", "\\u00", "expired api key"] {
            assert!(!sent(body).contains("API key expired"), "{body}");
        }
        assert!(!sent("anything").contains(""));
        assert!(Sent::new("/v1beta/models/a?x=api+key+expired", Bytes::new()).contains("api key expired"));
    }

    proptest! {
        #[test]
        fn every_part_of_a_text_is_found_in_it(before in ".{0,40}", part in "[a-z ]{1,40}[a-z]", after in ".{0,40}") {
            let body = serde_json::json!({"a": [format!("{before} {part} {after}")]}).to_string();
            prop_assert!(sent(&body).contains(&part));
        }

        #[test]
        fn any_bytes_are_searched(bytes in proptest::collection::vec(any::<u8>(), 0..200), words in ".{0,20}") {
            let _ = Sent::new("", bytes.into()).contains(&words);
        }
    }
}
