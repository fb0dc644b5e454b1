//! Bindings to `js_bridge.js`, whose functions each replace many calls into JavaScript.
//!
//! They convert requests and responses between Rust's types and the runtime's. Texts cross the
//! boundary as one string, one per line. A text that could contain a line break is rejected earlier.

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde::Serializer as _;
use serde_json::Serializer;
use wasm_bindgen::prelude::wasm_bindgen;
use worker::js_sys::{Array, Uint8Array};
use worker::wasm_bindgen::JsValue;
use worker::web_sys::{AbortSignal, ReadableStream, Request, Response};

use crate::platform::{Credential, REQUEST_HEADERS, UpstreamRequest};

#[wasm_bindgen(module = "/src/host/cloudflare/js_bridge.js")]
extern "C" {
    fn head(request: &Request, names: &Array) -> String;
    #[wasm_bindgen(catch)]
    fn call(lines: &str, body: Option<Uint8Array>, signal: &AbortSignal) -> Result<Request, JsValue>;
    fn answered(response: &Response, names: &Array) -> String;
    #[wasm_bindgen(catch, js_name = respond)]
    fn respond_whole(status: u16, headers: &str, body: Option<Uint8Array>) -> Result<Response, JsValue>;
    #[wasm_bindgen(catch, js_name = respond)]
    fn respond_stream(status: u16, headers: &str, body: Option<ReadableStream>) -> Result<Response, JsValue>;
}

/// The headers of a response that anybody asks for.
const ANSWER_HEADERS: [&str; 4] = ["content-type", "content-length", "retry-after", "location"];

thread_local! {
    static REQUEST_NAMES: Array = REQUEST_HEADERS.iter().map(|name| JsValue::from_str(name)).collect();
    static ANSWER_NAMES: Array = ANSWER_HEADERS.iter().map(|name| JsValue::from_str(name)).collect();
}

/// What a request says before its body.
pub(super) struct RequestHead {
    pub(super) method: Method,
    pub(super) url: String,
    /// Those of [`REQUEST_HEADERS`].
    pub(super) headers: HeaderMap,
}

impl RequestHead {
    pub(super) fn of(request: &Request) -> Self {
        let text = REQUEST_NAMES.with(|names| head(request, names));
        let mut lines = text.split('\n');
        let method = lines.next().and_then(|method| Method::from_bytes(method.as_bytes()).ok());
        let url = lines.next().unwrap_or_default().to_owned();
        let named = REQUEST_HEADERS.iter().zip(lines).filter(|(_, value)| !value.is_empty());
        let headers = named
            .filter_map(|(name, value)| {
                Some((HeaderName::from_static(name), HeaderValue::from_str(value).ok()?))
            })
            .collect();
        Self { method: method.unwrap_or_default(), url, headers }
    }
}

/// Returns a call to Gemini. It follows no redirects.
pub(super) fn upstream_call(
    base: &str,
    request: &UpstreamRequest,
    signal: &AbortSignal,
) -> worker::Result<Request> {
    let UpstreamRequest { method, path, .. } = request;
    let (key, content_type) = (request.key.expose(), request.content_type.to_str().unwrap_or_default());
    let (credential, scheme) = match request.credential {
        Credential::ApiKey => ("x-goog-api-key", ""),
        Credential::Bearer => ("authorization", "Bearer "),
    };
    if [path, key, content_type].iter().any(|text| text.contains('\n')) {
        return Err("a line break in a URL or a header".into());
    }
    let lines = format!("{base}{path}\n{method}\n{credential}\n{scheme}{key}\n{content_type}");
    Ok(call(&lines, request.body.as_deref().map(Uint8Array::from), signal)?)
}

/// What a response says before its body.
pub(super) struct AnswerHead {
    pub(super) status: StatusCode,
    pub(super) content_type: Option<String>,
    pub(super) content_length: Option<usize>,
    pub(super) retry_after: Option<String>,
    pub(super) location: Option<String>,
}

impl AnswerHead {
    pub(super) fn of(response: &Response) -> Self {
        let text = ANSWER_NAMES.with(|names| answered(response, names));
        let mut lines = text.split('\n');
        let status = lines.next().and_then(|status| status.parse().ok());
        let mut next = || lines.next().filter(|value| !value.is_empty()).map(ToOwned::to_owned);
        Self {
            status: status
                .and_then(|status| StatusCode::from_u16(status).ok())
                .unwrap_or(StatusCode::BAD_GATEWAY),
            content_type: next(),
            content_length: next().and_then(|length| length.parse().ok()),
            retry_after: next(),
            location: next(),
        }
    }
}

/// Returns a response for the client with all of its body.
pub(super) fn whole(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> worker::Result<Response> {
    let body = (!body.is_empty()).then(|| Uint8Array::from(body));
    Ok(respond_whole(status.as_u16(), &as_json(headers)?, body)?)
}

/// Returns a response for the client whose body comes bit by bit.
pub(super) fn streamed(
    status: StatusCode,
    headers: &HeaderMap,
    body: Option<ReadableStream>,
) -> worker::Result<Response> {
    Ok(respond_stream(status.as_u16(), &as_json(headers)?, body)?)
}

fn as_json(headers: &HeaderMap) -> worker::Result<String> {
    let mut json = Vec::with_capacity(1024);
    let named = headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    Serializer::new(&mut json).collect_map(named)?;
    Ok(String::from_utf8(json).unwrap_or_default())
}
