//! References inside a schema: their targets, and which of them are recursive.

use std::cell::Cell;
use std::collections::{HashMap, HashSet, VecDeque};

use percent_encoding::percent_decode_str;
use serde_json::Value;

/// How many nodes are looked at to find the circles. Beyond, every reference counts as recursive, which keeps it.
const MAX_STEPS: usize = 200_000;

/// Where a reference leads.
pub(super) enum Reference<'s> {
    /// Out of the document, or nowhere.
    Unknown,
    /// To something that refers to itself.
    Recursive,
    /// To something that does not.
    Plain(&'s Value),
}

/// The references of one document.
pub(super) struct References<'s> {
    targets: HashMap<&'s str, Option<&'s Value>>,
    recursive: HashSet<&'s str>,
    names: HashMap<&'s str, String>,
    by_name: HashMap<String, &'s str>,
}

impl<'s> References<'s> {
    pub(super) fn new(root: &'s Value) -> Self {
        let steps = Cell::new(0);
        let mut all = Vec::new();
        // Linear, and so without limit: what is not found here would be lost.
        collect(root, &mut all, &Cell::new(0), usize::MAX);
        let mut targets = HashMap::new();
        for reference in &all {
            targets.entry(*reference).or_insert_with(|| follow(root, reference));
        }
        let mut inside: HashMap<&str, Vec<&str>> = HashMap::new();
        for (reference, target) in &targets {
            let mut found = Vec::new();
            if let Some(target) = target {
                collect(target, &mut found, &steps, MAX_STEPS);
            }
            inside.insert(reference, found);
        }
        let exhausted = steps.get() >= MAX_STEPS;
        let recursive = targets
            .keys()
            .copied()
            .filter(|reference| exhausted || reaches_itself(reference, &inside, &steps));
        let recursive = recursive.collect();
        let names = names(&all, &targets);
        let by_name = names.iter().map(|(reference, name)| (name.clone(), *reference)).collect();
        Self { targets, recursive, names, by_name }
    }

    pub(super) fn target(&self, reference: &str) -> Option<&'s Value> {
        self.targets.get(reference).copied().flatten()
    }

    pub(super) fn resolve(&self, reference: &str) -> Reference<'s> {
        match self.target(reference) {
            None => Reference::Unknown,
            Some(_) if self.recursive.contains(reference) => Reference::Recursive,
            Some(target) => Reference::Plain(target),
        }
    }

    /// Returns the name of what a kept reference leads to, among the definitions.
    fn name(&self, reference: &str) -> &str {
        self.names.get(reference).map_or("Definition", String::as_str)
    }

    /// Returns the reference whose target has this name.
    pub(super) fn by_name(&self, name: &str) -> Option<&'s str> {
        self.by_name.get(name).copied()
    }

    /// Returns a kept reference, as it reads in the normalised document.
    pub(super) fn definition(&self, reference: &str) -> String {
        if reference == "#" { "#".to_owned() } else { format!("#/$defs/{}", self.name(reference)) }
    }
}

/// Returns the names of the definitions that a normalised schema refers to, in their order.
pub(super) fn definitions_in(schema: &Value) -> VecDeque<String> {
    let mut references = Vec::new();
    collect(schema, &mut references, &Cell::new(0), usize::MAX);
    references
        .into_iter()
        .filter_map(|reference| reference.strip_prefix("#/$defs/"))
        .map(ToOwned::to_owned)
        .collect()
}

pub(super) fn follow<'s>(root: &'s Value, reference: &str) -> Option<&'s Value> {
    let fragment = reference.strip_prefix('#')?;
    let pointer = percent_decode_str(fragment).decode_utf8().ok()?;
    root.pointer(&pointer).filter(|target| is_target(target))
}

/// Returns the paths of everything that references lead to.
pub(super) fn targets(root: &Value) -> HashSet<String> {
    let mut references = Vec::new();
    collect(root, &mut references, &Cell::new(0), usize::MAX);
    let path = |reference: &str| {
        Some(percent_decode_str(reference.strip_prefix('#')?).decode_utf8().ok()?.into_owned())
    };
    references.into_iter().filter_map(path).collect()
}

/// Returns `true` if a reference may lead to it.
pub(super) fn is_target(value: &Value) -> bool {
    value.is_object() || value.is_boolean()
}

fn collect<'s>(value: &'s Value, found: &mut Vec<&'s str>, steps: &Cell<usize>, most: usize) {
    steps.set(steps.get() + 1);
    if steps.get() > most {
        return;
    }
    match value {
        Value::Object(members) => {
            if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
                found.push(reference);
            }
            members.values().for_each(|member| collect(member, found, steps, most));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, found, steps, most)),
        _ => {}
    }
}

fn reaches_itself(start: &str, inside: &HashMap<&str, Vec<&str>>, steps: &Cell<usize>) -> bool {
    let mut seen = HashSet::new();
    let mut open: Vec<&str> = inside.get(start).into_iter().flatten().copied().collect();
    while let Some(reference) = open.pop() {
        steps.set(steps.get() + 1);
        if reference == start || steps.get() > MAX_STEPS {
            return true;
        }
        if seen.insert(reference) {
            open.extend(inside.get(reference).into_iter().flatten());
        }
    }
    false
}

/// Returns a name for each target: the last segment of its path, made unique and safe in a path.
fn names<'s>(all: &[&'s str], targets: &HashMap<&'s str, Option<&'s Value>>) -> HashMap<&'s str, String> {
    let mut names: HashMap<&str, String> = HashMap::new();
    let mut taken: HashSet<String> = HashSet::new();
    let mut counts: HashMap<String, usize> = HashMap::new();
    for reference in all {
        if names.contains_key(reference) || targets.get(reference).copied().flatten().is_none() {
            continue;
        }
        let last = reference.rsplit('/').next().unwrap_or_default();
        let last = percent_decode_str(last).decode_utf8_lossy();
        let safe = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.') { c } else { '_' };
        let base: String = last.chars().map(safe).collect();
        let base = if base.is_empty() || *reference == "#" { "Root".to_owned() } else { base };
        let mut name = base.clone();
        while !taken.insert(name.clone()) {
            let count = counts.entry(base.clone()).or_insert(1);
            *count += 1;
            name = format!("{base}_{count}");
        }
        names.insert(reference, name);
    }
    names
}
