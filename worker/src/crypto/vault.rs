//! What a deployment's master keys are used for: data keys open and close, tokens and keys are hashed.
//!
//! A deployment has one master key; while it goes over to another one, the previous one too. What was
//! sealed under either opens, and what is sealed now is sealed under the new one.
//!
//! Hashes cannot be made anew, since what they are of is not kept. So the keys of the hashes outlive the master
//! key that they were derived from: the store keeps them, encrypted under the master key, from the first request of
//! the admin API on ([`Vault::settle`]). That row is also the check value of the master key: where it does not
//! decrypt, `MASTER_KEY` is another one than before. The previous master key is only ever a second try.

use std::fmt;
use std::sync::OnceLock;

use pool_shared::{GeminiKey, KeyId, PoolId};
use zeroize::Zeroizing;

use super::encrypted::{Cipher, DataKey, DecryptError, Encrypted};
use super::master_key::{KEY_LENGTH, MasterKey};
use super::token_hash::HashKey;
use super::{KeyDigest, TokenHash};
use crate::platform::Random;

/// The sub-keys of the master keys, ready for use. Made once an isolate or process.
pub struct Vault {
    current: Cipher,
    previous: Option<Cipher>,
    /// Those of the master key in use: right in a store that was never rotated.
    derived: HashKeys,
    /// Those of the previous master key: right in a store of before that keeps none yet.
    derived_previous: Option<HashKeys>,
    /// Those that the store has, once it was asked.
    stored_keys: OnceLock<HashKeys>,
}

/// The keys of the hashes.
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

/// Something that is sealed under the master key, and bound to its place.
#[derive(Clone, Copy, Debug)]
pub enum UnderMasterKey<'a> {
    /// A pool's data key.
    DataKey(&'a PoolId),
    /// The keys of the hashes.
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

/// Under which master key something is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncryptedUnder {
    /// The one in use.
    Current,
    /// The one before it.
    Previous,
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault([redacted])")
    }
}

impl Vault {
    /// Derives the sub-keys; `previous` is the master key before this one, while not everything has gone over.
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

    /// Whether there is a previous master key.
    #[must_use]
    pub const fn is_rotating(&self) -> bool {
        self.previous.is_some()
    }

    /// A new data key for `pool`, and the sealed form in which it is stored.
    pub fn new_data_key(&self, pool: &PoolId, random: &impl Random) -> (DataKey, Encrypted) {
        let mut bytes = Zeroizing::new([0; KEY_LENGTH]);
        random.fill(bytes.as_mut());
        let place = UnderMasterKey::DataKey(pool).place();
        (DataKey::new(&bytes, None), self.current.encrypt(bytes.as_ref(), &place, random))
    }

    /// Opens a pool's stored data key. Fails when the master key is another one, or when the row
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

    /// Puts a new data key before the one that a pool has, which still opens what it sealed. `None`: there are two.
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

    /// Drops the data key before, once it opens nothing any more. `None`: there is one only.
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

    /// Under which master key something is sealed: it is opened to find out.
    pub fn encrypted_under(
        &self,
        what: UnderMasterKey,
        encrypted: &Encrypted,
    ) -> Result<EncryptedUnder, DecryptError> {
        self.decrypt(what, encrypted).map(|(_, under)| under)
    }

    /// Seals something under the master key in use; `None` when it is.
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

    /// The keys of the hashes that a master key gives, in the form in which they are stored: encrypted under the
    /// one in use.
    pub fn encrypt_hash_keys(&self, of: EncryptedUnder, random: &impl Random) -> Encrypted {
        let HashKeys { tokens, digests } = match of {
            EncryptedUnder::Current => &self.derived,
            EncryptedUnder::Previous => self.derived_previous.as_ref().unwrap_or(&self.derived),
        };
        let bytes = Zeroizing::new([tokens.bytes().as_slice(), digests.bytes()].concat());
        self.current.encrypt(&bytes, &UnderMasterKey::HashKeys.place(), random)
    }

    /// Takes in the keys of the hashes as the store has them. True: they are others than those that were used until
    /// now. Fails when no master key that is known decrypts them.
    pub fn use_hash_keys(&self, stored: &Encrypted) -> Result<bool, DecryptError> {
        let (bytes, _) = self.decrypt(UnderMasterKey::HashKeys, stored)?;
        let (tokens, digests) = bytes.split_first_chunk().ok_or(DecryptError)?;
        let digests = digests.try_into().map_err(|_| DecryptError)?;
        let keys = HashKeys { tokens: HashKey::new(*tokens), digests: HashKey::new(digests) };
        let others = *self.hash_keys() != keys;
        // Whoever came first took in the same.
        let _ = self.stored_keys.set(keys);
        Ok(others)
    }

    /// Whether the store was asked for the keys of the hashes.
    #[must_use]
    pub fn has_hash_keys(&self) -> bool {
        self.stored_keys.get().is_some()
    }

    /// The keyed hash under which a client key or an admin token is stored and looked up.
    #[must_use]
    pub fn token_hash(&self, token: &str) -> TokenHash {
        TokenHash::new(self.hash_keys().tokens.hash(token))
    }

    /// The hash of a token by the previous master key: a second try in a store that keeps no keys of the hashes yet.
    #[must_use]
    pub fn previous_token_hash(&self, token: &str) -> Option<TokenHash> {
        let keys = self.derived_previous.as_ref().filter(|_| !self.has_hash_keys())?;
        Some(TokenHash::new(keys.tokens.hash(token)))
    }

    /// The keyed hash by which two equal Gemini keys are recognised without opening either.
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
        // Rewrapping does not carry anything from one row to another.
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
