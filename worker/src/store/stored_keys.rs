//! A pool's enabled Gemini keys for the data plane: a packed [`KeyList`], and the packed encrypted
//! keys.
//!
//! # Invariants
//! - No key is here in clear text.

use pool_engine::{KeyList, KeyListBuilder, ListedKey, Texts, TextsBuilder};
use pool_shared::{Limits, Weight};

/// A stored Gemini key.
#[derive(Clone, Copy, Debug)]
pub struct StoredKey<'a> {
    /// Its [`pool_shared::KeyId`].
    pub id: &'a str,
    /// The text of its [`crate::crypto::Encrypted`].
    pub encrypted: &'a str,
    /// Its weight.
    pub weight: Weight,
    /// Its project; empty if not configured.
    pub project: &'a str,
    /// Its billing account; empty if not configured.
    pub billing_account: &'a str,
    /// The configured quotas of its project.
    pub limits: Limits,
}

/// A pool's keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredKeys {
    /// The keys without their secrets.
    pub list: KeyList,
    /// The encrypted keys.
    pub encrypted: Texts,
}

/// Builds [`StoredKeys`].
#[derive(Debug, Default)]
pub struct StoredKeysBuilder {
    list: KeyListBuilder,
    encrypted: TextsBuilder,
}

impl StoredKeysBuilder {
    /// Appends a key.
    pub fn push(&mut self, key: &StoredKey) {
        let StoredKey { id, encrypted, weight, project, billing_account, limits } = *key;
        self.list.push(&ListedKey { id, weight, project, billing_account, limits });
        self.encrypted.push(encrypted);
    }

    /// Returns the packed keys.
    #[must_use]
    pub fn finish(self) -> StoredKeys {
        StoredKeys { list: self.list.finish(), encrypted: self.encrypted.finish() }
    }
}

#[cfg(test)]
mod tests {
    use pool_shared::KeyId;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_key_comes_out_as_it_went_in(
            keys in proptest::collection::vec(("[a-zé]{0,4}", "[a-z]{0,9}", 0_u32..9, "[ab]?", 0_u64..3), 0..30)
        ) {
            let limits = |number: &u64| Limits {
                requests_per_day: Some(*number).filter(|number| *number > 0), ..Limits::default()
            };
            let mut builder = StoredKeysBuilder::default();
            for (id, encrypted, weight, project, number) in &keys {
                let weight = Weight::try_from(*weight).unwrap();
                let billing_account = project;
                builder.push(&StoredKey { id, encrypted, weight, project, billing_account, limits: limits(number) });
            }
            let packed = builder.finish();
            prop_assert_eq!(packed.list.len(), keys.len());
            for (place, (id, encrypted, weight, project, number)) in keys.iter().enumerate() {
                let list = &packed.list;
                prop_assert_eq!(list.id(place).unwrap(), KeyId::new(id));
                prop_assert_eq!(packed.encrypted.get(place), encrypted);
                prop_assert_eq!(u32::from(list.weight(place)), *weight);
                prop_assert_eq!(list.project(place).map_or("", |name| name), project);
                prop_assert_eq!(list.billing_account(place), list.project(place));
                prop_assert_eq!(list.limits(place), limits(number));
            }
            prop_assert_eq!(packed.list.id(keys.len()), None);
            prop_assert_eq!(packed.encrypted.get(keys.len()), "");
        }
    }
}
