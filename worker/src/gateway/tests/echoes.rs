//! Errors that repeat the request. Whatever Gemini quotes of it, and wherever it does: no key is otherwise than
//! after the same error without the quote.

use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use pool_shared::KeyList;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};

use super::World;
use crate::platform::Platform;
use crate::platform::lock;
use crate::platform::{Clock, UpstreamRequest};
use crate::testing::FakeAnswer;
use pool_engine::KeyState;

const MODEL: &str = "gemini-3.8-flash";

/// What Google writes about keys, projects and quotas, with the status and the status name that it uses for it.
const WORDS: [(&str, u16, &str); 16] = [
    ("API key not valid. Please pass a valid API key.", 400, "INVALID_ARGUMENT"),
    ("API key expired. Please renew the API key.", 400, "INVALID_ARGUMENT"),
    ("API key not found. Please pass a valid API key.", 400, "INVALID_ARGUMENT"),
    ("Invalid Auth key.", 400, "INVALID_ARGUMENT"),
    ("Multiple authentication credentials received. Please pass only one.", 400, "INVALID_ARGUMENT"),
    ("User location is not supported for the API use.", 400, "FAILED_PRECONDITION"),
    ("Gemini API free tier is not available in your country.", 400, "FAILED_PRECONDITION"),
    ("Your API key was reported as leaked. Please use another API key.", 403, "PERMISSION_DENIED"),
    ("Permission denied: Consumer 'api_key:x' has been suspended.", 403, "PERMISSION_DENIED"),
    ("Method doesn't allow unregistered callers.", 403, "PERMISSION_DENIED"),
    ("This model models/x is no longer available to new users.", 404, "NOT_FOUND"),
    ("Your prepayment credits are depleted.", 429, "RESOURCE_EXHAUSTED"),
    ("Your project has exceeded its monthly spending cap.", 429, "RESOURCE_EXHAUSTED"),
    ("You have reached the spend limit of the last 10 minutes.", 429, "RESOURCE_EXHAUSTED"),
    (
        "You exceeded your current quota.\n* Quota exceeded for metric: a/b, limit: 0, model: x\nPlease retry in 90000s.",
        429,
        "RESOURCE_EXHAUSTED",
    ),
    ("Quota exceeded for metric: PerDay, limit: 0. Please retry in 23h.", 429, "RESOURCE_EXHAUSTED"),
];

const STATUSES: [(u16, &str); 12] = [
    (400, "INVALID_ARGUMENT"),
    (400, "FAILED_PRECONDITION"),
    (401, "UNAUTHENTICATED"),
    (403, "PERMISSION_DENIED"),
    (404, "NOT_FOUND"),
    (409, "ABORTED"),
    (429, "RESOURCE_EXHAUSTED"),
    (499, "CANCELLED"),
    (500, "INTERNAL"),
    (503, "UNAVAILABLE"),
    (504, "DEADLINE_EXCEEDED"),
    (400, "invalid_request"),
];

/// A client's request, by where its text goes.
#[derive(Clone, Copy, Debug)]
enum PassThroughTarget {
    Chat,
    Stream,
    Tool,
    Embeddings,
    PassedOn,
    PassedOnToOpenAi,
    Model,
    NativeModel,
    NativeModels,
}

const ASKED: [PassThroughTarget; 9] = [
    PassThroughTarget::Chat,
    PassThroughTarget::Stream,
    PassThroughTarget::Tool,
    PassThroughTarget::Embeddings,
    PassThroughTarget::PassedOn,
    PassThroughTarget::PassedOnToOpenAi,
    PassThroughTarget::Model,
    PassThroughTarget::NativeModel,
    PassThroughTarget::NativeModels,
];

impl PassThroughTarget {
    /// Returns the method, the path and the body of such a request.
    fn request(self, text: &str) -> (Method, String, String) {
        let post = |path: &str, body: Value| (Method::POST, path.to_owned(), body.to_string());
        let encoded = utf8_percent_encode(text, NON_ALPHANUMERIC);
        let chat = |more: Value| {
            let mut body = json!({"model": MODEL, "messages": [{"role": "user", "content": text}]});
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            body
        };
        match self {
            Self::Chat => post("/v1/chat/completions", chat(json!({"stop": [text]}))),
            Self::Stream => post("/v1/chat/completions", chat(json!({"stream": true}))),
            Self::Tool => {
                let function = json!({"name": "f", "description": text, "parameters":
                    {"type": "object", "properties": {text: {"type": "string", "enum": [text]}}}});
                post(
                    "/v1/chat/completions",
                    chat(json!({"tools": [{"type": "function", "function": function}]})),
                )
            }
            Self::Embeddings => post("/v1/embeddings", json!({"model": "gemini-embedding-2", "input": text})),
            Self::PassedOn => post(
                &format!("/v1beta/models/{MODEL}:generateContent"),
                json!({"contents": [{"parts": [{"text": "hi"}]}], "generationConfig": {"responseModalities": [text]}}),
            ),
            Self::PassedOnToOpenAi => post("/v1beta/openai/chat/completions", chat(json!({"user": text}))),
            Self::Model => {
                let id: String =
                    text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(100).collect();
                (Method::GET, format!("/v1/models/x{id}"), String::new())
            }
            Self::NativeModel => {
                (Method::GET, format!("/v1beta/models/{MODEL}?fields={encoded}"), String::new())
            }
            Self::NativeModels => (Method::GET, format!("/v1beta/models?pageToken={encoded}"), String::new()),
        }
    }
}

/// Where an error is.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// In a response with its status.
    Response,
    /// In a success: as its body, or as an event.
    Success,
    /// In a response that is no JSON.
    Page,
}

/// An error that Gemini, or what is before it, sends.
#[derive(Clone, Debug)]
struct Error {
    status: u16,
    name: &'static str,
    place: Place,
    details: u8,
    prefix: &'static str,
    /// Which part of the request it repeats.
    part: u8,
    cut: (Index, Index),
}

impl Error {
    /// Returns the error in response to a request, with a part of it or without.
    fn of(&self, request: &UpstreamRequest, text: &str, words: &str, repeats: bool) -> FakeAnswer {
        let body = request.body.as_deref().unwrap_or_default();
        let raw = format!("{}\n{}", request.path, String::from_utf8_lossy(body));
        let mut read = percent_decode_str(&request.path).decode_utf8_lossy().into_owned();
        strings(&serde_json::from_slice(body).unwrap_or_default(), &mut read);
        let quoted = match self.part {
            0 if read.contains(words) => words,
            1 if read.contains(text) => text,
            2 => self.slice(&raw),
            _ => self.slice(&read),
        };
        let message =
            if repeats { format!("{}{quoted}", self.prefix) } else { "Something went wrong.".to_owned() };
        let is_stream = request.path.contains("streamGenerateContent");
        let error = self.body(&message);
        let (status, body) = match self.place {
            Place::Response => (self.status, error),
            Place::Success if is_stream => (200, format!("data: {error}\n\n")),
            Place::Success => (200, error),
            Place::Page => (self.status, message),
        };
        let body: &'static str = Box::leak(body.into_boxed_str());
        FakeAnswer {
            status,
            pieces: vec![(std::time::Duration::ZERO, body.as_bytes())],
            ..FakeAnswer::default()
        }
    }

    fn slice<'t>(&self, text: &'t str) -> &'t str {
        let places: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
        let (a, b) = (*self.cut.0.get(&places), *self.cut.1.get(&places));
        &text[a.min(b)..a.max(b)]
    }

    /// Returns the error object, with the same text wherever a detail may repeat a request.
    fn body(&self, message: &str) -> String {
        let kind = |name: &str| format!("type.googleapis.com/google.rpc.{name}");
        let details = match self.details {
            0 => json!([]),
            1 => {
                json!([{"@type": kind("BadRequest"), "fieldViolations": [{"field": message, "description": message}]}])
            }
            2 => json!([{"@type": kind("LocalizedMessage"), "locale": "en", "message": message}]),
            3 => {
                json!([{"@type": kind("DebugInfo"), "detail": message, "reason": message, "stackEntries": [message]}])
            }
            4 => json!([{"@type": kind("QuotaFailure"), "violations": [{
                "quotaId": "GenerateRequestsPerMinutePerProjectPerModel", "quotaValue": "10",
                "subject": message, "description": message, "quotaDimensions": {"model": message}}]}]),
            5 => json!([{"@type": kind("ErrorInfo"), "reason": "OTHER", "domain": "googleapis.com",
                "metadata": {"service": message, "model": message, "reason": message}}]),
            _ => json!([{"@type": kind("Help"), "links": [{"description": message, "url": message}]},
                {"@type": kind("ResourceInfo"), "resourceName": message}]),
        };
        json!({"error": {"code": self.status, "message": message, "status": self.name, "details": details}})
            .to_string()
    }
}

/// All strings of a JSON document, as they are read.
fn strings(value: &Value, into: &mut String) {
    match value {
        Value::String(text) => into.extend(["\n", text]),
        Value::Array(items) => items.iter().for_each(|item| strings(item, into)),
        Value::Object(members) => members.iter().for_each(|(name, value)| {
            into.extend(["\n", name]);
            strings(value, into);
        }),
        _ => {}
    }
}

/// Returns how the keys of a pool are after a request that was answered so.
async fn states_after(
    asked: PassThroughTarget,
    text: &str,
    words: &'static str,
    error: &Error,
    repeats: bool,
) -> Vec<String> {
    let world = World::new(3, r#","pass_through":true"#).await;
    let (own, of_client) = (error.clone(), text.to_owned());
    world.host.parts.upstream.answer_by(move |request| own.of(request, &of_client, words, repeats));
    let (method, path, body) = asked.request(text);
    let sent = world.host.send(&world.service, method, &path, &world.pool.client_key, &body);
    Box::pin(world.host.in_time(sent)).await;
    let id = &world.pool.pool.id;
    let keys = format!("/admin/v1/pools/{id}/keys");
    let (_, keys) = world.host.send(&world.service, Method::GET, &keys, &world.admin, "").await;
    let keys: KeyList = serde_json::from_str(&keys).unwrap();
    let now = world.host.clock().now();
    let mut runtimes = lock(&world.service.state.pools.states);
    let runtime = runtimes.of(id, now);
    let mut states: Vec<String> = keys
        .keys
        .iter()
        .map(|key| match runtime.state(&key.id, now) {
            // Their ends are spread at random.
            Some(KeyState::Cooling(models)) => {
                let models: Vec<_> = models.iter().map(|(model, _, reason)| (model, reason)).collect();
                format!("{models:?}")
            }
            state => format!("{state:?}"),
        })
        .collect();
    states.sort_unstable();
    states
}

fn any_error() -> impl Strategy<Value = (Error, &'static str)> {
    let at_its_status = select(WORDS.to_vec()).prop_map(|(words, status, name)| (words, (status, name)));
    let anywhere =
        (select(WORDS.to_vec()), select(STATUSES.to_vec())).prop_map(|((words, ..), status)| (words, status));
    let place = prop_oneof![3 => Just(Place::Response), 2 => Just(Place::Success), 1 => Just(Place::Page)];
    let prefix = prop_oneof![3 => Just(""), 1 => Just("Invalid value: "), 1 => Just("* ")];
    let rest = (place, 0_u8..7, prefix, 0_u8..4, any::<(Index, Index)>());
    (prop_oneof![2 => at_its_status, 1 => anywhere], rest).prop_map(
        |((words, (status, name)), (place, details, prefix, part, cut))| {
            (Error { status, name, place, details, prefix, part, cut }, words)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn no_error_that_repeats_a_request_changes_a_key_by_what_it_repeats(
        (error, words) in any_error(),
        before in prop_oneof![2 => Just(String::new()), 1 => ".{0,12}"],
        after in prop_oneof![1 => Just(String::new()), 1 => ".{0,12}"],
    ) {
        let text = format!("{before}{words}{after}");
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            for asked in ASKED {
                let told = Box::pin(states_after(asked, &text, words, &error, true)).await;
                let plain = Box::pin(states_after(asked, &text, words, &error, false)).await;
                prop_assert_eq!(told, plain, "{:?} {:?}", asked, text);
            }
            Ok(())
        })?;
    }
}
