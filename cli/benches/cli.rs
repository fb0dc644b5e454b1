//! Benchmark of program start, an import of 10,000 keys into the native service, and the dashboard
//! with a pool of 5,000 keys. Run it with `make bench-cli`.

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
    #[cfg(target_os = "linux")]
    watch::report();
}

/// Measures the dashboard while it shows a pool's keys. Linux only, because it reads `/proc`.
#[cfg(target_os = "linux")]
mod watch {
    use std::{
        fs, thread,
        time::{Duration, Instant},
    };

    use futures_util::{StreamExt, stream};
    use serde_json::json;

    use super::{
        Service,
        common::{gemini_key, pty::Pty},
    };

    const KEYS: usize = 5_000;
    const REQUESTS: usize = 10_000;
    const WARM_UP: Duration = Duration::from_secs(5);
    const WATCHED: Duration = Duration::from_secs(30);

    pub fn report() {
        let service = Service::with_keys(KEYS);
        let poolctl = service.poolctl();
        poolctl.file("keys.txt", (1..=KEYS).map(|number| gemini_key(number) + "\n").collect::<String>());
        let created = poolctl.run(&["pool", "create", "big", "--keys", "keys.txt", "-o", "json"]).json();
        send(&service, created["client_key"].as_str().unwrap());

        let pty = Pty::start(&poolctl, env!("CARGO_BIN_EXE_poolctl"), &["top", "big"]);
        pty.wait_for("5.0k rows");
        thread::sleep(WARM_UP);
        let process = pty.process_id();
        let (began, before) = (Instant::now(), time_used(process));
        thread::sleep(WATCHED);
        let used =
            time_used(process).saturating_sub(before).as_secs_f64() / began.elapsed().as_secs_f64() * 100.0;
        let memory = peak_memory(process);
        println!("top, 5,000 keys, 1 s   {used:>10.2} % of a core   (aim: 3 %)");
        println!("                       {memory:>10} MB at most   (aim: 40 MB)");
    }

    /// Sends requests through the pool, so that nearly every key has counts.
    fn send(service: &Service, client_key: &str) {
        let url = format!("{}/v1/chat/completions", service.server.url());
        let body =
            json!({"model": "gemini-2.5-flash", "messages": [{"role": "user", "content": "hello there"}]});
        let client = reqwest::Client::new();
        let request = |_| async {
            let request = client.post(&url).bearer_auth(client_key).json(&body);
            assert!(request.send().await.unwrap().status().is_success());
        };
        let all = stream::iter(0..REQUESTS).map(request).buffer_unordered(32);
        service.runtime.block_on(all.collect::<()>());
    }

    /// Returns the CPU time of a process.
    fn time_used(process: u32) -> Duration {
        let tasks = fs::read_dir(format!("/proc/{process}/task")).unwrap();
        let nanoseconds = tasks.map(|task| {
            let text = fs::read_to_string(task.unwrap().path().join("schedstat")).unwrap();
            text.split(' ').next().unwrap().parse::<u64>().unwrap()
        });
        Duration::from_nanos(nanoseconds.sum())
    }

    /// Returns the peak memory of a process in MB.
    fn peak_memory(process: u32) -> u64 {
        let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1_024
    }
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
