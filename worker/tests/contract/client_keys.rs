//! What callers present.

use pool_fake_gemini::Behaviour;
use pool_shared::{ClientKeyCreated, ClientKeyList, ErrorCode};
use serde_json::json;

use super::world::{Pool, World, eventually};

pub async fn a_client_key_works_until_it_is_revoked(world: &World) {
    let pool = world.pool(&[("good", Behaviour::Ok)]).await;
    let path = format!("/pools/{}/client-keys", pool.id);
    let created: ClientKeyCreated = world.post(&path, &json!({"name": "ci"})).await.json(201);
    let secret = created.secret.expose().to_owned();
    assert_eq!((created.client_key.name.as_str(), secret.ends_with(&created.client_key.hint)), ("ci", true));
    let caller = Pool { id: pool.id.clone(), client_key: secret.clone() };
    assert_eq!(world.chat(&caller, "hello").await.status, 200);

    let answer = world.get(&path).await;
    assert!(!answer.body.contains(&secret) && !answer.body.contains(&pool.client_key));
    let list: ClientKeyList = answer.json(200);
    assert_eq!(list.client_keys.len(), 2);
    assert!(list.client_keys.contains(&created.client_key));

    let one = format!("{path}/{}", created.client_key.id);
    world.delete(&one).await.no_content();
    world.chat(&caller, "hello").await.openai_error(401, Some("invalid_api_key"));
    assert_eq!(world.chat(&pool, "hello").await.status, 200, "the other one still works");
    assert_eq!(world.get(&path).await.json::<ClientKeyList>(200).client_keys.len(), 1);

    world.delete(&one).await.admin_error(404, ErrorCode::NotFound);
    let other = world.weighted_pool("other", &[]).await;
    let first = &list.client_keys.iter().find(|key| key.id != created.client_key.id).unwrap().id;
    let answer = world.delete(&format!("/pools/{}/client-keys/{first}", other.id)).await;
    answer.admin_error(404, ErrorCode::NotFound);
    let name = json!({"name": "x".repeat(101)});
    world.post(&path, &name).await.admin_error(400, ErrorCode::InvalidRequest);
}

pub async fn a_client_key_is_rotated_without_a_gap(world: &World) {
    let pool = world.pool(&[("good", Behaviour::Ok)]).await;
    let path = format!("/pools/{}/client-keys", pool.id);
    let first = world.get(&path).await.json::<ClientKeyList>(200).client_keys.remove(0);
    let rotated: ClientKeyCreated =
        world.post(&format!("{path}/{}/rotate", first.id), &json!({})).await.json(201);
    assert_eq!((&rotated.client_key.name, rotated.client_key.expires_at), (&first.name, None));
    let new = Pool { id: pool.id.clone(), client_key: rotated.secret.expose().to_owned() };
    for caller in [&pool, &new] {
        assert_eq!(world.chat(caller, "hello").await.status, 200);
    }
    let list: ClientKeyList = world.get(&path).await.json(200);
    let old = list.client_keys.iter().find(|key| key.id == first.id).unwrap();
    let hours = old.expires_at.unwrap().duration_since(rotated.client_key.created_at).as_hours();
    assert_eq!((list.client_keys.len(), hours), (2, 24));
    // Without a grace the old one stops at once.
    let rotate = format!("{path}/{}/rotate", rotated.client_key.id);
    let third: ClientKeyCreated = world.post(&rotate, &json!({"grace_s": 0})).await.json(201);
    world.chat(&new, "hello").await.openai_error(401, Some("invalid_api_key"));
    let third = Pool { id: pool.id.clone(), client_key: third.secret.expose().to_owned() };
    assert_eq!(world.chat(&third, "hello").await.status, 200);
    world.post(&format!("{path}/ck-none/rotate"), &json!({})).await.admin_error(404, ErrorCode::NotFound);
    let long = json!({"grace_s": 31 * 24 * 3600});
    world
        .post(&format!("{path}/{}/rotate", first.id), &long)
        .await
        .admin_error(400, ErrorCode::InvalidRequest);
}

pub async fn a_client_key_stops_at_its_end(world: &World) {
    let pool = world.pool(&[("good", Behaviour::Ok)]).await;
    let path = format!("/pools/{}/client-keys", pool.id);
    let short = json!({"name": "short", "expires_in_s": 2});
    let created: ClientKeyCreated = world.post(&path, &short).await.json(201);
    assert!(created.client_key.expires_at.unwrap() > created.client_key.created_at);
    let caller = Pool { id: pool.id.clone(), client_key: created.secret.expose().to_owned() };
    let refused = eventually("the client key's end", async || {
        Some(world.chat(&caller, "hello").await).filter(|answer| answer.status != 200)
    })
    .await;
    refused.openai_error(401, Some("invalid_api_key"));
    assert_eq!(world.chat(&pool, "hello").await.status, 200);
    // The next new client key takes its place.
    world.post(&path, &json!({"name": "next"})).await;
    let list: ClientKeyList = world.get(&path).await.json(200);
    let names: Vec<_> = list.client_keys.iter().map(|key| key.name.as_str()).collect();
    assert_eq!(names, ["first", "next"]);
    for seconds in [0, 100_000 * 24 * 3600_u64] {
        let body = json!({"expires_in_s": seconds});
        world.post(&path, &body).await.admin_error(400, ErrorCode::InvalidRequest);
    }
}
