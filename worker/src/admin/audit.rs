//! The audit log: entries for the store, and their list.
//!
//! An entry is written in the same transaction as its change.
//!
//! # Invariants
//! - No entry has a secret.

use jiff::Timestamp;
use pool_shared::{AuditList, AuditLoss, KeyId, PoolId};
use serde::Serialize;
use serde_json::{Map, Value};

use super::{AdminError, Context, HandlerResult, Query, ok};
use crate::platform::Clock;
use crate::platform::lock;
use crate::ports::AdminHost;
use crate::store::{self, AuditCursor, AuditFilter, Change, ConfigStore, StoredAdminToken};

/// Default page size.
const DEFAULT_PAGE: u32 = 100;
/// Maximum number of ids in an entry; for more, it has only their number.
const MAX_IDS: usize = 20;
/// How long entries are kept.
const RETENTION_DAYS: i64 = 400;

impl<H: AdminHost> Context<'_, H> {
    pub(super) async fn audit(&self, query: &Query) -> HandlerResult {
        let limit = query.limit(DEFAULT_PAGE)?;
        let pool = match (self.own_pool_of(query).await?, query.get("pool")) {
            (Some(own), _) => Some(own),
            (None, None) => None,
            // A deleted pool is found by its id.
            (None, Some(reference)) => {
                let pool = self.host.store().pool(reference).await?;
                Some(pool.map_or_else(|| PoolId::new(reference), |pool| pool.id))
            }
        };
        let now = self.host.clock().now();
        let kept_since = kept_since(now);
        let from = match (query.cursor("cursor")?, query.cursor("after")?) {
            (Some(_), Some(_)) => {
                return Err(AdminError::Invalid("'cursor' and 'after' cannot be combined".to_owned()));
            }
            (_, Some(id)) => AuditCursor::After(id),
            (id, None) => AuditCursor::Before(id.unwrap_or(u64::from(u32::MAX))),
        };
        let filter = AuditFilter {
            from,
            since: query.parsed::<Timestamp>("since")?.map_or(kept_since, |since| since.max(kept_since)),
            pool,
            actor: query.get("actor").map(ToOwned::to_owned),
            action: query.get("action").map(ToOwned::to_owned),
            limit: limit + 1,
        };
        let mut entries = self.host.store().audit(&filter).await?;
        if matches!(from, AuditCursor::After(_)) {
            // A client that continues after the last entry must miss nothing, so entries that may
            // still grow, and those after them, are held back.
            let settled = store::settled(now);
            let final_ones = entries.iter().take_while(|entry| entry.at < settled).count();
            entries.truncate(final_ones.min(limit as usize));
            return ok(&AuditList { entries, next_cursor: None });
        }
        let more = entries.len() > limit as usize;
        entries.truncate(limit as usize);
        let next_cursor = entries.last().filter(|_| more).map(|entry| entry.id.to_string());
        ok(&AuditList { entries, next_cursor })
    }

    /// Returns where the audit log lost entries before their time, as far as the token may see it.
    pub(super) async fn audit_lost(&self) -> Vec<AuditLoss> {
        let since = kept_since(self.host.clock().now());
        // The store's own health says why it failed.
        let mut lost = self.host.store().audit_losses(since).await.unwrap_or_default();
        if let Some(own) = self.own_pool() {
            lost.retain(|loss| loss.pool.as_ref() == Some(own));
        }
        lost
    }

    /// Builds the audit context of a change, without its previous and new values. Fails if the
    /// token made too many changes in the last minute.
    pub(super) fn change(
        &self,
        action: &'static str,
        pool: Option<&PoolId>,
        target: Option<String>,
    ) -> Result<Change, AdminError> {
        let caller = self.caller()?;
        lock(&self.admin.change_rates)
            .admit(caller.budget(), self.host.clock().now())
            .map_err(AdminError::TooManyChanges)?;
        Ok(self.change_by(caller, action, pool, target))
    }

    pub(super) fn change_by(
        &self,
        actor: &StoredAdminToken,
        action: &'static str,
        pool: Option<&PoolId>,
        target: Option<String>,
    ) -> Change {
        Change {
            at: self.host.clock().now(),
            actor: actor.id.clone(),
            actor_name: actor.name.clone(),
            budget: actor.budget().clone(),
            action,
            pool: pool.cloned(),
            target,
            request_id: self.request_id.to_owned(),
            before: None,
            after: None,
            is_noted: false,
        }
    }
}

/// Returns the start of the retention time.
fn kept_since(now: Timestamp) -> Timestamp {
    now - jiff::SignedDuration::from_hours(24 * RETENTION_DAYS)
}

/// Builds the fields of an entry.
pub(super) fn fields<const N: usize>(fields: [(&str, Value); N]) -> Map<String, Value> {
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Returns the fields that an update really changes: their previous and new values.
pub(super) fn difference(before: &impl Serialize, update: &impl Serialize) -> [Map<String, Value>; 2] {
    let map = |value: Result<Value, _>| match value {
        Ok(Value::Object(map)) => map,
        _ => Map::new(),
    };
    let (mut before, mut after) = (map(serde_json::to_value(before)), map(serde_json::to_value(update)));
    after.retain(|name, value| before.get(name) != Some(value));
    before.retain(|name, _| after.contains_key(name));
    [before, after]
}

/// Returns the target of an entry about keys.
pub(super) fn keys_target(ids: &[KeyId]) -> Option<String> {
    (ids.len() <= MAX_IDS).then(|| ids.iter().map(KeyId::as_str).collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use pool_shared::{KeyChange, PoolSettings, PoolUpdate};

    use super::*;

    #[test]
    fn only_changed_fields_are_noted() {
        let before = PoolSettings { sticky: true, ..PoolSettings::default() };
        let update = PoolUpdate { sticky: Some(true), enabled: Some(false), ..PoolUpdate::default() };
        let [before, after] = difference(&before, &update);
        assert_eq!((before.len(), Value::Object(after)), (0, serde_json::json!({"enabled": false})));
        let [before, after] = difference(
            &fields([("weight", 1.into()), ("name", "a".into())]),
            &KeyChange { name: Some("b".to_owned()), ..KeyChange::default() },
        );
        assert_eq!((before["name"].as_str(), after["name"].as_str()), (Some("a"), Some("b")));
        assert_eq!((before.len(), after.len()), (1, 1));
    }
}
