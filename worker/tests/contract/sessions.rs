//! Login, whoami, logout, browser sessions.

use pool_shared::{API_VERSION, ErrorCode, LoginResponse, SessionsRevoked, WhoAmI};
use reqwest::Method;
use serde_json::{Value, json};

use super::harness::{Harness, eventually, in_the_store, send};
use crate::support::ADMIN_PASSWORD;

pub async fn login_returns_a_token_that_whoami_accepts(harness: &Harness) {
    let login = json!({"password": ADMIN_PASSWORD, "name": "laptop", "expires_in_s": 3600});
    let login: LoginResponse = harness.post("/login", &login).await.json(200);
    let request = harness.request(Method::GET, "/admin/v1/whoami").bearer_auth(login.token.expose());
    let who: WhoAmI = send(request).await.json(200);
    assert_eq!((who.id, who.expires_at), (login.id, login.expires_at));
    assert_eq!((who.name.as_str(), who.api_version), ("laptop", API_VERSION));
    assert!(!who.service_version.is_empty());
}

pub async fn a_wrong_password_is_rejected(harness: &Harness) {
    for password in ["", "wrong horse battery staple", &ADMIN_PASSWORD[..10], &format!("{ADMIN_PASSWORD} ")] {
        let answer = harness.post("/login", &json!({"password": password})).await;
        let error = answer.admin_error(401, ErrorCode::Unauthorized);
        assert_eq!(error.message, "wrong password");
        assert!(error.hint.is_some());
    }
}

pub async fn an_invalid_login_request_gets_the_reason(harness: &Harness) {
    let with = |name: &str, value: Value| {
        let mut login = json!({"password": ADMIN_PASSWORD});
        login[name] = value;
        login.to_string()
    };
    for body in [
        String::new(),
        "not JSON".to_owned(),
        "{}".to_owned(),
        json!({"password": 5}).to_string(),
        with("passwort", json!("x")),
        with("expires_in_s", json!(0)),
        with("expires_in_s", json!(366 * 24 * 3600)),
        with("expires_in_s", json!(-1)),
        with("name", json!("x".repeat(101))),
    ] {
        let answer = send(
            harness
                .admin(Method::POST, "/login")
                .header("content-type", "application/json")
                .body(body.clone()),
        )
        .await;
        let error = answer.admin_error(400, ErrorCode::InvalidRequest);
        assert!(!error.message.contains(ADMIN_PASSWORD), "{body}: {}", error.message);
    }
    let error = harness.post("/login", &json!({})).await.admin_error(400, ErrorCode::InvalidRequest);
    assert!(error.message.contains("`password`"), "{}", error.message);
}

pub async fn a_token_expires(harness: &Harness) {
    let login = json!({"password": ADMIN_PASSWORD, "expires_in_s": 1});
    let login: LoginResponse = harness.post("/login", &login).await.json(200);
    let refused = eventually("the token's end", async || {
        let request = harness.request(Method::GET, "/admin/v1/whoami").bearer_auth(login.token.expose());
        Some(send(request).await).filter(|answer| answer.status != 200)
    })
    .await;
    let error = refused.admin_error(401, ErrorCode::Unauthorized);
    assert!(error.message.contains("expired"), "{}", error.message);
    assert_eq!(error.hint.as_deref(), Some("log in: poolctl login"));
}

pub async fn logout_revokes_a_token_immediately(harness: &mut Harness) {
    let other = harness.log_in().await;
    harness.post("/logout", &json!({})).await.no_content();
    for path in ["/whoami", "/pools"] {
        harness.get(path).await.admin_error(401, ErrorCode::Unauthorized);
    }
    harness.token = other;
    assert_eq!(harness.get("/whoami").await.status, 200);
}

pub async fn login_throttling_survives_a_restart(harness: &mut Harness) {
    let right = json!({"password": ADMIN_PASSWORD});
    let wrong = json!({"password": "wrong horse battery staple"});
    for _ in 0..5 {
        harness.post("/login", &wrong).await.admin_error(401, ErrorCode::Unauthorized);
    }
    harness.stop_host().await;
    let later = "UPDATE login_tries SET blocked_until = blocked_until + 3600000 WHERE blocked_until > 0";
    in_the_store(harness.data.path(), "login_tries", later);
    harness.start_host().await;
    for password in [&wrong, &right] {
        let answer = harness.post("/login", password).await;
        answer.admin_error(429, ErrorCode::RateLimited);
        assert!(answer.header("retry-after").parse::<u64>().unwrap() > 3_000);
        let session = harness.as_own_page(harness.request(Method::POST, "/admin/v1/session"), "");
        send(session.json(password)).await.admin_error(429, ErrorCode::RateLimited);
    }
    assert_eq!(harness.get("/pools").await.status, 200, "tokens go on working");
    in_the_store(harness.data.path(), "login_tries", "UPDATE login_tries SET blocked_until = 1");
    assert_eq!(harness.post("/login", &right).await.status, 200);
    harness.post("/login", &wrong).await.admin_error(401, ErrorCode::Unauthorized);
}

pub async fn a_browser_session_works_only_for_its_own_origin_until_it_ends(harness: &Harness) {
    let [first, second] = [harness.open_session().await, harness.open_session().await];
    let ask = async |method: Method, path: &str, cookie: &str| {
        let request = harness.as_own_page(harness.request(method, &format!("/admin/v1{path}")), cookie);
        send(request.json(&json!({"name": "made-by-a-page"}))).await
    };
    let who: WhoAmI = ask(Method::GET, "/whoami", &first).await.json(200);
    assert_eq!((who.name.as_str(), who.scopes), ("browser", None));
    assert_eq!(ask(Method::POST, "/pools", &first).await.status, 201);

    let foreign = harness.request(Method::DELETE, "/admin/v1/pools/made-by-a-page").header("cookie", &first);
    let foreign = foreign.header("origin", "https://evil.example").header("sec-fetch-site", "cross-site");
    send(foreign).await.admin_error(403, ErrorCode::Forbidden);
    let without = harness.request(Method::DELETE, "/admin/v1/pools/made-by-a-page").header("cookie", &first);
    send(without).await.admin_error(403, ErrorCode::Forbidden);
    let login = harness.request(Method::POST, "/admin/v1/session").json(&json!({"password": ADMIN_PASSWORD}));
    send(login).await.admin_error(403, ErrorCode::Forbidden);
    assert_eq!(harness.get("/pools/made-by-a-page").await.status, 200);

    let ended = ask(Method::DELETE, "/session", &first).await;
    ended.no_content();
    assert!(ended.header("set-cookie").starts_with("session=; Path=/; Max-Age=0;"));
    ask(Method::GET, "/whoami", &first).await.admin_error(401, ErrorCode::Unauthorized);
    harness.delete("/session").await.admin_error(400, ErrorCode::InvalidRequest);

    let third = harness.open_session().await;
    let revoked: SessionsRevoked = ask(Method::POST, "/session/revoke-all", &third).await.json(200);
    assert_eq!(revoked.revoked, 2);
    for cookie in [&second, &third] {
        ask(Method::GET, "/whoami", cookie).await.admin_error(401, ErrorCode::Unauthorized);
    }
    assert_eq!(harness.get("/whoami").await.status, 200, "tokens are no sessions");
}
