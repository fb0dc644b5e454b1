//! Client keys: list, create, rotate, revoke.

use std::time::Duration;

use jiff::Timestamp;
use pool_shared::{
    ClientKey, ClientKeyCreate, ClientKeyCreated, ClientKeyId, ClientKeyList, ClientKeyRotate, Secret,
    TokenKind,
};
use serde_json::{Map, Value};

use super::audit::fields;
use super::{AdminError, Answer, Context, NO_CONTENT, created, ok};
use crate::host::{AdminHost, Clock, Random};
use crate::service::lock;
use crate::store::{ConfigStore, NewClientKey};

/// The longest name, in characters.
const LONGEST_NAME: usize = 100;
/// How long a client key goes on working after it was rotated.
const DEFAULT_GRACE: Duration = Duration::from_hours(24);
const LONGEST_GRACE: Duration = Duration::from_hours(24 * 30);
/// The longest that a client key with an end can be good for.
const LONGEST_LIFETIME: Duration = Duration::from_hours(24 * 3_650);

impl<H: AdminHost> Context<'_, H> {
    pub(super) async fn list_client_keys(&self, reference: &str) -> Answer {
        let pool = self.pool(reference).await?;
        ok(&ClientKeyList { client_keys: self.host.store().client_keys(&pool.id).await? })
    }

    pub(super) async fn create_client_key(&self, reference: &str, create: ClientKeyCreate) -> Answer {
        let pool = self.pool(reference).await?;
        if create.name.chars().count() > LONGEST_NAME || create.name.chars().any(char::is_control) {
            return Err(AdminError::Invalid(format!(
                "a client key's name has at most {LONGEST_NAME} characters"
            )));
        }
        let expires_at = self.end_of(create.expires_in_s)?;
        let id = ClientKeyId::from_random(self.host.random().next_u64());
        let (client_key, secret) = self.new_client_key(id, create.name, expires_at);
        let mut change = self.change("client_key.create", Some(&pool.id), Some(client_key.id.to_string()))?;
        change.after = Some(noted(&client_key));
        let now = change.at;
        self.host.store().create_client_key(&pool.id, &client_key, change).await?;
        self.changed(&pool.id);
        self.client_key_created();
        created(&ClientKeyCreated { client_key: shown(client_key, now), secret })
    }

    /// Costs some five rows: the new client key, the old one, the pool and the audit.
    pub(super) async fn rotate_client_key(
        &self,
        reference: &str,
        id: &str,
        rotate: ClientKeyRotate,
    ) -> Answer {
        let pool = self.pool(reference).await?;
        let old = ClientKeyId::new(id);
        let grace = rotate.grace_s.map_or(DEFAULT_GRACE, Duration::from_secs);
        if grace > LONGEST_GRACE {
            return Err(AdminError::Invalid(
                "the old client key goes on working for at most 30 days".to_owned(),
            ));
        }
        let expires_at = self.end_of(rotate.expires_in_s)?;
        let known = self.host.store().client_keys(&pool.id).await?.into_iter().find(|key| key.id == old);
        let known = known.ok_or_else(|| AdminError::UnknownClientKey(old.to_string()))?;
        let new = ClientKeyId::from_random(self.host.random().next_u64());
        let (client_key, secret) = self.new_client_key(new, known.name, expires_at);
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

    fn end_of(&self, seconds: Option<u64>) -> Result<Option<Timestamp>, AdminError> {
        let Some(seconds) = seconds else { return Ok(None) };
        if !(1..=LONGEST_LIFETIME.as_secs()).contains(&seconds) {
            return Err(AdminError::Invalid("a client key is good for 1 second to 10 years".to_owned()));
        }
        Ok(Some(self.host.clock().now() + Duration::from_secs(seconds)))
    }

    pub(super) async fn delete_client_key(&self, reference: &str, id: &str) -> Answer {
        let pool = self.pool(reference).await?;
        let id = ClientKeyId::new(id);
        let change = self.change("client_key.delete", Some(&pool.id), Some(id.to_string()))?;
        if !self.host.store().delete_client_key(&pool.id, &id, change).await? {
            return Err(AdminError::UnknownClientKey(id.to_string()));
        }
        self.changed(&pool.id);
        NO_CONTENT
    }

    /// A new client key: what is stored of it, and its secret, which is not.
    pub(super) fn new_client_key(
        &self,
        id: ClientKeyId,
        name: String,
        expires_at: Option<Timestamp>,
    ) -> (NewClientKey, Secret) {
        let mut random = [0; TokenKind::RANDOM_BYTES];
        self.host.random().fill(&mut random);
        let secret = TokenKind::ClientKey.generate(&random);
        let text = secret.expose();
        let hint = text.get(text.len().saturating_sub(4)..).unwrap_or_default().to_owned();
        (NewClientKey { id, hash: self.service.vault.token_hash(text), name, hint, expires_at }, secret)
    }

    /// A client key that was unknown a moment ago may be known now.
    pub(super) fn client_key_created(&self) {
        lock(&self.service.snapshots).forget_unknown();
    }
}

fn shown(client_key: NewClientKey, created_at: Timestamp) -> ClientKey {
    let NewClientKey { id, name, hint, expires_at, .. } = client_key;
    ClientKey { id, name, hint, created_at, expires_at }
}

fn noted(client_key: &NewClientKey) -> Map<String, Value> {
    let expires_at = client_key.expires_at.map(|end| end.to_string());
    fields([
        ("id", client_key.id.as_str().into()),
        ("name", client_key.name.as_str().into()),
        ("expires_at", expires_at.into()),
    ])
}
