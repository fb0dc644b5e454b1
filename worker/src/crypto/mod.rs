//! Secrets at rest: sealing, keyed hashes, comparison in constant time.
//!
//! One master key (32 random bytes, the `MASTER_KEY` secret) is never used itself: HKDF-SHA-256
//! derives a sub-key for each purpose from it. Each pool has a random data key of its own, kept
//! sealed under the `seal data keys` sub-key; the pool's Gemini keys are sealed under the data key.
//! What is sealed is bound to its place (pool, key, column), so a ciphertext that was moved to
//! another row does not open. Client keys and admin tokens are not kept at all: only a keyed hash.
//!
//! Nothing here does I/O; nothing secret is ever part of an error.

mod encrypted;
mod master_key;
mod token_hash;
mod vault;

pub use encrypted::{DataKey, DecryptError, Encrypted};
pub use master_key::{MasterKey, MasterKeyError};
pub use pool_engine::{KeyDigest, TokenHash, TokenTag};
pub use vault::{EncryptedUnder, UnderMasterKey, Vault};

use subtle::ConstantTimeEq;

/// Compares two secrets in a time that depends on their lengths only.
#[must_use]
pub fn secrets_equal(left: &[u8], right: &[u8]) -> bool {
    left.ct_eq(right).into()
}
