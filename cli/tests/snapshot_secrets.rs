//! No snapshot, manual page or picture in the repository contains a secret.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking; the lints' own exception stops at the #[test] functions"
)]

mod common;

use std::path::{Path, PathBuf};

use common::{gemini_key, secrets_in, token};

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

#[test]
fn no_recording_in_the_repository_holds_a_secret() {
    let crate_root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files: Vec<_> =
        ["src", "tests", "docs"].iter().flat_map(|folder| files_below(&crate_root.join(folder))).collect();
    let is_snapshot = |path: &&PathBuf| path.extension().is_some_and(|kind| kind != "rs");
    let snapshots: Vec<_> = files.iter().filter(is_snapshot).collect();
    assert!(snapshots.len() > 100, "golden runs, pictures of the dashboard and manual pages are included");
    for path in snapshots {
        let text = String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned();
        assert_eq!(secrets_in(&text), Vec::<&str>::new(), "{}", path.display());
    }
}

#[test]
fn a_secret_in_a_recording_would_be_found() {
    let text = format!("token {}, key {}.", token(), gemini_key(7));
    assert_eq!(secrets_in(&text), [token().as_str(), gemini_key(7).as_str()]);
    assert_eq!(secrets_in("padm_SECRET AIza…0007 sk-pool-abcd"), Vec::<&str>::new());
}
