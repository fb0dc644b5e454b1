//! Secrets at rest: envelope encryption, keyed hashes, and comparison in constant time.
//!
//! The master key (32 random bytes, the secret `MASTER_KEY`) is never used directly: HKDF-SHA-256
//! derives a sub-key from it for each purpose. Each pool has a random data key, stored encrypted
//! under such a sub-key; the pool's Gemini keys are encrypted under the data key. Every ciphertext
//! is bound to its pool, key and column, so it does not decrypt in another row. Client keys and
//! admin tokens are stored only as keyed hashes.
//!
//! # Invariants
//! - No I/O.
//! - No secret is part of an error.

mod encrypted;
mod master_key;
mod token_hash;
mod vault;

pub use encrypted::{DataKey, DecryptError, Encrypted};
pub use master_key::{MasterKey, MasterKeyError};
pub use pool_engine::{KeyDigest, TokenHash, TokenTag};
pub use vault::{EncryptedUnder, UnderMasterKey, Vault};

use subtle::ConstantTimeEq;

/// Compares two secrets in a time that depends only on their lengths.
#[must_use]
pub fn secrets_equal(left: &[u8], right: &[u8]) -> bool {
    left.ct_eq(right).into()
}
