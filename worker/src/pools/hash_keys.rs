//! The HMAC keys of token hashes: loaded from the store once, created on first use.

use super::PoolDirectory;
use crate::crypto::{DecryptError, EncryptedUnder, UnderMasterKey};
use crate::ports::{AdminHost, Host};
use crate::setup::SetupError;
use crate::store::{ConfigStore, PoolReader, StoreError};

/// Error of loading the HMAC keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HashKeyError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// They cannot be decrypted.
    #[error(transparent)]
    Setup(SetupError),
}

fn other_master_key(error: DecryptError) -> HashKeyError {
    HashKeyError::Setup(SetupError::OtherMasterKey(error))
}

impl PoolDirectory {
    /// Loads the HMAC keys from the store, unless they are loaded. Returns `true` if they differ
    /// from those used until now; earlier hashes must then be recomputed.
    pub(crate) async fn ensure_hash_keys<H: Host>(&self, host: &H) -> Result<bool, HashKeyError> {
        if self.vault.has_hash_keys() {
            return Ok(false);
        }
        match host.store().hash_keys().await? {
            Some(stored) => self.vault.use_hash_keys(&stored).map_err(other_master_key),
            None => Ok(false),
        }
    }

    /// Loads the HMAC keys, and creates them if the store has none yet: those of the master key
    /// that encrypted the store.
    ///
    /// # Errors
    /// If the store was encrypted with neither of the configured master keys.
    pub async fn verify<H: AdminHost>(&self, host: &H) -> Result<(), HashKeyError> {
        if self.vault.has_hash_keys() {
            return Ok(());
        }
        let store = host.store();
        let stored = if let Some(stored) = store.hash_keys().await? {
            stored
        } else {
            let of = self.master_key_of_data(store).await?;
            let new = self.vault.encrypt_hash_keys(of, host.random());
            store.put_hash_keys(None, &new).await?;
            // Another instance may have created them first.
            store.hash_keys().await?.unwrap_or(new)
        };
        self.vault.use_hash_keys(&stored).map(drop).map_err(other_master_key)
    }

    /// Returns the master key that encrypted the pools' data keys; the current one if there are
    /// none.
    async fn master_key_of_data(&self, store: &impl ConfigStore) -> Result<EncryptedUnder, HashKeyError> {
        const PAGE: u32 = 500;
        let (mut after, mut any, mut under_previous) = (None, false, false);
        loop {
            let pools = store.data_keys(after.as_ref(), PAGE).await?;
            for (pool, encrypted) in &pools {
                any = true;
                match self.vault.encrypted_under(UnderMasterKey::DataKey(pool), encrypted) {
                    Ok(EncryptedUnder::Current) => return Ok(EncryptedUnder::Current),
                    Ok(EncryptedUnder::Previous) => under_previous = true,
                    Err(DecryptError) => {}
                }
            }
            if pools.len() < PAGE as usize {
                break;
            }
            after = pools.into_iter().last().map(|(pool, _)| pool);
        }
        match (any, under_previous) {
            (_, true) => Ok(EncryptedUnder::Previous),
            (false, false) => Ok(EncryptedUnder::Current),
            (true, false) => Err(other_master_key(DecryptError)),
        }
    }
}
