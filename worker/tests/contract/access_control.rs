//! Access control of both planes: accepted credentials, routes, methods and error responses.

use pool_fake_gemini::Behaviour;
use pool_shared::{ClientKeyCreated, ErrorCode, LoginResponse, PoolList, Scope, SessionsRevoked, TokenKind};
use pool_worker::admin::{self, Access};
use pool_worker::gateway;
use reqwest::header::HeaderName;
use reqwest::{Method, RequestBuilder};
use serde_json::json;

use super::harness::{EMBEDDING_MODEL, Harness, MODEL, Pool, eventually, prompt, send};
use crate::support::ADMIN_PASSWORD;

/// Returns a well-formed token that was never issued.
fn unknown(kind: TokenKind) -> String {
    kind.generate(&[7; TokenKind::RANDOM_BYTES]).expose().to_owned()
}

/// A credential that a route must reject, with the expected error.
struct Rejected {
    what: &'static str,
    header: Option<(&'static str, String)>,
    expected: (u16, ErrorCode),
}

impl Rejected {
    fn unknown(what: &'static str, name: &'static str, value: String) -> Self {
        Self { what, header: Some((name, value)), expected: (401, ErrorCode::Unauthorized) }
    }

    fn bearer(what: &'static str, token: &str) -> Self {
        Self::unknown(what, "authorization", format!("Bearer {token}"))
    }

    fn forbidden(what: &'static str, token: &str) -> Self {
        Self { expected: (403, ErrorCode::Forbidden), ..Self::bearer(what, token) }
    }
}

pub async fn every_admin_route_rejects_unauthorised_credentials(harness: &Harness) {
    let pool = harness.pool(&[("good", Behaviour::Ok)]).await;
    let other = harness.weighted_pool("other", &[]).await;
    let expiring = json!({"password": ADMIN_PASSWORD, "expires_in_s": 1});
    let expiring: LoginResponse = harness.post("/login", &expiring).await.json(200);
    let revoked = harness.log_in().await;
    let logout = harness.request(Method::POST, "/admin/v1/logout").bearer_auth(&revoked);
    send(logout).await.no_content();
    let ended = harness.open_session().await;
    harness.post("/session/revoke-all", &json!({})).await.json::<SessionsRevoked>(200);
    let mut of_one_scope = Vec::new();
    for scope in Scope::ALL {
        of_one_scope.push((scope, harness.scoped_token(&[scope], None).await));
    }
    let of_other_pool = harness.scoped_token(&Scope::ALL, Some(&other)).await;
    eventually("the token's end", async || {
        let request = harness.request(Method::GET, "/admin/v1/whoami").bearer_auth(expiring.token.expose());
        (send(request).await.status == 401).then_some(())
    })
    .await;
    let session = TokenKind::Session.generate(&[7; TokenKind::RANDOM_BYTES]);
    let unauthenticated = [
        Rejected { what: "nothing", header: None, expected: (401, ErrorCode::Unauthorized) },
        Rejected::bearer("a client key", &pool.client_key),
        Rejected::bearer("an unknown token", &unknown(TokenKind::AdminToken)),
        Rejected::bearer("an expired token", expiring.token.expose()),
        Rejected::bearer("a revoked token", &revoked),
        Rejected::bearer("garbage", "garbage"),
        Rejected::bearer("SQL", "' OR '1'='1"),
        Rejected::bearer("no token", ""),
        Rejected::unknown("another scheme", "authorization", format!("Basic {}", harness.token)),
        Rejected::unknown("no scheme", "authorization", harness.token.clone()),
        Rejected::unknown("a token in another header", "x-api-key", harness.token.clone()),
        Rejected::unknown("an ended session", "cookie", ended),
        Rejected::unknown("an unknown session", "cookie", format!("session={}", session.expose())),
        Rejected::unknown("a token as a session", "cookie", format!("session={}", harness.token)),
    ];

    let closed = admin::ROUTES.iter().filter(|route| route.access != Access::Open);
    assert_eq!(closed.clone().count() + 2, admin::ROUTES.len(), "two ways to log in");
    for route in closed {
        let path = route.path.replace("{pool}", &pool.id).replace("{id}", "ck-1");
        let try_it = async |rejected: &Rejected| {
            // A valid body, so that only the credential can cause the error.
            let request = harness.request(route.method.clone(), &path).json(&json!({"name": "rejected"}));
            let mut request = harness.as_own_page(request, "");
            if let Some((name, value)) = &rejected.header {
                let headers = [(HeaderName::from_static(name), value.parse().unwrap())];
                request = request.headers(headers.into_iter().collect());
            }
            let answer = send(request).await;
            let what = format!("{} on {} {path}: {}", rejected.what, route.method, answer.body);
            assert_eq!(answer.status, rejected.expected.0, "{what}");
            let error = answer.admin_error(rejected.expected.0, rejected.expected.1);
            let repeated = rejected.header.as_ref().is_some_and(|(_, value)| error.message.contains(value));
            assert!(!repeated && !error.message.contains(&harness.token), "{what}");
        };
        for rejected in &unauthenticated {
            try_it(rejected).await;
        }
        for (scope, token) in &of_one_scope {
            let may = match route.access {
                Access::Open | Access::Token => true,
                Access::Scoped(scopes) => scopes.contains(scope),
                Access::Full => false,
            };
            if !may {
                try_it(&Rejected::forbidden("a token of another scope", token)).await;
            }
        }
        if route.access != Access::Token && !route.keeps_to_own_pool {
            try_it(&Rejected::forbidden("another pool's token", &of_other_pool)).await;
        }
    }
    let pools = harness.get("/pools").await.json::<PoolList>(200).pools;
    let names: Vec<_> = pools.iter().map(|pool| (pool.name.as_str(), pool.keys)).collect();
    assert_eq!(names, [("other", 0), ("prod", 1)]);
    // Routes limited to the token's own pool show nothing of others.
    for route in admin::ROUTES.iter().filter(|route| route.keeps_to_own_pool) {
        let answer = send(harness.request(Method::GET, route.path).bearer_auth(&of_other_pool)).await;
        assert!(answer.status == 200 && !answer.body.contains(&pool.id), "{}: {}", route.path, answer.body);
    }
}

pub async fn the_api_describes_itself(harness: &Harness) {
    let document: serde_json::Value = harness.get("/openapi.json").await.json(200);
    assert_eq!(document["openapi"], "3.1.0");
    for route in admin::ROUTES {
        let operation = &document["paths"][route.path][route.method.as_str().to_lowercase()];
        assert!(operation.is_object(), "{} {}", route.method, route.path);
    }
}

pub async fn a_duplicate_query_parameter_is_rejected(harness: &Harness) {
    for path in ["/events?limit=1&limit=2", "/audit?x=1&%78=2"] {
        harness.get(path).await.admin_error(400, ErrorCode::InvalidRequest);
    }
    for path in ["/events?limit=0", "/events?limit=1001", "/events?after=%2B1", "/audit?cursor=%2B1"] {
        harness.get(path).await.admin_error(400, ErrorCode::InvalidRequest);
    }
}

pub async fn every_admin_response_has_security_headers(harness: &Harness) {
    let wrong = json!({"password": "wrong horse battery staple"});
    for answer in [
        harness.get("/pools").await,
        harness.get("/nothing").await,
        harness.post("/login", &wrong).await,
        send(harness.request(Method::GET, "/admin/v1/pools")).await,
        send(harness.request(Method::PUT, "/admin/v1/pools")).await,
        harness.post("/logout", &json!({})).await,
    ] {
        for (name, value) in [
            ("cache-control", "no-store"),
            ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
            ("cross-origin-resource-policy", "same-origin"),
            ("referrer-policy", "no-referrer"),
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("access-control-allow-origin", ""),
        ] {
            assert_eq!(answer.header(name), value, "{name} of {} {}", answer.status, answer.body);
        }
    }
}

pub async fn every_data_plane_route_requires_a_client_key(harness: &Harness) {
    let pool = harness.pool(&[("good", Behaviour::Ok)]).await;
    let other = harness.weighted_pool("other", &[]).await;
    let keys = format!("/pools/{}/client-keys", pool.id);
    let revoked: ClientKeyCreated = harness.post(&keys, &json!({"name": "revoked"})).await.json(201);
    harness.delete(&format!("{keys}/{}", revoked.client_key.id)).await.no_content();
    let replaced: ClientKeyCreated = harness.post(&keys, &json!({"name": "replaced"})).await.json(201);
    let rotate = format!("{keys}/{}/rotate", replaced.client_key.id);
    assert!(harness.post(&rotate, &json!({"grace_s": 0})).await.status < 300);
    let gone = harness.weighted_pool("gone", &[]).await;
    harness.delete(&format!("/pools/{}", gone.id)).await.no_content();
    let wrong = [
        None,
        Some("sk-pool-wrong"),
        Some(&unknown(TokenKind::ClientKey)),
        Some(&harness.token),
        Some(revoked.secret.expose()),
        Some(replaced.secret.expose()),
        Some(&gone.client_key),
        Some("' OR '1'='1"),
    ];
    for pattern in gateway::ROUTES {
        let path = pattern.replace("{*id}", MODEL);
        let method = if path.contains("models") { Method::GET } else { Method::POST };
        for key in wrong {
            let mut request = harness.request(method.clone(), &path).json(&prompt("hello"));
            if let Some(key) = key {
                request = request.bearer_auth(key);
            }
            let answer = send(request).await;
            let message = answer.own_error(&path, 401, "UNAUTHENTICATED", "invalid_api_key");
            assert!(key.is_none_or(|key| !message.contains(key)), "the key is repeated");
        }
        // Another pool's client key uses that pool, never the keys of this one.
        let request = harness.request(method, &path).bearer_auth(&other.client_key);
        let answer = send(request.json(&prompt("hello"))).await;
        assert!(answer.status != 401, "{path}: {}", answer.body);
    }
    // A client key in the query is ignored: URLs end up in logs.
    let path = format!("/v1/chat/completions?key={}", pool.client_key);
    let answer = send(harness.request(Method::POST, &path).json(&prompt("hello"))).await;
    answer.openai_error(401, Some("invalid_api_key"));
    let counts = harness.gemini.counts();
    assert_eq!((counts.served.len(), counts.probes.len(), counts.unauthenticated), (0, 0, 0));
}

pub async fn unknown_paths_and_wrong_methods(harness: &Harness) {
    let pool = harness.pool(&[("good", Behaviour::Ok)]).await;
    let ask = |method: Method, path: &str| harness.request(method, path).bearer_auth(&pool.client_key);
    for path in ["/v1", "/v1/chat", "/api/chat/completed/x", "/administration"] {
        let message = send(ask(Method::GET, path)).await.openai_error(404, Some("unknown_url"));
        assert!(message.contains(path), "{message}");
    }
    for (path, api) in [("/v1/messages", "Messages API"), ("/v1/responses", "Responses API")] {
        let message =
            send(harness.call(&pool, path, &json!({}))).await.openai_error(404, Some("api_not_offered"));
        assert!(message.contains(api) && message.contains("POST /v1/chat/completions"), "{message}");
    }
    for pattern in gateway::ROUTES {
        let path = pattern.replace("{*id}", MODEL);
        let wrong = if path.contains("models") { Method::POST } else { Method::GET };
        for method in [wrong, Method::DELETE] {
            let answer = send(ask(method, &path)).await;
            answer.own_error(&path, 405, "UNIMPLEMENTED", "method_not_supported");
            assert!(!answer.header("allow").is_empty(), "{path}");
        }
    }
    for path in ["", "/", "/nothing", "/pools/prod/nothing"] {
        harness.get(path).await.admin_error(404, ErrorCode::NotFound);
    }
    for (path, allowed) in [
        ("/login", "POST"),
        ("/pools", "GET, POST"),
        ("/pools/prod", "GET, PATCH, DELETE"),
        ("/pools/prod/keys/import", "POST"),
    ] {
        let answer = send(harness.admin(Method::PUT, path)).await;
        let error = answer.admin_error(405, ErrorCode::MethodNotAllowed);
        assert_eq!(answer.header("allow"), allowed);
        assert!(error.message.contains("PUT"), "{}", error.message);
    }
}

pub async fn the_data_plane_allows_cross_origin_requests(harness: &Harness) {
    let pool = harness.pool(&[("good", Behaviour::Ok)]).await;
    let asked = "authorization,content-type,x-stainless-lang,x-stainless-retry-count";
    for path in ["/v1/chat/completions", "/api/models", "/embeddings"] {
        let request = harness.request(Method::OPTIONS, path).header("origin", "https://chat.example");
        let request = request
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", asked);
        let answer = send(request).await;
        answer.no_content();
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        assert_eq!(answer.header("access-control-allow-headers"), asked);
        assert_eq!(answer.header("access-control-allow-methods"), "GET, POST, OPTIONS");
    }
    let good = harness.chat(&pool, "hello").await;
    let refused = send(harness.request(Method::GET, "/v1/models")).await;
    assert_eq!((good.status, refused.status), (200, 401));
    for answer in [good, refused] {
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        assert!(answer.header("access-control-expose-headers").contains("x-request-id"));
    }
    // The admin API has no CORS.
    let request =
        harness.request(Method::OPTIONS, "/admin/v1/pools").header("origin", "https://chat.example");
    let answer = send(request.header("access-control-request-method", "POST")).await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (405, ""));
}

pub async fn a_client_key_is_accepted_in_every_supported_header(harness: &Harness) {
    let pool = harness.pool(&[("good", Behaviour::Ok)]).await;
    let Pool { client_key, .. } = &pool;
    for (name, value) in [
        ("authorization", format!("Bearer {client_key}")),
        ("authorization", format!("bearer {client_key}")),
        ("authorization", client_key.clone()),
        ("x-api-key", client_key.clone()),
        ("x-goog-api-key", client_key.clone()),
    ] {
        let request = harness.request(Method::POST, "/v1/chat/completions").header(name, value);
        let answer = send(request.json(&prompt("hello"))).await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.body);
    }
    assert_eq!(harness.tally("good").ok, 5);
}

pub async fn every_base_url_has_the_same_routes(harness: &Harness) {
    let pool = harness.pool(&[("good", Behaviour::Ok)]).await;
    let get = |path: String| -> RequestBuilder {
        harness.request(Method::GET, &path).bearer_auth(&pool.client_key)
    };
    for base in ["", "/v1", "/api"] {
        let chat = send(harness.call(&pool, &format!("{base}/chat/completions"), &prompt("hello"))).await;
        let chat: serde_json::Value = chat.json(200);
        assert_eq!(chat["choices"][0]["message"]["content"], "You said: hello");
        let input = json!({"model": EMBEDDING_MODEL, "input": "hello"});
        let embeddings = send(harness.call(&pool, &format!("{base}/embeddings"), &input)).await;
        assert_eq!(embeddings.json::<serde_json::Value>(200)["object"], "list");
        let models: serde_json::Value = send(get(format!("{base}/models"))).await.json(200);
        assert_eq!(models["object"], "list");
        let model: serde_json::Value = send(get(format!("{base}/models/{MODEL}"))).await.json(200);
        assert_eq!(model["id"], MODEL);
    }
}
