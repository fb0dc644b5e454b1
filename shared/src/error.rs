//! The admin API's errors: `{"error":{"code","message","hint","request_id"}}`.

use serde::{Deserialize, Serialize};

/// What went wrong, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The request cannot be understood or breaks a rule.
    InvalidRequest,
    /// No token, or one that is wrong, expired or revoked.
    Unauthorized,
    /// The token may not do this.
    Forbidden,
    /// No such route, pool, key or token.
    NotFound,
    /// The route exists, but not with this method.
    MethodNotAllowed,
    /// It clashes with what is there, such as a name that is taken.
    Conflict,
    /// The body is larger than the service takes.
    TooLarge,
    /// Too many tries.
    RateLimited,
    /// A binding or a secret is missing from the deployment.
    Misconfigured,
    /// The store or the ledger does not answer.
    Unavailable,
    /// A fault of the service itself.
    Internal,
    /// A code that this version of the client does not know.
    #[serde(other)]
    Unknown,
}

impl ErrorCode {
    /// Returns the name that the API uses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::Conflict => "conflict",
            Self::TooLarge => "too_large",
            Self::RateLimited => "rate_limited",
            Self::Misconfigured => "misconfigured",
            Self::Unavailable => "unavailable",
            Self::Internal => "internal",
            Self::Unknown => "unknown",
        }
    }
}

/// The envelope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ErrorBody {
    /// The error.
    pub error: ErrorDetail,
}

/// The error itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ErrorDetail {
    /// For programs.
    pub code: ErrorCode,
    /// For people: what is wrong. Never holds a secret.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The request's id, also in the `x-request-id` header and in the service's log.
    #[serde(default)]
    pub request_id: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_service_s_code_is_read_as_unknown() {
        let body: ErrorBody =
            serde_json::from_str(r#"{"error":{"code":"brand_new","message":"m"}}"#).unwrap();
        assert_eq!(body.error.code, ErrorCode::Unknown);
    }
}
