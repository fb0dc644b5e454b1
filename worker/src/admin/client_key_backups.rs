//! Backups of client keys by their keyed hashes.
//!
//! The secrets are stored nowhere. A hash works only in a service with the same HMAC key.

use std::collections::HashSet;

use pool_shared::{
    ClientKey, ClientKeyExport, ClientKeyImportReport, ClientKeyRules, HashedClientKey, HashedClientKeys,
    MasterKeyState, Secret,
};

use super::client_keys::{checked_networks, is_trial};
use super::pools::check_models;
use super::tokens::check_name;
use super::{AdminError, Context, HandlerResult, ok};
use crate::crypto::TokenHash;
use crate::ports::AdminHost;
use crate::store::{ConfigStore, NewClientKey, StoredClientKey};

/// Hashed to get the fingerprint of the HMAC key. No client key has a space in it.
const FINGERPRINT_OF: &str = "token hash key";
/// Hexadecimal digits of a client key's id, after its prefix.
const ID_DIGITS: usize = 16;

impl<H: AdminHost> Context<'_, H> {
    pub(super) fn master_key_state(&self) -> HandlerResult {
        ok(&MasterKeyState { token_hash_key: self.token_hash_key() })
    }

    fn token_hash_key(&self) -> String {
        self.admin.state.pools.vault.token_hash(FINGERPRINT_OF).tag().as_str().to_owned()
    }

    /// Exports the hashes. Audited before the response.
    pub(super) async fn export_client_keys(&self, reference: &str, _: ClientKeyExport) -> HandlerResult {
        let pool = self.pool(reference).await?;
        let mut stored = self.host.store().client_keys(&pool.id).await?;
        // Trial keys expire before a restore.
        stored.retain(|stored| !is_trial(stored.client_key.id.as_str()));
        let change = self.change("client_key.export", Some(&pool.id), None)?;
        self.host.store().note(change, stored.len() as u64).await?;
        let client_keys = stored.into_iter().map(exported).collect();
        ok(&HashedClientKeys { token_hash_key: self.token_hash_key(), client_keys })
    }

    /// Adds client keys by their hashes. Those that exist in any pool are not changed.
    pub(super) async fn restore_client_keys(
        &self,
        reference: &str,
        restore: HashedClientKeys,
    ) -> HandlerResult {
        let asked = restore.client_keys.len();
        if asked > HashedClientKeys::MAX_KEYS {
            let most = HashedClientKeys::MAX_KEYS;
            return Err(AdminError::Invalid(format!("at most {most} client keys per request")));
        }
        if restore.token_hash_key != self.token_hash_key() {
            return Err(AdminError::Invalid(
                "the client keys were hashed under another MASTER_KEY: they cannot work here".to_owned(),
            ));
        }
        let keys = (1..).zip(restore.client_keys).map(|(number, key)| restored(number, key));
        let mut keys = keys.collect::<Result<Vec<_>, _>>()?;
        let pool = self.pool(reference).await?;
        let present = self.host.store().client_keys(&pool.id).await?;
        // An id is unique in a pool.
        let mut ids: HashSet<_> = present.into_iter().map(|stored| stored.client_key.id).collect();
        keys.retain(|key| ids.insert(key.id.clone()));
        let change = self.change("client_key.restore", Some(&pool.id), None)?;
        let added = self.host.store().create_client_keys(&pool.id, &keys, change).await?;
        self.changed(&pool.id);
        self.client_key_created();
        ok(&ClientKeyImportReport { added, duplicate: (asked as u64).saturating_sub(added) })
    }
}

fn exported(StoredClientKey { hash, client_key }: StoredClientKey) -> HashedClientKey {
    let ClientKey { id, name, hint, expires_at, weak, rules, created_at: _, last_used_at: _ } = client_key;
    let ClientKeyRules { limits, allowed_models, allowed_networks } = rules;
    let hash = Secret::new(hash.as_str());
    HashedClientKey { id, name, hint, hash, expires_at, weak, limits, allowed_models, allowed_networks }
}

/// Errors name an entry by its number only.
fn restored(number: usize, key: HashedClientKey) -> Result<NewClientKey, AdminError> {
    let invalid = |what: &str| AdminError::Invalid(format!("client key {number} has no valid {what}"));
    let HashedClientKey { id, name, hint, hash, expires_at, weak, limits, allowed_models, allowed_networks } =
        key;
    let is_id = |digits: &str| pool_engine::is_lower_hex(digits, ID_DIGITS);
    if !id.as_str().strip_prefix(pool_shared::ClientKeyId::PREFIX).is_some_and(is_id) {
        return Err(invalid("id"));
    }
    if hint.len() > 4 || !hint.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(invalid("hint"));
    }
    let hash = TokenHash::parse(hash.expose()).ok_or_else(|| invalid("hash"))?;
    check_name("a client key", &name)?;
    check_models(&allowed_models)?;
    let allowed_networks = checked_networks(&allowed_networks)?;
    let rules = ClientKeyRules { limits, allowed_models, allowed_networks };
    Ok(NewClientKey { id, hash, name, hint, expires_at, rules, weak })
}
