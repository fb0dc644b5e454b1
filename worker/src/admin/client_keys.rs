//! Client keys: list, create, import, change, rotate, revoke.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use pool_shared::{
    ClientKey, ClientKeyCreate, ClientKeyCreated, ClientKeyId, ClientKeyImport, ClientKeyImportReport,
    ClientKeyList, ClientKeyRotate, ClientKeyRules, ClientKeyUpdate, ClientKeyUpdated, ImportedClientKey,
    PoolId, Secret, TokenKind, bounds,
};
use serde_json::{Map, Value};

use super::audit::{difference, fields};
use super::pools::check_models;
use super::tokens::check_name;
use super::{AdminError, Context, HandlerResult, NO_CONTENT, created, ok};
use crate::cidr;
use crate::crypto::TokenTag;
use crate::platform::lock;
use crate::platform::{Clock, Random};
use crate::ports::AdminHost;
use crate::store::{ClientKeyChange, ConfigStore, NewClientKey, StoredClientKey, TRIAL_PREFIX};
use pool_engine::{ObservationKind, Subject};

/// Default grace period of a rotated client key.
const DEFAULT_GRACE: Duration = Duration::from_hours(24);
impl<H: AdminHost> Context<'_, H> {
    pub(super) async fn list_client_keys(&self, reference: &str) -> HandlerResult {
        let pool = self.pool(reference).await?;
        let stored = self.host.store().client_keys(&pool.id).await?;
        // Without the ledger the times of last use are missing.
        let used = self.client_keys_used(&pool.id).await.unwrap_or_default();
        let complete = |StoredClientKey { hash, client_key }| ClientKey {
            last_used_at: used.get(&hash.tag()).copied(),
            ..client_key
        };
        ok(&ClientKeyList { client_keys: stored.into_iter().map(complete).collect() })
    }

    /// Returns when client keys of a pool were last used, from the ledger.
    async fn client_keys_used(&self, pool: &PoolId) -> Result<HashMap<TokenTag, Timestamp>, AdminError> {
        let observations = self.observations(Some(pool)).await?.into_iter();
        let used = observations.filter_map(|(_, learnt)| match (learnt.subject, learnt.fact) {
            (Subject::ClientKey(tag), ObservationKind::Used) => Some((tag, learnt.at)),
            _ => None,
        });
        Ok(used.collect())
    }

    pub(super) async fn create_client_key(&self, reference: &str, create: ClientKeyCreate) -> HandlerResult {
        let pool = self.pool(reference).await?;
        check_name("a client key", &create.name)?;
        check_models(&create.allowed_models)?;
        let rules = ClientKeyRules {
            limits: create.limits,
            allowed_models: create.allowed_models,
            allowed_networks: checked_networks(&create.allowed_networks)?,
        };
        let mut expires_at = self.end_of(create.expires_in_s, create.expires_at)?;
        if create.trial {
            let latest = self.host.clock().now() + Duration::from_secs(bounds::TRIAL_S);
            expires_at = Some(expires_at.map_or(latest, |end| end.min(latest)));
        }
        let (action, id) = match (create.trial, self.host.random().next_u64()) {
            (false, bits) => ("client_key.create", ClientKeyId::from_random(bits)),
            (true, bits) => ("pool.try", ClientKeyId::new(format!("{TRIAL_PREFIX}{bits:016x}"))),
        };
        let (client_key, secret) = self.new_client_key(id, create.name, expires_at);
        let client_key = NewClientKey { rules, ..client_key };
        let mut change = self.change(action, Some(&pool.id), Some(client_key.id.to_string()))?;
        change.after = Some(noted(&client_key));
        let now = change.at;
        self.host.store().create_client_keys(&pool.id, std::slice::from_ref(&client_key), change).await?;
        self.changed(&pool.id);
        self.client_key_created();
        created(&ClientKeyCreated { client_key: shown(client_key, now), secret })
    }

    /// Updates a client key. Costs three rows.
    pub(super) async fn update_client_key(
        &self,
        reference: &str,
        id: &str,
        update: ClientKeyUpdate,
    ) -> HandlerResult {
        let pool = self.pool(reference).await?;
        refuse_trial(id)?;
        check_name("a client key", update.name.as_deref().unwrap_or_default())?;
        check_models(update.allowed_models.as_deref().unwrap_or_default())?;
        let expires_at = match (update.expires_in_s, update.expires_at) {
            (None, None) => None,
            (Some(0), None) => Some(None),
            (seconds, at) => Some(self.end_of(seconds, at)?),
        };
        let allowed_networks = update.allowed_networks.as_deref().map(checked_networks).transpose()?;
        let before = self.client_key(&pool.id, id).await?;
        let update = ClientKeyChange {
            name: update.name.filter(|name| *name != before.name),
            expires_at: expires_at.filter(|end| *end != before.expires_at),
            limits: update.limits.filter(|limits| *limits != before.rules.limits),
            allowed_models: update.allowed_models.filter(|models| *models != before.rules.allowed_models),
            allowed_networks: allowed_networks.filter(|networks| *networks != before.rules.allowed_networks),
        };
        let [was, becomes] = difference(&fields_of(&before), &changed_fields(&update));
        let changed: Vec<_> = becomes.keys().cloned().collect();
        if changed.is_empty() {
            return ok(&ClientKeyUpdated { client_key: before, changed: Some(changed) });
        }
        let mut change = self.change("client_key.update", Some(&pool.id), Some(id.to_owned()))?;
        (change.before, change.after) = (Some(was), Some(becomes));
        if !self.host.store().update_client_key(&pool.id, &before.id, &update, change).await? {
            return Err(AdminError::UnknownClientKey(id.to_owned()));
        }
        self.changed(&pool.id);
        ok(&ClientKeyUpdated { client_key: self.client_key(&pool.id, id).await?, changed: Some(changed) })
    }

    /// Imports keys of another system. A malformed one rejects all of them, named by its number
    /// only, because it may be a secret.
    pub(super) async fn import_client_keys(&self, reference: &str, import: ClientKeyImport) -> HandlerResult {
        let pool = self.pool(reference).await?;
        let asked = import.keys.len();
        if asked > ClientKeyImport::MAX_KEYS {
            let most = ClientKeyImport::MAX_KEYS;
            return Err(AdminError::Invalid(format!("at most {most} client keys per request")));
        }
        let keys = (1..).zip(import.keys).map(|(number, key)| self.imported(number, key));
        let keys = keys.collect::<Result<Vec<_>, _>>()?;
        let change = self.change("client_key.import", Some(&pool.id), None)?;
        let added = self.host.store().create_client_keys(&pool.id, &keys, change).await?;
        self.changed(&pool.id);
        self.client_key_created();
        ok(&ClientKeyImportReport { added, duplicate: (asked as u64).saturating_sub(added) })
    }

    fn imported(&self, number: usize, imported: ImportedClientKey) -> Result<NewClientKey, AdminError> {
        let shortest = bounds::SHORTEST_WEAK;
        check_name("a client key", &imported.name)?;
        let text = imported.key.expose();
        let visible = text.bytes().all(|byte| byte.is_ascii_graphic());
        if !visible || !(shortest..=bounds::LONGEST_IMPORTED).contains(&text.len()) {
            let longest = bounds::LONGEST_IMPORTED;
            let message =
                format!("client key {number} is not {shortest} to {longest} visible ASCII characters");
            return Err(AdminError::Invalid(message));
        }
        if !TokenKind::could_be_client_key(text) {
            let message =
                format!("client key {number} has the prefix of a secret of this service, but is not one");
            return Err(AdminError::Invalid(message));
        }
        let weak = TokenKind::ClientKey.verify(text).is_err();
        let id = ClientKeyId::from_random(self.host.random().next_u64());
        Ok(NewClientKey { weak, ..self.stored_client_key(id, imported.name, None, text) })
    }

    async fn client_key(&self, pool: &PoolId, id: &str) -> Result<ClientKey, AdminError> {
        let keys = self.host.store().client_keys(pool).await?;
        let found = keys.into_iter().map(|key| key.client_key).find(|key| key.id.as_str() == id);
        found.ok_or_else(|| AdminError::UnknownClientKey(id.to_owned()))
    }

    /// Rotates a client key. Costs about five rows: the new client key, the old one, the pool and
    /// the audit entry.
    pub(super) async fn rotate_client_key(
        &self,
        reference: &str,
        id: &str,
        rotate: ClientKeyRotate,
    ) -> HandlerResult {
        let pool = self.pool(reference).await?;
        refuse_trial(id)?;
        let old = ClientKeyId::new(id);
        let grace = rotate.grace_s.map_or(DEFAULT_GRACE, Duration::from_secs);
        if grace.as_secs() > bounds::GRACE_S {
            return Err(AdminError::Invalid("the grace period is at most 30 days".to_owned()));
        }
        let expires_at = self.end_of(rotate.expires_in_s, None)?;
        let known = self.client_key(&pool.id, id).await?;
        let new = ClientKeyId::from_random(self.host.random().next_u64());
        let (client_key, secret) = self.new_client_key(new, known.name, expires_at);
        let client_key = NewClientKey { rules: known.rules, ..client_key };
        let mut change = self.change("client_key.rotate", Some(&pool.id), Some(old.to_string()))?;
        change.after = Some(noted(&client_key));
        let now = change.at;
        let until = now + grace;
        if !self.host.store().rotate_client_key(&pool.id, &old, until, &client_key, change).await? {
            return Err(AdminError::UnknownClientKey(old.to_string()));
        }
        self.changed(&pool.id);
        self.client_key_created();
        created(&ClientKeyCreated { client_key: shown(client_key, now), secret })
    }

    /// Returns when a client key with this lifetime or expiry expires.
    fn end_of(&self, seconds: Option<u64>, at: Option<Timestamp>) -> Result<Option<Timestamp>, AdminError> {
        let seconds = match (seconds, at) {
            (None, None) => return Ok(None),
            (Some(_), Some(_)) => {
                let message = "expires_in_s and expires_at cannot be combined";
                return Err(AdminError::Invalid(message.to_owned()));
            }
            (None, Some(at)) => {
                let now = self.host.clock().now();
                let longest = now + Duration::from_secs(bounds::CLIENT_KEY_LIFETIME_S);
                if at <= now || at > longest {
                    return Err(AdminError::Invalid(
                        "expires_at must be within the next 10 years".to_owned(),
                    ));
                }
                // In the stored precision, so that later comparisons match.
                return Ok(Timestamp::from_millisecond(at.as_millisecond()).ok());
            }
            (Some(seconds), None) => seconds,
        };
        if !(1..=bounds::CLIENT_KEY_LIFETIME_S).contains(&seconds) {
            return Err(AdminError::Invalid(
                "the lifetime of a client key is 1 second to 10 years".to_owned(),
            ));
        }
        Ok(Some(self.host.clock().now() + Duration::from_secs(seconds)))
    }

    pub(super) async fn delete_client_key(&self, reference: &str, id: &str) -> HandlerResult {
        let pool = self.pool(reference).await?;
        let id = ClientKeyId::new(id);
        let mut change = self.change("client_key.delete", Some(&pool.id), Some(id.to_string()))?;
        change.is_noted = is_trial(id.as_str());
        if !self.host.store().delete_client_key(&pool.id, &id, change).await? {
            return Err(AdminError::UnknownClientKey(id.to_string()));
        }
        self.changed(&pool.id);
        NO_CONTENT
    }

    /// Builds a new client key: what is stored, and its secret, which is not.
    pub(super) fn new_client_key(
        &self,
        id: ClientKeyId,
        name: String,
        expires_at: Option<Timestamp>,
    ) -> (NewClientKey, Secret) {
        let mut random = [0; TokenKind::RANDOM_BYTES];
        self.host.random().fill(&mut random);
        let secret = TokenKind::ClientKey.generate(&random);
        (self.stored_client_key(id, name, expires_at, secret.expose()), secret)
    }

    fn stored_client_key(
        &self,
        id: ClientKeyId,
        name: String,
        expires_at: Option<Timestamp>,
        secret: &str,
    ) -> NewClientKey {
        let hint = secret.get(secret.len().saturating_sub(4)..).unwrap_or_default().to_owned();
        let hash = self.admin.state.pools.vault.token_hash(secret);
        NewClientKey { id, hash, name, hint, expires_at, rules: ClientKeyRules::default(), weak: false }
    }

    /// Clears the negative cache: an unknown client key may be known now.
    pub(super) fn client_key_created(&self) {
        lock(&self.admin.state.pools.snapshots).forget_unknown();
    }
}

/// Returns `true` for the id of a trial client key.
pub(super) fn is_trial(id: &str) -> bool {
    id.starts_with(TRIAL_PREFIX)
}

/// Rejects changes of a trial client key, which expires soon.
fn refuse_trial(id: &str) -> Result<(), AdminError> {
    if is_trial(id) {
        return Err(AdminError::Invalid("a trial client key cannot be changed or rotated".to_owned()));
    }
    Ok(())
}

fn shown(client_key: NewClientKey, created_at: Timestamp) -> ClientKey {
    let NewClientKey { id, name, hint, expires_at, rules, weak, .. } = client_key;
    ClientKey { id, name, hint, created_at, expires_at, last_used_at: None, weak, rules }
}

/// Normalises networks; an address is a network of one.
pub(super) fn checked_networks(networks: &[String]) -> Result<Vec<String>, AdminError> {
    if networks.len() > bounds::NETWORKS {
        let message = format!("a client key has at most {} allowed networks", bounds::NETWORKS);
        return Err(AdminError::Invalid(message));
    }
    let parse = |text: &String| {
        let network = cidr::parse(text).ok_or_else(|| {
            let shown: String = text.chars().take(50).collect();
            AdminError::Invalid(format!("'{shown}' is not a network such as 192.0.2.0/24"))
        })?;
        Ok(network.trunc().to_string())
    };
    networks.iter().map(parse).collect()
}

/// Returns all fields that an update can name.
fn fields_of(client_key: &ClientKey) -> Map<String, Value> {
    let ClientKey { name, expires_at, rules, .. } = client_key;
    changed_fields(&ClientKeyChange {
        name: Some(name.clone()),
        expires_at: Some(*expires_at),
        limits: Some(rules.limits),
        allowed_models: Some(rules.allowed_models.clone()),
        allowed_networks: Some(rules.allowed_networks.clone()),
    })
}

/// Returns the fields that an update changes.
fn changed_fields(update: &ClientKeyChange) -> Map<String, Value> {
    let ClientKeyChange { name, expires_at, limits, allowed_models, allowed_networks } = update;
    let fields = [
        ("name", name.as_ref().map(|name| Value::from(name.as_str()))),
        ("expires_at", expires_at.map(|end| end.map(|end| end.to_string()).into())),
        ("limits", limits.as_ref().and_then(|limits| serde_json::to_value(limits).ok())),
        ("allowed_models", allowed_models.clone().map(Value::from)),
        ("allowed_networks", allowed_networks.clone().map(Value::from)),
    ];
    fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

fn noted(client_key: &NewClientKey) -> Map<String, Value> {
    let expires_at = client_key.expires_at.map(|end| end.to_string());
    fields([
        ("id", client_key.id.as_str().into()),
        ("name", client_key.name.as_str().into()),
        ("expires_at", expires_at.into()),
        ("rules", serde_json::to_value(&client_key.rules).unwrap_or_default()),
    ])
}
