//! Logging in, saying who one is, logging out.

use pool_shared::{API_VERSION, ErrorCode, LoginResponse, WhoAmI};
use reqwest::Method;
use serde_json::{Value, json};

use super::world::{World, eventually, send};
use crate::support::ADMIN_PASSWORD;

pub async fn the_password_gives_a_token_that_says_who_it_is(world: &World) {
    let login = json!({"password": ADMIN_PASSWORD, "name": "laptop", "expires_in_s": 3600});
    let login: LoginResponse = world.post("/login", &login).await.json(200);
    let request = world.request(Method::GET, "/admin/v1/whoami").bearer_auth(login.token.expose());
    let who: WhoAmI = send(request).await.json(200);
    assert_eq!((who.id, who.expires_at), (login.id, login.expires_at));
    assert_eq!((who.name.as_str(), who.api_version), ("laptop", API_VERSION));
    assert!(!who.service_version.is_empty());
}

pub async fn a_wrong_password_gives_nothing(world: &World) {
    for password in ["", "wrong horse battery staple", &ADMIN_PASSWORD[..10], &format!("{ADMIN_PASSWORD} ")] {
        let answer = world.post("/login", &json!({"password": password})).await;
        let error = answer.admin_error(401, ErrorCode::Unauthorized);
        assert_eq!(error.message, "wrong password");
        assert!(error.hint.is_some());
    }
}

pub async fn a_login_that_makes_no_sense_is_told_why(world: &World) {
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
        let answer = send(world.admin(Method::POST, "/login").body(body.clone())).await;
        let error = answer.admin_error(400, ErrorCode::InvalidRequest);
        assert!(!error.message.contains(ADMIN_PASSWORD), "{body}: {}", error.message);
    }
    let error = world.post("/login", &json!({})).await.admin_error(400, ErrorCode::InvalidRequest);
    assert!(error.message.contains("`password`"), "{}", error.message);
}

pub async fn a_token_expires(world: &World) {
    let login = json!({"password": ADMIN_PASSWORD, "expires_in_s": 1});
    let login: LoginResponse = world.post("/login", &login).await.json(200);
    let refused = eventually("the token's end", async || {
        let request = world.request(Method::GET, "/admin/v1/whoami").bearer_auth(login.token.expose());
        Some(send(request).await).filter(|answer| answer.status != 200)
    })
    .await;
    let error = refused.admin_error(401, ErrorCode::Unauthorized);
    assert!(error.message.contains("expired"), "{}", error.message);
    assert_eq!(error.hint.as_deref(), Some("log in: poolctl login"));
}

pub async fn logout_ends_a_token_at_once(world: &mut World) {
    let other = world.log_in().await;
    world.post("/logout", &json!({})).await.no_content();
    for path in ["/whoami", "/pools"] {
        world.get(path).await.admin_error(401, ErrorCode::Unauthorized);
    }
    world.token = other;
    assert_eq!(world.get("/whoami").await.status, 200);
}
