//! The keys of a pool as its config has them.

use std::sync::OnceLock;

use pool_shared::{KeyId, ModelLimits, Weight};

use super::Limits;
use super::key_list::{KeyList, KeyListBuilder, ListedKey};

/// A pool's enabled keys, without their secrets, in the order in which a pick names them.
#[derive(Debug, Default)]
pub struct KeySet {
    /// Moves with every change of the pool's config.
    pub version: u64,
    /// The keys.
    pub keys: KeyList,
    /// Whether no two projects are taken to share a billing account, unless the operator says so.
    pub separate_billing: bool,
    /// The limits that the operator set for models.
    pub model_limits: Vec<ModelLimits>,
    /// Their places in the order of their ids: made when an id is first looked for.
    by_id: OnceLock<Box<[u32]>>,
}

/// One key of a [`KeySet`], as those write it who have no store.
#[derive(Clone, Debug)]
pub struct KeySetEntry {
    /// Its id.
    pub id: KeyId,
    /// Its share of the traffic.
    pub weight: Weight,
    /// Its project, where the operator named it.
    pub project: Option<String>,
    /// The billing account above its project, where the operator named it.
    pub billing_account: Option<String>,
    /// The limits that the operator set for its project, for each model.
    pub limits: Limits,
}

impl KeySet {
    /// Returns the keys of a version of the config.
    #[must_use]
    pub const fn new(version: u64, keys: KeyList) -> Self {
        Self { version, keys, separate_billing: false, model_limits: Vec::new(), by_id: OnceLock::new() }
    }

    /// Returns the same of keys that come from no store.
    pub fn of(version: u64, keys: impl IntoIterator<Item = KeySetEntry>) -> Self {
        let mut packed = KeyListBuilder::default();
        for KeySetEntry { id, weight, project, billing_account, limits } in keys {
            let project = project.as_deref().unwrap_or_default();
            let billing_account = billing_account.as_deref().unwrap_or_default();
            packed.push(&ListedKey { id: id.as_str(), weight, project, billing_account, limits });
        }
        Self::new(version, packed.finish())
    }

    /// Returns the place of a key.
    #[must_use]
    pub fn find(&self, id: &KeyId) -> Option<usize> {
        let text = |place: &u32| self.keys.id_text(*place as usize);
        let by_id = self.by_id.get_or_init(|| {
            let mut places: Box<[u32]> = (0..).take(self.keys.len()).collect();
            places.sort_by(|one, other| text(one).cmp(text(other)));
            places
        });
        let found = by_id.binary_search_by(|place| text(place).cmp(id.as_str())).ok()?;
        by_id.get(found).map(|place| *place as usize)
    }
}
