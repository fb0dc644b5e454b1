//! Errors of commands: message, causes, hint and exit code. Every module returns a [`CliError`];
//! `output` writes it as text or JSON. An error never contains a secret.

use std::{error::Error, fmt, io, path::Path};

use pool_shared::ErrorCode;
use serde::Serialize;
use serde_json::{Value, json};

/// Exit codes of the process. They are a contract: a number never changes its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Success.
    Ok = 0,
    /// Failed for another reason.
    Failure = 1,
    /// Invalid command line, input or setting; nothing was changed.
    Usage = 2,
    /// Partly done: some items failed.
    Partial = 3,
    /// No token, or a token that is invalid or lacks the scope.
    Unauthorized = 4,
    /// No such pool, key or client key.
    NotFound = 5,
    /// Conflict with an existing resource.
    Conflict = 6,
    /// The service is unreachable or too slow.
    Unreachable = 7,
    /// `diff` found changes that `apply` would make.
    Pending = 8,
    /// Interrupted by Ctrl-C.
    Interrupted = 130,
}

impl Exit {
    /// Every code and its meaning, for `poolctl help exit-codes`.
    pub const MEANINGS: [(Self, &str); 10] = [
        (Self::Ok, "done"),
        (Self::Failure, "failed for another reason"),
        (Self::Usage, "invalid command line, input or setting; nothing was changed"),
        (Self::Partial, "partly done; the result lists the failed items"),
        (Self::Unauthorized, "no token, or a token that is invalid or lacks the scope"),
        (Self::NotFound, "no such pool, key, client key or token"),
        (Self::Conflict, "conflicts with an existing resource"),
        (Self::Unreachable, "service unreachable or too slow"),
        (Self::Pending, "diff found changes to apply"),
        (Self::Interrupted, "interrupted; completed changes are kept"),
    ];
}

/// Result of a command that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Success.
    Done,
    /// Partly done; the result lists the failed items.
    Partial,
    /// The checked service is unhealthy (`health`, `doctor`).
    Unhealthy,
    /// `diff` found changes.
    Pending,
}

impl From<Outcome> for Exit {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Done => Self::Ok,
            Outcome::Partial => Self::Partial,
            Outcome::Unhealthy => Self::Failure,
            Outcome::Pending => Self::Pending,
        }
    }
}

/// Machine-readable error code: the service's codes and those of this program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// An error of the service.
    Service(ErrorCode),
    /// Invalid command line, input or setting.
    Usage,
    /// A confirmation is required, but there is no terminal.
    ConfirmationRequired,
    /// Conflict with an existing local resource.
    Conflict,
    /// No token for this service.
    NotLoggedIn,
    /// The service is unreachable.
    Unreachable,
    /// The service did not respond in time.
    Timeout,
    /// A response that the pool service does not send.
    UnexpectedResponse,
    /// A local file or the credential store cannot be used.
    Local,
    /// The confirmation was declined.
    Declined,
    /// Ctrl-C.
    Interrupted,
    /// The output was closed, as by `head`; exit code 0.
    BrokenPipe,
}

impl Code {
    fn exit(self) -> Exit {
        match self {
            Self::Service(ErrorCode::Unauthorized | ErrorCode::Forbidden) | Self::NotLoggedIn => {
                Exit::Unauthorized
            }
            Self::Service(ErrorCode::NotFound) => Exit::NotFound,
            Self::Service(ErrorCode::Conflict) | Self::Conflict => Exit::Conflict,
            Self::Service(_) | Self::UnexpectedResponse | Self::Local | Self::Declined => Exit::Failure,
            Self::Usage | Self::ConfirmationRequired => Exit::Usage,
            Self::Unreachable | Self::Timeout => Exit::Unreachable,
            Self::Interrupted => Exit::Interrupted,
            Self::BrokenPipe => Exit::Ok,
        }
    }
}

impl Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let name = match self {
            Self::Service(code) => return code.serialize(serializer),
            Self::Usage => "usage",
            Self::ConfirmationRequired => "confirmation_required",
            Self::Conflict => "conflict",
            Self::NotLoggedIn => "not_logged_in",
            Self::Unreachable => "unreachable",
            Self::Timeout => "timeout",
            Self::UnexpectedResponse => "unexpected_answer",
            Self::Local => "local",
            Self::Declined => "declined",
            Self::Interrupted => "interrupted",
            Self::BrokenPipe => "broken_pipe",
        };
        serializer.serialize_str(name)
    }
}

/// Why a command failed.
#[derive(Debug)]
pub struct CliError(Box<Detail>);

#[derive(Debug)]
struct Detail {
    code: Code,
    message: String,
    causes: Vec<String>,
    hint: Option<String>,
    status: Option<u16>,
    request_id: Option<String>,
}

impl CliError {
    /// Creates an error with a message.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self(Box::new(Detail {
            code,
            message: message.into(),
            causes: Vec::new(),
            hint: None,
            status: None,
            request_id: None,
        }))
    }

    /// Invalid command line, input or setting.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Code::Usage, message)
    }

    /// Creates the error for a file that cannot be read or written.
    pub fn file(verb: &str, path: &Path, error: &dyn Error) -> Self {
        Self::new(Code::Local, format!("cannot {verb} {}", path.display())).cause(error.to_string())
    }

    /// Ctrl-C.
    pub fn interrupted() -> Self {
        Self::new(Code::Interrupted, "interrupted")
    }

    /// Adds a cause; the first one is the most direct.
    #[must_use]
    pub fn cause(mut self, cause: impl Into<String>) -> Self {
        self.0.causes.push(cause.into());
        self
    }

    /// Sets the hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Sets the HTTP status and the request id of the response.
    #[must_use]
    pub fn response(mut self, status: u16, request_id: Option<String>) -> Self {
        self.0.status = Some(status);
        self.0.request_id = request_id.filter(|id| !id.is_empty());
        self
    }

    /// Returns the machine-readable code.
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// Returns the exit code.
    pub fn exit(&self) -> Exit {
        self.0.code.exit()
    }

    /// Returns `{"error":{"code","message","hint","status","request_id"}}`. Every field is present,
    /// `null` if unknown. The causes are part of the message.
    pub fn to_json(&self) -> Value {
        let message = std::iter::once(self.0.message.as_str())
            .chain(self.0.causes.iter().map(String::as_str))
            .collect::<Vec<_>>()
            .join(": ");
        json!({"error": {
            "code": self.0.code,
            "message": message,
            "hint": self.0.hint,
            "status": self.0.status,
            "request_id": self.0.request_id,
        }})
    }
}

/// Text form without colour: the message, then lines `  cause: …`, `  request: …` and `  hint: …`.
impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        for cause in &self.0.causes {
            write!(f, "\n  cause: {cause}")?;
        }
        // The request id identifies an internal error in the service's log.
        if let (Some(id), Some(500..)) = (&self.0.request_id, self.0.status) {
            write!(f, "\n  request: {id}")?;
        }
        if let Some(hint) = &self.0.hint {
            write!(f, "\n  hint: {hint}")?;
        }
        Ok(())
    }
}

/// For writing results only; other I/O names its file with [`CliError::file`].
impl From<io::Error> for CliError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::new(Code::BrokenPipe, "output closed"),
            _ => Self::new(Code::Local, "cannot write the result").cause(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_exit_code() {
        let exits = [
            (Code::Service(ErrorCode::Unauthorized), 4),
            (Code::Service(ErrorCode::Forbidden), 4),
            (Code::NotLoggedIn, 4),
            (Code::Service(ErrorCode::NotFound), 5),
            (Code::Service(ErrorCode::Conflict), 6),
            (Code::Service(ErrorCode::Unavailable), 1),
            (Code::Service(ErrorCode::Unknown), 1),
            (Code::UnexpectedResponse, 1),
            (Code::Local, 1),
            (Code::Usage, 2),
            (Code::ConfirmationRequired, 2),
            (Code::Unreachable, 7),
            (Code::Timeout, 7),
            (Code::Interrupted, 130),
            (Code::BrokenPipe, 0),
        ];
        for (code, exit) in exits {
            assert_eq!(CliError::new(code, "").exit() as u8, exit, "{code:?}");
        }
    }

    #[test]
    fn the_json_form_has_five_fields_and_the_human_form_says_the_same() {
        let error = CliError::new(Code::Service(ErrorCode::NotFound), "no pool prd")
            .response(404, Some("r-1".into()))
            .hint("did you mean prod?");
        assert_eq!(
            error.to_json(),
            json!({"error": {"code": "not_found", "message": "no pool prd", "hint": "did you mean prod?",
                "status": 404, "request_id": "r-1"}})
        );
        assert_eq!(error.to_string(), "no pool prd\n  hint: did you mean prod?");
        let fault =
            CliError::new(Code::Service(ErrorCode::Internal), "broken").response(500, Some("r-1".into()));
        assert_eq!(fault.to_string(), "broken\n  request: r-1");
        let bare = CliError::usage("a").cause("b").to_json();
        assert_eq!(bare["error"]["message"], "a: b");
        assert!(bare["error"]["hint"].is_null() && bare["error"]["status"].is_null());
    }
}
