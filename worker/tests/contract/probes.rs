//! Monitoring: probes without a token, metrics with one.

use pool_fake_gemini::Behaviour;
use pool_shared::{ErrorCode, Scope};
use pool_worker::liveness::PROBES;
use reqwest::Method;

use super::harness::{Harness, send};

pub async fn probes_need_no_token_and_reveal_nothing(harness: &Harness) {
    let pool = harness.pool(&[("good", Behaviour::Ok)]).await;
    for (path, _) in PROBES {
        let answer = send(harness.request(Method::GET, path)).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, "ok\n"), "{path}");
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(send(harness.request(Method::HEAD, path)).await.status, 200, "{path}");
        let answer = send(harness.request(Method::POST, path)).await;
        assert_eq!((answer.status, answer.header("allow")), (405, "GET, HEAD"), "{path}");
        // A credential changes nothing.
        assert_eq!(send(harness.request(Method::GET, path).bearer_auth(&pool.client_key)).await.body, "ok\n");
    }
    let wrong = send(harness.request(Method::GET, "/healthz/x")).await;
    wrong.openai_error(404, Some("unknown_url"));
}

pub async fn metrics_are_those_of_the_ledger(harness: &Harness) {
    let pool = harness.pool_with_reserve(Behaviour::Invalid, Behaviour::Ok).await;
    let other = harness.weighted_pool("other", &[("unused", Behaviour::Ok, 1)]).await;
    assert_eq!(harness.chat(&pool, "hello").await.status, 200);
    let reader = harness.scoped_token(&[Scope::StatsRead], None).await;
    let metrics = async |token: &str| send(harness.request(Method::GET, "/metrics").bearer_auth(token)).await;
    let answer = metrics(&reader).await;
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, "text/plain; version=0.0.4; charset=utf-8")
    );
    let labels = format!("pool=\"prod\",pool_id=\"{}\"", pool.id);
    for line in [
        format!("pool_requests_total{{{labels},outcome=\"ok\"}} 1"),
        format!("pool_attempts_total{{{labels},outcome=\"ok\"}} 1"),
        format!("pool_attempts_total{{{labels},outcome=\"key\"}} 1"),
        format!("pool_keys{{pool=\"other\",pool_id=\"{}\",state=\"healthy\"}} 1", other.id),
        format!("pool_pending_attempts{{{labels}}} 0"),
        format!("pool_request_duration_seconds_count{{{labels}}} 1"),
        "pool_ledger_up 1".to_owned(),
        "pool_lost_attempts_total 0".to_owned(),
    ] {
        assert!(answer.body.lines().any(|other| other == line), "{line} in {}", answer.body);
    }
    assert!(answer.body.contains(&other.id));
    // A pool-scoped token sees its pool; a token without the scope sees nothing.
    let narrow = harness.scoped_token(&[Scope::StatsRead], Some(&other)).await;
    let answer = metrics(&narrow).await;
    assert!(answer.status == 200 && answer.body.contains(&other.id) && !answer.body.contains(&pool.id));
    assert!(!answer.body.contains("pool_lost"));
    let importer = harness.scoped_token(&[Scope::KeysImport], None).await;
    metrics(&importer).await.admin_error(403, ErrorCode::Forbidden);
    send(harness.request(Method::GET, "/metrics")).await.admin_error(401, ErrorCode::Unauthorized);
}
