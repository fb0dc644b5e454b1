//! What must hold for any request whatever: the bodies of the fuzz targets `token`, `route`, `headers` and `json`.
//!
//! In: bytes. Out: nothing; a claim that does not hold ends in a panic. `make fuzz` looks for bytes that break one, and
//! the tests here play the inputs that are kept in `worker/fuzz/corpus`. None of this is part of the service.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a claim that does not hold ends in a panic, which is how a fuzzer is told"
)]

use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use pool_shared::{
    AdminTokenCreate, ClientKeyCreate, ClientKeyImport, KeyImport, KeyUpdate, Login, PoolCreate, PoolUpdate,
    TokenKind,
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::origin::Origin;
use crate::{admin, gateway, limits, router};
use pool_translate::ApiError;
use pool_translate::openai::{ChatRequest, EmbeddingsRequest};

const KINDS: [TokenKind; 3] = [TokenKind::ClientKey, TokenKind::AdminToken, TokenKind::Session];

/// A text that somebody presents as a token: it is of one kind at most, only in the one form, and no longer when one of
/// its characters is another one. The same of a token that is made of the bytes.
pub fn token(bytes: &[u8]) {
    let mut random = [0; TokenKind::RANDOM_BYTES];
    for (slot, byte) in random.iter_mut().zip(bytes) {
        *slot = *byte;
    }
    for kind in KINDS {
        assert_eq!(kind.verify(kind.generate(&random).expose()), Ok(()), "parse after print");
    }
    let text = String::from_utf8_lossy(bytes);
    let generated = KINDS.map(|kind| kind.generate(&random).expose().to_owned());
    for text in generated.iter().map(String::as_str).chain([&*text]) {
        let kinds = KINDS.into_iter().filter(|kind| kind.verify(text).is_ok()).count();
        assert!(kinds <= 1, "{text}");
        if kinds == 1 {
            assert!(text.is_ascii() && text.len() <= 8 + 46, "{text}");
            let at = bytes.len() % text.len();
            let mut changed = text.as_bytes().to_vec();
            if let Some(byte) = changed.get_mut(at) {
                *byte ^= bytes.first().copied().unwrap_or_default().max(1) & 0x7f;
            }
            let changed = String::from_utf8_lossy(&changed).into_owned();
            assert!(changed == text || KINDS.iter().all(|kind| kind.verify(&changed).is_err()), "{changed}");
        }
        let admins = TokenKind::AdminToken.verify(text).is_ok();
        assert!(!(admins && TokenKind::could_be_client_key(text)), "an admin's token as a client key");
    }
}

/// What is in a request's first line: no path belongs to both planes, and the host's choice of the plane is the one
/// of the routers.
pub fn route(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    check_path(&text);
    // As hyper hands it over, in origin form, in absolute form, or an authority alone.
    if let Ok(uri) = Uri::try_from(bytes) {
        check_path(uri.path());
        let _ = uri.authority().and_then(|authority| Origin::behind_tls(authority.as_str()));
    }
}

fn check_path(path: &str) {
    let is_admin = router::is_admin_path(path);
    let is_metrics = path == "/metrics";
    assert_eq!(is_admin, is_metrics || path == "/admin" || path.starts_with("/admin/"), "{path}");
    for method in [Method::GET, Method::POST, Method::PATCH, Method::DELETE, Method::PUT, Method::OPTIONS] {
        let administered = admin::find(&method, path).is_ok();
        let proxied = gateway::find(&method, path).is_ok();
        assert!(!administered || is_admin, "{path} is a route of the admin API by the other plane's door");
        assert!(!proxied || !is_admin, "{path} is a route of the data plane by the admin API's door");
        if administered {
            assert!(is_metrics || path.starts_with("/admin/v1/"), "{path}");
            // What names a pool names it as the handler sees it.
            assert_eq!(admin::pool_in(path).is_some(), path.starts_with("/admin/v1/pools/"), "{path}");
        }
        let wanted = admin::wanted_body(&method, path, &HeaderMap::new());
        assert!(wanted.unwrap_or_default() <= limits::UNAUTHENTICATED_BODY, "{path}: a stranger's body");
    }
}

/// Headers, one a line: who presents what is read from them, and nothing else.
pub fn headers(bytes: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in bytes.split(|byte| *byte == b'\n').take(100) {
        let mut halves = line.splitn(2, |byte| *byte == b':');
        let name = halves.next().and_then(|name| HeaderName::from_bytes(name).ok());
        let value = halves.next().and_then(|value| HeaderValue::from_bytes(value).ok());
        if let (Some(name), Some(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    if let Ok(token) = admin::presented_token(&headers) {
        assert_eq!(TokenKind::AdminToken.verify(token), Ok(()));
    }
    if let Some(key) = gateway::presented_key(&headers) {
        assert!(!key.is_empty() && key.trim() == key, "{key:?}");
    }
    let origin = headers.get(http::header::HOST).and_then(|host| Origin::behind_tls(host.to_str().ok()?));
    let browser = admin::Browser::new(&headers, origin.as_ref());
    if let Some(session) = browser.session() {
        assert_eq!(TokenKind::Session.verify(session), Ok(()));
    }
    if browser.check_origin(&Method::POST).is_ok() {
        assert_eq!(headers.get("sec-fetch-site").map(HeaderValue::as_bytes), Some(&b"same-origin"[..]));
        assert!(origin.is_some() && headers.contains_key(http::header::ORIGIN));
    }
}

/// A body: what is nested too deeply is rejected before it is read, everything else is read or rejected.
pub fn json(body: &[u8]) {
    let too_deep = limits::is_too_deep(body);
    if !too_deep && let Ok(value) = serde_json::from_slice::<Value>(body) {
        assert!(depth(&value) <= limits::JSON_DEPTH);
    }
    let refused = |error: ApiError| {
        assert!(error.status.is_client_error(), "{error:?}");
        error.code == Some("json_too_deep")
    };
    let chat = ChatRequest::parse(body).err().is_some_and(refused);
    let embeddings = EmbeddingsRequest::parse(body).err().is_some_and(refused);
    assert_eq!((chat, embeddings), (too_deep, too_deep));
    if !too_deep {
        let is_object = body.trim_ascii_start().starts_with(b"{");
        let reads = [
            reads::<Login>(body),
            reads::<AdminTokenCreate>(body),
            reads::<PoolCreate>(body),
            reads::<PoolUpdate>(body),
            reads::<ClientKeyCreate>(body),
            reads::<ClientKeyImport>(body),
            reads::<KeyImport>(body),
            reads::<KeyUpdate>(body),
        ];
        assert!(is_object || !reads.contains(&true), "read from something else than an object");
    }
}

/// How many bytes a parsed request may take beside those that it is made of.
const PARSED: u64 = 8_000_000;
/// What a request grows to before it is measured.
const GROWN: usize = 192 * 1024;

/// Returns a body, and a fragment of one repeated wherever a body has a list: parsing it takes less memory than eight times its
/// length and 8 MB, and translating it besides no more than another 8 MB. `peak` runs what it is given and tells the
/// most bytes that were allocated at a time.
pub fn body_bounds(fragment: &[u8], peak: impl Fn(&mut dyn FnMut()) -> u64) {
    check_memory(fragment, &peak);
    let Ok(fragment) = std::str::from_utf8(fragment) else { return };
    if serde_json::from_str::<serde::de::IgnoredAny>(fragment).is_err() {
        return;
    }
    for (before, between, after) in LISTS {
        let mut body = (*before).to_owned();
        for number in 0..limits::MAX_ELEMENTS + 10 {
            if body.len() > GROWN {
                break;
            }
            if number > 0 {
                body.push(',');
            }
            body.push_str(&between.replace('#', &number.to_string()));
            body.push_str(fragment);
        }
        body.push_str(after);
        check_memory(body.as_bytes(), &peak);
    }
}

/// Where a body has lists: what is before them, before each element, and after them.
const LISTS: &[(&str, &str, &str)] = &[
    (r#"{"model":"gemini-3.8-flash","messages":["#, "", "]}"),
    (r#"{"model":"gemini-3.8-flash","messages":[{"role":"user","content":["#, "", "]}]}"),
    (r#"{"model":"gemini-3.8-flash","messages":[{"role":"assistant","tool_calls":["#, "", "]}]}"),
    (r#"{"model":"gemini-3.8-flash","messages":[{"role":"user","content":"x"}],"tools":["#, "", "]}"),
    (r#"{"model":"gemini-3.8-flash","messages":[{"role":"user","content":"x"}],"functions":["#, "", "]}"),
    (r#"{"model":"gemini-3.8-flash","messages":[{"role":"user","content":"x"}],"stop":["#, "", "]}"),
    (
        r#"{"model":"gemini-3.8-flash","messages":[{"role":"user","content":"x"}],"logit_bias":{"#,
        r##""#":"##,
        "}}",
    ),
    (
        r#"{"model":"gemini-3.8-flash","messages":[{"role":"user","content":"x"}],"google":{"safety_settings":["#,
        "",
        "]}}",
    ),
    (
        r#"{"model":"gemini-3.8-flash","messages":[{"role":"user","content":"x"}],"google":{"tools":["#,
        "",
        "]}}",
    ),
    (r#"{"model":"gemini-3.8-flash","messages":[{"role":"user","content":"x"}],"x":0,"#, r##""#":"##, "}"),
    (
        r#"{"model":"gemini-3.8-flash","messages":[{"role":"user","content":"x"}],"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{"#,
        r##""#":"##,
        "}}}}]}",
    ),
    (
        r#"{"model":"gemini-3.8-flash","messages":[{"role":"user","content":"x"}],"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","required":["#,
        "",
        "]}}}]}",
    ),
    (
        r#"{"model":"gemini-3.8-flash","messages":[{"role":"user","content":"x"}],"tools":[{"type":"function","function":{"name":"f","parameters":{"anyOf":["#,
        "",
        "]}}}]}",
    ),
    (
        r#"{"model":"gemini-3.8-flash","messages":[{"role":"user","content":"x"}],"tools":[{"type":"function","function":{"name":"f","parameters":{"$defs":{"#,
        r##""#":"##,
        "}}}}]}",
    ),
    (
        r#"{"model":"gemini-3.8-flash","messages":[{"role":"user","content":"x"}],"response_format":{"type":"json_schema","json_schema":{"name":"f","schema":{"enum":["#,
        "",
        "]}}}}",
    ),
    (
        r#"{"model":"gemini-3.8-flash","messages":[{"role":"assistant","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":{"a":["#,
        "",
        r#"]}}}]},{"role":"tool","tool_call_id":"a","content":"x"}]}"#,
    ),
    (r#"{"model":"gemini-embedding-001","input":["#, "", "]}"),
];

fn check_memory(body: &[u8], peak: &impl Fn(&mut dyn FnMut()) -> u64) {
    let most = 8 * body.len() as u64 + PARSED;
    let chat = peak(&mut || drop(ChatRequest::parse(body)));
    let embeddings = peak(&mut || drop(EmbeddingsRequest::parse(body)));
    let translated = peak(&mut || pool_translate::fuzz::translated_somehow(body));
    let length = body.len();
    assert!(chat.max(embeddings) < most, "{length} bytes take {chat} or {embeddings}");
    assert!(translated < most + PARSED, "{length} bytes take {translated} with their translation");
}

fn reads<T: DeserializeOwned>(body: &[u8]) -> bool {
    pool_shared::object::<_, T>(&mut serde_json::Deserializer::from_slice(body)).is_ok()
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or_default(),
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or_default(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use pool_translate::fuzz::replay;

    #[test]
    fn every_kept_token() {
        replay("token", super::token);
    }

    #[test]
    fn every_kept_route() {
        replay("route", super::route);
    }

    #[test]
    fn every_kept_header() {
        replay("headers", super::headers);
    }

    fn peak(run: &mut dyn FnMut()) -> u64 {
        allocation_counter::measure(run).bytes_max
    }

    #[test]
    fn every_kept_fragment() {
        replay("body_bounds", |fragment| super::body_bounds(fragment, peak));
    }

    #[test]
    fn every_kept_body() {
        replay("json", super::json);
    }

    proptest! {
        #[test]
        fn any_bytes_at_all(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            super::token(&bytes);
            super::route(&bytes);
            super::headers(&bytes);
            super::json(&bytes);
        }

        #[test]
        fn any_path_like_text(
            path in "(/|//)?(admin|ADMIN|Admin|%61dmin|v1|api|models|\\.\\.|\\.|pools|keys|%2e%2e|;a=b)?\
                     ((/|//|%2f|%5c|\\\\|;|%00|\\.|:|#|@)(admin|v1|api|models|chat|completions|pools|\\.\\.|prod|%2e|é|)){0,7}"
        ) {
            super::route(path.as_bytes());
            super::route(format!("http://localhost:4000{path}").as_bytes());
        }

        #[test]
        fn any_credential(
            name in "(authorization|x-api-key|x-goog-api-key|cookie|host|origin|sec-fetch-site)",
            value in "(Bearer |bearer|Basic |session=|__Host-session=|same-origin|)(padm_|pses_|sk-pool-|' OR 1=1|)[ -~]{0,60}",
            more in "[ -~\n:]{0,80}",
        ) {
            super::headers(format!("{name}: {value}\n{more}\n{name}:{value}").as_bytes());
        }
    }
}
