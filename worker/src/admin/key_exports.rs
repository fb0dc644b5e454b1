//! Export of Gemini keys in clear text: the only way in which they leave the service.

use pool_shared::{ExportedKey, ExportedKeys, KeyExport, KeyImportEntry, Secret};

use super::audit::keys_target;
use super::{AdminError, Context, HandlerResult, foreign_cursor, ok, position};
use crate::ports::AdminHost;
use crate::store::{ConfigStore, Page};

impl<H: AdminHost> Context<'_, H> {
    /// Decrypts a page of keys. Audited before the response: one row per page.
    pub(super) async fn export_keys(&self, reference: &str, export: KeyExport) -> HandlerResult {
        let limit = export.limit.unwrap_or(KeyExport::MAX_KEYS);
        if !(1..=KeyExport::MAX_KEYS).contains(&limit) {
            let most = KeyExport::MAX_KEYS;
            return Err(AdminError::Invalid(format!("'limit' is a number from 1 to {most}")));
        }
        let after = match export.cursor.as_deref() {
            None => 0,
            Some(cursor) => position(cursor).ok_or_else(foreign_cursor)?,
        };
        let pool = self.pool(reference).await?;
        let ids = (!export.ids.is_empty()).then_some(export.ids.as_slice());
        let (data_key, _) = self.data_key(&pool.id).await?;
        let (keys, next) = self.host.store().encrypted_keys(&pool.id, ids, Page { after, limit }).await?;
        let change = self.change("key.export", Some(&pool.id), ids.and_then(keys_target))?;
        self.host.store().note(change, keys.len() as u64).await?;
        let open = |key: crate::store::NewKey| {
            let opened = data_key.decrypt(&pool.id, &key.id, &key.encrypted);
            let opened = opened.map_err(|error| AdminError::Internal(error.to_string()))?;
            let entry = KeyImportEntry {
                key: Secret::new(opened.expose()),
                line: None,
                weight: key.weight,
                tag: key.tag,
                name: key.name,
                project: key.project,
                billing_account: key.billing_account,
                limits: key.limits,
            };
            Ok::<_, AdminError>(ExportedKey { id: key.id, enabled: key.enabled, entry })
        };
        let keys = keys.into_iter().map(open).collect::<Result<_, _>>()?;
        ok(&ExportedKeys { keys, next_cursor: next.map(|position| position.to_string()) })
    }
}
