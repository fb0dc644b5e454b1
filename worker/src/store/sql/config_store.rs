//! [`ConfigStore`] over SQL: each method as one batch of statements.

use jiff::{SignedDuration, Timestamp};
use pool_shared::{
    AdminTokenId, AuditEntry, AuditLoss, ClientKeyId, KeyChange, KeyId, Pool, PoolId, PoolUpdate,
};

use super::{
    SqlDatabase, SqlStore, admin, admin_tokens, audit, client_keys, keys, logins, master, read_rows, schema,
    store_error,
};
use crate::crypto::{Encrypted, KeyDigest, TokenHash};
use crate::store::copy::Replica;
use crate::store::{
    AuditFilter, BatchOutcome, Change, ClientKeyChange, ConfigStore, EnabledKey, EncryptedKey, KeyFilter,
    KeyPage, KeysWanted, LoginAttempt, NewClientKey, NewKey, NewPool, Page, Reencrypted, Rewrapped,
    StoreError, StoredAdminToken, StoredClientKey,
};

impl<D: SqlDatabase> ConfigStore for SqlStore<D> {
    fn other(&self) -> Option<impl Replica> {
        self.database.other()
    }

    async fn forget_replaced(&self) -> Result<(), StoreError> {
        self.database.forget_replaced().await.map_err(store_error)
    }

    async fn ping(&self) -> Result<(), StoreError> {
        let version = self.run_one(schema::version()).await?;
        schema::check_version(&version.rows).map_err(store_error)?;
        self.database.lag().await.map_or(Ok(()), |message| Err(StoreError::Lagging(message)))
    }

    async fn pools(&self) -> Result<Vec<Pool>, StoreError> {
        admin::read_pools(&self.run_one(admin::list_pools()).await?)
    }

    async fn pool(&self, reference: &str) -> Result<Option<Pool>, StoreError> {
        Ok(admin::read_pools(&self.run_one(admin::find_pool(reference)).await?)?.pop())
    }

    async fn data_key(&self, pool: &PoolId) -> Result<Option<Encrypted>, StoreError> {
        Ok(read_rows(&self.run_one(admin::data_key(pool)).await?)?.pop())
    }

    async fn data_keys(
        &self,
        after: Option<&PoolId>,
        limit: u32,
    ) -> Result<Vec<(PoolId, Encrypted)>, StoreError> {
        read_rows(&self.run_one(master::data_keys(after, limit)).await?)
    }

    async fn rewrap_data_keys(&self, rewrapped: &[Rewrapped]) -> Result<u64, StoreError> {
        Ok(self.run_one(master::rewrap_data_keys(rewrapped)?).await?.changes)
    }

    async fn put_hash_keys(&self, old: Option<&Encrypted>, new: &Encrypted) -> Result<(), StoreError> {
        self.run_one(master::put_hash_keys(old, new)).await.map(drop)
    }

    async fn create_pool(&self, pool: &NewPool, change: Change) -> Result<(), StoreError> {
        let mut statements = vec![admin::insert_pool(pool, change.at)?];
        statements.extend(audit::note(&change, None)?);
        statements.push(client_keys::insert(&pool.id, std::slice::from_ref(&pool.client_key), change.at)?);
        statements.push(keys::insert(&pool.id, None, &pool.keys, change.at)?);
        self.run(statements).await.map(drop)
    }

    async fn update_pool(
        &self,
        pool: &PoolId,
        update: &PoolUpdate,
        name_key: Option<&str>,
        change: Change,
    ) -> Result<bool, StoreError> {
        self.change(admin::update_pool(pool, update, name_key, change.at)?, &change, [])
            .await
            .map(|changed| changed > 0)
    }

    async fn delete_pool(&self, pool: &PoolId, change: Change) -> Result<bool, StoreError> {
        let mut statements = admin::delete_pool(pool);
        let place = statements.len() - 1;
        statements.extend(audit::note(&change, None)?);
        Ok(self.run(statements).await?.get(place).is_some_and(|outcome| outcome.changes > 0))
    }

    async fn keys(&self, pool: &PoolId, filter: &KeyFilter, page: Page) -> Result<KeyPage, StoreError> {
        keys::read_page(&self.run(keys::list(pool, filter, page)?).await?, page)
    }

    async fn enabled_keys(
        &self,
        pools: &[PoolId],
        wanted: &KeysWanted,
    ) -> Result<Vec<EnabledKey>, StoreError> {
        keys::read_enabled(&self.run_one(keys::enabled(pools, wanted)?).await?)
    }

    async fn encrypted_keys(
        &self,
        pool: &PoolId,
        ids: Option<&[KeyId]>,
        page: Page,
    ) -> Result<(Vec<NewKey>, Option<u64>), StoreError> {
        keys::read_encrypted(&self.run_one(keys::encrypted(pool, ids, page)?).await?, page)
    }

    async fn keys_after(
        &self,
        pool: &PoolId,
        after: &str,
        limit: u32,
    ) -> Result<Vec<EncryptedKey>, StoreError> {
        read_rows(&self.run_one(keys::after(pool, after, limit)).await?)
    }

    async fn encrypted_sample(&self, limit: u32) -> Result<Vec<(PoolId, KeyId, Encrypted)>, StoreError> {
        read_rows(&self.run_one(keys::sample(limit)).await?)
    }

    async fn reencrypt_keys(&self, pool: &PoolId, reencrypted: &[Reencrypted]) -> Result<u64, StoreError> {
        Ok(self.run_one(keys::reencrypt(pool, reencrypted)?).await?.changes)
    }

    async fn import_keys(
        &self,
        pool: &PoolId,
        data_key: &Encrypted,
        new_keys: &[NewKey],
        change: Change,
    ) -> Result<u64, StoreError> {
        let mut statements = vec![keys::insert(pool, Some(data_key), new_keys, change.at)?];
        statements.extend(audit::note(&change, None)?);
        statements.extend([admin::touch_pool(pool, change.at), admin::data_key(pool)]);
        let outcomes = self.run(statements).await?;
        let stored: Option<Encrypted> =
            outcomes.last().map(read_rows).transpose()?.and_then(|mut rows| rows.pop());
        if stored.is_some_and(|stored| stored != *data_key) {
            let message = "the pool's data key was changed meanwhile: try again";
            return Err(StoreError::Unavailable(message.to_owned()));
        }
        Ok(outcomes.first().map_or(0, |outcome| outcome.changes))
    }

    async fn keys_elsewhere(
        &self,
        pool: &PoolId,
        digests: &[&KeyDigest],
    ) -> Result<Vec<(String, u64)>, StoreError> {
        read_rows(&self.run_one(keys::elsewhere(pool, digests)?).await?)
    }

    async fn update_keys(
        &self,
        pool: &PoolId,
        ids: &[KeyId],
        update: &KeyChange,
        change: Change,
    ) -> Result<BatchOutcome, StoreError> {
        let update = keys::update(pool, ids, update, change.at)?;
        self.change_keys(pool, ids, update, &change).await
    }

    async fn delete_keys(
        &self,
        pool: &PoolId,
        ids: &[KeyId],
        change: Change,
    ) -> Result<BatchOutcome, StoreError> {
        self.change_keys(pool, ids, keys::delete(pool, ids)?, &change).await
    }

    async fn client_keys(&self, pool: &PoolId) -> Result<Vec<StoredClientKey>, StoreError> {
        client_keys::read(&self.run_one(client_keys::list(pool)).await?)
    }

    async fn create_client_keys(
        &self,
        pool: &PoolId,
        new_keys: &[NewClientKey],
        change: Change,
    ) -> Result<u64, StoreError> {
        let insert = client_keys::insert(pool, new_keys, change.at)?;
        let further = [client_keys::forget_expired(pool, change.at), admin::touch_pool(pool, change.at)];
        self.change(insert, &change, further).await
    }

    async fn update_client_key(
        &self,
        pool: &PoolId,
        id: &ClientKeyId,
        update: &ClientKeyChange,
        change: Change,
    ) -> Result<bool, StoreError> {
        let touch = admin::touch_pool(pool, change.at);
        Ok(self.change(client_keys::update(pool, id, update)?, &change, [touch]).await? > 0)
    }

    async fn rotate_client_key(
        &self,
        pool: &PoolId,
        old: &ClientKeyId,
        until: Timestamp,
        new: &NewClientKey,
        change: Change,
    ) -> Result<bool, StoreError> {
        let further = [
            client_keys::end(pool, old, until),
            client_keys::forget_expired(pool, change.at),
            admin::touch_pool(pool, change.at),
        ];
        let insert = client_keys::insert_like(pool, old, new, change.at);
        Ok(self.change(insert, &change, further).await? > 0)
    }

    async fn delete_client_key(
        &self,
        pool: &PoolId,
        id: &ClientKeyId,
        change: Change,
    ) -> Result<bool, StoreError> {
        let touch = admin::touch_pool(pool, change.at);
        Ok(self.change(client_keys::delete(pool, id), &change, [touch]).await? > 0)
    }

    async fn create_admin_token(
        &self,
        hash: &TokenHash,
        token: &StoredAdminToken,
        change: Change,
    ) -> Result<(), StoreError> {
        let insert = admin_tokens::insert(hash, token, None)?;
        self.change(insert, &change, admin_tokens::forget_expired(change.at)).await.map(drop)
    }

    async fn rotate_admin_token(
        &self,
        old: &AdminTokenId,
        until: Timestamp,
        hash: &TokenHash,
        new: &StoredAdminToken,
        change: Change,
    ) -> Result<bool, StoreError> {
        let insert = admin_tokens::insert(hash, new, Some(old))?;
        let mut further = vec![admin_tokens::end(old, until), admin_tokens::hand_over(old, Some(&new.id))];
        further.extend(admin_tokens::forget_expired(change.at));
        Ok(self.change(insert, &change, further).await? > 0)
    }

    async fn admin_token(&self, hash: &TokenHash) -> Result<Option<StoredAdminToken>, StoreError> {
        Ok(admin_tokens::read(&self.run_one(admin_tokens::find(hash)).await?)?.pop())
    }

    async fn delete_admin_token(
        &self,
        token: &StoredAdminToken,
        keep_children: bool,
        change: Change,
    ) -> Result<bool, StoreError> {
        let delete = admin_tokens::delete(&token.id, keep_children);
        let further =
            [admin_tokens::hand_over(&token.id, token.parent.as_ref()), admin_tokens::forget_uses()];
        Ok(self.change(delete, &change, further).await? > 0)
    }

    async fn delete_sessions(&self, change: Change) -> Result<u64, StoreError> {
        self.change(admin_tokens::delete_sessions(), &change, admin_tokens::forget_expired(change.at)).await
    }

    async fn try_login(&self, attempt: &LoginAttempt) -> Result<Option<Timestamp>, StoreError> {
        logins::read(&self.run(logins::attempt(attempt)?).await?, attempt.now)
    }

    async fn shift_logins(&self, by: SignedDuration) -> Result<(), StoreError> {
        self.run_one(logins::shift(by)).await.map(drop)
    }

    async fn login_succeeded(&self, source: &TokenHash, known_until: Timestamp) -> Result<(), StoreError> {
        self.run(logins::succeeded(source, known_until).into()).await.map(drop)
    }

    async fn admin_tokens(&self, now: Timestamp) -> Result<Vec<StoredAdminToken>, StoreError> {
        admin_tokens::read(&self.run_one(admin_tokens::list(now)).await?)
    }

    async fn use_admin_token(&self, id: &AdminTokenId, now: Timestamp) -> Result<(), StoreError> {
        self.run_one(admin_tokens::note_use(id, now)).await.map(drop)
    }

    async fn note(&self, change: Change, count: u64) -> Result<(), StoreError> {
        self.run(audit::note(&change, Some(count))?).await.map(drop)
    }

    async fn note_failed_login(&self, change: Change) -> Result<(), StoreError> {
        self.run(audit::note_failed_login(&change)?).await.map(drop)
    }

    async fn audit(&self, filter: &AuditFilter) -> Result<Vec<AuditEntry>, StoreError> {
        audit::read(&self.run_one(audit::list(filter)).await?)
    }

    async fn audit_losses(&self, since: Timestamp) -> Result<Vec<AuditLoss>, StoreError> {
        audit::read_losses(&self.run_one(audit::losses(since)).await?)
    }
}
