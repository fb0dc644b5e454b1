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
const FLUSH_TIMEOUT: Duration = Duration::from_secs(20);
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
    last_update: Mutex<BTreeMap<Shard, Timestamp>>,
    /// Since when each ledger has accepted no report, and why.
    report_error: Mutex<BTreeMap<Shard, (Timestamp, String)>>,
    writer: WriterId,
    last_serial: AtomicU64,
}

impl Reporter {
    /// Builds a reporter with empty buffers.
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
            last_update: Mutex::default(),
            report_error: Mutex::default(),
            writer,
            last_serial: AtomicU64::new(0),
        }
    }

    /// Sends buffered reports until none is left. The first client sends for all; a failing ledger is
    /// retried for 20 s.
    pub async fn flush<H: Host>(&self, host: &H) {
        self.flush_for(host, FLUSH_TIMEOUT).await;
    }

    /// Sends buffered reports, without retrying a failing ledger.
    pub(crate) async fn flush_once<H: Host>(&self, host: &H) {
        self.flush_for(host, Duration::ZERO).await;
    }

    async fn flush_for<H: Host>(&self, host: &H, timeout: Duration) {
        self.publish(host.clock().now());
        join_all(self.ledger_shards.all().map(|shard| self.flush_shard(host, shard, timeout))).await;
    }

    /// Sends one report per shard even if nothing is buffered, to fetch the observations of others.
    pub(crate) async fn exchange<H: Host>(&self, host: &H) {
        for shard in self.ledger_shards.all() {
            let report = self.with_reports(shard, |reports| reports.take_anyway(host.clock().now()));
            if let Some(report) = report {
                // A failure shows with the next report.
                let _ = self.send_report(host, shard, report).await;
            }
        }
    }

    /// Fetches other instances' observations of a pool, unless that was done recently. An instance
    /// that rejects every request makes no attempts and sends no reports, so it would never learn
    /// that its keys have recovered.
    pub(crate) async fn fetch_observations<H: Host>(&self, host: &H, pool: &PoolId) {
        let (now, shard) = (host.clock().now(), self.ledger_shards.of(pool));
        let last = lock(&self.last_update).insert(shard, now);
        if let Some(last) = last.filter(|last| now.duration_since(*last).unsigned_abs() < OBSERVATIONS_TTL) {
            lock(&self.last_update).insert(shard, last);
            return;
        }
        let report = self.with_reports(shard, |reports| reports.take_anyway(now));
        if let Some(report) = report {
            // Without a reply from the ledger, the request is rejected by what is known here.
            let _ = host.clock().within(FETCH_TIMEOUT, pin!(self.send_report(host, shard, report))).await;
        }
    }

    /// Follows a change of the clock, so that ages stay the same.
    pub(crate) fn shift(&self, by: SignedDuration) {
        lock(&self.reports).values_mut().for_each(|reports| reports.shift(by));
        lock(&self.last_update).clear();
    }

    async fn flush_shard<H: Host>(&self, host: &H, shard: Shard, timeout: Duration) {
        let started = host.clock().now();
        while let Some(report) =
            self.with_reports(shard, |reports| reports.take(host.clock().now())).flatten()
        {
            let Err(backoff) = self.send_report(host, shard, report).await else { continue };
            let spent = host.clock().now().duration_since(started).unsigned_abs();
            if spent + backoff > timeout {
                return;
            }
            host.clock().sleep(backoff).await;
        }
    }

    /// Sends one report. An error is the backoff before the next try.
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
            let acknowledged = self.with_reports(shard, |reports| reports.confirm(sequence, updates.cursor));
            self.in_flight.acknowledge(acknowledged.unwrap_or_default());
            self.apply_updates(updates, now);
            lock(&self.last_update).insert(shard, now);
            lock(&self.report_error).remove(&shard);
            return Ok(());
        }
        let message = match reply {
            Err(error) => error.to_string(),
            Ok(_) => "unexpected reply of the ledger".to_owned(),
        };
        lock(&self.report_error).entry(shard).or_insert((now, String::new())).1 = message;
        let backoff = self.with_reports(shard, |reports| reports.failed(sequence, now));
        Err(backoff.unwrap_or_default())
    }

    /// Sends a request to the ledger, with a timeout of 5 s.
    pub(crate) async fn ask_ledger<H: Host>(
        &self,
        host: &H,
        shard: Shard,
        request: LedgerRequest,
    ) -> Result<LedgerReply, LedgerError> {
        let reply = host.clock().within(LEDGER_TIMEOUT, pin!(host.ledger().ask(shard, request))).await;
        let late = || LedgerError(format!("no response within {} s", LEDGER_TIMEOUT.as_secs()));
        reply.unwrap_or_else(|| Err(late()))
    }

    /// Applies the updates of other instances: marks changed pools as stale, and merges
    /// observations.
    fn apply_updates(&self, updates: &LedgerUpdates, now: Timestamp) {
        if !updates.moved.is_empty() {
            let mut snapshots = lock(&self.pools.snapshots);
            for pool in &updates.moved {
                snapshots.mark_stale(pool, now);
            }
        }
        self.apply(&updates.learnt, now);
    }

    /// Returns a unique serial: the writer's id with a counter.
    pub(crate) fn new_serial(&self) -> String {
        format!("{} {}", self.writer.as_str(), self.last_serial.fetch_add(1, Ordering::Relaxed))
    }

    /// Returns `true` if the ledger has acknowledged everything.
    pub fn is_flushed(&self) -> bool {
        lock(&self.reports).values().all(ReportBuffer::is_empty)
    }

    /// Returns what this instance gave up reporting, and what the previous process could not
    /// report.
    pub fn lost(&self) -> Counted {
        lock(&self.reports).values().map(ReportBuffer::given_up).sum()
    }

    /// Returns what the ledger has not acknowledged.
    pub fn waiting(&self) -> Counted {
        lock(&self.reports).values().map(ReportBuffer::waiting).sum()
    }

    /// Returns the same by pool.
    pub(crate) fn pending(&self) -> BTreeMap<PoolId, Counted> {
        let mut pools: BTreeMap<PoolId, Counted> = BTreeMap::new();
        for reports in lock(&self.reports).values() {
            for (pool, counted) in reports.pending() {
                *pools.entry(pool.clone()).or_default() += counted;
            }
        }
        pools
    }

    /// Returns the shards of the ledger.
    pub(crate) const fn ledger_shards(&self) -> Shards {
        self.ledger_shards
    }

    /// Counts an attempt.
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

    /// Adds an event.
    pub(crate) fn note(&self, event: Event) {
        self.with_reports(self.ledger_shards.of(&event.pool), |reports| reports.add_event(event));
    }

    /// Adds an observation to share with other instances.
    pub(crate) fn learn(&self, pool: &PoolId, record: ObservationRecord) {
        self.with_reports(self.ledger_shards.of(pool), |reports| reports.add_observation(record));
    }

    /// Marks a pool as changed: its next use here reads it again, and other instances are notified.
    pub(crate) fn pool_changed(&self, pool: &PoolId) {
        self.pools.forget(pool);
        self.with_reports(self.ledger_shards.of(pool), |reports| reports.add_moved(pool.clone()));
    }

    /// Runs `work` on the buffer of a shard.
    fn with_reports<T>(&self, shard: Shard, work: impl FnOnce(&mut ReportBuffer) -> T) -> Option<T> {
        lock(&self.reports).get_mut(&shard).map(work)
    }

    /// Returns since when a shard has accepted no report, with its error.
    pub(crate) fn report_error(&self) -> Option<(Timestamp, String)> {
        lock(&self.report_error).values().min().cloned()
    }
}
