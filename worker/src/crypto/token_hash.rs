//! Keyed hashes: HMAC-SHA-256 in hexadecimal, as stored.

use hmac::digest::Key;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::master_key::KEY_LENGTH;

/// The HMAC key of one kind of hash.
#[derive(Clone, ZeroizeOnDrop)]
pub(super) struct HashKey {
    bytes: [u8; KEY_LENGTH],
    /// The HMAC state after the key block, which saves half of the work. It clears itself.
    #[zeroize(skip)]
    begun: Hmac<Sha256>,
}

impl HashKey {
    pub(super) fn new(bytes: [u8; KEY_LENGTH]) -> Self {
        // HMAC pads a key that is shorter than a block with zeros (RFC 2104, section 2).
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

    pub(super) fn hash(&self, text: &str) -> String {
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
