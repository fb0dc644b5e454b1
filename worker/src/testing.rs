//! Fakes for the host's traits, for unit tests: they can fail, and fail after the write went through.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::path::Path;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, Method, StatusCode};
use jiff::{SignedDuration, Timestamp};
use pool_shared::Secret;
use url::Url;

use crate::gateway::{Reply, Streamed};
use crate::host::native::Sqlite;
use crate::ledger::database::LedgerDatabase;
use crate::ledger::{Ledger, LedgerError, LedgerReply, LedgerRequest, Shard};
use crate::origin::Origin;
use crate::platform::Platform;
use crate::platform::{
    Clock, IncomingBody, IncomingBodyError, IncomingRequest, JSON, MediaFetch, MediaResponse, Upstream,
    UpstreamBody, UpstreamError, UpstreamRequest, UpstreamResponse,
};
use crate::reply::ReplyBody;
use crate::reporting::Log;
use crate::router::Service;
use crate::settings::Settings;
use crate::sql::{Outcome, SqlError, Statement};
use crate::store::sql::{SqlDatabase, SqlStore};

pub const PASSWORD: &str = "correct horse battery staple";
pub const MASTER_KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

pub use pool_engine::SeededRandom;

/// Time that moves when told. It wakes nobody: whoever sleeps on it, sleeps for ever, unless a test moves
/// the time and polls again.
pub struct ManualClock(Mutex<Timestamp>, Mutex<SignedDuration>);

impl ManualClock {
    pub fn new(now: Timestamp) -> Self {
        Self(Mutex::new(now), Mutex::default())
    }

    /// Somebody sets the machine's clock; it shows when the host follows it.
    pub fn set_by(&self, by: SignedDuration) {
        *self.1.lock().unwrap() += by;
    }

    pub fn advance(&self, duration: Duration) {
        let mut now = self.0.lock().unwrap();
        *now += duration;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }

    fn correct(&self) -> Option<SignedDuration> {
        let by = std::mem::take(&mut *self.1.lock().unwrap());
        *self.0.lock().unwrap() += by;
        Some(by).filter(|by| !by.is_zero())
    }

    async fn sleep(&self, duration: Duration) {
        let end = self.now() + duration;
        std::future::poll_fn(|_| if self.now() < end { Poll::Pending } else { Poll::Ready(()) }).await;
    }
}

/// How a fake answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Works,
    Fails,
    /// The write goes through, and then the answer is lost.
    FailsAfterwards,
    /// No answer ever comes.
    Silent,
}

/// What a fake does, and how often it was asked.
pub struct Switch {
    mode: Mutex<Mode>,
    /// At which further call it does something else, once.
    once: Mutex<Option<(u64, Mode)>>,
    calls: AtomicU64,
}

impl Switch {
    fn new() -> Self {
        Self { mode: Mutex::new(Mode::Works), once: Mutex::new(None), calls: AtomicU64::new(0) }
    }

    pub fn set(&self, mode: Mode) {
        *self.mode.lock().unwrap() = mode;
    }

    /// Lets so many calls pass, and fails in this way at the next one.
    pub fn set_once(&self, passing: u64, mode: Mode) {
        *self.once.lock().unwrap() = Some((self.calls() + passing, mode));
    }

    fn mode(&self) -> Mode {
        *self.mode.lock().unwrap()
    }

    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    fn around<T>(&self, work: impl FnOnce() -> T) -> Option<T> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        let once = self.once.lock().unwrap().take_if(|(at, _)| *at == call);
        let mode = once.map_or_else(|| self.mode(), |(_, mode)| mode);
        if mode == Mode::Fails {
            return None;
        }
        let done = work();
        (mode == Mode::Works).then_some(done)
    }
}

/// SQLite in memory, whose round trips are counted.
pub struct FakeDatabase {
    sqlite: Sqlite,
    pub switch: Switch,
}

impl SqlDatabase for Arc<FakeDatabase> {
    fn kind(&self) -> &'static str {
        "fake"
    }

    async fn batch(&self, statements: Vec<Statement>) -> Result<Vec<Outcome>, SqlError> {
        if self.switch.mode() == Mode::Silent {
            return std::future::pending().await;
        }
        let sqlite = self.sqlite.clone();
        self.switch
            .around(move || crate::ledger::database::LedgerSql::run(&sqlite, statements))
            .unwrap_or_else(|| Err(SqlError("the fake store fails".to_owned())))
    }
}

/// The ledger's own half, in memory.
pub struct FakeLedger {
    shards: Mutex<BTreeMap<Shard, LedgerDatabase<Sqlite>>>,
    clock: Arc<ManualClock>,
    pub switch: Switch,
    /// Whether there is something to wait for before and after each write.
    pub pauses: AtomicBool,
}

impl FakeLedger {
    /// How many shards were asked.
    pub fn shards_used(&self) -> usize {
        self.shards.lock().unwrap().len()
    }

    async fn pause(&self) {
        let mut paused = !self.pauses.load(Ordering::SeqCst);
        std::future::poll_fn(|_| {
            if std::mem::replace(&mut paused, true) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

impl Ledger for FakeLedger {
    fn kind(&self) -> &'static str {
        "fake"
    }

    async fn ask(&self, shard: Shard, request: LedgerRequest) -> Result<LedgerReply, LedgerError> {
        if self.switch.mode() == Mode::Silent {
            return std::future::pending().await;
        }
        let answer = || {
            let mut shards = self.shards.lock().unwrap();
            let open = || LedgerDatabase::open(Sqlite::open(Path::new(":memory:")).unwrap()).unwrap();
            let database = shards.entry(shard).or_insert_with(open);
            let reply = database.handle(&request, self.clock.now());
            database.maintain(self.clock.now()).unwrap();
            reply
        };
        self.pause().await;
        let reply = self.switch.around(answer);
        self.pause().await;
        reply.unwrap_or_else(|| Err(LedgerError("the fake ledger fails".to_owned())))
    }
}

/// Gemini by script: one answer a call, in order; after the last one, the same again.
pub struct FakeUpstream {
    /// Whether it can be called from another place.
    pub elsewhere: AtomicBool,
    script: Mutex<VecDeque<FakeAnswer>>,
    /// What answers in place of the script, by the request.
    responder: Mutex<Option<Responder>>,
    pub requests: Mutex<Vec<UpstreamRequest>>,
    clock: Arc<ManualClock>,
}

type Responder = Arc<dyn Fn(&UpstreamRequest) -> FakeAnswer + Send + Sync>;

/// An answer of Gemini's.
#[derive(Clone, Default)]
pub struct FakeAnswer {
    pub status: u16,
    /// How long it takes to the headers.
    pub after: Duration,
    /// The pieces of the body, and how long each takes to come.
    pub pieces: Vec<(Duration, &'static [u8])>,
    /// Whether nothing comes after them, not even the end.
    pub endless: bool,
}

impl FakeUpstream {
    /// Forgets its script.
    pub fn clear(&self) {
        self.script.lock().unwrap().clear();
    }

    pub fn answer(&self, status: u16, body: &'static str) {
        self.answer_so(FakeAnswer {
            status,
            pieces: vec![(Duration::ZERO, body.as_bytes())],
            ..FakeAnswer::default()
        });
    }

    /// Answers each request by what it is.
    pub fn answer_by(&self, respond: impl Fn(&UpstreamRequest) -> FakeAnswer + Send + Sync + 'static) {
        *self.responder.lock().unwrap() = Some(Arc::new(respond));
    }

    pub fn answer_so(&self, answer: FakeAnswer) {
        self.script.lock().unwrap().push_back(answer);
    }
}

impl Upstream for FakeUpstream {
    type Body = FakeBody;

    fn has_elsewhere(&self) -> bool {
        self.elsewhere.load(Ordering::SeqCst)
    }

    async fn send(&self, request: UpstreamRequest) -> Result<UpstreamResponse<FakeBody>, UpstreamError> {
        let responder = self.responder.lock().unwrap().clone();
        let answered = responder.map(|respond| respond(&request));
        self.requests.lock().unwrap().push(request);
        let answer = answered.or_else(|| {
            let mut script = self.script.lock().unwrap();
            if script.len() > 1 { script.pop_front() } else { script.front().cloned() }
        });
        let answer = answer.ok_or_else(|| UpstreamError::Connect("no script".to_owned()))?;
        if !answer.after.is_zero() {
            self.clock.sleep(answer.after).await;
        }
        let pieces = answer.pieces.iter().map(|(after, piece)| (*after, Bytes::from_static(piece))).collect();
        let body = FakeBody { pieces, endless: answer.endless, clock: Some(Arc::clone(&self.clock)) };
        let status = StatusCode::from_u16(answer.status).unwrap();
        Ok(UpstreamResponse { status, content_type: Some(JSON), retry_after: None, body })
    }
}

#[derive(Default)]
pub struct FakeBody {
    pieces: VecDeque<(Duration, Bytes)>,
    endless: bool,
    clock: Option<Arc<ManualClock>>,
}

impl UpstreamBody for FakeBody {
    async fn chunk(&mut self) -> Result<Option<Bytes>, UpstreamError> {
        let Some((after, _)) = self.pieces.front() else {
            return if self.endless { std::future::pending().await } else { Ok(None) };
        };
        if let Some(clock) = self.clock.as_ref().filter(|_| !after.is_zero()) {
            let after = *after;
            // Whoever stops waiting for a piece and waits again does not wait longer.
            if let Some((left, _)) = self.pieces.front_mut() {
                let end = clock.now() + after;
                let clock = Arc::clone(clock);
                std::future::poll_fn(move |_| {
                    *left = end.duration_since(clock.now()).try_into().unwrap_or_default();
                    if left.is_zero() { Poll::Ready(()) } else { Poll::Pending }
                })
                .await;
            }
        }
        Ok(self.pieces.pop_front().map(|(_, piece)| piece))
    }
}

/// What a server on the internet sends, for one URL.
#[derive(Clone, Default)]
pub struct FakePage {
    /// 0 for a server that never answers.
    pub status: u16,
    pub location: Option<String>,
    pub content_type: Option<&'static str>,
    pub content_length: Option<u64>,
    pub body: Bytes,
}

/// The internet: pages by URL. What is not there cannot be reached.
#[derive(Default)]
pub struct FakeInternet {
    pub pages: Mutex<BTreeMap<String, FakePage>>,
    /// The URLs that were asked for.
    pub asked: Mutex<Vec<String>>,
}

impl MediaFetch for FakeInternet {
    type Body = FakeBody;

    async fn get(&self, url: &Url) -> Result<MediaResponse<FakeBody>, UpstreamError> {
        self.asked.lock().unwrap().push(url.to_string());
        let page = self.pages.lock().unwrap().get(url.as_str()).cloned();
        let page = page.ok_or_else(|| UpstreamError::Connect("10.0.0.1 refuses".to_owned()))?;
        if page.status == 0 {
            return std::future::pending().await;
        }
        Ok(MediaResponse {
            status: StatusCode::from_u16(page.status).unwrap(),
            location: page.location,
            content_type: page.content_type.map(ToOwned::to_owned),
            content_length: page.content_length,
            body: FakeBody { pieces: [(Duration::ZERO, page.body)].into(), ..FakeBody::default() },
        })
    }
}

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
    /// Where requests come from.
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

    /// A service on this host: another one has another memory, as another isolate has.
    pub fn service(&self) -> Arc<Service> {
        let settings = Settings::new(Some(MASTER_KEY), Some(PASSWORD)).unwrap();
        Arc::new(Service::new(settings, self.random()))
    }

    /// A service under other master keys; `MASTER_KEY` is the one of [`Self::service`].
    pub fn service_with_master_key(&self, key: &str, previous: Option<&str>) -> Arc<Service> {
        let settings = Settings::new(Some(key), Some(PASSWORD)).unwrap();
        Arc::new(Service::new(settings.with_previous_master_key(previous).unwrap(), self.random()))
    }

    /// A service that logs.
    pub fn service_with_log(&self, log: Log) -> Arc<Service> {
        let settings = Settings::new(Some(MASTER_KEY), Some(PASSWORD)).unwrap();
        Arc::new(Service::new(settings.with_log(log), self.random()))
    }

    /// A service after its password was changed.
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

    /// Sends a request and gives the answer's status and body.
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

    /// Sends a request with these headers to `https://pool.example` and gives the answer's status and body.
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

    /// The same; the body is still to be read.
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

    /// The whole body of a reply.
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

    /// Does work, moving the time on by a second whenever the work waits for it. Work without an end ends the test.
    pub async fn in_time<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        for _ in 0..10_000 {
            // What is woken by anything else than the time has had its turn.
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
    /// Another number than any host's.
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
