//! Check of `SECURITY.md`: every test that it names exists in the file that it names.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "clippy.toml allows them in tests, but not in a test's own helper functions"
)]

use std::fs;
use std::path::Path;

/// Returns the texts between backquotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Reads a source file by the name that the document uses.
fn source(name: &str) -> String {
    let crate_root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let paths = [crate_root.join(name), crate_root.join("..").join(name)];
    let found = paths.iter().find_map(|path| fs::read_to_string(path).ok());
    found.unwrap_or_else(|| panic!("SECURITY.md names {name}, which is not there"))
}

fn is_test(name: &str) -> bool {
    let is_part = |char: char| char.is_ascii_lowercase() || char.is_ascii_digit() || char == '_';
    name.matches('_').count() >= 2 && name.chars().all(is_part)
}

#[test]
fn every_test_named_in_security_md_exists() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../SECURITY.md")).unwrap();
    let (mut file, mut found) = (None, 0);
    for name in quoted(&page) {
        if Path::new(name).extension().is_some_and(|kind| kind == "rs") {
            file = Some((name, source(name)));
        } else if is_test(name)
            && let Some((path, source)) = &file
        {
            assert!(
                source.contains(&format!("fn {name}(")),
                "SECURITY.md names {name}, which is not in {path}"
            );
            found += 1;
        }
    }
    assert!(found > 40, "{found}");
    for number in 1..=12 {
        let row = page.lines().find(|line| line.starts_with(&format!("| P{number} |")));
        let tests =
            quoted(row.unwrap_or_else(|| panic!("no P{number}"))).filter(|name| is_test(name)).count();
        assert!(tests > 0, "P{number} names no test");
    }
}
