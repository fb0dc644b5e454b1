//! How a call fails, and what that means to a person.

use std::{fmt::Write, time::Duration};

use pool_shared::{ErrorCode, ErrorDetail};
use url::Url;

use super::{ClientOptions, TokenSource};
use crate::{
    env,
    error::{CliError, Code},
};

/// Why a call has no answer.
#[derive(Debug)]
pub enum ClientError {
    /// The service refused it.
    Service {
        /// HTTP status.
        status: u16,
        /// What it said.
        detail: ErrorDetail,
        /// The request's id.
        request_id: Option<String>,
        /// When to come back, if it said so.
        retry_after: Option<Duration>,
    },
    /// An answer that the pool service does not give: a proxy's page, another program.
    Unexpected {
        /// HTTP status.
        status: u16,
        /// What kind of document came.
        content_type: String,
        /// When to come back, if it said so.
        retry_after: Option<Duration>,
    },
    /// An answer that sends elsewhere.
    Redirect {
        /// HTTP status.
        status: u16,
        /// Where to.
        location: Option<String>,
    },
    /// No connection, or one that broke.
    Unreachable(String),
    /// No answer in time.
    Timeout(Duration),
    /// The token holds characters that no header can carry.
    UnusableToken,
    /// Ctrl-C.
    Interrupted,
}

impl ClientError {
    pub(super) fn transport(error: &reqwest::Error, timeout: Duration) -> Self {
        if error.is_timeout() { Self::Timeout(timeout) } else { Self::Unreachable(chain(error)) }
    }

    /// Whether the same call may well succeed a little later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Service { status, .. } | Self::Unexpected { status, .. } => {
                matches!(status, 429 | 502 | 503 | 504)
            }
            Self::Unreachable(_) | Self::Timeout(_) => true,
            Self::Redirect { .. } | Self::UnusableToken | Self::Interrupted => false,
        }
    }

    /// When the other side wants to be asked again.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Service { retry_after, .. } | Self::Unexpected { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    pub(super) fn explain(self, options: &ClientOptions) -> CliError {
        let url = &options.url;
        match self {
            Self::Service { status, detail, request_id, .. } => {
                service(status, detail, options).answer(status, request_id)
            }
            Self::Unexpected { status: status @ (502..=504), .. } => {
                CliError::new(Code::Unreachable, format!("the service behind {url} does not answer"))
                    .cause(format!("something in front of it answered with status {status}"))
                    .hint("try again in a moment; see the deployment's own log if it lasts")
                    .answer(status, None)
            }
            Self::Unexpected { status, content_type, .. } => {
                let kind = if content_type.is_empty() { "nothing" } else { content_type.as_str() };
                CliError::new(Code::UnexpectedAnswer, format!("{url} is not a pool service of this version"))
                    .cause(format!("status {status} with {kind} where the admin API's JSON was expected"))
                    .hint("check the URL, and what stands between here and the service")
                    .answer(status, None)
            }
            Self::Redirect { status, location } => redirect(status, location.as_deref(), options),
            Self::Unreachable(cause) => {
                CliError::new(Code::Unreachable, format!("cannot reach the pool service at {url}"))
                    .cause(cause)
                    .hint(format!(
                        "is it running, and is its URL right? It came from: {}",
                        options.url_source
                    ))
            }
            Self::Timeout(limit) => {
                CliError::new(Code::Timeout, format!("no answer from {url} within {} s", limit.as_secs_f32()))
                    .hint("--timeout SECONDS waits longer")
            }
            Self::UnusableToken => {
                CliError::new(Code::NotLoggedIn, "the token holds characters that cannot be sent")
                    .hint(options.login_command.clone())
            }
            Self::Interrupted => CliError::interrupted(),
        }
    }
}

fn service(status: u16, detail: ErrorDetail, options: &ClientOptions) -> CliError {
    let code = match (detail.code, status) {
        // A code of a newer service: its status still says which kind it is.
        (ErrorCode::Unknown, 401) => ErrorCode::Unauthorized,
        (ErrorCode::Unknown, 403) => ErrorCode::Forbidden,
        (ErrorCode::Unknown, 404) => ErrorCode::NotFound,
        (ErrorCode::Unknown, 409) => ErrorCode::Conflict,
        (code, _) => code,
    };
    let error = CliError::new(Code::Service(code), detail.message);
    if code == ErrorCode::Unauthorized {
        return unauthorized(error, options);
    }
    match detail.hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

/// What to do is known better here than there: this side knows whose token it was.
fn unauthorized(error: CliError, options: &ClientOptions) -> CliError {
    let login = &options.login_command;
    match &options.token {
        None => error.hint(format!("{login} (with the password that the service has as ADMIN_PASSWORD)")),
        Some((_, source @ TokenSource::Login(_))) => {
            error.cause(format!("the token came from {source}")).hint(login.clone())
        }
        Some((_, source @ TokenSource::Environment)) => error
            .cause(format!("the token came from {source}"))
            .hint(format!("unset {} and run {login}, or put a fresh token there", env::TOKEN)),
    }
}

/// Only the origin of the target is shown: its path and query may carry somebody's session.
fn redirect(status: u16, location: Option<&str>, options: &ClientOptions) -> CliError {
    let error = CliError::new(Code::UnexpectedAnswer, format!("{} sends elsewhere", options.url))
        .cause(format!("status {status}; the token is not taken to another address"))
        .answer(status, None);
    let target =
        location.and_then(|text| Url::parse(text).ok()).map(|url| url.origin().ascii_serialization());
    match target {
        Some(target) => error.hint(format!("if the service lives there: poolctl login --url {target}")),
        None => {
            error.hint("check the URL; a proxy that asks people to log in must let the admin API through")
        }
    }
}

/// An error with everything that led to it, without the URL, which the message names already.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = String::new();
    let mut next = error.source();
    while let Some(cause) = next {
        let words = cause.to_string();
        if !text.contains(&words) {
            let _ = write!(text, "{}{words}", if text.is_empty() { "" } else { ": " });
        }
        next = cause.source();
    }
    if text.is_empty() { "the connection broke".to_owned() } else { text }
}
