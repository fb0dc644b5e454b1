//! Fakes of the host's traits, for unit tests. They can fail before or after a write.

mod clock;
mod faults;
mod upstream;

use std::net::IpAddr;
use std::path::Path;
use std::pin::pin;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, Method};
use pool_shared::Secret;

use crate::gateway::{Reply, Streamed};
use crate::host::native::Sqlite;
use crate::origin::Origin;
use crate::platform::{IncomingBody, IncomingBodyError, IncomingRequest, Platform, UpstreamBody};
use crate::reply::ReplyBody;
use crate::reporting::Log;
use crate::router::Service;
use crate::settings::Settings;
use crate::store::sql::SqlStore;

pub use clock::ManualClock;
pub use faults::{FakeDatabase, FakeLedger, Mode, Switch};
pub use upstream::{FakeAnswer, FakeInternet, FakePage, FakeUpstream};

pub const PASSWORD: &str = "correct horse battery staple";
pub const MASTER_KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

pub use pool_engine::SeededRandom;

/// A host made of fakes.
#[derive(Clone)]
pub struct FakeHost {
    pub parts: Arc<FakeParts>,
}

pub struct FakeParts {
    pub database: Arc<FakeDatabase>,
    store: SqlStore<Arc<FakeDatabase>>,
    pub ledger: FakeLedger,
    pub upstream: FakeUpstream,
    pub internet: FakeInternet,
    pub clock: Arc<ManualClock>,
    /// The address of the client.
    pub client_address: Mutex<Option<IpAddr>>,
    random: SeededRandom,
}

impl FakeHost {
    pub fn new() -> Self {
        let sqlite = Sqlite::open(Path::new(":memory:")).unwrap();
        let database = Arc::new(FakeDatabase { sqlite, switch: Switch::new() });
        let clock = Arc::new(ManualClock::new("2026-11-23T12:00:00Z".parse().unwrap()));
        let parts = FakeParts {
            store: SqlStore::new(Arc::clone(&database)),
            database,
            ledger: FakeLedger {
                shards: Mutex::default(),
                clock: Arc::clone(&clock),
                switch: Switch::new(),
                pauses: AtomicBool::new(false),
            },
            upstream: FakeUpstream {
                elsewhere: AtomicBool::default(),
                script: Mutex::default(),
                responder: Mutex::default(),
                requests: Mutex::default(),
                clock: Arc::clone(&clock),
            },
            internet: FakeInternet::default(),
            clock,
            client_address: Mutex::default(),
            random: SeededRandom::new(1),
        };
        Self { parts: Arc::new(parts) }
    }

    /// Builds a service on this host, with a memory of its own like another isolate.
    pub fn service(&self) -> Arc<Service> {
        let settings = Settings::new(Some(MASTER_KEY), Some(PASSWORD)).unwrap();
        Arc::new(Service::new(settings, self.random()))
    }

    /// Builds a service with other master keys; `MASTER_KEY` is the one of [`Self::service`].
    pub fn service_with_master_key(&self, key: &str, previous: Option<&str>) -> Arc<Service> {
        let settings = Settings::new(Some(key), Some(PASSWORD)).unwrap();
        Arc::new(Service::new(settings.with_previous_master_key(previous).unwrap(), self.random()))
    }

    /// Builds a service with a request log.
    pub fn service_with_log(&self, log: Log) -> Arc<Service> {
        let settings = Settings::new(Some(MASTER_KEY), Some(PASSWORD)).unwrap();
        Arc::new(Service::new(settings.with_log(log), self.random()))
    }

    /// Builds a service with another password.
    pub fn service_with_password(&self, password: &str) -> Arc<Service> {
        let settings = Settings::new(Some(MASTER_KEY), Some(password)).unwrap();
        Arc::new(Service::new(settings, self.random()))
    }

    pub fn service_with_ledger_shards(&self, shards: &str) -> Arc<Service> {
        let settings = Settings::new(Some(MASTER_KEY), Some(PASSWORD)).unwrap();
        Arc::new(Service::new(settings.with_ledger_shards(Some(shards)).unwrap(), self.random()))
    }

    pub fn store_calls(&self) -> u64 {
        self.parts.database.switch.calls()
    }

    /// Sends a request, and returns the response and its body.
    pub async fn send(
        &self,
        service: &Arc<Service>,
        method: Method,
        path: &str,
        token: &Secret,
        body: &str,
    ) -> (Reply<Self>, String) {
        let authorization = format!("Bearer {}", token.expose());
        self.ask(service, method, path, &[("authorization", &authorization)], body).await
    }

    /// Sends a request with these headers to `https://pool.example`, and returns the response and
    /// its body.
    pub async fn ask(
        &self,
        service: &Arc<Service>,
        method: Method,
        path: &str,
        headers: &[(&'static str, &str)],
        body: &str,
    ) -> (Reply<Self>, String) {
        let mut reply = self.open(service, method, path, headers, body).await;
        let text = Self::text_of(&mut reply).await;
        (reply, text)
    }

    /// As [`Self::ask`], with the body unread.
    pub async fn open(
        &self,
        service: &Arc<Service>,
        method: Method,
        path: &str,
        headers: &[(&'static str, &str)],
        body: &str,
    ) -> Reply<Self> {
        let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        let headers = headers.iter().map(|(name, value)| (*name, *value));
        let says_what = headers.clone().any(|(name, _)| name == "content-type");
        let json = (!body.is_empty() && !says_what).then_some(("content-type", "application/json"));
        let headers = json.into_iter().chain(headers);
        let request = IncomingRequest {
            method,
            path: path.to_owned(),
            query: query.map(ToOwned::to_owned),
            headers: headers
                .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
                .collect(),
            body: FakeIncoming(Bytes::copy_from_slice(body.as_bytes())),
            client_address: *self.parts.client_address.lock().unwrap(),
            origin: Origin::behind_tls("pool.example"),
        };
        service.handle(self, request).await
    }

    /// Reads the whole body of a response.
    pub async fn text_of(reply: &mut Reply<Self>) -> String {
        match &mut reply.body {
            ReplyBody::Whole(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
            ReplyBody::Streamed(Streamed::Events(events)) => {
                let mut text = String::new();
                while let Some(bytes) = events.next().await {
                    text.push_str(std::str::from_utf8(&bytes).unwrap());
                }
                text
            }
            ReplyBody::Streamed(Streamed::Unchanged(body)) => {
                let mut text = String::new();
                while let Some(bytes) = body.chunk().await.unwrap() {
                    text.push_str(std::str::from_utf8(&bytes).unwrap());
                }
                text
            }
        }
    }

    /// Runs a future, and advances the time by a second whenever it waits. Panics if it never ends.
    pub async fn in_time<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        for _ in 0..10_000 {
            // First everything that waits for other events.
            for _ in 0..10 {
                if let Poll::Ready(done) = futures_util::poll!(&mut work) {
                    return done;
                }
            }
            self.parts.clock.advance(Duration::from_secs(1));
        }
        panic!("no end in sight");
    }
}

impl Platform for FakeHost {
    type Store = SqlStore<Arc<FakeDatabase>>;
    type Ledger = FakeLedger;
    type Upstream = FakeUpstream;
    type Media = FakeInternet;
    type Clock = ManualClock;
    type Random = SeededRandom;
    /// A number that no real host has.
    const CHECKS_AT_A_TIME: usize = 7;

    fn name(&self) -> &'static str {
        "fake"
    }

    fn nfkc(text: &str) -> String {
        crate::host::native::NativeHost::nfkc(text)
    }

    fn store(&self) -> &Self::Store {
        &self.parts.store
    }

    fn ledger(&self) -> &Self::Ledger {
        &self.parts.ledger
    }

    fn upstream(&self) -> &Self::Upstream {
        &self.parts.upstream
    }

    fn media(&self) -> &Self::Media {
        &self.parts.internet
    }

    fn clock(&self) -> &Self::Clock {
        &self.parts.clock
    }

    fn random(&self) -> &Self::Random {
        &self.parts.random
    }
}

struct FakeIncoming(Bytes);

impl IncomingBody for FakeIncoming {
    const IS_WHOLE: bool = true;

    fn announced(&self) -> Option<usize> {
        Some(self.0.len())
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>, IncomingBodyError> {
        Ok(Some(std::mem::take(&mut self.0)).filter(|bytes| !bytes.is_empty()))
    }
}
