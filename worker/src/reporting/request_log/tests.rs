//! The lines of the request log.

use pool_shared::KeyId;
use pool_translate::Usage;
use serde_json::Value;

use super::*;

fn lines(level: LogLevel, work: impl FnOnce(&RequestLog)) -> Vec<Value> {
    let written = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&written);
    let log = Log::new(level, move |line| sink.lock().unwrap().push(serde_json::from_str(&line).unwrap()));
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
    for (stops, class, status) in [(false, "client_left", Value::Null), (true, "shutting_down", 503.into())] {
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
