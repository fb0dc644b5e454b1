//! A CI job, as a shell script: no terminal, no keyring, no profile.

#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking; the lints' own exception stops at the #[test] functions"
)]

mod common;

use std::{
    path::Path,
    process::{Command, Output, Stdio},
};

use common::{Poolctl, gemini_key, service::Service};
use pool_fake_gemini::Behaviour;

/// Runs the script with only the environment of a CI job.
fn job(poolctl: &Poolctl, service: &Service, token: &str, keys: &str) -> Output {
    let program = Path::new(env!("CARGO_BIN_EXE_poolctl")).parent().unwrap();
    Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/ci-job.sh"))
        .args(["ci", keys])
        .env_clear()
        .env("PATH", format!("{}:/usr/bin:/bin", program.display()))
        .env("HOME", poolctl.path().join("nothing-here"))
        .env("POOLCTL_URL", service.server.url())
        .env("POOLCTL_TOKEN", token)
        .current_dir(poolctl.path())
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[test]
fn a_job_imports_checks_and_tries_and_fails_on_refused_keys() {
    let service = Service::start();
    let poolctl = service.poolctl();
    let made = poolctl.run(&["token", "create", "ci", "--to", "token.txt", "-q"]);
    assert_eq!(made.code, 0, "{made}");
    let token = std::fs::read_to_string(poolctl.path().join("token.txt")).unwrap();
    poolctl.file("good.txt", format!("{}\n{}\n", gemini_key(1), gemini_key(2)));

    let run = poolctl.finish(job(&poolctl, &service, token.trim(), "good.txt"));
    assert_eq!(run.code, 0, "{run}");
    assert!(run.stdout.starts_with("You said: smoke test\n") && run.stdout.contains("\nok,"), "{run}");
    let report = std::fs::read_to_string(poolctl.path().join("report.csv")).unwrap();
    assert_eq!(
        report,
        "line,key,outcome,verdict,message\n1,AIza…0001,added,valid,\n2,AIza…0002,added,valid,\n"
    );

    // The same with an invalid key, an invalid line and a key with an exhausted quota.
    service.gemini.set_behaviour(&gemini_key(2), Behaviour::ExhaustedDay).unwrap();
    poolctl.file("mixed.txt", format!("{}\n{}\nshort\n{}\n", gemini_key(1), gemini_key(9), gemini_key(2)));
    let run = poolctl.finish(job(&poolctl, &service, token.trim(), "mixed.txt"));
    assert_eq!(run.code, 3, "{run}");
    assert!(run.stderr.contains("2,AIza…0009,not_sent,invalid,"), "{run}");
    assert!(run.stderr.contains("3,,malformed,,\"too short"), "{run}");
    let report = std::fs::read_to_string(poolctl.path().join("report.csv")).unwrap();
    assert!(report.contains("4,AIza…0002,duplicate,limited,"), "{report}");

    // A revoked token fails the job immediately.
    let id = poolctl.run(&["token", "list", "-o", "json"]).json();
    let id =
        id["tokens"].as_array().unwrap().iter().find(|token| token["name"] == "ci").unwrap()["id"].clone();
    assert_eq!(poolctl.run(&["token", "revoke", id.as_str().unwrap(), "--yes"]).code, 0);
    assert_eq!(job(&poolctl, &service, token.trim(), "good.txt").status.code(), Some(4));
}
