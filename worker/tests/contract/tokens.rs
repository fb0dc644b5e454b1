//! Admin tokens with limited scopes.

use pool_fake_gemini::Behaviour;
use pool_shared::{AdminTokenCreated, AdminTokenList, ErrorCode, Health, PoolList, Scope, WhoAmI};
use pool_worker::admin::{self, Access};
use reqwest::Method;
use serde_json::{Value, json};

use super::answer::Answer;
use super::harness::{Harness, Pool, gemini_key, send};

async fn make(harness: &Harness, body: &Value) -> AdminTokenCreated {
    harness.post("/tokens", body).await.json(201)
}

async fn with(
    harness: &Harness,
    token: &AdminTokenCreated,
    method: Method,
    path: &str,
    body: &Value,
) -> Answer {
    let request = harness.request(method, path).bearer_auth(token.secret.expose());
    send(request.json(body)).await
}

async fn get(harness: &Harness, token: &AdminTokenCreated, path: &str) -> Answer {
    with(harness, token, Method::GET, &format!("/admin/v1{path}"), &json!(null)).await
}

pub async fn a_token_is_created_listed_and_revoked(harness: &Harness) {
    let body = json!({"name": "ci", "scopes": ["stats:read", "keys:import"], "expires_in_s": 3600});
    let made = make(harness, &body).await;
    assert_eq!(made.token.scopes.as_deref(), Some(&[Scope::KeysImport, Scope::StatsRead][..]));
    let who: WhoAmI = get(harness, &made, "/whoami").await.json(200);
    assert_eq!((&who.id, &who.scopes, who.name.as_str()), (&made.token.id, &made.token.scopes, "ci"));
    let answer = harness.get("/tokens").await;
    assert!(!answer.body.contains(made.secret.expose()));
    let list: AdminTokenList = answer.json(200);
    assert_eq!(list.tokens.len(), 2, "that of the login, and this one");
    let listed = list.tokens.iter().find(|token| token.id == made.token.id).unwrap();
    assert!(listed.last_used_at.is_some_and(|at| at >= listed.created_at));
    let id = format!("/tokens/{}", made.token.id);
    harness.delete(&id).await.no_content();
    get(harness, &made, "/whoami").await.admin_error(401, ErrorCode::Unauthorized);
    harness.delete(&id).await.admin_error(404, ErrorCode::NotFound);
}

pub async fn token_rotation_has_a_grace_period(harness: &mut Harness) {
    let pool = harness.pool(&[("good", Behaviour::Ok)]).await;
    let old = make(harness, &json!({"name": "ci", "scopes": ["pools"], "pool": pool.id})).await;
    let path = format!("/tokens/{}/rotate", old.token.id);
    let new: AdminTokenCreated = harness.post(&path, &json!({"expires_in_s": 3600})).await.json(201);
    let rights = |token: &AdminTokenCreated| {
        let token = token.token.clone();
        (token.name, token.scopes, token.pool)
    };
    assert_eq!(rights(&new), rights(&old));
    assert_eq!(new.token.expires_at.duration_since(new.token.created_at).as_secs(), 3600);
    for token in [&old, &new] {
        assert_eq!(get(harness, token, &format!("/pools/{}", pool.id)).await.status, 200);
    }
    let list: AdminTokenList = harness.get("/tokens").await.json(200);
    let listed = list.tokens.iter().find(|token| token.id == old.token.id).unwrap();
    assert!(listed.expires_at.duration_since(new.token.created_at).as_secs() <= 3600, "an hour of grace");
    // Without a grace period the old token ends immediately.
    let path = format!("/tokens/{}/rotate", new.token.id);
    let newest: AdminTokenCreated = harness.post(&path, &json!({"grace_s": 0})).await.json(201);
    get(harness, &new, "/whoami").await.admin_error(401, ErrorCode::Unauthorized);
    assert_eq!(get(harness, &newest, "/whoami").await.status, 200);
    harness.post(&path, &json!({})).await.admin_error(404, ErrorCode::NotFound);
    for body in [json!({"grace_s": 86_401}), json!({"expires_in_s": 0}), json!({"grace": 1})] {
        let path = format!("/tokens/{}/rotate", newest.token.id);
        harness.post(&path, &body).await.admin_error(400, ErrorCode::InvalidRequest);
    }
    // A token cannot gain scopes.
    let narrow = make(harness, &json!({"scopes": ["tokens"]})).await;
    let path = format!("/admin/v1/tokens/{}/rotate", newest.token.id);
    with(harness, &narrow, Method::POST, &path, &json!({})).await.admin_error(403, ErrorCode::Forbidden);
    harness.open_session().await;
    let list: AdminTokenList = harness.get("/tokens").await.json(200);
    let session = list.tokens.iter().find(|token| token.id.as_str().starts_with("ses-")).unwrap();
    let path = format!("/tokens/{}/rotate", session.id);
    harness.post(&path, &json!({})).await.admin_error(400, ErrorCode::InvalidRequest);
}

pub async fn an_invalid_token_is_rejected(harness: &Harness) {
    for body in [
        json!({"scopes": []}),
        json!({"scopes": ["everything"]}),
        json!({"expires_in_s": 0}),
        json!({"expires_in_s": 366 * 24 * 3600}),
        json!({"name": "x".repeat(101)}),
        json!({"scope": ["pools"]}),
    ] {
        harness.post("/tokens", &body).await.admin_error(400, ErrorCode::InvalidRequest);
    }
    harness.post("/tokens", &json!({"pool": "none"})).await.admin_error(404, ErrorCode::NotFound);
}

/// Returns a route's path for a pool.
fn path_of(route: &admin::RouteSpec, pool: &str) -> String {
    route.path.replace("{pool}", pool).replace("{id}", "unknown-1")
}

pub async fn every_route_requires_its_scope(harness: &Harness) {
    let pool = harness.pool(&[("good", Behaviour::Ok)]).await;
    let mut tokens = Vec::new();
    for scope in Scope::ALL {
        tokens.push((scope, make(harness, &json!({"scopes": [scope]})).await));
    }
    for route in admin::ROUTES {
        for (scope, token) in &tokens {
            let open = match route.access {
                Access::Open | Access::Token => true,
                Access::Scoped(scopes) => scopes.contains(scope),
                Access::Full => false,
            };
            if open {
                continue;
            }
            let path = path_of(route, &pool.id);
            let answer =
                with(harness, token, route.method.clone(), &path, &json!({"name": "intruder"})).await;
            answer.admin_error(403, ErrorCode::Forbidden);
        }
    }
    let pools = harness.get("/pools").await.json::<PoolList>(200).pools;
    assert_eq!((pools.len(), pools[0].name.as_str(), pools[0].keys), (1, "prod", 1));
    // With the right scope the routes succeed.
    let (_, reader) = tokens.iter().find(|(scope, _)| *scope == Scope::StatsRead).unwrap();
    for path in ["/stats", "/events", "/pools", "/pools/prod", "/pools/prod/keys", "/pools/prod/stats"] {
        assert_eq!(get(harness, reader, path).await.status, 200, "{path}");
    }
    let (_, importer) = tokens.iter().find(|(scope, _)| *scope == Scope::KeysImport).unwrap();
    let keys = json!({"keys": [{"key": gemini_key("new")}]});
    let path = "/admin/v1/pools/prod/keys/import";
    assert_eq!(with(harness, importer, Method::POST, path, &keys).await.status, 200);
}

pub async fn a_pool_scoped_token_accesses_no_other_pool(harness: &Harness) {
    let own = harness.weighted_pool("own", &[("one", Behaviour::Ok, 1)]).await;
    let other = harness.weighted_pool("other", &[("two", Behaviour::Ok, 1)]).await;
    let token = make(harness, &json!({"pool": "own"})).await;
    assert_eq!(token.token.pool.as_ref().map(ToString::to_string), Some(own.id.clone()));
    for route in admin::ROUTES {
        let anywhere = matches!(route.access, Access::Open | Access::Token) || route.keeps_to_own_pool;
        if anywhere {
            continue;
        }
        for pool in [&other.id, "other", "none"] {
            let path = path_of(route, pool);
            let answer =
                with(harness, &token, route.method.clone(), &path, &json!({"name": "intruder"})).await;
            answer.admin_error(403, ErrorCode::Forbidden);
        }
    }
    let pools = get(harness, &token, "/pools").await.json::<PoolList>(200).pools;
    assert_eq!(pools.iter().map(|pool| pool.name.as_str()).collect::<Vec<_>>(), ["own"]);
    // A list of another pool is rejected: an empty one would suggest that nothing exists.
    for list in ["events", "audit"] {
        for pool in ["other", &other.id, "none"] {
            let answer = get(harness, &token, &format!("/{list}?pool={pool}")).await;
            answer.admin_error(403, ErrorCode::Forbidden);
        }
    }
    for path in [
        "/pools/own",
        &format!("/pools/{}/keys", own.id),
        "/events",
        "/audit",
        "/events?pool=own",
        &format!("/audit?pool={}", own.id),
    ] {
        let answer = get(harness, &token, path).await;
        assert_eq!(answer.status, 200, "{path}");
        assert!(!answer.body.contains(&other.id), "{path}: {}", answer.body);
    }
    assert!(!get(harness, &token, "/health").await.json::<Health>(200).host.is_empty());
    // A copy would be another pool.
    let copy = json!({"name": "mine", "keys": true});
    let answer = with(harness, &token, Method::POST, "/admin/v1/pools/own/copy", &copy).await;
    answer.admin_error(403, ErrorCode::Forbidden);
    let client = Pool { id: other.id, client_key: other.client_key };
    assert_eq!(harness.chat(&client, "hello").await.status, 200, "nothing was done to the other one");
}

pub async fn a_token_grants_only_scopes_that_it_has(harness: &Harness) {
    let maker = make(harness, &json!({"scopes": ["tokens", "stats:read"]})).await;
    let tokens = "/admin/v1/tokens";
    for scopes in [json!(["pools"]), json!(["stats:read", "keys:export"])] {
        let answer = with(harness, &maker, Method::POST, tokens, &json!({"scopes": scopes})).await;
        answer.admin_error(403, ErrorCode::Forbidden);
    }
    // Omitted scopes grant no more either.
    let made: AdminTokenCreated = with(harness, &maker, Method::POST, tokens, &json!({})).await.json(201);
    assert_eq!(made.token.scopes, maker.token.scopes);
    // A token cannot revoke one with more scopes.
    let who: WhoAmI = harness.get("/whoami").await.json(200);
    let above = format!("{tokens}/{}", who.id);
    with(harness, &maker, Method::DELETE, &above, &json!(null)).await.admin_error(403, ErrorCode::Forbidden);
    let below = format!("{tokens}/{}", made.token.id);
    with(harness, &maker, Method::DELETE, &below, &json!(null)).await.no_content();
    // Copying keys requires the scope for exporting them.
    harness.pool(&[("good", Behaviour::Ok)]).await;
    let changer = make(harness, &json!({"scopes": ["pools"]})).await;
    let copy = "/admin/v1/pools/prod/copy";
    let answer = with(harness, &changer, Method::POST, copy, &json!({"name": "mine", "keys": true})).await;
    answer.admin_error(403, ErrorCode::Forbidden);
    assert_eq!(with(harness, &changer, Method::POST, copy, &json!({"name": "mine"})).await.status, 201);
}

/// Tokens created with the scope `tokens` end with their creator.
pub async fn tokens_end_with_the_token_that_created_them(harness: &Harness) {
    let maker =
        make(harness, &json!({"name": "maker", "scopes": ["tokens", "stats:read"], "expires_in_s": 3600}))
            .await;
    let post = async |token: &AdminTokenCreated, path: &str, body: Value| {
        let path = format!("/admin/v1{path}");
        with(harness, token, Method::POST, &path, &body).await.json::<AdminTokenCreated>(201)
    };
    let child = post(&maker, "/tokens", json!({"scopes": ["tokens"]})).await;
    let grandchild = post(&child, "/tokens", json!({"expires_in_s": 86_400})).await;
    assert_eq!(child.token.parent.as_ref(), Some(&maker.token.id));
    assert_eq!(grandchild.token.parent.as_ref(), Some(&child.token.id));
    let rotate = format!("/tokens/{}/rotate", child.token.id);
    let rotated = post(&child, &rotate, json!({"expires_in_s": 86_400})).await;
    for token in [&child, &grandchild, &rotated] {
        assert!(token.token.expires_at <= maker.token.expires_at, "{token:?}");
    }
    assert_eq!(rotated.token.parent.as_ref(), Some(&maker.token.id));
    let list: AdminTokenList = harness.get("/tokens").await.json(200);
    let parent = |id| list.tokens.iter().find(|token| token.id == id).unwrap().parent.clone();
    assert_eq!(parent(grandchild.token.id.clone()), Some(rotated.token.id.clone()), "what it made goes over");
    // A token with all scopes may create lasting ones.
    let lasting = make(harness, &json!({"scopes": ["tokens"], "expires_in_s": 300 * 86_400})).await;
    assert!(lasting.token.expires_at.duration_since(lasting.token.created_at).as_hours() > 299 * 24);

    // A kept child is inherited by its creator's creator; otherwise it is revoked.
    let kept = post(&lasting, "/tokens", json!({})).await;
    harness.delete(&format!("/tokens/{}?keep_children=true", lasting.token.id)).await.no_content();
    assert_eq!(get(harness, &kept, "/whoami").await.status, 200);
    harness.delete(&format!("/tokens/{}", maker.token.id)).await.no_content();
    for token in [&maker, &child, &rotated, &grandchild] {
        get(harness, token, "/whoami").await.admin_error(401, ErrorCode::Unauthorized);
    }
    let audit: pool_shared::AuditList = harness.get("/audit?action=token.delete").await.json(200);
    let made = audit.entries[0].before.as_ref().unwrap()["made"].as_array().unwrap().len();
    assert_eq!((made, audit.entries[0].count), (3, 4));
    assert_eq!(get(harness, &kept, "/whoami").await.status, 200);
}
