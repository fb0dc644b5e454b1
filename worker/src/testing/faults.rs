//! A store and a ledger that fail, hang, or lose a reply after the write, on demand.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;

use super::ManualClock;
use crate::host::native::Sqlite;
use crate::ledger::database::LedgerDatabase;
use crate::ledger::{Ledger, LedgerError, LedgerReply, LedgerRequest, Shard};
use crate::platform::Clock;
use crate::sql::{Outcome, SqlError, Statement};
use crate::store::sql::SqlDatabase;

/// The behaviour of a fake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Works,
    Fails,
    /// The write succeeds, and the reply is lost.
    FailsAfterwards,
    /// No reply ever comes.
    Silent,
}

/// The behaviour of a fake, and a counter of its calls.
pub struct Switch {
    mode: Mutex<Mode>,
    /// Another behaviour for one later call.
    once: Mutex<Option<(u64, Mode)>>,
    calls: AtomicU64,
}

impl Switch {
    pub(super) fn new() -> Self {
        Self { mode: Mutex::new(Mode::Works), once: Mutex::new(None), calls: AtomicU64::new(0) }
    }

    pub fn set(&self, mode: Mode) {
        *self.mode.lock().unwrap() = mode;
    }

    /// Fails in this way once, after a number of calls.
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

/// SQLite in memory that counts round trips.
pub struct FakeDatabase {
    pub(super) sqlite: Sqlite,
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

/// A ledger in memory.
pub struct FakeLedger {
    pub(super) shards: Mutex<BTreeMap<Shard, LedgerDatabase<Sqlite>>>,
    pub(super) clock: Arc<ManualClock>,
    pub switch: Switch,
    /// Whether it yields before and after each write.
    pub pauses: AtomicBool,
}

impl FakeLedger {
    /// Returns the number of shards used.
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
