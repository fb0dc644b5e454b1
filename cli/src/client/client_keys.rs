//! Calls of the admin API for a pool's client keys.

use pool_shared::{
    ClientKeyCreate, ClientKeyCreated, ClientKeyExport, ClientKeyId, ClientKeyImport, ClientKeyImportReport,
    ClientKeyList, ClientKeyRotate, ClientKeyUpdate, ClientKeyUpdated, HashedClientKeys,
};
use reqwest::Method;

use super::{Client, api::ApiResult};

impl Client {
    /// Returns a pool's client keys.
    pub async fn client_keys(&self, pool: &str) -> ApiResult<ClientKeyList> {
        self.get(&["pools", pool, "client-keys"]).await
    }

    /// Creates a client key; only this response contains it.
    pub async fn create_client_key(&self, pool: &str, key: &ClientKeyCreate) -> ApiResult<ClientKeyCreated> {
        self.post(&["pools", pool, "client-keys"], key).await
    }

    /// Updates a client key.
    pub async fn update_client_key(
        &self,
        pool: &str,
        key: &ClientKeyId,
        update: &ClientKeyUpdate,
    ) -> ApiResult<ClientKeyUpdated> {
        self.patch(&["pools", pool, "client-keys", key.as_str()], update).await
    }

    /// Imports client keys of another system.
    pub async fn import_client_keys(
        &self,
        pool: &str,
        import: &ClientKeyImport,
    ) -> ApiResult<ClientKeyImportReport> {
        self.post(&["pools", pool, "client-keys", "import"], import).await
    }

    /// Returns a pool's client keys with their hashes.
    pub async fn export_client_keys(&self, pool: &str) -> ApiResult<HashedClientKeys> {
        self.post(&["pools", pool, "client-keys", "export"], &ClientKeyExport {}).await
    }

    /// Adds client keys by their hashes, in requests of at most [`HashedClientKeys::MAX_KEYS`].
    pub async fn restore_client_keys(
        &self,
        pool: &str,
        hashed: &HashedClientKeys,
    ) -> ApiResult<ClientKeyImportReport> {
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

    /// Rotates a client key; the old one keeps working for a grace period.
    pub async fn rotate_client_key(
        &self,
        pool: &str,
        key: &ClientKeyId,
        rotate: &ClientKeyRotate,
    ) -> ApiResult<ClientKeyCreated> {
        self.post(&["pools", pool, "client-keys", key.as_str(), "rotate"], rotate).await
    }

    /// Revokes a client key.
    pub async fn revoke_client_key(&self, pool: &str, key: &ClientKeyId) -> ApiResult<()> {
        self.empty(Method::DELETE, &["pools", pool, "client-keys", key.as_str()]).await
    }

    /// Revokes a client key that a command created for itself, also after Ctrl-C.
    pub async fn revoke_temporary_client_key(&self, pool: &str, key: &ClientKeyId) -> ApiResult<()> {
        self.without_interrupt().revoke_client_key(pool, key).await
    }
}
