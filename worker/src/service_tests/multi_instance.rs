//! Two instances on one store: what one of them revokes, the other one stops serving within 30 s.

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
async fn what_an_operator_ends_is_ended_everywhere_within_thirty_seconds_and_without_traffic() {
    for way in ["check", "enable", "reset"] {
        let world = World::new().await;
        let elsewhere = world.host.service();
        let upstream = &world.host.parts.upstream;
        upstream.clear();
        upstream.answer(429, USED_UP);
        assert_eq!(world.chat_on(&elsewhere).await.0.status, StatusCode::TOO_MANY_REQUESTS);
        elsewhere.flush(&world.host).await;
        // It has all updates, and rejects without an attempt.
        upstream.requests.lock().unwrap().clear();
        assert_eq!(world.chat_on(&elsewhere).await.0.status, StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(upstream.requests.lock().unwrap().len(), 0);
        upstream.clear();
        upstream.answer(200, ANSWER);
        let keys = world.admin(Method::GET, &world.in_pool("/keys"), "").await;
        let keys: KeyList = serde_json::from_str(&keys).unwrap();
        assert!(keys.keys.iter().all(|key| key.condition.state == pool_shared::KeyState::Limited));
        let ids: Vec<_> = keys.keys.iter().map(|key| &key.id).collect();
        let ids = serde_json::to_string(&ids).unwrap();
        let body = format!(r#"{{"ids":{ids}}}"#);
        match way {
            "enable" => {
                let body = format!(r#"{{"ids":{ids},"set":{{"enabled":true}}}}"#);
                world.admin(Method::PATCH, &world.in_pool("/keys"), &body).await;
            }
            _ => drop(world.admin(Method::POST, &world.in_pool(&format!("/keys/{way}")), &body).await),
        }
        assert_eq!(world.chat().await, StatusCode::OK, "{way}: at once where it was done");
        world.wait(29);
        assert_eq!(world.chat_on(&elsewhere).await.0.status, StatusCode::OK, "{way}");
        assert_eq!(
            world.chat_on(&world.host.service()).await.0.status,
            StatusCode::OK,
            "{way}: also for newcomers"
        );
    }
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
