//! One function for each route of the admin API.

use pool_shared::{
    ClientKeyCreate, ClientKeyCreated, ClientKeyId, ClientKeyList, EventList, Health, Key, KeyBatchResult,
    KeyChange, KeyDelete, KeyId, KeyImport, KeyImportReport, KeyList, KeyUpdate, Login, LoginResponse,
    Migrate, MigrationStep, Pool, PoolCreate, PoolCreated, PoolId, PoolList, PoolStats, PoolUpdate, Stats,
    WhoAmI,
};
use reqwest::Method;
use serde::Serialize;

use super::{Client, ClientError};
use crate::error::CliError;

/// The largest page that the service gives.
const PAGE: u64 = 1_000;
const NO_BODY: Option<&()> = None;

type Answered<T> = Result<T, CliError>;

/// Which keys of a pool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyFilter {
    /// Part of the name, tag, masked key, fingerprint or id.
    pub search: Option<String>,
    /// Only those in use, or only those taken out of use.
    pub enabled: Option<bool>,
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
    pub async fn update_pool(&self, pool: &str, update: &PoolUpdate) -> Answered<Pool> {
        self.patch(&["pools", pool], update).await
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
                return Ok(KeyList { keys, total: page.total, next_cursor: None });
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
        let mut result = KeyBatchResult { pool: pool.clone(), changed: 0, missing: Vec::new() };
        for ids in ids.chunks(KeyUpdate::MAX_IDS) {
            let update = KeyUpdate { ids: ids.to_vec(), set: set.clone() };
            let part: KeyBatchResult = self.patch(&["pools", pool.as_str(), "keys"], &update).await?;
            result.changed += part.changed;
            result.missing.extend(part.missing);
        }
        Ok(result)
    }

    /// Removes keys, in requests of at most [`KeyUpdate::MAX_IDS`].
    pub async fn delete_keys(&self, pool: &PoolId, ids: &[KeyId]) -> Answered<KeyBatchResult> {
        let mut result = KeyBatchResult { pool: pool.clone(), changed: 0, missing: Vec::new() };
        for ids in ids.chunks(KeyUpdate::MAX_IDS) {
            let delete = KeyDelete { ids: ids.to_vec() };
            let part: KeyBatchResult =
                self.post(&["pools", pool.as_str(), "keys", "delete"], &delete).await?;
            result.changed += part.changed;
            result.missing.extend(part.missing);
        }
        Ok(result)
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
    let pairs = [
        ("limit", Some(limit.to_string())),
        ("search", filter.search.clone()),
        ("enabled", filter.enabled.map(|enabled| enabled.to_string())),
        ("cursor", cursor.map(str::to_owned)),
    ];
    pairs.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}
