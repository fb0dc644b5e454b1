//! Weighted random choice among a pool's keys.

use crate::host::Random;

/// The weights of a pool's keys, laid out for choosing: `ends[i]` is the sum of the weights up to and
/// including key `i`. A choice takes a binary search, so 20,000 keys cost little more than 10.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyTable {
    ends: Vec<u64>,
}

impl KeyTable {
    /// Lays out the weights of the keys in their order.
    #[must_use]
    pub fn new(weights: impl IntoIterator<Item = u16>) -> Self {
        let ends = weights.into_iter().scan(0_u64, |sum, weight| {
            *sum += u64::from(weight);
            Some(*sum)
        });
        Self { ends: ends.collect() }
    }

    /// Chooses a key that is not among `tried`, each with a chance in proportion to its weight. Keys
    /// of weight 0 are chosen, evenly, only when no other is left. `None`: all were tried.
    #[must_use]
    pub fn choose(&self, tried: &[usize], random: &impl Random) -> Option<usize> {
        let mut tried = tried.to_vec();
        tried.sort_unstable();
        let total = self.ends.last().copied().unwrap_or_default();
        let tried_weight: u64 = tried.iter().map(|index| self.weight(*index)).sum();
        let Some(left) = total.checked_sub(tried_weight).filter(|left| *left > 0) else {
            return self.choose_weightless(&tried, random);
        };
        // A number below the weight that is left, moved past the stretches of the tried keys.
        let mut point = below(random, left);
        for index in tried {
            if point >= self.start(index) {
                point += self.weight(index);
            }
        }
        Some(self.ends.partition_point(|end| *end <= point))
    }

    fn choose_weightless(&self, tried: &[usize], random: &impl Random) -> Option<usize> {
        let left: Vec<usize> =
            (0..self.ends.len()).filter(|index| tried.binary_search(index).is_err()).collect();
        let index = usize::try_from(below(random, left.len().try_into().ok()?)).ok()?;
        left.get(index).copied()
    }

    fn start(&self, index: usize) -> u64 {
        index.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or_default()
    }

    fn weight(&self, index: usize) -> u64 {
        self.ends.get(index).map_or(0, |end| end - self.start(index))
    }
}

/// A random number below `bound` (0 for a bound of 0), by multiplication: the bias is below
/// `bound / 2^64`.
fn below(random: &impl Random, bound: u64) -> u64 {
    let product = u128::from(random.next_u64()) * u128::from(bound);
    u64::try_from(product >> 64).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::SeededRandom;

    fn shares(weights: &[u16], tried: &[usize], draws: usize) -> Vec<usize> {
        let (table, random) = (KeyTable::new(weights.iter().copied()), SeededRandom::new(7));
        let mut counts = vec![0; weights.len()];
        for _ in 0..draws {
            counts[table.choose(tried, &random).unwrap()] += 1;
        }
        counts
    }

    #[test]
    fn shares_follow_the_weights() {
        // 10,000 draws at 3:1:1: the standard deviation of the first share is 49.
        let counts = shares(&[3, 1, 1], &[], 10_000);
        assert!((5_750..6_250).contains(&counts[0]), "{counts:?}");
        assert!((1_800..2_200).contains(&counts[1]), "{counts:?}");
    }

    #[test]
    fn weight_zero_is_the_last_resort() {
        assert_eq!(shares(&[0, 5, 0], &[], 1_000), [0, 1_000, 0]);
        let counts = shares(&[0, 5, 0], &[1], 1_000);
        assert!(counts[0] > 400 && counts[2] > 400 && counts[1] == 0, "{counts:?}");
    }

    #[test]
    fn nothing_is_chosen_from_nothing() {
        let random = SeededRandom::new(1);
        assert_eq!(KeyTable::new([]).choose(&[], &random), None);
        assert_eq!(KeyTable::new([1, 0]).choose(&[1, 0], &random), None);
    }

    proptest! {
        #[test]
        fn every_key_is_reached_once_and_none_twice(
            weights in proptest::collection::vec(0_u16..4, 1..12), seed in any::<u64>()
        ) {
            let (table, random) = (KeyTable::new(weights.iter().copied()), SeededRandom::new(seed));
            let mut tried = Vec::new();
            while let Some(index) = table.choose(&tried, &random) {
                prop_assert!(!tried.contains(&index));
                let heavier = (0..weights.len()).any(|other| weights[other] > 0 && !tried.contains(&other));
                prop_assert!(weights[index] > 0 || !heavier, "a reserve key before a regular one");
                tried.push(index);
            }
            prop_assert_eq!(tried.len(), weights.len());
        }
    }
}
