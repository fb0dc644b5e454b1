//! The line of the request log, and how its facts decide what is logged and counted.

use std::sync::Arc;

use jiff::Timestamp;
use pool_shared::{AdminTokenId, AttemptOutcome, ClientKeyId, KeyId, PoolId, RequestOutcome};
use serde::Serialize;

use super::super::{LogLevel, Reporter};
use crate::ledger::{Request, UNKNOWN_MODEL};
use pool_translate::ApiError;
use pool_translate::Usage;
use pool_translate::gemini::redact_keys;

/// A finished attempt, for the log.
pub(crate) struct LoggedAttempt<'a> {
    pub key: &'a KeyId,
    pub model: &'a str,
    pub outcome: AttemptOutcome,
    pub usage: &'a Usage,
    /// When it began, and when the first and the last chunk of its response arrived.
    pub began: Timestamp,
    pub received: Option<(Timestamp, Timestamp)>,
}

/// The pool and client key for which a request is counted.
pub(super) struct Counting {
    pub(super) reporter: Arc<Reporter>,
    pub(super) pool: PoolId,
    pub(super) client_key: Option<ClientKeyId>,
}

impl Counting {
    pub(super) fn count(self, line: &Line) {
        let Self { reporter, pool, client_key } = self;
        let model = match &line.asked {
            None => String::new(),
            Some(Asked { model, was_called }) if *was_called || reporter.pools.knows_model(&pool, model) => {
                model.clone()
            }
            Some(_) => UNKNOWN_MODEL.to_owned(),
        };
        reporter.count_request(Request {
            pool,
            client_key,
            model,
            outcome: line.request_outcome(),
            began: line.ts,
            took: std::time::Duration::from_millis(line.ms.try_into().unwrap_or_default()),
            attempts: line.attempts.unwrap_or_default(),
        });
    }
}

/// The requested Gemini model.
struct Asked {
    model: String,
    /// Gemini has the model, and attempts were made on it.
    was_called: bool,
}

/// The content of a line. Times are in milliseconds since the request arrived.
#[derive(Default, Serialize)]
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own that may come in any order")]
pub(super) struct Line {
    ts: Timestamp,
    pub(super) level: LogLevel,
    plane: &'static str,
    request_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) method: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) route: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) actor: Option<AdminTokenId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pool: Option<PoolId>,
    /// The key of the last attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<KeyId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    /// None if the client disconnected before.
    pub(super) status: Option<u16>,
    /// `ok`, the code of the error, or the outcome of the last attempt.
    pub(super) class: String,
    /// Why the service failed: with every 5xx.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cause: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_ms: Option<i64>,
    ms: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    completion_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tried: Vec<Tried>,
    /// The outcome of the last attempt.
    #[serde(skip)]
    outcome: Option<AttemptOutcome>,
    #[serde(skip)]
    pub(super) unserved: Option<AttemptOutcome>,
    #[serde(skip)]
    pub(super) refused: Option<&'static str>,
    /// An error was sent in a response that had begun.
    #[serde(skip)]
    pub(super) broke_off: bool,
    #[serde(skip)]
    pub(super) over_limit: bool,
    /// The line is written at the level `debug` only.
    #[serde(skip)]
    pub(super) left_out: bool,
    #[serde(skip)]
    pub(super) client_left: bool,
    #[serde(skip)]
    asked: Option<Asked>,
    #[serde(skip)]
    pub(super) counting: Option<Counting>,
}

/// An attempt, at the level `debug`.
#[derive(Serialize)]
struct Tried {
    key: KeyId,
    model: String,
    outcome: AttemptOutcome,
    began_ms: i64,
}

impl Line {
    pub(super) fn new(plane: &'static str, request_id: &str, ts: Timestamp) -> Self {
        Self { ts, plane, request_id: request_id.to_owned(), ..Self::default() }
    }

    fn since_start(&self, at: Timestamp) -> i64 {
        at.as_millisecond() - self.ts.as_millisecond()
    }

    pub(super) fn ended(&mut self, at: Timestamp) {
        self.ms = self.ms.max(self.since_start(at));
    }

    pub(super) fn asks_for(&mut self, model: Option<&str>) {
        if let Some(model) = model {
            self.model.get_or_insert_with(|| redact_keys(model));
        }
        self.asked = Some(Asked { model: model.unwrap_or(UNKNOWN_MODEL).to_owned(), was_called: false });
    }

    /// Adds an attempt to the totals, and at `debug` to the list.
    pub(super) fn attempt(&mut self, attempt: &LoggedAttempt<'_>, is_told: bool) {
        // A client may have sent a key as a model's name.
        let model = redact_keys(attempt.model);
        if let Some((first, last)) = attempt.received {
            self.first_ms = Some(self.since_start(first));
            self.ended(last);
        }
        self.attempts = Some(self.attempts.unwrap_or_default() + 1);
        let count = |total: &mut Option<u64>, more| *total = Some(total.unwrap_or_default() + more);
        count(&mut self.prompt_tokens, attempt.usage.prompt);
        count(&mut self.completion_tokens, attempt.usage.completion);
        self.outcome = Some(attempt.outcome);
        if let Some(asked) = self.asked.as_mut().filter(|asked| asked.model == attempt.model) {
            asked.was_called = true;
        }
        self.key = Some(attempt.key.clone());
        if is_told {
            let (model, began_ms) = (model.clone(), self.since_start(attempt.began));
            self.tried.push(Tried { key: attempt.key.clone(), model, outcome: attempt.outcome, began_ms });
        }
        self.model = Some(model);
    }

    /// Records that the service ended the request at its shutdown.
    pub(super) fn shut_down(&mut self, at: Timestamp) {
        let error = ApiError::shutting_down();
        (self.status, self.refused) = (Some(error.status.as_u16()), error.code);
        self.cause.get_or_insert(error.message);
        self.ended(at);
    }

    /// Derives the class and the level.
    pub(super) fn finalize(&mut self) {
        if self.class.is_empty() {
            self.class = match (self.outcome.or(self.unserved), self.refused) {
                // The client saw an error and did not disconnect: the service ended the attempt.
                (Some(AttemptOutcome::ClientLeft) | None, Some(code)) => code,
                (Some(outcome), _) => outcome.name(),
                (None, None) if self.client_left || self.status.is_none() => {
                    AttemptOutcome::ClientLeft.name()
                }
                (None, None) => "ok",
            }
            .to_owned();
        }
        let failed = match self.status {
            Some(status) => status >= 500 || self.request_outcome() == RequestOutcome::Truncated,
            None => false,
        };
        self.level = if failed { LogLevel::Error } else { LogLevel::Info };
    }

    /// Returns the outcome for the client. A response that had begun ended like its last attempt.
    fn request_outcome(&self) -> RequestOutcome {
        use AttemptOutcome::{ClientLeft, Ok};
        match self.status {
            None => RequestOutcome::ClientDisconnected,
            Some(200) if self.broke_off => RequestOutcome::Truncated,
            Some(_) if self.client_left => RequestOutcome::ClientDisconnected,
            Some(429) if self.over_limit => RequestOutcome::RateLimited,
            Some(429) => RequestOutcome::QuotaExhausted,
            Some(500..) => RequestOutcome::ServerError,
            Some(400..) => RequestOutcome::InvalidRequest,
            Some(_) => match self.outcome {
                None | Some(Ok) => RequestOutcome::Ok,
                Some(ClientLeft) => RequestOutcome::ClientDisconnected,
                Some(_) => RequestOutcome::Truncated,
            },
        }
    }
}
