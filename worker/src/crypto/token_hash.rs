//! Keyed hashes: HMAC-SHA-256 in hexadecimal, as they stand in the store.

use hmac::digest::Key;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::master_key::KEY_LENGTH;

/// The key of a kind of hash.
#[derive(Clone, ZeroizeOnDrop)]
pub(super) struct HashKey {
    bytes: [u8; KEY_LENGTH],
    /// Where every hash by this key begins: half of the work is done. It clears itself.
    #[zeroize(skip)]
    begun: Hmac<Sha256>,
}

impl HashKey {
    pub(super) fn new(bytes: [u8; KEY_LENGTH]) -> Self {
        // HMAC fills a key that is shorter than a block with zeros (RFC 2104, section 2).
        let mut block = Key::<Hmac<Sha256>>::default();
        for (place, byte) in block.iter_mut().zip(bytes) {
            *place = byte;
        }
        let begun = Hmac::new(&block);
        block.zeroize();
        Self { bytes, begun }
    }

    pub(super) fn bytes(&self) -> &[u8; KEY_LENGTH] {
        &self.bytes
    }

    fn hash(&self, text: &str) -> String {
        let bytes = self.begun.clone().chain_update(text).finalize().into_bytes();
        let digit = |half: u8| char::from_digit(half.into(), 16).unwrap_or_default();
        let mut digits = String::with_capacity(2 * bytes.len());
        for byte in bytes {
            digits.push(digit(byte >> 4));
            digits.push(digit(byte & 15));
        }
        digits
    }
}

impl PartialEq for HashKey {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

/// The keyed hash of a client key or an admin token. The token has 238 random bits, so no slow hash
/// is needed; the key makes a stolen store useless for checking guesses.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TokenHash(String);

impl TokenHash {
    pub(super) fn new(key: &HashKey, token: &str) -> Self {
        Self(key.hash(token))
    }

    /// Reads a hash that [`Self::as_str`] gave.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        is_lower_hex(text, HASH_DIGITS).then(|| Self(text.to_owned()))
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

/// Returns `true` for a number of lower-case hexadecimal digits.
pub(crate) fn is_lower_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Hexadecimal digits of 256 bits.
const HASH_DIGITS: usize = 64;
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
    pub(super) fn new(key: &HashKey, gemini_key: &str) -> Self {
        Self(key.hash(gemini_key))
    }

    /// 64 hexadecimal digits; the first eight are shown as the key's fingerprint.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
