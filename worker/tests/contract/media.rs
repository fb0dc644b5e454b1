//! Media by URL.

use pool_fake_gemini::Behaviour;
use pool_shared::Pool as PoolShown;
use serde_json::{Value, json};

use super::harness::{Harness, MODEL, send};

pub async fn a_url_is_never_fetched_from_a_private_network(harness: &Harness) {
    let pool = harness.pool(&[("good", Behaviour::Ok)]).await;
    // The mock Gemini server stands for an internal server here.
    let reachable = format!("{}/cat.png", harness.gemini.url());
    let port = harness.gemini.url().rsplit(':').next().unwrap();
    let urls = [
        reachable.clone(),
        reachable.replace("http:", "https:"),
        format!("https://localhost:{port}/cat.png"),
        "https://127.0.0.1/cat.png".to_owned(),
        "https://2130706433/cat.png".to_owned(),
        "https://[::ffff:169.254.169.254]/latest/meta-data".to_owned(),
        "https://user:password@example.com/cat.png".to_owned(),
    ];
    for (fetch_media, sign) in [
        (json!(false), "does not fetch"),
        (json!(true), "could not be fetched"),
        (json!(["127.0.0.1", "localhost", "*.example"]), "could not be fetched"),
    ] {
        let settings = json!({"translation": {"fetch_media": fetch_media}});
        harness.patch(&format!("/pools/{}", pool.id), &settings).await.json::<PoolShown>(200);
        for url in &urls {
            let image = json!({"type": "image_url", "image_url": {"url": url}});
            let body = json!({"model": MODEL, "messages": [{"role": "user", "content": [image]}]});
            let answer = send(harness.call(&pool, "/v1/chat/completions", &body)).await;
            let message = answer.openai_error(400, Some("invalid_image_url"));
            assert!(message.contains(sign), "{url}: {message}");
            assert_eq!(answer.json::<Value>(400)["error"]["param"], "messages[0].content[0].image_url.url");
        }
    }
    assert!(harness.gemini.requests().is_empty());
}
