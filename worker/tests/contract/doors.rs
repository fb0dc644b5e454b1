//! Who gets in, by which routes, and what the others are told.

use pool_fake_gemini::Behaviour;
use pool_shared::{ErrorCode, PoolList, TokenKind};
use pool_worker::{admin, gateway};
use reqwest::{Method, RequestBuilder};
use serde_json::json;

use super::world::{EMBEDDING_MODEL, MODEL, Pool, World, prompt, send};

/// A token of the right form that nobody was given.
fn unknown(kind: TokenKind) -> String {
    kind.generate(&[7; TokenKind::RANDOM_BYTES]).expose().to_owned()
}

pub async fn no_admin_route_opens_without_an_admin_token(world: &World) {
    let pool = world.pool(&[("good", Behaviour::Ok)]).await;
    let wrong = [
        None,
        Some(format!("Bearer {}", pool.client_key)),
        Some(format!("Bearer {}", unknown(TokenKind::AdminToken))),
        Some("Bearer garbage".to_owned()),
        Some(format!("Basic {}", world.token)),
        Some(world.token.clone()),
        Some("Bearer".to_owned()),
    ];
    let closed = admin::ROUTES.iter().filter(|route| route.path != "/admin/v1/login");
    assert_eq!(closed.clone().count() + 1, admin::ROUTES.len());
    for route in closed {
        let path = route.path.replace("{pool}", &pool.id).replace("{id}", "ck-1");
        for authorization in &wrong {
            // A body that would be taken, if anybody looked at it.
            let mut request = world.request(route.method.clone(), &path).json(&json!({"name": "intruder"}));
            if let Some(authorization) = authorization {
                request = request.header("authorization", authorization);
            }
            let error = send(request).await.admin_error(401, ErrorCode::Unauthorized);
            assert!(!error.message.contains(&world.token));
        }
    }
    let pools = world.get("/pools").await.json::<PoolList>(200).pools;
    assert_eq!((pools.len(), pools[0].name.as_str(), pools[0].keys), (1, "prod", 1));
}

pub async fn no_route_of_the_data_plane_opens_without_a_client_key(world: &World) {
    let pool = world.pool(&[("good", Behaviour::Ok)]).await;
    let wrong = [None, Some("sk-pool-wrong"), Some(&unknown(TokenKind::ClientKey)), Some(&world.token)];
    for pattern in gateway::ROUTES {
        let path = pattern.replace("{*id}", MODEL);
        let method = if path.contains("models") { Method::GET } else { Method::POST };
        for key in wrong {
            let mut request = world.request(method.clone(), &path).json(&prompt("hello"));
            if let Some(key) = key {
                request = request.bearer_auth(key);
            }
            let answer = send(request).await;
            let message = answer.openai_error(401, Some("invalid_api_key"));
            assert!(key.is_none_or(|key| !message.contains(key)), "the key is repeated");
        }
    }
    // A key in the query is no key, so that it ends up in nobody's log.
    let path = format!("/v1/chat/completions?key={}", pool.client_key);
    let answer = send(world.request(Method::POST, &path).json(&prompt("hello"))).await;
    answer.openai_error(401, Some("invalid_api_key"));
    let counts = world.gemini.counts();
    assert_eq!((counts.served.len(), counts.probes.len(), counts.unauthenticated), (0, 0, 0));
}

pub async fn unknown_paths_and_wrong_methods(world: &World) {
    let pool = world.pool(&[("good", Behaviour::Ok)]).await;
    let ask = |method: Method, path: &str| world.request(method, path).bearer_auth(&pool.client_key);
    for path in ["/", "/v1", "/v1/responses", "/v1/chat", "/api/chat/completed/x", "/administration"] {
        let message = send(ask(Method::GET, path)).await.openai_error(404, Some("unknown_url"));
        assert!(message.contains(path), "{message}");
    }
    for pattern in gateway::ROUTES {
        let path = pattern.replace("{*id}", MODEL);
        let wrong = if path.contains("models") { Method::POST } else { Method::GET };
        for method in [wrong, Method::DELETE] {
            let answer = send(ask(method, &path)).await;
            answer.openai_error(405, Some("method_not_supported"));
            assert!(!answer.header("allow").is_empty(), "{path}");
        }
    }
    for path in ["", "/", "/nothing", "/pools/prod/nothing"] {
        world.get(path).await.admin_error(404, ErrorCode::NotFound);
    }
    for (path, allowed) in [
        ("/login", "POST"),
        ("/pools", "GET, POST"),
        ("/pools/prod", "GET, PATCH, DELETE"),
        ("/pools/prod/keys/import", "POST"),
    ] {
        let answer = send(world.admin(Method::PUT, path)).await;
        let error = answer.admin_error(405, ErrorCode::MethodNotAllowed);
        assert_eq!(answer.header("allow"), allowed);
        assert!(error.message.contains("PUT"), "{}", error.message);
    }
}

pub async fn a_browser_may_ask(world: &World) {
    let pool = world.pool(&[("good", Behaviour::Ok)]).await;
    let asked = "authorization,content-type,x-stainless-lang,x-stainless-retry-count";
    for path in ["/v1/chat/completions", "/api/models", "/embeddings"] {
        let request = world.request(Method::OPTIONS, path).header("origin", "https://chat.example");
        let request = request
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", asked);
        let answer = send(request).await;
        answer.no_content();
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        assert_eq!(answer.header("access-control-allow-headers"), asked);
        assert_eq!(answer.header("access-control-allow-methods"), "GET, POST, OPTIONS");
    }
    let good = world.chat(&pool, "hello").await;
    let refused = send(world.request(Method::GET, "/v1/models")).await;
    assert_eq!((good.status, refused.status), (200, 401));
    for answer in [good, refused] {
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        assert!(answer.header("access-control-expose-headers").contains("x-request-id"));
    }
    // A web page has no business in the admin API.
    let request = world.request(Method::OPTIONS, "/admin/v1/pools").header("origin", "https://chat.example");
    let answer = send(request.header("access-control-request-method", "POST")).await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (405, ""));
}

pub async fn a_client_key_is_taken_wherever_clients_put_it(world: &World) {
    let pool = world.pool(&[("good", Behaviour::Ok)]).await;
    let Pool { client_key, .. } = &pool;
    for (name, value) in [
        ("authorization", format!("Bearer {client_key}")),
        ("authorization", format!("bearer {client_key}")),
        ("authorization", client_key.clone()),
        ("x-api-key", client_key.clone()),
        ("x-goog-api-key", client_key.clone()),
    ] {
        let request = world.request(Method::POST, "/v1/chat/completions").header(name, value);
        let answer = send(request.json(&prompt("hello"))).await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.body);
    }
    assert_eq!(world.tally("good").ok, 5);
}

pub async fn every_base_url_leads_to_the_same_routes(world: &World) {
    let pool = world.pool(&[("good", Behaviour::Ok)]).await;
    let get =
        |path: String| -> RequestBuilder { world.request(Method::GET, &path).bearer_auth(&pool.client_key) };
    for base in ["", "/v1", "/api"] {
        let chat = send(world.call(&pool, &format!("{base}/chat/completions"), &prompt("hello"))).await;
        let chat: serde_json::Value = chat.json(200);
        assert_eq!(chat["choices"][0]["message"]["content"], "You said: hello");
        let input = json!({"model": EMBEDDING_MODEL, "input": "hello"});
        let embeddings = send(world.call(&pool, &format!("{base}/embeddings"), &input)).await;
        assert_eq!(embeddings.json::<serde_json::Value>(200)["object"], "list");
        let models: serde_json::Value = send(get(format!("{base}/models"))).await.json(200);
        assert_eq!(models["object"], "list");
        let model: serde_json::Value = send(get(format!("{base}/models/{MODEL}"))).await.json(200);
        assert_eq!(model["id"], MODEL);
    }
}
