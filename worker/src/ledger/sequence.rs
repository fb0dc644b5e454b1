//! Applied sequence numbers of a writer.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// Maximum distance of the numbers kept after a gap. An older gap never closes: its writer gave up
/// the report and counted it as lost.
const MAX_AHEAD: usize = 200;

/// The applied sequence numbers of one writer: all up to `through`, and later ones that overtook an
/// earlier one. Reports of a writer may arrive in any order, and repeatedly.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppliedSequences {
    through: u64,
    beyond: BTreeSet<u64>,
}

impl AppliedSequences {
    /// Returns `true` if a report was applied.
    #[must_use]
    pub fn has(&self, sequence: u64) -> bool {
        sequence <= self.through || self.beyond.contains(&sequence)
    }

    /// Adds a report. Returns `false` if it was applied before.
    pub fn admit(&mut self, sequence: u64) -> bool {
        if sequence <= self.through || !self.beyond.insert(sequence) {
            return false;
        }
        if self.beyond.len() > MAX_AHEAD {
            self.through = self.beyond.pop_first().unwrap_or(self.through);
        }
        while self.beyond.remove(&(self.through + 1)) {
            self.through += 1;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn each_number_is_admitted_once_in_any_order(
            order in proptest::collection::vec(1_u64..40, 0..200)
        ) {
            let mut applied = AppliedSequences::default();
            let mut seen = BTreeSet::new();
            for sequence in order {
                prop_assert_eq!(applied.has(sequence), seen.contains(&sequence));
                prop_assert_eq!(applied.admit(sequence), seen.insert(sequence));
            }
        }
    }

    #[test]
    fn numbers_in_order_leave_nothing_behind() {
        let mut applied = AppliedSequences::default();
        for sequence in [2, 1, 3, 5, 4] {
            assert!(applied.admit(sequence));
        }
        assert_eq!(applied, AppliedSequences { through: 5, beyond: BTreeSet::new() });
    }

    #[test]
    fn a_gap_that_never_closes_costs_no_memory() {
        let mut applied = AppliedSequences::default();
        for sequence in 2..10_000 {
            assert!(applied.admit(sequence));
        }
        assert_eq!(applied, AppliedSequences { through: 9_999, beyond: BTreeSet::new() });
    }
}
