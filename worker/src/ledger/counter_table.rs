//! Counter tables: the counts of one pool's attempts and client requests.
//!
//! Tables are mergeable in any order. They are stored as short JSON lists, because a busy pool has
//! thousands of counters. Earlier versions stored the list of attempts alone; it is read as a table
//! without requests.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{DeserializeOwned, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{CounterId, CounterRow, Level, RequestCounterId, RequestCounterRow};

/// Counts that can be added.
pub trait Sum: Clone + Default {
    /// Adds other counts to these.
    fn add(&mut self, other: &Self);
}

/// The dimensions of a counter.
pub trait CounterKey: Clone + Ord {
    /// The counts.
    type Row: Sum;

    /// Returns the start of the bucket, in seconds since 1970.
    fn start(&self) -> i64;

    /// Returns the id of the key that is counted.
    fn owner(&self) -> Option<&str>;

    /// Returns the counters in a coarser bucket than a minute, which starts at `start`.
    fn coarse(&self, start: i64, row: &Self::Row) -> impl Iterator<Item = (Self, Self::Row)>;
}

/// The stored form of a counter.
pub(super) trait StoredCounter: CounterKey {
    /// The form that is read.
    type Owned: DeserializeOwned;

    /// Returns the form that is written.
    fn row<'a>(&'a self, row: &'a Self::Row) -> impl Serialize + 'a;

    /// Returns the counter of a stored row.
    fn from_row(row: Self::Owned) -> (Self, Self::Row);
}

/// Counters of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CounterMap<C: CounterKey>(BTreeMap<C, C::Row>);

impl<C: CounterKey> Default for CounterMap<C> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<C: CounterKey> CounterMap<C> {
    /// Adds to one counter.
    pub fn add(&mut self, id: C, row: &C::Row) {
        self.0.entry(id).or_default().add(row);
    }

    /// Iterates over all counters.
    pub fn iter(&self) -> std::collections::btree_map::Iter<'_, C, C::Row> {
        self.0.iter()
    }

    fn merge(&mut self, other: Self) {
        if self.0.is_empty() {
            *self = other;
            return;
        }
        for (id, row) in other.0 {
            self.add(id, &row);
        }
    }

    fn merge_copy(&mut self, other: &Self) {
        for (id, row) in &other.0 {
            if let Some(held) = self.0.get_mut(id) {
                held.add(row);
            } else {
                self.0.insert(id.clone(), row.clone());
            }
        }
    }

    fn split_off(&mut self, count: usize) -> Self {
        match self.0.keys().nth(count).cloned() {
            Some(at) => Self(self.0.split_off(&at)),
            None => Self::default(),
        }
    }

    fn at_level(&self, level: Level) -> Self {
        if level == Level::Minute {
            return self.clone();
        }
        let mut coarse = Self::default();
        for (id, row) in &self.0 {
            for (id, row) in id.coarse(level.bucket(id.start()), row) {
                coarse.add(id, &row);
            }
        }
        coarse
    }
}

impl<'a, C: CounterKey> IntoIterator for &'a CounterMap<C> {
    type Item = (&'a C, &'a C::Row);
    type IntoIter = std::collections::btree_map::Iter<'a, C, C::Row>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<C: StoredCounter> Serialize for CounterMap<C> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|(id, row)| id.row(row)))
    }
}

impl<'de, C: StoredCounter> Deserialize<'de> for CounterMap<C> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut table = Self::default();
        for row in Vec::<C::Owned>::deserialize(deserializer)? {
            let (id, row) = C::from_row(row);
            table.add(id, &row);
        }
        Ok(table)
    }
}

/// The counters of one pool.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CounterTable {
    /// Of attempts.
    #[serde(rename = "a")]
    pub attempts: CounterMap<CounterId>,
    /// Of clients' requests.
    #[serde(rename = "r")]
    pub requests: CounterMap<RequestCounterId>,
}

impl<'de> Deserialize<'de> for CounterTable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Both {
            #[serde(rename = "a")]
            attempts: CounterMap<CounterId>,
            #[serde(rename = "r")]
            requests: CounterMap<RequestCounterId>,
        }
        struct Either;

        // An untagged enum would hold a page of megabytes in memory twice.
        impl<'de> Visitor<'de> for Either {
            type Value = CounterTable;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("cells of attempts and requests, or a list of those of attempts")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<CounterTable, A::Error> {
                let both = Both::deserialize(MapAccessDeserializer::new(map))?;
                Ok(CounterTable { attempts: both.attempts, requests: both.requests })
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<CounterTable, A::Error> {
                let attempts = CounterMap::deserialize(SeqAccessDeserializer::new(list))?;
                Ok(CounterTable { attempts, ..CounterTable::default() })
            }
        }

        deserializer.deserialize_any(Either)
    }
}

impl CounterTable {
    /// Merges another table into this one.
    pub fn merge(&mut self, other: Self) {
        self.attempts.merge(other.attempts);
        self.requests.merge(other.requests);
    }

    /// Merges another table into this one, cloning only new counters.
    pub fn merge_copy(&mut self, other: &Self) {
        self.attempts.merge_copy(&other.attempts);
        self.requests.merge_copy(&other.requests);
    }

    /// Removes and returns all counters after the first `count`.
    #[must_use]
    pub fn split_off(&mut self, count: usize) -> Self {
        let attempts = self.attempts.split_off(count);
        let requests = self.requests.split_off(count - self.attempts.0.len().min(count));
        Self { attempts, requests }
    }

    /// Keeps only the counters of buckets whose start is wanted.
    #[must_use]
    pub fn filtered(mut self, wanted: impl Fn(i64) -> bool) -> Self {
        self.attempts.0.retain(|id, _| wanted(id.start));
        self.requests.0.retain(|id, _| wanted(id.start));
        self
    }

    /// Converts counters by minute to those of a level.
    #[must_use]
    pub fn at_level(&self, level: Level) -> Self {
        Self { attempts: self.attempts.at_level(level), requests: self.requests.at_level(level) }
    }

    /// Partitions the counters by the place that the function gives for their bucket and key id.
    pub fn share_out<P: Ord>(self, place: impl Fn(i64, Option<&str>) -> P) -> BTreeMap<P, Self> {
        let mut parts: BTreeMap<P, Self> = BTreeMap::new();
        for (id, row) in self.attempts.0 {
            parts.entry(place(id.start, id.owner())).or_default().attempts.add(id, &row);
        }
        for (id, row) in self.requests.0 {
            parts.entry(place(id.start, id.owner())).or_default().requests.add(id, &row);
        }
        parts
    }

    /// Returns the bucket's start of each counter.
    pub fn starts(&self) -> impl Iterator<Item = i64> {
        let requests = self.requests.0.keys().map(|id| id.start);
        self.attempts.0.keys().map(|id| id.start).chain(requests)
    }

    /// Returns the number of counters.
    #[must_use]
    pub fn len(&self) -> usize {
        self.attempts.0.len() + self.requests.0.len()
    }

    /// Returns `true` if there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns how much is counted.
    #[must_use]
    pub fn counted(&self) -> Counted {
        Counted {
            attempts: self.attempts.0.values().map(|row: &CounterRow| row.attempts).sum(),
            requests: self.requests.0.values().map(RequestCounterRow::requests).sum(),
        }
    }
}

/// A number of attempts and of requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// Attempts.
    pub attempts: u64,
    /// Clients' requests.
    pub requests: u64,
}

impl Counted {
    /// Returns `true` if both are zero.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.attempts == 0 && self.requests == 0
    }
}

impl std::ops::AddAssign for Counted {
    fn add_assign(&mut self, other: Self) {
        self.attempts += other.attempts;
        self.requests += other.requests;
    }
}

impl std::iter::Sum for Counted {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), |mut sum, counted| {
            sum += counted;
            sum
        })
    }
}

#[cfg(test)]
mod tests {
    use pool_shared::{AttemptOutcome, RequestOutcome};

    use super::*;

    #[test]
    fn counts_of_a_version_that_knew_only_attempts_are_read_as_no_requests() {
        let stored = r#"[[60,"key-1","m","ok",[2,6,4,2,2,90000,{},{}]]]"#;
        let counters: CounterTable = serde_json::from_str(stored).unwrap();
        assert_eq!(counters.counted(), Counted { attempts: 2, requests: 0 });
        let now = serde_json::to_string(&counters).unwrap();
        assert_eq!(now, format!(r#"{{"a":{stored},"r":[]}}"#));
        assert_eq!(serde_json::from_str::<CounterTable>(&now).unwrap(), counters);
    }

    #[test]
    fn a_split_loses_no_cell_of_either_kind() {
        let mut counters = CounterTable::default();
        for start in 0..5 {
            let model = String::new();
            let attempt = CounterId { start, key: None, model: model.clone(), outcome: AttemptOutcome::Ok };
            counters.attempts.add(attempt, &CounterRow { attempts: 1, ..CounterRow::default() });
            let request = RequestCounterId { start, client_key: None, model, outcome: RequestOutcome::Ok };
            counters.requests.add(request, &RequestCounterRow::one(2, None));
        }
        for count in 0..12 {
            let (mut first, all) = (counters.clone(), counters.counted());
            let rest = first.split_off(count);
            assert_eq!(first.len(), count.min(10));
            assert_eq!([first.counted(), rest.counted()].into_iter().sum::<Counted>(), all);
        }
    }
}
