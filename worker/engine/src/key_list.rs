//! A pool's enabled Gemini keys without their secrets, packed: a pool may have 20,000.
//!
//! No key has an allocation of its own. Texts are concatenated, and a project's name or limits that
//! several keys share are stored once. A key is addressed by its index, the order of insertion.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use pool_shared::{KeyId, Limits, Weight};

/// A key of a [`KeyList`].
#[derive(Clone, Copy, Debug)]
pub struct ListedKey<'a> {
    /// The text of its [`KeyId`].
    pub id: &'a str,
    /// Its share of the traffic.
    pub weight: Weight,
    /// Its project; empty if the operator named none.
    pub project: &'a str,
    /// The billing account above its project; empty if the operator named none.
    pub billing_account: &'a str,
    /// Its project's quotas, as far as the operator named them.
    pub limits: Limits,
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
    /// Returns the number of keys.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.weights.len()
    }

    /// Returns `true` if there are no keys.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.weights.is_empty()
    }

    /// Returns the text of a key's id; empty if there is no such key.
    #[must_use]
    pub fn id_text(&self, place: usize) -> &str {
        self.ids.get(place)
    }

    /// Returns a key's id.
    #[must_use]
    pub fn id(&self, place: usize) -> Option<KeyId> {
        (place < self.len()).then(|| KeyId::new(self.ids.get(place)))
    }

    /// Returns a key's share of the traffic.
    #[must_use]
    pub fn weight(&self, place: usize) -> u16 {
        self.weights.get(place).copied().unwrap_or_default()
    }

    /// Returns the shares of all keys.
    #[must_use]
    pub const fn weights(&self) -> &[u16] {
        &self.weights
    }

    /// Returns a key's project, if the operator named it.
    #[must_use]
    pub fn project(&self, place: usize) -> Option<&Arc<str>> {
        self.projects.get(place)
    }

    /// Returns the billing account above a key's project, if the operator named it.
    #[must_use]
    pub fn billing_account(&self, place: usize) -> Option<&Arc<str>> {
        self.billing_accounts.get(place)
    }

    /// Returns `true` if the operator named any billing account.
    #[must_use]
    pub const fn has_billing_accounts(&self) -> bool {
        !self.billing_accounts.values.is_empty()
    }

    /// Returns the limits per model that the operator set for a key's project.
    #[must_use]
    pub fn limits(&self, place: usize) -> Limits {
        self.limits.get(place).copied().unwrap_or_default()
    }
}

/// Builds a [`KeyList`].
#[derive(Debug, Default)]
pub struct KeyListBuilder {
    ids: TextsBuilder,
    weights: Vec<u16>,
    projects: Sharing<Arc<str>>,
    billing_accounts: Sharing<Arc<str>>,
    limits: Sharing<Limits>,
}

impl KeyListBuilder {
    /// Appends a key.
    pub fn push(&mut self, key: &ListedKey) {
        self.ids.push(key.id);
        self.weights.push(key.weight.get());
        self.projects.push((!key.project.is_empty()).then_some(key.project), |name| name.into());
        let account = Some(key.billing_account).filter(|account| !account.is_empty());
        self.billing_accounts.push(account, |name| name.into());
        self.limits.push((!key.limits.is_empty()).then_some(&key.limits), |limits| *limits);
    }

    /// Returns the packed list.
    #[must_use]
    pub fn finish(self) -> KeyList {
        KeyList {
            ids: self.ids.finish(),
            weights: self.weights.into(),
            projects: self.projects.finish(),
            billing_accounts: self.billing_accounts.finish(),
            limits: self.limits.finish(),
        }
    }
}

/// Concatenated texts, at most 4 GB; texts past that are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Texts {
    text: Box<str>,
    ends: Box<[u32]>,
}

impl Texts {
    /// Returns the text at an index; empty if there is none.
    #[must_use]
    pub fn get(&self, place: usize) -> &str {
        let end = |place: usize| self.ends.get(place).map(|end| *end as usize);
        let start = place.checked_sub(1).map_or(Some(0), end);
        start.zip(end(place)).and_then(|(start, end)| self.text.get(start..end)).unwrap_or_default()
    }
}

/// Builds [`Texts`].
#[derive(Debug, Default)]
pub struct TextsBuilder {
    text: String,
    ends: Vec<u32>,
}

impl TextsBuilder {
    /// Appends a text.
    pub fn push(&mut self, text: &str) {
        if u32::try_from(self.text.len() + text.len()).is_ok() {
            self.text.push_str(text);
        }
        self.ends.push(u32::try_from(self.text.len()).unwrap_or(u32::MAX));
    }

    /// Returns the packed texts.
    #[must_use]
    pub fn finish(self) -> Texts {
        Texts { text: self.text.into(), ends: self.ends.into() }
    }
}

/// An optional value per key, with equal values stored once.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Shared<T> {
    values: Box<[T]>,
    /// By key: index + 1 of its value, 0 for none. Empty when no key has a value.
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
    use super::*;

    #[test]
    fn values_that_keys_share_are_stored_once() {
        let mut builder = KeyListBuilder::default();
        for number in 0..100 {
            let (id, project) = (format!("k{number}"), if number % 2 == 0 { "a" } else { "b" });
            let (weight, limits) = (Weight::default(), Limits::default());
            builder.push(&ListedKey { id: &id, weight, project, billing_account: project, limits });
        }
        let list = builder.finish();
        assert_eq!(list.len(), 100);
        assert_eq!(list.projects.values.len(), 2);
        assert_eq!(list.limits.numbers.len(), 0, "no key has a limit");
        assert_eq!(list.id(99).unwrap(), KeyId::new("k99"));
        assert_eq!(list.id(100), None);
    }
}
