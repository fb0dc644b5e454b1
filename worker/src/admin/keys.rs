//! The Gemini keys of a pool: list, import, change, remove.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use pool_shared::{
    GeminiKey, KeyBatchResult, KeyChange, KeyDelete, KeyId, KeyImport, KeyImportEntry, KeyImportReport,
    KeyList, KeyUpdate, MalformedEntry, Pool, PoolId, bounds, is_visible, read_key,
};
use serde_json::{Map, Value};

use super::audit::{difference, keys_target};
use super::{AdminError, Context, HandlerResult, Query, ok};
use crate::crypto::{DataKey, Encrypted};
use crate::platform::Random;
use crate::ports::AdminHost;
use crate::store::{BatchOutcome, ConfigStore, KeyFilter, NewKey, Page};

/// Default page size.
const DEFAULT_PAGE: u32 = 100;
/// Maximum number of different values of a field in an audit entry.
const MAX_VALUES: usize = 20;

/// Maximum number of a pool's keys for which an import reviews the stored ones: some milliseconds
/// on Workers.
const MAX_REVIEWED: u64 = 500;
/// Maximum number of them in the report.
const MAX_SHOWN: usize = 20;

/// Fields of an audit entry.
type Noted = Option<Map<String, Value>>;

/// The sorted entries of an import.
pub(super) struct Sorted {
    pub(super) keys: Vec<NewKey>,
    pub(super) malformed: Vec<MalformedEntry>,
    pub(super) repeated: u64,
}

impl<H: AdminHost> Context<'_, H> {
    pub(super) async fn list_keys(&self, reference: &str, query: &Query) -> HandlerResult {
        let pool = self.pool(reference).await?;
        let limit = query.limit(DEFAULT_PAGE)?;
        let search = query.get("search").filter(|text| !text.is_empty());
        if search.is_some_and(|text| text.chars().count() > bounds::KEY_TEXT) {
            return Err(AdminError::Invalid(format!("'search' has at most {} characters", bounds::KEY_TEXT)));
        }
        let unhealthy = self.unhealthy(Some(&pool.id)).await?;
        let filter = KeyFilter {
            search: search.map(ToOwned::to_owned),
            enabled: query.parsed("enabled")?,
            tag: query.get("tag").map(ToOwned::to_owned),
            states: unhealthy.filter(&pool.id, query)?,
        };
        let page = Page { after: query.cursor("cursor")?.unwrap_or_default(), limit };
        let mut page = self.host.store().keys(&pool.id, &filter, page).await?;
        for key in &mut page.keys {
            unhealthy.complete(&pool.id, key);
        }
        self.note_failing(&pool.id, page.keys.iter_mut().collect()).await?;
        let next_cursor = page.next.map(|position| position.to_string());
        ok(&KeyList { keys: page.keys, total: page.total, states: unhealthy.count(&pool), next_cursor })
    }

    pub(super) async fn import_keys(&self, reference: &str, import: KeyImport) -> HandlerResult {
        let pool = self.pool(reference).await?;
        let (data_key, stored) = self.data_key(&pool.id).await?;
        let Sorted { keys, malformed, repeated } = self.sort_import(&pool.id, &data_key, import.keys)?;
        let added = if keys.is_empty() {
            0
        } else {
            let change = self.change("key.import", Some(&pool.id), None)?;
            self.host.store().import_keys(&pool.id, &stored, &keys, change).await?
        };
        self.changed(&pool.id);
        let duplicate = repeated + (keys.len() as u64).saturating_sub(added);
        let no_longer_accepted = self.no_longer_accepted(&pool, &data_key).await?;
        let also_in = self.keys_elsewhere(&pool.id, &keys).await?;
        ok(&KeyImportReport { added, duplicate, malformed, no_longer_accepted, also_in })
    }

    /// Returns the masked keys of a pool that earlier versions stored with surrounding text.
    async fn no_longer_accepted(&self, pool: &Pool, data_key: &DataKey) -> Result<Vec<String>, AdminError> {
        if pool.keys == 0 || pool.keys > MAX_REVIEWED {
            return Ok(Vec::new());
        }
        let page = Page { after: 0, limit: u32::try_from(MAX_REVIEWED).unwrap_or(u32::MAX) };
        let (keys, _) = self.host.store().encrypted_keys(&pool.id, None, page).await?;
        let refused = keys.iter().filter(|key| {
            let opened = data_key.decrypt(&pool.id, &key.id, &key.encrypted);
            opened.is_ok_and(|opened| GeminiKey::parse(opened.expose()).is_err())
        });
        Ok(refused.map(|key| key.masked.clone()).take(MAX_SHOWN).collect())
    }

    /// Returns the other pools that have the same keys. Hidden from tokens of one pool.
    pub(super) async fn keys_elsewhere(
        &self,
        pool: &PoolId,
        keys: &[NewKey],
    ) -> Result<BTreeMap<String, u64>, AdminError> {
        if keys.is_empty() || self.own_pool().is_some() {
            return Ok(BTreeMap::new());
        }
        let digests: Vec<_> = keys.iter().map(|key| &key.digest).collect();
        Ok(self.host.store().keys_elsewhere(pool, &digests).await?.into_iter().collect())
    }

    pub(super) async fn update_keys(&self, reference: &str, update: KeyUpdate) -> HandlerResult {
        let pool = self.pool(reference).await?;
        check_ids(&update.ids)?;
        check_text(update.set.name.as_deref().unwrap_or_default(), "name")?;
        check_text(update.set.tag.as_deref().unwrap_or_default(), "tag")?;
        check_text(update.set.project.as_deref().unwrap_or_default(), "project")?;
        check_text(update.set.billing_account.as_deref().unwrap_or_default(), "billing account")?;
        let page = Page { after: 0, limit: u32::try_from(update.ids.len()).unwrap_or(u32::MAX) };
        let (keys, _) = self.host.store().encrypted_keys(&pool.id, Some(&update.ids), page).await?;
        let found: HashSet<KeyId> = keys.iter().map(|key| key.id.clone()).collect();
        let missing = update.ids.iter().filter(|id| !found.contains(*id)).cloned().collect();
        let others: Vec<_> =
            keys.into_iter().filter(|key| !difference(key, &update.set)[1].is_empty()).collect();
        let changed = self.change_keys(&pool.id, &others, &update.set).await?;
        let recovered = if update.set.enabled == Some(true) {
            self.recover_keys(&pool.id, &update.ids, &others).await?
        } else {
            0
        };
        let unchanged = (found.len() as u64).saturating_sub(changed);
        ok(&KeyBatchResult { pool: pool.id, changed, unchanged, recovered, missing })
    }

    /// Applies a change to keys, and returns how many it changed.
    async fn change_keys(&self, pool: &PoolId, keys: &[NewKey], set: &KeyChange) -> Result<u64, AdminError> {
        if keys.is_empty() {
            return Ok(0);
        }
        let ids: Vec<_> = keys.iter().map(|key| key.id.clone()).collect();
        let mut change = self.change("key.update", Some(pool), keys_target(&ids))?;
        (change.before, change.after) = noted(keys, set);
        let outcome = self.host.store().update_keys(pool, &ids, set, change).await?;
        self.changed(pool);
        Ok(outcome.changed)
    }

    /// Clears the observations of keys that an operator enabled. For those that were enabled
    /// before, it audits a reset if their state changes, and returns how many.
    async fn recover_keys(
        &self,
        pool: &PoolId,
        ids: &[KeyId],
        enabled: &[NewKey],
    ) -> Result<u64, AdminError> {
        let unhealthy = self.unhealthy(Some(pool)).await?;
        let is_unhealthy =
            |id: &KeyId| unhealthy.is_unhealthy(pool, id) && enabled.iter().all(|key| key.id != *id);
        let recovered: BTreeSet<_> = ids.iter().filter(|id| is_unhealthy(id)).cloned().collect();
        if !recovered.is_empty() {
            let recovered: Vec<_> = recovered.iter().cloned().collect();
            let change = self.change("key.reset", Some(pool), keys_target(&recovered))?;
            self.host.store().note(change, recovered.len() as u64).await?;
        }
        self.clear(pool, ids).await?;
        Ok(recovered.len() as u64)
    }

    pub(super) async fn delete_keys(&self, reference: &str, delete: KeyDelete) -> HandlerResult {
        let pool = self.pool(reference).await?;
        check_ids(&delete.ids)?;
        let change = self.change("key.delete", Some(&pool.id), keys_target(&delete.ids))?;
        let BatchOutcome { changed, missing } =
            self.host.store().delete_keys(&pool.id, &delete.ids, change).await?;
        self.changed(&pool.id);
        ok(&KeyBatchResult { changed, missing, ..KeyBatchResult::none(pool.id) })
    }

    /// Decrypts a pool's data key, and returns it also in its stored form.
    pub(super) async fn data_key(&self, pool: &PoolId) -> Result<(DataKey, Encrypted), AdminError> {
        let encrypted = self.host.store().data_key(pool).await?;
        let encrypted = encrypted
            .ok_or_else(|| AdminError::UnknownPool { reference: pool.to_string(), nearest: None })?;
        Ok((self.admin.state.pools.vault.decrypt_data_key(pool, &encrypted)?, encrypted))
    }

    /// Validates and encrypts the entries of an import one by one. An invalid one is reported by
    /// its line, a duplicate is counted, and neither rejects the others.
    pub(super) fn sort_import(
        &self,
        pool: &PoolId,
        data_key: &DataKey,
        entries: Vec<KeyImportEntry>,
    ) -> Result<Sorted, AdminError> {
        if entries.len() > KeyImport::MAX_ENTRIES {
            let most = KeyImport::MAX_ENTRIES;
            return Err(AdminError::Invalid(format!(
                "at most {most} keys per request: send the rest in further requests"
            )));
        }
        let mut sorted = Sorted { keys: Vec::new(), malformed: Vec::new(), repeated: 0 };
        let mut seen = HashSet::new();
        for (position, entry) in (1_u64..).zip(entries) {
            let line = entry.line.unwrap_or(position);
            match checked_key(&entry) {
                Err(reason) => sorted.malformed.push(MalformedEntry { line, reason }),
                Ok(key) => {
                    let digest = self.admin.state.pools.vault.key_digest(&key);
                    if !seen.insert(digest.clone()) {
                        sorted.repeated += 1;
                        continue;
                    }
                    let id = KeyId::from_random(self.host.random().next_u64());
                    let encrypted = data_key.encrypt(pool, &id, &key, self.host.random());
                    let KeyImportEntry { weight, tag, name, project, billing_account, limits, .. } = entry;
                    let masked = key.masked();
                    sorted.keys.push(NewKey {
                        id,
                        digest,
                        encrypted,
                        masked,
                        name,
                        tag,
                        weight,
                        project,
                        billing_account,
                        limits,
                        enabled: true,
                    });
                }
            }
        }
        Ok(sorted)
    }
}

/// Returns the previous and new values of changed keys; for several keys, how many had which
/// values.
fn noted(keys: &[NewKey], set: &KeyChange) -> (Noted, Noted) {
    // Only the fields that a change can name, so nothing encrypted.
    if let [key] = keys {
        let [before, after] = difference(key, set);
        return (Some(before), Some(after));
    }
    let [_, after] = difference(&(), set);
    let befores = keys.iter().map(|key| difference(key, set)[0].clone());
    (Some(values_of(befores)), Some(after))
}

/// Returns the different values of each field with their counts; beyond [`MAX_VALUES`] only the
/// number.
fn values_of(maps: impl Iterator<Item = Map<String, Value>>) -> Map<String, Value> {
    let mut fields: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
    for (name, value) in maps.flatten() {
        let values = fields.entry(name).or_default();
        let text = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
        let place =
            if values.len() < MAX_VALUES || values.contains_key(&text) { text } else { "…".to_owned() };
        *values.entry(place).or_default() += 1;
    }
    fields.into_iter().map(|(name, values)| (name, values.into_iter().collect())).collect()
}

fn checked_key(entry: &KeyImportEntry) -> Result<GeminiKey, String> {
    check_text(&entry.name, "name")
        .and_then(|()| check_text(&entry.tag, "tag"))
        .and_then(|()| check_text(&entry.project, "project"))
        .and_then(|()| check_text(&entry.billing_account, "billing account"))
        .map_err(|error| error.to_string())?;
    read_key(entry.key.expose()).map_err(|error| error.to_string())
}

fn check_text(text: &str, what: &str) -> Result<(), AdminError> {
    if text.chars().count() > bounds::KEY_TEXT || !text.chars().all(is_visible) {
        return Err(AdminError::Invalid(format!(
            "a key's {what} has at most {} characters, without control or invisible characters",
            bounds::KEY_TEXT
        )));
    }
    Ok(())
}

pub(super) fn check_ids(ids: &[KeyId]) -> Result<(), AdminError> {
    match ids.len() {
        0 => Err(AdminError::Invalid("no ids given".to_owned())),
        length if length > KeyUpdate::MAX_IDS => {
            Err(AdminError::Invalid(format!("at most {} ids per request", KeyUpdate::MAX_IDS)))
        }
        _ => Ok(()),
    }
}
