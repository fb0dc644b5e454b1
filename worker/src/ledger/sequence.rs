//! Which of a writer's reports have been applied.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// The numbers beyond a gap that are kept. A gap that old never closes: its report was given up by its
/// writer, which counted it as lost.
const MAX_AHEAD: usize = 200;

/// The sequence numbers that were applied for one writer: all up to `through`, and those beyond it
/// that overtook an earlier one. Reports of one writer may arrive in any order and any number of times.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppliedSequences {
    through: u64,
    beyond: BTreeSet<u64>,
}

impl AppliedSequences {
    /// Whether a report was applied.
    #[must_use]
    pub fn has(&self, sequence: u64) -> bool {
        sequence <= self.through || self.beyond.contains(&sequence)
    }

    /// Notes a report. False: it was applied before.
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
