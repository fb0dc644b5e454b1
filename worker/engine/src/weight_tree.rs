//! Weighted random choice among many keys whose weights change all the time.

use crate::random::Random;

/// A Fenwick tree over weights: setting one weight and finding the key at a point of their sum both
/// take O(log n), so that 20,000 keys cost little more than 10.
#[derive(Clone, Debug, Default)]
pub(super) struct WeightTree {
    weights: Vec<u16>,
    /// `sums[i]` is the sum of the `lowest_bit(i + 1)` weights that end with weight `i`.
    sums: Vec<u32>,
    total: u32,
}

impl WeightTree {
    /// Returns a tree of these weights. 4,000,000 keys of the greatest weight would overflow it.
    pub(super) fn new(weights: Vec<u16>) -> Self {
        let mut sums: Vec<u32> = weights.iter().copied().map(u32::from).collect();
        for index in 0..sums.len() {
            let sum = sums.get(index).copied().unwrap_or_default();
            if let Some(parent) = sums.get_mut(index + lowest_bit(index + 1)) {
                *parent += sum;
            }
        }
        let total = weights.iter().copied().map(u32::from).sum();
        Self { weights, sums, total }
    }

    /// Returns the sum of all weights.
    pub(super) const fn total(&self) -> u32 {
        self.total
    }

    /// One weight; 0 for a key that the tree does not have.
    pub(super) fn weight(&self, index: usize) -> u16 {
        self.weights.get(index).copied().unwrap_or_default()
    }

    /// Changes one weight.
    pub(super) fn set(&mut self, index: usize, weight: u16) {
        let Some(slot) = self.weights.get_mut(index) else { return };
        let old = std::mem::replace(slot, weight);
        if old == weight {
            return;
        }
        self.total = self.total - u32::from(old) + u32::from(weight);
        let mut at = index;
        while let Some(sum) = self.sums.get_mut(at) {
            *sum = *sum - u32::from(old) + u32::from(weight);
            at += lowest_bit(at + 1);
        }
    }

    /// Returns the key that holds `point` when the weights are laid end to end.
    pub(super) fn at(&self, mut point: u32) -> Option<usize> {
        if point >= self.total {
            return None;
        }
        let mut index = 0;
        let mut step = self.sums.len().next_power_of_two();
        while step > 0 {
            if let Some(sum) = self.sums.get(index + step - 1)
                && *sum <= point
            {
                point -= sum;
                index += step;
            }
            step /= 2;
        }
        Some(index)
    }

    /// Draws a key, each with a chance in proportion to its weight.
    pub(super) fn draw(&self, random: &impl Random) -> Option<usize> {
        self.at(below(random.next_u64(), self.total))
    }
}

const fn lowest_bit(number: usize) -> usize {
    number & number.wrapping_neg()
}

/// Returns a number below `bound` (0 for a bound of 0) out of 64 random bits, by multiplication: the bias is
/// below `bound / 2^64`.
pub(super) fn below(bits: u64, bound: u32) -> u32 {
    let product = u128::from(bits) * u128::from(bound);
    u32::try_from(product >> 64).unwrap_or_default()
}

/// Spreads bits evenly (the finalizer of `SplitMix64`).
pub(super) const fn mix(bits: u64) -> u64 {
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_agrees_with_the_plain_sums(
            weights in proptest::collection::vec(0_u16..5, 0..40),
            changes in proptest::collection::vec((0_usize..40, 0_u16..5), 0..40),
        ) {
            let mut plain = weights.clone();
            let mut tree = WeightTree::new(weights);
            for (index, weight) in changes {
                tree.set(index, weight);
                if let Some(slot) = plain.get_mut(index) {
                    *slot = weight;
                }
            }
            let laid_out: Vec<usize> =
                plain.iter().enumerate().flat_map(|(index, weight)| vec![index; usize::from(*weight)]).collect();
            prop_assert_eq!(tree.total() as usize, laid_out.len());
            for (point, index) in laid_out.iter().enumerate() {
                prop_assert_eq!(tree.at(u32::try_from(point).unwrap()), Some(*index));
            }
            prop_assert_eq!(tree.at(tree.total()), None);
        }
    }
}
