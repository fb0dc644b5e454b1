//! Model limits: observed in quota errors, and configured.

use jiff::Timestamp;
use pool_fake_gemini::Behaviour;
use pool_shared::{ErrorCode, Limits, ModelLimits, Pool as PoolShown, PoolLimits, Quota};
use reqwest::Method;
use serde_json::json;

use super::harness::{Harness, MODEL, eventually, prompt, send};

pub async fn limits_from_quota_errors_are_shown(harness: &Harness) {
    let began = Timestamp::now();
    let pool = harness.pool(&[("day", Behaviour::ExhaustedDay)]).await;
    let path = format!("/pools/{}/limits", pool.id);
    let none: PoolLimits = harness.get(&path).await.json(200);
    assert_eq!(none, PoolLimits::default());
    assert_eq!(harness.chat(&pool, "hello").await.status, 429);
    let limits = eventually("a limit", async || {
        let limits: PoolLimits = harness.get(&path).await.json(200);
        (limits.total > 0).then_some(limits)
    })
    .await;
    let key = &harness.keys(&pool).await[0];
    let learnt = &limits.learnt[0];
    assert_eq!((learnt.model.as_str(), learnt.quota), (MODEL, Quota::RequestsPerDay));
    assert!(learnt.value > 0 && learnt.learnt_at >= began && learnt.learnt_at <= Timestamp::now());
    assert!(learnt.metric.as_ref().unwrap().starts_with("generativelanguage.googleapis.com/"));
    assert_eq!(learnt.limit.as_deref(), Some("GenerateRequestsPerDayPerProjectPerModel-FreeTier"));
    assert_eq!((&learnt.project, learnt.key_id.as_ref()), (&None, Some(&key.id)));
    assert_eq!(learnt.masked.as_ref(), Some(&key.masked));

    let of_model =
        async |model: &str| harness.get(&format!("{path}?model={model}")).await.json::<PoolLimits>(200).total;
    assert_eq!((of_model(MODEL).await, of_model("gemini-x").await), (1, 0));
    harness.get(&format!("{path}?limit=0")).await.admin_error(400, ErrorCode::InvalidRequest);
    // A reset removes them from the list.
    harness
        .post(&format!("/pools/{}/keys/reset", pool.id), &json!({"ids": [key.id]}))
        .await
        .json::<serde_json::Value>(200);
    assert_eq!(of_model(MODEL).await, 0);
}

pub async fn configured_limits_are_enforced(harness: &Harness) {
    let pool = harness.pool(&[("good", Behaviour::Ok)]).await;
    let path = format!("/pools/{}", pool.id);
    let set = json!({"model_limits": [{"model": "gemini-*", "limits": {"requests_per_minute": 2}}]});
    let shown: PoolShown = harness.patch(&path, &set).await.json(200);
    let limits = Limits { requests_per_minute: Some(2), ..Limits::default() };
    let expected = [ModelLimits { model: "gemini-*".to_owned(), project: String::new(), limits }];
    assert_eq!(shown.settings.model_limits, expected);
    let mut statuses = Vec::new();
    for _ in 0..6 {
        statuses.push(harness.chat(&pool, "hello").await.status);
    }
    // An apparently exhausted quota is still tried once.
    let reached = harness.tally("good").requests;
    assert!((2..=3).contains(&reached) && statuses.ends_with(&[429, 429]), "{statuses:?}");
    let limits: PoolLimits = harness.get(&format!("{path}/limits")).await.json(200);
    assert_eq!((limits.set.as_slice(), limits.total), (&expected[..], 0));

    // Other updates keep them; an empty list removes them.
    let shown: PoolShown = harness.patch(&path, &json!({"description": "x"})).await.json(200);
    assert_eq!(shown.settings.model_limits, expected);
    let shown: PoolShown = harness.patch(&path, &json!({"model_limits": []})).await.json(200);
    assert!(shown.settings.model_limits.is_empty());
    assert_eq!(send(harness.call(&pool, "/v1/chat/completions", &prompt("hello"))).await.status, 200);
    for wrong in [
        json!([{"model": "", "limits": {}}]),
        json!([{"model": "a", "limits": {}}]),
        json!([{"limits": {}}]),
        json!([{"model": "a", "limits": {"requests_per_minute": -1}}]),
    ] {
        let body = json!({"model_limits": wrong});
        send(harness.admin(Method::PATCH, &path).json(&body))
            .await
            .admin_error(400, ErrorCode::InvalidRequest);
    }
}
