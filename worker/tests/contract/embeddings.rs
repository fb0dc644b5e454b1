//! Embeddings.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pool_fake_gemini::{Behaviour, Limits, Scenario};
use serde_json::{Value, json};

use super::harness::{EMBEDDING_MODEL, Harness, Pool};

async fn vectors(harness: &Harness, pool: &Pool, body: Value) -> Vec<Vec<f64>> {
    let list: Value = harness.embed(pool, &body).await.json(200);
    assert_eq!((list["object"].as_str(), list["model"].as_str()), (Some("list"), Some(EMBEDDING_MODEL)));
    let rows = list["data"].as_array().unwrap();
    let vectors = rows.iter().enumerate().map(|(index, row)| {
        assert_eq!((row["object"].as_str(), row["index"].as_u64()), (Some("embedding"), Some(index as u64)));
        vector(&row["embedding"])
    });
    vectors.collect()
}

fn vector(embedding: &Value) -> Vec<f64> {
    if let Some(encoded) = embedding.as_str() {
        let bytes = STANDARD.decode(encoded).unwrap();
        let floats = bytes.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()));
        return floats.map(f64::from).collect();
    }
    embedding.as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
}

fn alike(left: &[f64], right: &[f64]) -> bool {
    left.len() == right.len() && left.iter().zip(right).all(|(left, right)| (left - right).abs() < 1e-6)
}

pub async fn embeddings_are_returned_in_both_formats(harness: &Harness) {
    let pool = harness.pool(&[("good", Behaviour::Ok)]).await;
    let one = vectors(harness, &pool, json!({"model": EMBEDDING_MODEL, "input": "one"})).await;
    let many = vectors(harness, &pool, json!({"model": EMBEDDING_MODEL, "input": ["two", "one"]})).await;
    let encoded = json!({"model": EMBEDDING_MODEL, "input": ["two", "one"], "encoding_format": "base64"});
    let encoded = vectors(harness, &pool, encoded).await;
    assert_eq!((one.len(), many.len(), encoded.len()), (1, 2, 2));
    assert!(alike(&many[1], &one[0]) && !alike(&many[0], &one[0]), "the order is kept");
    assert!(alike(&many[0], &encoded[0]) && alike(&many[1], &encoded[1]));
    let short = json!({"model": EMBEDDING_MODEL, "input": "one", "dimensions": 8});
    assert_eq!(vectors(harness, &pool, short).await[0].len(), 8);
    assert_eq!(
        harness.pool_stats(&pool).await.total.prompt_tokens,
        harness.gemini.counts().total().tokens.prompt
    );
}

pub async fn many_texts_are_embedded_in_batches(harness: &Harness) {
    let pool = harness.pool(&[("good", Behaviour::Ok), ("other", Behaviour::Ok)]).await;
    let texts: Vec<String> = (0..250).map(|number| format!("text {number}")).collect();
    let input = json!({"model": EMBEDDING_MODEL, "input": texts, "dimensions": 4});
    let all = vectors(harness, &pool, input).await;
    assert_eq!(all.len(), 250);
    for number in [0, 99, 100, 249] {
        let alone = json!({"model": EMBEDDING_MODEL, "input": texts[number], "dimensions": 4});
        assert!(alike(&vectors(harness, &pool, alone).await[0], &all[number]), "{number}");
    }
    let sizes: Vec<usize> = harness.gemini.requests()[..3]
        .iter()
        .map(|request| {
            let body: Value = serde_json::from_str(&request.body).unwrap();
            body["requests"].as_array().unwrap().len()
        })
        .collect();
    assert_eq!(sizes, [100, 100, 50]);
    assert_eq!(harness.gemini.counts().total().requests, 3 + 4);
    let counted = harness.pool_stats(&pool).await.total;
    assert_eq!((counted.attempts, counted.successes), (7, 7));
    assert_eq!(counted.prompt_tokens, 2 * 254);
}

pub async fn the_batches_before_an_error_are_counted(harness: &Harness) {
    let limit = Limits { requests_per_minute: Some(120), ..Limits::default() };
    harness.gemini.set_scenario(Scenario::default().limit(limit)).unwrap();
    let pool = harness.pool_with_reserve(Behaviour::Ok, Behaviour::Ok).await;
    let texts: Vec<String> = (0..150).map(|number| format!("text {number}")).collect();
    let input = json!({"model": EMBEDDING_MODEL, "input": texts, "dimensions": 4});
    harness.embed(&pool, &input).await.openai_error(429, Some("rate_limit_exceeded"));
    let served = harness.gemini.counts().total();
    let counted = harness.pool_stats(&pool).await.total;
    assert_eq!((counted.attempts, counted.successes, counted.failures), (4, 2, 2), "two batches on two keys");
    assert_eq!((counted.attempts, counted.prompt_tokens), (served.requests, served.tokens.prompt));
    assert_eq!(counted.prompt_tokens, 2 * 2 * 100);
}
