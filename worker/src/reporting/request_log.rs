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

use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use pool_shared::{AdminTokenId, AttemptOutcome, ClientKeyId, KeyId, PoolId, RequestOutcome};
use serde::Serialize;

use super::{Log, LogLevel, Reporter};
use crate::ledger::{Request, UNKNOWN_MODEL};
use crate::platform::lock;
use pool_translate::Usage;
use pool_translate::gemini::{ModelId, redact_keys};
use pool_translate::openai::ApiError;

/// Characters of a cause that are logged at most.
const MAX_CAUSE_CHARS: usize = 1_000;

impl Log {
    /// Begins the line of a request.
    pub(crate) fn begin(&self, plane: &'static str, request_id: &str, now: Timestamp) -> RequestLog {
        let line = Line { ts: now, plane, request_id: request_id.to_owned(), ..Line::default() };
        RequestLog(Some(Arc::new(Entry { log: self.clone(), line: Mutex::new(line) })))
    }
}

/// The line of one request, held by whatever still works for it. When the last one lets go, it is
/// written, and the request is counted.
#[derive(Clone, Default)]
pub(crate) struct RequestLog(Option<Arc<Entry>>);

/// An attempt, as it is counted.
pub(crate) struct LoggedAttempt<'a> {
    pub key: &'a KeyId,
    pub model: &'a str,
    pub outcome: AttemptOutcome,
    pub usage: &'a Usage,
    /// When it began, and when the first and the last piece of its answer came.
    pub began: Timestamp,
    pub received: Option<(Timestamp, Timestamp)>,
}

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

/// For whom a request is counted.
struct Counting {
    reporter: Arc<Reporter>,
    pool: PoolId,
    client_key: Option<ClientKeyId>,
}

impl Counting {
    fn count(self, line: &Line) {
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

/// The Gemini model that a request asks for.
struct Asked {
    model: String,
    /// Whether attempts were made on it, and Gemini has it.
    was_called: bool,
}

/// What a line says. Times are in milliseconds since the request came.
#[derive(Default, Serialize)]
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own that may come in any order")]
struct Line {
    ts: Timestamp,
    level: LogLevel,
    plane: &'static str,
    request_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<AdminTokenId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pool: Option<PoolId>,
    /// The key of the last attempt, by its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<KeyId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    /// None when the client left before there was one.
    status: Option<u16>,
    /// `ok`, the error's code, or how the last attempt ended.
    class: String,
    /// Why the service could not do what was asked: with every 5xx.
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<String>,
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
    /// How the last attempt ended.
    #[serde(skip)]
    outcome: Option<AttemptOutcome>,
    #[serde(skip)]
    unserved: Option<AttemptOutcome>,
    #[serde(skip)]
    refused: Option<&'static str>,
    /// An error was sent in a response that had begun.
    #[serde(skip)]
    broke_off: bool,
    #[serde(skip)]
    over_limit: bool,
    /// One of many alike.
    #[serde(skip)]
    left_out: bool,
    #[serde(skip)]
    client_left: bool,
    #[serde(skip)]
    asked: Option<Asked>,
    #[serde(skip)]
    counting: Option<Counting>,
}

/// One attempt, at the level `debug`.
#[derive(Serialize)]
struct Tried {
    key: KeyId,
    model: String,
    outcome: AttemptOutcome,
    began_ms: i64,
}

impl Line {
    fn since_start(&self, at: Timestamp) -> i64 {
        at.as_millisecond() - self.ts.as_millisecond()
    }

    fn ended(&mut self, at: Timestamp) {
        self.ms = self.ms.max(self.since_start(at));
    }

    fn asks_for(&mut self, model: Option<&str>) {
        if let Some(model) = model {
            self.model.get_or_insert_with(|| redact_keys(model));
        }
        self.asked = Some(Asked { model: model.unwrap_or(UNKNOWN_MODEL).to_owned(), was_called: false });
    }

    /// Adds up an attempt, and lists it where the level wants that.
    fn attempt(&mut self, attempt: &LoggedAttempt<'_>, is_told: bool) {
        // A caller may take a key for a model's name.
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

    /// The service has ended the request at its stop.
    fn shut_down(&mut self, at: Timestamp) {
        let error = ApiError::shutting_down();
        (self.status, self.refused) = (Some(error.status.as_u16()), error.code);
        self.cause.get_or_insert(error.message);
        self.ended(at);
    }

    /// Decides what the line amounts to.
    fn finalize(&mut self) {
        if self.class.is_empty() {
            self.class = match (self.outcome.or(self.unserved), self.refused) {
                // The client saw an error, and did not leave: the service ended the attempt.
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

    /// How it ended for the client. A response that had begun ended as its last attempt did.
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

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn lines(level: LogLevel, work: impl FnOnce(&RequestLog)) -> Vec<Value> {
        let written = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&written);
        let log =
            Log::new(level, move |line| sink.lock().unwrap().push(serde_json::from_str(&line).unwrap()));
        let request = log.begin("data", "req_1", Timestamp::UNIX_EPOCH);
        work(&request);
        assert_eq!(written.lock().unwrap().len(), 0, "before the last one lets go");
        drop(request);
        let mut written = written.lock().unwrap();
        std::mem::take(&mut *written)
    }

    fn attempt(request: &RequestLog, outcome: AttemptOutcome, model: &str) {
        let at = |ms| Timestamp::from_millisecond(ms).unwrap();
        let usage = Usage { prompt: 3, completion: 2, ..Usage::default() };
        let (key, received) = (KeyId::new("key-1"), Some((at(20), at(90))));
        request.attempt(&LoggedAttempt { key: &key, model, outcome, usage: &usage, began: at(5), received });
    }

    #[test]
    fn what_has_no_response_when_the_service_stops_was_not_left_by_its_client() {
        let at = |ms| Timestamp::from_millisecond(ms).unwrap();
        for (stops, class, status) in
            [(false, "client_left", Value::Null), (true, "shutting_down", 503.into())]
        {
            let written = lines(LogLevel::Info, |request| {
                request.route("POST", "/v1/chat/completions");
                attempt(request, AttemptOutcome::ClientLeft, "gemini-3.5-flash");
                if stops {
                    request.0.as_ref().unwrap().log.stop(at(30_000));
                }
            });
            assert_eq!((&written[0]["class"], &written[0]["status"]), (&class.into(), &status));
            assert_eq!(written[0]["ms"], if stops { 30_000 } else { 90 });
        }
    }

    #[test]
    fn a_request_is_one_line_when_its_stream_has_ended() {
        let written = lines(LogLevel::Info, |request| {
            request.route("POST", "/v1/chat/completions");
            request.pool(&PoolId::new("pool-1"));
            let stream = request.clone();
            request.answered(200, Timestamp::from_millisecond(21).unwrap());
            attempt(&stream, AttemptOutcome::Ok, "gemini-3.8-flash");
        });
        let expected = serde_json::json!({
            "ts": "1970-01-01T00:00:00Z", "level": "info", "plane": "data", "request_id": "req_1",
            "method": "POST", "route": "/v1/chat/completions", "pool": "pool-1", "key": "key-1",
            "model": "gemini-3.8-flash", "status": 200, "class": "ok", "attempts": 1, "first_ms": 20,
            "ms": 90, "prompt_tokens": 3, "completion_tokens": 2,
        });
        assert_eq!(written, [expected]);
    }

    #[test]
    fn a_level_lets_through_what_it_says() {
        for (status, outcome, is_error) in [
            (200, AttemptOutcome::Ok, false),
            (200, AttemptOutcome::ClientLeft, false),
            (200, AttemptOutcome::Network, true),
            (400, AttemptOutcome::Caller, false),
            (429, AttemptOutcome::Quota, false),
            (503, AttemptOutcome::Key, true),
        ] {
            for (level, expected) in [
                (LogLevel::Off, 0),
                (LogLevel::Error, usize::from(is_error)),
                (LogLevel::Info, 1),
                (LogLevel::Debug, 1),
            ] {
                let written = lines(level, |request| {
                    attempt(request, outcome, "x");
                    request.answered(status, Timestamp::UNIX_EPOCH);
                });
                assert_eq!(written.len(), expected, "{status} {outcome:?} at {level:?}");
                let tried = written.first().map_or(0, |line| line["tried"].as_array().map_or(0, Vec::len));
                assert_eq!(tried, usize::from(level == LogLevel::Debug));
            }
        }
    }

    #[test]
    fn a_key_in_a_model_s_place_is_not_written() {
        let key = format!("AIza{}", "Sy0-_x".repeat(6));
        let written = lines(LogLevel::Debug, |request| attempt(request, AttemptOutcome::ClientLeft, &key));
        assert!(!written[0].to_string().contains(&key));
    }

    #[test]
    fn levels_have_names() {
        for (text, level) in [("", LogLevel::Info), ("Error", LogLevel::Error), ("off", LogLevel::Off)] {
            assert_eq!(LogLevel::parse(text), Ok(level));
        }
        assert!(LogLevel::parse("verbose").is_err());
    }
}
