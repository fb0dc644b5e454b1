//! Harness: the real service in this process, with the mock Gemini server.

use pool_fake_gemini::{Behaviour, FakeGemini, Scenario};
use pool_shared::Secret;
use pool_worker::{
    host::native::{Server, ServerConfig, TrustedProxies},
    reporting::Log,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::{Poolctl, gemini_key};

pub const PASSWORD: &str = "correct horse battery staple";

/// A service for one test.
pub struct Service {
    pub runtime: Runtime,
    pub server: Server,
    pub gemini: FakeGemini,
    _data: TempDir,
}

impl Service {
    pub fn start() -> Self {
        Self::with_keys(2)
    }

    /// Starts a service with this number of valid keys.
    pub fn with_keys(count: usize) -> Self {
        let runtime = Runtime::new().unwrap();
        let data = TempDir::new().unwrap();
        let (server, gemini) = runtime.block_on(async {
            let keys = (1..=count).map(gemini_key);
            let gemini = FakeGemini::start(Scenario::with_keys(keys)).await.unwrap();
            let config = ServerConfig {
                host: "127.0.0.1".into(),
                port: 0,
                data_dir: data.path().to_owned(),
                gemini_base_url: gemini.url().parse().unwrap(),
                master_key: None,
                previous_master_key: None,
                admin_password: Some(Secret::new(PASSWORD)),
                trusted_proxies: TrustedProxies::default(),
                log: Log::off(),
                upstream_timeouts: pool_worker::upstream::UpstreamTimeouts::default(),
            };
            (Server::start(config).await.unwrap(), gemini)
        });
        Self { runtime, server, gemini, _data: data }
    }

    /// Returns a `poolctl` that is logged in.
    pub fn poolctl(&self) -> Poolctl {
        let poolctl = Poolctl::new();
        let run = poolctl.run_with(&["login", "--url", &self.server.url(), "--with-password"], PASSWORD);
        assert_eq!(run.code, 0, "{run}");
        poolctl
    }

    /// Sends one chat request through the pool and returns its status.
    pub fn chat(&self, client_key: &str) -> u16 {
        let url = format!("{}/v1/chat/completions", self.server.url());
        let body =
            json!({"model": "gemini-2.5-flash", "messages": [{"role": "user", "content": "hello there"}]});
        self.runtime.block_on(async {
            let request = reqwest::Client::new().post(url).bearer_auth(client_key).json(&body);
            request.send().await.unwrap().status().as_u16()
        })
    }
}

/// Returns a service with pool `prod`: keys 1 and 2 are valid, 3 is limited, 4 is invalid.
pub fn prod() -> (Service, Poolctl) {
    let service = Service::with_keys(3);
    service.gemini.set_behaviour(&gemini_key(3), Behaviour::ExhaustedDay).unwrap();
    let poolctl = service.poolctl();
    poolctl.file("keys.txt", (1..=4).map(|number| gemini_key(number) + "\n").collect::<String>());
    let run = poolctl.run(&["pool", "create", "prod", "--keys", "keys.txt", "-q"]);
    assert_eq!(run.code, 0, "{run}");
    (service, poolctl)
}

/// Returns a `poolctl` without a profile; the token comes from the environment.
pub fn with_token(service: &Service, token: &Value) -> Poolctl {
    Poolctl::new().env("POOLCTL_URL", &service.server.url()).env("POOLCTL_TOKEN", token.as_str().unwrap())
}

/// Returns the masked keys of pool `prod` that match a filter.
pub fn names(poolctl: &Poolctl, filter: &[&str]) -> Vec<String> {
    let list = poolctl.run(&[&["key", "list", "prod", "-o", "json"], filter].concat()).json();
    list["keys"].as_array().unwrap().iter().map(|key| key["masked"].as_str().unwrap().to_owned()).collect()
}
