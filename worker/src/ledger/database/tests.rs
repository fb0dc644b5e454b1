//! The ledger on SQLite in memory: exactness, rows written, retention, reset, shared observations.

use std::cell::Cell;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use pool_shared::{
    AttemptOutcome, ClientKeyId, Event, KeyId, PoolId, RequestOutcome, StatsStep, StatsWindow,
};
use serde_json::value::RawValue;

use super::{LedgerDatabase, LedgerSql};
use crate::host::native::Sqlite;
use crate::ledger::{
    AttemptCount, Counted, LedgerReply, LedgerRequest, LedgerUpdates, ObservationRecord, Opaque,
    PoolActivity, Report, ReportBuffer, Request, WriterId,
};
use crate::sql::{Outcome, SqlError, Statement};

mod model;
mod rows;
mod sharing;
mod statistics;

/// The fault of the next writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Fault {
    #[default]
    None,
    /// They fail.
    Before,
    /// They succeed, and the reply is lost.
    After,
}

/// SQLite in memory that fails on demand.
#[derive(Clone)]
struct FaultySql {
    sqlite: Sqlite,
    fault: Rc<Cell<Fault>>,
    /// The number of statements run.
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

/// A ledger, its clock, and its database, which survives it.
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

    /// Returns both kinds of counts. With one exception, every attempt of these tests belongs to a
    /// request.
    fn counted(&mut self, name: &str) -> Counted {
        let total = self.activity(name, None).total;
        Counted { attempts: total.counters().attempts, requests: total.request_stats().total }
    }

    /// As [`Self::counted`], if both are equal.
    fn both(&mut self, name: &str) -> u64 {
        let counted = self.counted(name);
        assert_eq!(counted.attempts, counted.requests);
        counted.attempts
    }

    /// Returns what was counted in the last hours, by a step.
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

/// Counts an attempt and its request.
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
fn a_reset_forgets_counts_and_nothing_else() {
    let mut world = World::new();
    let (mut one, mut two) = (buffer(1), buffer(2));
    for name in ["a", "b"] {
        add(&mut one, name, "k", world.now);
    }
    one.add_observation(learnt("key k", world.now + Duration::from_hours(1)));
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
            // The other instance has written meanwhile: a retry is counted, and once.
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
fn pages_of_a_version_that_counted_only_attempts_are_read_as_no_requests_and_take_new_ones() {
    let mut world = World::new();
    let mut buffer = buffer(1);
    for key in 0..20 {
        buffer.add(&attempt("large", &format!("k{key}"), world.now));
    }
    buffer.add(&attempt("small", "k", world.now));
    world.send(&mut buffer);
    world.roll_up();
    // As that version stored it: the list of attempts alone.
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
