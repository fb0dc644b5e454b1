//! Outcomes of attempts and of requests.

use serde::{Deserialize, Serialize};

/// What became of an attempt. Only `key` and `quota` say anything about the key that was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum AttemptOutcome {
    /// Gemini answered and the response reached its end.
    Ok,
    /// The client went away before the end.
    ClientLeft,
    /// Gemini rejected the request itself.
    Caller,
    /// Gemini rejected the key.
    Key,
    /// A quota of the key's project is used up.
    Quota,
    /// The model is overloaded, or did not answer in time.
    Model,
    /// Gemini failed with an error of its own.
    Internal,
    /// Gemini does not serve the place that the call came from.
    Egress,
    /// The network, or Google's front end.
    Network,
    /// A response with nothing usable in it.
    SoftFailure,
    /// An outcome that this version does not know.
    #[serde(other)]
    Unknown,
}

impl AttemptOutcome {
    /// Returns the name that the API uses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::ClientLeft => "client_left",
            Self::Caller => "caller",
            Self::Key => "key",
            Self::Quota => "quota",
            Self::Model => "model",
            Self::Internal => "internal",
            Self::Egress => "egress",
            Self::Network => "network",
            Self::SoftFailure => "soft_failure",
            Self::Unknown => "unknown",
        }
    }

    /// Returns the words that people read: the same in `poolctl` and on the page.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::ClientLeft => "client disconnected",
            Self::Caller => "invalid request",
            Self::Key => "key rejected",
            Self::Quota => "quota exceeded",
            Self::Model => "model overloaded",
            Self::Internal => "internal error",
            Self::Egress => "region not supported",
            Self::Network => "network error",
            Self::SoftFailure => "empty response",
            Self::Unknown => "unknown",
        }
    }
}

/// How a client's request ended for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum RequestOutcome {
    /// A complete response.
    Ok,
    /// The client disconnected before the end.
    ClientDisconnected,
    /// The request itself was rejected: 4xx, except 429.
    InvalidRequest,
    /// A limit of the client key was reached: 429.
    RateLimited,
    /// The quotas of the pool's keys are used up, or all its keys are in cooldown: 429.
    QuotaExhausted,
    /// 5xx: no usable key, an overloaded model, an upstream error, an unavailable store.
    ServerError,
    /// A response that had begun and ended early, in an error event.
    Truncated,
    /// An outcome that this version does not know.
    #[serde(other)]
    Unknown,
}

impl RequestOutcome {
    /// Every outcome that this version knows.
    pub const ALL: [Self; 7] = [
        Self::Ok,
        Self::ClientDisconnected,
        Self::InvalidRequest,
        Self::RateLimited,
        Self::QuotaExhausted,
        Self::ServerError,
        Self::Truncated,
    ];

    /// Returns the name that the API uses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::ClientDisconnected => "client_disconnected",
            Self::InvalidRequest => "invalid_request",
            Self::RateLimited => "rate_limited",
            Self::QuotaExhausted => "quota_exhausted",
            Self::ServerError => "server_error",
            Self::Truncated => "truncated",
            Self::Unknown => "unknown",
        }
    }

    /// Returns `true` if the client did everything right and did not get a complete response.
    #[must_use]
    pub const fn is_failure(self) -> bool {
        matches!(self, Self::QuotaExhausted | Self::ServerError | Self::Truncated)
    }
}
