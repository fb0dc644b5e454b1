//! Golden cases: whole documents in, whole documents out, in both directions.
//!
//! Each file of `golden/` holds what a client sends (`openai_request`), what Gemini must be sent (`gemini_request`), what
//! Gemini answers (`gemini_response`, `gemini_sse`, `gemini_error`, …) and what the client must get (`openai_response`,
//! `openai_sse`). `now` is the time (2026-09-01 without), `answered_by` the model that
//! lately answered under the name, `settings` are the pool's, `media` is what stands at the addresses in the request. Streams are cut at
//! every byte.

// A test says what went wrong by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use jiff::Timestamp;
use pool_engine::{Refusal, Sent, classify};
use pool_shared::TranslationSettings;
use pool_translate::ApiError;
use pool_translate::gemini::{ErrorBody, Method, Model, ModelId, ModelPage};
use pool_translate::json::well_formed;
use pool_translate::openai::{ChatRequest, EmbeddingsRequest, error_body};
use pool_translate::{
    AnswerModel, ChatStream, Envelope, FetchedMedia, GeminiCall, MediaSource, ModelSuffix, Repair, Repairs,
    StreamEnd, StreamFault, TranslateOptions, chat_response, chat_responses, embeddings_plan, model_get,
    models_list, resumed_body, to_gemini,
};
use serde_json::Value;

/// When a case happens that does not say.
const NOW: &str = "2026-09-01T00:00:00Z";

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
        self.get(key).unwrap_or_else(|| panic!("{}: no {key}", self.name)).to_string().into_bytes()
    }

    /// Each element of a list as a body of its own.
    fn bodies(&self, key: &str) -> Option<Vec<Vec<u8>>> {
        let bodies = self.get(key)?.as_array()?.iter();
        Some(bodies.map(|body| body.to_string().into_bytes()).collect())
    }

    fn request(&self) -> Vec<u8> {
        self.get("openai_body")
            .and_then(Value::as_str)
            .map_or_else(|| self.bytes("openai_request"), Into::into)
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.get("expected_response_headers")?.get(name)?.as_str()
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

    fn assert_is(&self, what: &str, actual: &[u8], key: &str) {
        let expected =
            self.get(key).unwrap_or_else(|| panic!("{}: {what} came, and no {key} is expected", self.name));
        self.assert_same(what, &parse(actual), expected);
    }

    fn assert_error(&self, error: &ApiError) {
        let status = self.get("expected_status").and_then(Value::as_u64);
        assert_eq!(Some(u64::from(error.status.as_u16())), status, "{}: {error:?}", self.name);
        self.assert_is("the error", &error_body(error), "openai_response");
        let seconds = error.retry_after_ms.map(|milliseconds| milliseconds.div_ceil(1000));
        let headers = [
            ("retry-after", seconds.map(|seconds| seconds.to_string())),
            ("retry-after-ms", error.retry_after_ms.map(|milliseconds| milliseconds.to_string())),
            ("x-should-retry", error.should_retry.map(|retry| retry.to_string())),
        ];
        for (name, value) in headers {
            assert_eq!(value.as_deref(), self.header(name), "{}: {name}", self.name);
        }
    }

    fn assert_ignored(&self, ignored: &[String]) {
        assert_eq!(ignored.join(","), self.header("x-pool-dropped").unwrap_or_default(), "{}", self.name);
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
                let keys =
                    |value: &Value| value.as_object().map(|map| map.keys().cloned().collect::<Vec<_>>());
                if key == "properties" && keys(found) != keys(expected) {
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

fn envelope(case: &Case) -> Envelope {
    let model = case.get("openai_request").and_then(|request| request["model"].as_str()).unwrap_or_default();
    Envelope { seed: 42, created_s: 0, model: AnswerModel::Requested(model.to_owned()) }
}

/// What was fetched from the addresses in a request.
#[derive(Debug)]
struct Fetched(BTreeMap<String, FetchedMedia>);

impl MediaSource for Fetched {
    fn get(&self, url: &str) -> Option<&FetchedMedia> {
        self.0.get(url)
    }
}

fn fetched(case: &Case) -> Fetched {
    let media = case.get("media").and_then(Value::as_object).into_iter().flatten();
    let fetch = |(url, medium): (&String, &Value)| {
        let bytes = STANDARD.decode(medium["base64"].as_str().unwrap()).unwrap();
        (url.clone(), FetchedMedia::new(url, medium["content_type"].as_str(), &bytes).unwrap())
    };
    Fetched(media.map(fetch).collect())
}

fn translate(case: &Case, repairs: Repairs) -> Result<(ModelId, GeminiCall), ApiError> {
    let body = case.request();
    let body = well_formed(&body);
    let request = ChatRequest::parse(&body)?;
    let settings: TranslationSettings = case
        .get("settings")
        .map(|settings| serde_json::from_value(settings.clone()).unwrap())
        .unwrap_or_default();
    let (name, suffix) = if settings.model_suffixes {
        ModelSuffix::split(request.model())
    } else {
        (request.model(), ModelSuffix::default())
    };
    let model = ModelId::parse(name)?;
    let media = fetched(case);
    let now = case.get("now").and_then(Value::as_str).unwrap_or(NOW).parse().unwrap();
    let answered_by = case.get("answered_by").and_then(Value::as_str);
    let answered_by = answered_by.map(|model| ModelId::parse(model).unwrap());
    let options = TranslateOptions {
        now,
        answered_by: answered_by.as_ref(),
        repairs,
        several_calls: true,
        settings: Some(&settings),
        suffix,
        media: Some(&media),
        ..TranslateOptions::default()
    };
    let call = to_gemini(&request, &model, &options)?;
    Ok((model, call))
}

fn check_chat(case: &Case) {
    let (model, call) = match translate(case, Repairs::default()) {
        Ok(translated) => translated,
        Err(error) => {
            assert!(case.get("gemini_request").is_none(), "{}: refused: {error:?}", case.name);
            return case.assert_error(&error);
        }
    };
    case.assert_is("the upstream request", &call.body, "gemini_request");
    assert_eq!(call.method.path(&model), case.text("gemini_path"), "{}", case.name);
    if case.get("gemini_error").is_none() {
        case.assert_ignored(&call.ignored_params);
    }
    let status = case.get("gemini_status").and_then(Value::as_u64).unwrap_or(200);
    let call = match case.get("gemini_error") {
        Some(error) => check_repaired(case, &call, error),
        None => call,
    };
    if case.get("gemini_error").is_none() && status != 200 {
        return check_refusal(case, u16::try_from(status).unwrap());
    }
    match case.get("gemini_sse") {
        Some(frames) => check_stream(case, &call, frames),
        None => check_answer(case, &call),
    }
}

/// A refusal that the service can help against: the second request.
fn check_repaired(case: &Case, call: &GeminiCall, error: &Value) -> GeminiCall {
    let error = ErrorBody::parse(error.to_string().as_bytes());
    let repairs = Repair::for_message(&error.message, Repairs::default());
    let mut changed = repairs.map(|repair| translate(case, Repairs::default().with(repair)).unwrap().1);
    let call = changed.find(|changed| changed.body != call.body).unwrap();
    case.assert_is("the second upstream request", &call.body, "gemini_request_2");
    case.assert_ignored(&call.ignored_params);
    call
}

fn check_refusal(case: &Case, status: u16) {
    let body = case
        .get("gemini_text")
        .and_then(Value::as_str)
        .map_or_else(|| case.bytes("gemini_response"), Into::into);
    case.assert_error(&judge(status, &ErrorBody::parse(&body)));
}

fn check_answer(case: &Case, call: &GeminiCall) {
    let calls = match case.bodies("gemini_responses") {
        // One call for each choice.
        Some(answers) => answers.into_iter().map(|answer| vec![answer]).collect(),
        // One call after the other, each going on with the answer.
        None if case.get("gemini_request_2").is_some() && case.get("gemini_error").is_none() => {
            let answers = case.bodies("gemini_response").unwrap();
            check_resumed(case, call, &answers[0]);
            vec![answers]
        }
        None => vec![vec![case.bytes("gemini_response")]],
    };
    let upstream_calls = case.get("upstream_calls").and_then(Value::as_u64).unwrap_or(1);
    let made = calls.iter().map(Vec::len).sum::<usize>();
    assert_eq!((made as u64, call.copies as usize), (upstream_calls, calls.len()), "{}", case.name);
    match chat_responses(&calls, &call.context, &envelope(case)) {
        Ok(answer) => case.assert_is("the answer", &answer.body, "openai_response"),
        Err(error) => case.assert_error(&error.into()),
    }
}

/// The second call of an answer that the limit of one call has cut.
fn check_resumed(case: &Case, call: &GeminiCall, first: &[u8]) {
    assert!(call.context.resumes(), "{}", case.name);
    let token = chat_response(first, &call.context, &envelope(case)).unwrap().continuation.unwrap();
    case.assert_is("the second upstream request", &resumed_body(&call.body, &token), "gemini_request_2");
}

fn check_stream(case: &Case, call: &GeminiCall, frames: &Value) {
    let wire: String = frames.as_array().unwrap().iter().map(|frame| frame.as_str().unwrap()).collect();
    let wire = wire.as_bytes();
    let check = |chunks: &[&[u8]]| match (stream(case, call, chunks), case.get("expected_status")) {
        (Ok(out), None) => out,
        (Err(error), Some(_)) => {
            case.assert_error(&error);
            error_body(&error)
        }
        (result, _) => panic!("{}: {result:?}", case.name),
    };
    let whole = check(&[wire]);
    if case.get("expected_status").is_none() {
        case.assert_same("the stream", &events(&whole), case.get("openai_sse").unwrap());
    }
    for cut in 1..wire.len() {
        let (head, tail) = wire.split_at(cut);
        assert!(check(&[head, tail]) == whole, "{}: cut at {cut}", case.name);
    }
    let bytes: Vec<&[u8]> = wire.chunks(1).collect();
    assert!(check(&bytes) == whole, "{}: byte by byte", case.name);
}

/// What the client gets: a stream, or an error while nothing has been sent yet.
fn stream(case: &Case, call: &GeminiCall, chunks: &[&[u8]]) -> Result<Vec<u8>, ApiError> {
    let mut stream = ChatStream::new(call.context.clone(), envelope(case));
    let mut out = Vec::new();
    let mut pushed = Ok(());
    for chunk in chunks {
        pushed = pushed.and_then(|()| stream.push(chunk, &mut out));
    }
    let error = match pushed {
        Err(StreamFault::Upstream(error)) => judge(error.code.unwrap(), &error),
        Err(fault) => fault.api_error(),
        Ok(()) => match stream.finish(&mut out) {
            StreamEnd::Complete(_) | StreamEnd::Truncated => return Ok(out),
            StreamEnd::Upstream(error) => judge(error.code.unwrap(), &error),
            StreamEnd::SoftFailure(failure) => ApiError::from(&failure),
        },
    };
    if !stream.committed() {
        assert!(out.is_empty(), "{}: something was written", case.name);
        return Err(error);
    }
    stream.fail(&error, &mut out);
    Ok(out)
}

fn judge(status: u16, body: &ErrorBody) -> ApiError {
    let status = StatusCode::from_u16(status).unwrap();
    // The cases' requests hold none of Gemini's words.
    let sent = Some(&Sent::default());
    classify(&Refusal { status, retry_after: None, body, sent }, Timestamp::UNIX_EPOCH, 0).answer
}

/// The data of all events; `[DONE]` as a string.
fn events(stream: &[u8]) -> Value {
    let text = std::str::from_utf8(stream).unwrap();
    assert!(text.is_empty() || text.ends_with("\n\n"), "a cut event: {text}");
    let events = text.split_terminator("\n\n").map(|event| event.strip_prefix("data: ").unwrap());
    events.map(|data| if data == "[DONE]" { data.into() } else { parse(data.as_bytes()) }).collect()
}

fn check_embeddings(case: &Case) {
    let body = case.request();
    let request = EmbeddingsRequest::parse(&body).unwrap();
    let model = ModelId::parse(request.model()).unwrap();
    let plan = match embeddings_plan(&request, &model) {
        Ok(plan) => plan,
        Err(error) => return case.assert_error(&error),
    };
    assert_eq!(Method::BatchEmbed.path(&model), case.text("gemini_path"), "{}", case.name);
    case.assert_ignored(&plan.ignored_params);
    assert_eq!(plan.batches.len(), 1, "{}", case.name);
    case.assert_is("the upstream request", &plan.batches[0], "gemini_request");
    let batch = plan.read(0, &case.bytes("gemini_response")).unwrap();
    let answer = plan.answer(vec![batch], model.as_str());
    case.assert_is("the answer", &answer, "openai_response");
}

fn check_models(case: &Case) {
    let pages = case.bodies("gemini_responses").unwrap();
    let pages: Vec<ModelPage> = pages.iter().map(|page| ModelPage::parse(page).unwrap()).collect();
    let (last, others) = pages.split_last().unwrap();
    assert!(others.iter().all(|page| page.next_page_token.is_some()) && last.next_page_token.is_none());
    let aliases = case.get("aliases").cloned().unwrap_or_default();
    let aliases: Vec<(String, String)> = serde_json::from_value(aliases).unwrap_or_default();
    let usable = pages.iter().flat_map(|page| &page.models).filter(|model| model.is_usable());
    case.assert_is("the list", &models_list(usable, &aliases), "openai_response");
}

fn check_model(case: &Case, id: &str) {
    let model = Model::parse(&case.bytes("gemini_response")).unwrap();
    assert_eq!(model.id, id);
    case.assert_is("the model", &model_get(&model, None), "openai_response");
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
            "/v1/models" => check_models(&case),
            endpoint => match endpoint.strip_prefix("/v1/models/") {
                Some(id) => check_model(&case, id),
                None => panic!("{}: no test for {endpoint}", case.name),
            },
        }
    }
}
