//! Gemini keys that are in several pools, as far as they were used here.
//!
//! Pools are isolated, and a key's quotas are those of its project, whichever pool uses it. So a cooldown that a key
//! gets in one pool holds for the same key in another. Nothing else passes between pools.

use std::collections::HashMap;

use pool_shared::{KeyId, PoolId};

use crate::ids::KeyDigest;

/// Keys that are remembered; some 200 bytes each.
const MAX_KEYS: usize = 50_000;

/// A key of a pool.
pub type PoolKey = (PoolId, KeyId);

/// Keys by what they are, without their secrets.
#[derive(Debug, Default)]
pub struct SameKeys {
    digests: HashMap<PoolKey, KeyDigest>,
    keys: HashMap<KeyDigest, Vec<PoolKey>>,
}

impl SameKeys {
    /// Remembers a key of a pool. Returns where else the same key is.
    pub fn others(&mut self, key: &PoolKey, digest: impl FnOnce() -> KeyDigest) -> Vec<PoolKey> {
        let digest = match self.digests.get(key) {
            Some(digest) => digest.clone(),
            None => self.insert(key, digest()),
        };
        match self.keys.get(&digest).map(Vec::as_slice) {
            None | Some([_]) => Vec::new(),
            Some(keys) => keys.iter().filter(|other| other.0 != key.0).cloned().collect(),
        }
    }

    fn insert(&mut self, key: &PoolKey, digest: KeyDigest) -> KeyDigest {
        if self.digests.len() >= MAX_KEYS {
            *self = Self::default();
        }
        self.digests.insert(key.clone(), digest.clone());
        self.keys.entry(digest.clone()).or_default().push(key.clone());
        digest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(pool: u64, key: u64) -> PoolKey {
        (PoolId::from_random(pool), KeyId::from_random(key))
    }

    fn digest(text: &str) -> KeyDigest {
        serde_json::from_value(text.into()).unwrap()
    }

    #[test]
    fn a_key_is_found_in_other_pools_only() {
        let mut same = SameKeys::default();
        assert_eq!(same.others(&key(1, 1), || digest("a")), []);
        assert_eq!(same.others(&key(1, 2), || digest("b")), []);
        assert_eq!(same.others(&key(2, 3), || digest("a")), [key(1, 1)]);
        assert_eq!(same.others(&key(1, 1), || panic!("it is known")), [key(2, 3)]);
        assert_eq!(same.others(&key(3, 4), || digest("a")), [key(1, 1), key(2, 3)]);
    }

    #[test]
    fn any_number_of_keys_takes_bounded_memory() {
        let mut same = SameKeys::default();
        for number in 0..MAX_KEYS as u64 + 10 {
            same.others(&key(1, number), || digest(&number.to_string()));
        }
        assert!(same.digests.len() <= MAX_KEYS && same.keys.len() <= MAX_KEYS);
    }
}
