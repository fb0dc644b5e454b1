//! Statistics of the ledger: counts, latencies and rates, through rollups and until they expire.

use std::collections::BTreeMap;

use pool_shared::{Rates, RequestRates};

use super::*;
use crate::ledger::Level;

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
    // Only successes are timed.
    let refused = RequestOutcome::QuotaExhausted;
    buffer.add_request(Request { outcome: refused, attempts: 0, ..request("a", "ck-k", world.now) });
    world.send(&mut buffer);
    let activity = world.activity("a", None);
    let shown = activity.total.activity();
    // 12:00 UTC is 4 o'clock Pacific Time: five hours earlier was yesterday.
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
    // Enough of them for rows of their own; shared rows expire as all rows do.
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
