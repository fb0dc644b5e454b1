//! JSON mutator for libFuzzer.
//!
//! Random byte changes rarely produce valid JSON, so most runs would end in the parser. This
//! mutator adds, removes, renames or replaces members with values of the document and words of a
//! dictionary. Input that is not JSON, and one input in eight, uses libFuzzer's own mutator.

use fastrand::Rng;
use serde_json::{Map, Value};

/// Mutates the first `size` bytes of `data`, which has room for `max_size`. Returns the new size.
/// `dictionary` is the text of the target's dictionary.
pub fn mutate(data: &mut [u8], size: usize, max_size: usize, seed: u32, dictionary: &str) -> usize {
    let mut rng = Rng::with_seed(seed.into());
    let parsed = serde_json::from_slice::<Value>(&data[..size]).ok().filter(|_| rng.u8(..) >= 32);
    let changed = parsed.map(|mut value| {
        let donors = Donors::of(&value, dictionary);
        for _ in 0..rng.usize(1..=4) {
            change(&mut value, &donors, &mut rng);
        }
        value.to_string()
    });
    match changed.filter(|text| text.len() <= max_size.min(data.len())) {
        Some(text) => {
            data[..text.len()].copy_from_slice(text.as_bytes());
            text.len()
        }
        None => libfuzzer_sys::fuzzer_mutate(data, size, max_size),
    }
}

/// Values that can be inserted.
struct Donors {
    words: Vec<String>,
    values: Vec<Value>,
}

impl Donors {
    /// Collects the document's own values, the dictionary's words, and edge cases of numbers and
    /// texts.
    fn of(document: &Value, dictionary: &str) -> Self {
        let quoted = |line: &str| Some(line.strip_prefix("\"\\\"")?.strip_suffix("\\\"\"")?.to_owned());
        let words: Vec<String> = dictionary.lines().filter_map(quoted).collect();
        let mut values: Vec<Value> = serde_json::from_str(
            r##"[null, true, false, 0, -1, 1.5, 1e308, 18446744073709551615, "", " ", "#", "\u0000é🌍", [], {}, [[]], {"": {}}]"##,
        )
        .unwrap_or_default();
        collect(document, &mut values);
        Self { words, values }
    }

    fn value(&self, rng: &mut Rng) -> Value {
        match rng.bool() {
            true => self.word(rng).into(),
            false => rng.choice(&self.values).cloned().unwrap_or_default(),
        }
    }

    fn word(&self, rng: &mut Rng) -> String {
        rng.choice(&self.words).cloned().unwrap_or_default()
    }
}

/// Collects all values inside a document.
fn collect(value: &Value, found: &mut Vec<Value>) {
    let mut keep = |member: &Value| {
        found.push(member.clone());
        collect(member, found);
    };
    match value {
        Value::Object(members) => members.values().for_each(&mut keep),
        Value::Array(items) => items.iter().for_each(&mut keep),
        _ => {}
    }
}

/// Applies one change at a random place.
fn change(document: &mut Value, donors: &Donors, rng: &mut Rng) {
    let place = somewhere(document, rng);
    match (rng.u8(..8), place) {
        (0, place) => *place = donors.value(rng),
        (1, place) => {
            let inner = place.take();
            *place = Map::from_iter([(donors.word(rng), inner)]).into();
        }
        (2, place) => *place = vec![place.take()].into(),
        (3, Value::Object(members)) => {
            if let Some(name) = rng.choice(members.keys()).cloned() {
                members.remove(&name);
            }
        }
        (4, Value::Object(members)) => {
            if let Some(name) = rng.choice(members.keys()).cloned() {
                let member = members.remove(&name).unwrap_or_default();
                members.insert(donors.word(rng), member);
            }
        }
        (_, Value::Object(members)) => {
            members.insert(donors.word(rng), donors.value(rng));
        }
        (3 | 4, Value::Array(items)) if !items.is_empty() => {
            items.swap_remove(rng.usize(..items.len()));
        }
        (_, Value::Array(items)) => items.insert(rng.usize(..=items.len()), donors.value(rng)),
        (_, place) => *place = donors.value(rng),
    }
}

/// Returns a random value of the document, possibly itself.
fn somewhere<'v>(value: &'v mut Value, rng: &mut Rng) -> &'v mut Value {
    let members = match value {
        Value::Object(members) => members.len(),
        Value::Array(items) => items.len(),
        _ => 0,
    };
    if members == 0 || rng.u8(..5) == 0 {
        return value;
    }
    let chosen = rng.usize(..members);
    match value {
        Value::Object(members) => match members.values_mut().nth(chosen) {
            Some(member) => somewhere(member, rng),
            None => unreachable!("it is within the length"),
        },
        Value::Array(items) => somewhere(&mut items[chosen], rng),
        scalar => scalar,
    }
}
