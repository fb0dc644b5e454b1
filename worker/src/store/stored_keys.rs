//! A pool's enabled Gemini keys as the data plane reads them: a [`KeyList`] and the encrypted keys
//! beside it, both packed.
//!
//! # Invariants
//! - No key is here in clear.

use pool_engine::{KeyList, KeyListBuilder, ListedKey, Texts, TextsBuilder};
use pool_shared::{Limits, Weight};

/// A Gemini key as the data plane reads it.
#[derive(Clone, Copy, Debug)]
pub struct StoredKey<'a> {
    /// The text of its [`pool_shared::KeyId`].
    pub id: &'a str,
    /// The key, sealed: the text of a [`crate::crypto::Sealed`].
    pub encrypted: &'a str,
    /// Its share of the traffic.
    pub weight: Weight,
    /// Its project; empty when the operator named none.
    pub project: &'a str,
    /// The billing account above its project; empty when the operator named none.
    pub billing_account: &'a str,
    /// Its project's quotas, as far as the operator named them.
    pub limits: Limits,
}

/// A pool's keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredKeys {
    /// All but their secrets.
    pub list: KeyList,
    /// The keys, sealed.
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
