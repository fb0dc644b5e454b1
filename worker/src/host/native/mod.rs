//! The native host: tokio, hyper, one SQLite file, reqwest.

mod activity;
mod config;
mod connections;
mod folder;
mod in_flight_file;
mod listen;
mod log;
mod media;
mod open_files;
mod proxies;
mod secrets;
mod server;
mod sqlite;
mod steady;
mod upstream;

use std::net::IpAddr;
use std::sync::{Arc, LazyLock, Mutex, OnceLock};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use pool_shared::GeminiRoute;

pub use config::{ServerConfig, StartError};
pub use folder::FolderError;
pub use log::StderrLog;
pub use media::HttpMedia;
pub use open_files::raise_open_files_limit;
pub use proxies::{TrustedProxies, TrustedProxiesError};
pub use secrets::{SecretFiles, SecretFilesError};
pub use server::{Load, Server};
pub use sqlite::{Sqlite, SqliteLedger};
use steady::SteadyTime;
pub use upstream::{HttpBody, HttpUpstream};

use super::SystemRandom;
use crate::platform::{Clock, Platform};
use unicode_normalization::UnicodeNormalization as _;

use crate::platform::lock;
use crate::store::sql::SqlStore;

/// The native host. Cloning it is cheap: everything is shared.
#[derive(Clone)]
pub struct NativeHost {
    parts: Arc<Parts>,
}

struct Parts {
    store: SqlStore<Sqlite>,
    ledger: SqliteLedger,
    upstream: HttpUpstream,
    media: HttpMedia,
    /// The first proxy nearby that passed requests on and is not trusted.
    untrusted_proxy: OnceLock<IpAddr>,
}

impl NativeHost {
    fn new(database: Sqlite, ledger: SqliteLedger, upstream: HttpUpstream, media: HttpMedia) -> Self {
        let store = SqlStore::new(database);
        Self { parts: Arc::new(Parts { store, ledger, upstream, media, untrusted_proxy: OnceLock::new() }) }
    }

    /// Notes a proxy that is not trusted. Returns `true` if it is the first one.
    fn note_untrusted_proxy(&self, proxy: IpAddr) -> bool {
        self.parts.untrusted_proxy.set(proxy).is_ok()
    }
}

impl Platform for NativeHost {
    /// As much as Gemini takes inline, in base64, and 2 MiB of words.
    const BODY_BYTES: usize = Self::MEDIA_BYTES.div_ceil(3) * 4 + 2 * 1024 * 1024;
    const BODIES_AT_ONCE: usize = 16 * crate::limits::BODIES;
    const MEDIA_BYTES: usize = 100 * 1024 * 1024;
    const CALLS_OF_A_REQUEST: u32 = 1_000;
    const CHECKS_AT_A_TIME: usize = 200;
    /// Whatever ends a request drops its future.
    const BODY_LOST_AFTER: Option<SignedDuration> = None;
    type Store = SqlStore<Sqlite>;
    type Ledger = SqliteLedger;
    type Upstream = HttpUpstream;
    type Media = HttpMedia;
    type Clock = SystemClock;
    type Random = SystemRandom;

    fn name(&self) -> &'static str {
        "native"
    }

    fn gemini_route(&self) -> Option<GeminiRoute> {
        Some(self.parts.upstream.route())
    }

    fn nfkc(text: &str) -> String {
        text.nfkc().collect()
    }

    fn untrusted_proxy(&self) -> Option<IpAddr> {
        self.parts.untrusted_proxy.get().copied()
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
        &self.parts.media
    }

    fn clock(&self) -> &Self::Clock {
        &SystemClock
    }

    fn random(&self) -> &Self::Random {
        &SystemRandom
    }
}

/// The system's time, in whole milliseconds as on Workers and as in the store. It continues evenly when the machine's
/// clock is set, until [`Clock::correct`] is called.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock;

/// The process has one time.
static TIME: LazyLock<Mutex<SteadyTime>> = LazyLock::new(|| Mutex::new(SteadyTime::new(Timestamp::now())));
static STARTED: LazyLock<Instant> = LazyLock::new(Instant::now);

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        lock(&TIME).at(STARTED.elapsed())
    }

    fn correct(&self) -> Option<SignedDuration> {
        lock(&TIME).correct(Timestamp::now(), STARTED.elapsed())
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}
