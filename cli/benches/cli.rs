//! What it costs to start the program, and to import 10,000 keys into the native service.
//! `make bench-cli` prints it.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a benchmark fails by panicking, and printing is what it is for"
)]

#[path = "../tests/common/mod.rs"]
mod common;

use std::{
    process::Command,
    time::{Duration, Instant},
};

use common::{gemini_key, service::Service};

const STARTS: usize = 50;
const KEYS: usize = 10_000;
const IMPORTS: usize = 3;

fn main() {
    let version = || {
        let output = Command::new(env!("CARGO_BIN_EXE_poolctl")).arg("--version").output().unwrap();
        assert!(output.status.success());
    };
    version();
    report("start to --version", "10 ms", (0..STARTS).map(|_| timed(version)).collect());

    let service = Service::start();
    let poolctl = service.poolctl();
    poolctl.file("keys.txt", (0..KEYS).map(|number| gemini_key(number) + "\n").collect::<String>());
    let import = |number: usize| {
        let pool = format!("bench {number}");
        assert_eq!(poolctl.run(&["pool", "create", &pool, "-q"]).code, 0);
        timed(|| {
            let run = poolctl.run(&["key", "import", &pool, "--keys", "keys.txt", "-o", "json"]);
            assert_eq!(run.json()["added"], KEYS, "{run}");
        })
    };
    report("import of 10,000 keys", "5 s", (0..IMPORTS).map(import).collect());
}

fn timed(work: impl FnOnce()) -> Duration {
    let began = Instant::now();
    work();
    began.elapsed()
}

fn report(what: &str, aim: &str, mut times: Vec<Duration>) {
    times.sort();
    let (best, middle, worst) = (times[0], times[times.len() / 2], times[times.len() - 1]);
    println!("{what:<22} median {middle:>10.1?}   best {best:>10.1?}   worst {worst:>10.1?}   (aim: {aim})");
}
