use http::{Method, StatusCode};
use proptest::prelude::*;
use serde_json::Value;

use super::super::tests::{ANSWER, MINUTE, World};
use super::*;
use crate::testing::FakeHost;

const ON: &str = r#","pass_through":true,"aliases":{"mine":"gemini-3.8-flash"}"#;
const GENERATE: &str = "/v1beta/models/gemini-3.8-flash:generateContent";
const CHAT: &str = "/v1beta/openai/chat/completions";
const INVALID_KEY: &str = r#"{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT","details":[
    {"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID","domain":"googleapis.com"}]}}"#;

#[test]
fn a_query_goes_on_without_what_could_be_a_credential() {
    for (query, passed) in [
        (None, ""),
        (Some("alt=sse"), "?alt=sse"),
        (Some("key=x"), ""),
        (Some("alt=proto&alt&%61lt=media&alt=json;x&alt=%6Ason"), "?%61lt=media&alt=%6Ason"),
        (Some("alt=sse&key=x&pageSize=5&&%6Bey=y&keys=z"), "?alt=sse&pageSize=5"),
        (Some("access_token=x&$httpHeaders=x-goog-api-key:y&%24httpMethod=DELETE&$alt=sse"), ""),
        (
            Some(
                "$userProject=a&callback=f&quotaUser=u&$ct=text/plain&prettyPrint=false&upload_protocol=raw",
            ),
            "",
        ),
        (Some("pageToken=a%26b&fields=models(name)&Alt=sse"), "?pageToken=a%26b&fields=models(name)"),
    ] {
        assert_eq!(passed_query(query), passed, "{query:?}");
    }
}

proptest! {
    /// Whatever a client writes: of a query nothing continues but pairs of the four names, as they were written, and no
    /// `alt` that would have errors come as anything but JSON.
    #[test]
    fn nothing_of_a_query_goes_on_but_what_is_named(
        pairs in proptest::collection::vec(
            (
                prop_oneof![
                    Just("alt".to_owned()), Just("pageSize".to_owned()), Just("pageToken".to_owned()),
                    Just("fields".to_owned()), Just("%61lt".to_owned()), Just("$alt".to_owned()),
                    Just("key".to_owned()), Just("ALT".to_owned()), "[$%a-zA-Z0-9._-]{0,12}",
                ],
                prop_oneof!["[=%a-zA-Z0-9?;$ ]{0,12}", Just("sse".to_owned()), Just("%6ason".to_owned())],
            ),
            0..8,
        )
    ) {
        let written: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let passed = passed_query(Some(&written.join("&")));
        let passed: Vec<&str> = passed.strip_prefix('?').unwrap_or_default().split_terminator('&').collect();
        let named = |pair: &&&String| {
            let (name, value) = pair.split_once('=').unwrap_or_default();
            let name = percent_decode_str(name).decode_utf8_lossy();
            let value = percent_decode_str(value).decode_utf8_lossy();
            match name.as_ref() {
                "alt" => ["json", "sse", "media"].contains(&value.as_ref()),
                name => ["pageSize", "pageToken", "fields"].contains(&name),
            }
        };
        let expected: Vec<&String> = written.iter().filter(|pair| named(&pair)).collect();
        prop_assert_eq!(passed, expected);
    }
}

#[test]
fn a_body_names_one_model() {
    let named = |body: &str| model_in(body.as_bytes()).map(Cow::into_owned).map_err(|error| error.status);
    assert_eq!(named(r#"{"model":"a","messages":[{"model":"b"}]}"#), Ok("a".to_owned()));
    assert_eq!(named("{ \"x\": [[1e999, \"\\u0000\"]], \"model\" : \"\\u0061\"}"), Ok("a".to_owned()));
    for body in [
        "",
        "{}",
        "[]",
        r#"{"model":null}"#,
        r#"{"model":""}"#,
        r#"{"model":["a"]}"#,
        r#"{"model":"a","model":"b"}"#,
        r#"{"model":"a","mod\u0065l":"b"}"#,
        r#"{"model":"a""#,
        r#"{"model":"a"} {"model":"b"}"#,
    ] {
        assert_eq!(named(body), Err(StatusCode::BAD_REQUEST), "{body}");
    }
}

impl World {
    async fn pass_on(&self, method: Method, path: &str, body: &str) -> (Reply<FakeHost>, String) {
        self.host.send(&self.service, method, path, &self.pool.client_key, body).await
    }
}

fn reason(body: &str) -> String {
    let body: Value = serde_json::from_str(body).unwrap();
    body["error"]["details"][0]["reason"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn one_credential_goes_where_the_endpoint_wants_it() {
    let world = World::new(1, ON).await;
    world.script(&[(200, ANSWER)]);
    world.pass_on(Method::POST, &format!("{GENERATE}?key=x&alt=sse"), "odd").await;
    world.pass_on(Method::POST, CHAT, r#"{"model":"models/gemini-3.8-flash"}"#).await;
    world.pass_on(Method::POST, "/v1beta/models/mine:countTokens", "").await;
    world.pass_on(Method::GET, "/v1beta/openai/models/mine", "").await;
    let requests = world.host.parts.upstream.requests.lock().unwrap();
    let sent: Vec<_> = requests
        .iter()
        .map(|request| (request.path.as_str(), request.credential, request.body.as_deref()))
        .collect();
    assert_eq!(
        sent,
        [
            (
                "/v1beta/models/gemini-3.8-flash:generateContent?alt=sse",
                Credential::ApiKey,
                Some(&b"odd"[..])
            ),
            (CHAT, Credential::Bearer, Some(&br#"{"model":"models/gemini-3.8-flash"}"#[..])),
            ("/v1beta/models/gemini-3.8-flash:countTokens", Credential::ApiKey, Some(&b""[..])),
            ("/v1beta/openai/models/mine", Credential::Bearer, None),
        ]
    );
}

#[tokio::test]
async fn a_body_that_is_no_json_goes_nowhere() {
    let world = World::new(1, ON).await;
    world.script(&[(200, ANSWER)]);
    let key = world.pool.client_key.expose();
    for (content_type, status) in [
        (Some("application/x-protobuf"), StatusCode::UNSUPPORTED_MEDIA_TYPE),
        (Some("application/json; charset=utf-8"), StatusCode::OK),
    ] {
        let mut headers =
            vec![("x-goog-api-key", key), ("accept", "text/html"), ("x-goog-user-project", "mine")];
        headers.extend(content_type.map(|content_type| ("content-type", content_type)));
        let (reply, _) = world.host.ask(&world.service, Method::POST, GENERATE, &headers, "body").await;
        assert_eq!(reply.status, status, "{content_type:?}");
    }
    let requests = world.host.parts.upstream.requests.lock().unwrap();
    let types: Vec<_> = requests.iter().map(|request| request.content_type.to_str().unwrap()).collect();
    assert_eq!(types, ["application/json; charset=utf-8"]);
}

#[tokio::test]
async fn refusals_of_a_key_are_not_the_caller_s() {
    let world = World::new(4, ON).await;
    world.script(&[(400, INVALID_KEY), (429, MINUTE), (200, ANSWER)]);
    let (reply, body) = world.pass_on(Method::POST, GENERATE, "{}").await;
    assert_eq!((reply.status, body.as_str()), (StatusCode::OK, ANSWER));
    assert_eq!((&reply.headers["x-pool-attempts"], world.calls().len()), (&HeaderValue::from_static("3"), 3));
    // What repeats a key is told in other words.
    let leak = r#"{"error":{"code":400,"message":"AIzaSyA-aaaaaaaaaaaaaaaaaaaaaaa0, AIzaSyA-aaaaaaaaaaaaaaaaaaaaaaa1, AIzaSyA-aaaaaaaaaaaaaaaaaaaaaaa2, AIzaSyA-aaaaaaaaaaaaaaaaaaaaaaa3","status":"INVALID_ARGUMENT"}}"#;
    for answer in [leak, r#"{ "error": {"code": 400, "message": "x", "status": "INVALID_ARGUMENT"}}"#] {
        world.host.parts.upstream.clear();
        world.script(&[(400, answer)]);
        let (reply, body) = world.pass_on(Method::POST, GENERATE, "{}").await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST);
        assert!(!body.contains("AIzaSyA-aa"), "{body}");
        assert_eq!(body == answer, answer != leak, "{body}");
    }
}

#[tokio::test]
async fn what_is_refused_here_is_refused_in_the_caller_s_language() {
    let world = World::new(1, r#","pass_through":true,"allowed_models":["gemini-3.8-*"]"#).await;
    let forbidden = "/v1beta/models/gemini-2.5-pro:generateContent";
    let (reply, body) = world.pass_on(Method::POST, forbidden, "{}").await;
    assert_eq!((reply.status, reason(&body).as_str()), (StatusCode::FORBIDDEN, "MODEL_NOT_ALLOWED"));
    let (reply, body) = world.pass_on(Method::POST, CHAT, r#"{"model":"gemini-2.5-pro"}"#).await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN);
    assert!(body.contains(r#""code":"model_not_allowed""#), "{body}");
    let (reply, body) = world.pass_on(Method::POST, "/v1beta/files", "").await;
    assert_eq!((reply.status, reason(&body).as_str()), (StatusCode::NOT_FOUND, "API_NOT_OFFERED"));
    let (reply, body) =
        world.host.ask(&world.service, Method::POST, &format!("{GENERATE}?key=sk-pool-x"), &[], "").await;
    assert_eq!((reply.status, reason(&body).as_str()), (StatusCode::UNAUTHORIZED, "INVALID_API_KEY"));
    assert!(body.contains("in the header x-goog-api-key"), "{body}");
    assert!(world.calls().is_empty());

    let off = World::new(1, "").await;
    let (reply, body) = off.pass_on(Method::POST, GENERATE, "{}").await;
    assert_eq!((reply.status, reason(&body).as_str()), (StatusCode::FORBIDDEN, "PASS_THROUGH_OFF"));
    assert!(body.contains("poolctl pool update 'prod' --pass-through on"), "{body}");
}

#[tokio::test]
async fn a_key_that_is_no_bearer_is_sent_once_more_in_the_other_header_and_then_at_once() {
    const MULTIPLE: &str = r#"{"error":{"code":400,"message":"Multiple authentication credentials received. Please pass only one.","status":"INVALID_ARGUMENT"}}"#;
    let world = World::new(1, ON).await;
    world.script(&[(400, MULTIPLE), (200, ANSWER), (200, ANSWER), (400, MULTIPLE), (200, ANSWER)]);
    let body = r#"{"model":"gemini-3.8-flash","messages":[]}"#;
    let credentials = || -> Vec<Credential> {
        world.host.parts.upstream.requests.lock().unwrap().iter().map(|request| request.credential).collect()
    };
    for _ in 0..2 {
        assert_eq!(world.pass_on(Method::POST, CHAT, body).await.0.status, StatusCode::OK);
    }
    assert_eq!(credentials(), [Credential::Bearer, Credential::ApiKey, Credential::ApiKey]);
    let keys: Vec<String> = world.calls().into_iter().map(|(key, _)| key).collect();
    assert!(keys.iter().all(|key| *key == keys[0]), "{keys:?}");
    world.host.parts.clock.advance(std::time::Duration::from_hours(24));
    assert_eq!(world.pass_on(Method::POST, CHAT, body).await.0.status, StatusCode::OK);
    assert_eq!(credentials()[3..], [Credential::Bearer, Credential::ApiKey]);
    let (_, stats) = world.host.send(&world.service, Method::GET, "/admin/v1/stats", &world.admin, "").await;
    let stats: Value = serde_json::from_str(&stats).unwrap();
    assert_eq!(
        (&stats["total"]["attempts"], &stats["total"]["successes"]),
        (&5.into(), &3.into()),
        "{stats}"
    );
    let path = format!("/admin/v1/pools/{}/keys", world.pool.pool.id);
    let (_, keys) = world.host.send(&world.service, Method::GET, &path, &world.admin, "").await;
    let keys: Value = serde_json::from_str(&keys).unwrap();
    assert_eq!(keys["keys"][0]["state"], "healthy", "{keys}");
}

#[test]
fn only_json_is_passed_on() {
    for (content_type, passed) in [
        ("application/json", true),
        ("Application/JSON; charset=utf-8", true),
        ("text/plain", false),
        ("application/x-www-form-urlencoded", false),
        ("application/json-patch+json", false),
        ("multipart/related; boundary=application/json", false),
        ("", false),
    ] {
        assert_eq!(is_json(&HeaderValue::from_static(content_type)), passed, "{content_type}");
    }
}
