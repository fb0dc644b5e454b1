//! The request log and the request counter: one JSON line for each request, and for each of the data plane one count in the
//! ledger, when the response has ended.
//!
//! Both planes note what they find out about a request on its way. Whatever works for the request holds its
//! [`RequestLog`]; the last holder's drop writes the line and counts the request.
//!
//! # Invariants
//!
//! * A request is counted once, however it ends: complete, refused, truncated, or abandoned by its client.
//! * No secret is logged, and no line for each chunk of a stream.
//! * No text that a client wrote is logged, but for what Gemini or a store repeats of it in an error of their own.

mod line;

use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use pool_shared::{AdminTokenId, AttemptOutcome, ClientKeyId, PoolId};

use super::{Log, LogLevel, Reporter};
use crate::platform::lock;
use pool_translate::gemini::{ModelId, redact_keys};
use pool_translate::openai::ApiError;

pub(crate) use line::LoggedAttempt;
use line::{Counting, Line};

/// Characters of a cause that are logged at most.
const MAX_CAUSE_CHARS: usize = 1_000;

impl Log {
    /// Begins the line of a request.
    pub(crate) fn begin(&self, plane: &'static str, request_id: &str, now: Timestamp) -> RequestLog {
        let line = Line::new(plane, request_id, now);
        RequestLog(Some(Arc::new(Entry { log: self.clone(), line: Mutex::new(line) })))
    }
}

/// The line of one request, held by whatever still works for it. When the last one lets go, it is
/// written, and the request is counted.
#[derive(Clone, Default)]
pub(crate) struct RequestLog(Option<Arc<Entry>>);

impl RequestLog {
    fn note(&self, note: impl FnOnce(&mut Line)) {
        if let Some(entry) = &self.0 {
            note(&mut lock(&entry.line));
        }
    }

    /// By which route it came: never the path itself, in which a caller can write anything.
    pub(crate) fn route(&self, method: &str, route: &'static str) {
        self.note(|line| (line.method, line.route) = (Some(method.to_owned()), Some(route)));
    }

    /// Whose pool it is for.
    pub(crate) fn pool(&self, pool: &PoolId) {
        self.note(|line| line.pool = Some(pool.clone()));
    }

    /// Which admin token it came with.
    pub(crate) fn actor(&self, actor: &AdminTokenId) {
        self.note(|line| line.actor = Some(actor.clone()));
    }

    /// Why it was refused, in the word that programs look at.
    pub(crate) fn class(&self, class: impl Into<String>) {
        self.note(|line| line.class = class.into());
    }

    /// The request is to be counted for a pool: its client key is recognised.
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

    /// Which Gemini model it asks for; none for one that the pool does not offer.
    pub(crate) fn model(&self, model: Option<&ModelId>) {
        self.note(|line| line.asks_for(model.map(ModelId::as_str)));
    }

    /// A limit of its client key is reached.
    pub(crate) fn over_limit(&self) {
        self.note(|line| line.over_limit = true);
    }

    /// Its client disconnected before the whole request was there.
    pub(crate) fn client_left(&self) {
        self.note(|line| line.client_left = true);
    }

    /// What kept the pool from making an attempt.
    pub(crate) fn unserved(&self, why: Option<AttemptOutcome>) {
        self.note(|line| line.unserved = why);
    }

    /// It is answered with an error: by the status, or within a response that has begun.
    pub(crate) fn refused(&self, error: &ApiError) {
        self.note(|line| {
            line.refused = Some(error.code.unwrap_or(error.kind));
            line.broke_off = line.status.is_some();
        });
        self.cause_of(error);
    }

    /// The response ends here, before its time, with an error event.
    pub(crate) fn broke_off(&self, error: &ApiError, now: Timestamp) {
        self.refused(error);
        self.note(|line| line.ended(now));
    }

    /// Why the service could not do what was asked, if it is no fault of the client's.
    pub(crate) fn cause_of(&self, error: &ApiError) {
        if error.status.is_server_error() {
            self.cause(error.cause.as_deref().unwrap_or(&error.message));
        }
    }

    /// Why the service could not do what was asked.
    pub(crate) fn cause(&self, cause: &str) {
        let cause: String = redact_keys(cause).chars().take(MAX_CAUSE_CHARS).collect();
        self.note(|line| line.cause = Some(cause));
    }

    /// It is one of many alike: written at the level `debug` only.
    pub(crate) fn leave_out(&self) {
        self.note(|line| line.left_out = true);
    }

    /// The answer's status and headers are ready.
    pub(crate) fn answered(&self, status: u16, now: Timestamp) {
        self.note(|line| {
            line.status = Some(status);
            line.ended(now);
        });
    }

    /// A call to Gemini has come to its end.
    pub(crate) fn attempt(&self, attempt: &LoggedAttempt<'_>) {
        let is_told = self.0.as_ref().is_some_and(|entry| entry.log.level >= LogLevel::Debug);
        self.note(|line| line.attempt(attempt, is_told));
    }
}

/// Notes that the client disconnected, unless it was told before how the request ended.
pub(crate) struct UntilTold(RequestLog, bool);

impl UntilTold {
    pub(crate) const fn new(log: RequestLog) -> Self {
        Self(log, false)
    }

    /// From here on what works for the request notes how it ended.
    pub(crate) const fn told(&mut self) {
        self.1 = true;
    }

    /// See [`RequestLog::broke_off`].
    pub(crate) fn broke_off(&mut self, error: &ApiError, now: Timestamp) {
        self.told();
        self.0.broke_off(error, now);
    }

    /// The log itself.
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
