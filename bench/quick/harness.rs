//! Harness: the service on the in-memory host, with an admin and pools.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use pool_worker::gateway::Streamed;
use pool_worker::origin::Origin;
use pool_worker::platform::{IncomingBody, IncomingBodyError, IncomingRequest, Platform as _, UpstreamBody};
use pool_worker::reply::ReplyBody;
use pool_worker::router::Service;
use pool_worker::settings::Settings;
use serde_json::{Value, json};

use crate::bodies;
use crate::host::BenchHost;

const PASSWORD: &str = "correct horse battery staple";
const MASTER_KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
/// Maximum number of keys per request of the admin API.
const MAX_KEYS_PER_REQUEST: usize = 1000;

/// Credentials of a client.
#[derive(Clone)]
pub struct Client(HeaderValue);

impl Client {
    fn new(token: &str) -> Self {
        Self(HeaderValue::from_str(&format!("Bearer {token}")).unwrap())
    }
}

/// A kind of request.
#[derive(Clone)]
pub struct Kind {
    /// Name in the results.
    pub name: &'static str,
    method: Method,
    path: &'static str,
    body: Bytes,
    answer: Vec<Bytes>,
}

impl Kind {
    fn chat(name: &'static str, body: Vec<u8>, answer: Vec<Bytes>) -> Self {
        Self { name, method: Method::POST, path: "/v1/chat/completions", body: body.into(), answer }
    }

    /// Returns every kind of client request.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let whole = || vec![Bytes::from(bodies::answer(1024))];
        let vector = json!({"embeddings": [{"values": vec![0.125; 768]}]});
        let models = json!({"models": [{"name": format!("models/{}", bodies::MODEL),
            "supportedGenerationMethods": ["generateContent"]}]});
        let embed = json!({"model": "gemini-embedding-001", "input": bodies::prose(1000)});
        vec![
            Self::chat("chat", bodies::conversation(4 << 10, false), whole()),
            Self::chat("stream of 100 events", bodies::conversation(4 << 10, true), bodies::stream(100)),
            Self::chat("chat of an agent", bodies::agent(10), whole()),
            Self::chat("chat with a picture of 1 MB", bodies::picture(1 << 20), whole()),
            Self {
                path: "/v1/embeddings",
                ..Self::chat("embedding", embed.to_string().into_bytes(), vec![vector.to_string().into()])
            },
            Self {
                method: Method::GET,
                path: "/v1/models",
                ..Self::chat("list of models", Vec::new(), vec![models.to_string().into()])
            },
        ]
    }
}

/// A service with an admin token.
pub struct Harness {
    /// The host.
    pub host: BenchHost,
    service: Arc<Service>,
    admin: Client,
}

impl Default for Harness {
    fn default() -> Self {
        let host = BenchHost::default();
        let mut harness = Self { service: service(&host), host, admin: Client::new("none") };
        let login = harness.administer("/admin/v1/login", &json!({"password": PASSWORD}));
        harness.admin = Client::new(login.get("token").and_then(Value::as_str).unwrap());
        harness
    }
}

fn service(host: &BenchHost) -> Arc<Service> {
    let settings = Settings::new(Some(MASTER_KEY), Some(PASSWORD)).unwrap();
    Arc::new(Service::new(settings, host.random()))
}

impl Harness {
    /// Replaces the service with a new instance on the same store, with empty caches.
    pub fn restart(&mut self) {
        self.service = service(&self.host);
    }

    /// Creates a pool with `keys` keys.
    #[must_use]
    pub fn create_pool(&self, name: &str, keys: usize) -> Client {
        let key = |number: usize| json!({"key": format!("AIzaSyBench-{name}-{number:020}")});
        let batches: Vec<Vec<Value>> = (0..keys)
            .map(key)
            .collect::<Vec<_>>()
            .chunks(MAX_KEYS_PER_REQUEST)
            .map(<[Value]>::to_vec)
            .collect();
        let created = self.administer("/admin/v1/pools", &json!({"name": name}));
        let id = created.pointer("/pool/id").and_then(Value::as_str).unwrap();
        for batch in batches {
            self.administer(&format!("/admin/v1/pools/{id}/keys/import"), &json!({"keys": batch}));
        }
        Client::new(created.get("client_key").and_then(Value::as_str).unwrap())
    }

    fn administer(&self, path: &str, body: &Value) -> Value {
        let body = Bytes::from(body.to_string());
        let (status, answer) = self.host.clock().run(self.ask(Method::POST, path, &self.admin, body));
        assert!(status.is_success(), "{path}: {}", String::from_utf8_lossy(&answer));
        serde_json::from_slice(&answer).unwrap()
    }

    /// Sets Gemini's response to this kind of request.
    pub fn prepare(&self, kind: &Kind) {
        self.host.answer(&kind.answer);
    }

    /// Sends a request and reads the whole response. Returns its duration in virtual time.
    pub fn send(&self, client: &Client, kind: &Kind) -> Duration {
        let clock = self.host.clock();
        let began = pool_worker::platform::Clock::now(clock);
        let asked = self.ask(kind.method.clone(), kind.path, client, kind.body.clone());
        let (status, answer) = clock.run(asked);
        assert!(status.is_success(), "{}: {}", kind.name, String::from_utf8_lossy(&answer));
        pool_worker::platform::Clock::now(clock).duration_since(began).unsigned_abs()
    }

    /// Runs the background work of a host.
    pub fn flush(&self) {
        let clock = self.host.clock();
        clock.advance(Duration::from_secs(1));
        clock.run(self.service.flush(&self.host));
    }

    async fn ask(&self, method: Method, path: &str, client: &Client, body: Bytes) -> (StatusCode, Vec<u8>) {
        let request = IncomingRequest {
            method,
            path: path.to_owned(),
            query: None,
            headers: HeaderMap::from_iter([
                (header::AUTHORIZATION, client.0.clone()),
                (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
            ]),
            body: Body(body),
            client_address: None,
            origin: Origin::behind_tls("pool.example"),
        };
        let reply = self.service.handle(&self.host, request).await;
        let mut answer = Vec::new();
        match reply.body {
            ReplyBody::Whole(bytes) => answer.extend_from_slice(&bytes),
            ReplyBody::Streamed(Streamed::Events(mut events)) => {
                while let Some(bytes) = events.next().await {
                    answer.extend_from_slice(&bytes);
                }
            }
            ReplyBody::Streamed(Streamed::Unchanged(mut body)) => {
                while let Ok(Some(bytes)) = body.chunk().await {
                    answer.extend_from_slice(&bytes);
                }
            }
        }
        (reply.status, answer)
    }
}

struct Body(Bytes);

impl IncomingBody for Body {
    const IS_WHOLE: bool = true;

    fn announced(&self) -> Option<usize> {
        Some(self.0.len())
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>, IncomingBodyError> {
        Ok(Some(std::mem::take(&mut self.0)).filter(|bytes| !bytes.is_empty()))
    }
}
