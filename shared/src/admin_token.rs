//! Admin tokens with less than all rights, for CI and for other people.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

#[cfg(feature = "schema")]
use crate::bounds;
#[cfg(feature = "schema")]
use crate::bounds::patterns;
use crate::{AdminTokenId, PoolId, Secret};

/// What a token may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Scope {
    /// See and change pools, their keys and client keys; reset counts; see events and the audit.
    #[serde(rename = "pools")]
    Pools,
    /// Add keys to a pool, and try them.
    #[serde(rename = "keys:import")]
    KeysImport,
    /// Take keys out in clear, and copy them to another pool.
    #[serde(rename = "keys:export")]
    KeysExport,
    /// See pools, keys, counts and events.
    #[serde(rename = "stats:read")]
    StatsRead,
    /// See, make and revoke admin tokens of no more rights than its own.
    #[serde(rename = "tokens")]
    Tokens,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Pools, Self::KeysImport, Self::KeysExport, Self::StatsRead, Self::Tokens];

    /// Returns the name that the API uses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pools => "pools",
            Self::KeysImport => "keys:import",
            Self::KeysExport => "keys:export",
            Self::StatsRead => "stats:read",
            Self::Tokens => "tokens",
        }
    }
}

/// A text that names no scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a scope: pools, keys:import, keys:export, stats:read or tokens")]
pub struct ScopeError;

impl std::str::FromStr for Scope {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        Self::ALL.into_iter().find(|scope| scope.name() == text).ok_or(ScopeError)
    }
}

/// An admin token as the admin API shows it: never its secret, which the service does not have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AdminToken {
    /// Its id.
    pub id: AdminTokenId,
    /// A name for people.
    pub name: String,
    /// What it may do; absent for everything, as a login gives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<Scope>>,
    /// The only pool that it is good for; absent for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<PoolId>,
    /// The token that made it; absent for a login's, and where that one was revoked and this one kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<AdminTokenId>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it stops working.
    pub expires_at: Timestamp,
    /// When it was last used, up to an hour too early; absent for never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Timestamp>,
}

/// `GET tokens`: those that still work, oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AdminTokenList {
    /// The tokens.
    pub tokens: Vec<AdminToken>,
}

/// `POST tokens`. Nothing that the asking token has not itself can be given away.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct AdminTokenCreate {
    /// A name for people.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(length(max = bounds::NAME), regex(pattern = patterns::PRINTABLE)))]
    pub name: String,
    /// What it may do; left out for everything that the asking token may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub scopes: Option<Vec<Scope>>,
    /// The only pool that it is good for, by id or name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
    /// How long it is good for, in seconds; 90 days when left out, at most 365 days. It ends no later than the asking
    /// token, unless that one has all rights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = bounds::TOKEN_LIFETIME_S)))]
    pub expires_in_s: Option<u64>,
}

/// `POST tokens/{id}/rotate`: a new token of the same name and rights takes the place of one that continues working for
/// a while. The response is an [`AdminTokenCreated`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct AdminTokenRotate {
    /// How long the old one continues working, in seconds; an hour when left out, 0 for not at all, at most 24 hours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(max = bounds::TOKEN_GRACE_S)))]
    pub grace_s: Option<u64>,
    /// How long the new one is good for, in seconds; 90 days when left out, at most 365 days. It ends no later than the
    /// asking token and the one that made the old one, unless those have all rights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = bounds::TOKEN_LIFETIME_S)))]
    pub expires_in_s: Option<u64>,
}

/// The answer to `POST tokens`: the only time that the secret is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AdminTokenCreated {
    /// The new token.
    pub token: AdminToken,
    /// Its secret, to be sent as `Authorization: Bearer`.
    pub secret: Secret,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_wire() {
        for scope in Scope::ALL {
            assert_eq!(serde_json::to_value(scope).unwrap(), scope.name());
            assert_eq!(scope.name().parse(), Ok(scope));
        }
    }
}
