//! The ledger on SQLite in memory: exactness, rows written, retention, reset, what is passed on.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use pool_shared::{
    AttemptOutcome, ClientKeyId, Event, KeyId, PoolId, Rates, RequestOutcome, RequestRates, StatsStep,
    StatsWindow,
};
use serde_json::value::RawValue;

use super::{LedgerDatabase, LedgerSql};
use crate::host::native::Sqlite;
use crate::ledger::{
    AttemptCount, Counted, LedgerReply, LedgerRequest, LedgerUpdates, Level, ObservationRecord, Opaque,
    PoolActivity, Report, ReportBuffer, Request, WriterId,
};
use crate::sql::{Outcome, SqlError, Statement};

mod model;
mod rows;
mod told;

/// What the database does with the next writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Fault {
    #[default]
    None,
    /// They fail.
    Before,
    /// They go through, and then the answer is lost.
    After,
}

/// SQLite in memory that fails when told.
#[derive(Clone)]
struct FaultySql {
    sqlite: Sqlite,
    fault: Rc<Cell<Fault>>,
    /// The statements that it was asked to run.
    asked: Rc<Cell<usize>>,
}

impl LedgerSql for FaultySql {
    fn run(&self, statements: Vec<Statement>) -> Result<Vec<Outcome>, SqlError> {
        let failed = || Err(SqlError("the fake database fails".to_owned()));
        self.asked.set(self.asked.get() + statements.len());
        match self.fault.get() {
            Fault::None => self.sqlite.run(statements),
            Fault::Before => failed(),
            Fault::After => {
                self.sqlite.run(statements)?;
                failed()
            }
        }
    }
}

/// A ledger, its clock, and its database, which outlives it.
struct World {
    sql: FaultySql,
    ledger: LedgerDatabase<FaultySql>,
    now: Timestamp,
}

impl World {
    fn new() -> Self {
        let sqlite = Sqlite::open(Path::new(":memory:")).unwrap();
        let sql = FaultySql { sqlite, fault: Rc::default(), asked: Rc::default() };
        let ledger = LedgerDatabase::open(sql.clone()).unwrap();
        Self { sql, ledger, now: at("2026-11-23T12:00:00Z") }
    }

    /// Another instance on the same database, as after a crash.
    fn restart(&mut self) {
        self.ledger = LedgerDatabase::open(self.sql.clone()).unwrap();
    }

    fn ask(&mut self, request: &LedgerRequest) -> LedgerReply {
        self.ledger.handle(request, self.now).unwrap()
    }

    fn report(&mut self, report: impl Into<Arc<Report>>) -> LedgerUpdates {
        match self.ask(&LedgerRequest::Report(report.into())) {
            LedgerReply::Counted(updates) => updates,
            other => panic!("{other:?}"),
        }
    }

    /// Sends everything in a buffer.
    fn send(&mut self, buffer: &mut ReportBuffer) -> LedgerUpdates {
        let mut updates = LedgerUpdates::default();
        while let Some(report) = buffer.take(self.now) {
            let sequence = report.sequence;
            updates = self.report(report);
            buffer.confirm(sequence, updates.cursor);
        }
        updates
    }

    fn activity(&mut self, name: &str, window: Option<StatsWindow>) -> PoolActivity {
        match self.ask(&LedgerRequest::Pool { pool: pool(name), window }) {
            LedgerReply::Pool(activity) => activity,
            other => panic!("{other:?}"),
        }
    }

    /// Both kinds of counts. Every attempt of these tests but those of a test of its own goes with a request.
    fn counted(&mut self, name: &str) -> Counted {
        let total = self.activity(name, None).total;
        Counted { attempts: total.counters().attempts, requests: total.request_stats().total }
    }

    /// As [`Self::counted`], where both are the same.
    fn both(&mut self, name: &str) -> u64 {
        let counted = self.counted(name);
        assert_eq!(counted.attempts, counted.requests);
        counted.attempts
    }

    /// What was counted in the last so many hours, seen by a step.
    fn recent(&mut self, name: &str, step: StatsStep, hours: u64) -> Counted {
        let since = self.now - Duration::from_hours(hours);
        let window = StatsWindow { since, until: self.now + Duration::from_hours(25), step };
        let activity = self.activity(name, Some(window));
        let of_point = |point: &crate::ledger::Summary| Counted {
            attempts: point.counters().attempts,
            requests: point.request_stats().total,
        };
        let series = activity.series.values().map(of_point).sum();
        assert_eq!(series, of_point(&activity.total));
        series
    }

    fn lost(&mut self) -> Counted {
        match self.ask(&LedgerRequest::Pools) {
            LedgerReply::Pools { lost, .. } => lost,
            other => panic!("{other:?}"),
        }
    }

    fn events(&mut self, after: Option<u64>, limit: usize) -> (Vec<String>, u64) {
        match self.ask(&LedgerRequest::Events { pool: None, after, limit }) {
            LedgerReply::Events { events, last } => {
                (events.into_iter().map(|(_, event)| event.message).collect(), last)
            }
            other => panic!("{other:?}"),
        }
    }

    /// SQLite's own count of rows inserted, changed and deleted.
    fn rows_written(&self) -> u64 {
        let query = Statement::new("SELECT json_quote(total_changes()) AS row", []);
        self.sql.sqlite.run(vec![query]).unwrap().remove(0).read().unwrap()[0]
    }

    /// Rolls up the log, whether or not it is due.
    fn roll_up(&mut self) {
        self.ledger.reset(Some(&pool("nobody")), self.now).unwrap();
    }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn pool(name: &str) -> PoolId {
    PoolId::new(name)
}

fn buffer(writer: u64) -> ReportBuffer {
    ReportBuffer::new(WriterId::from_random(writer))
}

fn attempt(name: &str, key: &str, began: Timestamp) -> AttemptCount {
    AttemptCount {
        pool: pool(name),
        key: KeyId::new(key),
        model: "gemini-3.8-flash".to_owned(),
        outcome: AttemptOutcome::Ok,
        began,
        took: Some((Duration::from_millis(200), Duration::from_secs(2))),
        prompt_tokens: 10,
        completion_tokens: 5,
        cached_tokens: 2,
        thought_tokens: 1,
    }
}

fn request(name: &str, client_key: &str, began: Timestamp) -> Request {
    Request {
        pool: pool(name),
        client_key: Some(ClientKeyId::new(client_key)),
        model: "gemini-3.8-flash".to_owned(),
        outcome: RequestOutcome::Ok,
        began,
        took: Duration::from_secs(3),
        attempts: 1,
    }
}

/// An attempt, and the request that it was made for.
fn add(buffer: &mut ReportBuffer, name: &str, key: &str, began: Timestamp) {
    buffer.add(&attempt(name, key, began));
    buffer.add_request(request(name, &format!("ck-{key}"), began));
}

fn both(count: u64) -> Counted {
    Counted { attempts: count, requests: count }
}

fn event(message: &str) -> Event {
    Event {
        at: at("2026-11-23T12:00:00Z"),
        pool: pool("a"),
        key: KeyId::new("k"),
        model: "m".to_owned(),
        verdict: AttemptOutcome::Key,
        message: message.to_owned(),
        count: 1,
        quota: None,
        unknown_text: false,
        client_key: None,
    }
}

fn learnt(id: &str, until: Timestamp) -> ObservationRecord {
    let body = Opaque(RawValue::from_string(format!(r#"{{"about":"{id}"}}"#)).unwrap());
    ObservationRecord { id: id.to_owned(), until, body }
}

#[test]
fn a_rollup_changes_no_response() {
    let mut world = World::new();
    let mut buffer = buffer(1);
    for round in 0..3 {
        for key in 0..2_500 {
            buffer.add(&attempt("a", &format!("key-{key}"), world.now));
            let refused = AttemptCount { outcome: AttemptOutcome::Quota, ..attempt("a", "key-1", world.now) };
            buffer.add(&refused);
            let client_key = format!("ck-{}", key % 500);
            buffer.add_request(Request { attempts: 2, ..request("a", &client_key, world.now) });
            let outcome = RequestOutcome::ServerError;
            buffer.add_request(Request { outcome, attempts: 0, ..request("a", "ck-1", world.now) });
        }
        world.send(&mut buffer);
        let window = |step| Some(StatsWindow { since: at("2026-11-22T00:00:00Z"), until: world.now, step });
        let windows = [None, window(StatsStep::Minute), window(StatsStep::Hour), window(StatsStep::Day)];
        let before = windows.map(|window| world.activity("a", window));
        world.roll_up();
        assert_eq!(windows.map(|window| world.activity("a", window)), before);
        world.restart();
        assert_eq!(windows.map(|window| world.activity("a", window)), before);
        assert_eq!(world.both("a"), (round + 1) * 5_000);
        assert_eq!((before[0].keys.len(), before[0].client_keys.len()), (2_500, 500));
        world.now += Duration::from_secs(70);
    }
    let parts = Statement::new("SELECT json_quote(max(length(body))) AS row FROM ledger_pages", []);
    let longest: Vec<u64> = world.sql.sqlite.run(vec![parts]).unwrap()[0].read().unwrap();
    assert!(longest[0] < 1_000_000, "{longest:?}: a row may have 2 MB");
}

#[test]
fn latencies_and_rates_are_shown() {
    let mut world = World::new();
    let mut buffer = buffer(1);
    let minute = Duration::from_mins(1);
    for ago in [Duration::ZERO, minute, minute, 2 * minute, Duration::from_hours(5)] {
        add(&mut buffer, "a", "k", world.now - ago);
    }
    // Only what succeeded is timed.
    let refused = RequestOutcome::QuotaExhausted;
    buffer.add_request(Request { outcome: refused, attempts: 0, ..request("a", "ck-k", world.now) });
    world.send(&mut buffer);
    let activity = world.activity("a", None);
    let shown = activity.total.activity();
    // 12:00 UTC is 4 o'clock in California: five hours earlier was yesterday.
    let rates = Rates { rpm: 2, rpm_now: 1, tpm: 20, tpm_now: 10, rpd: 4, tpd: 40 };
    assert_eq!(shown.rates, rates);
    assert_eq!(activity.keys[&KeyId::new("k")].activity().rates, rates);
    let (first, total) = (shown.latency.first_byte.unwrap(), shown.latency.total.unwrap());
    assert_eq!((first.count, total.count), (5, 5));
    assert!((first.p50_ms - 200.0).abs() <= 10.0 && (total.p99_ms - 2_000.0).abs() <= 100.0);
    assert_eq!(activity.total.last_used(), Some(world.now));
    let requests = activity.total.request_stats();
    let outcomes = BTreeMap::from([(RequestOutcome::Ok, 5), (refused, 1)]);
    assert_eq!((requests.total, requests.succeeded, requests.failed), (6, 5, 1));
    assert_eq!((requests.outcomes.clone(), requests.attempts), (outcomes, BTreeMap::from([(0, 1), (1, 5)])));
    assert_eq!(requests.rates, RequestRates { rpm: 2, rpm_now: 2, rpd: 5 });
    let took = requests.latency.unwrap();
    assert!(took.count == 5 && (took.p50_ms - 3_000.0).abs() <= 150.0, "{took:?}");
    let of_client_key = activity.client_keys[&ClientKeyId::new("ck-k")].stats();
    assert_eq!((of_client_key.outcomes, of_client_key.rates), (requests.outcomes, requests.rates));
    assert_eq!(of_client_key.latency, None, "beyond minutes it is kept for all together");
    assert_eq!(activity.models["gemini-3.8-flash"].request_stats().total, 6);
    let window = StatsWindow { since: world.now - 3 * minute, until: world.now, step: StatsStep::Minute };
    let recent = world.activity("a", Some(window));
    assert_eq!(recent.keys[&KeyId::new("k")].activity().latency.total.unwrap().count, 3);
    assert_eq!(recent.client_keys[&ClientKeyId::new("ck-k")].stats().latency.unwrap().count, 3);
}

#[test]
fn days_turn_in_california_on_both_changes_of_the_clock() {
    for (midnights, hours) in [
        (["2026-03-07T08:00:00Z", "2026-03-08T08:00:00Z", "2026-03-09T07:00:00Z"], [24, 23]),
        (["2026-10-31T07:00:00Z", "2026-11-01T07:00:00Z", "2026-11-02T08:00:00Z"], [24, 25]),
    ] {
        let midnights = midnights.map(at);
        let mut world = World::new();
        world.now = midnights[2];
        let mut buffer = buffer(1);
        for hour in 0..47 + u64::from(hours[1] == 25) * 2 {
            add(&mut buffer, "a", "k", midnights[0] + Duration::from_hours(hour));
        }
        world.send(&mut buffer);
        let window = StatsWindow { since: midnights[0], until: midnights[2], step: StatsStep::Day };
        for _ in 0..2 {
            let series = world.activity("a", Some(window)).series;
            let of_point = |(start, point): (&i64, &crate::ledger::Summary)| {
                assert_eq!(point.request_stats().total, point.counters().attempts);
                (*start, point.counters().attempts)
            };
            let seen: Vec<_> = series.iter().map(of_point).collect();
            let expected = [(midnights[0].as_second(), hours[0]), (midnights[1].as_second(), hours[1])];
            assert_eq!(seen, expected);
            world.roll_up();
        }
    }
}

#[test]
fn counts_are_kept_as_long_as_promised_and_deleted_after() {
    let mut world = World::new();
    let mut early = buffer(1);
    // Enough of them for rows of its own; those that pools share expire as all rows do.
    for key in 0..17 {
        add(&mut early, "a", &format!("k{key}"), world.now);
    }
    world.send(&mut early);
    let steps = [StatsStep::Minute, StatsStep::Hour, StatsStep::Day];
    let began = world.now;
    let mut pages_at = |hours: u64| {
        world.now = began + Duration::from_hours(hours);
        let mut later = buffer(2 + hours);
        add(&mut later, "b", "k", world.now);
        world.send(&mut later);
        world.roll_up();
        let query = "SELECT json_quote(level) AS row FROM ledger_pages WHERE pool = 'a' ORDER BY level";
        let levels: Vec<u64> =
            world.sql.sqlite.run(vec![Statement::new(query, [])]).unwrap()[0].read().unwrap();
        assert_eq!(world.both("a"), 17);
        (levels, steps.map(|step| world.recent("a", step, hours + 25)))
    };
    let [total, minute, hour, day] = Level::ALL.map(Level::number);
    assert_eq!(pages_at(26), (vec![total, minute, hour, day], [both(17), both(17), both(17)]));
    assert_eq!(pages_at(28), (vec![total, hour, day], [both(0), both(17), both(17)]));
    assert_eq!(pages_at(35 * 24), (vec![total, hour, day], [both(0), both(17), both(17)]));
    assert_eq!(pages_at(37 * 24), (vec![total, day], [both(0), both(0), both(17)]));
    assert_eq!(pages_at(400 * 24), (vec![total, day], [both(0), both(0), both(17)]));
    assert_eq!(pages_at(433 * 24), (vec![total], [both(0), both(0), both(0)]));
}

#[test]
fn a_reset_forgets_counts_and_nothing_else() {
    let mut world = World::new();
    let (mut one, mut two) = (buffer(1), buffer(2));
    for name in ["a", "b"] {
        add(&mut one, name, "k", world.now);
    }
    one.add_learnt(learnt("key k", world.now + Duration::from_hours(1)));
    one.add_moved(pool("a"));
    one.add_event(event("refused"));
    let report = one.take(world.now).unwrap();
    world.report(Report { lost: 3, lost_requests: 2, ..Report::clone(&report) });
    let lost = Counted { attempts: 3, requests: 2 };

    world.ask(&LedgerRequest::Reset { pool: Some(pool("a")) });
    assert_eq!((world.both("a"), world.both("b"), world.lost()), (0, 1, lost));
    world.report(report.clone());
    assert_eq!((world.both("a"), world.both("b")), (0, 1), "what was applied stays applied");
    world.restart();
    assert_eq!((world.both("a"), world.both("b"), world.lost()), (0, 1, lost));
    add(&mut two, "a", "k", world.now);
    let updates = world.send(&mut two);
    assert_eq!((updates.learnt.len(), updates.moved, world.both("a")), (1, vec![pool("a")], 1));

    world.ask(&LedgerRequest::Reset { pool: None });
    assert_eq!((world.both("a"), world.both("b"), world.lost()), (0, 0, Counted::default()));
    world.report(report);
    assert_eq!(world.both("b"), 0);
    assert_eq!(world.events(None, 10).0, ["refused"]);
}

#[test]
fn two_instances_on_one_database_count_nothing_twice() {
    let mut world = World::new();
    let mut other = LedgerDatabase::open(world.sql.clone()).unwrap();
    let mut expected = 0;
    for round in 0..20 {
        let mut buffer = buffer(round);
        add(&mut buffer, "a", "k", world.now);
        let request = LedgerRequest::Report(buffer.take(world.now).unwrap());
        expected += 1;
        let ledger = if round % 2 == 0 { &mut world.ledger } else { &mut other };
        if ledger.handle(&request, world.now).is_err() {
            // The other one has written meanwhile: sent again, it is counted, and once.
            ledger.handle(&request, world.now).unwrap();
        }
        // A rollup seems due to both; the instance with the stale state must not do it.
        if round % 5 == 4 {
            let rolled_up =
                [&mut world.ledger, &mut other].map(|ledger| ledger.reset(None, world.now).is_ok());
            assert_ne!(rolled_up, [false, false]);
            expected = 0;
        }
    }
    world.restart();
    assert_eq!(world.both("a"), expected);
}

#[test]
fn pools_add_up() {
    let mut world = World::new();
    let mut buffer = buffer(1);
    for (name, count) in [("a", 3), ("b", 2)] {
        for _ in 0..count {
            add(&mut buffer, name, "k", world.now);
        }
    }
    world.send(&mut buffer);
    for _ in 0..2 {
        let LedgerReply::Pools { pools, .. } = world.ask(&LedgerRequest::Pools) else { panic!() };
        let seen: BTreeMap<_, _> = pools
            .into_iter()
            .map(|(pool, summary)| {
                let requests = summary.request_stats();
                assert_eq!(requests.total, requests.rates.rpm_now);
                assert_eq!(requests.total, summary.counters().attempts);
                (pool, (requests.total, summary.activity().rates.rpm_now))
            })
            .collect();
        assert_eq!(seen, BTreeMap::from([(pool("a"), (3, 3)), (pool("b"), (2, 2))]));
        world.roll_up();
    }
}

#[test]
fn pages_of_a_version_that_counted_only_attempts_are_read_as_no_requests_and_take_new_ones() {
    let mut world = World::new();
    let mut buffer = buffer(1);
    for key in 0..20 {
        buffer.add(&attempt("large", &format!("k{key}"), world.now));
    }
    buffer.add(&attempt("small", "k", world.now));
    world.send(&mut buffer);
    world.roll_up();
    // As that version wrote them: the list of attempts, and nothing around it.
    let own = "UPDATE ledger_pages SET body = body -> '$.a' WHERE pool <> ''";
    let shared = "UPDATE ledger_pages SET body = (SELECT json_group_object(key, json(value -> '$.a'))
        FROM json_each(body)) WHERE pool = ''";
    world.sql.sqlite.run([own, shared].map(|sql| Statement::new(sql, [])).into()).unwrap();
    world.restart();
    let counted = |attempts, requests| Counted { attempts, requests };
    assert_eq!((world.counted("large"), world.counted("small")), (counted(20, 0), counted(1, 0)));
    for name in ["large", "small"] {
        add(&mut buffer, name, "k1", world.now);
    }
    world.send(&mut buffer);
    for _ in 0..2 {
        assert_eq!((world.counted("large"), world.counted("small")), (counted(21, 1), counted(2, 1)));
        assert_eq!(world.recent("small", StatsStep::Hour, 1), counted(2, 1));
        world.roll_up();
    }
}
