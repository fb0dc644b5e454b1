//! The dashboard on a terminal against the real service, and its text output.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking; the lints' own exception stops at the #[test] functions"
)]

mod common;

use common::{Poolctl, gemini_key, service::Service};
use serde_json::json;

/// A service with a pool of three keys and five requests.
fn prod() -> (Service, Poolctl) {
    let service = Service::with_keys(3);
    let poolctl = service.poolctl();
    let keys = [(1, "first"), (2, "second"), (3, "third")];
    let lines = keys.map(|(number, name)| format!("{},1,team,{name}", gemini_key(number)));
    poolctl.file("keys.txt", lines.join("\n"));
    let created = poolctl.run(&["pool", "create", "prod", "--keys", "keys.txt", "-o", "json"]).json();
    for _ in 0..5 {
        assert_eq!(service.chat(created["client_key"].as_str().unwrap()), 200);
    }
    (service, poolctl)
}

#[test]
fn without_a_terminal_the_rows_are_written() {
    let (service, poolctl) = prod();
    let run = poolctl.run(&["top"]);
    assert!(run.code == 0 && run.stdout.starts_with("POOL") && run.stdout.contains("prod"), "{run}");

    let document = poolctl.run(&["top", "prod", "-o", "json"]).json();
    assert_eq!(document["stats"]["total"]["attempts"], 5);
    assert_eq!(document["pool"]["models"][0]["attempts"], 5);
    assert_eq!(
        (&document["stats"]["requests"]["total"], &document["pool"]["requests"]["succeeded"]),
        (&json!(5), &json!(5))
    );
    assert_eq!(document["keys"].as_array().unwrap().len(), 3);
    let events = poolctl.run(&["top", "--view", "events", "-o", "json"]).json();
    assert_eq!(events["events"], json!([]));

    let csv = poolctl.run(&["top", "prod", "-o", "csv", "-n", "2", "--interval", "0.1"]).stdout;
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let header = reader.headers().unwrap().clone();
    let column = |name: &str| header.iter().position(|title| title.eq_ignore_ascii_case(name)).unwrap();
    let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 6, "one header, two times three keys: {csv}");
    // An unused key has an empty cell in this column.
    let served: u64 = rows[..3].iter().map(|row| row[column("ATTS")].parse::<u64>().unwrap_or(0)).sum();
    assert_eq!(served, 5);
    assert!(row_time(&rows[0][column("TIME")]) < row_time(&rows[5][column("TIME")]));

    let run = poolctl.run(&["top", "prd", "--once"]);
    assert_eq!((run.code, run.stderr.contains("did you mean 'prod'?")), (5, true), "{run}");
    drop(service);
    assert_eq!(poolctl.run(&["top"]).code, 7);
}

#[test]
fn a_token_that_may_read_one_pool_s_statistics_is_enough() {
    let (service, poolctl) = prod();
    poolctl.run(&["pool", "create", "other", "-q"]);
    let args = ["token", "create", "on-call", "--scope", "stats:read", "--pool", "prod", "-o", "json"];
    let token = poolctl.run(&args).json()["secret"].as_str().unwrap().to_owned();
    let on_call = Poolctl::new().env("POOLCTL_URL", &service.server.url()).env("POOLCTL_TOKEN", &token);
    for args in [
        &["top", "prod", "--once"][..],
        &["top", "--once"],
        &["top", "--view", "events", "--once"],
        &["top", "prod", "--view", "models", "-o", "csv"],
        &["top", "prod", "--view", "client-keys", "--once"],
    ] {
        let run = on_call.run(args);
        assert!(run.code == 0 && !run.stdout.contains("other"), "{args:?}: {run}");
    }
    let document = on_call.run(&["top", "prod", "-o", "json"]).json();
    assert_eq!(document["stats"]["total"]["attempts"], 5);
    assert_eq!(on_call.run(&["top", "other", "--once"]).code, 5);
}

fn row_time(text: &str) -> jiff::Timestamp {
    text.parse().unwrap()
}

#[cfg(unix)]
mod terminal {
    use common::pty::Pty;
    use pool_worker::{
        host::native::{Server, ServerConfig, TrustedProxies},
        reporting::Log,
    };
    use rustix::process::{Pid, Signal, kill_process};

    use super::*;

    fn top(poolctl: &Poolctl, args: &[&str]) -> Pty {
        Pty::start(poolctl, env!("CARGO_BIN_EXE_poolctl"), &[&["top", "--interval", "0.2"], args].concat())
    }

    #[test]
    fn it_is_watched_filtered_acted_upon_resized_and_left() {
        let (_service, poolctl) = prod();
        let mut pty = top(&poolctl, &[]);
        pty.wait_for("LIVE");
        pty.wait_for("prod");
        assert!(pty.is_raw());

        pty.send("\r");
        pty.wait_for("› prod");
        pty.wait_for("3 rows");
        pty.send("/second\r");
        pty.wait_for("1 of 3 rows");
        pty.send(" d");
        pty.wait_for("Disable 1 key in pool prod?");
        pty.send("y");
        pty.wait_for("disabled 1 key");
        let keys = poolctl.run(&["key", "list", "prod", "-o", "json"]).json();
        let enabled: Vec<_> = keys["keys"].as_array().unwrap().iter().map(|key| &key["enabled"]).collect();
        assert_eq!(enabled, [true, false, true]);
        pty.wait_for("disabled");
        pty.send("w5\r");
        pty.wait_until("a weight of 5", |screen| {
            screen.contents().lines().any(|line| line.contains("second") && line.contains(" 5 "))
        });

        pty.resize(60, 12);
        pty.wait_until("narrower", |screen| {
            screen.contents().lines().next().is_some_and(|line| line.ends_with("LIVE"))
        });
        pty.resize(20, 5);
        pty.wait_for("terminal too small");
        pty.resize(1, 1);
        pty.resize(120, 40);
        pty.wait_for("prod requests per minute");
        pty.send("?");
        pty.wait_for("this help");
        pty.send("\u{1b}");
        pty.wait_until("without help", |screen| !screen.contents().contains("this help"));
        pty.send("q");
        assert_eq!(pty.end(), 0);
        pty.wait_until_given_back();
    }

    #[test]
    fn a_signal_leaves_the_terminal_in_order() {
        let (_service, poolctl) = prod();
        for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
            let mut pty = top(&poolctl, &["prod"]);
            pty.wait_for("3 rows");
            let process = Pid::from_raw(i32::try_from(pty.process_id()).unwrap()).unwrap();
            kill_process(process, signal).unwrap();
            assert_eq!(pty.end(), 130, "{signal:?}");
            pty.wait_until_given_back();
            pty.wait_for("interrupted");
        }
    }

    #[test]
    fn the_shell_gets_the_terminal_and_gives_it_back() {
        let (_service, poolctl) = prod();
        let mut pty = Pty::start(&poolctl, "sh", &["-i"]);
        // The output of the command, not its echo.
        pty.send("echo rea''dy\n");
        pty.wait_for("ready");
        pty.send(&format!("{} top\n", env!("CARGO_BIN_EXE_poolctl")));
        pty.wait_for("LIVE");
        assert!(pty.is_raw());
        for _ in 0..2 {
            pty.send("\u{1a}");
            pty.wait_until("stopped", |screen| !screen.alternate_screen() && !screen.hide_cursor());
            pty.send("echo sto''pped\n");
            pty.wait_for("stopped");
            pty.send("clear; fg\n");
            pty.wait_until("back", |screen| screen.alternate_screen() && screen.contents().contains("LIVE"));
        }
        pty.send("q");
        pty.wait_until("left", |screen| !screen.alternate_screen() && !screen.hide_cursor());
        pty.send("exit 7\n");
        assert_eq!(pty.end(), 7);
    }

    #[test]
    fn a_service_that_goes_away_comes_back() {
        let service = Service::start();
        let data = tempfile::TempDir::new().unwrap();
        let config = |port| ServerConfig {
            host: "127.0.0.1".into(),
            port,
            data_dir: data.path().to_owned(),
            gemini_base_url: service.gemini.url().parse().unwrap(),
            master_key: None,
            previous_master_key: None,
            admin_password: Some(pool_shared::Secret::new(common::service::PASSWORD)),
            trusted_proxies: TrustedProxies::default(),
            log: Log::off(),
            upstream_timeouts: pool_worker::upstream::UpstreamTimeouts::default(),
        };
        let server = service.runtime.block_on(Server::start(config(0))).unwrap();
        let (url, poolctl) = (server.url(), Poolctl::new());
        let run = poolctl.run_with(&["login", "--url", &url, "--with-password"], common::service::PASSWORD);
        assert_eq!(run.code, 0, "{run}");
        poolctl.file("keys.txt", gemini_key(1));
        assert_eq!(poolctl.run(&["pool", "create", "prod", "--keys", "keys.txt"]).code, 0);

        let mut pty = top(&poolctl, &["prod"]);
        pty.wait_for("1 row");
        service.runtime.block_on(server.shut_down());
        pty.wait_for("STALE");
        pty.wait_for("AIza");
        let port = url.rsplit(':').next().unwrap().parse().unwrap();
        let server = service.runtime.block_on(Server::start(config(port))).unwrap();
        pty.wait_until("live again", |screen| {
            screen.contents().contains("LIVE") && !screen.contents().contains("STALE")
        });
        pty.send("q");
        assert_eq!(pty.end(), 0);
        service.runtime.block_on(server.shut_down());
    }

    #[test]
    fn whoever_is_not_logged_in_sees_why_and_no_dashboard() {
        let (_service, poolctl) = prod();
        assert_eq!(poolctl.run(&["logout"]).code, 0);
        let mut pty = top(&poolctl, &[]);
        assert_eq!(pty.end(), 4);
        pty.wait_for("not logged in");
        pty.wait_until_given_back();
    }
}
