//! Reset of key health: cooldowns, states and observed limits of keys and their projects.
//!
//! A successful check, enabling or a reset by an operator overrides earlier observations. It
//! applies to this instance immediately, and to others with their next update.
//!
//! # Invariants
//!
//! - The config is not changed, and a disabled key stays disabled.

use std::collections::{BTreeSet, HashSet};

use pool_shared::{KeyBatchResult, KeyId, KeyReset, PoolId};

use super::audit::keys_target;
use super::key_states::Known;
use super::keys::check_ids;
use super::{AdminError, Context, HandlerResult, ok};
use crate::platform::Clock;
use crate::ports::AdminHost;
use crate::store::{ConfigStore, Page};
use pool_engine::Subject;

/// Up to this many keys are always cleared: another instance may have unreported observations. Of
/// more keys, only those known to the ledger, because each clearing is a record of about 200 bytes.
const MAX_UNKNOWN: usize = 200;

impl<H: AdminHost> Context<'_, H> {
    pub(super) async fn reset_keys(&self, reference: &str, reset: KeyReset) -> HandlerResult {
        let pool = self.pool(reference).await?;
        check_ids(&reset.ids)?;
        let change = self.change("key.reset", Some(&pool.id), keys_target(&reset.ids))?;
        let found = self.clear(&pool.id, &reset.ids).await?;
        let missing: Vec<_> = reset.ids.iter().filter(|id| !found.contains(*id)).cloned().collect();
        let changed = found.len() as u64;
        // An instance may have observations of its own, so each reset of a key counts as a change.
        self.host.store().note(change, changed).await?;
        ok(&KeyBatchResult { changed, missing, ..KeyBatchResult::none(pool.id) })
    }

    /// Clears the observations of keys and their projects. Returns the ids that the pool has.
    pub(super) async fn clear(&self, pool: &PoolId, ids: &[KeyId]) -> Result<HashSet<KeyId>, AdminError> {
        let page = Page { after: 0, limit: u32::try_from(ids.len()).unwrap_or(u32::MAX) };
        let (stored, _) = self.host.store().encrypted_keys(pool, Some(ids), page).await?;
        // The ledger must know this instance's observations first.
        self.admin.state.reporter.flush_once(self.host).await;
        // Without the ledger all keys are cleared.
        let known = self.observations(Some(pool)).await.ok().map(Known::new);
        let mut subjects = BTreeSet::new();
        for key in &stored {
            let named = Some(key.project.as_str()).filter(|project| !project.is_empty());
            let learnt = known.as_ref().and_then(|known| known.project(&key.id));
            let project = named.or(learnt).map(|project| Subject::Project(project.to_owned()));
            let own = Subject::Key(key.id.clone());
            let account_of = |subject| known.as_ref().and_then(|known| known.account(subject));
            let learnt = project.as_ref().and_then(account_of).or_else(|| account_of(&own));
            let set = Some(key.billing_account.as_str()).filter(|account| !account.is_empty());
            subjects.extend(set.or(learnt).map(|account| Subject::Account(account.to_owned())));
            subjects.insert(own);
            subjects.extend(project);
        }
        if let Some(known) = known.filter(|_| stored.len() > MAX_UNKNOWN) {
            subjects.retain(|subject| known.is_about(subject));
        }
        self.admin.state.reporter.clear(pool, subjects.into_iter().collect(), self.host.clock().now());
        self.admin.state.reporter.flush_once(self.host).await;
        Ok(stored.into_iter().map(|key| key.id).collect())
    }
}
