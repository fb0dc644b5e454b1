//! Verification that stored secrets decrypt, pool by pool, for `GET health`.
//!
//! It decrypts every pool's data key, and the first Gemini keys of all pools, because the cost of a
//! request is bounded.

use std::collections::BTreeMap;

use pool_shared::{ComponentHealth, HealthStatus, MasterKeyRows, PoolId, UnreadablePool};

use super::{AdminError, Context};
use crate::crypto::{DataKey, DecryptError, EncryptedUnder, UnderMasterKey};
use crate::ports::AdminHost;
use crate::store::{ConfigStore, PoolReader};

/// Data keys read per query.
const PAGE: u32 = 500;
/// Maximum number of Gemini keys that are decrypted: some milliseconds on Workers.
const MAX_KEYS: u32 = 500;
/// Maximum number of pools in the message; the list has all of them.
const MAX_NAMED: usize = 10;

/// The result.
pub(super) struct Encryption {
    pub(super) health: ComponentHealth,
    pub(super) unreadable: Vec<UnreadablePool>,
    pub(super) rows: MasterKeyRows,
}

/// The result by row, before pools are named.
#[derive(Default)]
struct Findings {
    hash_keys_unreadable: bool,
    rows: MasterKeyRows,
    pools: u64,
    /// Pools whose data keys do not decrypt.
    data_keys: Vec<PoolId>,
    /// The number of keys per pool that do not decrypt.
    keys: BTreeMap<PoolId, u64>,
}

impl<H: AdminHost> Context<'_, H> {
    /// Decrypts stored secrets, as far as one request may.
    pub(super) async fn verify_encryption(&self) -> Result<Encryption, AdminError> {
        let findings = self.encryption_findings().await?;
        let mut unreadable = self.unreadable_pools(&findings).await?;
        let is_rotating = self.admin.state.pools.vault.is_rotating();
        if let Some(own) = self.own_pool() {
            unreadable.retain(|pool| pool.pool == *own);
        }
        let (status, message) = judge(&findings, &unreadable, is_rotating);
        let health = ComponentHealth { status, kind: "aes-256-gcm".to_owned(), message };
        Ok(Encryption { health, unreadable, rows: findings.rows })
    }

    async fn encryption_findings(&self) -> Result<Findings, AdminError> {
        let (store, vault) = (self.host.store(), &self.admin.state.pools.vault);
        let mut findings = Findings::default();
        if let Some(encrypted) = store.hash_keys().await? {
            let under = vault.encrypted_under(UnderMasterKey::HashKeys, &encrypted);
            findings.hash_keys_unreadable = under.is_err();
            findings.rows.count(under);
        }
        let mut data_keys: BTreeMap<PoolId, DataKey> = BTreeMap::new();
        let mut after = None;
        loop {
            let pools = store.data_keys(after.as_ref(), PAGE).await?;
            after = pools.last().map(|(pool, _)| pool.clone());
            let is_last = pools.len() < PAGE as usize;
            for (pool, encrypted) in pools {
                findings.pools += 1;
                findings.rows.count(vault.encrypted_under(UnderMasterKey::DataKey(&pool), &encrypted));
                match vault.decrypt_data_key(&pool, &encrypted) {
                    Ok(data_key) => {
                        data_keys.insert(pool, data_key);
                    }
                    Err(DecryptError) => findings.data_keys.push(pool),
                }
            }
            if is_last {
                break;
            }
        }
        for (pool, id, encrypted) in store.encrypted_sample(MAX_KEYS).await? {
            let Some(data_key) = data_keys.get(&pool) else { continue };
            if data_key.decrypt(&pool, &id, &encrypted).is_err() {
                *findings.keys.entry(pool).or_default() += 1;
            }
        }
        Ok(findings)
    }

    async fn unreadable_pools(&self, findings: &Findings) -> Result<Vec<UnreadablePool>, AdminError> {
        if findings.data_keys.is_empty() && findings.keys.is_empty() {
            return Ok(Vec::new());
        }
        let pools = self.host.store().pools().await?.into_iter().filter_map(|pool| {
            let data_key = findings.data_keys.contains(&pool.id);
            let keys = findings.keys.get(&pool.id).copied().unwrap_or_default();
            (data_key || keys > 0).then_some(UnreadablePool {
                pool: pool.id,
                name: pool.name,
                data_key,
                keys,
            })
        });
        Ok(pools.collect())
    }

    /// Decrypts every row under the master key, and counts them.
    pub(super) async fn master_key_rows(&self) -> Result<MasterKeyRows, AdminError> {
        Ok(self.encryption_findings().await?.rows)
    }
}

fn judge(
    findings: &Findings,
    unreadable: &[UnreadablePool],
    is_rotating: bool,
) -> (HealthStatus, Option<String>) {
    if findings.hash_keys_unreadable {
        let message = "MASTER_KEY is not the key that this store was encrypted with: clients get 503. Set that key \
                       as MASTER_KEY, or as MASTER_KEY_PREV to rotate from it";
        return (HealthStatus::Failing, Some(message.to_owned()));
    }
    if !unreadable.is_empty() {
        let all = findings.data_keys.len() as u64 == findings.pools;
        let status = if all { HealthStatus::Failing } else { HealthStatus::Degraded };
        let named: Vec<_> = unreadable.iter().take(MAX_NAMED).map(described).collect();
        let more = unreadable.len().saturating_sub(MAX_NAMED);
        let more = if more > 0 { format!(" and {more} more pools") } else { String::new() };
        return (status, Some(format!("does not decrypt: {}{more}", named.join(", "))));
    }
    if is_rotating && findings.rows.previous == 0 {
        let message = "nothing is encrypted under MASTER_KEY_PREV: it can be removed";
        return (HealthStatus::Ok, Some(message.to_owned()));
    }
    (HealthStatus::Ok, None)
}

fn described(pool: &UnreadablePool) -> String {
    match (pool.data_key, pool.keys) {
        (true, _) => format!("the data key of pool '{}'", pool.name),
        (false, 1) => format!("1 key of pool '{}'", pool.name),
        (false, keys) => format!("{keys} keys of pool '{}'", pool.name),
    }
}

trait Count {
    fn count(&mut self, under: Result<EncryptedUnder, DecryptError>);
}

impl Count for MasterKeyRows {
    fn count(&mut self, under: Result<EncryptedUnder, DecryptError>) {
        *match under {
            Ok(EncryptedUnder::Current) => &mut self.current,
            Ok(EncryptedUnder::Previous) => &mut self.previous,
            Err(DecryptError) => &mut self.unreadable,
        } += 1;
    }
}
