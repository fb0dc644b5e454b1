//! Streams whose events take their time, over a scripted Gemini and a clock that moves when told.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use pool_shared::{AttemptOutcome, ClientKeyCreated, EventList};

use super::super::tests::{ANSWER, MINUTE, World};
use crate::gateway::{Reply, Streamed};
use crate::platform::Clock;
use crate::reply::ReplyBody;
use crate::reporting::{Log, LogLevel};
use crate::testing::{FakeAnswer, FakeHost, Mode};
use pool_translate::ApiError;

const KEEP_ALIVE: &[u8] = b": keep-alive\n\n";
const TEXT: &[u8] = b"data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"Hello\"}]}}],\"usageMetadata\":{\"promptTokenCount\":3,\"candidatesTokenCount\":2,\"totalTokenCount\":5}}\n\n";
const END: &[u8] = b"data: {\"candidates\":[{\"finishReason\":\"STOP\"}],\"usageMetadata\":{\"promptTokenCount\":3,\"candidatesTokenCount\":4,\"totalTokenCount\":7}}\n\n";
const EMPTY: &[u8] = b"data: {\"candidates\":[{\"finishReason\":\"STOP\"}]}\n\n";
const SECOND: Duration = Duration::from_secs(1);

fn answer(after_s: u32, pieces: &[(u32, &'static [u8])]) -> FakeAnswer {
    let pieces = pieces.iter().map(|(after, piece)| (SECOND * *after, *piece)).collect();
    FakeAnswer { status: 200, after: SECOND * after_s, pieces, endless: false }
}

fn refusal(after_s: u32, body: &'static str) -> FakeAnswer {
    FakeAnswer { status: 429, ..answer(after_s, &[(0, body.as_bytes())]) }
}

/// A stream that is being read, and when its head came.
struct Reading<'a> {
    world: &'a World,
    reply: Reply<FakeHost>,
    head_s: i64,
    began: jiff::Timestamp,
}

impl World {
    async fn stream_with(&self, more: &str, answers: Vec<FakeAnswer>) -> Reading<'_> {
        for answer in answers {
            self.host.parts.upstream.answer_so(answer);
        }
        let began = self.host.clock_now();
        let authorization = format!("Bearer {}", self.pool.client_key.expose());
        let body = format!(
            r#"{{"model":"gemini-3.8-flash","messages":[{{"role":"user","content":"hi"}}],"stream":true{more}}}"#
        );
        let headers = [("authorization", authorization.as_str())];
        let path = "/v1/chat/completions";
        let open = self.host.open(&self.service, Method::POST, path, &headers, &body);
        let reply = Box::pin(self.host.in_time(open)).await;
        Reading { world: self, reply, head_s: self.since(began), began }
    }

    async fn stream(&self, answers: Vec<FakeAnswer>) -> Reading<'_> {
        self.stream_with("", answers).await
    }

    fn since(&self, began: jiff::Timestamp) -> i64 {
        self.host.clock_now().duration_since(began).as_secs()
    }

    async fn outcomes(&self) -> Vec<(AttemptOutcome, u64)> {
        let (_, body) = self.host.send(&self.service, Method::GET, "/admin/v1/stats", &self.admin, "").await;
        let stats: pool_shared::Stats = serde_json::from_str(&body).unwrap();
        let total = stats.total;
        assert_eq!(total.attempts, stats.activity.outcomes.values().sum::<u64>());
        stats.activity.outcomes.into_iter().collect()
    }
}

impl FakeHost {
    fn clock_now(&self) -> jiff::Timestamp {
        self.parts.clock.now()
    }
}

impl Reading<'_> {
    async fn next(&mut self) -> Option<Bytes> {
        match &mut self.reply.body {
            ReplyBody::Streamed(Streamed::Events(events)) => self.world.host.in_time(events.next()).await,
            _ => panic!("no stream: {}", self.reply.status),
        }
    }

    /// When each of the rest came, in seconds since the request, and how many of them are comments before the first
    /// event.
    async fn rest(mut self) -> (String, Vec<i64>) {
        let (mut text, mut comments) = (String::new(), Vec::new());
        while let Some(bytes) = self.next().await {
            if bytes == KEEP_ALIVE {
                comments.push(self.world.since(self.began));
            } else {
                text.push_str(std::str::from_utf8(&bytes).unwrap());
            }
        }
        (text, comments)
    }
}

#[tokio::test]
async fn a_stream_without_an_event_begins_after_15_seconds() {
    let world = World::new(1, "").await;
    let reading = world.stream(vec![answer(50, &[(0, TEXT), (31, END)])]).await;
    assert_eq!((reading.reply.status, reading.head_s), (StatusCode::OK, 15));
    assert_eq!(reading.reply.headers["content-type"], "text/event-stream; charset=utf-8");
    let (text, comments) = reading.rest().await;
    assert!(text.contains("Hello") && text.ends_with("data: [DONE]\n\n"), "{text}");
    assert_eq!(comments, [15, 30, 45, 65, 80], "also while the answer pauses");
    assert_eq!(world.outcomes().await, [(AttemptOutcome::Ok, 1)]);
}

#[tokio::test]
async fn a_stream_whose_first_event_comes_in_time_begins_with_it() {
    let world = World::new(2, "").await;
    let reading = world.stream(vec![refusal(7, MINUTE), answer(7, &[(0, TEXT), (0, END)])]).await;
    assert_eq!((reading.head_s, &reading.reply.headers["x-pool-attempts"]), (14, &"2".parse().unwrap()));
    let (text, comments) = reading.rest().await;
    assert!(text.ends_with("data: [DONE]\n\n") && comments.is_empty(), "{text}");
}

#[tokio::test]
async fn keys_change_behind_the_head_and_what_stays_wrong_is_an_event() {
    let world = World::new(3, "").await;
    let answers = vec![refusal(20, MINUTE), answer(0, &[(9, EMPTY)]), answer(9, &[(0, TEXT), (0, END)])];
    let (text, comments) = world.stream(answers).await.rest().await;
    assert!(text.contains("Hello") && text.ends_with("data: [DONE]\n\n"), "{text}");
    assert_eq!(comments, [15, 30]);
    assert_eq!(
        world.outcomes().await,
        [(AttemptOutcome::Ok, 1), (AttemptOutcome::Quota, 1), (AttemptOutcome::SoftFailure, 1)]
    );

    let world = World::new(1, "").await;
    let reading = world.stream(vec![refusal(20, MINUTE)]).await;
    assert_eq!(reading.reply.status, StatusCode::OK);
    let (text, _) = reading.rest().await;
    let error: serde_json::Value = serde_json::from_str(text.strip_prefix("data: ").unwrap()).unwrap();
    assert_eq!(error["error"]["code"], "rate_limit_exceeded", "{text}");
}

#[tokio::test]
async fn a_blocked_prompt_that_shall_be_an_error_is_one_behind_the_head_too() {
    const BLOCKED: &[u8] = b"data: {\"promptFeedback\":{\"blockReason\":\"SAFETY\"}}\n\n";
    let world = World::new(1, r#","translation":{"prompt_block":"error"}"#).await;
    let (text, _) = world.stream(vec![answer(20, &[(0, BLOCKED)])]).await.rest().await;
    assert!(text.starts_with("data: {") && text.ends_with("}\n\n"), "{text}");
    assert!(text.contains("content_policy_violation") && !text.contains("[DONE]"), "{text}");
}

#[tokio::test]
async fn several_choices_that_take_long_are_kept_alive() {
    let world = World::new(2, "").await;
    let whole = || answer(40, &[(0, ANSWER.as_bytes())]);
    let reading = world.stream_with(r#","n":2"#, vec![whole(), whole()]).await;
    let (text, comments) = reading.rest().await;
    assert_eq!((text.matches("Hello").count(), comments), (2, vec![15, 30]), "{text}");
}

#[tokio::test]
async fn no_comments_where_the_pool_wants_none_and_where_no_stream_is_wanted() {
    let world = World::new(1, r#","translation":{"keep_alive":"off"}"#).await;
    let reading = world.stream(vec![answer(50, &[(0, TEXT), (50, END)])]).await;
    assert_eq!(reading.head_s, 50);
    let (text, comments) = reading.rest().await;
    assert!(text.ends_with("data: [DONE]\n\n") && comments.is_empty(), "{text}");

    let world = World::new(1, "").await;
    world.host.parts.upstream.answer_so(answer(50, &[(0, ANSWER.as_bytes())]));
    let (reply, text) =
        Box::pin(world.host.in_time(world.chat("gemini-3.8-flash", r#","stream":false"#))).await;
    assert!(reply.status == StatusCode::OK && text.starts_with('{'), "{text}");
}

#[tokio::test]
async fn a_paced_stream_is_kept_alive() {
    let world = World::new(1, r#","translation":{"pacing":{"by":"characters"}}"#).await;
    let (text, comments) = world.stream(vec![answer(40, &[(0, TEXT), (0, END)])]).await.rest().await;
    assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
    assert_eq!(comments, [15, 30]);
}

#[tokio::test]
async fn what_a_left_stream_cost_is_counted_and_is_no_failure() {
    // Thoughts that are not shown: the client has got nothing yet, and Gemini counts.
    const THOUGHT: &[u8] = b"data: {\"usageMetadata\":{\"promptTokenCount\":3,\"thoughtsTokenCount\":6,\"totalTokenCount\":9}}\n\n";
    for events in [0, 2] {
        let world = World::new(1, "").await;
        let first = if events == 0 { THOUGHT } else { TEXT };
        let endless = FakeAnswer { endless: true, ..answer(0, &[(0, first)]) };
        let mut reading = world.stream(vec![endless]).await;
        for _ in 0..=events {
            assert!(reading.next().await.is_some());
        }
        drop(reading);
        assert_eq!(world.outcomes().await, [(AttemptOutcome::ClientLeft, 1)]);
        let (_, body) =
            world.host.send(&world.service, Method::GET, "/admin/v1/stats", &world.admin, "").await;
        let total = serde_json::from_str::<pool_shared::Stats>(&body).unwrap().total;
        assert_eq!((total.attempts, total.successes, total.failures), (1, 0, 0));
        assert_eq!((total.prompt_tokens, total.completion_tokens), (3, if events == 0 { 6 } else { 2 }));
    }
}

#[tokio::test]
async fn a_request_that_is_given_up_draws_on_the_limit_what_may_have_been_read_of_it() {
    const UNCOUNTED: &[u8] = b"data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"Hello\"}]}}]}\n\n";
    // An image is estimated at a few hundred tokens, whatever its length.
    let data = "A".repeat(800_000);
    let image = format!(
        r#","messages":[{{"role":"user","content":[{{"type":"image_url","image_url":{{"url":"data:image/png;base64,iVBORw0KGgoA{data}"}}}}]}}]"#
    );
    for (is_given_up, first, status) in [(false, TEXT, 200), (true, TEXT, 200), (true, UNCOUNTED, 429)] {
        let mut world = World::new(1, "").await;
        let path = format!("/admin/v1/pools/{}/client-keys", world.pool.pool.id);
        let create = r#"{"limits":{"tokens_per_minute":10000}}"#;
        let (_, created) = world.host.send(&world.service, Method::POST, &path, &world.admin, create).await;
        world.pool.client_key = serde_json::from_str::<ClientKeyCreated>(&created).unwrap().secret;
        let answered = FakeAnswer {
            endless: is_given_up,
            ..answer(0, &[(0, first), (0, END)][..=usize::from(!is_given_up)])
        };
        world.host.parts.upstream.answer_so(answered);
        let authorization = format!("Bearer {}", world.pool.client_key.expose());
        let headers = [("authorization", authorization.as_str())];
        let body = format!(r#"{{"model":"gemini-3.5-flash","stream":true{image}}}"#);
        let open = world.host.open(&world.service, Method::POST, "/v1/chat/completions", &headers, &body);
        let reply = Box::pin(world.host.in_time(open)).await;
        assert_eq!(reply.status, StatusCode::OK);
        let mut reading = Reading { world: &world, reply, head_s: 0, began: world.host.clock_now() };
        assert!(reading.next().await.is_some());
        if !is_given_up {
            while reading.next().await.is_some() {}
        }
        drop(reading);
        world.host.parts.upstream.clear();
        world.script(&[(200, ANSWER)]);
        let (reply, text) = world.chat("gemini-3.5-flash", "").await;
        assert_eq!(reply.status.as_u16(), status, "given up: {is_given_up}: {text}");
    }
}

#[tokio::test]
async fn a_timeout_names_the_limit_that_ran_out_and_what_was_waited_for() {
    let silent = |pieces| FakeAnswer { endless: true, ..answer(0, pieces) };
    for (answers, sign, took) in [
        (vec![silent(&[(0, TEXT)])], "nothing more of its response within 300 s", 300),
        (vec![silent(&[])], "nothing more of its response within 300 s", 300),
        (vec![answer(100_000, &[])], "no response headers within 900 s", 900),
    ] {
        let world = World::new(1, "").await;
        let reading = world.stream(answers).await;
        let (world_, began) = (reading.world, reading.began);
        let (text, _) = reading.rest().await;
        assert!(text.contains(sign) && text.contains(r#""code":"timeout""#), "{text}");
        assert_eq!(world_.since(began), took);
        let path = "/admin/v1/events";
        let (_, body) = world.host.send(&world.service, Method::GET, path, &world.admin, "").await;
        let events: EventList = serde_json::from_str(&body).unwrap();
        assert!(events.events[0].message.contains(sign), "{body}");
    }
    let world = World::new(1, "").await;
    world.host.parts.upstream.answer_so(answer(100_000, &[]));
    let (reply, text) = Box::pin(world.host.in_time(world.chat("gemini-3.8-flash", ""))).await;
    assert_eq!(reply.status, StatusCode::GATEWAY_TIMEOUT);
    assert!(text.contains("no complete response within 900 s"), "{text}");
}

#[tokio::test]
async fn one_wrong_byte_spoils_no_response() {
    const WRONG: &[u8] =
        b"{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\xffb\"}]},\"finishReason\":\"STOP\"}]}";
    const EVENT: &[u8] = b"data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\xffb\"}]},\"finishReason\":\"STOP\"}]}\n\n";
    const REFUSED: &[u8] = b"{\"error\":{\"code\":429,\"status\":\"RESOURCE_EXHAUSTED\",\"message\":\"You exceeded your current quota \xff\"}}";
    let world = World::new(2, "").await;
    world.host.parts.upstream.answer_so(answer(0, &[(0, WRONG)]));
    let (reply, text) = world.chat("gemini-3.8-flash", "").await;
    assert!(reply.status == StatusCode::OK && text.contains("a\u{fffd}b"), "{text}");
    world.host.parts.upstream.clear();
    let (text, _) = world.stream(vec![answer(0, &[(0, EVENT)])]).await.rest().await;
    assert!(text.contains("a\u{fffd}b") && text.ends_with("data: [DONE]\n\n"), "{text}");
    assert_eq!(world.outcomes().await, [(AttemptOutcome::Ok, 2)]);
    world.host.parts.upstream.clear();
    world.host.parts.upstream.answer_so(FakeAnswer { status: 429, ..answer(0, &[(0, REFUSED)]) });
    world.chat("gemini-3.8-flash", "").await;
    let path = "/admin/v1/events";
    let (_, text) = world.host.send(&world.service, Method::GET, path, &world.admin, "").await;
    assert!(text.contains("exceeded your current quota"), "{text}");
}

#[tokio::test]
async fn every_5xx_of_the_service_s_own_has_its_cause_in_its_log_line_once() {
    let world = World::new(1, "").await;
    let written = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&written);
    let log = Log::new(LogLevel::Error, move |line| sink.lock().unwrap().push(line));
    let cold = world.host.service_with_log(log);
    world.host.parts.database.switch.set(Mode::Fails);
    let body = r#"{"model":"gemini-3.8-flash","messages":[{"role":"user","content":"hi"}]}"#;
    for (method, path, token, body) in [
        (Method::POST, "/v1/chat/completions", &world.pool.client_key, body),
        (Method::GET, "/admin/v1/pools", &world.admin, ""),
    ] {
        let (reply, text) = world.host.send(&cold, method, path, token, body).await;
        assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE, "{text}");
        drop(reply);
        let lines = std::mem::take(&mut *written.lock().unwrap());
        let [line] = lines.as_slice() else { panic!("{lines:?}") };
        assert_eq!(line.matches("the fake store fails").count(), 1, "{line}");
        assert!(line.contains(r#""cause":""#), "{line}");
    }
    world.host.parts.database.switch.set(Mode::Works);
    // Another one's words are no less a cause, and never with a key in them.
    let key = format!("AIza{}", "Sy0-_x".repeat(6));
    let error = ApiError::server(StatusCode::BAD_GATEWAY, "x", "told").because(format!("no use of {key}"));
    cold.state.reporter.log.begin("data", "req_1", world.host.clock_now()).refused(&error);
    assert!(written.lock().unwrap().is_empty(), "an error before the answer is no 5xx yet");
    let line = cold.state.reporter.log.begin("data", "req_1", world.host.clock_now());
    line.refused(&error);
    line.answered(502, world.host.clock_now());
    drop(line);
    let lines = written.lock().unwrap();
    assert!(lines[0].contains("no use of") && !lines[0].contains(&key), "{lines:?}");
}

impl World {
    /// Returns the same with a service that logs.
    fn logging(mut self) -> (Self, Arc<Mutex<Vec<serde_json::Value>>>) {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&lines);
        let write = move |line: String| sink.lock().unwrap().push(serde_json::from_str(&line).unwrap());
        self.service = self.host.service_with_log(Log::new(LogLevel::Error, write));
        (self, lines)
    }
}

#[tokio::test]
async fn a_stream_that_breaks_off_is_logged_with_its_cause_and_until_its_end() {
    let silent = |pieces| FakeAnswer { endless: true, ..answer(0, pieces) };
    for (script, class, cause, seconds) in [
        (silent(&[(0, TEXT)]), "model", "nothing more of its response within 300 s", 300),
        (answer(100_000, &[]), "model", "no response headers within 900 s", 900),
        (answer(0, &[(0, TEXT), (7, b"data: {\"cand")]), "network", "", 7),
    ] {
        let (world, lines) = World::new(1, "").await.logging();
        let (text, _) = world.stream(vec![script]).await.rest().await;
        assert!(text.contains(r#"{"error""#), "{text}");
        let lines = lines.lock().unwrap();
        let [line] = lines.as_slice() else { panic!("{lines:?}") };
        assert_eq!((&line["status"], &line["class"]), (&200.into(), &class.into()));
        assert!(line["cause"].as_str().unwrap().contains(cause), "{line}");
        assert!(line["ms"].as_i64().unwrap() / 1_000 >= seconds, "{line}");
    }
}

#[tokio::test]
async fn a_stream_that_the_service_ends_is_no_client_that_left() {
    let endless = || FakeAnswer { endless: true, ..answer(0, &[(0, TEXT)]) };
    let paced = r#","translation":{"pacing":{"by":"characters"}}"#;
    for (settings, script) in
        [("", endless()), (paced, endless()), ("", answer(50_000, &[])), (paced, answer(50_000, &[]))]
    {
        let (world, lines) = World::new(1, settings).await.logging();
        let mut reading = world.stream(vec![script]).await;
        assert!(reading.next().await.is_some());
        let Reading { reply, .. } = reading;
        let ReplyBody::Streamed(Streamed::Events(mut events)) = reply.body else { panic!("no stream") };
        // The server stops while it waits for what comes next.
        for _ in 0..3 {
            let _ = futures_util::poll!(std::pin::pin!(events.next()));
        }
        let error = ApiError::server(StatusCode::SERVICE_UNAVAILABLE, "shutting_down", "ends");
        assert!(events.cut(&error).starts_with(b"data: {\"error\""));
        let line = lines.lock().unwrap().pop().unwrap();
        assert_eq!((&line["class"], &line["cause"]), (&"shutting_down".into(), &"ends".into()), "{line}");
        let (_, body) =
            world.host.send(&world.service, Method::GET, "/admin/v1/stats", &world.admin, "").await;
        let stats: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(stats["requests"]["outcomes"], serde_json::json!({"truncated": 1}), "{body}");
    }
}

/// Returns a stream that begins and never ends.
pub(crate) async fn endless_events(pacing: Option<pool_shared::Pacing>) -> (FakeHost, Reply<FakeHost>) {
    let settings = pacing.map_or("", |_| r#","translation":{"pacing":{"by":"characters"}}"#);
    let world = World::new(1, settings).await;
    let endless = FakeAnswer { endless: true, ..answer(0, &[(0, TEXT)]) };
    let Reading { reply, .. } = world.stream(vec![endless]).await;
    (world.host.clone(), reply)
}
