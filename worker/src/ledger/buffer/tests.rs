//! Retries of the report buffer, and what it gives up.

use super::*;

fn attempt(key: &str) -> AttemptCount {
    AttemptCount {
        pool: PoolId::new("pool-1"),
        key: KeyId::new(key),
        model: "m".to_owned(),
        outcome: AttemptOutcome::Ok,
        began: at(90),
        took: Some((Duration::from_millis(100), Duration::from_secs(1))),
        prompt_tokens: 3,
        completion_tokens: 2,
        cached_tokens: 1,
        thought_tokens: 1,
    }
}

fn buffer_with(keys: &[&str]) -> ReportBuffer {
    let mut buffer = ReportBuffer::new(WriterId::from_random(1));
    for key in keys {
        buffer.add(&attempt(key));
    }
    buffer
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn request(attempts: u32) -> Request {
    Request {
        pool: PoolId::new("pool-1"),
        client_key: None,
        model: "m".to_owned(),
        outcome: pool_shared::RequestOutcome::Ok,
        began: at(90),
        took: Duration::from_secs(1),
        attempts,
    }
}

fn counted(attempts: u64, requests: u64) -> Counted {
    Counted { attempts, requests }
}

fn event(key: &str) -> Event {
    Event {
        at: at(1),
        pool: PoolId::new("pool-1"),
        key: KeyId::new(key),
        model: "m".to_owned(),
        verdict: AttemptOutcome::Quota,
        message: "spent".to_owned(),
        count: 1,
        quota: None,
        unknown_text: false,
        client_key: None,
    }
}

#[test]
fn attempts_of_one_minute_key_model_and_outcome_travel_as_one_cell() {
    let mut buffer = buffer_with(&["key-1", "key-2", "key-1"]);
    buffer.add(&AttemptCount { outcome: AttemptOutcome::Key, ..attempt("key-1") });
    buffer.add(&AttemptCount { began: at(120), ..attempt("key-1") });
    let report = buffer.take(at(0)).unwrap();
    let counters: Vec<_> = (&report.counts[&PoolId::new("pool-1")].attempts).into_iter().collect();
    let seen: Vec<_> = counters.iter().map(|(id, row)| (id.start, id.outcome, row.attempts)).collect();
    let (ok, key) = (AttemptOutcome::Ok, AttemptOutcome::Key);
    assert_eq!(seen, [(60, ok, 2), (60, key, 1), (60, ok, 1), (120, ok, 1)]);
    assert_eq!(counters[0].1.total.count(), 2);
    assert_eq!(counters[1].1.total.count(), 0, "only what was delivered is timed");
    assert_eq!(buffer.confirm(1, 0), counted(5, 0));
    assert_eq!(buffer.confirm(1, 0), counted(0, 0), "once");
    assert!(buffer.is_empty());
}

#[test]
fn requests_travel_beside_attempts_and_dozens_of_attempts_are_counted_as_nine() {
    let mut buffer = buffer_with(&["key-1"]);
    for attempts in [0, 1, 1, 9, 40] {
        buffer.add_request(request(attempts));
    }
    let report = buffer.take(at(0)).unwrap();
    assert_eq!(report.counted(), counted(1, 5));
    let requests = &report.counts[&PoolId::new("pool-1")].requests;
    let counters: Vec<_> = requests.into_iter().collect();
    assert_eq!((counters.len(), counters[0].0.start, counters[0].1.total.count()), (1, 60, 5));
    assert_eq!(counters[0].1.by_attempts, BTreeMap::from([(0, 1), (1, 2), (9, 2)]));
    assert_eq!(buffer.confirm(1, 0), counted(1, 5));
}

#[test]
fn a_failed_report_goes_out_again_unchanged_and_before_newer_counts() {
    let mut buffer = buffer_with(&["key-1"]);
    let first = buffer.take(at(0)).unwrap();
    buffer.add(&attempt("key-2"));
    assert_eq!(buffer.failed(1, at(0)), MIN_BACKOFF);
    assert_eq!(buffer.take(at(1)).as_ref(), Some(&first));
    assert_eq!(buffer.take(at(1)).unwrap().sequence, 2);
    assert_eq!(buffer.take(at(2)), None, "both are under way");
    assert_eq!(buffer.failed(1, at(2)), MIN_BACKOFF * 2, "it rests longer each time");
    assert_eq!(buffer.take(at(2)), None);
}

#[test]
fn a_report_whose_sender_vanished_is_taken_again() {
    let mut buffer = buffer_with(&["key-1"]);
    let first = buffer.take(at(0)).unwrap();
    assert_eq!(buffer.take(at(4)), None);
    assert_eq!(buffer.take(at(5)), Some(first));
}

#[test]
fn what_is_given_up_is_counted_and_told() {
    let mut buffer = buffer_with(&["key-1", "key-2"]);
    buffer.add_request(request(0));
    buffer.add_moved(PoolId::new("pool-1"));
    buffer.take(at(0)).unwrap();
    buffer.failed(1, at(0));
    assert_eq!(buffer.waiting(), counted(2, 1));
    let report = buffer.take(at(25)).unwrap();
    assert_eq!((report.sequence, report.lost(), report.counts.len()), (2, counted(2, 1), 0));
    assert_eq!((report.moved.len(), buffer.given_up(), buffer.waiting()), (1, counted(2, 1), counted(0, 0)));
    assert_eq!(buffer.confirm(2, 0), counted(2, 1), "what is counted as lost is settled");
}

#[test]
fn a_report_is_not_given_up_when_the_clock_is_set() {
    for hours in [-4_i64, 4] {
        let mut buffer = buffer_with(&["key-1"]);
        let report = buffer.take(at(0)).unwrap();
        buffer.failed(1, at(0));
        let by = SignedDuration::from_hours(hours);
        buffer.shift(by);
        let (begin, rest) = (at(0) + by, SignedDuration::try_from(MIN_BACKOFF).unwrap());
        assert_eq!(buffer.take(begin), None, "{hours}: it waits as long as before");
        assert_eq!(buffer.take(begin + rest), Some(report), "{hours}: and is sent again unchanged");
        assert_eq!(buffer.given_up(), counted(0, 0), "{hours}");
    }
}

#[test]
fn what_a_process_before_lost_is_told() {
    let mut buffer = buffer_with(&["key-1"]);
    buffer.add_lost(counted(7, 5));
    let report = buffer.take(at(0)).unwrap();
    assert_eq!((report.lost(), report.counted()), (counted(7, 5), counted(1, 0)));
    assert_eq!(buffer.given_up(), counted(7, 5));
    assert_eq!(buffer.confirm(1, 0), counted(8, 5));
}

#[test]
fn many_cells_travel_in_several_reports() {
    let mut buffer = ReportBuffer::new(WriterId::from_random(1));
    for key in 0..MAX_COUNTERS + 10 {
        let pool = PoolId::new(if key % 2 == 0 { "even" } else { "odd" });
        buffer.add(&AttemptCount { pool, ..attempt(&format!("key-{key}")) });
    }
    let sent: Vec<_> =
        std::iter::from_fn(|| buffer.take(at(0))).map(|report| report.counted().attempts).collect();
    assert_eq!(sent, [MAX_COUNTERS as u64, 10]);
}

#[test]
fn like_events_become_one_and_a_flood_is_cut() {
    let mut buffer = ReportBuffer::new(WriterId::from_random(1));
    for key in 0..2 * MAX_EVENTS {
        buffer.add_event(event(&key.to_string()));
        buffer.add_event(event("0"));
    }
    let report = buffer.take(at(0)).unwrap();
    assert_eq!((report.events.len(), report.events[0].count), (MAX_EVENTS, 1 + 2 * MAX_EVENTS as u64));
}
