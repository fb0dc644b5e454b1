//! The admin API's errors, and the one table from error to status, code, message and hint.

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

/// Why a request of the admin API was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdminError {
    /// The deployment lacks something.
    #[error("the service is not set up: {0}")]
    NotSetUp(SetupError),
    /// No route of that path.
    #[error("no such route: {0}")]
    UnknownRoute(String),
    /// The route exists, but not with this method.
    #[error("{method} is not allowed on {path}; allowed: {allowed}")]
    MethodNotAllowed {
        /// The method that was tried.
        method: String,
        /// The path.
        path: String,
        /// The methods that it takes.
        allowed: String,
    },
    /// No token, or none of this service.
    #[error("no valid admin token was presented")]
    NoToken,
    /// The token's time is over.
    #[error("the admin token has expired")]
    ExpiredToken,
    /// Not the admin password.
    #[error("wrong password")]
    WrongPassword,
    /// Too early for another try of the password.
    #[error("too many failed logins: try again in {} s", seconds(*.0))]
    TooManyLogins(Duration),
    /// The token has made too many changes.
    #[error("too many changes with this token in the last minute: try again in {} s", seconds(*.0))]
    TooManyChanges(Duration),
    /// A browser's session, used from a page of another origin, or login from one.
    #[error("not from this service's own page")]
    ForeignPage,
    /// Something in the store does not decrypt.
    #[error(transparent)]
    Unreadable(#[from] DecryptError),
    /// A login whose body is not said to be JSON.
    #[error("a login is JSON: send content-type: application/json")]
    NotJson,
    /// The path or the headers are larger than the service takes.
    #[error(transparent)]
    HeadTooLarge(#[from] HeadTooLarge),
    /// The request breaks a rule.
    #[error("{0}")]
    Invalid(String),
    /// The body is larger than the service takes.
    #[error("the body is larger than {0} bytes")]
    BodyTooLarge(usize),
    /// The body would have to be decompressed.
    #[error("the body of a request is taken as it is: send it without Content-Encoding")]
    EncodedBody,
    /// Other bodies have all the memory that there is for bodies.
    #[error("too many large requests are being answered at once")]
    TooManyBodies,
    /// The body stalled, or came too slowly.
    #[error("the body came too slowly")]
    TooSlow,
    /// No such pool.
    #[error("no pool '{reference}'")]
    UnknownPool {
        /// What was asked for.
        reference: String,
        /// The pool whose name is most like it.
        nearest: Option<String>,
    },
    /// The token may not do this.
    #[error("{0}")]
    Forbidden(String),
    /// No such admin token.
    #[error("no admin token '{0}'")]
    UnknownToken(String),
    /// The pool has nothing to ask Gemini with.
    #[error("{0}")]
    NoUsableKey(String),
    /// Gemini did not say what was needed.
    #[error("Gemini did not answer: {0}")]
    Upstream(String),
    /// No such client key.
    #[error("the pool has no client key '{0}'")]
    UnknownClientKey(String),
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The ledger did not answer.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The service's own fault.
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

/// Rounded up: who comes back then comes in time.
fn seconds(wait: Duration) -> u64 {
    wait.as_millis().div_ceil(1_000).try_into().unwrap_or(u64::MAX)
}

impl From<SetupError> for AdminError {
    fn from(error: SetupError) -> Self {
        Self::NotSetUp(error)
    }
}

impl AdminError {
    /// A body that could not be read, up to a limit.
    #[must_use]
    pub fn from_body(error: IncomingBodyError, limit: usize) -> Self {
        match error {
            IncomingBodyError::TooLarge => Self::BodyTooLarge(limit),
            IncomingBodyError::Broken => Self::Invalid("the body ended early".to_owned()),
            IncomingBodyError::NoRoom => Self::TooManyBodies,
            IncomingBodyError::TooSlow => Self::TooSlow,
        }
    }

    /// A body that is not what the route takes. Serde's own message may repeat values, which may be
    /// secrets; its line and column do not.
    pub(super) fn from_json(error: &serde_json::Error) -> Self {
        let what = if error.is_data() {
            "the JSON body is not what this route takes"
        } else {
            "the body is not JSON"
        };
        let message = error.to_string();
        // Field names are safe and useful: "missing field `name`", "unknown field `nmae`, expected …".
        let field = message.strip_prefix("missing field").or_else(|| message.strip_prefix("unknown field"));
        let detail = field.map(|_| message.split(" at line").next().unwrap_or_default().to_owned());
        let place = format!("line {}, column {}", error.line(), error.column());
        Self::Invalid(format!("{what}: {}", detail.unwrap_or(place)))
    }

    /// In the word that programs look at.
    pub(super) fn code(&self) -> ErrorCode {
        self.status_and_code().1
    }

    /// Whether it is no fault of the caller's: a 5xx.
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
            Self::Forbidden(_) => "see what the token may do: poolctl whoami".to_owned(),
            Self::TooManyLogins(_) => "tokens and sessions that exist go on working".to_owned(),
            Self::WrongPassword => "the password is the service's ADMIN_PASSWORD".to_owned(),
            Self::NoUsableKey(_) => "see how its keys stand: poolctl key list POOL".to_owned(),
            Self::UnknownPool { nearest: Some(name), .. } => format!("did you mean '{name}'?"),
            Self::UnknownPool { nearest: None, .. } => "list them: poolctl pool list".to_owned(),
            Self::Store(StoreError::NameTaken) => {
                "choose another name, or import into the pool that is there".to_owned()
            }
            _ => return None,
        })
    }

    /// The answer.
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
