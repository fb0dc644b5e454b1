//! Reporting: counts, events, observations and the request log on their way to the ledger.
//!
//! An attempt or request is added to a buffer in memory, one per ledger shard. One report at a time
//! goes out per shard, and is retried until the ledger acknowledges it or it is too old. The reply
//! carries the observations and config changes of other instances, which are applied here.
//!
//! # Invariants
//! - A request never waits for a report, except one that would be rejected for lack of keys.
//! - What could not be reported is counted as lost, never dropped silently.

mod hints;
mod log;
mod observations;
mod request_log;

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use pool_shared::{Event, PoolId};

use crate::ledger::{
    AttemptCount, Counted, InFlightCounter, Ledger, LedgerError, LedgerReply, LedgerRequest, LedgerUpdates,
    ObservationRecord, Report, ReportBuffer, Request, Shard, Shards, WriterId,
};
use crate::platform::{Clock, Random, lock};
use crate::pools::PoolDirectory;
use crate::ports::Host;

pub(crate) use hints::HintMemory;
pub use log::{Log, LogLevel};
pub(crate) use observations::{decode, prefix_of};
pub(crate) use request_log::{LoggedAttempt, RequestLog, UntilTold};

/// How long a sender retries while the ledger fails, before it leaves the reports to the next one.
/// Together with one more request that times out it stays below the 30 s that a Worker has after its
/// response.
const KEEP_SENDING_FOR: Duration = Duration::from_secs(20);
/// Timeout of a request to the ledger.
const LEDGER_TIMEOUT: Duration = Duration::from_secs(5);
/// Before a request is rejected, observations of other instances are fetched if they are older than
/// this. With the second that a report waits it stays below the 30 s within which a change holds
/// everywhere.
const OBSERVATIONS_TTL: Duration = Duration::from_secs(20);
/// How long such a request waits for them.
const FETCH_TIMEOUT: Duration = Duration::from_secs(2);

/// The buffers of all ledger shards, and what is known of the ledgers.
pub struct Reporter {
    pools: Arc<PoolDirectory>,
    pub(crate) log: Log,
    pub(crate) hints: Mutex<HintMemory>,
    /// Attempts and requests that the ledger has not acknowledged, including those in flight.
    pub(crate) in_flight: InFlightCounter,
    ledger_shards: Shards,
    reports: Mutex<BTreeMap<Shard, ReportBuffer>>,
    /// When each ledger last sent the observations of other instances, or was asked for them.
    heard: Mutex<BTreeMap<Shard, Timestamp>>,
    /// Since when each ledger has accepted no report, and why.
    report_trouble: Mutex<BTreeMap<Shard, (Timestamp, String)>>,
    writer: WriterId,
    last_serial: AtomicU64,
}

impl Reporter {
    /// A reporter with empty buffers.
    #[must_use]
    pub fn new(
        pools: Arc<PoolDirectory>,
        log: Log,
        in_flight: InFlightCounter,
        ledger_shards: Shards,
        random: &impl Random,
    ) -> Self {
        let writer = WriterId::from_random(random.next_u64());
        let buffer = |shard| (shard, ReportBuffer::new(writer.clone()));
        let mut reports: BTreeMap<_, _> = ledger_shards.all().map(buffer).collect();
        if let Some(reports) = reports.values_mut().next() {
            reports.add_lost(in_flight.number());
        }
        Self {
            pools,
            log,
            hints: Mutex::default(),
            in_flight,
            ledger_shards,
            reports: Mutex::new(reports),
            heard: Mutex::default(),
            report_trouble: Mutex::default(),
            writer,
            last_serial: AtomicU64::new(0),
        }
    }

    /// Sends buffered reports until none is left. The first caller sends for all; a failing ledger is
    /// retried for 20 s.
    pub async fn flush<H: Host>(&self, host: &H) {
        self.flush_for(host, KEEP_SENDING_FOR).await;
    }

    /// Sends buffered reports, without retrying a failing ledger.
    pub(crate) async fn flush_once<H: Host>(&self, host: &H) {
        self.flush_for(host, Duration::ZERO).await;
    }

    async fn flush_for<H: Host>(&self, host: &H, keep_sending_for: Duration) {
        self.publish(host.clock().now());
        join_all(self.ledger_shards.all().map(|shard| self.flush_shard(host, shard, keep_sending_for))).await;
    }

    /// Sends one report per shard even if nothing is buffered, to fetch the observations of others.
    pub(crate) async fn exchange<H: Host>(&self, host: &H) {
        for shard in self.ledger_shards.all() {
            let report = self.with_reports(shard, |reports| reports.take_anyway(host.clock().now()));
            if let Some(report) = report {
                // A failure shows at the next report.
                let _ = self.send_report(host, shard, report).await;
            }
        }
    }

    /// Hears what others have learnt of a pool, unless that was done in the last seconds: an instance that refuses
    /// every request makes no attempts, sends no reports, and would never hear that its keys have recovered.
    pub(crate) async fn hear_of<H: Host>(&self, host: &H, pool: &PoolId) {
        let (now, shard) = (host.clock().now(), self.ledger_shards.of(pool));
        let last = lock(&self.heard).insert(shard, now);
        if let Some(last) = last.filter(|last| now.duration_since(*last).unsigned_abs() < OBSERVATIONS_TTL) {
            lock(&self.heard).insert(shard, last);
            return;
        }
        let report = self.with_reports(shard, |reports| reports.take_anyway(now));
        if let Some(report) = report {
            // A ledger that does not answer changes nothing: the request is refused by what is known here.
            let _ = host.clock().within(FETCH_TIMEOUT, pin!(self.send_report(host, shard, report))).await;
        }
    }

    /// The clock was set: ages stay what they are.
    pub(crate) fn shift(&self, by: SignedDuration) {
        lock(&self.reports).values_mut().for_each(|reports| reports.shift(by));
        lock(&self.heard).clear();
    }

    async fn flush_shard<H: Host>(&self, host: &H, shard: Shard, keep_sending_for: Duration) {
        let started = host.clock().now();
        while let Some(report) =
            self.with_reports(shard, |reports| reports.take(host.clock().now())).flatten()
        {
            let Err(rest) = self.send_report(host, shard, report).await else { continue };
            let spent = host.clock().now().duration_since(started).unsigned_abs();
            if spent + rest > keep_sending_for {
                return;
            }
            host.clock().sleep(rest).await;
        }
    }

    /// Sends one report. An error tells how long to wait before it is sent again.
    async fn send_report<H: Host>(
        &self,
        host: &H,
        shard: Shard,
        report: Arc<Report>,
    ) -> Result<(), Duration> {
        let sequence = report.sequence;
        let reply = self.ask_ledger(host, shard, LedgerRequest::Report(report)).await;
        let now = host.clock().now();
        if let Ok(LedgerReply::Counted(updates)) = &reply {
            let settled = self.with_reports(shard, |reports| reports.confirm(sequence, updates.cursor));
            self.in_flight.acknowledge(settled.unwrap_or_default());
            self.apply_updates(updates, now);
            lock(&self.heard).insert(shard, now);
            lock(&self.report_trouble).remove(&shard);
            return Ok(());
        }
        let message = match reply {
            Err(error) => error.to_string(),
            Ok(_) => "the ledger sent something else than what was asked for".to_owned(),
        };
        lock(&self.report_trouble).entry(shard).or_insert((now, String::new())).1 = message;
        let rest = self.with_reports(shard, |reports| reports.failed(sequence, now));
        Err(rest.unwrap_or_default())
    }

    /// Asks the ledger, and waits for at most 5 s.
    pub(crate) async fn ask_ledger<H: Host>(
        &self,
        host: &H,
        shard: Shard,
        request: LedgerRequest,
    ) -> Result<LedgerReply, LedgerError> {
        let reply = host.clock().within(LEDGER_TIMEOUT, pin!(host.ledger().ask(shard, request))).await;
        let late = || LedgerError(format!("no answer within {} s", LEDGER_TIMEOUT.as_secs()));
        reply.unwrap_or_else(|| Err(late()))
    }

    /// Takes in what other isolates or processes told: pools that they changed are checked at their next
    /// use, and what they learnt of keys is heeded from now on.
    fn apply_updates(&self, updates: &LedgerUpdates, now: Timestamp) {
        if !updates.moved.is_empty() {
            let mut snapshots = lock(&self.pools.snapshots);
            for pool in &updates.moved {
                snapshots.doubt(pool, now);
            }
        }
        self.apply(&updates.learnt, now);
    }

    /// A number that nobody else gives: the writer's own, counted on.
    pub(crate) fn new_serial(&self) -> String {
        format!("{} {}", self.writer.as_str(), self.last_serial.fetch_add(1, Ordering::Relaxed))
    }

    /// Whether everything counted was confirmed by the ledger.
    pub fn is_flushed(&self) -> bool {
        lock(&self.reports).values().all(ReportBuffer::is_empty)
    }

    /// What this isolate or process gave up reporting, or the process before could not report.
    pub fn lost(&self) -> Counted {
        lock(&self.reports).values().map(ReportBuffer::given_up).sum()
    }

    /// What the ledger has not confirmed yet.
    pub fn waiting(&self) -> Counted {
        lock(&self.reports).values().map(ReportBuffer::waiting).sum()
    }

    /// The same, pool by pool.
    pub(crate) fn pending(&self) -> BTreeMap<PoolId, Counted> {
        let mut pools: BTreeMap<PoolId, Counted> = BTreeMap::new();
        for reports in lock(&self.reports).values() {
            for (pool, counted) in reports.pending() {
                *pools.entry(pool.clone()).or_default() += counted;
            }
        }
        pools
    }

    /// Every ledger.
    pub(crate) const fn ledger_shards(&self) -> Shards {
        self.ledger_shards
    }

    /// Notes an attempt.
    pub(crate) fn count(&self, attempt: &AttemptCount) {
        if cfg!(feature = "uncounted") {
            return;
        }
        self.with_reports(self.ledger_shards.of(&attempt.pool), |reports| reports.add(attempt));
    }

    /// Counts a client's request.
    pub(crate) fn count_request(&self, request: Request) {
        if cfg!(feature = "uncounted") {
            return;
        }
        self.with_reports(self.ledger_shards.of(&request.pool), |reports| reports.add_request(request));
    }

    /// Notes what went wrong with an attempt.
    pub(crate) fn note(&self, event: Event) {
        self.with_reports(self.ledger_shards.of(&event.pool), |reports| reports.add_event(event));
    }

    /// Notes what others who serve a pool are to know.
    pub(crate) fn learn(&self, pool: &PoolId, record: ObservationRecord) {
        self.with_reports(self.ledger_shards.of(pool), |reports| reports.add_learnt(record));
    }

    /// Notes that a pool was changed: it is read anew here before its next use, and others are told.
    pub(crate) fn pool_changed(&self, pool: &PoolId) {
        self.pools.forget(pool);
        self.with_reports(self.ledger_shards.of(pool), |reports| reports.add_moved(pool.clone()));
    }

    /// Works on the reports of a shard. Every shard has its own.
    fn with_reports<T>(&self, shard: Shard, work: impl FnOnce(&mut ReportBuffer) -> T) -> Option<T> {
        lock(&self.reports).get_mut(&shard).map(work)
    }

    /// Since when a ledger has taken no report, and what it says.
    pub(crate) fn report_trouble(&self) -> Option<(Timestamp, String)> {
        lock(&self.report_trouble).values().min().cloned()
    }
}
