//! Plan: the changes from the service's state to the manifest.
//!
//! Pure. Keys are matched by their masked form, the first and last four characters. Keys with the
//! same masked form are ambiguous and are not changed or removed.

use std::collections::{BTreeMap, HashMap};

use pool_shared::{
    ClientKey, ClientKeyCreate, ClientKeyId, ClientKeyUpdate, GeminiKey, HashedClientKeys, Key, KeyChange,
    KeyId, KeyImportEntry, Pool, PoolId, PoolUpdate, Weight,
};
use serde::Serialize;

use super::spec::{ClientKeySpec, PoolSpec};
use crate::output::counted;

/// Kind of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Create.
    Create,
    /// Update.
    Update,
    /// Delete.
    Delete,
}

/// A change.
#[derive(Debug, Serialize)]
pub struct Change {
    /// The kind of change.
    pub action: Action,
    /// The kind of object: `pool`, `keys`, `client_key`.
    pub kind: &'static str,
    /// The pool.
    pub pool: String,
    /// The description.
    pub detail: String,
    /// The calls of `apply`.
    #[serde(skip)]
    pub step: Step,
}

/// A change as calls of the admin API.
#[derive(Debug)]
pub enum Step {
    CreatePool { enabled: bool, entries: Vec<KeyImportEntry>, client_keys: FirstClientKeys },
    UpdatePool(PoolId, PoolUpdate),
    Import(PoolId, Vec<KeyImportEntry>),
    SetKeys(PoolId, Vec<(KeyId, KeyChange)>),
    RemoveKeys(PoolId, Vec<KeyId>),
    CreateClientKey(PoolId, ClientKeySpec),
    NewClientKey(PoolId, ClientKeyCreate),
    RestoreClientKeys(PoolId, HashedClientKeys),
    UpdateClientKey(PoolId, ClientKeyId, ClientKeyUpdate),
    RevokeClientKey(PoolId, ClientKeyId),
    DeletePool(PoolId),
}

/// The client keys of a new pool.
#[derive(Debug)]
pub enum FirstClientKeys {
    /// A new one, which is shown.
    One,
    /// Those of a manifest, written to files.
    Files(Vec<ClientKeySpec>),
    /// Those of a backup: restored from hashes, and new ones that are shown.
    Saved { hashed: Option<HashedClientKeys>, new: Vec<ClientKeyCreate> },
}

/// The service's state of one pool; lists that the manifest does not have are not fetched.
pub struct Present {
    pub pool: Pool,
    pub keys: Vec<Key>,
    pub client_keys: Vec<ClientKey>,
}

/// Returns the change for a new pool.
pub fn new_pool(
    name: &str,
    spec: &PoolSpec,
    entries: Option<Vec<KeyImportEntry>>,
    client_keys: FirstClientKeys,
) -> Change {
    let entries = entries.unwrap_or_default();
    let mut detail = format!("with {}", counted(entries.len(), "key"));
    if let FirstClientKeys::Saved { hashed, new } = &client_keys {
        let hashed = hashed.as_ref().map_or(0, |hashed| hashed.client_keys.len());
        let with_new =
            if new.is_empty() { String::new() } else { format!(", {} with a new secret", new.len()) };
        detail = format!("{detail} and {}{with_new}", counted(hashed + new.len(), "client key"));
    }
    let enabled = spec.enabled.unwrap_or(true);
    let step = Step::CreatePool { enabled, entries, client_keys };
    Change { action: Action::Create, kind: "pool", pool: name.to_owned(), detail, step }
}

/// Returns the change for a pool to delete.
pub fn old_pool(pool: &Pool) -> Change {
    Change {
        action: Action::Delete,
        kind: "pool",
        pool: pool.name.clone(),
        detail: format!("with {}", counted(pool.keys, "key")),
        step: Step::DeletePool(pool.id.clone()),
    }
}

/// Meaning of an absent field: unchanged (manifest) or the default (backup).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absent {
    /// A manifest.
    Stays,
    /// A backup.
    IsDefault,
}

/// Returns the changes of an existing pool, and notes about changes that are not made.
pub fn changes(
    spec: &PoolSpec,
    present: &Present,
    entries: Option<&[KeyImportEntry]>,
    prune: bool,
    absent: Absent,
) -> (Vec<Change>, Vec<String>) {
    let Present { pool, keys, client_keys } = present;
    let (mut changes, mut notes) = (Vec::new(), Vec::new());
    let mut add = |action, kind, detail: String, step| {
        changes.push(Change { action, kind, pool: pool.name.clone(), detail, step });
    };
    let (update, fields) = settings(spec, pool, absent);
    if !fields.is_empty() {
        add(Action::Update, "pool", fields.join(", "), Step::UpdatePool(pool.id.clone(), update));
    }
    if let Some(entries) = entries {
        let found = compare(entries, keys, absent);
        if !found.missing.is_empty() {
            let detail = format!("{} new", found.missing.len());
            add(Action::Create, "keys", detail, Step::Import(pool.id.clone(), found.missing));
        }
        if !found.different.is_empty() {
            let detail = format!("{} with changed weight, tag or name", found.different.len());
            add(Action::Update, "keys", detail, Step::SetKeys(pool.id.clone(), found.different));
        }
        if found.unclear > 0 {
            notes.push(format!(
                "pool {}: {} ambiguous (same masked form as others), not changed",
                pool.name,
                counted(found.unclear, "key")
            ));
        }
        match found.surplus {
            surplus if surplus.is_empty() => {}
            surplus if prune => {
                let detail = format!("{} not in any key file", surplus.len());
                add(Action::Delete, "keys", detail, Step::RemoveKeys(pool.id.clone(), surplus));
            }
            surplus => notes.push(format!(
                "pool {}: {} not in its key files; use --prune to remove",
                pool.name,
                counted(surplus.len(), "key")
            )),
        }
    }
    if let Some(wanted) = &spec.client_keys {
        for spec in wanted.iter().filter(|spec| !client_keys.iter().any(|key| key.name == spec.name)) {
            let detail = format!("{}, written to {}", spec.name, spec.file.display());
            add(Action::Create, "client_key", detail, Step::CreateClientKey(pool.id.clone(), spec.clone()));
        }
        let surplus = client_keys.iter().filter(|key| !wanted.iter().any(|spec| spec.name == key.name));
        for key in surplus.filter(|_| prune) {
            let detail = format!("{} ({})", key.name, key.id);
            add(Action::Delete, "client_key", detail, Step::RevokeClientKey(pool.id.clone(), key.id.clone()));
        }
    }
    (changes, notes)
}

/// Returns the settings that differ, as an update and as text.
fn settings(spec: &PoolSpec, pool: &Pool, absent: Absent) -> (PoolUpdate, Vec<String>) {
    fn differing<T: PartialEq + Clone + Serialize>(
        name: &str,
        wanted: Option<&T>,
        present: &T,
        fields: &mut Vec<String>,
    ) -> Option<T> {
        let wanted = wanted.filter(|wanted| *wanted != present)?;
        let text = |value: &T| serde_json::to_string(value).unwrap_or_default();
        fields.push(format!("{name} {} -> {}", text(present), text(wanted)));
        Some(wanted.clone())
    }
    let mut fields = Vec::new();
    let settings = &pool.settings;
    let translation = spec.translation.clone().map(|wanted| match absent {
        Absent::Stays => wanted,
        Absent::IsDefault => settings.translation.changes_to(&wanted.into_settings()),
    });
    let translation = translation.filter(|wanted| settings.translation.changes_with(wanted));
    if let Some(wanted) = &translation {
        fields.push(format!("translation {}", serde_json::to_string(wanted).unwrap_or_default()));
    }
    let update = PoolUpdate {
        name: None,
        description: differing("description", spec.description.as_ref(), &pool.description, &mut fields),
        enabled: differing("enabled", spec.enabled.as_ref(), &pool.enabled, &mut fields),
        allowed_models: differing(
            "allowed_models",
            spec.allowed_models.as_ref(),
            &pool.allowed_models,
            &mut fields,
        ),
        aliases: differing("aliases", spec.aliases.as_ref(), &settings.aliases, &mut fields),
        fallbacks: differing("fallbacks", spec.fallbacks.as_ref(), &settings.fallbacks, &mut fields),
        sticky: differing("sticky", spec.sticky.as_ref(), &settings.sticky, &mut fields),
        pass_through: differing(
            "pass_through",
            spec.pass_through.as_ref(),
            &settings.pass_through,
            &mut fields,
        ),
        separate_billing: differing(
            "separate_billing",
            spec.separate_billing.as_ref(),
            &settings.separate_billing,
            &mut fields,
        ),
        model_limits: differing(
            "model_limits",
            spec.model_limits.as_ref(),
            &settings.model_limits,
            &mut fields,
        ),
        translation: translation.unwrap_or_default(),
    };
    (update, fields)
}

#[derive(Default)]
struct Compared {
    missing: Vec<KeyImportEntry>,
    different: Vec<(KeyId, KeyChange)>,
    surplus: Vec<KeyId>,
    /// Number of ambiguous keys.
    unclear: usize,
}

fn compare(entries: &[KeyImportEntry], keys: &[Key], absent: Absent) -> Compared {
    let mut present: HashMap<&str, Vec<&Key>> = HashMap::new();
    for key in keys {
        present.entry(key.masked.as_str()).or_default().push(key);
    }
    let mut wanted: BTreeMap<String, Vec<&KeyImportEntry>> = BTreeMap::new();
    for entry in entries {
        let masked = GeminiKey::parse(entry.key.expose()).map(|key| key.masked()).unwrap_or_default();
        wanted.entry(masked).or_default().push(entry);
    }
    let mut compared = Compared::default();
    for (masked, entries) in &wanted {
        match (entries.as_slice(), present.get(masked.as_str()).map_or(&[][..], Vec::as_slice)) {
            ([entry], [key]) => {
                if let Some(change) = difference(entry, key, absent) {
                    compared.different.push((key.id.clone(), change));
                }
            }
            // An import of existing keys changes nothing, so all keys of an ambiguous group are
            // sent.
            (entries, keys) if entries.len() > keys.len() => {
                compared.missing.extend(entries.iter().map(|entry| (*entry).clone()));
            }
            (entries, keys) => compared.unclear += keys.len() - entries.len(),
        }
    }
    let surplus = keys.iter().filter(|key| !wanted.contains_key(&key.masked));
    compared.surplus = surplus.map(|key| key.id.clone()).collect();
    compared.missing.sort_by_key(|entry| entry.line);
    compared
}

/// Returns the fields of a key that differ; absent fields of a manifest are unchanged.
fn difference(entry: &KeyImportEntry, key: &Key, absent: Absent) -> Option<KeyChange> {
    let says = |is_default: bool| absent == Absent::IsDefault || !is_default;
    let text = |wanted: &str, present: &str| {
        (says(wanted.is_empty()) && wanted != present).then(|| wanted.to_owned())
    };
    let change = KeyChange {
        enabled: None,
        weight: Some(entry.weight)
            .filter(|weight| says(*weight == Weight::default()) && *weight != key.weight),
        name: text(&entry.name, &key.name),
        tag: text(&entry.tag, &key.tag),
        project: text(&entry.project, &key.project),
        billing_account: text(&entry.billing_account, &key.billing_account),
        limits: Some(entry.limits).filter(|limits| says(limits.is_empty()) && *limits != key.limits),
    };
    (change != KeyChange::default()).then_some(change)
}

#[cfg(test)]
mod tests {
    use pool_shared::parse_key_file;
    use serde_json::json;

    use super::*;

    fn present(masked: &[&str]) -> Present {
        let time = "2026-11-03T12:00:00Z";
        let pool = json!({"id": "pool-1", "name": "prod", "description": "", "enabled": true, "allowed_models": [],
            "aliases": {}, "fallbacks": {}, "sticky": false, "keys": 1, "enabled_keys": 1, "version": 1,
            "created_at": time, "updated_at": time});
        let key = |(number, masked): (usize, &&str)| {
            serde_json::from_value(json!({"id": format!("key-{number}"), "masked": masked, "fingerprint": "",
                "weight": 1, "enabled": true, "created_at": time, "updated_at": time}))
            .unwrap()
        };
        Present {
            pool: serde_json::from_value(pool).unwrap(),
            keys: masked.iter().enumerate().map(key).collect(),
            client_keys: Vec::new(),
        }
    }

    fn key(end: &str) -> String {
        format!("AIzaSyA-aaaaaaaaaaaaaaaaaaaaaaaaaaa{end}")
    }

    fn kinds(changes: &[Change]) -> Vec<(Action, &'static str, &str)> {
        changes.iter().map(|change| (change.action, change.kind, change.detail.as_str())).collect()
    }

    #[test]
    fn what_is_as_it_should_be_has_no_changes() {
        let spec = PoolSpec { enabled: Some(true), description: Some(String::new()), ..PoolSpec::default() };
        let entries = parse_key_file(&key("0001")).entries;
        let (found, notes) = changes(&spec, &present(&["AIza…0001"]), Some(&entries), true, Absent::Stays);
        assert!(found.is_empty() && notes.is_empty(), "{found:?} {notes:?}");
    }

    #[test]
    fn settings_and_keys_that_differ_are_named() {
        let spec = PoolSpec { sticky: Some(true), ..PoolSpec::default() };
        let text = format!("{},3\n{}\n", key("0001"), key("0002"));
        let entries = parse_key_file(&text).entries;
        let there = present(&["AIza…0001", "AIza…0003"]);
        let (found, notes) = changes(&spec, &there, Some(&entries), false, Absent::Stays);
        assert_eq!(
            kinds(&found),
            [
                (Action::Update, "pool", "sticky false -> true"),
                (Action::Create, "keys", "1 new"),
                (Action::Update, "keys", "1 with changed weight, tag or name"),
            ]
        );
        assert_eq!(notes, ["pool prod: 1 key not in its key files; use --prune to remove"]);
        let (found, _) = changes(&PoolSpec::default(), &there, Some(&entries), true, Absent::Stays);
        assert_eq!(kinds(&found).last(), Some(&(Action::Delete, "keys", "1 not in any key file")));
    }

    #[test]
    fn keys_that_look_alike_are_never_removed() {
        let entries = parse_key_file(&key("0001")).entries;
        let (found, notes) = changes(
            &PoolSpec::default(),
            &present(&["AIza…0001", "AIza…0001"]),
            Some(&entries),
            true,
            Absent::Stays,
        );
        assert!(found.is_empty());
        assert_eq!(notes, ["pool prod: 1 key ambiguous (same masked form as others), not changed"]);
    }

    #[test]
    fn keys_that_the_manifest_leaves_alone_stay() {
        let (found, notes) =
            changes(&PoolSpec::default(), &present(&["AIza…0001"]), None, true, Absent::Stays);
        assert!(found.is_empty() && notes.is_empty());
    }
}
