//! Golden cases: whole documents in, whole documents out, in both directions.
//!
//! Each file of `golden/` holds what a client sends, what Gemini must be sent, what Gemini answers and what the client
//! must get. Streams are cut at every byte.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::path::{Path, PathBuf};

use pool_worker::gemini::{Method, ModelId};
use pool_worker::openai::{ApiError, ChatRequest, EmbeddingsRequest};
use pool_worker::translate::{
    AnswerModel, ChatStream, Envelope, GeminiCall, StreamEnd, TranslateOptions, chat_response,
    chat_responses, embeddings_plan, resumed_body, to_gemini,
};
use serde_json::Value;

/// One file.
struct Case {
    name: String,
    document: Value,
}

impl Case {
    fn read(path: &Path) -> Self {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let document = serde_json::from_slice(&fs::read(path).unwrap())
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        Self { name, document }
    }

    fn get(&self, key: &str) -> Option<&Value> {
        self.document.get(key).filter(|value| !value.is_null())
    }

    fn text(&self, key: &str) -> &str {
        self.get(key).and_then(Value::as_str).unwrap_or_default()
    }

    fn bytes(&self, key: &str) -> Vec<u8> {
        serde_json::to_vec(self.get(key).unwrap()).unwrap()
    }

    /// Compares whole documents, but for the paths that the case ignores.
    fn assert_same(&self, what: &str, actual: &Value, expected: &Value) {
        let (mut actual, mut expected) = (actual.clone(), expected.clone());
        for path in self.get("ignore").and_then(Value::as_array).into_iter().flatten() {
            for document in [&mut actual, &mut expected] {
                remove(document, path.as_str().unwrap());
            }
        }
        let tolerance = self.get("float_tolerance").and_then(Value::as_f64).unwrap_or(0.0);
        if let Err(place) = same(&actual, &expected, tolerance) {
            panic!("{}: {what} differs at {place}\n  actual: {actual}\nexpected: {expected}", self.name);
        }
    }

    fn assert_error(&self, error: &ApiError) {
        let status = self.get("expected_status").and_then(Value::as_u64);
        assert_eq!(Some(u64::from(error.status.as_u16())), status, "{}: {error:?}", self.name);
        self.assert_same("the error", &parse(&error.body()), self.get("openai_response").unwrap());
    }
}

fn remove(document: &mut Value, path: &str) {
    let (parent, name) = path.rsplit_once('.').unwrap_or(("", path));
    let pointer = if parent.is_empty() { String::new() } else { format!("/{}", parent.replace('.', "/")) };
    if let Some(object) = document.pointer_mut(&pointer).and_then(Value::as_object_mut) {
        object.shift_remove(name);
    }
}

/// Equality of JSON: `1` is `1.0`, the members of `properties` have an order, `$starts:x` stands for any string that
/// begins with x. The error is the path of the first difference.
fn same(actual: &Value, expected: &Value, tolerance: f64) -> Result<(), String> {
    match (actual, expected) {
        (Value::String(actual), Value::String(expected)) => {
            let fits = expected
                .strip_prefix("$starts:")
                .map_or(actual == expected, |start| actual.starts_with(start));
            if fits { Ok(()) } else { Err(String::new()) }
        }
        (Value::Number(actual), Value::Number(expected)) => {
            let near = (actual.as_f64().unwrap() - expected.as_f64().unwrap()).abs() <= tolerance;
            if near { Ok(()) } else { Err(String::new()) }
        }
        (Value::Array(actual), Value::Array(expected)) if actual.len() == expected.len() => {
            for (index, (actual, expected)) in actual.iter().zip(expected).enumerate() {
                same(actual, expected, tolerance).map_err(|place| format!("[{index}]{place}"))?;
            }
            Ok(())
        }
        (Value::Object(actual), Value::Object(expected)) => {
            for (key, expected) in expected {
                let found = actual.get(key).ok_or_else(|| format!(".{key} (missing)"))?;
                same(found, expected, tolerance).map_err(|place| format!(".{key}{place}"))?;
                if key == "properties"
                    && !found.as_object().unwrap().keys().eq(expected.as_object().unwrap().keys())
                {
                    return Err(format!(".{key} (order)"));
                }
            }
            match actual.keys().find(|key| !expected.contains_key(*key)) {
                Some(key) => Err(format!(".{key} (too much)")),
                None => Ok(()),
            }
        }
        _ if actual == expected => Ok(()),
        _ => Err(String::new()),
    }
}

fn parse(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(bytes)))
}

fn envelope(request: &Value) -> Envelope {
    let model = request["model"].as_str().unwrap_or_default().to_owned();
    Envelope { seed: 42, created_s: 0, model: AnswerModel::Requested(model) }
}

fn translate(body: &[u8]) -> Result<(ModelId, GeminiCall), ApiError> {
    let request = ChatRequest::parse(body)?;
    let model = ModelId::parse(request.model())?;
    let call = to_gemini(&request, &model, &TranslateOptions::default())?;
    Ok((model, call))
}

fn check_chat(case: &Case) {
    let request = case.get("openai_request").unwrap();
    let (model, call) = match translate(&case.bytes("openai_request")) {
        Ok(translated) => translated,
        Err(error) => {
            assert!(case.get("gemini_request").is_none(), "{}: refused: {error:?}", case.name);
            return case.assert_error(&error);
        }
    };
    case.assert_same(
        "the upstream request",
        &parse(&call.body),
        case.get("gemini_request").expect("a refusal"),
    );
    assert_eq!(call.method.path(&model), case.text("gemini_path"), "{}", case.name);
    let dropped = case
        .get("expected_response_headers")
        .map(|headers| headers["x-pool-dropped"].as_str().unwrap_or_default());
    assert_eq!(call.dropped.join(","), dropped.unwrap_or_default(), "{}: x-pool-dropped", case.name);
    if let Some(frames) = case.get("gemini_sse") {
        return check_stream(case, &call, &envelope(request), frames);
    }
    let body = case.bytes("gemini_response");
    let mut bodies = vec![body.clone()];
    if case.get("gemini_request_2").is_some() {
        let answers = case.get("gemini_response").and_then(Value::as_array).unwrap();
        bodies = answers.iter().map(|answer| serde_json::to_vec(answer).unwrap()).collect();
        check_resumed(case, &call, &bodies[0], &envelope(request));
    }
    match chat_responses(&[bodies], &call.context, &envelope(request)) {
        Ok(answer) => {
            case.assert_same("the answer", &parse(&answer.body), case.get("openai_response").unwrap());
        }
        Err(error) => case.assert_error(&error.into()),
    }
}

/// The second call of an answer that the limit of one call has cut.
fn check_resumed(case: &Case, call: &GeminiCall, first: &[u8], envelope: &Envelope) {
    assert!(call.context.resumes(), "{}", case.name);
    let token = chat_response(first, &call.context, envelope).unwrap().continuation.unwrap();
    let second = parse(&resumed_body(&call.body, &token));
    case.assert_same("the second upstream request", &second, case.get("gemini_request_2").unwrap());
}

fn check_stream(case: &Case, call: &GeminiCall, envelope: &Envelope, frames: &Value) {
    let wire: String = frames.as_array().unwrap().iter().map(|frame| frame.as_str().unwrap()).collect();
    let wire = wire.as_bytes();
    let expected = case.get("openai_sse").unwrap();
    let whole = stream(call, envelope, &[wire]);
    case.assert_same("the stream", &events(&whole), expected);
    for cut in 1..wire.len() {
        let (head, tail) = wire.split_at(cut);
        assert!(stream(call, envelope, &[head, tail]) == whole, "{}: cut at {cut}", case.name);
    }
    let bytes: Vec<&[u8]> = wire.chunks(1).collect();
    assert!(stream(call, envelope, &bytes) == whole, "{}: byte by byte", case.name);
}

fn stream(call: &GeminiCall, envelope: &Envelope, chunks: &[&[u8]]) -> Vec<u8> {
    let mut stream = ChatStream::new(call.context.clone(), envelope.clone());
    let mut out = Vec::new();
    for chunk in chunks {
        if let Err(fault) = stream.push(chunk, &mut out) {
            stream.fail(&fault.api_error(), &mut out);
            return out;
        }
    }
    match stream.finish(&mut out) {
        StreamEnd::Complete(_) | StreamEnd::Truncated => {}
        StreamEnd::Upstream(error) => {
            stream.fail(&pool_worker::translate::StreamFault::Upstream(error).api_error(), &mut out);
        }
        StreamEnd::SoftFailure(failure) => stream.fail(&ApiError::from(&failure), &mut out),
    }
    out
}

/// The data of all events; `[DONE]` as a string.
fn events(stream: &[u8]) -> Value {
    let text = std::str::from_utf8(stream).unwrap();
    assert!(text.is_empty() || text.ends_with("\n\n"), "a cut event: {text}");
    let events = text.split_terminator("\n\n").map(|event| event.strip_prefix("data: ").unwrap());
    events.map(|data| if data == "[DONE]" { data.into() } else { parse(data.as_bytes()) }).collect()
}

fn check_embeddings(case: &Case) {
    let body = case.bytes("openai_request");
    let request = EmbeddingsRequest::parse(&body).unwrap();
    let model = ModelId::parse(request.model()).unwrap();
    let plan = embeddings_plan(&request, &model).unwrap();
    assert_eq!(Method::BatchEmbed.path(&model), case.text("gemini_path"), "{}", case.name);
    assert_eq!(plan.batches.len(), 1, "{}", case.name);
    case.assert_same("the upstream request", &parse(&plan.batches[0]), case.get("gemini_request").unwrap());
    let (answer, _) = plan.answer(&[case.bytes("gemini_response")], model.as_str()).unwrap();
    case.assert_same("the answer", &parse(&answer), case.get("openai_response").unwrap());
}

#[test]
fn every_case() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty());
    for path in paths {
        let case = Case::read(&path);
        match case.text("endpoint") {
            "/v1/chat/completions" => check_chat(&case),
            "/v1/embeddings" => check_embeddings(&case),
            endpoint => panic!("{}: no test for {endpoint}", case.name),
        }
    }
}
