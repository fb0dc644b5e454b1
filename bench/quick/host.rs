//! In-memory host: SQLite with configurable latency, scripted Gemini, and call counts.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use pool_worker::host::native::{NativeHost, Sqlite};
use pool_worker::ledger::database::{LedgerDatabase, LedgerSql as _};
use pool_worker::ledger::{Ledger, LedgerError, LedgerReply, LedgerRequest, Shard};
use pool_worker::platform::Platform;
use pool_worker::platform::{
    Clock, MediaFetch, MediaResponse, Random, Upstream, UpstreamBody, UpstreamError, UpstreamRequest,
    UpstreamResponse,
};
use pool_worker::sql::{Outcome, SqlError, Statement};
use pool_worker::store::sql::{SqlDatabase, SqlStore};
use url::Url;

use crate::time::VirtualClock;

/// Call counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Calls {
    /// Round trips to the config store.
    pub store: u64,
    /// Upstream requests, a Worker's subrequests.
    pub upstream: u64,
    /// Calls to the ledger.
    pub ledger: u64,
}

/// The in-memory host. Cloning it is cheap.
#[derive(Clone)]
pub struct BenchHost(Arc<Parts>);

struct Parts {
    store: SqlStore<SlowDatabase>,
    database: SlowDatabase,
    ledger: BenchLedger,
    upstream: Script,
    clock: VirtualClock,
    random: Seeded,
}

impl Default for BenchHost {
    fn default() -> Self {
        let clock = VirtualClock::default();
        let database = SlowDatabase {
            sqlite: Sqlite::open(Path::new(":memory:")).unwrap(),
            clock: clock.clone(),
            shared: Arc::default(),
        };
        let ledger = LedgerDatabase::open(Sqlite::open(Path::new(":memory:")).unwrap()).unwrap();
        Self(Arc::new(Parts {
            store: SqlStore::new(database.clone()),
            database,
            ledger: BenchLedger {
                database: Mutex::new(ledger),
                clock: clock.clone(),
                calls: AtomicU64::new(0),
            },
            upstream: Script::default(),
            clock,
            random: Seeded(Mutex::new(1)),
        }))
    }
}

impl BenchHost {
    /// Returns the call counts so far.
    #[must_use]
    pub fn calls(&self) -> Calls {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Calls {
            store: read(&self.0.database.shared.calls),
            upstream: read(&self.0.upstream.calls),
            ledger: read(&self.0.ledger.calls),
        }
    }

    /// Sets Gemini's response, in these chunks.
    pub fn answer(&self, chunks: &[Bytes]) {
        *self.0.upstream.chunks.lock().unwrap() = chunks.to_vec();
    }

    /// Sets the latency of store round trips.
    pub fn delay_store(&self, delay: Duration) {
        let milliseconds = u64::try_from(delay.as_millis()).unwrap();
        self.0.database.shared.delay_ms.store(milliseconds, Ordering::Relaxed);
    }
}

impl Platform for BenchHost {
    type Store = SqlStore<SlowDatabase>;
    type Ledger = BenchLedger;
    type Upstream = Script;
    type Media = NoMedia;
    type Clock = VirtualClock;
    type Random = Seeded;

    fn name(&self) -> &'static str {
        "bench"
    }

    fn nfkc(text: &str) -> String {
        NativeHost::nfkc(text)
    }

    fn store(&self) -> &Self::Store {
        &self.0.store
    }

    fn ledger(&self) -> &Self::Ledger {
        &self.0.ledger
    }

    fn upstream(&self) -> &Self::Upstream {
        &self.0.upstream
    }

    fn media(&self) -> &Self::Media {
        &NoMedia
    }

    fn clock(&self) -> &Self::Clock {
        &self.0.clock
    }

    fn random(&self) -> &Self::Random {
        &self.0.random
    }
}

/// In-memory SQLite with configurable latency.
#[derive(Clone)]
pub struct SlowDatabase {
    sqlite: Sqlite,
    clock: VirtualClock,
    shared: Arc<Latency>,
}

#[derive(Default)]
struct Latency {
    delay_ms: AtomicU64,
    calls: AtomicU64,
}

impl SqlDatabase for SlowDatabase {
    fn kind(&self) -> &'static str {
        "bench"
    }

    async fn batch(&self, statements: Vec<Statement>) -> Result<Vec<Outcome>, SqlError> {
        self.shared.calls.fetch_add(1, Ordering::Relaxed);
        self.clock.sleep(Duration::from_millis(self.shared.delay_ms.load(Ordering::Relaxed))).await;
        self.sqlite.run(statements)
    }
}

/// In-memory ledger.
pub struct BenchLedger {
    database: Mutex<LedgerDatabase<Sqlite>>,
    clock: VirtualClock,
    calls: AtomicU64,
}

impl Ledger for BenchLedger {
    fn kind(&self) -> &'static str {
        "bench"
    }

    async fn ask(&self, _: Shard, request: LedgerRequest) -> Result<LedgerReply, LedgerError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let mut database = self.database.lock().unwrap();
        let reply = database.handle(&request, self.clock.now())?;
        database.maintain(self.clock.now())?;
        Ok(reply)
    }
}

/// Scripted Gemini with a fixed response.
#[derive(Default)]
pub struct Script {
    chunks: Mutex<Vec<Bytes>>,
    calls: AtomicU64,
}

impl Upstream for Script {
    type Body = Chunks;

    async fn send(&self, _: UpstreamRequest) -> Result<UpstreamResponse<Chunks>, UpstreamError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let chunks = self.chunks.lock().unwrap().clone().into_iter();
        Ok(UpstreamResponse {
            status: StatusCode::OK,
            content_type: None,
            retry_after: None,
            body: Chunks(chunks),
        })
    }
}

/// A response body.
pub struct Chunks(std::vec::IntoIter<Bytes>);

impl UpstreamBody for Chunks {
    async fn chunk(&mut self) -> Result<Option<Bytes>, UpstreamError> {
        Ok(self.0.next())
    }
}

/// Media fetcher that always fails.
pub struct NoMedia;

impl MediaFetch for NoMedia {
    type Body = Chunks;

    async fn get(&self, _: &Url) -> Result<MediaResponse<Chunks>, UpstreamError> {
        Err(UpstreamError::Connect("no network in benchmarks".to_owned()))
    }
}

/// Deterministic random numbers: a counter in a multiplicative generator (`SplitMix64`).
pub struct Seeded(Mutex<u64>);

impl Random for Seeded {
    fn fill(&self, bytes: &mut [u8]) {
        let mut state = self.0.lock().unwrap();
        for chunk in bytes.chunks_mut(8) {
            *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut value = *state;
            value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            value ^= value >> 31;
            chunk.copy_from_slice(value.to_le_bytes().get(..chunk.len()).unwrap());
        }
    }
}
