//! Errors of API calls, and their messages.

use std::{fmt::Write, time::Duration};

use pool_shared::{ErrorCode, ErrorDetail};
use url::Url;

use super::{ClientOptions, TokenSource};
use crate::{
    env,
    error::{CliError, Code},
};

/// Why a call failed.
#[derive(Debug)]
pub enum ClientError {
    /// An error response of the service.
    Service {
        /// HTTP status.
        status: u16,
        /// The error.
        detail: ErrorDetail,
        /// The request id.
        request_id: Option<String>,
        /// The `retry-after` delay, if any.
        retry_after: Option<Duration>,
    },
    /// A response that the pool service does not send, such as a proxy's page.
    Unexpected {
        /// HTTP status.
        status: u16,
        /// The content type.
        content_type: String,
        /// The `retry-after` delay, if any.
        retry_after: Option<Duration>,
    },
    /// A redirect.
    Redirect {
        /// HTTP status.
        status: u16,
        /// The target.
        location: Option<String>,
    },
    /// No connection, or a lost one.
    Unreachable(String),
    /// No response in time.
    Timeout(Duration),
    /// The token has characters that are not allowed in a header.
    UnusableToken,
    /// Ctrl-C.
    Interrupted,
}

impl ClientError {
    pub(super) fn transport(error: &reqwest::Error, timeout: Duration) -> Self {
        if error.is_timeout() { Self::Timeout(timeout) } else { Self::Unreachable(chain(error)) }
    }

    /// Returns `true` if a retry may succeed.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Service { status, .. } | Self::Unexpected { status, .. } => {
                matches!(status, 429 | 502 | 503 | 504)
            }
            Self::Unreachable(_) | Self::Timeout(_) => true,
            Self::Redirect { .. } | Self::UnusableToken | Self::Interrupted => false,
        }
    }

    /// Returns the `retry-after` delay.
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
                service(status, detail, options).response(status, request_id)
            }
            Self::Unexpected { status: status @ (502..=504), .. } => {
                CliError::new(Code::Unreachable, format!("the service behind {url} is not responding"))
                    .cause(format!("a proxy in front of it returned status {status}"))
                    .hint("try again in a minute; if it persists, check the deployment's log")
                    .response(status, None)
            }
            Self::Unexpected { status, content_type, .. } => {
                let kind = if content_type.is_empty() { "no content" } else { content_type.as_str() };
                CliError::new(Code::UnexpectedResponse, format!("{url} did not respond like a pool service"))
                    .cause(format!("expected JSON of the admin API, got status {status} with {kind}"))
                    .hint("check the URL and any proxy in front of the service")
                    .response(status, None)
            }
            Self::Redirect { status, location } => redirect(status, location.as_deref(), options),
            Self::Unreachable(cause) => {
                CliError::new(Code::Unreachable, format!("cannot reach the pool service at {url}"))
                    .cause(cause)
                    .hint(format!("is it running? URL taken from {}", options.url_source))
            }
            Self::Timeout(limit) => CliError::new(
                Code::Timeout,
                format!("no response from {url} within {} s", limit.as_secs_f32()),
            )
            .hint("increase --timeout SECONDS"),
            Self::UnusableToken => {
                CliError::new(Code::NotLoggedIn, "the token has characters that are not allowed in a header")
                    .hint(options.login_command.clone())
            }
            Self::Interrupted => CliError::interrupted(),
        }
    }
}

fn service(status: u16, detail: ErrorDetail, options: &ClientOptions) -> CliError {
    let code = match (detail.code, status) {
        // An unknown code of a newer service is classified by its status.
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

/// Adds a hint that depends on the source of the token, which only this side knows.
fn unauthorized(error: CliError, options: &ClientOptions) -> CliError {
    let login = &options.login_command;
    match &options.token {
        None => error.hint(format!("{login} (use the service's ADMIN_PASSWORD)")),
        Some((_, source @ TokenSource::Login(_))) => {
            error.cause(format!("the token came from {source}")).hint(login.clone())
        }
        Some((_, source @ TokenSource::Environment)) => error
            .cause(format!("the token came from {source}"))
            .hint(format!("unset {} and run {login}, or set it to a valid token", env::TOKEN)),
    }
}

/// Shows only the origin of the target, because its path and query may contain a session.
fn redirect(status: u16, location: Option<&str>, options: &ClientOptions) -> CliError {
    let error =
        CliError::new(Code::UnexpectedResponse, format!("{} redirects to another address", options.url))
            .cause(format!("status {status}; the redirect was not followed, to protect the token"))
            .response(status, None);
    let target =
        location.and_then(|text| Url::parse(text).ok()).map(|url| url.origin().ascii_serialization());
    match target {
        Some(target) => error.hint(format!("if the service moved: poolctl login --url {target}")),
        None => error.hint("check the URL; a login proxy must let the admin API through"),
    }
}

/// Returns the chain of causes of an error, without the URL, which the message contains.
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
    if text.is_empty() { "the connection was closed".to_owned() } else { text }
}
