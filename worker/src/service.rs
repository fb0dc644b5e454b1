//! The service: what all requests of an isolate or a process share, and the door they come in by.
//!
//! A host builds one [`Service`] and hands it every request together with itself. Shared state is
//! locked in synchronous sections only: on Workers a lock held across an `await` by one request is
//! fatal to another.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use http::Method;
use jiff::Timestamp;
use pool_shared::{Event, PoolId, Secret};

use crate::admin::{AdminError, ChangeRates};
use crate::crypto::{MasterKey, MasterKeyError, OpenError, SealedUnder, UnderMasterKey, Vault};
use crate::gateway::{
    CredentialMemory, EgressMemory, FamilyMemory, Guesses, HintMemory, ModelCache, ModelPages, RepairMemory,
    SignatureMemory, SnapshotCache, Suspicions, UpstreamTimeouts,
};
use crate::host::{AdminHost, Clock, Host, IncomingBody, IncomingRequest, Random};
use crate::ledger::{
    Attempt, Counted, LearntRecord, Ledger, LedgerError, LedgerReply, LedgerRequest, News, Owed, Report,
    ReportBuffer, Request, Shard, Shards, WriterId,
};
use crate::limits::Bodies;
use crate::log::Log;
use crate::pool::{Runtimes, SameKeys};
use crate::probes::{Probe, Readiness};
use crate::reply::Reply;
use crate::store::{ConfigStore, PoolReader, StoreError};
use crate::{admin, gateway, ui};

/// The shortest `ADMIN_PASSWORD` that is accepted.
pub const MIN_PASSWORD_LENGTH: usize = 15;

/// How long a sender goes on when the ledger fails, before it leaves the reports to the next one. With
/// a last question that is not answered it stays below the 30 s that a Worker has after its answer.
const KEEP_SENDING_FOR: Duration = Duration::from_secs(20);
/// How long the ledger may take to answer.
const LEDGER_TIMEOUT: Duration = Duration::from_secs(5);

/// What others learnt is asked for before a request is refused when it was last heard longer ago than this. With the
/// second that a report waits it stays below the 30 s within which a change holds everywhere.
const NEWS_TTL: Duration = Duration::from_secs(20);
/// How long a request that is about to be refused waits for it.
const HEAR_TIMEOUT: Duration = Duration::from_secs(2);

/// The deployment lacks something. Every request is answered 503 with this text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SetupError {
    /// A secret is not set.
    #[error("the secret {0} is not set")]
    MissingSecret(&'static str),
    /// A binding is missing.
    #[error("no binding {0}")]
    MissingBinding(&'static str),
    /// A master key is not one.
    #[error("{0} {1}")]
    MasterKey(&'static str, MasterKeyError),
    /// What the store keeps encrypted does not decrypt.
    #[error(
        "MASTER_KEY is not the key that this store was encrypted with: set that key as MASTER_KEY, or as \
         MASTER_KEY_PREV to rotate from it"
    )]
    OtherMasterKey(#[from] OpenError),
    /// The password could be guessed.
    #[error("ADMIN_PASSWORD has fewer than {MIN_PASSWORD_LENGTH} characters")]
    WeakPassword,
    /// The password could be guessed at once.
    #[error("ADMIN_PASSWORD is one character, repeated")]
    RepeatedPassword,
    /// Another setting cannot be used.
    #[error("{0}")]
    Setting(String),
}

/// What the operator set.
#[derive(Debug)]
pub struct Settings {
    master_key: MasterKey,
    previous_master_key: Option<MasterKey>,
    admin_password: Secret,
    ledger_shards: Shards,
    owed: Owed,
    log: Log,
    timeouts: UpstreamTimeouts,
}

impl Settings {
    /// Checks the two secrets of a deployment.
    pub fn new(master_key: Option<&str>, admin_password: Option<&str>) -> Result<Self, SetupError> {
        let master_key = master_key.ok_or(SetupError::MissingSecret("MASTER_KEY"))?;
        let admin_password = admin_password.ok_or(SetupError::MissingSecret("ADMIN_PASSWORD"))?;
        // A file or a shell may have left a line's end, which nobody types.
        let admin_password = admin_password.trim();
        if admin_password.chars().count() < MIN_PASSWORD_LENGTH {
            return Err(SetupError::WeakPassword);
        }
        let first = admin_password.chars().next();
        if admin_password.chars().all(|other| Some(other) == first) {
            return Err(SetupError::RepeatedPassword);
        }
        Ok(Self {
            master_key: parse_master_key("MASTER_KEY", master_key)?,
            previous_master_key: None,
            admin_password: Secret::new(admin_password),
            ledger_shards: Shards::ONE,
            owed: Owed::default(),
            log: Log::off(),
            timeouts: UpstreamTimeouts::default(),
        })
    }

    /// The master key before this one, while not everything is sealed under the new one.
    pub fn with_previous_master_key(self, key: Option<&str>) -> Result<Self, SetupError> {
        let key = key.filter(|key| !key.trim().is_empty());
        let previous_master_key = key.map(|key| parse_master_key("MASTER_KEY_PREV", key)).transpose()?;
        Ok(Self { previous_master_key, ..self })
    }

    /// How many ledgers share the counting; `None` for one.
    pub fn with_ledger_shards(self, shards: Option<&str>) -> Result<Self, SetupError> {
        let Some(text) = shards else { return Ok(self) };
        let problem = || format!("LEDGER_SHARDS is not a number from 1 to {}", Shards::MOST);
        let ledger_shards = Shards::parse(text).ok_or_else(|| SetupError::Setting(problem()))?;
        Ok(Self { ledger_shards, ..self })
    }

    /// What the ledger is owed from before, and who is told of it from now on.
    #[must_use]
    pub fn with_owed(self, owed: Owed) -> Self {
        Self { owed, ..self }
    }

    /// Where a line about each request goes.
    #[must_use]
    pub fn with_log(self, log: Log) -> Self {
        Self { log, ..self }
    }

    /// How long Gemini may take.
    #[must_use]
    pub fn with_upstream_timeouts(self, timeouts: UpstreamTimeouts) -> Self {
        Self { timeouts, ..self }
    }
}

fn parse_master_key(name: &'static str, text: &str) -> Result<MasterKey, SetupError> {
    MasterKey::parse(text).map_err(|error| SetupError::MasterKey(name, error))
}

/// Why the keys of the hashes are not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettleError {
    /// The store did not tell.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// They do not open.
    #[error(transparent)]
    Setup(SetupError),
}

fn other_master_key(error: OpenError) -> SettleError {
    SettleError::Setup(SetupError::OtherMasterKey(error))
}

/// What all requests share.
pub struct Service {
    pub(crate) vault: Vault,
    pub(crate) admin_password: Secret,
    pub(crate) snapshots: Mutex<SnapshotCache>,
    pub(crate) models: Mutex<ModelCache>,
    pub(crate) guesses: Mutex<Guesses>,
    pub(crate) repairs: Mutex<RepairMemory>,
    pub(crate) families: Mutex<FamilyMemory>,
    pub(crate) model_pages: Mutex<ModelPages>,
    pub(crate) credentials: Mutex<CredentialMemory>,
    pub(crate) signatures: Mutex<SignatureMemory>,
    pub(crate) runtimes: Mutex<Runtimes>,
    pub(crate) egress: EgressMemory,
    pub(crate) bodies: Bodies,
    pub(crate) suspicions: Mutex<Suspicions>,
    pub(crate) same_keys: Mutex<SameKeys>,
    pub(crate) change_rates: Mutex<ChangeRates>,
    pub(crate) log: Log,
    pub(crate) timeouts: UpstreamTimeouts,
    pub(crate) hints: Mutex<HintMemory>,
    /// The attempts and requests that the ledger has not confirmed, those included that are in flight.
    pub(crate) owed: Owed,
    pub(crate) readiness: Readiness,
    ledger_shards: Shards,
    reports: Mutex<BTreeMap<Shard, ReportBuffer>>,
    /// When each ledger last told what others learnt, or was asked for it.
    heard: Mutex<BTreeMap<Shard, Timestamp>>,
    /// Since when each ledger takes no reports, and why.
    report_trouble: Mutex<BTreeMap<Shard, (Timestamp, String)>>,
    writer: WriterId,
    last_serial: AtomicU64,
}

/// What is left to do after an answer has been given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FollowUp {
    /// A pool whose snapshot is past its soft age.
    pub refresh: Option<PoolId>,
    /// A pool whose list of models is no longer fresh.
    pub refresh_models: Option<PoolId>,
}

impl Service {
    /// A service with nothing cached.
    #[must_use]
    pub fn new(settings: Settings, random: &impl Random) -> Self {
        let writer = WriterId::from_random(random.next_u64());
        let buffer = |shard| (shard, ReportBuffer::new(writer.clone()));
        let mut reports: BTreeMap<_, _> = settings.ledger_shards.all().map(buffer).collect();
        if let Some(reports) = reports.values_mut().next() {
            reports.add_lost(settings.owed.number());
        }
        Self {
            vault: Vault::new(&settings.master_key, settings.previous_master_key.as_ref()),
            admin_password: settings.admin_password,
            snapshots: Mutex::default(),
            models: Mutex::default(),
            guesses: Mutex::default(),
            repairs: Mutex::default(),
            families: Mutex::default(),
            model_pages: Mutex::default(),
            credentials: Mutex::default(),
            signatures: Mutex::default(),
            egress: EgressMemory::default(),
            bodies: Bodies::default(),
            suspicions: Mutex::default(),
            same_keys: Mutex::default(),
            change_rates: Mutex::default(),
            log: settings.log,
            timeouts: settings.timeouts,
            hints: Mutex::default(),
            owed: settings.owed,
            readiness: Readiness::default(),
            runtimes: Mutex::default(),
            ledger_shards: settings.ledger_shards,
            reports: Mutex::new(reports),
            heard: Mutex::default(),
            report_trouble: Mutex::default(),
            writer,
            last_serial: AtomicU64::new(0),
        }
    }

    /// Answers a request of either plane.
    pub async fn handle<H, B>(self: &Arc<Self>, host: &H, request: IncomingRequest<B>) -> Reply<H>
    where
        H: AdminHost + Clone,
        B: IncomingBody,
    {
        if Self::is_page(&request.method, &request.path) {
            let held = request.headers.get("if-none-match").and_then(|held| held.to_str().ok());
            self.page(host, &request.method, &request.path, held)
        } else if let Some(probe) = Probe::at(&request.path) {
            self.probe(host, probe, &request.method).await
        } else if admin::is_admin_path(&request.path) {
            // On the heap, so that every other request's future is not as large as this one.
            Box::pin(self.administer(host, request)).await
        } else {
            self.proxy(host, request).await
        }
    }

    /// Whether a request is for the browser page.
    #[must_use]
    pub fn is_page(method: &Method, path: &str) -> bool {
        ui::is_page(method, path)
    }

    /// Answers a request for the browser page, of which the browser may hold a copy with the tag `held`. No store is asked.
    pub fn page<H: Host>(&self, host: &H, method: &Method, path: &str, held: Option<&str>) -> Reply<H> {
        let request_id = new_request_id(host.random());
        let log = self.log.begin("page", &request_id, host.clock().now());
        log.route(method.as_str(), "/admin/{file}");
        let reply = ui::answer(method, path, held, &request_id);
        log.answered(reply.status.as_u16(), host.clock().now());
        reply.header("x-request-id", &request_id)
    }

    /// Answers a request of the admin API.
    pub async fn administer<H, B>(self: &Arc<Self>, host: &H, request: IncomingRequest<B>) -> Reply<H>
    where
        H: AdminHost,
        B: IncomingBody,
    {
        let request_id = new_request_id(host.random());
        admin::handle(self, host, request, &request_id).await.header("x-request-id", &request_id)
    }

    /// Answers a request of the data plane.
    pub async fn proxy<H, B>(self: &Arc<Self>, host: &H, request: IncomingRequest<B>) -> Reply<H>
    where
        H: Host + Clone,
        B: IncomingBody,
    {
        let request_id = new_request_id(host.random());
        gateway::handle(self, host, request, &request_id).await.header("x-request-id", &request_id)
    }

    /// A request of the admin API was done on another machine: what it changed is forgotten here too.
    pub fn administered_elsewhere(&self, path: &str) {
        let mut snapshots = lock(&self.snapshots);
        snapshots.forget_unknown();
        if let Some(pool) = admin::pool_in(path) {
            snapshots.forget_called(&pool);
        }
    }

    /// Asks the store for the keys of the hashes, unless that was done. True: they are others than those
    /// that were used until now, so what was hashed before has to be hashed again.
    pub(crate) async fn settle<H: Host>(&self, host: &H) -> Result<bool, SettleError> {
        if self.vault.is_settled() {
            return Ok(false);
        }
        match host.store().hash_keys().await? {
            Some(stored) => self.vault.settle(&stored).map_err(other_master_key),
            None => Ok(false),
        }
    }

    /// The same for a host that may write: a store that keeps no keys of the hashes yet gets those of the master key
    /// that it was encrypted with. Fails when that is neither of those that are set.
    pub async fn verify<H: AdminHost>(&self, host: &H) -> Result<(), SettleError> {
        if self.vault.is_settled() {
            return Ok(());
        }
        let store = host.store();
        let stored = if let Some(stored) = store.hash_keys().await? {
            stored
        } else {
            let of = self.master_key_of_data(store).await?;
            let new = self.vault.seal_hash_keys(of, host.random());
            store.put_hash_keys(None, &new).await?;
            // Another instance may have been faster.
            store.hash_keys().await?.unwrap_or(new)
        };
        self.vault.settle(&stored).map(drop).map_err(other_master_key)
    }

    /// Which master key the pools' data keys are encrypted with: the one in use where there are none.
    async fn master_key_of_data(&self, store: &impl ConfigStore) -> Result<SealedUnder, SettleError> {
        const PAGE: u32 = 500;
        let (mut after, mut any, mut under_previous) = (None, false, false);
        loop {
            let pools = store.data_keys(after.as_ref(), PAGE).await?;
            for (pool, sealed) in &pools {
                any = true;
                match self.vault.sealed_under(UnderMasterKey::DataKey(pool), sealed) {
                    Ok(SealedUnder::Current) => return Ok(SealedUnder::Current),
                    Ok(SealedUnder::Previous) => under_previous = true,
                    Err(OpenError) => {}
                }
            }
            if pools.len() < PAGE as usize {
                break;
            }
            after = pools.into_iter().last().map(|(pool, _)| pool);
        }
        match (any, under_previous) {
            (_, true) => Ok(SealedUnder::Previous),
            (false, false) => Ok(SealedUnder::Current),
            (true, false) => Err(other_master_key(OpenError)),
        }
    }

    /// Does what an answer left to do, and reports what was counted. On Workers this runs in the
    /// request's `waitUntil`; natively the reports go out by a task of their own.
    pub async fn follow_up<H: Host>(self: &Arc<Self>, host: &H, follow_up: FollowUp) {
        if let Some(pool) = follow_up.refresh {
            gateway::refresh(self, host, &pool).await;
        }
        if let Some(pool) = follow_up.refresh_models {
            gateway::refresh_models(self, host, &pool).await;
        }
    }

    /// Sends what was counted to the ledger, until nothing is left. Whoever comes first sends for all.
    /// A ledger that fails is asked again for a while.
    pub async fn flush<H: Host>(&self, host: &H) {
        self.flush_for(host, KEEP_SENDING_FOR).await;
    }

    /// Sends what was counted to the ledger, as far as it answers.
    pub(crate) async fn flush_once<H: Host>(&self, host: &H) {
        self.flush_for(host, Duration::ZERO).await;
    }

    async fn flush_for<H: Host>(&self, host: &H, keep_sending_for: Duration) {
        gateway::tell(self, host.clock().now());
        join_all(self.ledger_shards.all().map(|shard| self.flush_shard(host, shard, keep_sending_for))).await;
    }

    /// What has to be done now and then, whether requests come or not: hears what others learnt, and tries
    /// keys again that Gemini refused. On Workers a cron trigger calls it, natively a task.
    pub async fn tend<H: Host>(self: &Arc<Self>, host: &H) {
        for shard in self.ledger_shards.all() {
            let report = self.with_reports(shard, |reports| reports.take_anyway(host.clock().now()));
            if let Some(report) = report {
                // What went wrong shows at the next report.
                let _ = self.send_report(host, shard, report).await;
            }
        }
        gateway::recheck(self, host).await;
        self.flush_once(host).await;
    }

    /// Hears what others have learnt of a pool, unless that was done in the last seconds: an instance that refuses
    /// every request makes no attempts, sends no reports, and would never hear that its keys have recovered.
    pub(crate) async fn hear_of<H: Host>(&self, host: &H, pool: &PoolId) {
        let (now, shard) = (host.clock().now(), self.ledger_shards.of(pool));
        let last = lock(&self.heard).insert(shard, now);
        if let Some(last) = last.filter(|last| now.duration_since(*last).unsigned_abs() < NEWS_TTL) {
            lock(&self.heard).insert(shard, last);
            return;
        }
        let report = self.with_reports(shard, |reports| reports.take_anyway(now));
        if let Some(report) = report {
            // A ledger that does not answer changes nothing: the request is refused by what is known here.
            let _ = host.clock().within(HEAR_TIMEOUT, pin!(self.send_report(host, shard, report))).await;
        }
    }

    /// Follows the machine's clock where it was set: whatever lasts for a while goes on lasting as long as it would have.
    pub async fn keep_time<H: AdminHost>(&self, host: &H) {
        let moved = {
            // Nobody looks at the time and at the state of keys between the two.
            let mut runtimes = lock(&self.runtimes);
            let Some(by) = host.clock().correct() else { return };
            runtimes.shift(by, host.clock().now());
            by
        };
        lock(&self.snapshots).shift(moved);
        lock(&self.guesses).shift(moved);
        lock(&self.reports).values_mut().for_each(|reports| reports.shift(moved));
        lock(&self.heard).clear();
        // Delays of logins stand in the store; where it fails now, they end early or late by that much.
        let _ = host.store().shift_logins(moved).await;
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
        if let Ok(LedgerReply::Counted(news)) = &reply {
            let settled = self.with_reports(shard, |reports| reports.confirm(sequence, news.cursor));
            self.owed.settle(settled.unwrap_or_default());
            self.absorb(news, now);
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
    fn absorb(&self, news: &News, now: Timestamp) {
        if !news.moved.is_empty() {
            let mut snapshots = lock(&self.snapshots);
            for pool in &news.moved {
                snapshots.doubt(pool, now);
            }
        }
        gateway::hear(self, &news.learnt, now);
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
    pub(crate) fn count(&self, attempt: &Attempt) {
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

    /// Whether a name is that of a model that Gemini has or that a pool's settings name, as far as is known here. Clients
    /// can think up any number of others.
    pub(crate) fn knows_model(&self, pool: &PoolId, model: &str) -> bool {
        // One lock at a time.
        let was_heard_of =
            lock(&self.runtimes).get_mut(pool).is_some_and(|runtime| runtime.knows_model(model));
        let is_listed = was_heard_of || lock(&self.models).lists(pool, model);
        let snapshot = if is_listed { None } else { lock(&self.snapshots).get(pool) };
        is_listed || snapshot.is_some_and(|pool| pool.names_model(model))
    }

    /// Notes what went wrong with an attempt.
    pub(crate) fn note(&self, event: Event) {
        self.with_reports(self.ledger_shards.of(&event.pool), |reports| reports.add_event(event));
    }

    /// Notes what others who serve a pool are to know.
    pub(crate) fn learn(&self, pool: &PoolId, record: LearntRecord) {
        self.with_reports(self.ledger_shards.of(pool), |reports| reports.add_learnt(record));
    }

    /// Notes that a pool was changed: it is read anew here before its next use, and others are told.
    pub(crate) fn pool_changed(&self, pool: &PoolId) {
        self.forget_pool(pool);
        self.with_reports(self.ledger_shards.of(pool), |reports| reports.add_moved(pool.clone()));
    }

    /// Works on the reports of a shard. Every shard has its own.
    fn with_reports<T>(&self, shard: Shard, work: impl FnOnce(&mut ReportBuffer) -> T) -> Option<T> {
        lock(&self.reports).get_mut(&shard).map(work)
    }

    /// Makes this isolate or process read a pool anew before its next use.
    pub(crate) fn forget_pool(&self, pool: &PoolId) {
        lock(&self.snapshots).forget(pool);
    }

    /// Since when a ledger has taken no report, and what it says.
    pub(crate) fn report_trouble(&self) -> Option<(Timestamp, String)> {
        lock(&self.report_trouble).values().min().cloned()
    }

    /// When the config store was last found not to answer, and what it said.
    pub(crate) fn store_trouble(&self) -> Option<(Timestamp, String)> {
        lock(&self.snapshots).trouble()
    }
}

/// The answer to every request of a deployment that lacks a binding or a secret.
#[must_use]
pub fn not_set_up<H: Host>(path: &str, error: SetupError, random: &impl Random) -> Reply<H> {
    let request_id = new_request_id(random);
    let reply = if admin::is_admin_path(path) {
        admin::refused(error.into(), &request_id)
    } else {
        gateway::not_set_up(path, &error)
    };
    reply.header("x-request-id", &request_id)
}

pub(crate) fn new_request_id(random: &impl Random) -> String {
    format!("req_{:016x}", random.next_u64())
}

/// The answer to a request of the admin API that a host could not even begin with.
#[must_use]
pub fn refused<H: Host>(error: AdminError, random: &impl Random) -> Reply<H> {
    let request_id = new_request_id(random);
    admin::refused(error, &request_id).header("x-request-id", &request_id)
}

/// Locks isolate-wide state. A panic while it was held cannot have left it half changed in a way that
/// matters: everything in it is a cache or a count.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_deployment_lacks_is_named() {
        let key = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
        let password = "correct horse battery";
        for (master_key, admin_password, expected) in [
            (None, Some(password), "the secret MASTER_KEY is not set"),
            (Some(key), None, "the secret ADMIN_PASSWORD is not set"),
            (Some(key), Some("short"), "ADMIN_PASSWORD has fewer than 15 characters"),
            (Some(key), Some("aaaaaaaaaaaaaaaaaaaa"), "ADMIN_PASSWORD is one character, repeated"),
            (Some(key), Some("éééééééééééééééééééé"), "ADMIN_PASSWORD is one character, repeated"),
            (
                Some("short"),
                Some(password),
                "MASTER_KEY is not base64: make one with `openssl rand -base64 32`",
            ),
        ] {
            assert_eq!(Settings::new(master_key, admin_password).unwrap_err().to_string(), expected);
        }
        let settings = || Settings::new(Some(key), Some(password)).unwrap();
        assert!(settings().with_previous_master_key(Some("")).unwrap().previous_master_key.is_none());
        let error = settings().with_previous_master_key(Some("c2hvcnQ=")).unwrap_err().to_string();
        assert!(error.starts_with("MASTER_KEY_PREV holds 5 bytes"), "{error}");
    }
}
