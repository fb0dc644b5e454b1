//! Changes of the machine's clock while the service runs.

use jiff::SignedDuration;

use super::*;

const EMPTY_MINUTE: &str = r#"{"error":{"code":429,"message":"You exceeded your current quota.","status":"RESOURCE_EXHAUSTED",
    "details":[{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[
        {"quotaId":"GenerateRequestsPerMinutePerProjectPerModel-FreeTier","quotaValue":"50"}]},
        {"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"30s"}]}}"#;

impl World {
    async fn set_clock_by(&self, hours: i64) {
        self.host.parts.clock.set_by(SignedDuration::from_hours(hours));
        self.service.keep_time(&self.host).await;
    }
}

#[tokio::test]
async fn cooldowns_and_windows_last_as_long_whichever_way_the_clock_is_set() {
    for hours in [-4, 4, -24, 24] {
        let world = World::new().await;
        let path = format!("/admin/v1/pools/{}/client-keys", world.pool.pool.id);
        let body = r#"{"name":"limited","limits":{"requests_per_minute":2}}"#;
        let (_, created) = world.host.send(&world.service, Method::POST, &path, &world.admin, body).await;
        let limited: pool_shared::ClientKeyCreated = serde_json::from_str(&created).unwrap();
        let ask = async || {
            let asked =
                world.host.send(&world.service, Method::POST, "/v1/chat/completions", &limited.secret, CHAT);
            let (reply, _) = asked.await;
            let told = reply.headers.get("retry-after").map(|value| value.to_str().unwrap().to_owned());
            (reply.status.as_u16(), told.map_or(0, |told| told.parse::<u64>().unwrap()))
        };
        for _ in 0..2 {
            assert_eq!(ask().await.0, 200);
        }
        let upstream = &world.host.parts.upstream;
        upstream.clear();
        upstream.answer(429, EMPTY_MINUTE);
        assert_eq!(world.chat().await, StatusCode::TOO_MANY_REQUESTS);
        world.set_clock_by(hours).await;
        let (status, wait) = ask().await;
        assert!(status == 429 && (1..=70).contains(&wait), "{hours}: {status}, {wait} s");
        upstream.clear();
        upstream.answer(200, ANSWER);
        world.wait(25);
        assert_eq!(world.chat().await, StatusCode::TOO_MANY_REQUESTS, "{hours}: its delay is not over");
        world.wait(7);
        assert_eq!(world.chat().await, StatusCode::OK, "{hours}: it is");
        world.wait(40);
        assert_eq!(ask().await.0, 200, "{hours}");
    }
}

#[tokio::test]
async fn delays_of_logins_last_as_long_whichever_way_the_clock_is_set() {
    for hours in [-4, 4] {
        let world = World::new().await;
        let log_in = async |password: &str| {
            let body = format!(r#"{{"password":"{password}"}}"#);
            let nobody = Secret::new("nobody");
            let asked = world.host.send(&world.service, Method::POST, "/admin/v1/login", &nobody, &body);
            asked.await.0.status.as_u16()
        };
        for _ in 0..5 {
            assert_eq!(log_in("wrong password").await, 401);
        }
        let mut tries = 0;
        while log_in("wrong password").await == 401 {
            tries += 1;
            assert!(tries < 100, "logins are not throttled");
        }
        world.set_clock_by(hours).await;
        assert_eq!(log_in(PASSWORD).await, 429, "{hours}: the delay goes on");
        world.wait(300);
        assert_eq!(log_in(PASSWORD).await, 200, "{hours}: and ends");
    }
}
