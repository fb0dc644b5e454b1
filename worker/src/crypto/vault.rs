//! The vault: the sub-keys of the master keys, to encrypt data keys and to hash tokens and keys.
//!
//! A deployment has one master key, and during a rotation also the previous one. Data encrypted
//! under either decrypts; new data is encrypted under the current one.
//!
//! Hashes cannot be recomputed, because their inputs are not stored. The HMAC keys therefore
//! survive a master key rotation: the store keeps them, encrypted under the master key, from the
//! first request of the admin API on ([`Vault::use_hash_keys`]). That row also verifies the master
//! key: if it does not decrypt, `MASTER_KEY` was changed. The previous master key is only a
//! fallback.

use std::fmt;
use std::sync::OnceLock;

use pool_shared::{GeminiKey, PoolId};
use zeroize::Zeroizing;

use super::encrypted::{Cipher, DataKey, DecryptError, Encrypted};
use super::master_key::{KEY_LENGTH, MasterKey};
use super::token_hash::HashKey;
use super::{KeyDigest, TokenHash};
use crate::platform::Random;

/// The sub-keys of the master keys. Built once per isolate or process.
pub struct Vault {
    current: Cipher,
    previous: Option<Cipher>,
    /// Derived from the current master key: right in a store that was never rotated.
    derived: HashKeys,
    /// Derived from the previous master key: right in an older store that has no HMAC keys yet.
    derived_previous: Option<HashKeys>,
    /// Those of the store, once they were read.
    stored_keys: OnceLock<HashKeys>,
}

/// The HMAC keys.
#[derive(Clone, PartialEq)]
struct HashKeys {
    tokens: HashKey,
    digests: HashKey,
}

impl HashKeys {
    fn derived_from(master: &MasterKey) -> Self {
        Self {
            tokens: HashKey::new(master.derive("hash tokens")),
            digests: HashKey::new(master.derive("digest keys")),
        }
    }
}

/// Data that is encrypted under the master key and bound to its row.
#[derive(Clone, Copy, Debug)]
pub enum UnderMasterKey<'a> {
    /// A pool's data key.
    DataKey(&'a PoolId),
    /// The HMAC keys.
    HashKeys,
}

impl UnderMasterKey<'_> {
    fn place(self) -> String {
        match self {
            Self::DataKey(pool) => format!("pool-service/v1|{pool}|data_key"),
            Self::HashKeys => "pool-service/v1|hash_keys".to_owned(),
        }
    }
}

/// The master key that encrypts a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncryptedUnder {
    /// The current one.
    Current,
    /// The previous one.
    Previous,
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault([redacted])")
    }
}

impl Vault {
    /// Derives the sub-keys. `previous` is the previous master key during a rotation.
    #[must_use]
    pub fn new(master: &MasterKey, previous: Option<&MasterKey>) -> Self {
        let cipher = |key: &MasterKey| Cipher::new(&key.derive("seal data keys"));
        Self {
            current: cipher(master),
            previous: previous.map(cipher),
            derived: HashKeys::derived_from(master),
            derived_previous: previous.map(HashKeys::derived_from),
            stored_keys: OnceLock::new(),
        }
    }

    /// Returns `true` if there is a previous master key.
    #[must_use]
    pub const fn is_rotating(&self) -> bool {
        self.previous.is_some()
    }

    /// Generates a data key for `pool`, with the encrypted form to store.
    pub fn new_data_key(&self, pool: &PoolId, random: &impl Random) -> (DataKey, Encrypted) {
        let mut bytes = Zeroizing::new([0; KEY_LENGTH]);
        random.fill(bytes.as_mut());
        let place = UnderMasterKey::DataKey(pool).place();
        (DataKey::new(&bytes, None), self.current.encrypt(bytes.as_ref(), &place, random))
    }

    /// Decrypts the stored data key of a pool. Fails under another master key, or if the row
    /// belongs to another pool.
    pub fn decrypt_data_key(&self, pool: &PoolId, encrypted: &Encrypted) -> Result<DataKey, DecryptError> {
        let (bytes, _) = self.decrypt(UnderMasterKey::DataKey(pool), encrypted)?;
        let (current, previous) = bytes.split_first_chunk().ok_or(DecryptError)?;
        let previous = match previous {
            [] => None,
            previous => Some(previous.try_into().map_err(|_| DecryptError)?),
        };
        Ok(DataKey::new(current, previous))
    }

    /// Adds a new data key to a pool; the previous one still decrypts. `None` if there are two
    /// already.
    pub fn begin_new_data_key(
        &self,
        pool: &PoolId,
        encrypted: &Encrypted,
        random: &impl Random,
    ) -> Result<Option<Encrypted>, DecryptError> {
        let what = UnderMasterKey::DataKey(pool);
        let (old, _) = self.decrypt(what, encrypted)?;
        if old.len() != KEY_LENGTH {
            return Ok(None);
        }
        let mut both = Zeroizing::new([0; 2 * KEY_LENGTH]);
        let (new, previous) = both.split_at_mut(KEY_LENGTH);
        random.fill(new);
        previous.copy_from_slice(&old);
        Ok(Some(self.current.encrypt(both.as_ref(), &what.place(), random)))
    }

    /// Removes the previous data key, once it encrypts nothing any more. `None` if there is only
    /// one.
    pub fn end_new_data_key(
        &self,
        pool: &PoolId,
        encrypted: &Encrypted,
        random: &impl Random,
    ) -> Result<Option<Encrypted>, DecryptError> {
        let what = UnderMasterKey::DataKey(pool);
        let (bytes, _) = self.decrypt(what, encrypted)?;
        let (current, previous) = bytes.split_first_chunk::<KEY_LENGTH>().ok_or(DecryptError)?;
        Ok((!previous.is_empty()).then(|| self.current.encrypt(current, &what.place(), random)))
    }

    /// Returns the master key that encrypts a row, by decrypting it.
    pub fn encrypted_under(
        &self,
        what: UnderMasterKey,
        encrypted: &Encrypted,
    ) -> Result<EncryptedUnder, DecryptError> {
        self.decrypt(what, encrypted).map(|(_, under)| under)
    }

    /// Encrypts a row again under the current master key; `None` if it already is.
    pub fn rewrap(
        &self,
        what: UnderMasterKey,
        encrypted: &Encrypted,
        random: &impl Random,
    ) -> Result<Option<Encrypted>, DecryptError> {
        let (bytes, under) = self.decrypt(what, encrypted)?;
        let rewrapped = || self.current.encrypt(&bytes, &what.place(), random);
        Ok((under == EncryptedUnder::Previous).then(rewrapped))
    }

    /// Returns the HMAC keys derived from a master key in their stored form, encrypted under the
    /// current one.
    pub fn encrypt_hash_keys(&self, of: EncryptedUnder, random: &impl Random) -> Encrypted {
        let HashKeys { tokens, digests } = match of {
            EncryptedUnder::Current => &self.derived,
            EncryptedUnder::Previous => self.derived_previous.as_ref().unwrap_or(&self.derived),
        };
        let bytes = Zeroizing::new([tokens.bytes().as_slice(), digests.bytes()].concat());
        self.current.encrypt(&bytes, &UnderMasterKey::HashKeys.place(), random)
    }

    /// Uses the HMAC keys of the store from now on. Returns `true` if they differ from those used
    /// until now. Fails if no known master key decrypts them.
    pub fn use_hash_keys(&self, stored: &Encrypted) -> Result<bool, DecryptError> {
        let (bytes, _) = self.decrypt(UnderMasterKey::HashKeys, stored)?;
        let (tokens, digests) = bytes.split_first_chunk().ok_or(DecryptError)?;
        let digests = digests.try_into().map_err(|_| DecryptError)?;
        let keys = HashKeys { tokens: HashKey::new(*tokens), digests: HashKey::new(digests) };
        let others = *self.hash_keys() != keys;
        // A concurrent call set the same keys.
        let _ = self.stored_keys.set(keys);
        Ok(others)
    }

    /// Returns `true` if the HMAC keys of the store are in use.
    #[must_use]
    pub fn has_hash_keys(&self) -> bool {
        self.stored_keys.get().is_some()
    }

    /// Returns the keyed hash under which a client key or an admin token is stored.
    #[must_use]
    pub fn token_hash(&self, token: &str) -> TokenHash {
        TokenHash::new(self.hash_keys().tokens.hash(token))
    }

    /// Returns the hash of a token under the previous master key: a fallback for a store that has
    /// no HMAC keys yet.
    #[must_use]
    pub fn previous_token_hash(&self, token: &str) -> Option<TokenHash> {
        let keys = self.derived_previous.as_ref().filter(|_| !self.has_hash_keys())?;
        Some(TokenHash::new(keys.tokens.hash(token)))
    }

    /// Returns the keyed hash that recognises equal Gemini keys without decrypting them.
    #[must_use]
    pub fn key_digest(&self, key: &GeminiKey) -> KeyDigest {
        KeyDigest::new(self.hash_keys().digests.hash(key.expose()))
    }

    fn hash_keys(&self) -> &HashKeys {
        self.stored_keys.get().unwrap_or(&self.derived)
    }

    fn decrypt(
        &self,
        what: UnderMasterKey,
        encrypted: &Encrypted,
    ) -> Result<(Zeroizing<Vec<u8>>, EncryptedUnder), DecryptError> {
        let place = what.place();
        if let Ok(bytes) = self.current.decrypt(encrypted, &place) {
            return Ok((bytes, EncryptedUnder::Current));
        }
        let previous = self.previous.as_ref().ok_or(DecryptError)?;
        previous.decrypt(encrypted, &place).map(|bytes| (bytes, EncryptedUnder::Previous))
    }
}

#[cfg(test)]
mod tests {
    use pool_shared::KeyId;

    use super::*;
    use crate::testing::SeededRandom;

    fn master(seed: u64) -> MasterKey {
        MasterKey::parse(&MasterKey::generate(&SeededRandom::new(seed))).unwrap()
    }

    fn vault(seed: u64) -> Vault {
        Vault::new(&master(seed), None)
    }

    fn rotating(seed: u64, previous: u64) -> Vault {
        Vault::new(&master(seed), Some(&master(previous)))
    }

    #[test]
    fn a_data_key_decrypts_only_for_its_pool_and_its_master_key() {
        let (pool, other) = (PoolId::new("pool-1"), PoolId::new("pool-2"));
        let (_, encrypted) = vault(1).new_data_key(&pool, &SeededRandom::new(2));
        assert!(vault(1).decrypt_data_key(&pool, &encrypted).is_ok());
        assert_eq!(vault(1).decrypt_data_key(&other, &encrypted).unwrap_err(), DecryptError);
        assert_eq!(vault(3).decrypt_data_key(&pool, &encrypted).unwrap_err(), DecryptError);
    }

    #[test]
    fn hashes_depend_on_the_master_key_and_on_the_purpose() {
        let key = GeminiKey::parse("AIzaSyA-1234567890_abcdefghij").unwrap();
        assert_eq!(vault(1).token_hash("t"), vault(1).token_hash("t"));
        assert_ne!(vault(1).token_hash("t"), vault(2).token_hash("t"));
        assert_ne!(vault(1).token_hash(key.expose()).as_str(), vault(1).key_digest(&key).as_str());
    }

    #[test]
    fn the_previous_key_decrypts_until_data_is_rewrapped() {
        let (pool, random) = (PoolId::new("pool-1"), SeededRandom::new(9));
        let (_, old) = vault(1).new_data_key(&pool, &random);
        let what = UnderMasterKey::DataKey(&pool);
        let both = rotating(2, 1);
        assert!(both.decrypt_data_key(&pool, &old).is_ok());
        assert_eq!(both.encrypted_under(what, &old), Ok(EncryptedUnder::Previous));
        let new = both.rewrap(what, &old, &random).unwrap().unwrap();
        assert_eq!(both.encrypted_under(what, &new), Ok(EncryptedUnder::Current));
        assert_eq!(both.rewrap(what, &new, &random), Ok(None));
        assert!(vault(2).decrypt_data_key(&pool, &new).is_ok());
        assert_eq!(vault(2).decrypt_data_key(&pool, &old).unwrap_err(), DecryptError);
        // Rewrapping moves nothing from one row to another.
        assert_eq!(
            both.rewrap(UnderMasterKey::DataKey(&PoolId::new("pool-2")), &old, &random),
            Err(DecryptError)
        );
        assert_eq!(both.rewrap(UnderMasterKey::HashKeys, &old, &random), Err(DecryptError));
    }

    #[test]
    fn after_a_data_key_rotation_the_old_key_decrypts_nothing() {
        let (pool, id, random) = (PoolId::new("pool-1"), KeyId::new("key-1"), SeededRandom::new(9));
        let key = GeminiKey::parse("AIzaSyA-1234567890_abcdefghij").unwrap();
        let vault = vault(1);
        let (old, stored) = vault.new_data_key(&pool, &random);
        let encrypted = old.encrypt(&pool, &id, &key, &random);
        assert_eq!(vault.end_new_data_key(&pool, &stored, &random), Ok(None));
        let stored = vault.begin_new_data_key(&pool, &stored, &random).unwrap().unwrap();
        assert_eq!(vault.begin_new_data_key(&pool, &stored, &random), Ok(None), "it is under way");
        let both = vault.decrypt_data_key(&pool, &stored).unwrap();
        assert_eq!(both.decrypt(&pool, &id, &encrypted).as_ref(), Ok(&key));
        let reencrypted = both.reencrypt(&pool, &id, &encrypted, &random).unwrap().unwrap();
        assert_eq!(both.reencrypt(&pool, &id, &reencrypted, &random), Ok(None));
        let stored = vault.end_new_data_key(&pool, &stored, &random).unwrap().unwrap();
        let new = vault.decrypt_data_key(&pool, &stored).unwrap();
        assert_eq!(new.decrypt(&pool, &id, &reencrypted), Ok(key));
        assert_eq!(new.decrypt(&pool, &id, &encrypted), Err(DecryptError));
        assert_eq!(old.decrypt(&pool, &id, &reencrypted), Err(DecryptError));
    }

    #[test]
    fn hashes_stay_the_same_through_any_number_of_rotations() {
        let (token, random) = ("sk-pool-x", SeededRandom::new(9));
        let first = vault(1).token_hash(token);
        let stored = vault(1).encrypt_hash_keys(EncryptedUnder::Current, &random);

        let both = rotating(2, 1);
        assert_ne!(both.token_hash(token), first, "the previous key is a second try only");
        assert_eq!((both.use_hash_keys(&stored), both.token_hash(token)), (Ok(true), first.clone()));
        let stored = both.rewrap(UnderMasterKey::HashKeys, &stored, &random).unwrap().unwrap();

        let third = rotating(3, 2);
        let stored = third.rewrap(UnderMasterKey::HashKeys, &stored, &random).unwrap().unwrap();
        let third = vault(3);
        third.use_hash_keys(&stored).unwrap();
        assert_eq!(third.token_hash(token), first);
        assert_eq!(vault(4).use_hash_keys(&stored), Err(DecryptError));
    }

    #[test]
    fn a_previous_key_that_encrypted_nothing_changes_nothing() {
        let (token, random) = ("sk-pool-x", SeededRandom::new(9));
        let both = rotating(1, 7);
        assert_eq!(both.token_hash(token), vault(1).token_hash(token));
        assert_eq!(both.previous_token_hash(token), Some(vault(7).token_hash(token)));
        let stored = vault(1).encrypt_hash_keys(EncryptedUnder::Current, &random);
        assert_eq!(both.use_hash_keys(&stored), Ok(false));
        assert_eq!(
            (both.token_hash(token), both.previous_token_hash(token)),
            (vault(1).token_hash(token), None)
        );
    }

    #[test]
    fn an_older_store_keeps_the_hash_keys_of_its_master_key() {
        let (token, random) = ("sk-pool-x", SeededRandom::new(9));
        let both = rotating(2, 1);
        both.use_hash_keys(&both.encrypt_hash_keys(EncryptedUnder::Previous, &random)).unwrap();
        assert_eq!(both.token_hash(token), vault(1).token_hash(token));
    }
}
