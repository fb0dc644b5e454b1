//! Packed rows of the queries, and their conversion to the service's types.

use jiff::Timestamp;
use pool_shared::{
    AdminTokenId, ClientKey, ClientKeyId, ClientKeyRules, Key, KeyCondition, KeyId, Limits, Pool, PoolId,
    Scope, StateCounts, Weight,
};
use serde::Deserialize;

use crate::crypto::TokenHash;
use crate::store::{StoreError, StoredAdminToken, StoredClientKey};

/// A row of `pools` with the counts of its keys.
#[derive(Deserialize)]
pub(super) struct PoolRow {
    id: PoolId,
    name: String,
    description: String,
    enabled: u8,
    allowed_models: String,
    settings: String,
    keys: u64,
    enabled_keys: u64,
    version: u64,
    created_at: i64,
    updated_at: i64,
}

impl TryFrom<PoolRow> for Pool {
    type Error = StoreError;

    fn try_from(row: PoolRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id,
            name: row.name,
            description: row.description,
            enabled: row.enabled != 0,
            allowed_models: serde_json::from_str(&row.allowed_models)
                .map_err(|error| StoreError::Corrupt(error.to_string()))?,
            settings: serde_json::from_str(&row.settings)
                .map_err(|error| StoreError::Corrupt(error.to_string()))?,
            keys: row.keys,
            enabled_keys: row.enabled_keys,
            states: StateCounts::new(),
            version: row.version,
            created_at: timestamp(row.created_at)?,
            updated_at: timestamp(row.updated_at)?,
        })
    }
}

/// A row of `client_keys`.
#[derive(Deserialize)]
pub(super) struct ClientKeyRow {
    hash: TokenHash,
    id: ClientKeyId,
    name: String,
    hint: String,
    created_at: i64,
    expires_at: Option<i64>,
    rules: Option<ClientKeyRules>,
    weak: Option<u8>,
}

impl TryFrom<ClientKeyRow> for StoredClientKey {
    type Error = StoreError;

    fn try_from(row: ClientKeyRow) -> Result<Self, StoreError> {
        let client_key = ClientKey {
            id: row.id,
            name: row.name,
            hint: row.hint,
            created_at: timestamp(row.created_at)?,
            expires_at: row.expires_at.map(timestamp).transpose()?,
            last_used_at: None,
            rules: row.rules.unwrap_or_default(),
            weak: row.weak == Some(1),
        };
        Ok(Self { hash: row.hash, client_key })
    }
}

/// A row of `keys`, for the admin API.
#[derive(Deserialize)]
pub(super) struct KeyRow {
    id: KeyId,
    masked: String,
    fingerprint: String,
    name: String,
    tag: String,
    project: String,
    billing_account: String,
    limits: Limits,
    weight: Weight,
    enabled: u8,
    pub(super) position: u64,
    created_at: i64,
    updated_at: i64,
}

impl TryFrom<KeyRow> for Key {
    type Error = StoreError;

    fn try_from(row: KeyRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id,
            masked: row.masked,
            fingerprint: row.fingerprint,
            name: row.name,
            tag: row.tag,
            project: row.project,
            billing_account: row.billing_account,
            limits: row.limits,
            weight: row.weight,
            enabled: row.enabled != 0,
            condition: KeyCondition::default(),
            created_at: timestamp(row.created_at)?,
            updated_at: timestamp(row.updated_at)?,
        })
    }
}

/// A row of `admin_tokens`.
#[derive(Deserialize)]
pub(super) struct AdminTokenRow {
    id: AdminTokenId,
    name: String,
    created_at: i64,
    expires_at: i64,
    scopes: Option<Vec<Scope>>,
    pool: Option<PoolId>,
    parent: Option<AdminTokenId>,
    budget: Option<AdminTokenId>,
    last_used_at: Option<i64>,
}

impl TryFrom<AdminTokenRow> for StoredAdminToken {
    type Error = StoreError;

    fn try_from(row: AdminTokenRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id,
            name: row.name,
            created_at: timestamp(row.created_at)?,
            expires_at: timestamp(row.expires_at)?,
            scopes: row.scopes,
            pool: row.pool,
            parent: row.parent,
            budget: row.budget,
            last_used_at: row.last_used_at.map(timestamp).transpose()?,
        })
    }
}

pub(super) fn timestamp(milliseconds: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_millisecond(milliseconds).map_err(|error| StoreError::Corrupt(error.to_string()))
}
