//! Client keys: what clients of a pool present.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

#[cfg(feature = "schema")]
use crate::bounds;
#[cfg(feature = "schema")]
use crate::bounds::patterns;
use crate::object;
use crate::{ClientKeyId, Limits, Secret};

/// A client key as the admin API shows it: never its secret, which the service does not have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ClientKey {
    /// Its id.
    pub id: ClientKeyId,
    /// A name for people.
    pub name: String,
    /// The secret's last four characters.
    pub hint: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it stops working; absent for never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// About when it was last used, to the hour; absent when that was not in the last 30 days, or nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Timestamp>,
    /// It was not made by this service, so that nobody knows how hard it is to guess.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub weak: bool,
    /// What it may do.
    #[serde(flatten)]
    pub rules: ClientKeyRules,
}

/// What a client key may do; everything that its pool may, where nothing is said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ClientKeyRules {
    /// How much it may ask for: requests that reach Gemini, and tokens of what is asked and answered. A
    /// minute slides; a day ends at midnight in California.
    #[serde(default, skip_serializing_if = "Limits::is_empty")]
    pub limits: Limits,
    /// The models that it may use, of those that its pool may use; `*` means any run of characters.
    /// Empty for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed_models: Vec<String>,
    /// The networks that it may be used from: `192.0.2.0/24`, `2001:db8::/32`. Empty for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed_networks: Vec<String>,
}

impl ClientKeyRules {
    /// Returns `true` if it may do everything that its pool may.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A pool's client keys, oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ClientKeyList {
    /// The client keys.
    pub client_keys: Vec<ClientKey>,
}

/// `POST pools/{id}/client-keys`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ClientKeyCreate {
    /// A name for people.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(length(max = bounds::NAME), regex(pattern = patterns::PRINTABLE)))]
    pub name: String,
    /// How long it is good for, in seconds; forever when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = bounds::CLIENT_KEY_LIFETIME_S)))]
    pub expires_in_s: Option<u64>,
    /// When it expires, instead of a span: in the future, and at most ten years ahead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
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
    /// It is for a trial of the pool: it is valid for ten minutes at most and cannot be changed or rotated. The
    /// audit has one entry for it, also when it is revoked.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub trial: bool,
}

/// `PATCH pools/{id}/client-keys/{id}`: what is left out stays as it is. The response is a [`ClientKey`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ClientKeyUpdate {
    /// A name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(max = bounds::NAME), regex(pattern = patterns::PRINTABLE)))]
    pub name: Option<String>,
    /// How long it is good for from now on, in seconds; 0 forever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(max = bounds::CLIENT_KEY_LIFETIME_S)))]
    pub expires_in_s: Option<u64>,
    /// When it expires, instead of a span: in the future, and at most ten years ahead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// How much it may ask for: all four limits, those left out being none.
    #[serde(deserialize_with = "object::optional", default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
    /// The models that it may use; an empty list for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(max = bounds::MODELS), inner(length(max = bounds::MODEL), regex(pattern = patterns::MODELS))))]
    pub allowed_models: Option<Vec<String>>,
    /// The addresses and networks that it may be used from; an empty list for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(max = bounds::NETWORKS), inner(regex(pattern = patterns::network()))))]
    pub allowed_networks: Option<Vec<String>>,
}

/// `POST pools/{id}/client-keys/import`: keys that clients have from another system continue working.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ClientKeyImport {
    /// The keys, at most [`ClientKeyImport::MAX_KEYS`].
    #[cfg_attr(feature = "schema", schemars(length(max = Self::MAX_KEYS)))]
    #[serde(deserialize_with = "object::list")]
    pub keys: Vec<ImportedClientKey>,
}

impl ClientKeyImport {
    /// Keys in one request.
    pub const MAX_KEYS: usize = 500;
}

/// One key of a [`ClientKeyImport`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ImportedClientKey {
    /// The key: 8 to 512 visible ASCII characters. `poolctl` takes fewer than 16 only with `--weak`.
    #[cfg_attr(feature = "schema", schemars(with = "String", length(min = bounds::SHORTEST_WEAK, max = bounds::LONGEST_IMPORTED), regex(pattern = patterns::VISIBLE)))]
    pub key: Secret,
    /// A name for people.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(length(max = bounds::NAME), regex(pattern = patterns::PRINTABLE)))]
    pub name: String,
}

/// The answer to `POST pools/{id}/client-keys/import`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ClientKeyImportReport {
    /// How many are new.
    pub added: u64,
    /// How many were there already, in this pool or in another one, or are twice in the request.
    pub duplicate: u64,
}

/// `POST pools/{id}/client-keys/{id}/rotate`: a new client key of the same name and rules takes the place of one
/// that continues working for a while. The response is a [`ClientKeyCreated`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ClientKeyRotate {
    /// How long the old one continues working, in seconds; 24 hours when left out, 0 for not at all, at
    /// most 30 days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(max = bounds::GRACE_S)))]
    pub grace_s: Option<u64>,
    /// How long the new one is good for, in seconds; forever when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = bounds::CLIENT_KEY_LIFETIME_S)))]
    pub expires_in_s: Option<u64>,
}

/// The answer to `PATCH pools/{id}/client-keys/{id}`: the client key as it is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ClientKeyUpdated {
    /// The client key.
    #[serde(flatten)]
    pub client_key: ClientKey,
    /// The fields that were changed; none where all of them were already so. Absent where the service is too old to tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed: Option<Vec<String>>,
}

/// The answer to `POST pools/{id}/client-keys`: the only time that the secret is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ClientKeyCreated {
    /// The new client key.
    pub client_key: ClientKey,
    /// Its secret.
    pub secret: Secret,
}
