//! Errors of the admin API, and the table from error to status, code, message and hint.

use std::time::Duration;

use http::StatusCode;
use pool_shared::{ErrorBody, ErrorCode, ErrorDetail};

use crate::crypto::DecryptError;
use crate::ledger::LedgerError;
use crate::limits::HeadTooLarge;
use crate::platform::IncomingBodyError;
use crate::pools::HashKeyError;
use crate::reply::Reply;
use crate::setup::SetupError;
use crate::store::StoreError;

/// An error of the admin API.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdminError {
    /// The deployment is incomplete.
    #[error("the service is not set up: {0}")]
    NotSetUp(SetupError),
    /// No route has this path.
    #[error("no such route: {0}")]
    UnknownRoute(String),
    /// The route does not accept this method.
    #[error("{method} is not allowed on {path}; allowed: {allowed}")]
    MethodNotAllowed {
        /// The method.
        method: String,
        /// The path.
        path: String,
        /// The accepted methods.
        allowed: String,
    },
    /// No token, or one that this service does not know.
    #[error("the admin token was rejected (revoked, expired, or from another service)")]
    NoToken,
    /// The token has expired.
    #[error("the admin token has expired")]
    ExpiredToken,
    /// The password is wrong.
    #[error("wrong password")]
    WrongPassword,
    /// The next login attempt came too early.
    #[error("too many failed logins: try again in {} s", seconds(*.0))]
    TooManyLogins(Duration),
    /// The token made too many changes.
    #[error("too many changes with this token in the last minute: try again in {} s", seconds(*.0))]
    TooManyChanges(Duration),
    /// A session was used, or a login made, from a page of another origin.
    #[error("the request does not come from this service's own page")]
    ForeignPage,
    /// A stored secret does not decrypt.
    #[error(transparent)]
    Unreadable(#[from] DecryptError),
    /// The body of a login is not declared as JSON.
    #[error("a login must be JSON: send content-type: application/json")]
    NotJson,
    /// The path or the headers are too large.
    #[error(transparent)]
    HeadTooLarge(#[from] HeadTooLarge),
    /// The request is invalid.
    #[error("{0}")]
    Invalid(String),
    /// The body is too large.
    #[error("the body is larger than {0} bytes")]
    BodyTooLarge(usize),
    /// The body has a content encoding.
    #[error("encoded bodies are not supported: send it without Content-Encoding")]
    EncodedBody,
    /// Backpressure: the memory budget for bodies is used up.
    #[error("too many large requests at the same time")]
    TooManyBodies,
    /// The body stalled, or arrived too slowly.
    #[error("the body arrived too slowly")]
    TooSlow,
    /// The pool does not exist.
    #[error("no pool '{reference}'")]
    UnknownPool {
        /// The requested name or id.
        reference: String,
        /// The name of the most similar pool.
        nearest: Option<String>,
    },
    /// The token lacks a scope.
    #[error("{0}")]
    Forbidden(String),
    /// The admin token does not exist.
    #[error("no admin token '{0}'")]
    UnknownToken(String),
    /// The pool has no usable key.
    #[error("{0}")]
    NoUsableKey(String),
    /// Gemini did not return what was needed.
    #[error("Gemini did not respond: {0}")]
    Upstream(String),
    /// The client key does not exist.
    #[error("the pool has no client key '{0}'")]
    UnknownClientKey(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A fault of the service.
    #[error("internal error: {0}")]
    Internal(String),
}

impl From<HashKeyError> for AdminError {
    fn from(error: HashKeyError) -> Self {
        match error {
            HashKeyError::Store(error) => Self::Store(error),
            HashKeyError::Setup(error) => Self::NotSetUp(error),
        }
    }
}

/// Rounds up, so that a client that waits this long is not too early.
fn seconds(wait: Duration) -> u64 {
    wait.as_millis().div_ceil(1_000).try_into().unwrap_or(u64::MAX)
}

impl From<SetupError> for AdminError {
    fn from(error: SetupError) -> Self {
        Self::NotSetUp(error)
    }
}

impl AdminError {
    /// Converts an error of reading a body with a limit.
    #[must_use]
    pub fn from_body(error: IncomingBodyError, limit: usize) -> Self {
        match error {
            IncomingBodyError::TooLarge => Self::BodyTooLarge(limit),
            IncomingBodyError::Broken => Self::Invalid("the body ended early".to_owned()),
            IncomingBodyError::NoRoom => Self::TooManyBodies,
            IncomingBodyError::TooSlow => Self::TooSlow,
        }
    }

    /// Converts a JSON error. Serde's message may repeat values, which may be secrets; its line and
    /// column do not.
    pub(super) fn from_json(error: &serde_json::Error) -> Self {
        let what =
            if error.is_data() { "the JSON body does not match this route" } else { "the body is not JSON" };
        let message = error.to_string();
        // Field names are safe and useful: "missing field `name`", "unknown field `nmae`, expected
        // …".
        let field = message.strip_prefix("missing field").or_else(|| message.strip_prefix("unknown field"));
        let detail = field.map(|_| message.split(" at line").next().unwrap_or_default().to_owned());
        let place = format!("line {}, column {}", error.line(), error.column());
        Self::Invalid(format!("{what}: {}", detail.unwrap_or(place)))
    }

    /// Returns the machine-readable code.
    pub(super) fn code(&self) -> ErrorCode {
        self.status_and_code().1
    }

    /// Returns `true` for a fault of the service: a 5xx.
    pub(super) fn is_of_the_service(&self) -> bool {
        self.status_and_code().0.is_server_error()
    }

    fn status_and_code(&self) -> (StatusCode, ErrorCode) {
        match self {
            Self::NotSetUp(_) | Self::Unreadable(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Misconfigured)
            }
            Self::Forbidden(_) | Self::ForeignPage => (StatusCode::FORBIDDEN, ErrorCode::Forbidden),
            Self::UnknownRoute(_)
            | Self::UnknownPool { .. }
            | Self::UnknownToken(_)
            | Self::UnknownClientKey(_) => (StatusCode::NOT_FOUND, ErrorCode::NotFound),
            Self::MethodNotAllowed { .. } => (StatusCode::METHOD_NOT_ALLOWED, ErrorCode::MethodNotAllowed),
            Self::NoToken | Self::ExpiredToken | Self::WrongPassword => {
                (StatusCode::UNAUTHORIZED, ErrorCode::Unauthorized)
            }
            Self::NotJson | Self::EncodedBody => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, ErrorCode::InvalidRequest)
            }
            Self::Invalid(_) => (StatusCode::BAD_REQUEST, ErrorCode::InvalidRequest),
            Self::TooManyLogins(_) | Self::TooManyChanges(_) | Self::Store(StoreError::TooManyChanges) => {
                (StatusCode::TOO_MANY_REQUESTS, ErrorCode::RateLimited)
            }
            Self::HeadTooLarge(too_large) => (too_large.status(), ErrorCode::TooLarge),
            Self::BodyTooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, ErrorCode::TooLarge),
            Self::TooManyBodies => (StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Unavailable),
            Self::TooSlow => (StatusCode::REQUEST_TIMEOUT, ErrorCode::InvalidRequest),
            Self::Store(StoreError::NameTaken) | Self::NoUsableKey(_) => {
                (StatusCode::CONFLICT, ErrorCode::Conflict)
            }
            Self::Store(_) | Self::Ledger(_) | Self::Upstream(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Unavailable)
            }
            Self::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, ErrorCode::Internal),
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NotSetUp(SetupError::OtherMasterKey(_)) | Self::Unreadable(_) => {
                "see what does not decrypt: poolctl login --with-password && poolctl health".to_owned()
            }
            Self::NotSetUp(_) => "see docs/configuration.md for every secret and binding".to_owned(),
            Self::NoToken | Self::ExpiredToken => "log in: poolctl login".to_owned(),
            Self::Forbidden(_) => "show the token's scopes: poolctl whoami".to_owned(),
            Self::TooManyLogins(_) => "existing tokens and sessions keep working".to_owned(),
            Self::WrongPassword => "the password is the service's ADMIN_PASSWORD".to_owned(),
            Self::NoUsableKey(_) => "show the state of its keys: poolctl key list POOL".to_owned(),
            Self::UnknownPool { nearest: Some(name), .. } => format!("did you mean '{name}'?"),
            Self::UnknownPool { nearest: None, .. } => "list them: poolctl pool list".to_owned(),
            Self::Store(StoreError::NameTaken) => {
                "to add keys to it: poolctl key import NAME --keys FILE".to_owned()
            }
            _ => return None,
        })
    }

    /// Builds the response.
    pub(crate) fn reply<S>(self, request_id: &str) -> Reply<S> {
        let (status, code) = self.status_and_code();
        let error = ErrorDetail {
            code,
            message: self.to_string(),
            hint: self.hint(),
            request_id: request_id.to_owned(),
        };
        // Plain strings: serialising them cannot fail.
        let reply = Reply::json(status, serde_json::to_vec(&ErrorBody { error }).unwrap_or_default());
        match self {
            Self::MethodNotAllowed { allowed, .. } => reply.header("allow", &allowed),
            Self::TooManyLogins(wait) | Self::TooManyChanges(wait) => {
                reply.header("retry-after", &seconds(wait).to_string())
            }
            Self::TooManyBodies => reply.header("retry-after", "1"),
            Self::Store(StoreError::TooManyChanges) => reply.header("retry-after", "30"),
            _ => reply,
        }
    }
}
