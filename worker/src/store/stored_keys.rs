//! A pool's enabled Gemini keys as the data plane reads them, packed: a pool may have 20,000.
//!
//! In: keys one by one, as they are read. Out: each of them by its place, the order in which they came. No key has an
//! allocation of its own: texts lie end to end, and a project's name and limits that keys share are there once. What
//! must never happen here: a key in clear.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use pool_shared::{KeyId, Limits, Weight};

/// A Gemini key as the data plane reads it.
#[derive(Clone, Copy, Debug)]
pub struct StoredKey<'a> {
    /// The text of its [`KeyId`].
    pub id: &'a str,
    /// The key, sealed: the text of a [`crate::crypto::Sealed`].
    pub sealed: &'a str,
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
    pub sealed: Texts,
}

/// A pool's keys without their secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyList {
    ids: Texts,
    weights: Box<[u16]>,
    projects: Shared<Arc<str>>,
    billing_accounts: Shared<Arc<str>>,
    limits: Shared<Limits>,
}

impl KeyList {
    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.weights.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.weights.is_empty()
    }

    /// The text of a key's id; empty where there is no key.
    #[must_use]
    pub fn id_text(&self, place: usize) -> &str {
        self.ids.get(place)
    }

    /// A key's id.
    #[must_use]
    pub fn id(&self, place: usize) -> Option<KeyId> {
        (place < self.len()).then(|| KeyId::new(self.ids.get(place)))
    }

    /// A key's share of the traffic.
    #[must_use]
    pub fn weight(&self, place: usize) -> u16 {
        self.weights.get(place).copied().unwrap_or_default()
    }

    /// The shares of all keys.
    #[must_use]
    pub const fn weights(&self) -> &[u16] {
        &self.weights
    }

    /// A key's project, where the operator named it.
    #[must_use]
    pub fn project(&self, place: usize) -> Option<&Arc<str>> {
        self.projects.get(place)
    }

    /// The billing account above a key's project, where the operator named it.
    #[must_use]
    pub fn billing_account(&self, place: usize) -> Option<&Arc<str>> {
        self.billing_accounts.get(place)
    }

    /// Whether the operator named any billing account.
    #[must_use]
    pub const fn has_billing_accounts(&self) -> bool {
        !self.billing_accounts.values.is_empty()
    }

    /// The limits that the operator set for a key's project, for each model.
    #[must_use]
    pub fn limits(&self, place: usize) -> Limits {
        self.limits.get(place).copied().unwrap_or_default()
    }
}

/// Packs keys.
#[derive(Debug, Default)]
pub struct StoredKeysBuilder {
    ids: TextsBuilder,
    sealed: TextsBuilder,
    weights: Vec<u16>,
    projects: Sharing<Arc<str>>,
    billing_accounts: Sharing<Arc<str>>,
    limits: Sharing<Limits>,
}

impl StoredKeysBuilder {
    /// Takes one key more.
    pub fn push(&mut self, key: &StoredKey) {
        self.ids.push(key.id);
        self.sealed.push(key.sealed);
        self.weights.push(key.weight.get());
        self.projects.push((!key.project.is_empty()).then_some(key.project), |name| name.into());
        let account = Some(key.billing_account).filter(|account| !account.is_empty());
        self.billing_accounts.push(account, |name| name.into());
        self.limits.push((!key.limits.is_empty()).then_some(&key.limits), |limits| *limits);
    }

    /// All of them.
    #[must_use]
    pub fn finish(self) -> StoredKeys {
        let list = KeyList {
            ids: self.ids.finish(),
            weights: self.weights.into(),
            projects: self.projects.finish(),
            billing_accounts: self.billing_accounts.finish(),
            limits: self.limits.finish(),
        };
        StoredKeys { list, sealed: self.sealed.finish() }
    }
}

/// Texts that lie end to end, 4 GB of them at most: those beyond are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Texts {
    text: Box<str>,
    ends: Box<[u32]>,
}

impl Texts {
    /// The text at a place; empty where there is none.
    #[must_use]
    pub fn get(&self, place: usize) -> &str {
        let end = |place: usize| self.ends.get(place).map(|end| *end as usize);
        let start = place.checked_sub(1).map_or(Some(0), end);
        start.zip(end(place)).and_then(|(start, end)| self.text.get(start..end)).unwrap_or_default()
    }
}

#[derive(Debug, Default)]
struct TextsBuilder {
    text: String,
    ends: Vec<u32>,
}

impl TextsBuilder {
    fn push(&mut self, text: &str) {
        if u32::try_from(self.text.len() + text.len()).is_ok() {
            self.text.push_str(text);
        }
        self.ends.push(u32::try_from(self.text.len()).unwrap_or(u32::MAX));
    }

    fn finish(self) -> Texts {
        Texts { text: self.text.into(), ends: self.ends.into() }
    }
}

/// A value of each key that has one, where many have the same.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Shared<T> {
    values: Box<[T]>,
    /// By key, from 1 on; 0 for none. Empty when no key has a value.
    numbers: Box<[u32]>,
}

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self { values: Box::default(), numbers: Box::default() }
    }
}

impl<T> Shared<T> {
    fn get(&self, place: usize) -> Option<&T> {
        let number = *self.numbers.get(place)? as usize;
        self.values.get(number.checked_sub(1)?)
    }
}

#[derive(Debug)]
struct Sharing<T> {
    known: HashMap<T, u32>,
    values: Vec<T>,
    numbers: Vec<u32>,
}

impl<T> Default for Sharing<T> {
    fn default() -> Self {
        Self { known: HashMap::new(), values: Vec::new(), numbers: Vec::new() }
    }
}

impl<T: Clone + Eq + Hash> Sharing<T> {
    fn push<Q: Eq + Hash + ?Sized>(&mut self, value: Option<&Q>, own: impl Fn(&Q) -> T)
    where
        T: Borrow<Q>,
    {
        let known = value.map(|value| self.known.get(value).copied().ok_or(value));
        let number = match known {
            None => 0,
            Some(Ok(number)) => number,
            Some(Err(value)) => self.add(own(value)),
        };
        self.numbers.push(number);
    }

    fn add(&mut self, value: T) -> u32 {
        self.values.push(value.clone());
        let number = u32::try_from(self.values.len()).unwrap_or_default();
        self.known.insert(value, number);
        number
    }

    fn finish(mut self) -> Shared<T> {
        if self.values.is_empty() {
            self.numbers.clear();
        }
        Shared { values: self.values.into(), numbers: self.numbers.into() }
    }
}

#[cfg(test)]
mod tests {
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
            for (id, sealed, weight, project, number) in &keys {
                let weight = Weight::try_from(*weight).unwrap();
                let billing_account = project;
                builder.push(&StoredKey { id, sealed, weight, project, billing_account, limits: limits(number) });
            }
            let packed = builder.finish();
            prop_assert_eq!(packed.list.len(), keys.len());
            for (place, (id, sealed, weight, project, number)) in keys.iter().enumerate() {
                let list = &packed.list;
                prop_assert_eq!(list.id(place).unwrap(), KeyId::new(id));
                prop_assert_eq!(packed.sealed.get(place), sealed);
                prop_assert_eq!(u32::from(list.weight(place)), *weight);
                prop_assert_eq!(list.project(place).map_or("", |name| name), project);
                prop_assert_eq!(list.billing_account(place), list.project(place));
                prop_assert_eq!(list.limits(place), limits(number));
            }
            prop_assert_eq!(packed.list.id(keys.len()), None);
            prop_assert_eq!(packed.sealed.get(keys.len()), "");
            let projects: std::collections::BTreeSet<_> = keys.iter().map(|key| &key.3).collect();
            prop_assert!(packed.list.projects.values.len() <= projects.len());
        }
    }
}
