//! Pools: list, create, change, delete.

use std::collections::BTreeMap;

use pool_shared::{
    ClientKeyId, KeyImportReport, Pool, PoolCreate, PoolCreated, PoolId, PoolList, PoolSettings, PoolUpdate,
    PoolUpdated, TranslationUpdate, bounds, is_visible, name_key, pool_name,
};

use super::audit::{difference, fields};
use super::keys::Sorted;
use super::model_limits::{check_model_limits, is_pattern};
use super::{AdminError, Context, HandlerResult, NO_CONTENT, created, ok};
use crate::platform::Random;
use crate::ports::AdminHost;
use crate::store::{ConfigStore, NewPool, StoreError};
use pool_translate::gemini::ModelId;

impl<H: AdminHost> Context<'_, H> {
    pub(super) async fn list_pools(&self) -> HandlerResult {
        let mut pools = self.host.store().pools().await?;
        let unhealthy = self.unhealthy(None).await?;
        for pool in &mut pools {
            pool.states = unhealthy.count(pool);
        }
        if let Some(own) = self.own_pool() {
            pools.retain(|pool| pool.id == *own);
        }
        ok(&PoolList { pools })
    }

    pub(super) async fn show_pool(&self, reference: &str) -> Result<Pool, AdminError> {
        let mut pool = self.pool(reference).await?;
        pool.states = self.unhealthy(Some(&pool.id)).await?.count(&pool);
        Ok(pool)
    }

    pub(super) async fn create_pool(&self, create: PoolCreate) -> HandlerResult {
        let name = checked_name(&create.name)?;
        let name_key = self.free_name(&name, None).await?;
        check_description(&create.description)?;
        check_models(&create.allowed_models)?;
        let settings = PoolSettings {
            aliases: create.aliases,
            fallbacks: create.fallbacks,
            sticky: create.sticky,
            pass_through: create.pass_through,
            separate_billing: create.separate_billing,
            model_limits: create.model_limits,
            translation: create.translation.into_settings(),
        };
        check_settings(&settings.aliases, &settings.fallbacks)?;
        check_model_limits(&settings.model_limits)?;
        let id = PoolId::from_random(self.host.random().next_u64());
        let (data_key, encrypted_data_key) =
            self.admin.state.pools.vault.new_data_key(&id, self.host.random());
        let Sorted { keys, malformed, repeated } =
            self.sort_import(&id, &data_key, create.import.unwrap_or_default().keys)?;
        let (client_key, secret) = self.new_client_key(
            ClientKeyId::from_random(self.host.random().next_u64()),
            "first".to_owned(),
            None,
        );
        let added = keys.len() as u64;
        let also_in = self.keys_elsewhere(&id, &keys).await?;
        let pool = NewPool {
            id: id.clone(),
            name,
            name_key,
            description: create.description,
            allowed_models: create.allowed_models,
            settings,
            data_key: encrypted_data_key,
            client_key,
            keys,
        };
        let mut change = self.change("pool.create", Some(&id), Some(pool.name.clone()))?;
        change.after = Some(fields([("name", pool.name.as_str().into()), ("keys", added.into())]));
        self.host.store().create_pool(&pool, change).await?;
        self.client_key_created();
        created(&PoolCreated {
            pool: self.show_pool(id.as_str()).await?,
            client_key: secret,
            import: KeyImportReport {
                added,
                duplicate: repeated,
                malformed,
                no_longer_accepted: Vec::new(),
                also_in,
            },
        })
    }

    pub(super) async fn update_pool(&self, reference: &str, mut change: PoolUpdate) -> HandlerResult {
        let pool = self.pool(reference).await?;
        if let Some(name) = &mut change.name {
            *name = checked_name(name)?;
        }
        check_description(change.description.as_deref().unwrap_or_default())?;
        check_models(change.allowed_models.as_deref().unwrap_or_default())?;
        check_settings(
            change.aliases.as_ref().unwrap_or(&BTreeMap::new()),
            change.fallbacks.as_ref().unwrap_or(&BTreeMap::new()),
        )?;
        check_model_limits(change.model_limits.as_deref().unwrap_or_default())?;
        if !pool.settings.translation.changes_with(&change.translation) {
            change.translation = TranslationUpdate::default();
        }
        let [before, after] = difference(&pool, &change);
        let changed: Vec<_> = after.keys().cloned().collect();
        if !changed.is_empty() {
            let name_key = match &change.name {
                Some(name) if *name != pool.name => Some(self.new_name(name, &pool).await?),
                _ => None,
            };
            let mut noted = self.change("pool.update", Some(&pool.id), Some(pool.name.clone()))?;
            (noted.before, noted.after) = (Some(before), Some(after));
            self.host.store().update_pool(&pool.id, &change, name_key.as_deref(), noted).await?;
            self.changed(&pool.id);
        }
        ok(&PoolUpdated { pool: self.show_pool(pool.id.as_str()).await?, changed: Some(changed) })
    }

    /// Returns the comparison key of a pool's new name. Names are unique across all pools, so a
    /// token of one pool may not rename it: it would learn the names of others.
    async fn new_name(&self, name: &str, pool: &Pool) -> Result<String, AdminError> {
        if let Some(own) = self.own_pool() {
            let message = format!("the token is limited to {own}, and names are unique across all pools");
            return Err(AdminError::Forbidden(message));
        }
        self.free_name(name, Some(&pool.id)).await
    }

    /// Returns the comparison key of a name. Fails if another pool's name looks like it; the store
    /// checks that too, but not for pools named by an earlier version.
    pub(super) async fn free_name(&self, name: &str, own: Option<&PoolId>) -> Result<String, AdminError> {
        let key = name_key(name, H::nfkc);
        let pools = self.host.store().pools().await?;
        let is_taken = |pool: &Pool| Some(&pool.id) != own && name_key(&pool.name, H::nfkc) == key;
        if pools.iter().any(is_taken) { Err(StoreError::NameTaken.into()) } else { Ok(key) }
    }

    pub(super) async fn delete_pool(&self, reference: &str) -> HandlerResult {
        let pool = self.pool(reference).await?;
        let mut change = self.change("pool.delete", Some(&pool.id), Some(pool.name.clone()))?;
        change.before = Some(fields([("name", pool.name.as_str().into()), ("keys", pool.keys.into())]));
        self.host.store().delete_pool(&pool.id, change).await?;
        self.changed(&pool.id);
        NO_CONTENT
    }
}

pub(super) fn checked_name(name: &str) -> Result<String, AdminError> {
    pool_name(name).map(ToOwned::to_owned).map_err(|error| AdminError::Invalid(error.to_string()))
}

fn check_description(description: &str) -> Result<(), AdminError> {
    if description.chars().count() <= bounds::DESCRIPTION {
        return Ok(());
    }
    Err(AdminError::Invalid(format!("a description has at most {} characters", bounds::DESCRIPTION)))
}

pub(super) fn check_models(models: &[String]) -> Result<(), AdminError> {
    if models.len() > bounds::MODELS {
        return Err(AdminError::Invalid(format!("at most {} allowed models", bounds::MODELS)));
    }
    match models.iter().position(|model| !is_pattern(model)) {
        None => Ok(()),
        Some(at) => Err(AdminError::Invalid(format!(
            "allowed_models[{at}] is not a model id: letters, digits, '.', '_', '-' and '*' are allowed"
        ))),
    }
}

fn check_settings(
    aliases: &BTreeMap<String, String>,
    fallbacks: &BTreeMap<String, Vec<String>>,
) -> Result<(), AdminError> {
    let invalid = |text: String| Err(AdminError::Invalid(text));
    if aliases.len() > bounds::MODELS || fallbacks.len() > bounds::MODELS {
        return invalid(format!("at most {most} aliases and {most} fallback lists", most = bounds::MODELS));
    }
    for (alias, model) in aliases {
        // Clients send aliases, so they may look like any vendor's model names.
        if alias.is_empty() || alias.chars().count() > bounds::MODEL || !alias.chars().all(is_visible) {
            return invalid(format!("aliases: a name has 1 to {} printable characters", bounds::MODEL));
        }
        if !is_model(model) {
            return invalid(format!("aliases['{alias}'] is not a model id"));
        }
    }
    for (model, list) in fallbacks {
        if model != "*" && !is_model(model) {
            return invalid("fallbacks: a list belongs to a model id or to '*'".to_owned());
        }
        if list.len() > bounds::FALLBACKS || !list.iter().all(|model| is_model(model)) {
            return invalid(format!(
                "fallbacks['{model}'] is not a list of at most {} model ids",
                bounds::FALLBACKS
            ));
        }
    }
    Ok(())
}

fn is_model(name: &str) -> bool {
    ModelId::parse(name).is_ok_and(|model| model.as_str() == name)
}
