//! The layers of poolctl: a table of the modules that each module may import.
//!
//! Reads the source files, so that an import that goes up fails here even where it compiles.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

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
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for path in files(&source) {
        let module = module_of(path.strip_prefix(&source).unwrap());
        let text = fs::read_to_string(&path).unwrap();
        // A test may compare a module with one above it.
        let is_test = path.file_name().is_some_and(|name| name == "tests.rs");
        let code = text.split("#[cfg(test)]").next().filter(|_| !is_test).unwrap_or_default();
        found.entry(module).or_default().extend(imports(code));
    }
    let mut below: BTreeSet<&str> = BTreeSet::new();
    let mut wrong = Vec::new();
    for (module, allowed) in LAYERS {
        for name in *allowed {
            if !below.contains(name) {
                wrong.push(format!("the table lets {module} import {name}, which is not below it"));
            }
        }
        below.insert(module);
        for name in found.remove(*module).unwrap_or_default() {
            if name != *module && !allowed.contains(&name.as_str()) {
                wrong.push(format!("{module} imports {name}"));
            }
        }
    }
    wrong.extend(found.into_keys().map(|module| format!("{module} is not in the table")));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Returns the top-level module that a file belongs to.
fn module_of(path: &Path) -> String {
    let first = path.iter().next().unwrap_or_default().to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

/// Returns the names that follow `crate::`, also those of a group in braces.
fn imports(code: &str) -> BTreeSet<String> {
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    let code = lines.collect::<Vec<_>>().join("\n");
    let mut names = BTreeSet::new();
    for (at, found) in code.match_indices("crate::") {
        let rest = &code[at + found.len()..];
        match rest.strip_prefix('{') {
            Some(group) => names.extend(group_heads(group)),
            None => names.extend(head(rest)),
        }
    }
    names
}

/// Returns the first name of each entry of a group, up to its closing brace.
fn group_heads(group: &str) -> Vec<String> {
    let (mut depth, mut heads, mut entry) = (0_u32, Vec::new(), String::new());
    for letter in group.chars() {
        match letter {
            '}' if depth == 0 => break,
            ',' if depth == 0 => heads.extend(head(std::mem::take(&mut entry).trim())),
            _ => {
                depth = depth + u32::from(letter == '{') - u32::from(letter == '}');
                entry.push(letter);
            }
        }
    }
    heads.extend(head(entry.trim()));
    heads
}

fn head(path: &str) -> Option<String> {
    let name: String = path.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect();
    Some(name).filter(|name| !name.is_empty())
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries
        .flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}

#[test]
fn the_reader_of_imports_finds_groups_and_paths() {
    let code = "use crate::{\n    a::{b, c},\n    d,\n};\nuse crate::e::f;\n// crate::g\ncrate::h::run()";
    assert_eq!(imports(code).into_iter().collect::<Vec<_>>(), ["a", "d", "e", "h"]);
}
