//! The cost of reports, by SQLite's own count of written rows.

use super::*;

/// Sends `reports`, one per interval, each made by `fill`, and returns the rows written per report.
fn rows_per_report(reports: u64, every: Duration, fill: impl Fn(u64, Timestamp, &mut [ReportBuffer])) -> f64 {
    let mut world = World::new();
    let before = world.rows_written();
    let mut buffers: Vec<_> = (0..3).map(buffer).collect();
    let mut sent = 0;
    while sent < reports {
        world.now += every;
        fill(sent, world.now, &mut buffers);
        for buffer in &mut buffers {
            while let Some(report) = buffer.take(world.now) {
                let sequence = report.sequence;
                buffer.confirm(sequence, world.report(report).cursor);
                sent += 1;
            }
        }
        world.ledger.maintain(world.now).unwrap();
    }
    let written = world.rows_written() - before;
    let LedgerReply::Load(load) = world.ask(&LedgerRequest::Load) else { panic!() };
    assert_eq!((load.reports, load.rows_written), (sent, written), "as SQLite counts them");
    let (_, lines, bytes) = world.ledger.live_log().unwrap().log();
    assert!(
        lines < sent / 2 && bytes < 1024 * 1024,
        "the log is rolled up: {lines} of {sent} lines, {bytes}"
    );
    #[allow(clippy::cast_precision_loss, reason = "some thousands")]
    let rows = written as f64 / sent as f64;
    rows
}

#[test]
fn a_report_costs_at_most_two_rows_over_a_long_run() {
    let second = Duration::from_secs(1);
    let busy = rows_per_report(2_000, second, |n, now, buffers| {
        for (index, buffer) in buffers.iter_mut().enumerate() {
            for request in 0..10 {
                add(buffer, "a", &format!("key-{}", (n + request) % 50), now);
            }
            add(buffer, &format!("pool-{index}"), "key", now);
            buffer.add_observation(learnt("limit", now + second));
            buffer.add_event(event("spent"));
        }
    });
    let quiet = rows_per_report(1_000, 600 * second, |n, now, buffers| {
        let writer = usize::try_from(n % 3).unwrap();
        add(&mut buffers[writer], &format!("pool-{}", n % 5), "key", now);
    });
    let many_keys = rows_per_report(150, second, |n, now, buffers| {
        for request in 0..100 {
            add(&mut buffers[0], "a", &format!("key-{}", (n * 100 + request) % 10_000), now);
        }
    });
    let many_pools = rows_per_report(2_000, 12 * second, |n, now, buffers| {
        add(&mut buffers[0], &format!("pool-{}", n % 1_000), "key", now);
    });
    let figures = [("busy", busy), ("quiet", quiet), ("many keys", many_keys), ("many pools", many_pools)];
    for (name, rows) in figures {
        assert!((1.0..=2.0).contains(&rows), "{name}: {rows} rows a report");
    }
}

#[test]
fn a_plan_asks_as_much_for_many_pools_as_for_few_and_nothing_is_asked_to_see_that_none_is_due() {
    let asked = |pools: u64| {
        let mut world = World::new();
        let mut buffer = buffer(1);
        for number in 0..pools {
            add(&mut buffer, &format!("pool-{number}"), "key", world.now);
        }
        world.send(&mut buffer);
        let before = world.sql.asked.get();
        assert!(!world.ledger.may_be_due(world.now).unwrap());
        world.now += Duration::from_mins(2);
        assert!(world.ledger.may_be_due(world.now).unwrap(), "the log is old");
        assert_eq!(world.sql.asked.get(), before);
        assert!(!world.ledger.maintain(world.now).unwrap(), "it is not paid for");
        assert!(!world.ledger.may_be_due(world.now).unwrap(), "and waits for further reports");
        world.sql.asked.get() - before
    };
    assert_eq!(asked(200), asked(2));
}
