//! The Gemini keys of a pool, as the admin API shows and takes them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

#[cfg(feature = "schema")]
use crate::bounds;
#[cfg(feature = "schema")]
use crate::bounds::patterns;
use crate::object;
use crate::{KeyCondition, KeyId, Limits, PoolId, Secret, StateCounts};

/// A key's share of its pool's traffic: 0 to 1,000. A key of weight 3 gets three times the traffic
/// of a key of weight 1; weight 0 means "only when no other key is left".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "u32", into = "u32")]
#[cfg_attr(feature = "schema", schemars(extend("maximum" = Self::MAX)))]
pub struct Weight(u16);

/// A weight above [`Weight::MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a weight is a whole number from 0 to {max}", max = Weight::MAX)]
pub struct WeightError;

impl Weight {
    /// The largest weight.
    pub const MAX: u16 = 1_000;

    /// Returns the weight as a number.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl Default for Weight {
    fn default() -> Self {
        Self(1)
    }
}

impl TryFrom<u32> for Weight {
    type Error = WeightError;

    fn try_from(value: u32) -> Result<Self, WeightError> {
        match u16::try_from(value) {
            Ok(value) if value <= Self::MAX => Ok(Self(value)),
            _ => Err(WeightError),
        }
    }
}

impl From<Weight> for u32 {
    fn from(weight: Weight) -> Self {
        Self::from(weight.0)
    }
}

impl std::str::FromStr for Weight {
    type Err = WeightError;

    fn from_str(text: &str) -> Result<Self, WeightError> {
        text.trim().parse::<u32>().map_err(|_| WeightError)?.try_into()
    }
}

/// A Gemini key as the admin API shows it: never the key itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Key {
    /// Its id.
    pub id: KeyId,
    /// First and last four characters: `AIza…wxyz`.
    pub masked: String,
    /// First eight hexadecimal digits of a keyed hash: tells two keys apart without telling either.
    pub fingerprint: String,
    /// A name for people; empty when none was given.
    #[serde(default)]
    pub name: String,
    /// A label for selecting keys together, such as the project they belong to; empty when none.
    #[serde(default)]
    pub tag: String,
    /// Its Google project, where the operator knows it: the keys of one project share their quotas.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub project: String,
    /// The billing account above its project, where the operator knows it: projects of one account share what may be
    /// spent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub billing_account: String,
    /// Its project's quotas for each model, where the operator knows them.
    #[serde(default, skip_serializing_if = "Limits::is_empty")]
    pub limits: Limits,
    /// Its share of the traffic.
    pub weight: Weight,
    /// Off means that a person took it out of use.
    pub enabled: bool,
    /// How it is.
    #[serde(flatten)]
    pub condition: KeyCondition,
    /// When it was added.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// One page of a pool's keys, in the order in which they were added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct KeyList {
    /// The keys of this page.
    pub keys: Vec<Key>,
    /// How many keys match the filter on all pages together.
    pub total: u64,
    /// All keys of the pool by their states, whatever the filter; empty when the ledger does not answer.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub states: StateCounts,
    /// Pass it as `cursor` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// `POST pools/{id}/keys/import`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct KeyImport {
    /// The keys to add. At most [`KeyImport::MAX_ENTRIES`] a request.
    #[cfg_attr(feature = "schema", schemars(length(max = Self::MAX_ENTRIES)))]
    #[serde(deserialize_with = "object::list")]
    pub keys: Vec<KeyImportEntry>,
}

impl KeyImport {
    /// Entries a request: 1,000 sealed rows of at most about 900 bytes stay under D1's 2 MB a bound value.
    pub const MAX_ENTRIES: usize = 1_000;
}

/// One key to add, with what is known of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct KeyImportEntry {
    /// The key itself; checked by the service, so that one bad entry does not spoil the rest.
    pub key: Secret,
    /// The line of the client's file, for the report; the entry's position in the request without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// Its share of the traffic.
    #[serde(default)]
    pub weight: Weight,
    /// A label.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tag: String,
    /// A name for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Its Google project, where the operator knows it: the keys of one project share their quotas.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub project: String,
    /// The billing account above its project, where the operator knows it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub billing_account: String,
    /// Its project's quotas for each model, where the operator knows them.
    #[serde(deserialize_with = "object::object", default, skip_serializing_if = "Limits::is_empty")]
    pub limits: Limits,
}

/// What became of an import. Nothing valid is lost because another entry was not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct KeyImportReport {
    /// Keys that are new in the pool.
    pub added: u64,
    /// Keys that the pool had already, or that stood twice in the input.
    pub duplicate: u64,
    /// Entries that cannot be keys.
    pub malformed: Vec<MalformedEntry>,
    /// Keys of the pool that an earlier version took and that would be rejected now, masked: remove them. At most 20,
    /// and of pools with at most 500 keys.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub no_longer_accepted: Vec<String>,
    /// How many of the keys other pools have too, by the other pool's name: one key's quota is shared by all its pools.
    /// Tokens of one pool are not told.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub also_in: BTreeMap<String, u64>,
}

impl KeyImportReport {
    /// Adds another chunk's report to this one.
    pub fn merge(&mut self, other: Self) {
        for (pool, keys) in other.also_in {
            *self.also_in.entry(pool).or_default() += keys;
        }
        self.added += other.added;
        self.duplicate += other.duplicate;
        self.malformed.extend(other.malformed);
        for masked in other.no_longer_accepted {
            if !self.no_longer_accepted.contains(&masked) {
                self.no_longer_accepted.push(masked);
            }
        }
    }
}

/// An entry that was not imported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MalformedEntry {
    /// The line of the file, or the position in the request, from 1.
    pub line: u64,
    /// What is wrong with it; never the entry's text.
    pub reason: String,
}

/// `PATCH pools/{id}/keys`: the same change to several keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct KeyUpdate {
    /// The keys to change. At most [`KeyUpdate::MAX_IDS`].
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = Self::MAX_IDS)))]
    pub ids: Vec<KeyId>,
    /// What to change.
    #[serde(deserialize_with = "object::object")]
    pub set: KeyChange,
}

impl KeyUpdate {
    /// Ids a request: D1 takes at most 2 MB a bound value, and 10,000 ids are 240 KB.
    pub const MAX_IDS: usize = 10_000;
}

/// The fields of a key that can be changed; a field left out stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct KeyChange {
    /// Take it out of use or put it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// A new share of the traffic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<Weight>,
    /// A new name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(max = bounds::KEY_TEXT), regex(pattern = patterns::PRINTABLE)))]
    pub name: Option<String>,
    /// A new label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(max = bounds::KEY_TEXT), regex(pattern = patterns::PRINTABLE)))]
    pub tag: Option<String>,
    /// A new project; an empty one leaves it to what Gemini's errors tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(max = bounds::KEY_TEXT), regex(pattern = patterns::PRINTABLE)))]
    pub project: Option<String>,
    /// A new billing account; an empty one leaves it to what is learnt from spend limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(max = bounds::KEY_TEXT), regex(pattern = patterns::PRINTABLE)))]
    pub billing_account: Option<String>,
    /// New limits instead of those there were.
    #[serde(deserialize_with = "object::optional", default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
}

/// `POST pools/{id}/keys/reset`: forgets what was learnt of keys and of their projects. Cooldowns, states and learnt
/// limits end for every model, in all instances.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct KeyReset {
    /// The keys. At most [`KeyUpdate::MAX_IDS`].
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = KeyUpdate::MAX_IDS)))]
    pub ids: Vec<KeyId>,
}

/// `POST pools/{id}/keys/delete`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct KeyDelete {
    /// The keys to remove. At most [`KeyUpdate::MAX_IDS`].
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = KeyUpdate::MAX_IDS)))]
    pub ids: Vec<KeyId>,
}

/// What a batch change or a batch delete did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct KeyBatchResult {
    /// The pool whose keys were meant.
    pub pool: PoolId,
    /// Keys that were changed or removed.
    pub changed: u64,
    /// Keys that were already so.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unchanged: u64,
    /// Of those, keys whose cooldowns or states were ended, since they were enabled.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub recovered: u64,
    /// Ids that the pool does not have.
    pub missing: Vec<KeyId>,
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands over a reference, and on wasm32 it is larger than one"
)]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl KeyBatchResult {
    /// Nothing was done yet.
    #[must_use]
    pub const fn none(pool: PoolId) -> Self {
        Self { pool, changed: 0, unchanged: 0, recovered: 0, missing: Vec::new() }
    }

    /// Adds what another batch did to keys of the same pool.
    pub fn merge(&mut self, other: Self) {
        self.changed += other.changed;
        self.unchanged += other.unchanged;
        self.recovered += other.recovered;
        self.missing.extend(other.missing);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_bounded_on_the_wire() {
        assert_eq!(serde_json::from_str::<Weight>("0").unwrap().get(), 0);
        assert!(serde_json::from_str::<Weight>("1001").is_err());
        assert!(serde_json::from_str::<Weight>("-1").is_err());
        assert!("1.5".parse::<Weight>().is_err());
    }

    #[test]
    fn a_change_refuses_fields_that_it_does_not_know() {
        assert!(serde_json::from_str::<KeyChange>(r#"{"enabld":true}"#).is_err());
    }
}
