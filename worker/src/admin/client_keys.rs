//! Client keys: list, create, revoke.

use pool_shared::{
    ClientKey, ClientKeyCreate, ClientKeyCreated, ClientKeyId, ClientKeyList, Secret, TokenKind,
};

use super::{AdminError, Answer, Context, NO_CONTENT, created, ok};
use crate::host::{AdminHost, Clock, Random};
use crate::service::lock;
use crate::store::{ConfigStore, NewClientKey};

/// The longest name, in characters.
const LONGEST_NAME: usize = 100;

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
        let id = ClientKeyId::from_random(self.host.random().next_u64());
        let (client_key, secret) = self.new_client_key(id, create.name);
        let now = self.host.clock().now();
        self.host.store().create_client_key(&pool.id, &client_key, now).await?;
        self.changed(&pool.id);
        self.client_key_created();
        let NewClientKey { id, name, hint, .. } = client_key;
        created(&ClientKeyCreated {
            client_key: ClientKey { id, name, hint, created_at: now, expires_at: None },
            secret,
        })
    }

    pub(super) async fn delete_client_key(&self, reference: &str, id: &str) -> Answer {
        let pool = self.pool(reference).await?;
        let id = ClientKeyId::new(id);
        if !self.host.store().delete_client_key(&pool.id, &id, self.host.clock().now()).await? {
            return Err(AdminError::UnknownClientKey(id.to_string()));
        }
        self.changed(&pool.id);
        NO_CONTENT
    }

    /// A new client key: what is stored of it, and its secret, which is not.
    pub(super) fn new_client_key(&self, id: ClientKeyId, name: String) -> (NewClientKey, Secret) {
        let mut random = [0; TokenKind::RANDOM_BYTES];
        self.host.random().fill(&mut random);
        let secret = TokenKind::ClientKey.generate(&random);
        let text = secret.expose();
        let hint = text.get(text.len().saturating_sub(4)..).unwrap_or_default().to_owned();
        (NewClientKey { id, hash: self.service.vault.token_hash(text), name, hint }, secret)
    }

    /// A client key that was unknown a moment ago may be known now.
    pub(super) fn client_key_created(&self) {
        lock(&self.service.snapshots).forget_unknown();
    }
}
