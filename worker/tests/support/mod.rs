//! Support of the tests against a running service: the deployment's secrets, and programs with a
//! deadline.
//!
//! A test file includes its host by `#[path = "support/native.rs"]` or
//! `#[path = "support/workerd.rs"]`; both offer `Host::start`, `Host::url` and `Host::stop`.

#![allow(dead_code, reason = "not every test file needs everything")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on panics")]

use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// Deadline of a suite in Node or Python: of the clients' SDKs, of schemathesis, of the browser.
pub const SUITE_TIMEOUT: Duration = Duration::from_mins(8);

/// 32 bytes in base64, as `openssl rand -base64 32` makes them.
pub const MASTER_KEY: &str = "bm90LWEtc2VjcmV0LW9ubHktZm9yLXRlc3RzLTMyYnk=";
/// 32 other bytes.
pub const NEW_MASTER_KEY: &str = "YW5vdGhlci1rZXktb25seS1mb3ItdGVzdHMtMzJieXQ=";
/// The admin password.
pub const ADMIN_PASSWORD: &str = "correct horse battery staple";

/// Runs a command to its end and returns its output.
///
/// # Panics
///
/// If it cannot be started, or if it has not ended after `timeout`; it is killed then.
pub fn output_within(timeout: Duration, command: &mut Command) -> Output {
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let id = child.id().to_string();
    let (sender, ended) = mpsc::channel();
    thread::spawn(move || sender.send(child.wait_with_output()));
    ended.recv_timeout(timeout).map_or_else(
        |_| {
            let _ = Command::new("kill").args(["-KILL", &id]).status();
            panic!("{command:?} has not ended after {timeout:?}")
        },
        Result::unwrap,
    )
}
