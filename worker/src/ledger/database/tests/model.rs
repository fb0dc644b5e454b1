//! Model-based test: any mixture of attempts, requests, late, repeated, reordered and lost reports,
//! failing writes, rollups and crashes. The ledger holds what was applied, exactly once.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

const POOLS: [&str; 2] = ["a", "b"];
const WRITERS: usize = 2;
const REQUEST_OUTCOMES: [RequestOutcome; 4] = [
    RequestOutcome::Ok,
    RequestOutcome::ServerError,
    RequestOutcome::Truncated,
    RequestOutcome::ClientDisconnected,
];

#[derive(Clone, Debug)]
enum Step {
    /// A writer counts an attempt that began some minutes ago.
    Count { writer: usize, pool: usize, key: u8, outcome: u8, minutes_ago: u64 },
    /// A writer counts a request that arrived some minutes ago.
    Request {
        writer: usize,
        pool: usize,
        client_key: Option<u8>,
        outcome: u8,
        attempts: u32,
        minutes_ago: u64,
    },
    /// A writer sends its report.
    Send { writer: usize },
    /// A report arrives, perhaps repeatedly.
    Arrive { which: prop::sample::Index, fault: Fault, reply_arrives: bool },
    /// A writer crashes with its buffer, and a new one starts.
    KillWriter { writer: usize },
    /// The ledger crashes and restarts.
    KillLedger,
    /// The maintenance alarm fires.
    Maintain { fault: Fault },
    /// The log is rolled up, whether or not it is due.
    Rollup,
    /// Time passes.
    Wait { seconds: u64 },
    /// The counts are compared.
    Look,
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![4 => Just(Fault::None), 1 => Just(Fault::Before), 1 => Just(Fault::After)]
}

fn step() -> impl Strategy<Value = Step> {
    let writer = || 0..WRITERS;
    prop_oneof![
        6 => (writer(), 0..POOLS.len(), 0_u8..3, 0_u8..3, 0_u64..600).prop_map(
            |(writer, pool, key, outcome, minutes_ago)| Step::Count { writer, pool, key, outcome, minutes_ago }
        ),
        6 => (writer(), 0..POOLS.len(), prop::option::of(0_u8..3), 0_u8..4, 0_u32..12, 0_u64..600).prop_map(
            |(writer, pool, client_key, outcome, attempts, minutes_ago)| {
                Step::Request { writer, pool, client_key, outcome, attempts, minutes_ago }
            }
        ),
        4 => writer().prop_map(|writer| Step::Send { writer }),
        6 => (any::<prop::sample::Index>(), fault(), any::<bool>()).prop_map(
            |(which, fault, reply_arrives)| Step::Arrive { which, fault, reply_arrives }
        ),
        1 => writer().prop_map(|writer| Step::KillWriter { writer }),
        1 => Just(Step::KillLedger),
        1 => fault().prop_map(|fault| Step::Maintain { fault }),
        1 => Just(Step::Rollup),
        2 => (0_u64..12).prop_map(|seconds| Step::Wait { seconds }),
        1 => Just(Step::Look),
    ]
}

/// The expected content of the ledger.
#[derive(Default)]
struct Truth {
    applied: BTreeSet<(WriterId, u64)>,
    attempts: BTreeMap<(PoolId, KeyId, AttemptOutcome), u64>,
    /// By client key, if its id is known, and by outcome.
    requests: BTreeMap<(PoolId, Option<ClientKeyId>, RequestOutcome), u64>,
    /// By number of attempts.
    by_attempts: BTreeMap<(PoolId, u32), u64>,
    lost: Counted,
}

impl Truth {
    fn apply(&mut self, report: &Report) {
        if !self.applied.insert((report.writer.clone(), report.sequence)) {
            return;
        }
        self.lost += report.lost();
        for (pool, counters) in &report.counts {
            for (id, row) in &counters.attempts {
                let account = (pool.clone(), id.key.clone().unwrap(), id.outcome);
                *self.attempts.entry(account).or_default() += row.attempts;
            }
            for (id, row) in &counters.requests {
                let account = (pool.clone(), id.client_key.clone(), id.outcome);
                *self.requests.entry(account).or_default() += row.requests();
                for (attempts, requests) in &row.by_attempts {
                    *self.by_attempts.entry((pool.clone(), *attempts)).or_default() += requests;
                }
            }
        }
    }

    fn total(&self) -> Counted {
        Counted { attempts: self.attempts.values().sum(), requests: self.requests.values().sum() }
    }
}

struct Model {
    world: World,
    truth: Truth,
    buffers: Vec<ReportBuffer>,
    next_writer: u64,
    /// The counts of running writers.
    counted: Vec<Counted>,
    on_the_way: Vec<Arc<Report>>,
}

impl Model {
    fn new() -> Self {
        Self {
            world: World::new(),
            truth: Truth::default(),
            buffers: (0..WRITERS as u64).map(buffer).collect(),
            next_writer: WRITERS as u64,
            counted: vec![Counted::default(); WRITERS],
            on_the_way: Vec::new(),
        }
    }

    fn step(&mut self, step: &Step) {
        let now = self.world.now;
        match *step {
            Step::Count { writer, pool, key, outcome, minutes_ago } => {
                let outcome = [AttemptOutcome::Ok, AttemptOutcome::Quota, AttemptOutcome::ClientLeft]
                    [usize::from(outcome)];
                let began = now - Duration::from_mins(minutes_ago);
                let attempt =
                    AttemptCount { outcome, ..super::attempt(POOLS[pool], &format!("key-{key}"), began) };
                self.buffers[writer].add(&attempt);
                self.counted[writer].attempts += 1;
            }
            Step::Request { writer, pool, client_key, outcome, attempts, minutes_ago } => {
                let began = now - Duration::from_mins(minutes_ago);
                self.buffers[writer].add_request(Request {
                    client_key: client_key.map(|key| ClientKeyId::new(format!("ck-{key}"))),
                    outcome: REQUEST_OUTCOMES[usize::from(outcome)],
                    attempts,
                    ..super::request(POOLS[pool], "", began)
                });
                self.counted[writer].requests += 1;
            }
            Step::Send { writer } => self.on_the_way.extend(self.buffers[writer].take(now)),
            Step::Arrive { which, fault, reply_arrives } => self.arrive(which, fault, reply_arrives),
            Step::KillWriter { writer } => {
                self.buffers[writer] = buffer(self.next_writer);
                self.next_writer += 1;
                self.counted[writer] = Counted::default();
            }
            Step::KillLedger => self.world.restart(),
            Step::Maintain { fault } => {
                self.world.sql.fault.set(fault);
                let _ = self.world.ledger.maintain(now);
                self.world.sql.fault.set(Fault::None);
            }
            Step::Rollup => self.world.roll_up(),
            Step::Wait { seconds } => self.world.now += Duration::from_secs(seconds),
            Step::Look => self.look(),
        }
    }

    fn arrive(&mut self, which: prop::sample::Index, fault: Fault, reply_arrives: bool) {
        if self.on_the_way.is_empty() {
            return;
        }
        // It stays in transit: it may arrive again.
        let report = which.get(&self.on_the_way).clone();
        // A restarted ledger reads first, and only the write fails.
        self.world.ask(&LedgerRequest::Load);
        self.world.sql.fault.set(fault);
        let reply = self.world.ledger.handle(&LedgerRequest::Report(report.clone()), self.world.now);
        self.world.sql.fault.set(Fault::None);
        if reply.is_ok() || fault == Fault::After {
            self.truth.apply(&report);
        }
        let mut buffers = self.buffers.iter_mut();
        let Some(writer) = buffers.find(|buffer| buffer.writer() == &report.writer) else { return };
        match reply {
            Ok(LedgerReply::Counted(updates)) if reply_arrives => {
                writer.confirm(report.sequence, updates.cursor);
            }
            _ => drop(writer.failed(report.sequence, self.world.now)),
        }
    }

    /// Compares every query with the model.
    fn look(&mut self) {
        self.look_at_attempts();
        self.look_at_requests();
        assert_eq!(self.world.lost(), self.truth.lost);
    }

    fn look_at_requests(&mut self) {
        for name in POOLS {
            let mut expected: BTreeMap<(ClientKeyId, RequestOutcome), u64> = BTreeMap::new();
            let mut outcomes: BTreeMap<RequestOutcome, u64> = BTreeMap::new();
            for ((_, client_key, outcome), count) in
                self.truth.requests.iter().filter(|((of, ..), _)| *of == pool(name))
            {
                *outcomes.entry(*outcome).or_default() += count;
                if let Some(client_key) = client_key {
                    expected.insert((client_key.clone(), *outcome), *count);
                }
            }
            let activity = self.world.activity(name, None);
            let mut seen = BTreeMap::new();
            for (client_key, summary) in &activity.client_keys {
                for (outcome, count) in summary.stats().outcomes {
                    seen.insert((client_key.clone(), outcome), count);
                }
            }
            assert_eq!(seen, expected);
            let stats = activity.total.request_stats();
            let by_attempts = self.truth.by_attempts.iter().filter(|((of, _), _)| *of == pool(name));
            let by_attempts = by_attempts.map(|((_, attempts), count)| (*attempts, *count)).collect();
            assert_eq!((&stats.outcomes, stats.attempts), (&outcomes, by_attempts));
            assert_eq!(stats.latency.map_or(0, |latency| latency.count), stats.succeeded, "timed once");
            let of = |outcome| outcomes.get(&outcome).copied().unwrap_or_default();
            assert_eq!(stats.succeeded, of(RequestOutcome::Ok));
            assert_eq!(stats.failed, of(RequestOutcome::ServerError) + of(RequestOutcome::Truncated));
            let by_model: u64 = activity.models.values().map(|model| model.request_stats().total).sum();
            assert_eq!(by_model, stats.total);
            for (step, hours) in [(StatsStep::Minute, 20), (StatsStep::Hour, 40), (StatsStep::Day, 72)] {
                assert_eq!(self.world.recent(name, step, hours).requests, stats.total, "{step:?}");
            }
        }
    }

    fn look_at_attempts(&mut self) {
        let mut seen = BTreeMap::new();
        for name in POOLS {
            let activity = self.world.activity(name, None);
            for (key, summary) in &activity.keys {
                for row in summary.by_outcome() {
                    seen.insert((pool(name), key.clone(), row.outcome), row.counters.attempts);
                }
            }
            let total = activity.total.counters();
            assert_eq!(total.prompt_tokens, total.attempts * 10);
            let delivered = activity.total.activity().latency.total.map_or(0, |latency| latency.count);
            assert_eq!(delivered, total.successes, "each delivered attempt is timed once");
            for (step, hours) in [(StatsStep::Minute, 20), (StatsStep::Hour, 40), (StatsStep::Day, 72)] {
                assert_eq!(self.world.recent(name, step, hours).attempts, total.attempts, "{step:?}");
            }
        }
        assert_eq!(seen, self.truth.attempts);
    }

    /// Drains all buffers, and compares what writers counted with what is shown.
    fn drain_and_check(mut self) {
        let dead = self.truth.total();
        for writer in 0..WRITERS {
            let mut rounds = 0;
            while !self.buffers[writer].is_empty() {
                self.world.now += Duration::from_secs(5);
                while let Some(report) = self.buffers[writer].take(self.world.now) {
                    let sequence = report.sequence;
                    let updates = self.world.report(report.clone());
                    self.truth.apply(&report);
                    self.buffers[writer].confirm(sequence, updates.cursor);
                }
                rounds += 1;
                assert!(rounds < 10, "a buffer never empties");
            }
        }
        self.look();
        let alive: Counted = self.counted.iter().copied().sum();
        let (shown, lost) = (self.truth.total(), self.truth.lost);
        // Reports that were given up may have been applied: lost is an upper bound.
        for (alive, shown, lost, dead) in [
            (alive.attempts, shown.attempts, lost.attempts, dead.attempts),
            (alive.requests, shown.requests, lost.requests, dead.requests),
        ] {
            assert!(alive <= shown + lost, "{alive} counted, {shown} shown");
            assert!(dead <= shown);
        }
        let given_up: Counted = self.buffers.iter().map(ReportBuffer::given_up).sum();
        if given_up.is_zero() && self.next_writer == WRITERS as u64 {
            assert_eq!((shown, lost), (alive, Counted::default()), "nothing is lost without a reason");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn the_ledger_holds_what_was_applied_and_holds_it_once(
        steps in proptest::collection::vec(step(), 1..120)
    ) {
        let mut model = Model::new();
        for step in &steps {
            model.step(step);
        }
        model.drain_and_check();
    }
}
