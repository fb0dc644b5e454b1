//! Logging in to the admin API.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

#[cfg(feature = "schema")]
use crate::bounds;
#[cfg(feature = "schema")]
use crate::bounds::patterns;
use crate::{AdminTokenId, PoolId, Scope, Secret};

/// `POST login`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// The service's `ADMIN_PASSWORD`.
    pub password: Secret,
    /// A name for the token, such as the host that it will live on.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(length(max = bounds::NAME), regex(pattern = patterns::PRINTABLE)))]
    pub name: String,
    /// How long the token is good for, in seconds; 30 days when left out, at most 365 days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = bounds::TOKEN_LIFETIME_S)))]
    pub expires_in_s: Option<u64>,
}

/// The answer to `POST login`: the only time that the token is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LoginResponse {
    /// The admin token, to be sent as `Authorization: Bearer`.
    pub token: Secret,
    /// The token's id.
    pub id: AdminTokenId,
    /// When it stops working.
    pub expires_at: Timestamp,
}

/// `POST session`, from a browser: the session itself goes into a cookie.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SessionCreate {
    /// The service's `ADMIN_PASSWORD`.
    pub password: Secret,
}

/// The answer to `POST session`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SessionCreated {
    /// The session's id, as the list of admin tokens shows it.
    pub id: AdminTokenId,
    /// When it ends, however much it is used.
    pub expires_at: Timestamp,
    /// After how many seconds without a request it ends before that.
    pub idle_s: u64,
}

/// The answer to `POST session/revoke-all`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SessionsRevoked {
    /// How many sessions ended.
    pub revoked: u64,
}

/// `GET whoami`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WhoAmI {
    /// The presented token's id.
    pub id: AdminTokenId,
    /// Its name.
    pub name: String,
    /// What it may do; absent for everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<Scope>>,
    /// The only pool that it is good for; absent for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<PoolId>,
    /// When it stops working.
    pub expires_at: Timestamp,
    /// The service's version.
    pub service_version: String,
    /// The version of the admin API, see [`crate::API_VERSION`].
    pub api_version: u32,
}
