//! The randomness of every host.
//!
//! In: the system's source, or `crypto.getRandomValues` on Workers. Out: random bytes that are good enough for keys. What
//! must never happen here: a byte given twice, or kept once it was given.

use std::cell::RefCell;

use crate::platform::Random;

/// The system's randomness.
#[derive(Clone, Copy, Debug)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, bytes: &mut [u8]) {
        // The system's source fails only where there is none, and then no key could be made either: a
        // service that cannot make secrets must not run.
        if FETCHED.with_borrow_mut(|fetched| fetched.give(bytes)).is_err() {
            std::process::abort();
        }
    }
}

thread_local! {
    static FETCHED: RefCell<Fetched> = const { RefCell::new(Fetched { bytes: [0; 256], left: 0 }) };
}

/// Random bytes, fetched many at a time: each call to their source costs more than the bytes.
struct Fetched {
    bytes: [u8; 256],
    left: usize,
}

impl Fetched {
    fn give(&mut self, wanted: &mut [u8]) -> Result<(), getrandom::Error> {
        if wanted.len() > self.left {
            if wanted.len() > self.bytes.len() {
                return getrandom::fill(wanted);
            }
            getrandom::fill(&mut self.bytes)?;
            self.left = self.bytes.len();
        }
        let begin = self.left - wanted.len();
        if let Some(given) = self.bytes.get_mut(begin..self.left) {
            wanted.copy_from_slice(given);
            given.fill(0);
        }
        self.left = begin;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_bytes_are_given_twice_or_kept() {
        let mut fetched = Fetched { bytes: [0; 256], left: 0 };
        let mut given = BTreeSet::new();
        // Of any length: they do not end where what was fetched ends.
        for length in (8..300).cycle().take(1_000) {
            let mut bytes = vec![0; length];
            fetched.give(&mut bytes).unwrap();
            assert!(fetched.bytes[fetched.left..].iter().all(|byte| *byte == 0));
            assert!(bytes.chunks_exact(8).all(|number| given.insert(number.to_vec())));
        }
    }
}
