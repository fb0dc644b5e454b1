//! One function for each route of the admin API.

use pool_shared::{AdminTokenCreate, AdminTokenCreated, AdminTokenId, AdminTokenList, AdminTokenRotate, AuditList, EventList, Health, Login, LoginResponse, MasterKeyRotate, MasterKeyRotation, MasterKeyState, Migrate, MigrationStep, Pool, PoolCopied, PoolCopy, PoolCreate, PoolCreated, PoolId, PoolLimits, PoolList, PoolModels, PoolStats, PoolUpdate, PoolUpdated, Stats, WhoAmI};
use reqwest::Method;
use serde::Serialize;

use super::{Client, ClientError, ServerInfo};
use crate::error::CliError;

pub(super) const NO_BODY: Option<&()> = None;

pub(super) type Answered<T> = Result<T, CliError>;

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
            Ok(identity) => Ok((identity, answer.server)),
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

    /// Returns which key the service hashes client keys with.
    pub async fn master_key_state(&self) -> Answered<MasterKeyState> {
        self.get(&["master"]).await
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

    pub(super) async fn get<T: serde::de::DeserializeOwned>(&self, path: &[&str]) -> Answered<T> {
        self.call(Method::GET, path, &[], NO_BODY).await.map_err(|error| self.explain(error))
    }

    pub(super) async fn post<T: serde::de::DeserializeOwned>(
        &self,
        path: &[&str],
        body: &(impl Serialize + Sync),
    ) -> Answered<T> {
        self.call(Method::POST, path, &[], Some(body)).await.map_err(|error| self.explain(error))
    }

    pub(super) async fn patch<T: serde::de::DeserializeOwned>(
        &self,
        path: &[&str],
        body: &(impl Serialize + Sync),
    ) -> Answered<T> {
        self.call(Method::PATCH, path, &[], Some(body)).await.map_err(|error| self.explain(error))
    }

    pub(super) async fn empty(&self, method: Method, path: &[&str]) -> Answered<()> {
        self.send(method, path, &[], NO_BODY).await.map(drop).map_err(|error| self.explain(error))
    }
}
