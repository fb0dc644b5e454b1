//! The master key and what is derived from it.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hkdf::Hkdf;
use pool_shared::{GeminiKey, KeyId, PoolId};
use sha2::Sha256;
use zeroize::{ZeroizeOnDrop, Zeroizing};

use super::sealed::{Cipher, DataKey, OpenError, Sealed};
use super::token_hash::{KeyDigest, TokenHash};
use crate::host::Random;

/// The length of every key in this module, in bytes.
pub(super) const KEY_LENGTH: usize = 32;

/// 32 random bytes from which every other key of the service is derived.
#[derive(ZeroizeOnDrop)]
pub struct MasterKey([u8; KEY_LENGTH]);

/// Why a text is not a master key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MasterKeyError {
    /// Not base64.
    #[error("MASTER_KEY is not base64: make one with `openssl rand -base64 32`")]
    Encoding,
    /// Base64 of something else than 32 bytes.
    #[error("MASTER_KEY holds {0} bytes, 32 expected: make one with `openssl rand -base64 32`")]
    Length(usize),
}

impl MasterKey {
    /// Reads a master key: the base64 form of 32 bytes.
    pub fn parse(text: &str) -> Result<Self, MasterKeyError> {
        let bytes = Zeroizing::new(STANDARD.decode(text.trim()).map_err(|_| MasterKeyError::Encoding)?);
        let key = bytes.as_slice().try_into().map_err(|_| MasterKeyError::Length(bytes.len()))?;
        Ok(Self(key))
    }

    /// A new master key in the form that [`MasterKey::parse`] reads.
    pub fn generate(random: &impl Random) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new([0; KEY_LENGTH]);
        random.fill(bytes.as_mut());
        Zeroizing::new(STANDARD.encode(bytes.as_ref()))
    }

    fn derive(&self, purpose: &str) -> [u8; KEY_LENGTH] {
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

/// The sub-keys of a master key, ready for use. Made once an isolate or process.
pub struct Vault {
    seal_data_keys: Cipher,
    hash_tokens: [u8; KEY_LENGTH],
    digest_keys: [u8; KEY_LENGTH],
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault([redacted])")
    }
}

impl Vault {
    /// Derives the sub-keys.
    #[must_use]
    pub fn new(master: &MasterKey) -> Self {
        Self {
            seal_data_keys: Cipher::new(&master.derive("seal data keys")),
            hash_tokens: master.derive("hash tokens"),
            digest_keys: master.derive("digest keys"),
        }
    }

    /// A new data key for `pool`, and the sealed form in which it is stored.
    pub fn new_data_key(&self, pool: &PoolId, random: &impl Random) -> (DataKey, Sealed) {
        let mut bytes = Zeroizing::new([0; KEY_LENGTH]);
        random.fill(bytes.as_mut());
        let sealed = self.seal_data_keys.seal(bytes.as_ref(), &data_key_place(pool), random);
        (DataKey::new(&bytes), sealed)
    }

    /// Opens a pool's stored data key. Fails when the master key is another one, or when the row
    /// belongs to another pool.
    pub fn open_data_key(&self, pool: &PoolId, sealed: &Sealed) -> Result<DataKey, OpenError> {
        let bytes = self.seal_data_keys.open(sealed, &data_key_place(pool))?;
        let bytes: &[u8; KEY_LENGTH] = bytes.as_slice().try_into().map_err(|_| OpenError)?;
        Ok(DataKey::new(bytes))
    }

    /// The keyed hash under which a client key or an admin token is stored and looked up.
    #[must_use]
    pub fn token_hash(&self, token: &str) -> TokenHash {
        TokenHash::new(&self.hash_tokens, token)
    }

    /// The keyed hash by which two equal Gemini keys are recognised without opening either.
    #[must_use]
    pub fn key_digest(&self, key: &GeminiKey) -> KeyDigest {
        KeyDigest::new(&self.digest_keys, key.expose())
    }
}

fn data_key_place(pool: &PoolId) -> String {
    format!("pool-service/v1|{pool}|data_key")
}

/// Where a sealed Gemini key stands: it opens nowhere else.
pub(super) fn gemini_key_place(pool: &PoolId, key: &KeyId) -> String {
    format!("pool-service/v1|{pool}|{key}|sealed")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::SeededRandom;

    fn vault(seed: u64) -> Vault {
        Vault::new(&MasterKey::parse(&MasterKey::generate(&SeededRandom::new(seed))).unwrap())
    }

    #[test]
    fn a_master_key_says_what_is_wrong_with_it() {
        assert_eq!(MasterKey::parse("not base64!").unwrap_err(), MasterKeyError::Encoding);
        assert_eq!(MasterKey::parse("c2hvcnQ=").unwrap_err(), MasterKeyError::Length(5));
        let text = MasterKey::generate(&SeededRandom::new(1));
        assert_eq!(format!("{:?}", MasterKey::parse(&text).unwrap()), "MasterKey([redacted])");
    }

    #[test]
    fn a_data_key_opens_only_for_its_pool_and_its_master() {
        let (pool, other) = (PoolId::new("pool-1"), PoolId::new("pool-2"));
        let (_, sealed) = vault(1).new_data_key(&pool, &SeededRandom::new(2));
        assert!(vault(1).open_data_key(&pool, &sealed).is_ok());
        assert_eq!(vault(1).open_data_key(&other, &sealed).unwrap_err(), OpenError);
        assert_eq!(vault(3).open_data_key(&pool, &sealed).unwrap_err(), OpenError);
    }

    #[test]
    fn hashes_depend_on_the_master_key_and_on_the_purpose() {
        let key = GeminiKey::parse("AIzaSyA-1234567890_abcdefghij").unwrap();
        assert_eq!(vault(1).token_hash("t"), vault(1).token_hash("t"));
        assert_ne!(vault(1).token_hash("t"), vault(2).token_hash("t"));
        assert_ne!(vault(1).token_hash(key.expose()).as_str(), vault(1).key_digest(&key).as_str());
    }
}
