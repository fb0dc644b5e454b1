//! The layers of the service: which module may import which, and which workspace crate depends on
//! which.
//!
//! Reads the source files and manifests, so that an import that goes up fails here even where it
//! compiles.

#[path = "support/imports.rs"]
mod imports;

use std::fs;
use std::path::Path;

use imports::{Layers, imports, violations};

/// The modules of the service, the lowest layer first. The hosts' adapters are last: nothing imports
/// them.
const MODULES: &Layers = &[
    ("lib", &[]),
    ("cidr", &[]),
    ("origin", &[]),
    ("reply", &[]),
    ("sql", &[]),
    ("ssrf_guard", &[]),
    ("ui", &["reply"]),
    ("platform", &["origin"]),
    ("crypto", &["platform"]),
    ("setup", &["crypto"]),
    ("ledger", &["platform", "sql"]),
    ("store", &["crypto", "platform", "sql"]),
    ("ports", &["ledger", "platform", "store"]),
    ("limits", &["platform", "ports"]),
    ("liveness", &["crypto", "platform", "ports", "reply", "store"]),
    ("upstream", &["platform", "ports", "setup"]),
    ("pools", &["crypto", "platform", "ports", "setup", "store"]),
    ("reporting", &["ledger", "platform", "pools", "ports", "setup"]),
    ("settings", &["crypto", "ledger", "reporting", "setup", "upstream"]),
    ("state", &["limits", "pools", "reporting", "upstream"]),
    ("attempt", &["crypto", "ledger", "platform", "pools", "ports", "reporting", "state"]),
    ("health", &["attempt", "platform", "pools", "ports", "state", "upstream"]),
    (
        "retry",
        &[
            "attempt",
            "crypto",
            "health",
            "platform",
            "pools",
            "ports",
            "reply",
            "reporting",
            "state",
            "upstream",
        ],
    ),
    ("model_lists", &["attempt", "platform", "pools", "ports", "reporting", "retry", "state", "upstream"]),
    (
        "gateway",
        &[
            "attempt",
            "crypto",
            "limits",
            "model_lists",
            "platform",
            "pools",
            "ports",
            "reply",
            "reporting",
            "retry",
            "setup",
            "ssrf_guard",
            "state",
            "upstream",
        ],
    ),
    (
        "admin",
        &[
            "cidr",
            "crypto",
            "health",
            "ledger",
            "limits",
            "model_lists",
            "origin",
            "platform",
            "pools",
            "ports",
            "reply",
            "reporting",
            "setup",
            "state",
            "store",
        ],
    ),
    (
        "router",
        &[
            "admin",
            "crypto",
            "gateway",
            "health",
            "limits",
            "liveness",
            "model_lists",
            "platform",
            "pools",
            "ports",
            "reply",
            "reporting",
            "settings",
            "setup",
            "state",
            "store",
            "ui",
            "upstream",
        ],
    ),
    (
        "host",
        &[
            "admin",
            "cidr",
            "crypto",
            "gateway",
            "ledger",
            "limits",
            "liveness",
            "origin",
            "platform",
            "pools",
            "ports",
            "reply",
            "reporting",
            "router",
            "settings",
            "setup",
            "sql",
            "ssrf_guard",
            "store",
            "upstream",
        ],
    ),
];

/// The modules that read other modules only for tests and for programs.
const ABOVE_ALL: [&str; 4] = ["bin", "fuzz", "service_tests", "testing"];

/// Workspace crates and the workspace crates that they depend on outside tests.
const CRATES: &[(&str, &[&str])] = &[
    ("shared", &[]),
    ("worker/translate", &["pool-shared"]),
    ("worker/engine", &["pool-shared", "pool-translate"]),
    ("worker", &["pool-engine", "pool-shared", "pool-translate"]),
    ("worker/fake-gemini", &[]),
    ("cli", &["pool-shared"]),
];

#[test]
fn a_module_imports_only_modules_below_it() {
    let mut wrong = violations(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), MODULES);
    wrong
        .retain(|problem| ABOVE_ALL.iter().all(|module| *problem != format!("{module} is not in the table")));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_crate_depends_only_on_crates_below_it() {
    for (folder, allowed) in CRATES {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder).join("Cargo.toml");
        let manifest = fs::read_to_string(manifest).unwrap();
        let mut is_for_tests = false;
        for line in manifest.lines() {
            if line.starts_with('[') {
                is_for_tests = !line.contains("dependencies]") || line.contains("dev-dependencies");
            }
            let name = line.split(['.', ' ', '=']).next().unwrap_or_default();
            let is_member = name.starts_with("pool-") && !is_for_tests;
            assert!(!is_member || allowed.contains(&name), "{folder} depends on {name}");
        }
    }
}

#[test]
fn an_upward_import_is_reported() {
    let code = "use crate::{\n    a::{b, c},\n    d,\n};\nuse crate::e::f;\n// crate::g\ncrate::h::run()";
    assert_eq!(imports(code).into_iter().collect::<Vec<_>>(), ["a", "d", "e", "h"]);
}
