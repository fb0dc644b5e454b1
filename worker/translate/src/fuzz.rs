//! Bodies of the fuzz targets: properties that hold for any bytes.
//!
//! A property that does not hold panics. `make fuzz` searches for such inputs, and the tests here replay
//! `worker/fuzz/corpus`. None of this is part of the service.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a claim that does not hold ends in a panic, which is how a fuzzer is told"
)]

use serde_json::Value;

use crate::answer::ids::{AnswerModel, Envelope};
use crate::answer::sse::{EventSplitter, Found, TooLong};
use crate::answer::stream::StreamEnd;
use crate::chat::request::to_gemini;
use crate::chat::stream::ChatStream;
use crate::error::ApiError;
use crate::gemini::ModelId;
use crate::openai::{ChatRequest, error_body};
use crate::request::call::ResponseContext;
use crate::request::options::TranslateOptions;
use crate::request::repair::{Repair, Repairs};
use crate::request::schema;
use crate::request::strict::assert_accepted;

/// Repairs that change the shape of a request; the other ones only take things away.
const RESHAPING: [Repair; 7] = [
    Repair::LegacySchemas,
    Repair::NoBounds,
    Repair::ShortNames,
    Repair::CallsAsText,
    Repair::InlineSystem,
    Repair::JsonInWords,
    Repair::UserTurnLast,
];

/// The body of a chat request: what is rejected is rejected in OpenAI's envelope, and what is let through is a request
/// that Gemini takes, whatever its errors have taught before.
pub fn request(body: &[u8]) {
    let request = match ChatRequest::parse(body) {
        Ok(request) => request,
        Err(error) => return check_refusal(&error),
    };
    let Ok(model) = ModelId::parse(request.model()) else { return };
    let reshaped = RESHAPING.into_iter().fold(Repairs::default(), Repairs::with);
    for repairs in [Repairs::default(), reshaped] {
        let options = TranslateOptions { repairs, several_calls: true, ..TranslateOptions::default() };
        match to_gemini(&request, &model, &options) {
            Ok(call) => assert_accepted(&call.body, &options.capabilities(&model)),
            Err(error) => check_refusal(&error),
        }
    }
}

/// Parses and translates the body of a chat request, whatever comes of it.
pub fn translated_somehow(body: &[u8]) {
    let Ok(request) = ChatRequest::parse(body) else { return };
    let Ok(model) = ModelId::parse(request.model()) else { return };
    let _ = to_gemini(&request, &model, &TranslateOptions::default());
}

fn check_refusal(error: &ApiError) {
    assert!(error.status.is_client_error(), "{error:?}");
    let body: Value = serde_json::from_slice(&error_body(error)).unwrap();
    assert!(body.pointer("/error/message").is_some_and(Value::is_string), "{body}");
}

/// A JSON schema: normalising again changes nothing, and neither the result nor the older way to tell it grows beyond
/// the bounds of the work, however references are knotted.
pub fn schema(text: &[u8]) {
    let Ok(schema) = serde_json::from_slice::<Value>(text) else { return };
    let bounded = |schema: &Value, what: &str| {
        let normal = schema.to_string();
        assert!(normal.len() <= largest(text.len()), "{what} of {} bytes has {}", text.len(), normal.len());
        assert!(serde_json::from_str::<Value>(&normal).is_ok(), "{what} is nested too deeply: {normal}");
        normal
    };
    let once = schema::normalise(schema.clone()).schema;
    let again = schema::normalise(once.clone()).schema;
    assert_eq!(bounded(&again, "the second"), bounded(&once, "the schema"));
    bounded(&schema::legacy(&once).schema, "the older way");
    if let Some(once) = schema::parameters(schema).schema {
        let older = schema::legacy_parameters(&once).schema;
        bounded(&older, "the older parameters");
        assert_eq!(older.get("type").and_then(Value::as_str), Some("object"), "{older}");
        let again = schema::parameters(once.clone());
        assert!(!again.wrapped, "{once}");
        let again = again.schema.unwrap_or_default();
        assert_eq!(bounded(&again, "the second parameters"), bounded(&once, "the parameters"));
    }
}

/// Returns how long the result may become: nodes are counted, so what counts is how long one of them may be.
fn largest(input: usize) -> usize {
    100_000 + 5_000 * input
}

/// The bytes of an upstream stream: the events are those of the specification, wherever the network cuts the bytes; and
/// what the client gets is made of whole events, of which `[DONE]` is the last one if and only if the response is complete.
pub fn stream(bytes: &[u8]) {
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    let halves = bytes.split_at(bytes.len() / 2);
    let expected = specified(bytes);
    let streamed = translated(&[bytes]);
    check_events(&streamed);
    for cuts in [vec![bytes], single, vec![halves.0, halves.1]] {
        assert_eq!(split(&cuts), expected);
        assert_eq!(translated(&cuts), streamed);
    }
}

/// Returns the data of all events, by the words of the HTML standard (9.2.6) and nothing else. Unlike there, an event that the
/// end of the stream cuts off counts, since Gemini does not always send the last blank line.
fn specified(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut plain = Vec::new();
    for (index, byte) in bytes.iter().enumerate() {
        match byte {
            b'\r' if bytes.get(index + 1) == Some(&b'\n') => {}
            b'\r' => plain.push(b'\n'),
            byte => plain.push(*byte),
        }
    }
    let mut events = Vec::new();
    let mut data: Option<Vec<u8>> = None;
    for line in plain.split(|byte| *byte == b'\n').chain([b"".as_slice()]) {
        if line.is_empty() {
            events.extend(data.take());
        } else if let Some(more) = line.strip_prefix(b"data:") {
            let more = more.strip_prefix(b" ").unwrap_or(more);
            match &mut data {
                Some(data) => data.extend(b"\n".iter().chain(more)),
                None => data = Some(more.to_vec()),
            }
        }
    }
    events
}

fn split(cuts: &[&[u8]]) -> Vec<Vec<u8>> {
    let mut splitter = EventSplitter::default();
    let mut events = Vec::new();
    let mut keep = |found: Found<'_>| {
        if let Found::Event(data) = found {
            events.push(data.to_vec());
        }
        Ok::<(), TooLong>(())
    };
    for bytes in cuts {
        splitter.push(bytes, &mut keep).unwrap();
    }
    splitter.finish(&mut keep).unwrap();
    events
}

/// Returns what the client gets, and whether the response is complete.
fn translated(cuts: &[&[u8]]) -> (String, bool) {
    let mut stream = ChatStream::new(context(), envelope());
    let mut out = Vec::new();
    let pushed = cuts.iter().try_for_each(|bytes| stream.push(bytes, &mut out));
    let complete = match pushed {
        Ok(()) => matches!(stream.finish(&mut out), StreamEnd::Complete(_)),
        Err(_) => false,
    };
    (String::from_utf8(out).unwrap(), complete)
}

fn check_events((text, complete): &(String, bool)) {
    assert!(text.is_empty() || text.ends_with("\n\n"), "a cut event: {text}");
    let mut events: Vec<&str> = text.split_terminator("\n\n").collect();
    if *complete {
        assert_eq!(events.pop(), Some("data: [DONE]"), "{text}");
    }
    for event in events {
        let data = event.strip_prefix("data: ").unwrap_or_else(|| panic!("{event}"));
        assert!(serde_json::from_str::<Value>(data).is_ok_and(|data| data.is_object()), "{event}");
    }
}

/// Returns a request for a stream that may name its sources.
pub(crate) fn context() -> ResponseContext {
    let body = br#"{"model":"m","stream":true,"messages":[{"role":"user","content":"x"}],"tools":[{"type":"web_search"}]}"#;
    let request = ChatRequest::parse(body).unwrap();
    let model = ModelId::parse("gemini-3.8-flash").unwrap();
    to_gemini(&request, &model, &TranslateOptions::default()).unwrap().context
}

pub(crate) fn envelope() -> Envelope {
    Envelope { seed: 3, created_s: 1, model: AnswerModel::Requested("m".to_owned()) }
}

/// Plays the inputs that are kept for one target in `worker/fuzz/corpus`. The last one printed is
/// the one that failed.
#[allow(clippy::print_stdout, reason = "the output of a failed test")]
pub fn replay(target: &str, play: fn(&[u8])) {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let mut played = 0;
    let mut inputs: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    inputs.sort();
    for path in inputs {
        let input = std::fs::read(&path).unwrap();
        println!("{}", path.display());
        play(&input);
        played += 1;
    }
    assert!(played > 10, "{target}: the corpus is not there");
}

#[cfg(test)]
mod tests {
    use super::replay;

    #[test]
    fn every_kept_request() {
        replay("request", super::request);
    }

    #[test]
    fn every_kept_schema() {
        replay("schema", super::schema);
    }

    #[test]
    fn every_kept_stream() {
        replay("stream", super::stream);
    }
}
