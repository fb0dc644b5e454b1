//! Changes of client keys in a restore.
//!
//! Pure: compares the backup's client keys with those of the service. Client keys are matched by
//! id. A client key that cannot be restored from its hash is matched by name, because an earlier
//! restore may have created a replacement.

use jiff::Timestamp;
use pool_shared::{
    ClientKey, ClientKeyCreate, ClientKeyId, ClientKeyRules, ClientKeyUpdate, HashedClientKey,
    HashedClientKeys, Pool,
};
use serde::Serialize;

use super::file::SavedClientKey;
use crate::{
    commands::manifest::{Action, Change, Step},
    output::counted,
};

/// The changes.
#[derive(Debug, Default)]
pub struct Compared {
    /// Restored from their hashes.
    pub hashed: Option<HashedClientKeys>,
    /// Created with new secrets.
    pub new: Vec<ClientKeyCreate>,
    /// Updated, with a description of the difference.
    pub updated: Vec<(ClientKeyId, ClientKeyUpdate, String)>,
    /// Not in the backup.
    pub surplus: Vec<ClientKey>,
}

/// Compares both sides. `hashes` is the key of the backup's hashes if the service has the same one.
/// Expired client keys are ignored on both sides.
pub fn compare(
    saved: &[SavedClientKey],
    present: &[ClientKey],
    hashes: Option<&str>,
    now: Timestamp,
) -> Compared {
    let mut left: Vec<&ClientKey> = present.iter().collect();
    let mut take = |is: &dyn Fn(&ClientKey) -> bool| {
        let at = left.iter().position(|key| is(key))?;
        Some(left.remove(at))
    };
    let (mut compared, mut known, mut unknown) = (Compared::default(), Vec::new(), Vec::new());
    for wanted in saved.iter().filter(|key| is_alive(key.expires_at, now)) {
        match (take(&|key| key.id == wanted.id), &wanted.hash) {
            (Some(key), _) => compared.updated.extend(difference(wanted, key)),
            (None, Some(hash)) if hashes.is_some() => known.push(with_hash(wanted, hash.clone())),
            (None, _) => unknown.push(wanted),
        }
    }
    // Of several with one name, equal ones are matched first, so that a second restore changes
    // nothing.
    let same = |wanted: &SavedClientKey, key: &ClientKey| {
        key.name == wanted.name && is_alive(key.expires_at, now) && difference(wanted, key).is_none()
    };
    unknown.retain(|wanted| take(&|key| same(wanted, key)).is_none());
    for wanted in unknown {
        match take(&|key| key.name == wanted.name && is_alive(key.expires_at, now)) {
            Some(key) => compared.updated.extend(difference(wanted, key)),
            None => compared.new.push(anew(wanted)),
        }
    }
    compared.surplus = left.into_iter().filter(|key| is_alive(key.expires_at, now)).cloned().collect();
    compared.hashed = hashes.filter(|_| !known.is_empty()).map(|token_hash_key| HashedClientKeys {
        token_hash_key: token_hash_key.to_owned(),
        client_keys: known,
    });
    compared
}

fn is_alive(expires_at: Option<Timestamp>, now: Timestamp) -> bool {
    expires_at.is_none_or(|end| end > now)
}

fn with_hash(key: &SavedClientKey, hash: pool_shared::Secret) -> HashedClientKey {
    let ClientKeyRules { limits, allowed_models, allowed_networks } = key.rules.clone();
    HashedClientKey {
        id: key.id.clone(),
        name: key.name.clone(),
        hint: key.hint.clone(),
        hash,
        expires_at: key.expires_at,
        weak: key.weak,
        limits,
        allowed_models,
        allowed_networks,
    }
}

fn anew(key: &SavedClientKey) -> ClientKeyCreate {
    let ClientKeyRules { limits, allowed_models, allowed_networks } = key.rules.clone();
    let (name, expires_at) = (key.name.clone(), key.expires_at);
    ClientKeyCreate {
        name,
        expires_in_s: None,
        expires_at,
        limits,
        allowed_models,
        allowed_networks,
        trial: false,
    }
}

/// Returns the update that makes `key` equal to the backup; `None` if it is equal.
fn difference(wanted: &SavedClientKey, key: &ClientKey) -> Option<(ClientKeyId, ClientKeyUpdate, String)> {
    fn field<T: PartialEq + Clone + Serialize>(
        name: &str,
        wanted: &T,
        present: &T,
        fields: &mut Vec<String>,
    ) -> Option<T> {
        let text = |value: &T| serde_json::to_string(value).unwrap_or_default();
        (wanted != present).then(|| {
            fields.push(format!("{name} {} -> {}", text(present), text(wanted)));
            wanted.clone()
        })
    }
    let mut fields = Vec::new();
    // Every field is listed, so that a new one does not compile until it is added here.
    let ClientKeyRules { limits, allowed_models, allowed_networks } = &wanted.rules;
    let name = field("name", &wanted.name, &key.name, &mut fields);
    let limits = field("limits", limits, &key.rules.limits, &mut fields);
    let allowed_models = field("models", allowed_models, &key.rules.allowed_models, &mut fields);
    let allowed_networks = field("networks", allowed_networks, &key.rules.allowed_networks, &mut fields);
    let expiry = field("expires_at", &wanted.expires_at, &key.expires_at, &mut fields);
    let update = ClientKeyUpdate {
        name,
        // A zero duration means no expiry.
        expires_in_s: (expiry == Some(None)).then_some(0),
        expires_at: expiry.flatten(),
        limits,
        allowed_models,
        allowed_networks,
    };
    let shown = name_or_id(&key.name, &key.id);
    (!fields.is_empty()).then(|| (key.id.clone(), update, format!("{shown}: {}", fields.join(", "))))
}

/// Returns the name, or the id if it has no name.
fn name_or_id<'k>(name: &'k str, id: &'k ClientKeyId) -> &'k str {
    if name.is_empty() { id.as_str() } else { name }
}

impl Compared {
    /// Returns the changes of an existing pool, and notes about changes that are not made.
    pub fn changes(self, pool: &Pool, prune: bool) -> (Vec<Change>, Option<String>) {
        let mut changes = Vec::new();
        let mut add = |action, detail: String, step| {
            changes.push(Change { action, kind: "client_key", pool: pool.name.clone(), detail, step });
        };
        if let Some(hashed) = self.hashed {
            let names = hashed.client_keys.iter().map(|key| name_or_id(&key.name, &key.id));
            let names: Vec<_> = names.collect();
            let detail = format!("{}, with their secrets", names.join(", "));
            add(Action::Create, detail, Step::RestoreClientKeys(pool.id.clone(), hashed));
        }
        for create in self.new {
            let name = if create.name.is_empty() { "unnamed" } else { &create.name };
            let detail = format!("{name}, with a new secret");
            add(Action::Create, detail, Step::NewClientKey(pool.id.clone(), create));
        }
        for (id, update, detail) in self.updated {
            add(Action::Update, detail, Step::UpdateClientKey(pool.id.clone(), id, update));
        }
        let surplus = self.surplus;
        let note = (!prune && !surplus.is_empty()).then(|| {
            let keys = counted(surplus.len(), "client key");
            format!("pool {}: {keys} not in the backup; use --prune to remove", pool.name)
        });
        for key in surplus.into_iter().filter(|_| prune) {
            let detail = format!("{} ({})", key.name, key.id);
            add(Action::Delete, detail, Step::RevokeClientKey(pool.id.clone(), key.id));
        }
        (changes, note)
    }
}

#[cfg(test)]
mod tests;
