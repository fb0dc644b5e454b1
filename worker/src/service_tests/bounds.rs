//! The subrequest budget of one request, through all kinds of failures.

use serde_json::json;

use super::*;
use crate::testing::FakePage;

/// The subrequest limit of Cloudflare's free plan.
const ALLOWED: usize = 50;

impl World {
    /// Builds a pool with more keys than a request may try.
    async fn of_many_keys() -> Self {
        let world = Self::new().await;
        let keys: Vec<_> = (0..60).map(|number| json!({"key": format!("AIzaSyA-{number:0>24}")})).collect();
        let path = format!("/admin/v1/pools/{}/keys/import", world.pool.pool.id);
        let body = json!({"keys": keys}).to_string();
        world.host.send(&world.service, Method::POST, &path, &world.admin, &body).await;
        world
    }

    async fn ask(&self, path: &str, body: &serde_json::Value) -> (StatusCode, String) {
        let key = &self.pool.client_key;
        let (reply, body) = self.host.send(&self.service, Method::POST, path, key, &body.to_string()).await;
        (reply.status, body)
    }
}

#[tokio::test]
async fn the_batches_of_many_texts_and_their_retries_stay_within_the_calls_of_a_request() {
    let world = World::of_many_keys().await;
    let upstream = &world.host.parts.upstream;
    upstream.clear();
    let embeddings = json!({"embeddings": vec![json!({"values": [1.0]}); 100]}).to_string();
    let batch: &'static str = Box::leak(embeddings.into_boxed_str());
    // Each attempt fails at its last batch.
    for _ in 0..4 {
        for _ in 0..20 {
            upstream.answer(200, batch);
        }
        upstream.answer(429, USED_UP);
    }
    let body = json!({"model": "gemini-embedding-001", "input": vec!["text"; 2_048]});
    let (status, answer) = world.ask("/v1/embeddings", &body).await;
    assert!(status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS, "{answer}");
    let calls = upstream.requests.lock().unwrap().len();
    assert_eq!(calls, 42, "two attempts of 21 calls");
    assert_eq!(world.stats().await.total.attempts, 42, "each is counted, and no other");
}

#[tokio::test]
async fn media_and_several_choices_and_their_retries_stay_within_the_calls_of_a_request() {
    let world = World::of_many_keys().await;
    let path = format!("/admin/v1/pools/{}", world.pool.pool.id);
    let settings = r#"{"translation":{"fetch_media":true}}"#;
    world.host.send(&world.service, Method::PATCH, &path, &world.admin, settings).await;
    let mut content = vec![json!({"type": "text", "text": "hello"})];
    for number in 0..8 {
        let url = |hop: u32| format!("https://a.example/{number}-{hop}.png");
        content.push(json!({"type": "image_url", "image_url": {"url": url(0)}}));
        let mut pages = world.host.parts.internet.pages.lock().unwrap();
        let hops = 1 + number % 2;
        for hop in 0..hops {
            let location = Some(url(hop + 1));
            pages.insert(url(hop), FakePage { status: 302, location, ..FakePage::default() });
        }
        let body = bytes::Bytes::from_static(b"\x89PNG\r\n\x1a\n");
        pages.insert(
            url(hops),
            FakePage { status: 200, content_type: Some("image/png"), body, ..FakePage::default() },
        );
    }
    let upstream = &world.host.parts.upstream;
    upstream.clear();
    upstream.answer(400, BAD_KEY);
    let body =
        json!({"model": "gemini-3.8-flash", "n": 8, "messages": [{"role": "user", "content": content}]});
    let before = world.host.store_calls();
    let (status, answer) = world.ask("/v1/chat/completions", &body).await;
    assert!(status.is_server_error(), "{answer}");
    let media = world.host.parts.internet.asked.lock().unwrap().len();
    let attempts = upstream.requests.lock().unwrap().len();
    assert_eq!((media, media + attempts), (20, 48));
    assert!(media + attempts + usize::try_from(world.host.store_calls() - before).unwrap() <= ALLOWED);
    assert_eq!(world.stats().await.total.attempts, attempts as u64, "each is counted, and no other");
}
