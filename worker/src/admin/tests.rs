//! Access to the admin API in simulated time: login throttling, sessions, and the request log.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Method, StatusCode};
use pool_shared::Secret;
use serde_json::Value;

use super::ROUTES;
use crate::reporting::{Log, LogLevel};
use crate::router::Service;
use crate::sql::Statement;
use crate::store::sql::SqlDatabase;
use crate::testing::{FakeHost, PASSWORD};

const OWN_PAGE: [(&str, &str); 2] = [("origin", "https://pool.example"), ("sec-fetch-site", "same-origin")];

/// A service in simulated time.
pub(super) struct World {
    pub(super) host: FakeHost,
    pub(super) service: Arc<Service>,
}

impl World {
    pub(super) fn new() -> Self {
        let host = FakeHost::new();
        Self { service: host.service(), host }
    }

    fn wait(&self, seconds: u64) {
        self.host.parts.clock.advance(Duration::from_secs(seconds));
    }

    /// Logs in from an address; returns the status, and the seconds of `retry-after`.
    async fn log_in(&self, address: &str, password: &str) -> (u16, u64) {
        *self.host.parts.client_address.lock().unwrap() = Some(address.parse::<IpAddr>().unwrap());
        let body = format!(r#"{{"password":"{password}"}}"#);
        let (reply, _) = self.host.ask(&self.service, Method::POST, "/admin/v1/login", &[], &body).await;
        let wait = reply.headers.get("retry-after").map(|value| value.to_str().unwrap().parse().unwrap());
        (reply.status.as_u16(), wait.unwrap_or_default())
    }

    async fn rows(&self) -> u64 {
        let count = Statement::new("SELECT json_quote(count(*)) AS row FROM login_tries", []);
        self.host.parts.database.batch(vec![count]).await.unwrap()[0].rows[0].parse().unwrap()
    }

    /// Opens a session from the service's own page, and returns its cookie.
    async fn open_session(&self) -> String {
        let body = format!(r#"{{"password":"{PASSWORD}"}}"#);
        let (reply, _) =
            self.host.ask(&self.service, Method::POST, "/admin/v1/session", &OWN_PAGE, &body).await;
        assert_eq!(reply.status, StatusCode::CREATED);
        let cookie = reply.headers["set-cookie"].to_str().unwrap();
        assert!(cookie.starts_with("__Host-session=pses_") && cookie.ends_with("; Secure"), "{cookie}");
        cookie.split(';').next().unwrap().to_owned()
    }

    async fn who_am_i(&self, service: &Arc<Service>, cookie: &str) -> StatusCode {
        let headers = [("cookie", cookie), ("sec-fetch-site", "same-origin")];
        self.host.ask(service, Method::GET, "/admin/v1/whoami", &headers, "").await.0.status
    }
}

#[tokio::test]
async fn each_failure_from_an_address_makes_the_next_try_wait_longer() {
    let mut world = World::new();
    for _ in 0..5 {
        assert_eq!(world.log_in("192.0.2.1", "wrong").await.0, 401);
    }
    for delay in [2, 4, 8, 16, 32, 64, 128, 256, 256] {
        assert_eq!(world.log_in("192.0.2.1", "wrong").await, (429, delay));
        // Another instance, or a restarted one, knows of it; the right password is rejected as
        // well.
        world.service = world.host.service();
        assert_eq!(world.log_in("192.0.2.1", PASSWORD).await, (429, delay));
        assert_eq!(world.log_in("192.0.2.2", PASSWORD).await.0, 200, "others do not wait");
        world.wait(delay - 1);
        assert_eq!(world.log_in("192.0.2.1", "wrong").await, (429, 1), "tries while waiting do not count");
        world.wait(1);
        assert_eq!(world.log_in("192.0.2.1", "wrong").await.0, 401);
    }
    world.wait(256);
    assert_eq!(world.log_in("192.0.2.1", PASSWORD).await.0, 200);
    assert_eq!(world.log_in("192.0.2.1", "wrong").await.0, 401, "it begins anew");
}

#[tokio::test]
async fn an_attack_from_everywhere_slows_itself_down_and_not_the_owner() {
    let world = World::new();
    assert_eq!(world.log_in("198.51.100.1", PASSWORD).await.0, 200);
    // An IPv6 network is one source, however many addresses it has.
    for network in 0..100 {
        let address = format!("2001:db8:0:{network:x}::{network:x}");
        assert_eq!(world.log_in(&address, "wrong").await.0, 401, "{network}");
    }
    assert_eq!(world.log_in("2001:db8:1::1", "wrong").await, (429, 1));
    for network in 0..20 {
        let (status, delay) = world.log_in("2001:db8:1::1", PASSWORD).await;
        assert!(status == 429 && delay <= 30, "nobody whose address is new waits for longer");
        world.wait(delay);
        assert_eq!(world.log_in(&format!("2001:db8:2:{network:x}::1"), "wrong").await.0, 401);
    }
    assert_eq!(world.log_in("198.51.100.1", PASSWORD).await.0, 200, "known for 30 days");
    world.wait(31 * 24 * 3_600);
    assert_eq!(world.log_in("2001:db8:3::1", "wrong").await.0, 401);
    assert_eq!(world.rows().await, 2, "what is old is forgotten");
}

#[tokio::test]
async fn tries_from_a_network_of_ipv6_count_together() {
    let world = World::new();
    for host in 1..=5 {
        assert_eq!(world.log_in(&format!("2001:db8::{host}"), "wrong").await.0, 401);
    }
    assert_eq!(world.log_in("2001:db8::6", "wrong").await, (429, 2));
}

#[tokio::test]
async fn a_session_ends_when_it_is_idle_old_or_of_another_password() {
    let world = World::new();
    let service = Arc::clone(&world.service);
    let cookie = world.open_session().await;
    let later = world.host.service_with_password("another password altogether");
    assert_eq!(world.who_am_i(&later, &cookie).await, StatusCode::UNAUTHORIZED, "the password was changed");
    let mut asked = 0;
    // Used every 25 minutes, it lasts for eight hours.
    while asked + 25 * 60 < 8 * 3_600 {
        world.wait(25 * 60);
        asked += 25 * 60;
        assert_eq!(world.who_am_i(&service, &cookie).await, StatusCode::OK, "after {asked} s");
    }
    world.wait(8 * 3_600 - asked);
    assert_eq!(world.who_am_i(&service, &cookie).await, StatusCode::UNAUTHORIZED, "eight hours");

    let cookie = world.open_session().await;
    world.wait(29 * 60);
    assert_eq!(world.who_am_i(&service, &cookie).await, StatusCode::OK);
    world.wait(30 * 60);
    assert_eq!(world.who_am_i(&service, &cookie).await, StatusCode::UNAUTHORIZED, "thirty minutes");
}

#[tokio::test]
async fn a_session_s_use_is_noted_now_and_then() {
    let world = World::new();
    let cookie = world.open_session().await;
    let calls = async || {
        let before = world.host.store_calls();
        assert_eq!(world.who_am_i(&world.service, &cookie).await, StatusCode::OK);
        world.host.store_calls() - before
    };
    assert_eq!(calls().await, 1);
    world.wait(5 * 60);
    assert_eq!((calls().await, calls().await), (2, 1));
}

#[tokio::test]
async fn a_session_is_no_bearer_token_and_a_token_is_no_session() {
    let world = World::new();
    let cookie = world.open_session().await;
    let session = Secret::new(cookie.split_once('=').unwrap().1);
    let whoami = "/admin/v1/whoami";
    let (reply, _) = world.host.send(&world.service, Method::GET, whoami, &session, "").await;
    assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
    let login = format!(r#"{{"password":"{PASSWORD}"}}"#);
    let (_, body) = world.host.ask(&world.service, Method::POST, "/admin/v1/login", &[], &login).await;
    let login: pool_shared::LoginResponse = serde_json::from_str(&body).unwrap();
    let cookie = format!("__Host-session={}", login.token.expose());
    assert_eq!(world.who_am_i(&world.service, &cookie).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn no_route_takes_a_session_from_a_page_of_another_origin() {
    let world = World::new();
    let cookie = world.open_session().await;
    let changing =
        ROUTES.iter().filter(|route| route.method != Method::GET && route.path != "/admin/v1/login");
    assert!(changing.clone().count() > 10);
    for route in changing {
        let path = route.path.replace("{pool}", "prod").replace("{id}", "x");
        for foreign in [
            [("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")],
            [("origin", "https://pool.example"), ("sec-fetch-site", "same-site")],
            [("origin", "null"), ("sec-fetch-site", "same-origin")],
        ] {
            let headers = [("cookie", cookie.as_str()), foreign[0], foreign[1]];
            let (reply, body) =
                world.host.ask(&world.service, route.method.clone(), &path, &headers, "{}").await;
            assert_eq!(reply.status, StatusCode::FORBIDDEN, "{} {path}: {body}", route.method);
        }
    }
    assert_eq!(world.who_am_i(&world.service, &cookie).await, StatusCode::OK, "nothing was done");
}

#[tokio::test]
async fn what_admins_do_is_logged_by_route_and_without_what_they_wrote() {
    let world = World::new();
    let written = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&written);
    let log = Log::new(LogLevel::Debug, move |line| sink.lock().unwrap().push(line));
    let service = world.host.service_with_log(log);
    let body = r#"{"password":"a canary in a wrong password"}"#;
    world.host.ask(&service, Method::POST, "/admin/v1/login", &[], body).await;
    let path = "/admin/v1/pools/canary-in-a-path?search=canary";
    world.host.send(&service, Method::GET, path, &Secret::new("canary-in-a-token"), "").await;
    let written = written.lock().unwrap();
    assert_eq!(written.len(), 2);
    for (line, route, class) in [
        (&written[0], "/admin/v1/login", "unauthorized"),
        (&written[1], "/admin/v1/pools/{pool}", "unauthorized"),
    ] {
        assert!(!line.contains("canary"), "{line}");
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!((line["route"].as_str(), line["class"].as_str()), (Some(route), Some(class)));
        assert_eq!((line["plane"].as_str(), line["status"].as_u64()), (Some("admin"), Some(401)));
    }
}

#[tokio::test]
async fn a_page_of_another_origin_cannot_use_up_the_tries_of_the_password() {
    let world = World::new();
    for (path, header, value, status) in [
        ("/admin/v1/login", "content-type", "text/plain", 415),
        ("/admin/v1/login", "content-type", "application/x-www-form-urlencoded", 415),
        ("/admin/v1/login", "content-type", "text/plain; a=application/json", 415),
        ("/admin/v1/login", "sec-fetch-site", "cross-site", 403),
        ("/admin/v1/session", "sec-fetch-site", "cross-site", 403),
        ("/admin/v1/session", "content-type", "text/plain", 415),
    ] {
        for _ in 0..20 {
            let body = r#"{"password":"a wrong one"}"#;
            let (reply, _) =
                world.host.ask(&world.service, Method::POST, path, &[(header, value)], body).await;
            assert_eq!(reply.status.as_u16(), status, "{path} {header}: {value}");
        }
    }
    assert_eq!(world.log_in("198.51.100.7", PASSWORD).await.0, 200, "none of them was counted");
}
