//! Gemini's quotas, as far as a pool keeps count of them.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::bounds;

/// A quota that Gemini keeps for each project and model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Quota {
    /// Requests in a minute.
    RequestsPerMinute,
    /// Requests until midnight in California.
    RequestsPerDay,
    /// Input tokens in a minute.
    TokensPerMinute,
    /// Input tokens until midnight in California.
    TokensPerDay,
}

impl Quota {
    /// Returns the quota that an id names, such as `GenerateRequestsPerDayPerProjectPerModel-FreeTier`. The ids
    /// differ by method and tier and new ones appear, so only what they contain is looked at.
    #[must_use]
    pub fn from_id(id: &str) -> Option<Self> {
        let tokens = id.contains("Token");
        if id.contains("PerDay") {
            Some(if tokens { Self::TokensPerDay } else { Self::RequestsPerDay })
        } else if id.contains("PerMinute") {
            Some(if tokens { Self::TokensPerMinute } else { Self::RequestsPerMinute })
        } else {
            None
        }
    }

    /// As JSON has it: `requests_per_minute`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RequestsPerMinute => "requests_per_minute",
            Self::RequestsPerDay => "requests_per_day",
            Self::TokensPerMinute => "tokens_per_minute",
            Self::TokensPerDay => "tokens_per_day",
        }
    }

    /// As people write it: `rpm`.
    #[must_use]
    pub const fn short_name(self) -> &'static str {
        match self {
            Self::RequestsPerMinute => "rpm",
            Self::RequestsPerDay => "rpd",
            Self::TokensPerMinute => "tpm",
            Self::TokensPerDay => "tpd",
        }
    }

    /// Returns `true` if the quota counts a day.
    #[must_use]
    pub const fn is_daily(self) -> bool {
        matches!(self, Self::RequestsPerDay | Self::TokensPerDay)
    }
}

/// The limits of a project for a model; absent where none is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Requests in a minute.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "bounded")]
    #[cfg_attr(feature = "schema", schemars(range(max = bounds::LIMIT)))]
    pub requests_per_minute: Option<u64>,
    /// Requests a day.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "bounded")]
    #[cfg_attr(feature = "schema", schemars(range(max = bounds::LIMIT)))]
    pub requests_per_day: Option<u64>,
    /// Input tokens in a minute.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "bounded")]
    #[cfg_attr(feature = "schema", schemars(range(max = bounds::LIMIT)))]
    pub tokens_per_minute: Option<u64>,
    /// Input tokens a day.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "bounded")]
    #[cfg_attr(feature = "schema", schemars(range(max = bounds::LIMIT)))]
    pub tokens_per_day: Option<u64>,
}

/// Reads a limit that every reader of JSON can take exactly.
fn bounded<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let limit = Option::<u64>::deserialize(deserializer)?;
    if limit.is_some_and(|limit| limit > bounds::LIMIT) {
        return Err(D::Error::custom(format_args!("a limit is at most {}", bounds::LIMIT)));
    }
    Ok(limit)
}

impl Limits {
    /// Returns `true` if no limit is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Sets one limit.
    pub const fn set(&mut self, quota: Quota, value: u64) {
        *match quota {
            Quota::RequestsPerMinute => &mut self.requests_per_minute,
            Quota::RequestsPerDay => &mut self.requests_per_day,
            Quota::TokensPerMinute => &mut self.tokens_per_minute,
            Quota::TokensPerDay => &mut self.tokens_per_day,
        } = Some(value);
    }

    /// Removes one limit.
    pub const fn remove(&mut self, quota: Quota) {
        match quota {
            Quota::RequestsPerMinute => self.requests_per_minute = None,
            Quota::RequestsPerDay => self.requests_per_day = None,
            Quota::TokensPerMinute => self.tokens_per_minute = None,
            Quota::TokensPerDay => self.tokens_per_day = None,
        }
    }

    /// Returns the known limits.
    pub fn known(&self) -> impl Iterator<Item = (Quota, u64)> + use<> {
        [
            (Quota::RequestsPerMinute, self.requests_per_minute),
            (Quota::RequestsPerDay, self.requests_per_day),
            (Quota::TokensPerMinute, self.tokens_per_minute),
            (Quota::TokensPerDay, self.tokens_per_day),
        ]
        .into_iter()
        .filter_map(|(quota, value)| Some((quota, value?)))
    }

    /// Returns the stricter of both, limit by limit.
    #[must_use]
    pub fn strictest(&self, other: &Self) -> Self {
        let stricter = |a: Option<u64>, b: Option<u64>| match (a, b) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        Self {
            requests_per_minute: stricter(self.requests_per_minute, other.requests_per_minute),
            requests_per_day: stricter(self.requests_per_day, other.requests_per_day),
            tokens_per_minute: stricter(self.tokens_per_minute, other.tokens_per_minute),
            tokens_per_day: stricter(self.tokens_per_day, other.tokens_per_day),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_told_by_what_they_contain() {
        for (id, quota) in [
            ("GenerateRequestsPerMinutePerProjectPerModel-FreeTier", Some(Quota::RequestsPerMinute)),
            ("GenerateRequestsPerDayPerProjectPerModel", Some(Quota::RequestsPerDay)),
            ("GenerateContentInputTokensPerModelPerMinute-FreeTier", Some(Quota::TokensPerMinute)),
            ("GenerateContentPaidTierInputTokensPerModelPerMinute-PaidTier2", Some(Quota::TokensPerMinute)),
            ("GenerateContentInputTokensPerModelPerDay-FreeTier", Some(Quota::TokensPerDay)),
            ("EmbedContentRequestsPerDayPerUserPerProjectPerModel-FreeTier", Some(Quota::RequestsPerDay)),
            ("ConcurrentSessions", None),
        ] {
            assert_eq!(Quota::from_id(id), quota, "{id}");
        }
    }
}
