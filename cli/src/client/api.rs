//! Typed calls of the admin API, one function per route.

use pool_shared::{
    AdminTokenCreate, AdminTokenCreated, AdminTokenId, AdminTokenList, AdminTokenRotate, AuditList,
    EventList, Health, Login, LoginResponse, MasterKeyRotate, MasterKeyRotation, MasterKeyState, Migrate,
    MigrationStep, Pool, PoolCopied, PoolCopy, PoolCreate, PoolCreated, PoolId, PoolLimits, PoolList,
    PoolModels, PoolStats, PoolUpdate, PoolUpdated, Stats, WhoAmI,
};
use reqwest::Method;
use serde::Serialize;

use super::{Client, ClientError, ServerInfo};
use crate::error::CliError;

pub(super) const NO_BODY: Option<&()> = None;

pub(super) type ApiResult<T> = Result<T, CliError>;

impl Client {
    /// Exchanges the admin password for a token. Requires no token.
    pub async fn login(&self, login: &Login) -> ApiResult<LoginResponse> {
        self.post(&["login"], login).await
    }

    /// Revokes the client's token.
    pub async fn logout(&self) -> ApiResult<()> {
        self.empty(Method::POST, &["logout"]).await
    }

    /// Returns the identity of the token.
    pub async fn whoami(&self) -> ApiResult<WhoAmI> {
        self.get(&["whoami"]).await
    }

    /// Returns the identity of the token, and facts about the server from the response headers.
    pub async fn whoami_from(&self) -> ApiResult<(WhoAmI, ServerInfo)> {
        let response = self.send(Method::GET, &["whoami"], &[], NO_BODY).await;
        let response = response.map_err(|error| self.explain(error))?;
        match serde_json::from_slice(&response.body) {
            Ok(identity) => Ok((identity, response.server)),
            Err(_) => Err(self.explain(response.unexpected())),
        }
    }

    /// Returns every pool.
    pub async fn pools(&self) -> ApiResult<PoolList> {
        self.get(&["pools"]).await
    }

    /// Creates a pool. Not idempotent: only this response contains the client key.
    pub async fn create_pool(&self, pool: &PoolCreate) -> ApiResult<PoolCreated> {
        self.post(&["pools"], pool).await
    }

    /// Returns a pool by name or id.
    pub async fn pool(&self, pool: &str) -> ApiResult<Pool> {
        self.get(&["pools", pool]).await
    }

    /// Updates the given fields.
    pub async fn update_pool(&self, pool: &str, update: &PoolUpdate) -> ApiResult<PoolUpdated> {
        self.patch(&["pools", pool], update).await
    }

    /// Runs one step of a copy; the cursor of the response starts the next one.
    pub async fn copy_pool(&self, pool: &str, copy: &PoolCopy) -> ApiResult<PoolCopied> {
        self.post(&["pools", pool, "copy"], copy).await
    }

    /// Returns the models that Gemini currently offers to the pool.
    pub async fn pool_models(&self, pool: &str) -> ApiResult<PoolModels> {
        self.get(&["pools", pool, "models"]).await
    }

    /// Returns the configured and observed limits of a pool's models.
    pub async fn pool_limits(&self, pool: &str, model: Option<&str>) -> ApiResult<PoolLimits> {
        let query: Vec<_> = model.map(|model| ("model", model.to_owned())).into_iter().collect();
        let path = ["pools", pool, "limits"];
        self.call(Method::GET, &path, &query, NO_BODY).await.map_err(|error| self.explain(error))
    }

    /// Deletes a pool with its keys and client keys.
    pub async fn delete_pool(&self, pool: &PoolId) -> ApiResult<()> {
        self.empty(Method::DELETE, &["pools", pool.as_str()]).await
    }

    /// Returns the valid admin tokens.
    pub async fn tokens(&self) -> ApiResult<AdminTokenList> {
        self.get(&["tokens"]).await
    }

    /// Creates an admin token; only this response contains it.
    pub async fn create_token(&self, token: &AdminTokenCreate) -> ApiResult<AdminTokenCreated> {
        self.post(&["tokens"], token).await
    }

    /// Rotates an admin token; only this response contains the new one.
    pub async fn rotate_token(
        &self,
        token: &AdminTokenId,
        rotate: &AdminTokenRotate,
    ) -> ApiResult<AdminTokenCreated> {
        self.post(&["tokens", token.as_str(), "rotate"], rotate).await
    }

    /// Revokes an admin token and, unless they are kept, the tokens created with it.
    pub async fn revoke_token(&self, token: &AdminTokenId, keep_children: bool) -> ApiResult<()> {
        let keep: &[_] = if keep_children { &[("keep_children", "true".to_owned())] } else { &[] };
        let path = ["tokens", token.as_str()];
        self.send(Method::DELETE, &path, keep, NO_BODY).await.map(drop).map_err(|error| self.explain(error))
    }

    /// Returns a page of the audit log.
    pub async fn audit(&self, query: &[(&str, String)]) -> ApiResult<AuditList> {
        self.call(Method::GET, &["audit"], query, NO_BODY).await.map_err(|error| self.explain(error))
    }

    /// Returns which key the service hashes client keys with.
    pub async fn master_key_state(&self) -> ApiResult<MasterKeyState> {
        self.get(&["master"]).await
    }

    /// Runs one step of a master key rotation. Idempotent.
    pub(super) async fn rotate_master_key_once(
        &self,
        step: &MasterKeyRotate,
    ) -> Result<MasterKeyRotation, ClientError> {
        self.call(Method::POST, &["master", "rotate"], &[], Some(step)).await
    }

    /// Runs one step of a migration. Idempotent.
    pub(super) async fn migrate_once(&self, step: &Migrate) -> Result<MigrationStep, ClientError> {
        self.call(Method::POST, &["migration"], &[], Some(step)).await
    }

    /// Returns the statistics of every pool.
    pub async fn stats(&self) -> ApiResult<Stats> {
        self.get(&["stats"]).await
    }

    /// Returns the statistics of one pool, by key and model, optionally of a time window.
    pub async fn pool_stats(&self, pool: &str, window: &[(&str, String)]) -> ApiResult<PoolStats> {
        let path = ["pools", pool, "stats"];
        self.call(Method::GET, &path, window, NO_BODY).await.map_err(|error| self.explain(error))
    }

    /// Returns recent events, or those after a cursor.
    pub async fn events(&self, pool: Option<&str>, after: Option<&str>, limit: u64) -> ApiResult<EventList> {
        let pairs = [
            ("limit", Some(limit.to_string())),
            ("pool", pool.map(str::to_owned)),
            ("after", after.map(str::to_owned)),
        ];
        let query: Vec<_> = pairs.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        self.call(Method::GET, &["events"], &query, NO_BODY).await.map_err(|error| self.explain(error))
    }

    /// Sends any request and returns the response body unchanged.
    pub async fn raw(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, String)],
        body: Option<&serde_json::Value>,
    ) -> ApiResult<Vec<u8>> {
        let response = self.send(method, path, query, body).await;
        response.map(|response| response.body).map_err(|error| self.explain(error))
    }

    /// Resets the statistics of one pool or of all pools.
    pub async fn reset_stats(&self, pool: Option<&PoolId>) -> ApiResult<()> {
        match pool {
            Some(pool) => self.empty(Method::POST, &["pools", pool.as_str(), "stats", "reset"]).await,
            None => self.empty(Method::POST, &["stats", "reset"]).await,
        }
    }

    /// Returns the health of the service.
    pub async fn health(&self) -> ApiResult<Health> {
        self.get(&["health"]).await
    }

    pub(super) async fn get<T: serde::de::DeserializeOwned>(&self, path: &[&str]) -> ApiResult<T> {
        self.call(Method::GET, path, &[], NO_BODY).await.map_err(|error| self.explain(error))
    }

    pub(super) async fn post<T: serde::de::DeserializeOwned>(
        &self,
        path: &[&str],
        body: &(impl Serialize + Sync),
    ) -> ApiResult<T> {
        self.call(Method::POST, path, &[], Some(body)).await.map_err(|error| self.explain(error))
    }

    pub(super) async fn patch<T: serde::de::DeserializeOwned>(
        &self,
        path: &[&str],
        body: &(impl Serialize + Sync),
    ) -> ApiResult<T> {
        self.call(Method::PATCH, path, &[], Some(body)).await.map_err(|error| self.explain(error))
    }

    pub(super) async fn empty(&self, method: Method, path: &[&str]) -> ApiResult<()> {
        self.send(method, path, &[], NO_BODY).await.map(drop).map_err(|error| self.explain(error))
    }
}
