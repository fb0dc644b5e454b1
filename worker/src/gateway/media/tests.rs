use std::time::Duration;

use bytes::Bytes;
use futures_util::poll;
use http::Method;
use serde_json::{Value, json};

use super::*;
use crate::gateway::tests::World;
use crate::platform::Platform as _;
use crate::testing::{FakeHost, FakePage};

const ANSWER: &str =
    r#"{"candidates":[{"content":{"role":"model","parts":[{"text":"A cat"}]},"finishReason":"STOP"}]}"#;
const PNG: &[u8] = b"\x89PNG\r\n";

/// Returns a pool that fetches as told, and a Gemini that answers.
async fn world(fetch_media: Value) -> World {
    let settings = format!(r#","translation":{{"fetch_media":{fetch_media}}}"#);
    let world = World::new(1, &settings).await;
    world.script(&[(200, ANSWER)]);
    world
}

impl World {
    fn page(&self, url: &str, page: FakePage) {
        self.host.parts.internet.pages.lock().unwrap().insert(url.to_owned(), page);
    }

    fn image(&self, url: &str) {
        let page = FakePage { content_type: Some("image/png"), body: Bytes::from_static(PNG), ..ok() };
        self.page(url, page);
    }

    fn redirect(&self, from: &str, to: &str) {
        self.page(from, FakePage { status: 302, location: Some(to.to_owned()), ..FakePage::default() });
    }

    fn asked(&self) -> Vec<String> {
        self.host.parts.internet.asked.lock().unwrap().clone()
    }

    /// Asks about what is at the URLs: the status and the response.
    async fn look_at(&self, urls: &[&str]) -> (u16, Value) {
        let image = |url: &&str| json!({"type": "image_url", "image_url": {"url": url}});
        let content: Vec<Value> = urls.iter().map(image).collect();
        let body = json!({"model": "gemini-3.8-flash", "messages": [{"role": "user", "content": content}]});
        let key = &self.pool.client_key;
        let (reply, answer) =
            self.host.send(&self.service, Method::POST, "/v1/chat/completions", key, &body.to_string()).await;
        (reply.status.as_u16(), serde_json::from_str(&answer).unwrap())
    }

    /// Returns what the client is told of the part at a place; Gemini was not asked.
    async fn refused(&self, urls: &[&str], place: usize) -> String {
        let (status, answer) = self.look_at(urls).await;
        let error = &answer["error"];
        assert_eq!((status, error["code"].as_str()), (400, Some("invalid_image_url")), "{urls:?}: {answer}");
        assert_eq!(error["param"], format!("messages[0].content[{place}].image_url.url"));
        assert!(self.calls().is_empty(), "{urls:?}");
        error["message"].as_str().unwrap().to_owned()
    }
}

fn ok() -> FakePage {
    FakePage { status: 200, ..FakePage::default() }
}

#[tokio::test]
async fn a_pool_fetches_nothing_unless_told_to() {
    let world = World::new(1, "").await;
    world.image("https://a.example/cat.png");
    let message = world.refused(&["https://a.example/cat.png"], 0).await;
    assert!(message.contains("does not fetch"), "{message}");
    assert!(world.asked().is_empty());
}

#[tokio::test]
async fn what_stands_at_a_url_is_sent_along() {
    let world = world(json!(true)).await;
    world.image("https://a.example/cat");
    world.redirect("https://b.example/dog", "/other/dog");
    let pdf =
        FakePage { content_type: Some("application/pdf; x=y"), body: Bytes::from_static(b"%PDF"), ..ok() };
    world.page("https://b.example/other/dog", pdf);
    let urls = ["https://a.example/cat", "https://b.example/dog", "https://a.example/cat"];
    assert_eq!(world.look_at(&urls).await.0, 200);
    let mut asked = world.asked();
    asked.sort_unstable();
    let expected = ["https://a.example/cat", "https://b.example/dog", "https://b.example/other/dog"];
    assert_eq!(asked, expected, "each once");
    let body = world.host.parts.upstream.requests.lock().unwrap()[0].body.clone().unwrap();
    let sent: Value = serde_json::from_slice(&body).unwrap();
    let blob = |mime: &str, data: &str| json!({"inlineData": {"mimeType": mime, "data": data}});
    let (cat, dog) = (blob("image/png", "iVBORw0K"), blob("application/pdf", "JVBERg=="));
    assert_eq!(sent["contents"][0]["parts"], json!([cat, dog, cat]));
}

#[tokio::test]
async fn every_step_is_guarded() {
    let world = world(json!(["*.example"])).await;
    for (url, sign) in [
        ("http://a.example/", "only https"),
        ("https://127.1/", "not on the public internet"),
        ("https://user@a.example/", "a user name"),
        ("https://a.example:444/", "only port 443"),
        ("https://a.test/", "not on the pool's allowlist"),
    ] {
        let message = world.refused(&[url], 0).await;
        assert!(message.contains(sign), "{url}: {message}");
    }
    assert!(world.asked().is_empty());
    for (to, sign) in [
        ("https://169.254.169.254/latest/meta-data", "not on the public internet"),
        ("http://a.example/", "only https"),
        ("https://a.test/", "not on the pool's allowlist"),
        ("/cat:8080//", "cannot be reached"),
    ] {
        world.redirect("https://a.example/from", to);
        let message = world.refused(&["https://a.example/from"], 0).await;
        assert!(message.contains(sign), "{to}: {message}");
        assert!(!message.contains("10.0.0.1"), "{message}");
    }
    let reached = world.asked().into_iter().filter(|url| !url.starts_with("https://a.example/")).count();
    assert_eq!(reached, 0);
}

#[tokio::test]
async fn a_url_redirects_three_times_at_most() {
    let world = world(json!(true)).await;
    for step in 0..4 {
        world.redirect(&format!("https://a.example/{step}"), &format!("https://a.example/{}", step + 1));
    }
    world.image("https://a.example/4");
    let message = world.refused(&["https://a.example/0"], 0).await;
    assert!(message.contains("redirects too often"), "{message}");
    assert_eq!(world.asked().len(), 4);
    assert_eq!(world.look_at(&["https://a.example/1"]).await.0, 200);
}

#[tokio::test]
async fn a_request_costs_a_bounded_number_of_calls() {
    let world = world(json!(true)).await;
    let urls: Vec<String> = (0..9).map(|number| format!("https://a.example/{number}")).collect();
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    let message = world.refused(&urls, 8).await;
    assert!(message.contains("At most 8"), "{message}");
    assert!(world.asked().is_empty());
    for url in &urls {
        for step in 0..3 {
            let from = format!("{url}{}", "x".repeat(step));
            world.redirect(&from, &format!("{from}x"));
        }
        world.image(&format!("{url}xxx"));
    }
    let (status, _) = world.look_at(&urls[..8]).await;
    assert_eq!((status, world.asked().len()), (400, MAX_FETCHES));
    assert_eq!(world.look_at(&urls[..5]).await.0, 200);
}

#[tokio::test]
async fn what_is_no_medium_or_too_large_is_refused() {
    let world = world(json!(true)).await;
    let large = Bytes::from(vec![0; FakeHost::MEDIA_BYTES / 2 + 1]);
    let image = |body| FakePage { content_type: Some("image/png"), body, ..ok() };
    world.page("https://a.example/1", image(large.clone()));
    world.page("https://a.example/2", image(large));
    world.page("https://a.example/said", FakePage { content_length: Some(1 << 40), ..ok() });
    world.page("https://a.example/html", FakePage { content_type: Some("text/html"), ..ok() });
    world.page("https://a.example/text", FakePage { body: Bytes::from_static(b"text"), ..ok() });
    world.page("https://a.example/gone", FakePage { status: 404, ..FakePage::default() });
    world.page("https://a.example/lost", FakePage { status: 304, ..FakePage::default() });
    for (url, sign) in [
        ("https://a.example/said", "20 MB"),
        ("https://a.example/html", "no image"),
        ("https://a.example/text", "no image"),
        ("https://a.example/gone", "status 404"),
        ("https://a.example/lost", "status 304"),
        ("https://a.example/nowhere", "cannot be reached"),
    ] {
        let message = world.refused(&[url], 0).await;
        assert!(message.contains(sign), "{url}: {message}");
    }
    let message = world.refused(&["https://a.example/1", "https://a.example/2"], 1).await;
    assert!(message.contains("20 MB"), "{message}");
    assert_eq!(world.look_at(&["https://a.example/1"]).await.0, 200);
}

#[tokio::test]
async fn a_server_that_never_answers_is_not_waited_for() {
    let world = world(json!(true)).await;
    world.page("https://a.example/", FakePage::default());
    let mut looking = Box::pin(world.refused(&["https://a.example/"], 0));
    assert!(poll!(&mut looking).is_pending());
    world.host.parts.clock.advance(TIMEOUT.checked_sub(Duration::from_millis(1)).unwrap());
    assert!(poll!(&mut looking).is_pending());
    world.host.parts.clock.advance(Duration::from_millis(1));
    let message = looking.await;
    assert!(message.contains("longer than 10 s"), "{message}");
}

const CANNOT_FETCH: &str = r#"{"error":{"code":400,"message":"Cannot fetch content from the provided URL.","status":"INVALID_ARGUMENT"}}"#;

impl World {
    /// Returns the parts of each call to Gemini.
    fn parts(&self) -> Vec<Value> {
        let requests = self.host.parts.upstream.requests.lock().unwrap();
        let bodies =
            requests.iter().map(|request| serde_json::from_slice(request.body.as_ref().unwrap()).unwrap());
        bodies.map(|body: Value| body["contents"][0]["parts"].clone()).collect()
    }
}

#[tokio::test]
async fn gemini_is_given_the_urls_that_are_left_to_it() {
    let cat = "https://a.example/cat.png?signature=x";
    let given = json!([{"fileData": {"mimeType": "image/png", "fileUri": cat}}]);
    let world = world(json!("gemini")).await;
    assert_eq!(world.look_at(&[cat]).await.0, 200);
    assert_eq!(world.parts(), [given]);
    assert!(world.asked().is_empty(), "no bytes come through the service");
    for url in ["http://a.example/cat.png", "https://127.0.0.1/", "https://user@a.example/"] {
        let (status, _) = world.look_at(&[url]).await;
        assert_eq!(status, 400, "{url}");
    }
    assert_eq!(world.parts().len(), 1);
}

#[tokio::test]
async fn each_host_is_fetched_from_as_the_pool_says() {
    let world = world(json!({"gemini": ["*.cdn.example"], "own": ["a.example"]})).await;
    world.image("https://a.example/cat");
    let (status, body) = world.look_at(&["https://x.cdn.example/dog", "https://a.example/cat"]).await;
    assert_eq!(status, 200, "{body}");
    let parts = &world.parts()[0];
    assert_eq!(parts[0], json!({"fileData": {"fileUri": "https://x.cdn.example/dog"}}));
    assert_eq!(parts[1]["inlineData"]["mimeType"], "image/png");
    assert_eq!(world.look_at(&["https://b.example/cat"]).await.0, 400);
}

#[tokio::test]
async fn what_gemini_does_not_fetch_is_fetched_here_where_that_is_allowed() {
    let cat = "https://a.example/cat";
    for (setting, statuses, calls) in [
        (json!({"gemini": true, "own": true}), 200, 2),
        (json!({"gemini": true, "own": ["b.example"]}), 400, 1),
        (json!("gemini"), 400, 1),
    ] {
        let world = World::new(1, &format!(r#","translation":{{"fetch_media":{setting}}}"#)).await;
        world.script(&[(400, CANNOT_FETCH), (200, ANSWER)]);
        world.image(cat);
        let (status, body) = world.look_at(&[cat]).await;
        assert_eq!((status, world.parts().len()), (statuses, calls), "{setting}: {body}");
        if statuses == 200 {
            assert_eq!(world.parts()[1][0]["inlineData"]["mimeType"], "image/png");
        }
    }
    // A mistake that has nothing to do with it is the client's.
    let world = World::new(1, r#","translation":{"fetch_media":{"gemini":true,"own":true}}"#).await;
    world.script(&[(
        400,
        r#"{"error":{"code":400,"message":"Top K must be positive.","status":"INVALID_ARGUMENT"}}"#,
    )]);
    world.image(cat);
    assert_eq!((world.look_at(&[cat]).await.0, world.asked().len()), (400, 0));
}
