//! Reads which modules of a crate import which, and compares that with a table of layers.

#![allow(clippy::unwrap_used, reason = "a test that cannot read its sources fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A table of layers: each module and the modules that it may import, the lowest layer first.
pub type Layers = [(&'static str, &'static [&'static str])];

/// Returns what in a folder of sources contradicts the table.
pub fn violations(source: &Path, layers: &Layers) -> Vec<String> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for path in files(source) {
        let module = module_of(path.strip_prefix(source).unwrap());
        let code = production_code(&path);
        found.entry(module).or_default().extend(imports(&code));
    }
    let mut below: BTreeSet<&str> = BTreeSet::new();
    let mut wrong = Vec::new();
    for (module, allowed) in layers {
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
    wrong
}

/// Returns a file's code without its tests, which may use modules above their own.
fn production_code(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let is_below_tests = path.components().any(|part| part.as_os_str().to_string_lossy().ends_with("tests"));
    if name.ends_with("tests.rs") || is_below_tests {
        return String::new();
    }
    let text = fs::read_to_string(path).unwrap();
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let mut lines = Vec::new();
    let mut only_tests = false;
    for line in code.lines() {
        if std::mem::take(&mut only_tests) {
            continue;
        }
        only_tests = line.trim() == "#[cfg(test)]" || line.trim() == "#[cfg(any(test, fuzzing))]";
        lines.push(line);
    }
    lines.join("\n")
}

/// Returns the top-level module that a file belongs to.
fn module_of(path: &Path) -> String {
    let first = path.iter().next().unwrap_or_default().to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

/// Returns the names that follow `crate::`, also those of a group in braces.
pub fn imports(code: &str) -> BTreeSet<String> {
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
