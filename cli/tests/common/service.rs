//! The real service in this process, with a stand-in for Gemini behind it.

use pool_fake_gemini::{FakeGemini, Scenario};
use pool_shared::Secret;
use pool_worker::{
    host::native::{Server, ServerConfig, TrustedProxies},
    reporting::Log,
};
use serde_json::json;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::{Poolctl, gemini_key};

pub const PASSWORD: &str = "correct horse battery staple";

/// A service of its own for each test.
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

    /// With so many good keys at Gemini.
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

    /// `poolctl`, logged in.
    pub fn poolctl(&self) -> Poolctl {
        let poolctl = Poolctl::new();
        let run = poolctl.run_with(&["login", "--url", &self.server.url(), "--with-password"], PASSWORD);
        assert_eq!(run.code, 0, "{run}");
        poolctl
    }

    /// One chat through the pool; its status.
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
