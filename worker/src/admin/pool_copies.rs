//! Copies of pools, and the models of a pool.

use std::sync::Arc;

use pool_shared::{ClientKeyId, KeyId, Pool, PoolCopied, PoolCopy, PoolId, PoolModel, PoolModels, Scope};

use super::audit::fields;
use super::pools::checked_name;
use super::{AdminError, Context, HandlerResult, created, foreign_cursor, ok, position};
use crate::crypto::DataKey;
use crate::model_lists;
use crate::platform::Random;
use crate::ports::AdminHost;
use crate::store::{ConfigStore, NewKey, NewPool, Page, StoreError};

/// Keys copied per request: each is decrypted and encrypted again, within the 10 ms of CPU time of
/// Cloudflare's free plan.
const KEYS_PER_REQUEST: u32 = 250;

impl<H: AdminHost> Context<'_, H> {
    /// Copies a pool, or continues a copy. Keys are encrypted for their pool, so only the service
    /// can copy them. Costs one row per key, and four.
    pub(super) async fn copy_pool(&self, reference: &str, copy: PoolCopy) -> HandlerResult {
        if let Some(own) = self.own_pool() {
            return Err(AdminError::Forbidden(format!("the token is limited to {own}")));
        }
        let source = self.pool(reference).await?;
        if copy.keys || copy.cursor.is_some() {
            self.require(Scope::KeysExport)?;
        }
        let name = copy.name.as_deref().map(checked_name).transpose()?;
        match &copy.cursor {
            None => {
                let name = name.map_or_else(|| checked_name(""), Ok)?;
                self.begin_copy(&source, name, copy.keys).await
            }
            Some(cursor) => self.continue_copy(&source, cursor).await,
        }
    }

    async fn begin_copy(&self, source: &Pool, name: String, with_keys: bool) -> HandlerResult {
        let name_key = self.free_name(&name, None).await?;
        let id = PoolId::from_random(self.host.random().next_u64());
        let (data_key, encrypted_data_key) =
            self.admin.state.pools.vault.new_data_key(&id, self.host.random());
        let (keys, next) = if with_keys {
            self.reencrypted(&source.id, 0, &id, &data_key).await?
        } else {
            (Vec::new(), None)
        };
        let copied = keys.len() as u64;
        let (client_key, secret) = self.new_client_key(
            ClientKeyId::from_random(self.host.random().next_u64()),
            "first".to_owned(),
            None,
        );
        let mut change = self.change("pool.copy", Some(&id), Some(name.clone()))?;
        change.after = Some(fields([("copy_of", source.id.as_str().into()), ("keys", copied.into())]));
        let pool = NewPool {
            id: id.clone(),
            name,
            name_key,
            description: source.description.clone(),
            allowed_models: source.allowed_models.clone(),
            settings: source.settings.clone(),
            data_key: encrypted_data_key,
            client_key,
            keys,
        };
        self.host.store().create_pool(&pool, change).await?;
        self.client_key_created();
        created(&PoolCopied {
            pool: self.show_pool(id.as_str()).await?,
            client_key: Some(secret),
            copied,
            cursor: next.map(|position| format!("{id}:{position}")),
        })
    }

    async fn continue_copy(&self, source: &Pool, cursor: &str) -> HandlerResult {
        let parts = cursor.split_once(':').and_then(|(target, after)| Some((target, position(after)?)));
        let (target, after) = parts.ok_or_else(foreign_cursor)?;
        let target = self.pool(target).await?;
        let (data_key, stored) = self.data_key(&target.id).await?;
        let (keys, next) = self.reencrypted(&source.id, after, &target.id, &data_key).await?;
        let mut change = self.change("key.copy", Some(&target.id), None)?;
        change.after = Some(fields([("copy_of", source.id.as_str().into())]));
        let copied = self.host.store().import_keys(&target.id, &stored, &keys, change).await?;
        self.changed(&target.id);
        ok(&PoolCopied {
            pool: self.show_pool(target.id.as_str()).await?,
            client_key: None,
            copied,
            cursor: next.map(|position| format!("{}:{position}", target.id)),
        })
    }

    /// Returns the next keys of a pool, encrypted for another one.
    async fn reencrypted(
        &self,
        source: &PoolId,
        after: u64,
        target: &PoolId,
        target_key: &DataKey,
    ) -> Result<(Vec<NewKey>, Option<u64>), AdminError> {
        let (source_key, _) = self.data_key(source).await?;
        let page = Page { after, limit: KEYS_PER_REQUEST };
        let (keys, next) = self.host.store().encrypted_keys(source, None, page).await?;
        let reencrypt = |key: NewKey| {
            let opened = source_key.decrypt(source, &key.id, &key.encrypted);
            let opened = opened.map_err(|error| AdminError::Internal(error.to_string()))?;
            let id = KeyId::from_random(self.host.random().next_u64());
            let encrypted = target_key.encrypt(target, &id, &opened, self.host.random());
            Ok::<_, AdminError>(NewKey { id, encrypted, ..key })
        };
        Ok((keys.into_iter().map(reencrypt).collect::<Result<_, _>>()?, next))
    }

    pub(super) async fn pool_models(&self, reference: &str) -> HandlerResult {
        let pool = self.pool(reference).await?;
        let unavailable = |error: crate::pools::PoolError| StoreError::Unavailable(error.to_string());
        let snapshot = self.admin.state.pools.get_current(self.host, &pool.id).await.map_err(unavailable)?;
        let snapshot = snapshot
            .ok_or_else(|| AdminError::UnknownPool { reference: reference.to_owned(), nearest: None })?;
        let offered = model_lists::offered_models(&self.admin.state, self.host, Arc::clone(&snapshot))
            .await
            .map_err(|error| match error.code {
                Some("no_usable_key") => AdminError::NoUsableKey(error.message),
                _ => AdminError::Upstream(error.message),
            })?;
        let models = offered.iter().map(|model| PoolModel {
            id: model.id.clone(),
            display_name: model.display_name.clone(),
            input_token_limit: model.input_token_limit,
            output_token_limit: model.output_token_limit,
            methods: model.supported_generation_methods.clone(),
            allowed: model.is_usable() && snapshot.models.allow(&model.id),
            aliases: aliases_of(&pool, &model.id),
        });
        ok(&PoolModels { models: models.collect() })
    }
}

fn aliases_of(pool: &Pool, model: &str) -> Vec<String> {
    let aliases = pool.settings.aliases.iter().filter(|(_, target)| *target == model);
    aliases.map(|(alias, _)| alias.clone()).collect()
}
