//! SQL statements of the data plane: a whole pool in one batch, packed by the query.

use std::borrow::Cow;

use pool_shared::{ClientKeyId, ClientKeyRules, Limits, PoolId, PoolSettings, Weight};
use serde::Deserialize;

use super::read_rows;
use super::rows::timestamp;
use crate::crypto::{Encrypted, TokenHash};
use crate::sql::{Outcome, SqlValue, Statement};
use crate::store::{PoolConfig, Refreshed, StoreError, StoredKey, StoredKeys, StoredKeysBuilder};

/// Selects the pool with an id; further conditions follow.
macro_rules! select_pool {
    ($where:literal) => {
        concat!(
            "SELECT json_object(
                'id', id, 'name', name, 'enabled', enabled, 'allowed_models', json(allowed_models),
                'settings', json(settings),
                'data_key', data_key, 'version', version,
                'client_keys', json((SELECT json_group_array(hash) FROM client_keys WHERE pool_id = pools.id)),
                'expiries', json((SELECT json_group_array(json_array(hash, expires_at)) FROM client_keys
                    WHERE pool_id = pools.id AND expires_at IS NOT NULL)),
                'rules', json((SELECT json_group_array(json_array(hash, id, json(coalesce(rules, '{}'))))
                    FROM client_keys WHERE pool_id = pools.id))
            ) AS row FROM pools WHERE ",
            $where
        )
    };
}

/// The enabled keys of the pool that the subquery names. An encrypted key of the maximum length
/// (512 characters) takes about 900 bytes, a project and limits about 400, so 1,500 of them stay
/// below the 2 MB that D1 allows per value.
macro_rules! select_keys {
    ($pool_id:literal) => {
        concat!(
            "SELECT json_group_array(json_array(id, sealed, weight, project, json(limits), coalesce(billing_account, ''))) AS row FROM (
                SELECT id, sealed, weight, project, limits, billing_account,
                    (row_number() OVER (ORDER BY position) - 1) / 1500 AS page
                FROM keys WHERE enabled = 1 AND pool_id = (",
            $pool_id,
            ")) GROUP BY page"
        )
    };
}

/// Id, encrypted key, weight, project, limits, billing account (missing in documents of an earlier
/// version). The texts are borrowed from the row where they have no escapes.
#[derive(Deserialize)]
struct KeyRow<'a>(
    #[serde(borrow)] Cow<'a, str>,
    #[serde(borrow)] Cow<'a, str>,
    Weight,
    #[serde(borrow)] Cow<'a, str>,
    Limits,
    #[serde(borrow, default)] Cow<'a, str>,
);

#[derive(Deserialize)]
struct PoolRow {
    id: PoolId,
    name: String,
    enabled: u8,
    allowed_models: Vec<String>,
    settings: PoolSettings,
    data_key: Encrypted,
    version: u64,
    client_keys: Vec<TokenHash>,
    /// Missing in documents of an earlier version.
    #[serde(default)]
    expiries: Vec<(TokenHash, i64)>,
    #[serde(default)]
    rules: Vec<(TokenHash, ClientKeyId, ClientKeyRules)>,
}

pub(super) fn by_client_key(hash: &TokenHash) -> Vec<Statement> {
    let parameters = [SqlValue::from(hash.as_str())];
    vec![
        Statement::new(
            select_pool!("id = (SELECT pool_id FROM client_keys WHERE hash = ?1)"),
            parameters.clone(),
        ),
        Statement::new(select_keys!("SELECT pool_id FROM client_keys WHERE hash = ?1"), parameters),
    ]
}

pub(super) fn if_changed(pool: &PoolId, version: u64) -> Vec<Statement> {
    let pool = SqlValue::from(pool.as_str());
    let parameters = [pool.clone(), version.into()];
    vec![
        Statement::new(select_pool!("id = ?1 AND version <> ?2"), parameters.clone()),
        Statement::new(select_keys!("SELECT id FROM pools WHERE id = ?1 AND version <> ?2"), parameters),
        Statement::new("SELECT json_quote(version) AS row FROM pools WHERE id = ?1", [pool]),
    ]
}

pub(in crate::store) fn by_id(pool: &PoolId) -> Vec<Statement> {
    let parameters = [SqlValue::from(pool.as_str())];
    vec![
        Statement::new(select_pool!("id = ?1"), parameters.clone()),
        Statement::new(select_keys!("?1"), parameters),
    ]
}

/// Reads the results of [`by_client_key`], [`by_id`], or the first two statements of
/// [`if_changed`].
pub(in crate::store) fn read(outcomes: &[Outcome]) -> Result<Option<PoolConfig>, StoreError> {
    let [pool, keys, ..] = outcomes else {
        return Err(StoreError::Corrupt("a statement gave no outcome".to_owned()));
    };
    let Some(pool) = read_rows::<PoolRow>(pool)?.pop() else { return Ok(None) };
    let expiries = pool.expiries.into_iter().map(|(hash, at)| Ok::<_, StoreError>((hash, timestamp(at)?)));
    Ok(Some(PoolConfig {
        id: pool.id,
        name: pool.name,
        enabled: pool.enabled != 0,
        allowed_models: pool.allowed_models,
        settings: pool.settings,
        data_key: pool.data_key,
        version: pool.version,
        client_keys: pool.client_keys,
        expiries: expiries.collect::<Result<_, _>>()?,
        rules: pool.rules.into_iter().map(|(hash, id, rules)| (hash, (id, rules))).collect(),
        keys: read_keys(keys)?,
    }))
}

fn read_keys(pages: &Outcome) -> Result<StoredKeys, StoreError> {
    let mut keys = StoredKeysBuilder::default();
    for page in &pages.rows {
        let rows: Vec<KeyRow> =
            serde_json::from_str(page).map_err(|error| StoreError::Corrupt(error.to_string()))?;
        for KeyRow(id, encrypted, weight, project, limits, billing_account) in &rows {
            keys.push(&StoredKey {
                id,
                encrypted,
                weight: *weight,
                project,
                billing_account,
                limits: *limits,
            });
        }
    }
    Ok(keys.finish())
}

/// Reads the results of [`if_changed`].
pub(super) fn read_refreshed(outcomes: &[Outcome]) -> Result<Refreshed, StoreError> {
    if let Some(config) = read(outcomes)? {
        return Ok(Refreshed::Changed(Box::new(config)));
    }
    let exists = outcomes.get(2).is_some_and(|outcome| !outcome.rows.is_empty());
    Ok(if exists { Refreshed::Unchanged } else { Refreshed::Gone })
}
