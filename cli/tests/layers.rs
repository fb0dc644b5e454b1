//! The layers of poolctl: a table of the modules that each module may import.
//!
//! Reads the source files, so that an upward import fails here although it compiles.

#[path = "../../worker/tests/support/imports.rs"]
mod imports;

use std::path::Path;

use imports::{imports, violations};

/// Each module and the modules that it may import, the lowest layer first.
const LAYERS: &[(&str, &[&str])] = &[
    ("env", &[]),
    ("error", &[]),
    ("interrupt", &["error"]),
    ("output", &["env", "error", "interrupt"]),
    ("config", &["env", "error", "output"]),
    ("client", &["config", "env", "error", "interrupt", "output"]),
    ("flags", &["config", "error", "output"]),
    ("ctx", &["client", "config", "env", "error", "flags", "interrupt", "output"]),
    ("describe", &["output"]),
    ("key_check", &["error"]),
    ("input", &["ctx", "error"]),
    ("key_import", &["client", "ctx", "error", "input", "key_check", "output"]),
    ("top", &["client", "ctx", "describe", "error", "interrupt", "key_check", "output"]),
    (
        "commands",
        &[
            "client",
            "config",
            "ctx",
            "describe",
            "env",
            "error",
            "flags",
            "input",
            "key_check",
            "key_import",
            "output",
            "top",
        ],
    ),
    ("app", &["commands", "ctx", "env", "error", "flags", "output"]),
    ("main", &["app", "env"]),
];

#[test]
fn a_module_imports_only_modules_below_it() {
    let wrong = violations(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), LAYERS);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_reader_of_imports_finds_groups_and_paths() {
    let code = "use crate::{\n    a::{b, c},\n    d,\n};\nuse crate::e::f;\n// crate::g\ncrate::h::run()";
    assert_eq!(imports(code).into_iter().collect::<Vec<_>>(), ["a", "d", "e", "h"]);
}
