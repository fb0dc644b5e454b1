//! The source of randomness, passed in.

/// A cryptographically secure random number generator.
pub trait Random {
    /// Fills `bytes` with random bytes.
    fn fill(&self, bytes: &mut [u8]);

    /// Returns 64 random bits.
    fn next_u64(&self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }
}

/// A reproducible generator for tests (`SplitMix64`).
#[cfg(any(test, feature = "test-support"))]
#[derive(Debug)]
pub struct SeededRandom(std::sync::atomic::AtomicU64);

#[cfg(any(test, feature = "test-support"))]
impl SeededRandom {
    /// Returns a generator whose numbers follow from the seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(std::sync::atomic::AtomicU64::new(seed))
    }
}

#[cfg(any(test, feature = "test-support"))]
impl Random for SeededRandom {
    fn fill(&self, bytes: &mut [u8]) {
        const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
        for chunk in bytes.chunks_mut(8) {
            let mut value = self.0.fetch_add(STEP, std::sync::atomic::Ordering::Relaxed).wrapping_add(STEP);
            value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            value ^= value >> 31;
            for (slot, byte) in chunk.iter_mut().zip(value.to_le_bytes()) {
                *slot = byte;
            }
        }
    }
}
