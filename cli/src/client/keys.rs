//! Calls of the admin API for a pool's Gemini keys, in pages and batches.

use pool_shared::{
    ExportedKey, ExportedKeys, Key, KeyBatchResult, KeyChange, KeyCheck, KeyCheckReport, KeyDelete,
    KeyExport, KeyId, KeyImport, KeyImportReport, KeyList, KeyReset, KeyState, KeyUpdate, PoolId,
};
use reqwest::Method;

use super::{
    Client, ClientError,
    api::{ApiResult, NO_BODY},
};

/// Maximum page size of the service.
const MAX_PAGE: u64 = 1_000;
/// Maximum number of ids per page of an export.
const MAX_EXPORT_IDS: usize = KeyExport::MAX_KEYS as usize;

/// Filter of a pool's keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyFilter {
    /// Part of the name, tag, masked key, fingerprint or id.
    pub search: Option<String>,
    /// Only enabled, or only disabled keys.
    pub enabled: Option<bool>,
    /// Exactly this tag.
    pub tag: Option<String>,
    /// In one of these states; empty for all.
    pub states: Vec<KeyState>,
}

impl Client {
    /// Returns the keys that match a filter, page by page, at most `limit`. The list's `total` is
    /// the number of all matching keys.
    pub async fn keys(&self, pool: &str, filter: &KeyFilter, limit: Option<u64>) -> ApiResult<KeyList> {
        let limit = limit.unwrap_or(u64::MAX);
        let mut keys: Vec<Key> = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let missing = limit.saturating_sub(keys.len() as u64);
            let query = key_query(filter, missing.min(MAX_PAGE), cursor.as_deref());
            let page: KeyList = self
                .call(Method::GET, &["pools", pool, "keys"], &query, NO_BODY)
                .await
                .map_err(|error| self.explain(error))?;
            let got = page.keys.len() as u64;
            keys.extend(page.keys);
            // An empty page with a cursor, or a cursor that does not advance, would loop forever.
            let is_stuck = got == 0 || page.next_cursor == cursor;
            cursor = page.next_cursor;
            if cursor.is_none() || is_stuck || got >= missing {
                return Ok(KeyList { keys, total: page.total, states: page.states, next_cursor: None });
            }
        }
    }

    /// Imports one chunk. Idempotent: existing keys count as duplicates.
    pub(super) async fn import_chunk(
        &self,
        pool: &PoolId,
        chunk: &KeyImport,
    ) -> Result<KeyImportReport, ClientError> {
        self.call(Method::POST, &["pools", pool.as_str(), "keys", "import"], &[], Some(chunk)).await
    }

    /// Checks keys. Safe to repeat, but each call uses quota.
    pub(super) async fn check_once(
        &self,
        pool: &PoolId,
        check: &KeyCheck,
    ) -> Result<KeyCheckReport, ClientError> {
        self.call(Method::POST, &["pools", pool.as_str(), "keys", "check"], &[], Some(check)).await
    }

    /// Returns a pool's keys in clear, page by page.
    pub async fn export_keys(&self, pool: &PoolId, ids: &[KeyId]) -> ApiResult<Vec<ExportedKey>> {
        let mut keys = Vec::new();
        // Without ids, all pages of the pool; with ids, one page of ids after another.
        let groups: Vec<&[KeyId]> =
            if ids.is_empty() { vec![ids] } else { ids.chunks(MAX_EXPORT_IDS).collect() };
        for ids in groups {
            let mut cursor: Option<String> = None;
            loop {
                let export = KeyExport { ids: ids.to_vec(), cursor: cursor.clone(), limit: None };
                let page: ExportedKeys =
                    self.post(&["pools", pool.as_str(), "keys", "export"], &export).await?;
                let is_stuck = page.keys.is_empty() || page.next_cursor == cursor;
                keys.extend(page.keys);
                cursor = page.next_cursor;
                if cursor.is_none() || is_stuck {
                    break;
                }
            }
        }
        Ok(keys)
    }

    /// Updates keys, in requests of at most [`KeyUpdate::MAX_IDS`].
    pub async fn update_keys(
        &self,
        pool: &PoolId,
        ids: &[KeyId],
        set: &KeyChange,
    ) -> ApiResult<KeyBatchResult> {
        let update = async |ids| {
            let update = KeyUpdate { ids, set: set.clone() };
            self.patch(&["pools", pool.as_str(), "keys"], &update).await
        };
        in_batches(pool, ids, update).await
    }

    /// Removes keys, in requests of at most [`KeyUpdate::MAX_IDS`].
    pub async fn delete_keys(&self, pool: &PoolId, ids: &[KeyId]) -> ApiResult<KeyBatchResult> {
        let path = ["pools", pool.as_str(), "keys", "delete"];
        in_batches(pool, ids, async |ids| self.post(&path, &KeyDelete { ids }).await).await
    }

    /// Resets the observed state of keys, in requests of at most [`KeyUpdate::MAX_IDS`].
    pub async fn reset_keys(&self, pool: &PoolId, ids: &[KeyId]) -> ApiResult<KeyBatchResult> {
        let path = ["pools", pool.as_str(), "keys", "reset"];
        in_batches(pool, ids, async |ids| self.post(&path, &KeyReset { ids }).await).await
    }
}

fn key_query(filter: &KeyFilter, limit: u64, cursor: Option<&str>) -> Vec<(&'static str, String)> {
    let states: Vec<_> = filter.states.iter().map(|state| state.name()).collect();
    let pairs = [
        ("limit", Some(limit.to_string())),
        ("search", filter.search.clone()),
        ("enabled", filter.enabled.map(|enabled| enabled.to_string())),
        ("tag", filter.tag.clone()),
        ("state", Some(states.join(",")).filter(|states| !states.is_empty())),
        ("cursor", cursor.map(str::to_owned)),
    ];
    pairs.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// Runs a call in batches of at most [`KeyUpdate::MAX_IDS`] keys, and merges the results.
async fn in_batches(
    pool: &PoolId,
    ids: &[KeyId],
    call: impl AsyncFn(Vec<KeyId>) -> ApiResult<KeyBatchResult>,
) -> ApiResult<KeyBatchResult> {
    let mut result = KeyBatchResult::none(pool.clone());
    for ids in ids.chunks(KeyUpdate::MAX_IDS) {
        result.merge(call(ids.to_vec()).await?);
    }
    Ok(result)
}
