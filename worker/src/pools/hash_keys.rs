//! The HMAC keys of token hashes: loaded from the store once, created on first use.

use super::PoolDirectory;
use crate::crypto::{DecryptError, EncryptedUnder, UnderMasterKey};
use crate::ports::{AdminHost, Host};
use crate::setup::SetupError;
use crate::store::{ConfigStore, PoolReader, StoreError};

/// Why the HMAC keys are not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HashKeyError {
    /// The store did not return them.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// They do not decrypt.
    #[error(transparent)]
    Setup(SetupError),
}

fn other_master_key(error: DecryptError) -> HashKeyError {
    HashKeyError::Setup(SetupError::OtherMasterKey(error))
}

impl PoolDirectory {
    /// Asks the store for the keys of the hashes, unless that was done. True: they are others than those
    /// that were used until now, so what was hashed before has to be hashed again.
    pub(super) async fn read_hash_keys<H: Host>(&self, host: &H) -> Result<bool, HashKeyError> {
        if self.vault.has_hash_keys() {
            return Ok(false);
        }
        match host.store().hash_keys().await? {
            Some(stored) => self.vault.use_hash_keys(&stored).map_err(other_master_key),
            None => Ok(false),
        }
    }

    /// The same for a host that may write: a store that keeps no keys of the hashes yet gets those of the master key
    /// that it was encrypted with. Fails when that is neither of those that are set.
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
            // Another instance may have been faster.
            store.hash_keys().await?.unwrap_or(new)
        };
        self.vault.use_hash_keys(&stored).map(drop).map_err(other_master_key)
    }

    /// Which master key the pools' data keys are encrypted with: the one in use where there are none.
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
