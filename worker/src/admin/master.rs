//! Rotation of the master key, one bounded step per request.
//!
//! It encrypts rows again under the current master key, and counts the rows under each. Steps are
//! idempotent, and the rotation is resumable.

use pool_shared::{MasterKeyRotate, MasterKeyRotation, PoolId};

use super::{AdminError, Context, HandlerResult, ok};
use crate::crypto::UnderMasterKey;
use crate::ports::AdminHost;
use crate::store::{ConfigStore, PoolReader, Rewrapped};

/// Pools per step: on KV each is a document to publish, and the subrequests of a request are
/// limited.
const POOLS: u32 = 20;

impl<H: AdminHost> Context<'_, H> {
    pub(super) async fn rotate_master_key(&self, rotate: MasterKeyRotate) -> HandlerResult {
        if rotate.data_keys {
            return self.rotate_data_keys(rotate.cursor).await;
        }
        let after = rotate.cursor.map(PoolId::new);
        let mut rewrapped = 0;
        if after.is_none() {
            self.host.store().note(self.change("master.rotate", None, None)?, 1).await?;
            rewrapped += self.rewrap_hash_keys().await?;
        }
        let pools = self.host.store().data_keys(after.as_ref(), POOLS).await?;
        let last = pools.last().filter(|_| pools.len() >= POOLS as usize);
        let cursor = last.map(|(pool, _)| pool.to_string());
        rewrapped += self.rewrap_data_keys(pools).await?;
        let rows = if cursor.is_none() { Some(self.master_key_rows().await?) } else { None };
        if cursor.is_none() {
            self.host.store().forget_replaced().await?;
        }
        ok(&MasterKeyRotation { cursor, rewrapped, unreadable_keys: 0, rows })
    }

    async fn rewrap_hash_keys(&self) -> Result<u64, AdminError> {
        let (store, vault, random) = (self.host.store(), &self.admin.state.pools.vault, self.host.random());
        let old = store.hash_keys().await?;
        let new = match &old {
            Some(old) => vault.rewrap(UnderMasterKey::HashKeys, old, random)?,
            // Deleted by hand since the request began: the next request stores them again.
            None => None,
        };
        let Some(new) = new else { return Ok(0) };
        store.put_hash_keys(old.as_ref(), &new).await?;
        Ok(1)
    }

    /// Encrypts data keys again. A row that decrypts under neither key is not changed, and counted
    /// at the end.
    async fn rewrap_data_keys(
        &self,
        pools: Vec<(PoolId, crate::crypto::Encrypted)>,
    ) -> Result<u64, AdminError> {
        let rewrap = |(pool, old)| {
            let what = UnderMasterKey::DataKey(&pool);
            let new = self.admin.state.pools.vault.rewrap(what, &old, self.host.random()).ok()??;
            Some(Rewrapped { pool, old, new })
        };
        let rewrapped: Vec<_> = pools.into_iter().filter_map(rewrap).collect();
        if rewrapped.is_empty() {
            return Ok(0);
        }
        Ok(self.host.store().rewrap_data_keys(&rewrapped).await?)
    }
}
