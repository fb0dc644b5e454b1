//! Client keys with their keyed hashes: how they move to another store that has the same `MASTER_KEY`.
//!
//! The service stores no client key, only its HMAC. A hash is of use only where the key of the HMAC is the same, which
//! [`MasterKeyState::token_hash_key`] tells.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

#[cfg(feature = "schema")]
use crate::bounds;
#[cfg(feature = "schema")]
use crate::bounds::patterns;
use crate::object;
use crate::{ClientKeyId, Limits, Secret};

/// `GET master`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MasterKeyState {
    /// Fingerprint of the key that client keys and tokens are hashed with. Equal in services that can exchange client
    /// keys; it survives a rotation of the master key.
    pub token_hash_key: String,
}

/// `POST pools/{id}/client-keys/export`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ClientKeyExport {}

/// The answer to `POST pools/{id}/client-keys/export`, and `POST pools/{id}/client-keys/restore`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct HashedClientKeys {
    /// [`MasterKeyState::token_hash_key`] of the service that hashed them. Another service's is rejected.
    #[cfg_attr(feature = "schema", schemars(length(max = bounds::KEY_TEXT)))]
    pub token_hash_key: String,
    /// The client keys; at most [`HashedClientKeys::MAX_KEYS`] are taken at once.
    #[serde(deserialize_with = "object::list")]
    pub client_keys: Vec<HashedClientKey>,
}

impl HashedClientKeys {
    /// Client keys in one request.
    pub const MAX_KEYS: usize = 500;
}

/// A client key with its hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct HashedClientKey {
    /// Its id.
    #[cfg_attr(feature = "schema", schemars(with = "String", regex(pattern = patterns::CLIENT_KEY_ID)))]
    pub id: ClientKeyId,
    /// A name for people.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(length(max = bounds::NAME), regex(pattern = patterns::PRINTABLE)))]
    pub name: String,
    /// The secret's last four characters.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = patterns::HINT)))]
    pub hint: String,
    /// HMAC-SHA-256 of the secret: 64 lower-case hexadecimal digits.
    #[cfg_attr(feature = "schema", schemars(with = "String", regex(pattern = patterns::HASH)))]
    pub hash: Secret,
    /// When it expires; absent for never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// It was not made by this service.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub weak: bool,
    /// How much it may ask for.
    #[serde(deserialize_with = "object::object", default, skip_serializing_if = "Limits::is_empty")]
    pub limits: Limits,
    /// The models that it may use; all when left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schemars(length(max = bounds::MODELS), inner(length(max = bounds::MODEL), regex(pattern = patterns::MODELS))))]
    pub allowed_models: Vec<String>,
    /// The addresses and networks that it may be used from; all when left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schemars(length(max = bounds::NETWORKS), inner(regex(pattern = patterns::network()))))]
    pub allowed_networks: Vec<String>,
}
