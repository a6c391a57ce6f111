//! A generator of pseudo-random numbers: the same numbers in every run.

/// A linear congruential generator with Knuth's constants for MMIX.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Returns a generator that starts at `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Returns a number below `limit`, which isn't 0.
    pub fn next_below(&mut self, limit: u32) -> u32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % u64::from(limit)) as u32
    }
}
