//! One function for each route of the admin API.

use pool_shared::{
    AdminTokenCreate, AdminTokenCreated, AdminTokenId, AdminTokenList, AdminTokenRotate, AuditList,
    ClientKeyCreate, ClientKeyCreated, ClientKeyExport, ClientKeyId, ClientKeyImport, ClientKeyImportReport,
    ClientKeyList, ClientKeyRotate, ClientKeyUpdate, ClientKeyUpdated, EventList, ExportedKey, ExportedKeys,
    HashedClientKeys, Health, Key, KeyBatchResult, KeyChange, KeyCheck, KeyCheckReport, KeyDelete, KeyExport,
    KeyId, KeyImport, KeyImportReport, KeyList, KeyReset, KeyState, KeyUpdate, Login, LoginResponse,
    MasterKeyRotate, MasterKeyRotation, MasterKeyState, Migrate, MigrationStep, Pool, PoolCopied, PoolCopy,
    PoolCreate, PoolCreated, PoolId, PoolLimits, PoolList, PoolModels, PoolStats, PoolUpdate, PoolUpdated,
    Stats, WhoAmI,
};
use reqwest::Method;
use serde::Serialize;

use super::{Client, ClientError, ServerInfo};
use crate::error::CliError;

/// The largest page that the service gives.
const PAGE: u64 = 1_000;
/// Ids that one page of an export takes.
const EXPORTED: usize = KeyExport::MAX_KEYS as usize;
const NO_BODY: Option<&()> = None;

type Answered<T> = Result<T, CliError>;

/// Which keys of a pool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyFilter {
    /// Part of the name, tag, masked key, fingerprint or id.
    pub search: Option<String>,
    /// Only those in use, or only those taken out of use.
    pub enabled: Option<bool>,
    /// Exactly this tag.
    pub tag: Option<String>,
    /// In one of these states; empty for all.
    pub states: Vec<KeyState>,
}

impl Client {
    /// Trades the admin password for a token. Needs no token.
    pub async fn login(&self, login: &Login) -> Answered<LoginResponse> {
        self.post(&["login"], login).await
    }

    /// Revokes the token that is presented.
    pub async fn logout(&self) -> Answered<()> {
        self.empty(Method::POST, &["logout"]).await
    }

    /// Whose token is presented.
    pub async fn whoami(&self) -> Answered<WhoAmI> {
        self.get(&["whoami"]).await
    }

    /// Whose token is presented, and where the answer came from.
    pub async fn whoami_from(&self) -> Answered<(WhoAmI, ServerInfo)> {
        let answer = self.send(Method::GET, &["whoami"], &[], NO_BODY).await;
        let answer = answer.map_err(|error| self.explain(error))?;
        match serde_json::from_slice(&answer.body) {
            Ok(identity) => Ok((identity, answer.surroundings)),
            Err(_) => Err(self.explain(answer.unexpected())),
        }
    }

    /// Every pool.
    pub async fn pools(&self) -> Answered<PoolList> {
        self.get(&["pools"]).await
    }

    /// Creates a pool; not repeatable, the answer alone holds the client key.
    pub async fn create_pool(&self, pool: &PoolCreate) -> Answered<PoolCreated> {
        self.post(&["pools"], pool).await
    }

    /// One pool, by name or id.
    pub async fn pool(&self, pool: &str) -> Answered<Pool> {
        self.get(&["pools", pool]).await
    }

    /// Changes the fields that the update names.
    pub async fn update_pool(&self, pool: &str, update: &PoolUpdate) -> Answered<PoolUpdated> {
        self.patch(&["pools", pool], update).await
    }

    /// One step of a copy of a pool; the answer's cursor leads to the next one.
    pub async fn copy_pool(&self, pool: &str, copy: &PoolCopy) -> Answered<PoolCopied> {
        self.post(&["pools", pool, "copy"], copy).await
    }

    /// What Gemini offers to the pool now.
    pub async fn pool_models(&self, pool: &str) -> Answered<PoolModels> {
        self.get(&["pools", pool, "models"]).await
    }

    /// The limits of a pool's models, learnt and set.
    pub async fn pool_limits(&self, pool: &str, model: Option<&str>) -> Answered<PoolLimits> {
        let query: Vec<_> = model.map(|model| ("model", model.to_owned())).into_iter().collect();
        let path = ["pools", pool, "limits"];
        self.call(Method::GET, &path, &query, NO_BODY).await.map_err(|error| self.explain(error))
    }

    /// Deletes a pool with everything in it.
    pub async fn delete_pool(&self, pool: &PoolId) -> Answered<()> {
        self.empty(Method::DELETE, &["pools", pool.as_str()]).await
    }

    /// A pool's client keys.
    pub async fn client_keys(&self, pool: &str) -> Answered<ClientKeyList> {
        self.get(&["pools", pool, "client-keys"]).await
    }

    /// Creates a client key; the answer alone holds it.
    pub async fn create_client_key(&self, pool: &str, key: &ClientKeyCreate) -> Answered<ClientKeyCreated> {
        self.post(&["pools", pool, "client-keys"], key).await
    }

    /// Changes a client key.
    pub async fn update_client_key(
        &self,
        pool: &str,
        key: &ClientKeyId,
        update: &ClientKeyUpdate,
    ) -> Answered<ClientKeyUpdated> {
        self.patch(&["pools", pool, "client-keys", key.as_str()], update).await
    }

    /// Imports client keys of another system.
    pub async fn import_client_keys(
        &self,
        pool: &str,
        import: &ClientKeyImport,
    ) -> Answered<ClientKeyImportReport> {
        self.post(&["pools", pool, "client-keys", "import"], import).await
    }

    /// Returns which key the service hashes client keys with.
    pub async fn master_key_state(&self) -> Answered<MasterKeyState> {
        self.get(&["master"]).await
    }

    /// Returns a pool's client keys with their hashes.
    pub async fn export_client_keys(&self, pool: &str) -> Answered<HashedClientKeys> {
        self.post(&["pools", pool, "client-keys", "export"], &ClientKeyExport {}).await
    }

    /// Adds client keys by their hashes, in requests of at most [`HashedClientKeys::MAX_KEYS`].
    pub async fn restore_client_keys(
        &self,
        pool: &str,
        hashed: &HashedClientKeys,
    ) -> Answered<ClientKeyImportReport> {
        let mut report = ClientKeyImportReport { added: 0, duplicate: 0 };
        for chunk in hashed.client_keys.chunks(HashedClientKeys::MAX_KEYS) {
            let token_hash_key = hashed.token_hash_key.clone();
            let chunk = HashedClientKeys { token_hash_key, client_keys: chunk.to_vec() };
            let part: ClientKeyImportReport =
                self.post(&["pools", pool, "client-keys", "restore"], &chunk).await?;
            report.added += part.added;
            report.duplicate += part.duplicate;
        }
        Ok(report)
    }

    /// Puts a new client key in the place of one that goes on working for a while.
    pub async fn rotate_client_key(
        &self,
        pool: &str,
        key: &ClientKeyId,
        rotate: &ClientKeyRotate,
    ) -> Answered<ClientKeyCreated> {
        self.post(&["pools", pool, "client-keys", key.as_str(), "rotate"], rotate).await
    }

    /// Revokes a client key.
    pub async fn revoke_client_key(&self, pool: &str, key: &ClientKeyId) -> Answered<()> {
        self.empty(Method::DELETE, &["pools", pool, "client-keys", key.as_str()]).await
    }

    /// Revokes a client key that a command made for itself, also when Ctrl-C has ended the command.
    pub async fn revoke_client_key_at_the_end(&self, pool: &str, key: &ClientKeyId) -> Answered<()> {
        let deaf = self.deaf_to_interrupts();
        deaf.revoke_client_key(pool, key).await
    }

    /// Every key that the filter lets through, at most `limit` of them, page by page. The list's
    /// `total` counts those beyond the limit too.
    pub async fn keys(&self, pool: &str, filter: &KeyFilter, limit: Option<u64>) -> Answered<KeyList> {
        let limit = limit.unwrap_or(u64::MAX);
        let mut keys: Vec<Key> = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let missing = limit.saturating_sub(keys.len() as u64);
            let query = key_query(filter, missing.min(PAGE), cursor.as_deref());
            let page: KeyList = self
                .call(Method::GET, &["pools", pool, "keys"], &query, NO_BODY)
                .await
                .map_err(|error| self.explain(error))?;
            let got = page.keys.len() as u64;
            keys.extend(page.keys);
            // An empty page with a cursor, or a cursor that does not move, would never end.
            let stands_still = got == 0 || page.next_cursor == cursor;
            cursor = page.next_cursor;
            if cursor.is_none() || stands_still || got >= missing {
                return Ok(KeyList { keys, total: page.total, states: page.states, next_cursor: None });
            }
        }
    }

    /// One chunk of an import. Sending it again is harmless: keys that are there count as duplicate.
    pub(super) async fn import_chunk(
        &self,
        pool: &PoolId,
        chunk: &KeyImport,
    ) -> Result<KeyImportReport, ClientError> {
        self.call(Method::POST, &["pools", pool.as_str(), "keys", "import"], &[], Some(chunk)).await
    }

    /// Tries keys now. Sending it again is harmless, and spends again.
    pub(super) async fn check_once(
        &self,
        pool: &PoolId,
        check: &KeyCheck,
    ) -> Result<KeyCheckReport, ClientError> {
        self.call(Method::POST, &["pools", pool.as_str(), "keys", "check"], &[], Some(check)).await
    }

    /// A pool's keys in clear, page by page.
    pub async fn export_keys(&self, pool: &PoolId, ids: &[KeyId]) -> Answered<Vec<ExportedKey>> {
        let mut keys = Vec::new();
        // Without ids all pages of the pool; with ids one page after the other of them.
        let groups: Vec<&[KeyId]> = if ids.is_empty() { vec![ids] } else { ids.chunks(EXPORTED).collect() };
        for ids in groups {
            let mut cursor: Option<String> = None;
            loop {
                let export = KeyExport { ids: ids.to_vec(), cursor: cursor.clone(), limit: None };
                let page: ExportedKeys =
                    self.post(&["pools", pool.as_str(), "keys", "export"], &export).await?;
                let stands_still = page.keys.is_empty() || page.next_cursor == cursor;
                keys.extend(page.keys);
                cursor = page.next_cursor;
                if cursor.is_none() || stands_still {
                    break;
                }
            }
        }
        Ok(keys)
    }

    /// Every admin token that still works.
    pub async fn tokens(&self) -> Answered<AdminTokenList> {
        self.get(&["tokens"]).await
    }

    /// Makes an admin token; the answer alone holds it.
    pub async fn create_token(&self, token: &AdminTokenCreate) -> Answered<AdminTokenCreated> {
        self.post(&["tokens"], token).await
    }

    /// Makes an admin token in place of another one; the answer alone holds it.
    pub async fn rotate_token(
        &self,
        token: &AdminTokenId,
        rotate: &AdminTokenRotate,
    ) -> Answered<AdminTokenCreated> {
        self.post(&["tokens", token.as_str(), "rotate"], rotate).await
    }

    /// Revokes an admin token, and those that it made unless they are to be kept.
    pub async fn revoke_token(&self, token: &AdminTokenId, keep_children: bool) -> Answered<()> {
        let keep: &[_] = if keep_children { &[("keep_children", "true".to_owned())] } else { &[] };
        let path = ["tokens", token.as_str()];
        self.send(Method::DELETE, &path, keep, NO_BODY).await.map(drop).map_err(|error| self.explain(error))
    }

    /// A page of the audit.
    pub async fn audit(&self, query: &[(&str, String)]) -> Answered<AuditList> {
        self.call(Method::GET, &["audit"], query, NO_BODY).await.map_err(|error| self.explain(error))
    }

    /// One step of going over to a new master key. Sending it again is harmless.
    pub(super) async fn rotate_master_key_once(
        &self,
        step: &MasterKeyRotate,
    ) -> Result<MasterKeyRotation, ClientError> {
        self.call(Method::POST, &["master", "rotate"], &[], Some(step)).await
    }

    /// One step of a migration. Sending it again is harmless.
    pub(super) async fn migrate_once(&self, step: &Migrate) -> Result<MigrationStep, ClientError> {
        self.call(Method::POST, &["migration"], &[], Some(step)).await
    }

    /// Changes keys, in requests of at most [`KeyUpdate::MAX_IDS`].
    pub async fn update_keys(
        &self,
        pool: &PoolId,
        ids: &[KeyId],
        set: &KeyChange,
    ) -> Answered<KeyBatchResult> {
        let update = async |ids| {
            let update = KeyUpdate { ids, set: set.clone() };
            self.patch(&["pools", pool.as_str(), "keys"], &update).await
        };
        in_batches(pool, ids, update).await
    }

    /// Removes keys, in requests of at most [`KeyUpdate::MAX_IDS`].
    pub async fn delete_keys(&self, pool: &PoolId, ids: &[KeyId]) -> Answered<KeyBatchResult> {
        let path = ["pools", pool.as_str(), "keys", "delete"];
        in_batches(pool, ids, async |ids| self.post(&path, &KeyDelete { ids }).await).await
    }

    /// Forgets what was learnt of keys, in requests of at most [`KeyUpdate::MAX_IDS`].
    pub async fn reset_keys(&self, pool: &PoolId, ids: &[KeyId]) -> Answered<KeyBatchResult> {
        let path = ["pools", pool.as_str(), "keys", "reset"];
        in_batches(pool, ids, async |ids| self.post(&path, &KeyReset { ids }).await).await
    }

    /// What every pool has served.
    pub async fn stats(&self) -> Answered<Stats> {
        self.get(&["stats"]).await
    }

    /// What one pool has served, by key and by model; with a query in a window of time.
    pub async fn pool_stats(&self, pool: &str, window: &[(&str, String)]) -> Answered<PoolStats> {
        let path = ["pools", pool, "stats"];
        self.call(Method::GET, &path, window, NO_BODY).await.map_err(|error| self.explain(error))
    }

    /// What went wrong lately, or after a cursor.
    pub async fn events(&self, pool: Option<&str>, after: Option<&str>, limit: u64) -> Answered<EventList> {
        let pairs = [
            ("limit", Some(limit.to_string())),
            ("pool", pool.map(str::to_owned)),
            ("after", after.map(str::to_owned)),
        ];
        let query: Vec<_> = pairs.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        self.call(Method::GET, &["events"], &query, NO_BODY).await.map_err(|error| self.explain(error))
    }

    /// Any call; the answer's body as it came.
    pub async fn raw(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, String)],
        body: Option<&serde_json::Value>,
    ) -> Answered<Vec<u8>> {
        let answer = self.send(method, path, query, body).await;
        answer.map(|answer| answer.body).map_err(|error| self.explain(error))
    }

    /// Forgets what one pool, or every pool, has served.
    pub async fn reset_stats(&self, pool: Option<&PoolId>) -> Answered<()> {
        match pool {
            Some(pool) => self.empty(Method::POST, &["pools", pool.as_str(), "stats", "reset"]).await,
            None => self.empty(Method::POST, &["stats", "reset"]).await,
        }
    }

    /// Whether the service has what it needs.
    pub async fn health(&self) -> Answered<Health> {
        self.get(&["health"]).await
    }

    async fn get<T: serde::de::DeserializeOwned>(&self, path: &[&str]) -> Answered<T> {
        self.call(Method::GET, path, &[], NO_BODY).await.map_err(|error| self.explain(error))
    }

    async fn post<T: serde::de::DeserializeOwned>(
        &self,
        path: &[&str],
        body: &(impl Serialize + Sync),
    ) -> Answered<T> {
        self.call(Method::POST, path, &[], Some(body)).await.map_err(|error| self.explain(error))
    }

    async fn patch<T: serde::de::DeserializeOwned>(
        &self,
        path: &[&str],
        body: &(impl Serialize + Sync),
    ) -> Answered<T> {
        self.call(Method::PATCH, path, &[], Some(body)).await.map_err(|error| self.explain(error))
    }

    async fn empty(&self, method: Method, path: &[&str]) -> Answered<()> {
        self.send(method, path, &[], NO_BODY).await.map(drop).map_err(|error| self.explain(error))
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

/// Does something to keys, in requests of at most [`KeyUpdate::MAX_IDS`], and returns what all of them did.
async fn in_batches(
    pool: &PoolId,
    ids: &[KeyId],
    call: impl AsyncFn(Vec<KeyId>) -> Answered<KeyBatchResult>,
) -> Answered<KeyBatchResult> {
    let mut result = KeyBatchResult::none(pool.clone());
    for ids in ids.chunks(KeyUpdate::MAX_IDS) {
        result.merge(call(ids.to_vec()).await?);
    }
    Ok(result)
}
