//! Rotation of the pools' data keys, one bounded step per request.
//!
//! During its rotation a pool has the new and the previous data key. Its Gemini keys are encrypted
//! again in ranges, in order of their digests. The previous data key is dropped after a whole pass
//! has found nothing under it, so all keys were read back and decrypted without it. Keys imported
//! meanwhile are encrypted under the new one, or rejected by the store. Steps are idempotent, and
//! the rotation is resumable.
//!
//! # Invariants
//! - A data key is never dropped while a key is encrypted only under it.

use pool_shared::{MasterKeyRotation, PoolId};

use super::{AdminError, Context, HandlerResult, ok};
use crate::crypto::{DecryptError, Encrypted};
use crate::ports::AdminHost;
use crate::store::{ConfigStore, Reencrypted, Rewrapped};

/// Gemini keys per step.
const KEYS: u32 = 500;

/// The progress of earlier steps: `pool after changed digest`.
#[derive(Default)]
struct Progress {
    /// The current pool; empty for none.
    pool: String,
    /// Whether this pass over the pool has encrypted any key again.
    changed: bool,
    /// The digest after which the pass continues.
    after: String,
}

impl Progress {
    fn parse(cursor: &str) -> Option<Self> {
        let mut parts = cursor.splitn(3, ':');
        let (pool, changed, after) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Self { pool: pool.to_owned(), changed: changed == "1", after: after.to_owned() })
    }

    fn cursor(&self) -> String {
        format!("{}:{}:{}", self.pool, u8::from(self.changed), self.after)
    }
}

/// Marks a finished pool in place of a digest; it sorts after all digests.
const DONE: &str = "~";

impl<H: AdminHost> Context<'_, H> {
    pub(super) async fn rotate_data_keys(&self, cursor: Option<String>) -> HandlerResult {
        let store = self.host.store();
        let progress = match cursor {
            None => {
                store.note(self.change("master.rotate_data_keys", None, None)?, 1).await?;
                Progress::default()
            }
            Some(cursor) => {
                Progress::parse(&cursor).ok_or_else(|| AdminError::Invalid("invalid cursor".to_owned()))?
            }
        };
        let pool = PoolId::new(progress.pool.as_str());
        let under_way = !progress.pool.is_empty() && progress.after != DONE;
        let stored = if under_way { store.data_key(&pool).await? } else { None };
        let next = match stored {
            Some(stored) => Some((pool, stored, progress)),
            // The next pool; also if the current one was deleted meanwhile.
            None => store.data_keys(Some(&pool), 1).await?.pop().map(|(pool, stored)| {
                let progress = Progress { pool: pool.to_string(), ..Progress::default() };
                (pool, stored, progress)
            }),
        };
        let Some((pool, stored, progress)) = next else {
            let rows = Some(self.master_key_rows().await?);
            store.forget_replaced().await?;
            return ok(&MasterKeyRotation { cursor: None, rewrapped: 0, unreadable_keys: 0, rows });
        };
        // A pool whose data key does not decrypt shows in the final counts.
        let (next, rewrapped, unreadable_keys) = match self.step_in_pool(&pool, stored, progress).await? {
            Ok(step) => step,
            Err(DecryptError) => {
                (Progress { pool: pool.to_string(), changed: false, after: DONE.to_owned() }, 0, 0)
            }
        };
        ok(&MasterKeyRotation { cursor: Some(next.cursor()), rewrapped, unreadable_keys, rows: None })
    }

    /// Runs one step in a pool.
    async fn step_in_pool(
        &self,
        pool: &PoolId,
        stored: Encrypted,
        mut progress: Progress,
    ) -> Result<Result<(Progress, u64, u64), DecryptError>, AdminError> {
        let (store, vault, random) = (self.host.store(), &self.admin.state.pools.vault, self.host.random());
        let stored = match vault.begin_new_data_key(pool, &stored, random) {
            Err(error) => return Ok(Err(error)),
            Ok(None) => stored,
            Ok(Some(new)) => {
                let rewrapped = Rewrapped { pool: pool.clone(), old: stored, new: new.clone() };
                if store.rewrap_data_keys(&[rewrapped]).await? == 0 {
                    // Another request was faster: the next step reads its result.
                    return Ok(Ok((progress, 0, 0)));
                }
                progress = Progress { pool: pool.to_string(), ..Progress::default() };
                new
            }
        };
        let data_key = match vault.decrypt_data_key(pool, &stored) {
            Ok(data_key) => data_key,
            Err(error) => return Ok(Err(error)),
        };
        let keys = store.keys_after(pool, &progress.after, KEYS).await?;
        let (mut reencrypted, mut unreadable) = (Vec::new(), 0);
        for key in &keys {
            match data_key.reencrypt(pool, &key.id, &key.encrypted, random) {
                Ok(None) => {}
                Ok(Some(new)) => {
                    reencrypted.push(Reencrypted {
                        digest: key.digest.clone(),
                        old: key.encrypted.clone(),
                        new,
                    });
                }
                Err(DecryptError) => unreadable += 1,
            }
        }
        if !reencrypted.is_empty() {
            store.reencrypt_keys(pool, &reencrypted).await?;
        }
        progress.changed |= !reencrypted.is_empty();
        progress.after = keys.last().map(|key| key.digest.as_str().to_owned()).unwrap_or_default();
        if keys.len() < KEYS as usize {
            let is_done = !progress.changed && self.drop_old_data_key(pool, stored).await?;
            progress = Progress { pool: pool.to_string(), ..Progress::default() };
            if is_done {
                DONE.clone_into(&mut progress.after);
            }
        }
        Ok(Ok((progress, reencrypted.len() as u64, unreadable)))
    }

    /// Drops the previous data key. Returns `false` if the pool has another data key meanwhile.
    async fn drop_old_data_key(&self, pool: &PoolId, stored: Encrypted) -> Result<bool, AdminError> {
        match self.admin.state.pools.vault.end_new_data_key(pool, &stored, self.host.random()) {
            Ok(Some(new)) => {
                let rewrapped = Rewrapped { pool: pool.clone(), old: stored, new };
                Ok(self.host.store().rewrap_data_keys(&[rewrapped]).await? > 0)
            }
            Ok(None) | Err(DecryptError) => Ok(true),
        }
    }
}
