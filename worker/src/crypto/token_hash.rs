//! Keyed hashes: HMAC-SHA-256 in hexadecimal, as they stand in the store.

use std::fmt::Write;

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::master_key::KEY_LENGTH;

/// The keyed hash of a client key or an admin token. The token has 238 random bits, so no slow hash
/// is needed; the key makes a stolen store useless for checking guesses.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TokenHash(String);

impl TokenHash {
    pub(super) fn new(key: &[u8; KEY_LENGTH], token: &str) -> Self {
        Self(keyed_hash(key, token))
    }

    /// 64 hexadecimal digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What it begins with.
    #[must_use]
    pub fn tag(&self) -> TokenTag {
        TokenTag(self.0.chars().take(TAG_DIGITS).collect())
    }
}

/// Tells the tokens of one pool apart: by chance two of a thousand have the same in one of 10^13 pools.
const TAG_DIGITS: usize = 16;

/// The first 16 digits of a [`TokenHash`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TokenTag(String);

impl TokenTag {
    /// Hexadecimal digits.
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
    pub(super) fn new(key: &[u8; KEY_LENGTH], gemini_key: &str) -> Self {
        Self(keyed_hash(key, gemini_key))
    }

    /// 64 hexadecimal digits; the first eight are shown as the key's fingerprint.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn keyed_hash(key: &[u8; KEY_LENGTH], text: &str) -> String {
    // HMAC takes keys of any length, so this cannot fail; an empty hash would match nothing stored.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return String::new() };
    mac.update(text.as_bytes());
    let bytes = mac.finalize().into_bytes();
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
