//! Two isolates on one store: what one of them revokes, the other one stops serving within 30 s.

use pool_shared::{AdminTokenCreated, ClientKeyList, KeyList};

use super::*;

impl World {
    async fn admin(&self, method: Method, path: &str, body: &str) -> String {
        let path = format!("/admin/v1{path}");
        let (reply, body) = self.host.send(&self.service, method, &path, &self.admin, body).await;
        assert!(reply.status.is_success(), "{path}: {body}");
        body
    }

    fn in_pool(&self, rest: &str) -> String {
        format!("/pools/{}{rest}", self.pool.pool.id)
    }
}

#[tokio::test]
async fn a_client_key_that_is_revoked_or_whose_pool_is_turned_off_works_nowhere_after_thirty_seconds() {
    for (is_revoked, status) in [(true, StatusCode::UNAUTHORIZED), (false, StatusCode::FORBIDDEN)] {
        let world = World::new().await;
        let elsewhere = world.host.service();
        assert_eq!(world.chat_on(&elsewhere).await.0.status, StatusCode::OK);
        if is_revoked {
            let list = world.admin(Method::GET, &world.in_pool("/client-keys"), "").await;
            let list: ClientKeyList = serde_json::from_str(&list).unwrap();
            let path = world.in_pool(&format!("/client-keys/{}", list.client_keys[0].id));
            world.admin(Method::DELETE, &path, "").await;
        } else {
            world.admin(Method::PATCH, &world.in_pool(""), r#"{"enabled":false}"#).await;
        }
        assert_eq!(world.chat().await, status, "at once where it was done");
        world.wait(29);
        assert_eq!(world.chat_on(&elsewhere).await.0.status, StatusCode::OK, "from memory for a while");
        world.wait(1);
        assert_eq!(world.chat_on(&elsewhere).await.0.status, status);
    }
}

#[tokio::test]
async fn a_gemini_key_that_is_taken_out_of_use_is_used_nowhere_after_thirty_seconds() {
    let world = World::new().await;
    let elsewhere = world.host.service();
    world.chat_on(&elsewhere).await;
    let keys = world.admin(Method::GET, &world.in_pool("/keys"), "").await;
    let keys: KeyList = serde_json::from_str(&keys).unwrap();
    let body = format!(r#"{{"ids":["{}"],"set":{{"enabled":false}}}}"#, keys.keys[0].id);
    world.admin(Method::PATCH, &world.in_pool("/keys"), &body).await;
    world.wait(30);
    world.host.parts.upstream.requests.lock().unwrap().clear();
    for _ in 0..30 {
        for service in [&world.service, &elsewhere] {
            assert_eq!(world.chat_on(service).await.0.status, StatusCode::OK);
        }
    }
    let requests = world.host.parts.upstream.requests.lock().unwrap();
    assert!(requests.iter().all(|request| request.key.expose().starts_with("AIzaSyA-bbbb")));
}

#[tokio::test]
async fn an_admin_token_that_is_revoked_works_nowhere_at_once() {
    let world = World::new().await;
    let elsewhere = world.host.service();
    let created = world.admin(Method::POST, "/tokens", r#"{"name":"ci"}"#).await;
    let created: AdminTokenCreated = serde_json::from_str(&created).unwrap();
    let who = async |service: &Arc<Service>| {
        let asked = world.host.send(service, Method::GET, "/admin/v1/whoami", &created.secret, "");
        asked.await.0.status
    };
    assert_eq!((who(&world.service).await, who(&elsewhere).await), (StatusCode::OK, StatusCode::OK));
    world.admin(Method::DELETE, &format!("/tokens/{}", created.token.id), "").await;
    assert_eq!(who(&world.service).await, StatusCode::UNAUTHORIZED);
    assert_eq!(who(&elsewhere).await, StatusCode::UNAUTHORIZED);
}
