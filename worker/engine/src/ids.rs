//! Ids that are for secrets: keyed hashes of tokens and of Gemini keys, computed elsewhere.

use serde::{Deserialize, Serialize};

/// The keyed hash of a client key or an admin token. The token has 238 random bits, so no slow hash
/// is needed; the key makes a stolen store useless for checking guesses.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TokenHash(String);

impl TokenHash {
    /// Takes the 64 hexadecimal digits of a keyed hash.
    #[must_use]
    pub const fn new(digits: String) -> Self {
        Self(digits)
    }

    /// Parses a hash that [`Self::as_str`] returned.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        is_lower_hex(text, HASH_DIGITS).then(|| Self(text.to_owned()))
    }

    /// Returns the 64 hexadecimal digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns its first 16 digits.
    #[must_use]
    pub fn tag(&self) -> TokenTag {
        TokenTag(self.0.chars().take(TAG_DIGITS).collect())
    }
}

/// Returns `true` for a number of lower-case hexadecimal digits.
#[must_use]
pub fn is_lower_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Hexadecimal digits of 256 bits.
const HASH_DIGITS: usize = 64;
/// Enough to distinguish the tokens of one pool: two of 1,000 collide in one of 10^13 pools.
const TAG_DIGITS: usize = 16;

/// The first 16 digits of a [`TokenHash`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TokenTag(String);

impl TokenTag {
    /// Returns the hexadecimal digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The keyed hash of a Gemini key.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyDigest(String);

impl KeyDigest {
    /// Takes the 64 hexadecimal digits of a keyed hash.
    #[must_use]
    pub const fn new(digits: String) -> Self {
        Self(digits)
    }

    /// 64 hexadecimal digits; the first eight are shown as the key's fingerprint.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
