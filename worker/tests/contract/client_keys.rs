//! What callers present.

use pool_fake_gemini::Behaviour;
use pool_shared::{ClientKeyCreated, ClientKeyList, ErrorCode};
use serde_json::json;

use super::world::{Pool, World};

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
