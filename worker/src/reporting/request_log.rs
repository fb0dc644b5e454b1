//! The request log and the request counter: when a response has ended, one JSON line per request,
//! and for the data plane one count in the ledger.
//!
//! Both planes record facts about a request as they find them. Everything that works for the
//! request holds a [`RequestLog`]; a request is logged and counted when its last handle is dropped.
//!
//! # Invariants
//!
//! * A request is counted once, however it ends: complete, rejected, truncated, or abandoned by its
//!   client.
//! * No secret is logged, and there is no line per chunk of a stream.
//! * No text of a client is logged, except what Gemini or a store repeats of it in an error.

mod line;

use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use pool_shared::{AdminTokenId, AttemptOutcome, ClientKeyId, PoolId};

use super::{Log, LogLevel, Reporter};
use crate::platform::lock;
use pool_translate::ApiError;
use pool_translate::gemini::{ModelId, redact_keys};

pub(crate) use line::LoggedAttempt;
use line::{Counting, Line};

/// Maximum length of a logged cause, in characters.
const MAX_CAUSE_CHARS: usize = 1_000;

impl Log {
    /// Starts the line of a request.
    pub(crate) fn begin(&self, plane: &'static str, request_id: &str, now: Timestamp) -> RequestLog {
        let line = Line::new(plane, request_id, now);
        RequestLog(Some(Arc::new(Entry { log: self.clone(), line: Mutex::new(line) })))
    }
}

/// A handle of a request's line. When the last one is dropped, the line is written and the request
/// counted.
#[derive(Clone, Default)]
pub(crate) struct RequestLog(Option<Arc<Entry>>);

impl RequestLog {
    fn note(&self, note: impl FnOnce(&mut Line)) {
        if let Some(entry) = &self.0 {
            note(&mut lock(&entry.line));
        }
    }

    /// Sets the route: never the path itself, which may have any text of a client.
    pub(crate) fn route(&self, method: &str, route: &'static str) {
        self.note(|line| (line.method, line.route) = (Some(method.to_owned()), Some(route)));
    }

    /// Sets the pool.
    pub(crate) fn pool(&self, pool: &PoolId) {
        self.note(|line| line.pool = Some(pool.clone()));
    }

    /// Sets the admin token.
    pub(crate) fn actor(&self, actor: &AdminTokenId) {
        self.note(|line| line.actor = Some(actor.clone()));
    }

    /// Sets the code of the error.
    pub(crate) fn class(&self, class: impl Into<String>) {
        self.note(|line| line.class = class.into());
    }

    /// Marks the request to be counted for a pool: its client key is known.
    pub(crate) fn count_for(
        &self,
        reporter: &Arc<Reporter>,
        pool: &PoolId,
        client_key: Option<&ClientKeyId>,
    ) {
        self.note(|line| {
            reporter.in_flight.begin_request();
            let (pool, client_key) = (pool.clone(), client_key.cloned());
            line.counting = Some(Counting { reporter: Arc::clone(reporter), pool, client_key });
        });
    }

    /// Sets the requested Gemini model; none if the pool does not offer it.
    pub(crate) fn model(&self, model: Option<&ModelId>) {
        self.note(|line| line.asks_for(model.map(ModelId::as_str)));
    }

    /// Records that a limit of the client key is reached.
    pub(crate) fn over_limit(&self) {
        self.note(|line| line.over_limit = true);
    }

    /// Records that the client disconnected before the request was complete.
    pub(crate) fn client_left(&self) {
        self.note(|line| line.client_left = true);
    }

    /// Records why the pool made no attempt.
    pub(crate) fn unserved(&self, why: Option<AttemptOutcome>) {
        self.note(|line| line.unserved = why);
    }

    /// Records the error of the response, by status or within a response that has begun.
    pub(crate) fn refused(&self, error: &ApiError) {
        self.note(|line| {
            line.refused = Some(error.code.unwrap_or(error.kind));
            line.broke_off = line.status.is_some();
        });
        self.cause_of(error);
    }

    /// Records that the response is truncated here, with an error event.
    pub(crate) fn broke_off(&self, error: &ApiError, now: Timestamp) {
        self.refused(error);
        self.note(|line| line.ended(now));
    }

    /// Records the cause of an error that is not the client's.
    pub(crate) fn cause_of(&self, error: &ApiError) {
        if error.status.is_server_error() {
            self.cause(error.cause.as_deref().unwrap_or(&error.message));
        }
    }

    /// Records why the service failed.
    pub(crate) fn cause(&self, cause: &str) {
        let cause: String = redact_keys(cause).chars().take(MAX_CAUSE_CHARS).collect();
        self.note(|line| line.cause = Some(cause));
    }

    /// Restricts the line to the level `debug`, because there are many like it.
    pub(crate) fn leave_out(&self) {
        self.note(|line| line.left_out = true);
    }

    /// Records that the response's status and headers are ready.
    pub(crate) fn answered(&self, status: u16, now: Timestamp) {
        self.note(|line| {
            line.status = Some(status);
            line.ended(now);
        });
    }

    /// Records a finished attempt.
    pub(crate) fn attempt(&self, attempt: &LoggedAttempt<'_>) {
        let is_told = self.0.as_ref().is_some_and(|entry| entry.log.level >= LogLevel::Debug);
        self.note(|line| line.attempt(attempt, is_told));
    }
}

/// Records that the client disconnected, unless the request's end was recorded before.
pub(crate) struct UntilTold(RequestLog, bool);

impl UntilTold {
    pub(crate) const fn new(log: RequestLog) -> Self {
        Self(log, false)
    }

    /// Ends the watch: from now on the request's end is recorded elsewhere.
    pub(crate) const fn told(&mut self) {
        self.1 = true;
    }

    /// See [`RequestLog::broke_off`].
    pub(crate) fn broke_off(&mut self, error: &ApiError, now: Timestamp) {
        self.told();
        self.0.broke_off(error, now);
    }

    /// Returns the log.
    pub(crate) fn log(&self) -> RequestLog {
        self.0.clone()
    }
}

impl Drop for UntilTold {
    fn drop(&mut self) {
        if !self.1 {
            self.0.client_left();
        }
    }
}

struct Entry {
    log: Log,
    line: Mutex<Line>,
}

impl Drop for Entry {
    fn drop(&mut self) {
        let line = self.line.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(stopped_at) = self.log.stopped_at.get().filter(|_| line.status.is_none()) {
            line.shut_down(*stopped_at);
        }
        line.finalize();
        if let Some(counting) = line.counting.take() {
            counting.count(line);
        }
        let is_left_out = line.left_out && self.log.level < LogLevel::Debug;
        if self.log.level == LogLevel::Off || line.level > self.log.level || is_left_out {
            return;
        }
        // Plain strings and numbers: serialising them cannot fail.
        (self.log.write)(serde_json::to_string(line).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests;
