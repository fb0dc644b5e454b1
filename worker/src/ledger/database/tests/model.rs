//! Any mixture of attempts, reports that come late, twice, in another order or never, writes that fail
//! before or after, folds, crashes: the ledger holds what was applied, once.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

const POOLS: [&str; 2] = ["a", "b"];
const WRITERS: usize = 2;

#[derive(Clone, Debug)]
enum Step {
    /// A writer counts an attempt that began so many minutes ago.
    Count { writer: usize, pool: usize, key: u8, outcome: u8, minutes_ago: u64 },
    /// A writer's report goes on its way.
    Send { writer: usize },
    /// A report arrives, perhaps not for the first time.
    Arrive { which: prop::sample::Index, fault: Fault, reply_arrives: bool },
    /// A writer dies with what it holds, and another takes its place.
    KillWriter { writer: usize },
    /// The ledger dies and comes back.
    KillLedger,
    /// The alarm rings.
    Maintain { fault: Fault },
    /// The log is folded whether or not it is paid for.
    Fold,
    /// Time passes.
    Wait { seconds: u64 },
    /// Somebody looks.
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
        4 => writer().prop_map(|writer| Step::Send { writer }),
        6 => (any::<prop::sample::Index>(), fault(), any::<bool>()).prop_map(
            |(which, fault, reply_arrives)| Step::Arrive { which, fault, reply_arrives }
        ),
        1 => writer().prop_map(|writer| Step::KillWriter { writer }),
        1 => Just(Step::KillLedger),
        1 => fault().prop_map(|fault| Step::Maintain { fault }),
        1 => Just(Step::Fold),
        2 => (0_u64..12).prop_map(|seconds| Step::Wait { seconds }),
        1 => Just(Step::Look),
    ]
}

/// What the ledger must hold.
#[derive(Default)]
struct Truth {
    applied: BTreeSet<(WriterId, u64)>,
    requests: BTreeMap<(PoolId, KeyId, AttemptOutcome), u64>,
    lost: u64,
}

impl Truth {
    fn apply(&mut self, report: &Report) {
        if !self.applied.insert((report.writer.clone(), report.sequence)) {
            return;
        }
        self.lost += report.lost;
        for (pool, cells) in &report.counts {
            for (id, tally) in cells.iter() {
                let account = (pool.clone(), id.key.clone().unwrap(), id.outcome);
                *self.requests.entry(account).or_default() += tally.requests;
            }
        }
    }

    fn total(&self) -> u64 {
        self.requests.values().sum()
    }
}

struct Model {
    world: World,
    truth: Truth,
    buffers: Vec<ReportBuffer>,
    next_writer: u64,
    /// Attempts that writers counted which still live.
    counted: Vec<u64>,
    on_the_way: Vec<Arc<Report>>,
}

impl Model {
    fn new() -> Self {
        Self {
            world: World::new(),
            truth: Truth::default(),
            buffers: (0..WRITERS as u64).map(buffer).collect(),
            next_writer: WRITERS as u64,
            counted: vec![0; WRITERS],
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
                    Attempt { outcome, ..super::attempt(POOLS[pool], &format!("key-{key}"), began) };
                self.buffers[writer].add(&attempt);
                self.counted[writer] += 1;
            }
            Step::Send { writer } => self.on_the_way.extend(self.buffers[writer].take(now)),
            Step::Arrive { which, fault, reply_arrives } => self.arrive(which, fault, reply_arrives),
            Step::KillWriter { writer } => {
                self.buffers[writer] = buffer(self.next_writer);
                self.next_writer += 1;
                self.counted[writer] = 0;
            }
            Step::KillLedger => self.world.restart(),
            Step::Maintain { fault } => {
                self.world.sql.fault.set(fault);
                let _ = self.world.ledger.maintain(now);
                self.world.sql.fault.set(Fault::None);
            }
            Step::Fold => self.world.fold(),
            Step::Wait { seconds } => self.world.now += Duration::from_secs(seconds),
            Step::Look => self.look(),
        }
    }

    fn arrive(&mut self, which: prop::sample::Index, fault: Fault, reply_arrives: bool) {
        if self.on_the_way.is_empty() {
            return;
        }
        // It stays on the way: it may arrive again.
        let report = which.get(&self.on_the_way).clone();
        // A ledger that starts anew reads first, and only the write fails.
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
            Ok(LedgerReply::Counted(news)) if reply_arrives => {
                writer.confirm(report.sequence, news.cursor);
            }
            _ => drop(writer.failed(report.sequence, self.world.now)),
        }
    }

    /// Every way to look shows the truth.
    fn look(&mut self) {
        let mut seen = BTreeMap::new();
        for name in POOLS {
            let activity = self.world.activity(name, None);
            for (key, summary) in &activity.keys {
                for row in summary.by_outcome() {
                    seen.insert((pool(name), key.clone(), row.outcome), row.counters.requests);
                }
            }
            let total = activity.total.counters();
            assert_eq!(total.prompt_tokens, total.requests * 10);
            let delivered = activity.total.activity().latency.total.map_or(0, |latency| latency.count);
            assert_eq!(delivered, total.successes, "each delivered attempt is timed once");
            for (step, hours) in [(StatsStep::Minute, 20), (StatsStep::Hour, 40), (StatsStep::Day, 72)] {
                assert_eq!(self.world.recent(name, step, hours), total.requests, "{step:?}");
            }
        }
        assert_eq!(seen, self.truth.requests);
        assert_eq!(self.world.lost(), self.truth.lost);
    }

    /// Lets everything that lives come to its end, and compares what writers counted with what is shown.
    fn settle(mut self) {
        let dead = self.truth.total();
        for writer in 0..WRITERS {
            let mut rounds = 0;
            while !self.buffers[writer].is_empty() {
                self.world.now += Duration::from_secs(5);
                while let Some(report) = self.buffers[writer].take(self.world.now) {
                    let sequence = report.sequence;
                    let news = self.world.report(report.clone());
                    self.truth.apply(&report);
                    self.buffers[writer].confirm(sequence, news.cursor);
                }
                rounds += 1;
                assert!(rounds < 10, "a buffer never empties");
            }
        }
        self.look();
        let alive: u64 = self.counted.iter().sum();
        let shown = self.truth.total();
        // What was given up may have been applied all the same: lost is an upper bound.
        assert!(alive <= shown + self.truth.lost, "{alive} attempts, {shown} shown");
        assert!(dead <= shown);
        let given_up: u64 = self.buffers.iter().map(ReportBuffer::given_up).sum();
        if given_up == 0 && self.next_writer == WRITERS as u64 {
            assert_eq!((shown, self.truth.lost), (alive, 0), "nothing is lost without a reason");
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
        model.settle();
    }
}
