//! What the service takes for a Gemini key.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Secret, TokenKind};

const MIN_LENGTH: usize = 20;
const MAX_LENGTH: usize = 512;

/// Returns `true` if a character can be part of a Gemini key: the one place to widen.
#[must_use]
pub const fn is_key_character(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '-')
}

/// A Gemini API key in clear.
///
/// The check is loose on purpose: Google issues `AIza…` and, since 2026, `AQ.…` keys, and the next
/// form is unknown, so only the length (20 to 512) and the characters are looked at, never a prefix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct GeminiKey(Secret);

/// Why a text cannot be a Gemini key. The messages never repeat the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GeminiKeyError {
    /// Fewer than 20 characters.
    #[error("too short for a Gemini key ({0} characters, at least {MIN_LENGTH} expected)")]
    TooShort(usize),
    /// More than 512 characters.
    #[error("too long for a Gemini key ({0} characters, at most {MAX_LENGTH} expected)")]
    TooLong(usize),
    /// A character that is neither an ASCII letter or digit nor one of `.`, `_`, `-`.
    #[error(
        "holds a character that no Gemini key has (at position {0}): letters, digits, '.', '_' and '-' are \
         expected"
    )]
    Character(usize),
    /// A part of the key is left out.
    #[error("a masked key, not the key itself: copy it from where it is shown in full")]
    Masked,
    /// A secret of this service.
    #[error("a client key or an admin token of a pool service, not a Gemini key")]
    OwnSecret,
}

impl GeminiKey {
    /// Checks the length and the characters of a key.
    pub fn parse(text: &str) -> Result<Self, GeminiKeyError> {
        let text = text.trim();
        if let Some(at) = text.chars().position(|character| !is_key_character(character)) {
            return Err(GeminiKeyError::Character(at + 1));
        }
        let own = [TokenKind::ClientKey, TokenKind::AdminToken, TokenKind::Session];
        if own.iter().any(|kind| text.starts_with(kind.prefix())) {
            return Err(GeminiKeyError::OwnSecret);
        }
        match text.len() {
            length if length < MIN_LENGTH => Err(GeminiKeyError::TooShort(length)),
            length if length > MAX_LENGTH => Err(GeminiKeyError::TooLong(length)),
            _ => Ok(Self(Secret::new(text))),
        }
    }

    /// Returns a key as it was stored: earlier versions took texts that are rejected now.
    #[must_use]
    pub fn from_stored(text: &str) -> Self {
        Self(Secret::new(text))
    }

    /// Returns the key's text.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    /// Returns the only form in which a key is ever shown: `AIza…wxyz`.
    #[must_use]
    pub fn masked(&self) -> String {
        let text = self.expose();
        // A parsed key is ASCII and at least 20 long, so both slices exist.
        let head = text.get(..4).unwrap_or_default();
        let tail = text.get(text.len().saturating_sub(4)..).unwrap_or_default();
        format!("{head}…{tail}")
    }
}

impl fmt::Display for GeminiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_generations_of_keys_are_taken() {
        for text in ["AIzaSyA-1234567890_abcdefghijklmnopqrst", "AQ.Ab8RN6I-1234567890.abcdefghij"] {
            assert_eq!(GeminiKey::parse(text).unwrap().expose(), text);
        }
    }

    #[test]
    fn what_cannot_be_a_key_says_why_and_does_not_repeat_it() {
        assert_eq!(GeminiKey::parse("AIzaShort"), Err(GeminiKeyError::TooShort(9)));
        assert_eq!(GeminiKey::parse(&"x".repeat(513)), Err(GeminiKeyError::TooLong(513)));
        let error = GeminiKey::parse("AIzaSyA 234567890_abcdefgh").unwrap_err();
        assert_eq!(error, GeminiKeyError::Character(8));
        assert!(!error.to_string().contains("AIza"));
        let own = TokenKind::ClientKey.generate(&[7; TokenKind::RANDOM_BYTES]);
        assert_eq!(GeminiKey::parse(own.expose()), Err(GeminiKeyError::OwnSecret));
    }

    #[test]
    fn only_letters_digits_dots_underscores_and_hyphens_are_taken() {
        for character in (' '..='~').chain(['…', 'é', '\u{200b}', '\u{a0}']) {
            let text = format!("AIzaSyA-1234567890{character}abcdefghij");
            let expected = character.is_ascii_alphanumeric() || "._-".contains(character);
            assert_eq!(GeminiKey::parse(&text).is_ok(), expected, "{character:?}");
        }
    }

    #[test]
    fn a_key_is_shown_masked() {
        let key = GeminiKey::parse("AIzaSyA-1234567890_abcdefghijklmnopwxyz").unwrap();
        assert_eq!(key.to_string(), "AIza…wxyz");
        assert_eq!(format!("{key:?}"), "GeminiKey([redacted])");
    }
}
