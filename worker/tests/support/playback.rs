//! Playback of the golden documents to real clients.
//!
//! Each successful chat of `golden/` becomes two scripts of the fake Gemini, one buffered response
//! and one stream, and the two requests that select them by a marker in a system message. Both forms
//! are derived from the one in the file, so what a client assembles from the stream must equal the
//! buffered response.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use pool_fake_gemini::{Scenario, Script};
use serde_json::{Value, json};

/// Documents whose stream differs from the buffered response: citations have offsets within a part,
/// a code fence is known only at the end, a malformed call is an error in a stream, and streamed
/// speech has no file header.
const DIFFERENT: [&str; 5] = [
    "15_sources_in_characters",
    "31_json_beside_functions_old_model",
    "65_malformed_call_after_text",
    "66_speech_as_wav",
    // OpenAI's clients refuse such tools in parsed streams.
    "172_flat_tools",
];

/// Adds the scripts and models to `scenario`. Returns the cases for the clients, each with `name`, the
/// requests `whole` and `streamed`, and `answer`, the expected response (null if the file has a stream).
pub fn play(mut scenario: Scenario) -> (Scenario, Value) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let mut cases = Vec::new();
    let mut models: BTreeSet<String> = BTreeSet::new();
    for path in paths {
        let case: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        if !succeeds(&case) || DIFFERENT.contains(&name.as_str()) {
            continue;
        }
        let (whole, frames) = match case["gemini_sse"].as_array() {
            Some(frames) => (joined(frames), frames.iter().map(text).collect()),
            None => (case["gemini_response"].clone(), cut(&case["gemini_response"])),
        };
        let marker = |form: &str| format!("case-{name}-{form}");
        let script = |form: &str, wire| Script { marker: Some(marker(form)), wire, ..Script::default() };
        scenario =
            scenario.script(script("whole", vec![whole.to_string()])).script(script("streamed", frames));
        let path = case["gemini_path"].as_str().unwrap();
        let model = path.trim_start_matches("/v1beta/models/").split(':').next().unwrap();
        models.insert(model.to_owned());
        cases.push(json!({
            "name": name,
            "whole": request(&case, &marker("whole"), false),
            "streamed": request(&case, &marker("streamed"), true),
            "answer": case["openai_response"],
        }));
    }
    models.retain(|model| !scenario.models.contains(model));
    scenario.models.extend(models);
    (scenario, Value::Array(cases))
}

/// Returns `true` if one successful call to Gemini, with default settings, answers the case.
fn succeeds(case: &Value) -> bool {
    let several =
        ["gemini_request_2", "gemini_responses", "gemini_error", "expected_status", "settings", "media"];
    case["endpoint"] == "/v1/chat/completions"
        && several.iter().all(|key| case[key].is_null())
        && (case["openai_response"].is_object()
            || case["openai_sse"].as_array().unwrap().last().unwrap() == "[DONE]")
}

fn request(case: &Value, marker: &str, stream: bool) -> Value {
    let mut request = case["openai_request"].clone();
    let members = request.as_object_mut().unwrap();
    members.shift_remove("stream_options");
    members.insert("stream".to_owned(), stream.into());
    if stream {
        members.insert("stream_options".to_owned(), json!({"include_usage": true}));
    }
    let messages = members["messages"].as_array_mut().unwrap();
    messages.insert(0, json!({"role": "system", "content": marker}));
    request
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// Merges the frames of a stream into one response: parts are appended and adjacent texts joined; of
/// other fields the last value counts.
fn joined(frames: &[Value]) -> Value {
    let mut whole = json!({});
    let mut candidates: Vec<Value> = Vec::new();
    for frame in frames {
        let frame: Value =
            serde_json::from_str(frame.as_str().unwrap().trim().trim_start_matches("data:")).unwrap();
        for (key, value) in frame.as_object().unwrap() {
            if key == "candidates" {
                value.as_array().unwrap().iter().for_each(|candidate| join(&mut candidates, candidate));
            } else {
                whole[key] = value.clone();
            }
        }
    }
    if !candidates.is_empty() {
        whole["candidates"] = candidates.into();
    }
    whole
}

fn join(candidates: &mut Vec<Value>, more: &Value) {
    let index = |candidate: &Value| candidate["index"].as_u64().unwrap_or_default();
    let at = candidates.iter().position(|known| index(known) == index(more)).unwrap_or_else(|| {
        candidates.push(json!({"content": {"role": "model", "parts": []}}));
        candidates.len() - 1
    });
    for (key, value) in more.as_object().unwrap() {
        if key == "content" {
            let known = candidates[at]["content"]["parts"].as_array_mut().unwrap();
            value["parts"].as_array().into_iter().flatten().for_each(|part| join_part(known, part));
        } else {
            candidates[at][key] = value.clone();
        }
    }
}

fn join_part(known: &mut Vec<Value>, part: &Value) {
    let is_text = |part: &Value| part.as_object().unwrap().keys().eq(["text"]);
    match known.last_mut().filter(|last| is_text(last) && is_text(part)) {
        Some(last) => last["text"] = (text(&last["text"]) + &text(&part["text"])).into(),
        None => known.push(part.clone()),
    }
}

/// Splits a response into frames: one per part, two per text, and the other fields at the end.
fn cut(whole: &Value) -> Vec<String> {
    let mut last = whole.clone();
    let mut frames = Vec::new();
    for candidate in last.get_mut("candidates").and_then(Value::as_array_mut).into_iter().flatten() {
        let index = candidate["index"].as_u64().unwrap_or_default();
        let content = candidate.as_object_mut().unwrap().shift_remove("content").unwrap_or_default();
        let parts = content["parts"].as_array().cloned().unwrap_or_default();
        frames.extend(parts.iter().flat_map(halves).map(|part| {
            json!({
                "candidates": [{"index": index, "content": {"role": "model", "parts": [part]}}],
                "modelVersion": whole["modelVersion"], "responseId": whole["responseId"],
            })
        }));
    }
    frames.push(last);
    frames.iter().map(|frame| format!("data: {frame}\r\n\r\n")).collect()
}

/// Splits a text part into two.
fn halves(part: &Value) -> Vec<Value> {
    let text = part["text"].as_str().filter(|_| part["thoughtSignature"].is_null()).unwrap_or_default();
    let Some((middle, _)) =
        text.char_indices().nth(text.chars().count() / 2).filter(|(middle, _)| *middle > 0)
    else {
        return vec![part.clone()];
    };
    let half = |text: &str| {
        let mut half = part.clone();
        half["text"] = text.into();
        half
    };
    let (head, tail) = text.split_at(middle);
    vec![half(head), half(tail)]
}
