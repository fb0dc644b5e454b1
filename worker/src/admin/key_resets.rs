//! Ending what was learnt of keys: cooldowns, states and limits of the keys and of their projects.
//!
//! An operator who checked a key with success, enabled it or reset it knows better than what was learnt before. It
//! holds in this instance at once and in the others with their next news.
//!
//! # Invariants
//!
//! - The config is not touched, and a key that is disabled stays disabled.

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

/// Up to so many keys are cleared whether anything is known of them or not: an instance may have learnt something that
/// it has not reported yet. Of more keys, only those of which the ledger knows something, since each is a record of
/// some 200 bytes in the ledger.
const MAX_UNKNOWN: usize = 200;

impl<H: AdminHost> Context<'_, H> {
    pub(super) async fn reset_keys(&self, reference: &str, reset: KeyReset) -> HandlerResult {
        let pool = self.pool(reference).await?;
        check_ids(&reset.ids)?;
        let change = self.change("key.reset", Some(&pool.id), keys_target(&reset.ids))?;
        let found = self.clear(&pool.id, &reset.ids).await?;
        let missing: Vec<_> = reset.ids.iter().filter(|id| !found.contains(*id)).cloned().collect();
        let changed = found.len() as u64;
        // An instance may hold what nobody else knows, so each reset of a key counts as a change.
        self.host.store().note(change, changed).await?;
        ok(&KeyBatchResult { changed, missing, ..KeyBatchResult::none(pool.id) })
    }

    /// Ends what was learnt of keys and their projects. Returns the ids that the pool has.
    pub(super) async fn clear(&self, pool: &PoolId, ids: &[KeyId]) -> Result<HashSet<KeyId>, AdminError> {
        let page = Page { after: 0, limit: u32::try_from(ids.len()).unwrap_or(u32::MAX) };
        let (stored, _) = self.host.store().encrypted_keys(pool, Some(ids), page).await?;
        // What was learnt here up to now is to be among what the ledger knows.
        self.admin.state.reporter.flush_once(self.host).await;
        // A ledger that does not answer knows nothing that could be left out.
        let known = self.learnt(Some(pool)).await.ok().map(Known::new);
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
