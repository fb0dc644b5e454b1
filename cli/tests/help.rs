//! The help pages are part of the contract: a change shows in review.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking; the lints' own exception stops at the #[test] functions"
)]

mod common;

use common::Poolctl;

#[test]
fn help() {
    let poolctl = Poolctl::new();
    insta::assert_snapshot!("help", poolctl.run(&["--help"]));
    insta::assert_snapshot!("help_short", poolctl.run(&["-h"]));
    insta::assert_snapshot!("help_pool_create", poolctl.run(&["pool", "create", "--help"]));
    insta::assert_snapshot!("help_key_disable", poolctl.run(&["key", "disable", "--help"]));
    assert_eq!(poolctl.run(&[]).code, 2);
}

#[test]
fn version_and_completions() {
    let poolctl = Poolctl::new();
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(poolctl.run(&["--version"]).stdout, format!("poolctl {version}\n"));
    assert_eq!(poolctl.run(&["version", "-o", "json"]).json()["version"], version);
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let run = poolctl.run(&["completions", shell]);
        assert!(run.code == 0 && run.stdout.contains("client-key"), "{shell}");
    }
}
