//! SQL statements about pools, for the admin API.

use jiff::Timestamp;
use pool_shared::{Pool, PoolId, PoolUpdate};

use super::rows::PoolRow;
use super::{json_text, read_rows};
use crate::sql::{Outcome, SqlValue, Statement};
use crate::store::{NewPool, StoreError};

/// Selects pools with the counts of their keys; the rest of the query follows `FROM pools`.
macro_rules! select_pools {
    ($rest:literal) => {
        concat!(
            "SELECT json_object(
                'id', id, 'name', name, 'description', description, 'enabled', enabled,
                'allowed_models', allowed_models, 'settings', settings, 'version', version,
                'created_at', created_at, 'updated_at', updated_at,
                'keys', (SELECT count(*) FROM keys WHERE pool_id = pools.id),
                'enabled_keys', (SELECT count(*) FROM keys WHERE pool_id = pools.id AND enabled = 1)
            ) AS row FROM pools ",
            $rest
        )
    };
}

pub(super) fn list_pools() -> Statement {
    Statement::new(select_pools!("ORDER BY name"), [])
}

pub(super) fn find_pool(reference: &str) -> Statement {
    Statement::new(select_pools!("WHERE id = ?1 OR name = ?1"), [reference.into()])
}

pub(super) fn read_pools(outcome: &Outcome) -> Result<Vec<Pool>, StoreError> {
    read_rows::<PoolRow>(outcome)?.into_iter().map(Pool::try_from).collect()
}

pub(super) fn data_key(pool: &PoolId) -> Statement {
    Statement::new("SELECT json_quote(data_key) AS row FROM pools WHERE id = ?1", [pool.as_str().into()])
}

pub(super) fn insert_pool(pool: &NewPool, now: Timestamp) -> Result<Statement, StoreError> {
    Ok(Statement::new(
        "INSERT INTO pools
            (id, name, description, enabled, allowed_models, settings, data_key, version, created_at, updated_at, name_key)
         VALUES (?1, ?2, ?3, 1, ?4, ?5, ?6, 1, ?7, ?7, ?8)",
        [
            pool.id.as_str().into(),
            pool.name.as_str().into(),
            pool.description.as_str().into(),
            json_text(&pool.allowed_models)?,
            json_text(&pool.settings)?,
            pool.data_key.as_str().into(),
            now.into(),
            pool.name_key.as_str().into(),
        ],
    ))
}

pub(super) fn update_pool(
    pool: &PoolId,
    change: &PoolUpdate,
    name_key: Option<&str>,
    now: Timestamp,
) -> Result<Statement, StoreError> {
    let allowed_models = change.allowed_models.as_ref().map(json_text).transpose()?;
    let aliases = change.aliases.as_ref().map(json_text).transpose()?;
    let fallbacks = change.fallbacks.as_ref().map(json_text).transpose()?;
    let sticky = change.sticky.as_ref().map(json_text).transpose()?;
    let pass_through = change.pass_through.as_ref().map(json_text).transpose()?;
    let separate_billing = change.separate_billing.as_ref().map(json_text).transpose()?;
    let model_limits = change.model_limits.as_ref().map(json_text).transpose()?;
    let translation = json_text(&change.translation)?;
    Ok(Statement::new(
        "UPDATE pools SET
            name = coalesce(?2, name), name_key = coalesce(?14, name_key), description = coalesce(?3, description),
            enabled = coalesce(?4, enabled), allowed_models = coalesce(?5, allowed_models),
            settings = json_set(settings,
                '$.aliases', json(coalesce(?6, settings -> '$.aliases')),
                '$.fallbacks', json(coalesce(?7, settings -> '$.fallbacks')),
                '$.sticky', json(coalesce(?8, settings -> '$.sticky')),
                '$.pass_through', json(coalesce(?9, settings -> '$.pass_through', 'false')),
                '$.separate_billing', json(coalesce(?12, settings -> '$.separate_billing', 'false')),
                '$.model_limits', json(coalesce(?13, settings -> '$.model_limits', '[]')),
                '$.translation', json_patch(coalesce(settings -> '$.translation', '{}'), ?10)),
            version = version + 1, updated_at = ?11
         WHERE id = ?1",
        [
            pool.as_str().into(),
            change.name.as_deref().into(),
            change.description.as_deref().into(),
            change.enabled.into(),
            allowed_models.unwrap_or(SqlValue::Null),
            aliases.unwrap_or(SqlValue::Null),
            fallbacks.unwrap_or(SqlValue::Null),
            sticky.unwrap_or(SqlValue::Null),
            pass_through.unwrap_or(SqlValue::Null),
            translation,
            now.into(),
            separate_billing.unwrap_or(SqlValue::Null),
            model_limits.unwrap_or(SqlValue::Null),
            name_key.into(),
        ],
    ))
}

/// Increments a pool's version, so that every instance sees a change.
pub(super) fn touch_pool(pool: &PoolId, now: Timestamp) -> Statement {
    Statement::new(
        "UPDATE pools SET version = version + 1, updated_at = ?2 WHERE id = ?1",
        [pool.as_str().into(), now.into()],
    )
}

pub(super) fn delete_pool(pool: &PoolId) -> Vec<Statement> {
    let parameters = [SqlValue::from(pool.as_str())];
    vec![
        Statement::new("DELETE FROM client_keys WHERE pool_id = ?1", parameters.clone()),
        Statement::new("DELETE FROM keys WHERE pool_id = ?1", parameters.clone()),
        Statement::new("DELETE FROM pools WHERE id = ?1", parameters),
    ]
}
