//! Gemini keys in a JSON text, as tools export them: arrays of keys, or objects with a member `key`.

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::{KeyImportEntry, MalformedEntry, Weight, read_key};

/// An entry, or the reason why a part of the text is none.
pub(crate) type ParsedEntry = Result<KeyImportEntry, MalformedEntry>;

const NO_KEYS: &str =
    "JSON without Gemini keys: an array of keys is expected, or objects with a member \"key\"";
const SERVICE_ACCOUNT: &str =
    "a service account or OAuth file, not API keys: create those at https://aistudio.google.com/apikey";

/// Reads every key of a text that begins like JSON, or rejects all of it.
pub(crate) fn read(text: &str) -> Vec<ParsedEntry> {
    let documents = match documents(text) {
        Ok(documents) => documents,
        Err((line, column)) => {
            let reason = format!("begins like JSON and is none (line {line}, column {column})");
            return vec![Err(MalformedEntry { line, reason })];
        }
    };
    if documents.iter().any(holds_credentials) {
        return vec![Err(MalformedEntry { line: 1, reason: SERVICE_ACCOUNT.to_owned() })];
    }
    let mut reader = Reader { text, next: HashMap::new(), last: (0, 1), found: Vec::new() };
    for document in &documents {
        reader.read(document, true);
    }
    if reader.found.is_empty() {
        return vec![Err(MalformedEntry { line: 1, reason: NO_KEYS.to_owned() })];
    }
    reader.found
}

/// One document, or one a line.
fn documents(text: &str) -> Result<Vec<Value>, (u64, u64)> {
    let whole = match serde_json::from_str(text) {
        Ok(document) => return Ok(vec![document]),
        Err(error) => (error.line() as u64, error.column() as u64),
    };
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    lines.map(serde_json::from_str).collect::<Result<_, _>>().map_err(|_| whole)
}

/// Returns `true` if a document holds other credentials of Google: no part of it is to be taken for a key.
fn holds_credentials(value: &Value) -> bool {
    match value {
        Value::Object(members) => {
            members.contains_key("private_key")
                || members.contains_key("client_secret")
                || members.contains_key("refresh_token")
                || members.values().any(holds_credentials)
        }
        Value::Array(items) => items.iter().any(holds_credentials),
        _ => false,
    }
}

/// Returns `true` if a member of this name holds a key, or a list of them.
fn names_a_key(name: &str) -> bool {
    let name = name.to_lowercase();
    name.contains("key") && !["id", "ids", "name", "names"].iter().any(|end| name.ends_with(end))
}

struct Reader<'a> {
    text: &'a str,
    /// Where to look for a key's text next, so that one that is twice is found at both places.
    next: HashMap<String, usize>,
    /// Where the last one was found, and the line of that place.
    last: (usize, u64),
    found: Vec<ParsedEntry>,
}

impl Reader<'_> {
    fn read(&mut self, value: &Value, strings_are_keys: bool) {
        match value {
            Value::Array(items) => {
                for item in items {
                    match item {
                        Value::String(key) if strings_are_keys => self.push(key, &Map::new()),
                        item => self.read(item, strings_are_keys),
                    }
                }
            }
            Value::Object(members) => {
                for (name, value) in members {
                    match value {
                        Value::String(key) if names_a_key(name) => self.push(key, members),
                        value => self.read(value, names_a_key(name)),
                    }
                }
            }
            _ => {}
        }
    }

    fn push(&mut self, text: &str, members: &Map<String, Value>) {
        let line = self.line_of(text);
        let label = |name: &str| members.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let weight = match members.get("weight") {
            None | Some(Value::Null) => Ok(Weight::default()),
            Some(weight) => {
                weight.to_string().trim_matches('"').parse::<Weight>().map_err(|error| error.to_string())
            }
        };
        let entry = weight.and_then(|weight| {
            let key = read_key(text).map_err(|error| error.to_string())?;
            let plain = KeyImportEntry::of(&key);
            Ok(KeyImportEntry {
                line: Some(line),
                weight,
                tag: label("tag"),
                name: label("name"),
                project: label("project"),
                ..plain
            })
        });
        self.found.push(entry.map_err(|reason| MalformedEntry { line, reason }));
    }

    /// Returns the line of a key's text. Keys come in the order of the text, so that it is gone through once.
    fn line_of(&mut self, text: &str) -> u64 {
        let quoted = Value::String(text.to_owned()).to_string();
        let find = |from: usize| Some(from + self.text.get(from..)?.find(&quoted)?);
        let next = self.next.get(&quoted).copied().unwrap_or_default();
        let at = find(next.max(self.last.0)).or_else(|| find(next));
        // One that is written with escapes is not found; it is near the last one.
        let Some(at) = at else { return self.last.1 };
        self.next.insert(quoted, at + 1);
        let (from, line) = if at >= self.last.0 { self.last } else { (0, 1) };
        let breaks =
            self.text.get(from..at).unwrap_or_default().bytes().filter(|byte| *byte == b'\n').count();
        self.last = (at, line + breaks as u64);
        self.last.1
    }
}
