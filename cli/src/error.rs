//! What a command fails with: message, causes, hint, and the exit code that follows.
//!
//! In: the errors of every other room, turned into a [`CliError`] where their meaning is known.
//! Out: the human form and the JSON form; `output` writes them. Never in here: a secret.

use std::{error::Error, fmt, io, path::Path};

use pool_shared::ErrorCode;
use serde::Serialize;
use serde_json::{Value, json};

/// The process's exit codes. Scripts rely on them, so a number never changes its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// All done.
    Ok = 0,
    /// Failed for a reason without a code of its own.
    Failure = 1,
    /// The command line, the input file or the settings are wrong; nothing was done.
    Usage = 2,
    /// Done, except for some items.
    Partial = 3,
    /// No token, or one that is not accepted.
    Unauthorized = 4,
    /// No such pool, key or client key.
    NotFound = 5,
    /// It conflicts with an existing resource.
    Conflict = 6,
    /// The service does not answer.
    Unreachable = 7,
    /// `diff` found changes that `apply` would make.
    Pending = 8,
    /// Stopped by Ctrl-C.
    Interrupted = 130,
}

impl Exit {
    /// Every code and what it means. `poolctl help exit-codes` is made of it.
    pub const MEANINGS: [(Self, &str); 10] = [
        (Self::Ok, "done"),
        (Self::Failure, "failed, for a reason without a code of its own"),
        (Self::Usage, "wrong command line, input or setting; nothing was done"),
        (Self::Partial, "done, except for some items, which the result names"),
        (Self::Unauthorized, "no token, or one that is not accepted or may not do this"),
        (Self::NotFound, "no such pool, key, client key or token"),
        (Self::Conflict, "conflicts with an existing resource"),
        (Self::Unreachable, "service unreachable or too slow"),
        (Self::Pending, "diff: apply would change something"),
        (Self::Interrupted, "interrupted; what was done until then stays done"),
    ];
}

/// How a command that did not fail ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All done.
    Done,
    /// Done, except for some items, which the result names.
    Partial,
    /// The answer itself is bad news (`health`).
    Unhealthy,
    /// There is something to apply.
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

/// What went wrong, for programs: the service's own codes and those of this program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// The service said so.
    Service(ErrorCode),
    /// The command line, the input or a setting is wrong.
    Usage,
    /// A question would have to be asked and nobody is there to answer it.
    ConfirmationRequired,
    /// It conflicts with an existing resource on this machine.
    Conflict,
    /// There is no token for this service.
    NotLoggedIn,
    /// The service does not answer at its address.
    Unreachable,
    /// The service did not answer in time.
    Timeout,
    /// Something answered that is not the pool service.
    UnexpectedAnswer,
    /// A file of this program or the credential store cannot be used.
    Local,
    /// The person said no.
    Declined,
    /// Ctrl-C.
    Interrupted,
    /// Whoever read the output went away, as `head` does; not an error at all.
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
            Self::Service(_) | Self::UnexpectedAnswer | Self::Local | Self::Declined => Exit::Failure,
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
            Self::UnexpectedAnswer => "unexpected_answer",
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
    /// An error with a message that says what did not work.
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

    /// The command line, the input or a setting is wrong.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Code::Usage, message)
    }

    /// A file cannot be read or written.
    pub fn file(verb: &str, path: &Path, error: &dyn Error) -> Self {
        Self::new(Code::Local, format!("cannot {verb} {}", path.display())).cause(error.to_string())
    }

    /// Ctrl-C.
    pub fn interrupted() -> Self {
        Self::new(Code::Interrupted, "interrupted")
    }

    /// Adds why; the first cause stands nearest to the message.
    #[must_use]
    pub fn cause(mut self, cause: impl Into<String>) -> Self {
        self.0.causes.push(cause.into());
        self
    }

    /// Sets what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Sets the HTTP status and the request id of the answer that said so.
    #[must_use]
    pub fn answer(mut self, status: u16, request_id: Option<String>) -> Self {
        self.0.status = Some(status);
        self.0.request_id = request_id.filter(|id| !id.is_empty());
        self
    }

    /// What went wrong, for programs.
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// The exit code that follows.
    pub fn exit(&self) -> Exit {
        self.0.code.exit()
    }

    /// `{"error":{"code","message","hint","status","request_id"}}`; every field always, null when
    /// there is nothing to say. The causes are part of the message.
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

/// The human form without colour: `message`, then `  cause: …`, `  request: …` and `  hint: …` lines.
impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        for cause in &self.0.causes {
            write!(f, "\n  cause: {cause}")?;
        }
        // Whoever runs the service finds a fault of its own by this in its log.
        if let (Some(id), Some(500..)) = (&self.0.request_id, self.0.status) {
            write!(f, "\n  request: {id}")?;
        }
        if let Some(hint) = &self.0.hint {
            write!(f, "\n  hint: {hint}")?;
        }
        Ok(())
    }
}

/// Only for writing results: other input and output names its file, see [`CliError::file`].
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
            (Code::UnexpectedAnswer, 1),
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
            .answer(404, Some("r-1".into()))
            .hint("did you mean prod?");
        assert_eq!(
            error.to_json(),
            json!({"error": {"code": "not_found", "message": "no pool prd", "hint": "did you mean prod?",
                "status": 404, "request_id": "r-1"}})
        );
        assert_eq!(error.to_string(), "no pool prd\n  hint: did you mean prod?");
        let fault =
            CliError::new(Code::Service(ErrorCode::Internal), "broken").answer(500, Some("r-1".into()));
        assert_eq!(fault.to_string(), "broken\n  request: r-1");
        let bare = CliError::usage("a").cause("b").to_json();
        assert_eq!(bare["error"]["message"], "a: b");
        assert!(bare["error"]["hint"].is_null() && bare["error"]["status"].is_null());
    }
}
