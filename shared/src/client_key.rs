//! Client keys: what callers of a pool present.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{ClientKeyId, Secret};

/// A client key as the admin API shows it: never its secret, which the service does not have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
}

/// A pool's client keys, oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientKeyList {
    /// The client keys.
    pub client_keys: Vec<ClientKey>,
}

/// `POST pools/{id}/client-keys`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientKeyCreate {
    /// A name for people.
    #[serde(default)]
    pub name: String,
    /// How long it is good for, in seconds; for ever when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_s: Option<u64>,
}

/// `POST pools/{id}/client-keys/{id}/rotate`: a new client key of the same name takes the place of one
/// that goes on working for a while. The answer is a [`ClientKeyCreated`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientKeyRotate {
    /// How long the old one goes on working, in seconds; 24 hours when left out, 0 for not at all, at
    /// most 30 days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace_s: Option<u64>,
    /// How long the new one is good for, in seconds; for ever when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_s: Option<u64>,
}

/// The answer to `POST pools/{id}/client-keys`: the only time that the secret is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientKeyCreated {
    /// The new client key.
    pub client_key: ClientKey,
    /// Its secret.
    pub secret: Secret,
}
