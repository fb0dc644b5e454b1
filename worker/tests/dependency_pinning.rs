//! Check that everything the build downloads is pinned by version and hash, so that an upstream
//! release changes nothing here without a commit.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "clippy.toml allows them in tests, but not in a test's own helper functions"
)]

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

fn read(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)).unwrap()
}

fn files_in(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder);
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn every_installed_dependency_is_pinned() {
    // Python packages by version and hash.
    for suite in ["sdk/python", "openapi"] {
        let requirements = read(&format!("worker/tests/{suite}/requirements.txt")).replace("\\\n", " ");
        let packages: Vec<_> =
            requirements.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()).collect();
        assert!(packages.len() > 10);
        for package in packages {
            assert!(package.contains("==") && package.contains("--hash=sha256:"), "{package}");
        }
    }
    assert!(read(".ci/python.sh").contains("--require-hashes"));
    // npm packages by version and integrity; none runs a script of its own.
    let manifest: Value = serde_json::from_str(&read("worker/package.json")).unwrap();
    for (name, version) in manifest["devDependencies"].as_object().unwrap() {
        assert!(version.as_str().unwrap().starts_with(|first: char| first.is_ascii_digit()), "{name}");
    }
    let lock: Value = serde_json::from_str(&read("worker/package-lock.json")).unwrap();
    for (path, package) in lock["packages"].as_object().unwrap().iter().filter(|(path, _)| !path.is_empty()) {
        assert!(package["integrity"].as_str().is_some_and(|hash| hash.starts_with("sha512-")), "{path}");
    }
    assert!(read(".ci/npm.sh").contains("npm ci --ignore-scripts"));
    // Crates by the lock files, from the one registry, each with its checksum.
    for lock in ["Cargo.lock", "worker/fuzz/Cargo.lock"] {
        let lock = read(lock);
        for package in lock.split("[[package]]").filter(|package| package.contains("source = ")) {
            assert!(package.contains("registry+") && package.contains("checksum = "), "{package}");
        }
    }
    // Programs that cargo installs by an exact version.
    let scripts = files_in(".ci").into_iter().map(|path| fs::read_to_string(path).unwrap());
    let scripts: String = scripts.chain([read("Makefile")]).collect();
    let calls = scripts.lines().filter(|line| !line.starts_with('#'));
    let calls: Vec<_> = calls.filter_map(|line| line.split_once("cargo-tool.sh")).collect();
    assert!(calls.len() >= 4, "{calls:?}");
    for (_, call) in calls {
        let version = call.trim_start_matches('"').split_whitespace().nth(1).unwrap_or_default();
        let is_exact =
            version.starts_with("locked:") || version.starts_with(|first: char| first.is_ascii_digit());
        assert!(is_exact, "{call}");
    }
}

/// Fails unless each action is named by a commit or is one of this repository, which is read too.
fn assert_actions_are_pinned(text: &str) {
    for line in text.lines().filter(|line| line.contains("uses:")) {
        if let Some((_, action)) = line.split_once("uses: ./") {
            assert_actions_are_pinned(&read(&format!("{action}/action.yml")));
            continue;
        }
        let (_, pin) = line.split_once('@').unwrap_or_else(|| panic!("{line}"));
        let pin = pin.split_whitespace().next().unwrap_or_default();
        assert!(pin.len() == 40 && pin.chars().all(|char| char.is_ascii_hexdigit()), "{line}");
    }
}

#[test]
fn workflows_have_read_permission_only_and_run_pinned_actions() {
    for path in files_in(".github/workflows") {
        let workflow = fs::read_to_string(&path).unwrap();
        assert!(workflow.contains("\npermissions:\n  contents: read\n"), "{}", path.display());
        for forbidden in ["pull_request_target", ": write", "secrets."] {
            assert!(!workflow.contains(forbidden), "{forbidden}");
        }
        assert_actions_are_pinned(&workflow);
        let checkouts = workflow.matches("actions/checkout@").count();
        assert_eq!(workflow.matches("persist-credentials: false").count(), checkouts);
    }
}

#[test]
fn native_crates_forbid_unsafe_code() {
    for root in [
        "shared/src/lib.rs",
        "cli/src/main.rs",
        "worker/fake-gemini/src/lib.rs",
        "worker/src/lib.rs",
        "worker/src/bin/pool-server.rs",
    ] {
        let forbids =
            read(root).lines().any(|line| line.starts_with("#![") && line.contains("forbid(unsafe_code)"));
        assert!(forbids, "{root}");
    }
}
