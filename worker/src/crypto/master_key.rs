//! The master key, and the sub-keys derived from it.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::{ZeroizeOnDrop, Zeroizing};

use crate::platform::Random;

/// The length of every key in this module, in bytes.
pub(super) const KEY_LENGTH: usize = 32;

/// 32 random bytes from which every other key of the service is derived.
#[derive(ZeroizeOnDrop)]
pub struct MasterKey([u8; KEY_LENGTH]);

/// Why a text is not a master key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MasterKeyError {
    /// It is not base64.
    #[error("is not base64: generate one with `openssl rand -base64 32`")]
    Encoding,
    /// It is base64 of a length other than 32 bytes.
    #[error("has {0} bytes instead of 32: generate one with `openssl rand -base64 32`")]
    Length(usize),
}

impl MasterKey {
    /// Parses a master key: 32 bytes in base64.
    pub fn parse(text: &str) -> Result<Self, MasterKeyError> {
        let bytes = Zeroizing::new(STANDARD.decode(text.trim()).map_err(|_| MasterKeyError::Encoding)?);
        let key = bytes.as_slice().try_into().map_err(|_| MasterKeyError::Length(bytes.len()))?;
        Ok(Self(key))
    }

    /// Generates a master key in the form that [`MasterKey::parse`] reads.
    pub fn generate(random: &impl Random) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new([0; KEY_LENGTH]);
        random.fill(bytes.as_mut());
        Zeroizing::new(STANDARD.encode(bytes.as_ref()))
    }

    pub(super) fn derive(&self, purpose: &str) -> [u8; KEY_LENGTH] {
        let mut key = [0; KEY_LENGTH];
        // Expanding to 32 bytes cannot fail: HKDF-SHA-256 gives up to 255 blocks of 32.
        let _ = Hkdf::<Sha256>::new(Some(b"pool-service/v1"), &self.0).expand(purpose.as_bytes(), &mut key);
        key
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::SeededRandom;

    #[test]
    fn a_master_key_says_what_is_wrong_with_it() {
        assert_eq!(MasterKey::parse("not base64!").unwrap_err(), MasterKeyError::Encoding);
        assert_eq!(MasterKey::parse("c2hvcnQ=").unwrap_err(), MasterKeyError::Length(5));
        let text = MasterKey::generate(&SeededRandom::new(1));
        assert_eq!(format!("{:?}", MasterKey::parse(&text).unwrap()), "MasterKey([redacted])");
    }
}
