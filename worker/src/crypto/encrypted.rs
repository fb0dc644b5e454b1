//! Authenticated encryption of small secrets: AES-256-GCM with random 96-bit nonces.
//!
//! Random nonces are safe below 2^32 messages per key (NIST SP 800-38D). A data key encrypts the
//! Gemini keys of one pool, which are thousands.

use std::fmt;

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use pool_shared::{GeminiKey, KeyId, PoolId};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::master_key::KEY_LENGTH;
use crate::platform::Random;

const NONCE_LENGTH: usize = 12;

/// An encrypted secret in its stored form: `v1.` and the base64 of nonce, ciphertext and tag. Safe
/// to show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Encrypted(String);

impl From<String> for Encrypted {
    /// Wraps a stored text. Whether it is valid shows when it is decrypted.
    fn from(stored: String) -> Self {
        Self(stored)
    }
}

impl Encrypted {
    const VERSION: &'static str = "v1.";

    /// Returns the stored form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A stored secret that does not decrypt: another master key, another row, or a damaged row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a stored secret does not decrypt under MASTER_KEY")]
pub struct DecryptError;

/// AES-256-GCM under one key.
pub(super) struct Cipher(Aes256Gcm);

impl Cipher {
    pub(super) fn new(key: &[u8; KEY_LENGTH]) -> Self {
        Self(Aes256Gcm::new(key.into()))
    }

    pub(super) fn encrypt(&self, secret: &[u8], place: &str, random: &impl Random) -> Encrypted {
        let mut nonce = [0; NONCE_LENGTH];
        random.fill(&mut nonce);
        let payload = Payload { msg: secret, aad: place.as_bytes() };
        // Encryption fails only for messages above 64 GiB; a secret has at most a few hundred bytes.
        let ciphertext = self.0.encrypt(&Nonce::from(nonce), payload).unwrap_or_default();
        let mut record = nonce.to_vec();
        record.extend(ciphertext);
        Encrypted(format!("{}{}", Encrypted::VERSION, STANDARD_NO_PAD.encode(record)))
    }

    pub(super) fn decrypt(
        &self,
        encrypted: &Encrypted,
        place: &str,
    ) -> Result<Zeroizing<Vec<u8>>, DecryptError> {
        let encoded = encrypted.0.strip_prefix(Encrypted::VERSION).ok_or(DecryptError)?;
        let record = STANDARD_NO_PAD.decode(encoded).map_err(|_| DecryptError)?;
        let (nonce, ciphertext) = record.split_first_chunk::<NONCE_LENGTH>().ok_or(DecryptError)?;
        let payload = Payload { msg: ciphertext, aad: place.as_bytes() };
        self.0.decrypt(&Nonce::from(*nonce), payload).map(Zeroizing::new).map_err(|_| DecryptError)
    }
}

/// The key that encrypts the Gemini keys of one pool; during a rotation also the previous one.
pub struct DataKey {
    current: Cipher,
    previous: Option<Cipher>,
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey([redacted])")
    }
}

impl DataKey {
    pub(super) fn new(current: &[u8; KEY_LENGTH], previous: Option<&[u8; KEY_LENGTH]>) -> Self {
        Self { current: Cipher::new(current), previous: previous.map(Cipher::new) }
    }

    /// Encrypts a Gemini key for its row.
    pub fn encrypt(&self, pool: &PoolId, id: &KeyId, key: &GeminiKey, random: &impl Random) -> Encrypted {
        self.current.encrypt(key.expose().as_bytes(), &gemini_key_place(pool, id), random)
    }

    /// Decrypts a Gemini key from its row.
    pub fn decrypt(
        &self,
        pool: &PoolId,
        id: &KeyId,
        encrypted: &Encrypted,
    ) -> Result<GeminiKey, DecryptError> {
        self.decrypt_any(pool, id, encrypted).map(|(key, _)| key)
    }

    /// Encrypts a Gemini key again that is still under the previous data key; `None` if it is under
    /// the current one.
    pub fn reencrypt(
        &self,
        pool: &PoolId,
        id: &KeyId,
        encrypted: &Encrypted,
        random: &impl Random,
    ) -> Result<Option<Encrypted>, DecryptError> {
        let (key, is_current) = self.decrypt_any(pool, id, encrypted)?;
        Ok((!is_current).then(|| self.encrypt(pool, id, &key, random)))
    }

    fn decrypt_any(
        &self,
        pool: &PoolId,
        id: &KeyId,
        encrypted: &Encrypted,
    ) -> Result<(GeminiKey, bool), DecryptError> {
        let place = gemini_key_place(pool, id);
        let (bytes, is_current) = match (self.current.decrypt(encrypted, &place), &self.previous) {
            (Ok(bytes), _) => (bytes, true),
            (Err(_), Some(previous)) => (previous.decrypt(encrypted, &place)?, false),
            (Err(error), None) => return Err(error),
        };
        let text = std::str::from_utf8(&bytes).map_err(|_| DecryptError)?;
        Ok((GeminiKey::from_stored(text), is_current))
    }
}

/// Returns the associated data of a Gemini key's row, so that its ciphertext decrypts nowhere else.
fn gemini_key_place(pool: &PoolId, key: &KeyId) -> String {
    format!("pool-service/v1|{pool}|{key}|sealed")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::SeededRandom;

    const KEY: &str = "AIzaSyA-1234567890_abcdefghijklmnopqrst";

    #[test]
    fn a_key_decrypts_in_its_own_row_only() {
        let data_key = DataKey::new(&[7; KEY_LENGTH], None);
        let (pool, id) = (PoolId::new("pool-1"), KeyId::new("key-1"));
        let key = GeminiKey::parse(KEY).unwrap();
        let encrypted = data_key.encrypt(&pool, &id, &key, &SeededRandom::new(1));
        assert!(!encrypted.as_str().contains("AIza"));
        assert_eq!(data_key.decrypt(&pool, &id, &encrypted).unwrap(), key);
        assert_eq!(data_key.decrypt(&pool, &KeyId::new("key-2"), &encrypted), Err(DecryptError));
        assert_eq!(data_key.decrypt(&PoolId::new("pool-2"), &id, &encrypted), Err(DecryptError));
        assert_eq!(DataKey::new(&[8; KEY_LENGTH], None).decrypt(&pool, &id, &encrypted), Err(DecryptError));
    }

    #[test]
    fn the_same_key_is_encrypted_differently_each_time() {
        let data_key = DataKey::new(&[7; KEY_LENGTH], None);
        let (pool, id) = (PoolId::new("pool-1"), KeyId::new("key-1"));
        let key = GeminiKey::parse(KEY).unwrap();
        let random = SeededRandom::new(1);
        assert_ne!(data_key.encrypt(&pool, &id, &key, &random), data_key.encrypt(&pool, &id, &key, &random));
    }

    proptest! {
        #[test]
        fn a_ciphertext_of_one_row_decrypts_in_no_other(
            row in ("pool-[ab]", "key-[ab]", 0_u8..2), other in ("pool-[ab]", "key-[ab]", 0_u8..2), seed: u64,
        ) {
            let key = GeminiKey::parse(KEY).unwrap();
            let parts = |(pool, id, data_key): &(String, String, u8)| {
                (PoolId::new(pool.as_str()), KeyId::new(id.as_str()), DataKey::new(&[*data_key; KEY_LENGTH], None))
            };
            let (pool, id, data_key) = parts(&row);
            let encrypted = data_key.encrypt(&pool, &id, &key, &SeededRandom::new(seed));
            let (pool, id, data_key) = parts(&other);
            let opened = data_key.decrypt(&pool, &id, &encrypted);
            prop_assert_eq!(opened, if row == other { Ok(key) } else { Err(DecryptError) });
        }

        #[test]
        fn a_damaged_record_never_decrypts_and_never_panics(text in "(v1\\.)?[A-Za-z0-9+/]{0,100}") {
            let cipher = Cipher::new(&[7; KEY_LENGTH]);
            prop_assert_eq!(cipher.decrypt(&Encrypted(text), "place"), Err(DecryptError));
        }
    }
}
