//! Counter of calls and allocations per request, and of memory per key. Prints one JSON object.

#![allow(clippy::unwrap_used, reason = "a benchmark, not a service")]
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::Duration;

use allocation_counter::measure;
use pool_bench::harness::{Harness, Kind};

/// Warm-up requests, after which every key of the pool has been used.
const WARM_UP: usize = 50;
/// Requests over which allocations are averaged.
const REQUESTS: u64 = 20;
/// Keys of a large pool.
const LARGE_POOL_KEYS: usize = 20_000;
/// Delays added to each round trip to the store, in milliseconds.
const DELAYS_MS: [u64; 2] = [5, 20];

fn main() -> anyhow::Result<()> {
    let mut counts = BTreeMap::new();
    for kind in Kind::all() {
        count_kind(&kind, &mut counts);
    }
    store_round_trips(&mut counts);
    counts.insert("pool: bytes a key".to_owned(), bytes_per_key());
    writeln!(std::io::stdout(), "{}", serde_json::to_string_pretty(&counts)?)?;
    Ok(())
}

/// Counts the calls of a cold and a warm request, and the allocations of a warm one.
fn count_kind(kind: &Kind, counts: &mut BTreeMap<String, u64>) {
    let mut harness = Harness::default();
    let client = harness.create_pool("pool", 10);
    harness.restart();
    harness.prepare(kind);
    for (state, warm_up) in [("cold", 0), ("warm", WARM_UP)] {
        for _ in 0..warm_up {
            harness.send(&client, kind);
        }
        let before = harness.host.calls();
        harness.send(&client, kind);
        let after = harness.host.calls();
        let mut put = |what: &str, count| counts.insert(format!("{}: {what}, {state}", kind.name), count);
        put("store calls", after.store - before.store);
        put("subrequests", after.upstream - before.upstream);
        put("ledger calls", after.ledger - before.ledger);
    }
    harness.flush();
    let requests = || {
        for _ in 0..REQUESTS {
            harness.send(&client, kind);
        }
    };
    let allocated = measure(requests);
    let mut put = |what: &str, count| counts.insert(format!("{}: {what}", kind.name), count);
    put("allocations", allocated.count_total / REQUESTS);
    put("bytes allocated", allocated.bytes_total / REQUESTS);
    put("bytes at once", allocated.bytes_max);
}

/// Measures the added latency of a request, in hundredths of the delay of each store round trip;
/// the maximum over the delays.
fn store_round_trips(counts: &mut BTreeMap<String, u64>) {
    let chat = Kind::all().swap_remove(0);
    let mut harness = Harness::default();
    let client = harness.create_pool("pool", 10);
    harness.prepare(&chat);
    for delay in DELAYS_MS {
        harness.restart();
        harness.host.delay_store(Duration::from_millis(delay));
        for state in ["cold", "warm"] {
            // Nothing else takes virtual time.
            let hundredths = harness.send(&client, &chat).as_millis() * 100 / u128::from(delay);
            let slope = counts.entry(format!("store: slope in hundredths, {state}")).or_default();
            *slope = u64::try_from(hundredths).unwrap().max(*slope);
        }
    }
}

/// Returns the memory per key of a loaded large pool.
fn bytes_per_key() -> u64 {
    let chat = Kind::all().swap_remove(0);
    let mut harness = Harness::default();
    let small = harness.create_pool("small", 10);
    let large = harness.create_pool("large", LARGE_POOL_KEYS);
    harness.restart();
    harness.prepare(&chat);
    harness.send(&small, &chat);
    let grown = measure(|| {
        harness.send(&large, &chat);
    });
    u64::try_from(grown.bytes_current).unwrap() / u64::try_from(LARGE_POOL_KEYS).unwrap()
}
